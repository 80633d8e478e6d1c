//! The time of day, as logs have it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of the year 9999, in seconds since 1970: RFC 3339 has four digits for the year.
const LAST: u64 = 253_402_300_799;

/// UTC in seconds, as RFC 3339 writes it: the nearest that there is where the clock is set before 1970 or after 9999.
#[must_use]
pub fn stamp(time: SystemTime) -> String {
    let last = UNIX_EPOCH + Duration::from_secs(LAST);
    humantime::format_rfc3339_seconds(time.clamp(UNIX_EPOCH, last)).to_string()
}

/// Whether a clock that shows `time` is set to what cannot be written down.
#[must_use]
pub fn is_wrong(time: SystemTime) -> bool {
    time.duration_since(UNIX_EPOCH).map_or(true, |since| since.as_secs() > LAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_wrong_has_a_time_all_the_same() {
        let second = Duration::from_secs(1);
        let last = UNIX_EPOCH + Duration::from_secs(LAST);
        for (time, text, wrong) in [
            (UNIX_EPOCH - second, "1970-01-01T00:00:00Z", true),
            (UNIX_EPOCH, "1970-01-01T00:00:00Z", false),
            (UNIX_EPOCH + second, "1970-01-01T00:00:01Z", false),
            (last, "9999-12-31T23:59:59Z", false),
            (last + second, "9999-12-31T23:59:59Z", true),
        ] {
            assert_eq!((stamp(time).as_str(), is_wrong(time)), (text, wrong));
        }
    }
}
