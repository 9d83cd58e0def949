//! `printf "%-10s %d"` → text: the verbs that people use to line fields up.

use serde_json::Value;

use super::functions::plain;

/// No field is padded further.
const WIDEST: usize = 1000;

/// How a value is written.
#[derive(Default)]
struct Verb {
    is_left: bool,
    has_zeros: bool,
    width: usize,
    precision: Option<usize>,
}

/// Fills a format in; a verb without a value, or that is not known, is written as Go complains about it.
pub(super) fn printf(format: &str, values: &[Value]) -> String {
    let mut text = String::new();
    let mut values = values.iter();
    let mut characters = format.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        let mut verb = Verb::default();
        while let Some(flag) = characters.next_if(|it| "-0+ #".contains(*it)) {
            verb.is_left |= flag == '-';
            verb.has_zeros |= flag == '0';
        }
        verb.width = number(&mut characters).unwrap_or(0);
        if characters.next_if_eq(&'.').is_some() {
            verb.precision = Some(number(&mut characters).unwrap_or(0));
        }
        match characters.next() {
            Some('%') => text.push('%'),
            Some(letter) => match values.next() {
                Some(value) => text.push_str(&verb.padded(&verb.written(letter, value))),
                None => text.push_str(&format!("%!{letter}(MISSING)")),
            },
            None => text.push_str("%!(NOVERB)"),
        }
    }
    text
}

fn number(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut digits = String::new();
    while let Some(digit) = characters.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    digits.parse().ok().map(|number: usize| number.min(WIDEST))
}

impl Verb {
    fn written(&self, letter: char, value: &Value) -> String {
        match (letter, value) {
            ('s' | 'v', _) => {
                let text = plain(value);
                match self.precision {
                    Some(length) => text.chars().take(length).collect(),
                    None => text,
                }
            }
            ('q', _) => format!("{:?}", plain(value)),
            ('d', Value::Number(_)) | ('t', Value::Bool(_)) => plain(value),
            ('x', Value::Number(number)) => number
                .as_i64()
                .map_or_else(|| number.to_string(), |it| format!("{it:x}")),
            ('f', Value::Number(number)) => {
                let precision = self.precision.unwrap_or(6);
                format!("{:.precision$}", number.as_f64().unwrap_or_default())
            }
            _ => format!("%!{letter}({})", plain(value)),
        }
    }

    fn padded(&self, text: &str) -> String {
        let width = self.width;
        if self.is_left {
            format!("{text:<width$}")
        } else if self.has_zeros {
            format!("{text:0>width$}")
        } else {
            format!("{text:>width$}")
        }
    }
}
