//! The `imgsieve` program. All of it is in the library, see [`imgsieve::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    imgsieve::cli::main().into()
}
