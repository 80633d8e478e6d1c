//! The exit codes of the program.

use std::io;
use std::process::ExitCode;

/// How a command ended. The numbers are fixed: scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: all was done, whether or not anything was found.
    Success,
    /// 1: somebody should look: a precondition, space, or an archive or image that could not be read; something was deferred.
    Failure,
    /// 2: the command line was not understood.
    Usage,
    /// 75, `EX_TEMPFAIL` of sysexits.h: not all was done, and trying again later may mend it, with nothing else changed.
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

/// Whether trying again later may mend an error, with nothing else changed: a place is not mounted, its server or its disk out
/// of reach, or it is full.
#[must_use]
pub fn may_pass(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    use rustix::io::Errno;
    let is_of_device = [Errno::IO, Errno::NXIO, Errno::NODEV, Errno::HOSTDOWN].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|raw| is_of_device.contains(&raw))
        || matches!(
            error.kind(),
            K::NotFound
                | K::NotConnected
                | K::StaleNetworkFileHandle
                | K::TimedOut
                | K::HostUnreachable
                | K::NetworkUnreachable
                | K::NetworkDown
                | K::StorageFull
                | K::QuotaExceeded
        )
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
