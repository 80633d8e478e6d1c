//! File systems whose locks hold for one machine only, as their mount options tell.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The mount options that make locks on the file system at `path` those of this machine alone; none if there are none, or
/// that is not known.
#[must_use]
pub fn local_locks(path: &Path) -> Option<String> {
    let mounts = std::fs::read("/proc/self/mountinfo").ok()?;
    local_locks_by(&mounts, &path.canonicalize().ok()?)
}

/// The same by the text of `/proc/self/mountinfo` (proc(5)).
fn local_locks_by(mounts: &[u8], path: &Path) -> Option<String> {
    let mut found: Option<(usize, Option<String>)> = None;
    for line in mounts.split(|&byte| byte == b'\n') {
        let mut fields = line.split(|&byte| byte == b' ');
        let (Some(point), Some(own)) = (fields.nth(4), fields.next()) else { continue };
        let point = unescaped(point);
        if !path.starts_with(Path::new(std::ffi::OsStr::from_bytes(&point))) {
            continue;
        }
        // Behind the dash: type, source, options of the file system.
        let of_file_system = fields.skip_while(|field| *field != b"-").nth(3).unwrap_or_default();
        let options = [own, of_file_system].into_iter().flat_map(|options| options.split(|&byte| byte == b','));
        let local: Vec<String> = options
            .filter(|option| is_local(option))
            .map(|option| String::from_utf8_lossy(option).into_owned())
            .collect();
        // Of several mounts on one point, the last is seen.
        if found.as_ref().is_none_or(|(length, _)| point.len() >= *length) {
            found = Some((point.len(), (!local.is_empty()).then(|| local.join(","))));
        }
    }
    found?.1
}

/// Whether an option makes `flock` a matter of one machine: nfs(5); mount.cifs(8), which has `flock` ask for locks of byte
/// ranges; Lustre's mount options; those of OCFS2 and GFS2.
fn is_local(option: &[u8]) -> bool {
    matches!(
        option,
        b"local_lock=flock" | b"local_lock=all" | b"nolock" | b"nobrl" | b"localflock" | b"localflocks" | b"noflock"
    )
}

/// A field in which space, tab, newline and backslash are written as three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let digits =
            after.get(..3).filter(|digits| first == b'\\' && digits.iter().all(|digit| (b'0'..b'8').contains(digit)));
        if let Some(digits) = digits {
            let value = digits.iter().fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0'));
            bytes.push(u8::try_from(value).unwrap_or(b'?'));
            rest = after.get(3..).unwrap_or_default();
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:50 / /nfs rw,relatime shared:2 master:1 - nfs4 srv:/x rw,vers=4.2,hard,local_lock=none,addr=10.0.0.1
41 22 0:51 / /nfs3 rw,relatime - nfs srv:/y rw,vers=3,nolock,proto=tcp,local_lock=all,addr=10.0.0.1
42 22 0:52 / /lustre/scratch rw - lustre 10.0.0.2@tcp:/scratch rw,localflock,lazystatfs
43 22 0:53 / /with\\040space rw - lustre 10.0.0.2@tcp:/b rw,noflock
44 41 0:54 / /nfs3/inner rw - tmpfs tmpfs rw
45 22 0:55 / /twice rw - nfs srv:/z rw,local_lock=flock
46 45 0:56 / /twice rw - nfs srv:/w rw,local_lock=posix
47 22 0:57 / /cifs rw,relatime - cifs //srv/share rw,vers=3.1.1,nobrl,actimeo=1
48 22 0:58 / /cifs2 rw,relatime - cifs //srv/share rw,vers=3.1.1,actimeo=1
";

    #[test]
    fn locks_of_one_machine_are_known_by_the_mount() {
        for (path, options) in [
            ("/nfs/a", None),
            ("/nfs3/a", Some("nolock,local_lock=all")),
            ("/nfs3", Some("nolock,local_lock=all")),
            ("/nfs34/a", None),
            ("/nfs3/inner/a", None),
            ("/lustre/scratch/x", Some("localflock")),
            ("/lustre/home", None),
            ("/with space/a", Some("noflock")),
            ("/twice/a", None),
            ("/cifs/a", Some("nobrl")),
            ("/cifs2/a", None),
            ("/tmp", None),
        ] {
            let found = local_locks_by(MOUNTS.as_bytes(), Path::new(path));
            assert_eq!(found.as_deref(), options, "{path}");
        }
        for odd in ["", "\n", "1 2 3", "1 2 3:4 / /", "1 2 3 / / rw -"] {
            assert_eq!(local_locks_by(odd.as_bytes(), Path::new("/")), None, "{odd:?}");
        }
    }

    #[test]
    fn locks_of_this_machines_own_disks_are_nothing_to_warn_of() {
        assert_eq!(local_locks(&std::env::temp_dir()), None);
    }
}
