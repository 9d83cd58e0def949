//! The flags of an instruction, checked against those that it knows.

use std::collections::{BTreeMap, BTreeSet};

use super::mistake::Mistake;
use super::suggest::suggestion;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// `true`, `false` or nothing.
    Switch,
    /// One value.
    Text,
    /// A value, any number of times.
    Texts,
}

/// The flags that were given.
#[derive(Debug, Default)]
pub(super) struct Flags(BTreeMap<&'static str, Vec<String>>);

impl Flags {
    /// Reads flags such as `--chown=1:1`.
    pub(super) fn read(
        written: &[String],
        known: &'static [(&'static str, Takes)],
    ) -> Result<Self, Mistake> {
        let mut found = Self::default();
        for flag in written {
            let flag = flag.strip_prefix("--").unwrap_or(flag);
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (flag, None),
            };
            let names = || known.iter().map(|(name, _)| *name);
            let Some((name, takes)) = known.iter().find(|(known, _)| *known == name) else {
                let meant = suggestion(name, names());
                let all: BTreeSet<String> = names().map(|name| format!("--{name}")).collect();
                let hint = match meant {
                    Some(meant) => format!("did you mean --{meant}?"),
                    None if all.is_empty() => "the instruction has no flags".to_owned(),
                    None => format!("known: {}", Vec::from_iter(all).join(", ")),
                };
                let message = format!("unknown flag: --{name}");
                return Err(Mistake::new(message).with_hint(Some(hint)));
            };
            let value = checked(name, *takes, value)?;
            let values = found.0.entry(name).or_default();
            if *takes != Takes::Texts && !values.is_empty() {
                return Err(Mistake::new(format!("duplicate flag specified: --{name}")));
            }
            values.push(value);
        }
        Ok(found)
    }

    /// Takes the value of a flag out.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).and_then(|mut values| values.pop())
    }

    /// Takes all values of a flag out.
    pub(super) fn texts(&mut self, name: &str) -> Vec<String> {
        self.0.remove(name).unwrap_or_default()
    }

    /// Takes a switch out.
    pub(super) fn switch(&mut self, name: &str) -> Option<bool> {
        self.text(name).map(|value| value == "true")
    }
}

fn checked(name: &str, takes: Takes, value: Option<&str>) -> Result<String, Mistake> {
    let missing = || Mistake::new(format!("missing a value on flag: --{name}"));
    match (takes, value) {
        (Takes::Switch, None) => Ok("true".to_owned()),
        (Takes::Switch, Some("")) | (Takes::Text | Takes::Texts, None) => Err(missing()),
        (Takes::Switch, Some(value)) => match value.to_ascii_lowercase().as_str() {
            "true" => Ok("true".to_owned()),
            "false" => Ok("false".to_owned()),
            _ => Err(Mistake::new(format!(
                "expecting boolean value for flag --{name}, not: {value}"
            ))),
        },
        (Takes::Text | Takes::Texts, Some(value)) => Ok(value.to_owned()),
    }
}
