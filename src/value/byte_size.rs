//! Sizes in bytes as Compose files write them: `512m`, `1.5gb`, `64k`, `1048576`, `-1`.
//!
//! **Invariant:** units are binary (a kilobyte is 1024 bytes), as Docker reads them.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A size or limit in bytes; negative values mean "no limit" where a field allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(i64);

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("read size `{text}`")]
pub struct ByteSizeError {
    /// What was written.
    pub text: String,
}

impl ByteSize {
    /// Wraps a number of bytes.
    pub fn from_bytes(bytes: i64) -> Self {
        Self(bytes)
    }

    /// Returns the number of bytes.
    pub fn bytes(self) -> i64 {
        self.0
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        if let Ok(bytes) = text.parse::<i64>() {
            return Ok(Self(bytes));
        }
        scaled(text).map(Self).ok_or_else(|| ByteSizeError {
            text: text.to_owned(),
        })
    }
}

/// Reads a non-negative decimal number followed by an optional unit.
fn scaled(text: &str) -> Option<i64> {
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.')? + 1;
    let (number, unit) = text.split_at(end);
    let number = number.strip_suffix(' ').unwrap_or(number);
    if number.starts_with('-') {
        return None;
    }
    let number: f64 = without_separators(number)?.parse().ok()?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let power = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturates, as a limit should"
    )]
    Some((number * 1024_f64.powi(power)) as i64)
}

/// Removes the underscores that stand between digits; elsewhere there can be none.
fn without_separators(number: &str) -> Option<String> {
    let parts: Vec<&str> = number.split('_').collect();
    let digits = |part: &&str| {
        part.starts_with(|c: char| c.is_ascii_digit())
            && part.ends_with(|c: char| c.is_ascii_digit())
    };
    (parts.len() == 1 || parts.iter().all(digits)).then(|| parts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_binary_and_case_does_not_matter() {
        let sizes = [
            ("512m", 536_870_912),
            ("1.5G", 1_610_612_736),
            ("64kb", 65_536),
            ("10B", 10),
            ("512MiB", 536_870_912),
            ("1 g", 1_073_741_824),
            ("+1k", 1024),
            ("1_000k", 1_024_000),
        ];
        for (text, bytes) in sizes {
            assert_eq!(text.parse::<ByteSize>().unwrap().bytes(), bytes, "{text}");
        }
    }

    #[test]
    fn plain_numbers_are_bytes_and_may_be_negative() {
        assert_eq!("1024".parse::<ByteSize>().unwrap().bytes(), 1024);
        assert_eq!("-1".parse::<ByteSize>().unwrap().bytes(), -1);
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "m", "12x", "-5m", "1,5g", "lots", "512Mi", "1Bb"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
