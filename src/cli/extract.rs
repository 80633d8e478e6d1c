//! `imgsieve extract`: its arguments, and the wiring.

use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueHint};

use crate::cause::Cause;
use crate::event::{Event, Scope};
use crate::exit::Exit;
use crate::extract::{self, Choice, Error, Extracted, Output};
use crate::progress::{Terminal, Verbosity};
use crate::reason::Reason;
use crate::run::{Control, Observer, Observers, Stop};
use crate::sanitize::{printable, printable_short};
use crate::suffixes::Suffixes;
use crate::units::{Size, human};
use crate::vouch;
use crate::zst::{self, Engine, Meter};

pub const EXAMPLES: &str = "\
Examples:
  imgsieve extract a.tar.zst
      the only image of an archive, to a file of the same name
  imgsieve extract a.tar.zst --image 2 --partition 3 -o root.img
      the third partition of the second image
  imgsieve extract a.tar.zst --length 512 --no-verify -o - | xxd
      the first sector, without decoding on to the end of its frame";

/// `imgsieve extract`.
#[derive(Debug, Args)]
pub struct ExtractArguments {
    /// The archive (.tar.zst), or a compressed image (.zst); also by URL, see `imgsieve man cloud`
    #[arg(value_name = "ARCHIVE", value_hint = ValueHint::FilePath)]
    archive: PathBuf,
    /// Which image: its number in the archive, from 1, or its name or path [default: the only one]
    #[arg(long, value_name = "NAME|N")]
    image: Option<std::ffi::OsString>,
    /// Only the partition of this number, as inspect lists it [default: the whole image]
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// The file to write, which must not exist yet; - is standard output [default: the image's name, in this folder]
    #[arg(long, short, value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// Begin this many bytes into the image or partition [default: 0]
    #[arg(long, value_name = "SIZE")]
    offset: Option<Size>,
    /// Only this many bytes [default: to the end]
    #[arg(long, value_name = "SIZE")]
    length: Option<Size>,
    /// Do not decode on to the end of the frame, where its checksum is
    #[arg(long)]
    no_verify: bool,
    /// How the name of an image in an archive ends (ASCII case ignored); several with commas: .img,.dd
    #[arg(long, value_name = "SUFFIX[,...]", default_value = ".img")]
    image_suffix: Suffixes,
    /// Largest zstd window accepted, up to 2GiB
    #[arg(long, value_name = "SIZE", default_value = "128MiB")]
    max_window: Size,
    /// No progress bar
    #[arg(long)]
    no_progress: bool,
    /// Errors only: no warnings, and no line about what was extracted
    #[arg(long, short)]
    quiet: bool,
}

impl ExtractArguments {
    fn options(&self, control: &Control) -> Result<extract::Options, String> {
        let output = match &self.output {
            Some(path) if path.as_os_str() == "-" => Some(Output::Stdout),
            Some(path) => Some(Output::File(path.clone())),
            None if self.offset.is_some() || self.length.is_some() => {
                return Err("--offset and --length need -o: a part of an image has no name of its own".to_owned());
            }
            None => None,
        };
        if output == Some(Output::Stdout) && std::io::stdout().is_terminal() {
            return Err("standard output is a terminal: name a file with -o, or pipe it to another program".to_owned());
        }
        let image = self.image.as_ref().map(|image| match image.to_str().map(str::parse) {
            Some(Ok(0)) => Err("--image 0: images are counted from 1".to_owned()),
            Some(Ok(number)) => Ok(Choice::Number(number)),
            _ => Ok(Choice::Name(image.as_bytes().to_vec())),
        });
        Ok(extract::Options {
            image_suffix: self.image_suffix.clone(),
            image: image.transpose()?,
            partition: self.partition,
            offset: self.offset.map_or(0, |offset| offset.0),
            length: self.length.map(|length| length.0),
            output,
            verifies: !self.no_verify,
            zst: zst::Options {
                engine: Engine::Auto,
                max_window: self.max_window.0,
                meter: Arc::new(Meter::new(control.flag())),
                voucher: vouch::voucher(Engine::Auto),
            },
        })
    }
}

/// Does what the arguments say.
pub fn run(arguments: &ExtractArguments) -> Exit {
    let control = Control::new();
    let options = match arguments.options(&control) {
        Ok(options) => options,
        Err(message) => return super::usage_text(&message),
    };
    if let Err(error) = control.listen() {
        return super::failure(&Cause::of(Reason::Signals, &error));
    }
    let verbosity = if arguments.quiet { Verbosity::Quiet } else { Verbosity::Normal };
    let terminal = Terminal::stderr(verbosity, !arguments.no_progress);
    let observers = [&terminal as &dyn Observer];
    let outcome = extract::run(&arguments.archive, &options, Observers::new(&control, &observers));
    terminal.finish();
    let tell = |event: &Event<'_>| drop(terminal.observe(event));
    let scope = Scope::Path(&arguments.archive);
    match outcome {
        Ok(extracted) => {
            for cause in &extracted.warnings {
                tell(&Event::Warning { scope, cause });
            }
            let printed = match (&extracted.path, arguments.quiet) {
                (Some(_), false) => super::print(&text(&extracted, options.verifies)),
                _ => Exit::Success,
            };
            if let Some(cause) = &extracted.unverified {
                let message =
                    format!("the file has its full length, but some of its bytes may be wrong: {}", cause.message);
                tell(&Event::Error { scope, cause: &Cause { message, ..cause.clone() } });
                return Exit::Failure;
            }
            printed
        }
        Err(Error::Closed) => Exit::Success,
        Err(Error::Choice(message)) => {
            super::usage_text(&format!("{}: {message}", printable(arguments.archive.as_os_str().as_encoded_bytes())))
        }
        Err(Error::Interrupted) => match control.cause() {
            Some(Stop::Signal(signal)) => {
                tell(&Event::Interrupted { signal });
                Exit::Signal(signal)
            }
            _ => Exit::Failure,
        },
        Err(Error::Failed(cause)) => {
            tell(&Event::Error { scope, cause: &cause });
            Exit::Failure
        }
    }
}

fn text(extracted: &Extracted, is_verified: bool) -> String {
    let Extracted { image, path, length, written, has_checksum, unverified, .. } = extracted;
    let path = path.as_ref().map_or_else(String::new, |path| printable(path.as_os_str().as_encoded_bytes()));
    let checksum = match (is_verified && unverified.is_none(), has_checksum) {
        (true, true) => "; every checksum of its frames holds",
        (true, false) => "; its frames have no checksum",
        (false, _) => "",
    };
    let name = printable_short(image, 120);
    let written = if *written == 0 { "all of it zeros".to_owned() } else { format!("{} written", human(*written)) };
    format!("{path}: {} of {name}, {written}{checksum}.\n", human(*length))
}
