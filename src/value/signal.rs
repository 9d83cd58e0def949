//! Signals by the names and numbers that Compose files and people use.

use super::as_text::as_text;
use std::{fmt, str::FromStr};

const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
/// The real-time signals as the C library hands them out.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// A signal of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

/// A text that names no signal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use `{text}` as a signal: expected a name such as `SIGTERM` or a number from 1 to 64")]
pub struct SignalError {
    /// What was given.
    pub text: String,
}

impl Signal {
    /// Asks a process to end.
    pub const TERM: Self = Self(15);
    /// Ends a process without asking.
    pub const KILL: Self = Self(9);
    /// What ctrl-c sends.
    pub const INT: Self = Self(2);

    /// Those that have a name of their own, by number.
    pub fn named() -> impl Iterator<Item = Self> {
        (1..).zip(NAMES).map(|(number, _)| Self(number))
    }

    /// The kernel's number.
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl FromStr for Signal {
    type Err = SignalError;

    fn from_str(text: &str) -> Result<Self, SignalError> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let number = name.parse().ok().or_else(|| by_name(name));
        match number {
            Some(number @ 1..=RTMAX) => Ok(Self(number)),
            _ => Err(SignalError {
                text: text.to_owned(),
            }),
        }
    }
}

fn by_name(name: &str) -> Option<i32> {
    if let Some(offset) = name.strip_prefix("RTMIN") {
        return real_time(RTMIN, offset);
    }
    if let Some(offset) = name.strip_prefix("RTMAX") {
        return real_time(RTMAX, offset);
    }
    (1..)
        .zip(NAMES)
        .find(|(_, known)| *known == name)
        .map(|(number, _)| number)
}

fn real_time(base: i32, offset: &str) -> Option<i32> {
    let offset = if offset.is_empty() {
        0
    } else {
        offset.parse::<i8>().ok()?
    };
    let number = base + i32::from(offset);
    (RTMIN..=RTMAX).contains(&number).then_some(number)
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = usize::try_from(self.0 - 1).unwrap_or(usize::MAX);
        match NAMES.get(index) {
            Some(name) => write!(f, "SIG{name}"),
            None if self.0 >= RTMIN => write!(f, "SIGRTMIN+{}", self.0 - RTMIN),
            None => write!(f, "{}", self.0),
        }
    }
}

as_text!(Signal);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_is_read_back_from_what_it_prints() {
        for number in 1..=RTMAX {
            let signal = Signal(number);
            assert_eq!(signal.to_string().parse(), Ok(signal));
        }
    }

    #[test]
    fn names_come_with_and_without_prefix_and_in_any_case() {
        for text in ["SIGTERM", "term", "Term", "15", "sigterm"] {
            assert_eq!(text.parse(), Ok(Signal::TERM));
        }
        assert_eq!("RTMIN+3".parse::<Signal>().unwrap().number(), 37);
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        for text in ["", "SIG", "0", "65", "FOO", "RTMIN+31", "RTMAX-31"] {
            assert!(text.parse::<Signal>().is_err(), "{text}");
        }
    }
}
