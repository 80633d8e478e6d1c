//! The exit codes of the program.

use std::process::ExitCode;

/// How a command ended. The numbers are fixed: scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: all was done, whether or not anything was found.
    Success,
    /// 1: a precondition, space, or an archive or image that could not be read; something was deferred.
    Failure,
    /// 2: the command line was not understood.
    Usage,
    /// 75, `EX_TEMPFAIL` of sysexits.h: nothing was done, and trying again later may do it, with nothing changed by hand.
    TryAgain,
    /// 128 + the number of the signal that ended it: 129, 130, 143.
    Signal(i32),
}

impl Exit {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
            Exit::TryAgain => 75,
            Exit::Signal(number) => u8::try_from(number).unwrap_or(127).saturating_add(128),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_end_with_128_and_their_number() {
        let codes = [1, 2, 15].map(|number| Exit::Signal(number).code());
        assert_eq!(codes, [129, 130, 143]);
    }
}
