//! The monitor's clock: the one place of this process that asks for the time.

#![expect(
    clippy::disallowed_methods,
    reason = "the monitor is a process of its own, as cli is, and owns its clock"
)]

use std::time::Instant;

use jiff::Timestamp;

/// Returns the time for deadlines; it never goes back.
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Returns the time for people.
pub(super) fn timestamp() -> Timestamp {
    Timestamp::now()
}
