//! Every input with which fuzzing began, and every one that it found to fail, once more: `fuzz/README.md`.

#[path = "../fuzz/src/checks.rs"]
mod checks;
#[path = "../fuzz/src/tables.rs"]
mod tables;

use std::fs;
use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut inputs = 0;
    for folder in [fuzz.join("seeds").join(target), fuzz.join("regressions").join(target)] {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            eprintln!("{}", path.display());
            check(&fs::read(&path).expect("an input"));
            inputs += 1;
        }
    }
    assert!(inputs > 0, "no input of {target}");
}

#[test]
fn what_once_failed_of_the_size_holds() {
    replay("size", checks::size);
}

#[test]
fn what_once_failed_of_provenance_holds() {
    replay("provenance", checks::provenance);
}

#[test]
fn what_once_failed_of_tables_holds() {
    replay("tables", tables::read);
}
