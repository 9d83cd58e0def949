//! The monitor's clock: the one place of this process that asks for the time.

#![expect(
    clippy::disallowed_methods,
    reason = "the monitor is a process of its own, as cli is, and owns its clock"
)]

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Returns the time for deadlines; it never goes back.
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Returns the time for people.
pub(super) fn timestamp() -> Timestamp {
    Timestamp::now()
}

/// Returns when a deadline comes, for a record that another monitor may read.
pub(super) fn timestamp_of(deadline: Instant) -> String {
    let left = deadline.saturating_duration_since(now());
    let left = SignedDuration::try_from(left).unwrap_or(SignedDuration::MAX);
    let at = timestamp().saturating_add(left);
    at.unwrap_or(Timestamp::MAX).to_string()
}

/// Returns the deadline of such a record; one that cannot be read has come.
pub(super) fn instant_of(text: &str) -> Instant {
    let at = text.parse::<Timestamp>().unwrap_or(Timestamp::MIN);
    let left = at.duration_since(timestamp());
    now() + Duration::try_from(left).unwrap_or_default()
}
