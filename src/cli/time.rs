//! `--since 42m`, `--until 2026-01-02T13:23:37Z` → a moment.

use std::time::{Duration, SystemTime};

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Why a text is no moment.
#[derive(Debug, thiserror::Error)]
#[error(
    "read `{text}` as a time: expected a time such as `2026-01-02T13:23:37Z`, or a duration such as `42m`"
)]
pub(super) struct TimeError {
    text: String,
}

/// Reads a time, or a duration that counts back from `now`.
///
/// A time without a zone is one of this machine, seconds since 1970 are taken too.
pub(super) fn parse(text: &str, now: SystemTime) -> Result<SystemTime, TimeError> {
    moment(text, now).ok_or_else(|| TimeError {
        text: text.to_owned(),
    })
}

fn moment(text: &str, now: SystemTime) -> Option<SystemTime> {
    if let Ok(stamp) = text.parse::<Timestamp>() {
        return Some(stamp.into());
    }
    if let Ok(seconds) = text.parse::<f64>() {
        let since_epoch = Duration::try_from_secs_f64(seconds).ok()?;
        return SystemTime::UNIX_EPOCH.checked_add(since_epoch);
    }
    if let Ok(back) = text.parse::<crate::value::Duration>() {
        return now.checked_sub(back.to_std());
    }
    let local = text
        .parse::<DateTime>()
        .or_else(|_| text.parse::<Date>().map(DateTime::from))
        .ok()?;
    local
        .to_zoned(TimeZone::system())
        .ok()
        .map(|time: Zoned| time.timestamp().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn seconds(text: &str) -> Option<u64> {
        let moment = parse(text, SystemTime::UNIX_EPOCH + NOW).ok()?;
        Some(
            moment
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_secs(),
        )
    }

    #[test]
    fn a_time_is_a_time_and_a_duration_counts_back() {
        assert_eq!(seconds("2023-11-14T22:13:20Z"), Some(1_700_000_000));
        assert_eq!(seconds("2023-11-15T00:13:20+02:00"), Some(1_700_000_000));
        assert_eq!(seconds("42m"), Some(1_700_000_000 - 42 * 60));
        assert_eq!(seconds("1h30m"), Some(1_700_000_000 - 5400));
        assert_eq!(seconds("1600000000"), Some(1_600_000_000));
    }

    #[test]
    fn what_is_neither_is_refused() {
        assert_eq!(seconds("yesterday"), None);
        assert_eq!(seconds(""), None);
    }
}
