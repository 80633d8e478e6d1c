//! Which build this is.

/// What `--version` prints after the program's name: the version, the commit that it was built of, and the libzstd that
/// it runs with.
pub fn long() -> String {
    let (version, commit) = (env!("CARGO_PKG_VERSION"), env!("IMGSIEVE_COMMIT"));
    format!("{version}\ncommit {commit}\nlibzstd {}", zstd::zstd_safe::version_string())
}
