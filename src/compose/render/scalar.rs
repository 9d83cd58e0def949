//! Strings as YAML scalars, in the style that Docker Compose's YAML library chooses for them.
//!
//! **Invariant:** what is written reads back as the same string, in YAML 1.1 and 1.2: a string that
//! could be taken for something else is quoted.

use std::fmt::Write as _;

use crate::compose::tree::Value;
use crate::compose::yaml::resolve;

/// How a string is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// As it is.
    Plain,
    /// Between `'`.
    Single,
    /// Between `"`, with escapes.
    Double,
    /// Line by line below a `|`.
    Literal,
}

/// Chooses the style of a value.
pub(super) fn style_of(text: &str) -> Style {
    if is_long_word(text) {
        return Style::Plain;
    }
    let traits = Traits::of(text);
    if text.contains('\n') {
        if traits.special || traits.space_before_break || text.ends_with(' ') {
            return Style::Double;
        }
        return Style::Literal;
    }
    style_of_line(text, traits)
}

/// Chooses the style of a key, which stands on one line.
pub(super) fn style_of_key(text: &str) -> Style {
    if is_long_word(text) {
        return Style::Plain;
    }
    if text.contains('\n') {
        return Style::Double;
    }
    style_of_line(text, Traits::of(text))
}

/// Returns whether a string is a word that is too long to mean anything, as most are.
fn is_long_word(text: &str) -> bool {
    const LONGEST_WITH_A_MEANING: usize = "false".len();
    text.len() > LONGEST_WITH_A_MEANING
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/'))
}

fn style_of_line(text: &str, traits: Traits) -> Style {
    if !is_text(text) || traits.special || text.contains('\t') {
        Style::Double
    } else if traits.indicator || text.starts_with(' ') || text.ends_with(' ') {
        Style::Single
    } else {
        Style::Plain
    }
}

/// What decides about the styles that a string can have.
#[derive(Debug, Clone, Copy)]
struct Traits {
    /// Does a character mean something in a plain scalar?
    indicator: bool,
    /// Must a character be escaped?
    special: bool,
    /// Does a line end with a blank?
    space_before_break: bool,
}

impl Traits {
    fn of(text: &str) -> Self {
        let mut traits = Self {
            indicator: text.starts_with("---") || text.starts_with("..."),
            special: false,
            space_before_break: false,
        };
        let mut before = None;
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            let next = rest.clone().next();
            let blank_follows = next.is_none_or(is_blank_or_break);
            traits.indicator |= match before {
                None => starts_something(c, blank_follows),
                Some(before) => c == ':' && blank_follows || c == '#' && is_blank_or_break(before),
            };
            traits.special |= c != '\t' && !is_printable(c);
            traits.space_before_break |= c == ' ' && next == Some('\n');
            before = Some(c);
        }
        traits
    }
}

/// Returns whether a first character means something.
fn starts_something(c: char, blank_follows: bool) -> bool {
    match c {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
        | '@' | '`' => true,
        '?' | ':' | '-' => blank_follows,
        _ => false,
    }
}

fn is_blank_or_break(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n')
}

/// Returns whether a character can stand for itself; those beyond the basic plane are escaped.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && !matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}')
}

/// Returns whether every reader takes a plain scalar for a string.
fn is_text(text: &str) -> bool {
    matches!(resolve(text), Value::Text(_))
        && text != "<<"
        && !is_old_boolean(text)
        && !is_sexagesimal(text)
        && !is_time(text)
}

/// Returns whether YAML 1.1 reads a word as a boolean.
fn is_old_boolean(text: &str) -> bool {
    matches!(
        text,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "off"
            | "Off"
            | "OFF"
    )
}

/// Returns whether YAML 1.1 reads a string as a number of base 60, such as `12:30`.
fn is_sexagesimal(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = text.split(':');
    let Some(first) = parts.next() else {
        return false;
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let mut parts = parts.peekable();
    if !first.starts_with(|c: char| c.is_ascii_digit()) || !digits(first) || parts.peek().is_none()
    {
        return false;
    }
    while let Some(part) = parts.next() {
        let (whole, fraction) = match part.split_once('.') {
            Some((whole, fraction)) if parts.peek().is_none() => (whole, fraction),
            _ => (part, ""),
        };
        let two = match whole.as_bytes() {
            [unit] => unit.is_ascii_digit(),
            [ten, unit] => (b'0'..=b'5').contains(ten) && unit.is_ascii_digit(),
            _ => false,
        };
        if !two || !digits(fraction) {
            return false;
        }
    }
    true
}

/// Returns whether a string is a date, or a date with a time.
fn is_time(text: &str) -> bool {
    let mut rest = text;
    let number = |rest: &mut &str, lengths: std::ops::RangeInclusive<usize>, most: u32| {
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let length = length.min(*lengths.end());
        let value = rest[..length].parse::<u32>().ok();
        *rest = &rest[length..];
        lengths.contains(&length) && value.is_some_and(|value| value <= most)
    };
    let skip = |rest: &mut &str, one_of: &[char]| {
        let found = rest.strip_prefix(one_of);
        *rest = found.unwrap_or(rest);
        found.is_some()
    };
    let date = number(&mut rest, 4..=4, 9999)
        && skip(&mut rest, &['-'])
        && number(&mut rest, 1..=2, 12)
        && skip(&mut rest, &['-'])
        && number(&mut rest, 1..=2, 31);
    if !date || rest.is_empty() {
        return date;
    }
    let with_zone = !rest.starts_with(' ');
    let time = skip(&mut rest, &['T', 't', ' '])
        && number(&mut rest, 1..=2, 23)
        && skip(&mut rest, &[':'])
        && number(&mut rest, 1..=2, 59)
        && skip(&mut rest, &[':'])
        && number(&mut rest, 1..=2, 59);
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    let zone = match rest.strip_prefix(['+', '-']) {
        Some(mut zone) => {
            number(&mut zone, 2..=2, 24)
                && skip(&mut zone, &[':'])
                && number(&mut zone, 2..=2, 60)
                && zone.is_empty()
        }
        None => rest == "Z",
    };
    time && if with_zone { zone } else { rest.is_empty() }
}

/// Writes a string between quotation marks or as it is.
pub(super) fn write_line(out: &mut String, text: &str, style: Style) {
    match style {
        Style::Plain | Style::Literal => out.push_str(text),
        Style::Single => {
            out.push('\'');
            out.push_str(&text.replace('\'', "''"));
            out.push('\'');
        }
        Style::Double => {
            out.push('"');
            text.chars().for_each(|c| write_escaped(out, c));
            out.push('"');
        }
    }
}

fn write_escaped(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\0' => out.push_str("\\0"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\t' => out.push_str("\\t"),
        '\n' => out.push_str("\\n"),
        '\u{b}' => out.push_str("\\v"),
        '\u{c}' => out.push_str("\\f"),
        '\r' => out.push_str("\\r"),
        '\u{1b}' => out.push_str("\\e"),
        '\u{85}' => out.push_str("\\N"),
        '\u{2028}' => out.push_str("\\L"),
        '\u{2029}' => out.push_str("\\P"),
        c if is_printable(c) => out.push(c),
        c => {
            // Writing to a string cannot fail.
            match u32::from(c) {
                code @ ..=0xff => write!(out, "\\x{code:02X}"),
                code @ ..=0xffff => write!(out, "\\u{code:04X}"),
                code => write!(out, "\\U{code:08X}"),
            }
            .unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = String::new();
        write_line(&mut out, text, style_of(text));
        out
    }

    #[test]
    fn strings_stand_plain_unless_a_reader_could_mistake_them() {
        for text in [
            "10.0.0.1",
            "a#b",
            "a:b",
            "-a",
            ":a",
            "?a",
            "a 'b' \"c\"",
            "a, [b] {c}",
            "yEs",
            "1.2.3",
            "80:90",
            "é",
            "=",
            "~a",
            "08:61:00",
            "1e",
            "0x",
            "2001-13-01",
            "+",
            ".a",
            "a|b",
            "\u{a0}",
            "/a:b",
        ] {
            assert_eq!(written(text), text);
        }
        for text in [
            "",
            "1",
            "-1",
            "1.5",
            "1e3",
            "010",
            "0o17",
            "0x1F",
            "1_000",
            ".5",
            "~",
            "null",
            "true",
            "yes",
            "N",
            "<<",
            ".inf",
            "12:30",
            "12:30:45.5",
            "2001-1-1",
            "2001-01-01 1:2:3",
            "2001-01-01T01:02:03.5Z",
            "2001-01-01T01:02:03+01:00",
        ] {
            assert_eq!(written(text), format!("\"{text}\""));
        }
    }

    #[test]
    fn indicators_take_single_quotation_marks_and_escapes_double_ones() {
        assert_eq!(written("*x"), "'*x'");
        assert_eq!(written("- x"), "'- x'");
        assert_eq!(written("a: b"), "'a: b'");
        assert_eq!(written("a:"), "'a:'");
        assert_eq!(written("a #b"), "'a #b'");
        assert_eq!(written("it's: x"), "'it''s: x'");
        assert_eq!(written("a "), "'a '");
        assert_eq!(written("..."), "'...'");
        assert_eq!(written("a\tb"), "\"a\\tb\"");
        assert_eq!(
            written("a\u{1}\u{1f600}\u{feff}"),
            "\"a\\x01\\U0001F600\\uFEFF\""
        );
        assert_eq!(written("a \nb"), "\"a \\nb\"");
        assert_eq!(style_of("a\nb"), Style::Literal);
        assert_eq!(style_of_key("a\nb"), Style::Double);
    }
}
