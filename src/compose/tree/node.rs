//! Nodes: a value, its place, and the trail of what it replaced and what filled it.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where a node was written: a file by its number, and a position from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The number of the file in [`crate::compose::source::Files`].
    pub file: u32,
    /// The line, from one; zero when the value was written in no file.
    pub line: u32,
    /// The column in characters, from one.
    pub column: u32,
    /// How many characters the value covers on its first line.
    pub width: u32,
}

/// A mapping. Sorted, because nothing in Compose depends on the order of keys.
pub type Map = BTreeMap<String, Entry>;

/// The value of a key, and where the key itself was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where the key is.
    pub key: Span,
    /// What it holds.
    pub node: Node,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// `null`, `~` or nothing at all.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(Map),
}

/// A variable that took part in filling a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableUse {
    /// The variable's name.
    pub name: String,
    /// Its value, if it had one.
    pub value: Option<String>,
    /// Where the value came from.
    pub origin: VariableOrigin,
}

/// Where the value of a variable came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VariableOrigin {
    /// The environment of the command.
    Shell,
    /// A file of variables.
    EnvFile(PathBuf),
    /// Nowhere: this default stands beside its name.
    Default(String),
    /// Nowhere, and it has no default.
    Unset,
}

/// A value that a later file, an extending service or an including project replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct Shadow {
    /// Where it was written.
    pub span: Span,
    /// What it was, for a scalar.
    pub value: Value,
}

/// What happened to a node on its way: kept for `explain`, ignored by equality of projects.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trace {
    /// The values it replaced, latest first.
    pub shadowed: Vec<Shadow>,
    /// The variables that filled it.
    pub variables: Vec<VariableUse>,
    /// Whether it was written nowhere, but follows from what is at its place.
    pub implied: bool,
}

/// How many of the values that one replaced are remembered.
const SHADOW_LIMIT: usize = 50;

impl Trace {
    /// Remembers a value that was replaced, and what that one had replaced.
    pub(crate) fn replaces(&mut self, shadow: Shadow, older: Option<Box<Self>>) {
        self.shadowed.push(shadow);
        let older = older.map(|trace| trace.shadowed).unwrap_or_default();
        self.shadowed.extend(older);
        self.shadowed.truncate(SHADOW_LIMIT);
    }
}

/// One value of the tree.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Node {
    /// What it holds.
    pub value: Value,
    /// Where it was written.
    pub span: Span,
    /// What it replaced and what filled it, where there is something to tell.
    pub trace: Option<Box<Trace>>,
}

impl Node {
    /// Makes a node without a trail.
    pub fn new(value: Value, span: Span) -> Self {
        Self {
            value,
            span,
            trace: None,
        }
    }

    /// Makes a node that nobody wrote: it follows from what is at `span`.
    pub fn implied(value: Value, span: Span) -> Self {
        let trace = Trace {
            implied: true,
            ..Trace::default()
        };
        Self {
            value,
            span,
            trace: Some(Box::new(trace)),
        }
    }

    /// Remembers that its value is the one that a variable has in the environment.
    pub(crate) fn fill_from(&mut self, name: &str, value: &str) {
        let trace = self.trace.get_or_insert_default();
        trace.variables.push(VariableUse {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            // Which file it came from, if any, is told where places are.
            origin: VariableOrigin::Shell,
        });
    }

    /// Makes a string.
    pub fn text(text: impl Into<String>, span: Span) -> Self {
        Self::new(Value::Text(text.into()), span)
    }

    /// Returns how many values it holds, itself included; long texts count for several.
    pub(crate) fn weight(&self) -> usize {
        const TEXT_BYTES_PER_VALUE: usize = 64;
        let below = match &self.value {
            Value::List(list) => list.iter().map(Self::weight).sum(),
            Value::Map(map) => map.values().map(|entry| entry.node.weight()).sum(),
            Value::Text(text) => text.len() / TEXT_BYTES_PER_VALUE,
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
        };
        let trail = self.trace.as_ref().map_or(0, |trace| trace.shadowed.len());
        1 + below + trail
    }

    /// Returns the mapping, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        if let Value::Map(map) = &self.value {
            Some(map)
        } else {
            None
        }
    }

    /// Returns the mapping for changes, if it is one.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        if let Value::Map(map) = &mut self.value {
            Some(map)
        } else {
            None
        }
    }

    /// Returns the sequence, if it is one.
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Value::List(list) = &self.value {
            Some(list)
        } else {
            None
        }
    }

    /// Returns the sequence for changes, if it is one.
    pub fn as_list_mut(&mut self) -> Option<&mut Vec<Self>> {
        if let Value::List(list) = &mut self.value {
            Some(list)
        } else {
            None
        }
    }

    /// Returns the string, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value {
            Some(text)
        } else {
            None
        }
    }

    /// Returns whether nothing was written.
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// Returns the value of a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Self> {
        Some(&self.as_map()?.get(key)?.node)
    }

    /// Returns the value of a key of a mapping, for changes.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        Some(&mut self.as_map_mut()?.get_mut(key)?.node)
    }

    /// Sets a key of a mapping; the new value keeps its own place. Does nothing on other nodes.
    pub fn set(&mut self, key: &str, node: Self) {
        let span = node.span;
        if let Some(map) = self.as_map_mut() {
            match map.get_mut(key) {
                Some(entry) => entry.node = node,
                None => {
                    map.insert(key.to_owned(), Entry { key: span, node });
                }
            }
        }
    }

    /// Takes a key out of a mapping.
    pub fn remove(&mut self, key: &str) -> Option<Self> {
        Some(self.as_map_mut()?.remove(key)?.node)
    }

    /// Takes the whole value, leaving `null`.
    #[must_use]
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

impl Value {
    /// Names the kind of value for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }

    /// Prints a scalar as Docker Compose prints it into strings; empty for lists and mappings.
    pub fn to_plain(&self) -> String {
        match self {
            Self::Bool(flag) => flag.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => go_float(*number),
            Self::Text(text) => text.clone(),
            Self::Null => "<nil>".to_owned(),
            Self::List(_) | Self::Map(_) => String::new(),
        }
    }
}

/// Prints a number in the shortest form, with an exponent where Go's `%v` uses one.
fn go_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_docker_compose_prints_them() {
        assert_eq!(Value::Float(1.5).to_plain(), "1.5");
        assert_eq!(Value::Float(1000.0).to_plain(), "1000");
        assert_eq!(Value::Float(100_000.0).to_plain(), "100000");
        assert_eq!(Value::Float(1e6).to_plain(), "1e+06");
        assert_eq!(Value::Float(1_234_567.5).to_plain(), "1.2345675e+06");
        assert_eq!(Value::Float(0.000_01).to_plain(), "1e-05");
    }
}
