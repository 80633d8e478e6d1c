//! Why something is not as it should be, in the log's words: what the errors of all layers become once they are told.

use crate::exit::Exit;
use crate::reason::Reason;
use crate::zst;
use crate::{member, ptable, staging};

/// Why something is not as it should be: a stable word for programs, a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The word.
    pub code: Reason,
    /// The sentence.
    pub message: String,
    /// Whether trying again later may mend it, with nothing else changed.
    pub may_pass: bool,
}

impl Cause {
    /// A cause in our own words.
    pub fn new(code: Reason, message: impl Into<String>) -> Cause {
        Cause { code, message: message.into(), may_pass: false }
    }

    /// The same, where trying again later may mend it.
    #[must_use]
    pub fn passing(self, may_pass: bool) -> Cause {
        Cause { may_pass, ..self }
    }

    /// How a command ends for it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if self.may_pass { Exit::TryAgain } else { Exit::Failure }
    }

    /// An error and all that caused it, as one sentence.
    #[must_use]
    pub fn of(code: Reason, error: &dyn std::error::Error) -> Cause {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // An io::Error that only wraps another error prints as that one: once is enough.
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            source = cause.source();
        }
        Cause { code, message, may_pass: false }
    }
}

impl From<&zst::Error> for Cause {
    fn from(error: &zst::Error) -> Cause {
        Cause::of(error.code(), error)
    }
}

impl From<zst::Padding> for Cause {
    fn from(zst::Padding { offset, length }: zst::Padding) -> Cause {
        let message = format!("{length} zeros after the last frame, from byte {offset} to the end; nothing is lost");
        Cause::new(Reason::TrailingZeros, message)
    }
}

impl From<&staging::Error> for Cause {
    fn from(error: &staging::Error) -> Cause {
        Cause::of(error.code(), error).passing(error.may_pass())
    }
}

impl From<&member::Error> for Cause {
    /// If the archive could not be read, the archive's own cause: that the walk noticed it adds nothing.
    fn from(error: &member::Error) -> Cause {
        match error {
            member::Error::Io { source, .. } => {
                zst::Error::within(source).map_or_else(|| Cause::of(error.code(), error), Cause::from)
            }
            _ => Cause::of(error.code(), error),
        }
    }
}

impl From<&ptable::Error> for Cause {
    /// Where the archive could not be read, that is the reason, and the message says which byte of the image it cost.
    fn from(error: &ptable::Error) -> Cause {
        let code = match error {
            ptable::Error::Io { source, .. } => zst::Error::within(source).map_or(Reason::Io, zst::Error::code),
            other => other.reason_code(),
        };
        Cause::of(code, error)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_chain_of_errors_is_one_sentence_without_repetition() {
        let wrapped = io::Error::from(zst::Error::Checksum { frame: 5 });
        let error = ptable::Error::Io { offset: 512, source: wrapped, partial: None };
        let cause = Cause::from(&error);
        assert_eq!(cause.code, Reason::Checksum);
        let message = "cannot read the image at byte 512: the frame that begins at byte 5 fails its checksum";
        assert_eq!(cause.message, message);
    }

    #[test]
    fn a_walk_that_could_not_read_gives_the_archives_cause() {
        let source = io::Error::from(zst::Error::Interrupted);
        assert_eq!(Cause::from(&member::Error::Io { offset: 0, source }).code, Reason::Interrupted);
        let source = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(Cause::from(&member::Error::Io { offset: 7, source }).code, Reason::TarIo);
    }
}
