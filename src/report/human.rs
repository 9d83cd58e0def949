//! Numbers → the words that Docker's tools use for them: durations, sizes, times.

use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY_HOURS: u64 = 24;

/// Says how long something lasted, in one rounded unit: `About a minute`, `3 hours`.
pub fn duration(length: Duration) -> String {
    let seconds = length.as_secs();
    let minutes = seconds / MINUTE;
    let hours = (seconds + HOUR / 2) / HOUR;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < MINUTE => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 2 * DAY_HOURS => format!("{hours} hours"),
        () if hours < 14 * DAY_HOURS => format!("{} days", hours / DAY_HOURS),
        () if hours < 60 * DAY_HOURS => format!("{} weeks", hours / DAY_HOURS / 7),
        () if hours < 730 * DAY_HOURS => format!("{} months", hours / DAY_HOURS / 30),
        () => format!("{} years", hours / DAY_HOURS / 365),
    }
}

/// Says how long ago `then` was; a `then` in the future counts as now.
pub fn ago(then: SystemTime, now: SystemTime) -> String {
    format!("{} ago", duration(since(then, now)))
}

/// Returns the time from `then` to `now`, nothing if `then` lies in the future.
pub fn since(then: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(then).unwrap_or_default()
}

/// Says how long a step took: `0.1s`, `75.3s`.
pub fn elapsed(length: Duration) -> String {
    format!("{:.1}s", length.as_secs_f64())
}

/// Says a size in decimal units with three digits, as image sizes are shown: `7.8MB`.
pub fn size(bytes: u64) -> String {
    in_units(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB"], 3)
}

/// Says a size in binary units with four digits, as memory is shown: `12.5MiB`.
pub fn memory(bytes: u64) -> String {
    in_units(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"], 4)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "three or four digits are shown of it"
)]
fn in_units(bytes: u64, base: f64, units: &[&str], digits: usize) -> String {
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= base && unit + 1 < units.len() {
        amount /= base;
        unit += 1;
    }
    format!("{}{}", significant(amount, digits), units[unit])
}

/// Writes `amount` with so many significant digits and no trailing zeros, as C's `%g` does.
fn significant(amount: f64, digits: usize) -> String {
    let whole_digits = format!("{amount:.0}").len();
    let text = format!("{amount:.*}", digits.saturating_sub(whole_digits));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Writes a time as RFC 3339 in UTC with nanoseconds, as log timestamps are shown.
pub fn rfc3339(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| String::new(), |stamp| format!("{stamp:.9}"))
}

/// Writes a time as JSON has it: with as many digits as it takes.
pub(super) fn json_time(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| String::new(), |stamp| stamp.to_string())
}

/// Writes a time in the machine's zone, as `CreatedAt` is shown: `2026-01-31 10:00:00 +0000 UTC`.
pub fn local_time(time: SystemTime) -> String {
    zoned(time).map_or_else(String::new, |time| {
        time.strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
    })
}

/// Writes a time in the machine's zone with microseconds, as events are shown.
pub fn event_time(time: SystemTime) -> String {
    zoned(time).map_or_else(String::new, |time| {
        time.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string()
    })
}

/// Writes the time of day in the machine's zone: `13:05`.
pub(super) fn clock(time: SystemTime) -> String {
    zoned(time).map_or_else(String::new, |time| time.strftime("%H:%M").to_string())
}

/// Writes processor time as `ps` does: `00:01:05`.
pub(super) fn processor_time(ms: u64) -> String {
    let seconds = ms / 1000;
    format!(
        "{:02}:{:02}:{:02}",
        seconds / HOUR,
        seconds % HOUR / MINUTE,
        seconds % MINUTE
    )
}

fn zoned(time: SystemTime) -> Option<Zoned> {
    Some(Timestamp::try_from(time).ok()?.to_zoned(TimeZone::system()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_docker_says_them() {
        let said = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!(said(0), "Less than a second");
        assert_eq!(said(1), "1 second");
        assert_eq!(said(59), "59 seconds");
        assert_eq!(said(61), "About a minute");
        assert_eq!(said(180), "3 minutes");
        assert_eq!(said(3600), "About an hour");
        assert_eq!(said(5 * 3600), "5 hours");
        assert_eq!(said(3 * 86400), "3 days");
        assert_eq!(said(21 * 86400), "3 weeks");
        assert_eq!(said(90 * 86400), "3 months");
        assert_eq!(said(3 * 365 * 86400), "3 years");
    }

    #[test]
    fn sizes_have_three_digits_and_no_trailing_zeros() {
        assert_eq!(size(0), "0B");
        assert_eq!(size(7_800_000), "7.8MB");
        assert_eq!(size(123_456), "123kB");
        assert_eq!(size(1_000_000_000), "1GB");
        assert_eq!(memory(13_107_200), "12.5MiB");
        assert_eq!(memory(1024), "1KiB");
    }

    #[test]
    fn a_time_in_the_future_is_now() {
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(
            ago(now + Duration::from_secs(9), now),
            "Less than a second ago"
        );
    }

    #[test]
    fn timestamps_have_nanoseconds_in_utc() {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 5);
        assert_eq!(rfc3339(time), "2023-11-14T22:13:20.000000005Z");
    }
}
