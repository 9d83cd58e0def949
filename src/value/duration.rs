//! Spans of time as Compose files write and print them: `1m30s`, `500ms`, `2h`, `1d`, `1w`.
//!
//! **Invariant:** what is printed is read back as the same span.

use super::as_text::as_text;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A span of time in whole nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration {
    nanoseconds: i64,
}

/// Why a text is no span of time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("read duration `{text}`")]
pub struct DurationError {
    /// What was written.
    pub text: String,
}

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

impl Duration {
    /// Wraps a number of nanoseconds.
    pub fn from_nanoseconds(nanoseconds: i64) -> Self {
        Self { nanoseconds }
    }

    /// Returns the number of nanoseconds.
    pub fn nanoseconds(self) -> i64 {
        self.nanoseconds
    }

    /// Converts to the standard library's type; negative spans become zero.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_nanos(u64::try_from(self.nanoseconds).unwrap_or(0))
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        parse(text)
            .map(Self::from_nanoseconds)
            .ok_or_else(|| DurationError { text: text.into() })
    }
}

fn parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (nanoseconds, after) = component(rest)?;
        total = total.checked_add(nanoseconds)?;
        rest = after;
    }
    Some(if negative { -total } else { total })
}

/// Reads one number with its unit from the front of `text`.
fn component(text: &str) -> Option<(i64, &str)> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let unit_end = rest
        .find(|c: char| c.is_ascii_digit() || c == '.')
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let scale = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        "w" => 7 * DAY,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: i64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut nanoseconds = whole.checked_mul(scale)?;
    if !fraction.is_empty() {
        let part: f64 = format!("0.{fraction}").parse().ok()?;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "part < 1"
        )]
        let part = (part * scale as f64).round() as i64;
        nanoseconds = nanoseconds.checked_add(part)?;
    }
    Some((nanoseconds, rest))
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.nanoseconds.unsigned_abs();
        if self.nanoseconds < 0 {
            f.write_str("-")?;
        }
        if total == 0 {
            return f.write_str("0s");
        }
        for (unit, nanoseconds) in [("ns", 1_u64), ("\u{b5}s", 1_000), ("ms", 1_000_000)] {
            if total < nanoseconds.saturating_mul(1_000) {
                return write!(f, "{}{unit}", decimal(total, nanoseconds));
            }
        }
        let seconds = total / SECOND.unsigned_abs();
        if seconds >= 3600 {
            write!(f, "{}h", seconds / 3600)?;
        }
        if seconds >= 60 {
            write!(f, "{}m", seconds / 60 % 60)?;
        }
        write!(
            f,
            "{}s",
            decimal(total % MINUTE.unsigned_abs(), SECOND.unsigned_abs())
        )
    }
}

/// Prints `value / scale` without trailing zeros; `scale` is a power of ten.
fn decimal(value: u64, scale: u64) -> String {
    let fraction = value % scale;
    if fraction == 0 {
        return (value / scale).to_string();
    }
    let width = scale.ilog10() as usize;
    let digits = format!("{fraction:0width$}");
    format!("{}.{}", value / scale, digits.trim_end_matches('0'))
}

as_text!(Duration);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_print_as_go_prints_them() {
        let cases = [
            ("1m30s", "1m30s"),
            ("90s", "1m30s"),
            ("1h", "1h0m0s"),
            ("1d", "24h0m0s"),
            ("1.5s", "1.5s"),
            ("500ms", "500ms"),
            ("1500us", "1.5ms"),
            ("0", "0s"),
            ("1w", "168h0m0s"),
        ];
        for (text, printed) in cases {
            assert_eq!(
                text.parse::<Duration>().unwrap().to_string(),
                printed,
                "{text}"
            );
        }
    }

    #[test]
    fn a_number_without_a_unit_is_refused() {
        for text in ["30", "", "s", "1x", "1m30", "ten seconds", "."] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }
}
