//! `HEALTHCHECK`.

use std::time::Duration;

use super::ast::{Command, Healthcheck};
use super::flags::{Flags, Takes};
use super::mistake::Mistake;
use super::split::{self, Split};

const FLAGS: [(&str, Takes); 5] = [
    ("interval", Takes::Text),
    ("timeout", Takes::Text),
    ("start-period", Takes::Text),
    ("start-interval", Takes::Text),
    ("retries", Takes::Text),
];

pub(super) fn read(split: &Split) -> Result<Healthcheck, Mistake> {
    let Some(kind) = split.rest.split_whitespace().next() else {
        return Err(Mistake::new("HEALTHCHECK requires at least one argument"));
    };
    let rest = split.rest[kind.len()..].trim_start();
    let mut flags = Flags::read(&split.flags, &FLAGS)?;
    match kind.to_ascii_uppercase().as_str() {
        "NONE" if !rest.is_empty() => Err(Mistake::new("HEALTHCHECK NONE takes no arguments")),
        "NONE" => Ok(Healthcheck::None),
        "CMD" => {
            let command = match split::json(rest)? {
                Some(words) => Command::Exec(words),
                None => Command::Shell(rest.to_owned()),
            };
            let is_empty = match &command {
                Command::Exec(words) => words.is_empty(),
                Command::Shell(line) => line.is_empty(),
            };
            if is_empty {
                return Err(Mistake::new("Missing command after HEALTHCHECK CMD"));
            }
            Ok(Healthcheck::Probe {
                command,
                interval: duration(&mut flags, "interval")?,
                timeout: duration(&mut flags, "timeout")?,
                start_period: duration(&mut flags, "start-period")?,
                start_interval: duration(&mut flags, "start-interval")?,
                retries: retries(&mut flags)?,
            })
        }
        _ => Err(Mistake::new(format!(
            "Unknown type {kind:?} in HEALTHCHECK (try CMD)"
        ))),
    }
}

/// Reads a duration with units; 0 is the engine's default.
fn duration(flags: &mut Flags, name: &'static str) -> Result<Option<Duration>, Mistake> {
    let Some(text) = flags.text(name).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let refuse = |reason: &str| Mistake::new(format!("--{name}: {reason} {text:?}"));
    let nanoseconds = nanoseconds(&text).ok_or_else(|| refuse("invalid duration"))?;
    let nanoseconds =
        u64::try_from(nanoseconds).map_err(|_| refuse("a duration cannot be less than 0:"))?;
    match nanoseconds {
        0 => Ok(None),
        1..1_000_000 => Err(refuse("a duration cannot be less than 1ms:")),
        nanoseconds => Ok(Some(Duration::from_nanos(nanoseconds))),
    }
}

/// Reads Go's durations: `1h2m3.5s`, with a sign, `0` without a unit.
fn nanoseconds(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit: i64 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        total = total.checked_add(scaled(number, unit)?)?;
        rest = after;
    }
    Some(sign * total)
}

fn scaled(number: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole = match whole {
        "" => 0,
        whole => whole.parse::<i64>().ok()?.checked_mul(unit)?,
    };
    let mut part = 0;
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        part += i64::from(digit - b'0') * place;
    }
    whole.checked_add(part)
}

fn retries(flags: &mut Flags) -> Result<Option<u32>, Mistake> {
    let Some(text) = flags.text("retries").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let refuse = |reason: &str| Mistake::new(format!("--retries {reason}: {text:?}"));
    let count = text.parse::<i32>().map_err(|_| refuse("is not a number"))?;
    match u32::try_from(count) {
        Ok(0) => Ok(None),
        Ok(count) => Ok(Some(count)),
        Err(_) => Err(refuse("cannot be negative")),
    }
}
