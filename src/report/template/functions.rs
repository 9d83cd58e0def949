//! The functions of templates: those of Go that make sense for rows, and those that Docker adds.

use std::cmp::Ordering;

use serde_json::Value;

use super::error::TemplateError;
use super::escape;
use super::printf::printf;

const KNOWN: &str = "the functions are `and`, `or`, `not`, `eq`, `ne`, `lt`, `le`, `gt`, `ge`, `len`, `index`, \
    `slice`, `print`, `printf`, `println`, `json`, `upper`, `lower`, `title`, `join`, `split`, `pad`, `truncate`, \
    `html`, `js` and `urlquery`";

/// A function by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    And,
    Or,
    Not,
    Compare(Comparison),
    Len,
    Index,
    Slice,
    Print,
    Printf,
    Println,
    Json,
    Upper,
    Lower,
    Title,
    Join,
    Split,
    Pad,
    Truncate,
    Html,
    Js,
    UrlQuery,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

const NAMES: [(&str, Function); 26] = [
    ("and", Function::And),
    ("or", Function::Or),
    ("not", Function::Not),
    ("eq", Function::Compare(Comparison::Eq)),
    ("ne", Function::Compare(Comparison::Ne)),
    ("lt", Function::Compare(Comparison::Lt)),
    ("le", Function::Compare(Comparison::Le)),
    ("gt", Function::Compare(Comparison::Gt)),
    ("ge", Function::Compare(Comparison::Ge)),
    ("len", Function::Len),
    ("index", Function::Index),
    ("slice", Function::Slice),
    ("print", Function::Print),
    ("printf", Function::Printf),
    ("println", Function::Println),
    ("json", Function::Json),
    ("upper", Function::Upper),
    ("lower", Function::Lower),
    ("title", Function::Title),
    ("join", Function::Join),
    ("split", Function::Split),
    ("pad", Function::Pad),
    ("truncate", Function::Truncate),
    ("html", Function::Html),
    ("js", Function::Js),
    ("urlquery", Function::UrlQuery),
];

impl Function {
    /// Finds a function.
    pub(super) fn named(name: &str) -> Result<Self, TemplateError> {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, function)| *function)
            .ok_or_else(|| TemplateError::Unsupported {
                word: name.to_owned(),
                known: KNOWN,
            })
    }

    fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(_, function)| *function == self);
        found.map_or("", |(name, _)| name)
    }

    /// Returns what the function makes of its arguments.
    pub(super) fn call(self, arguments: &[Value]) -> Result<Value, TemplateError> {
        self.result(arguments)
            .map_err(|reason| TemplateError::Call {
                function: self.name().to_owned(),
                reason,
            })
    }

    fn result(self, arguments: &[Value]) -> Result<Value, String> {
        Ok(match (self, arguments) {
            (Self::And, [.., last]) => arguments
                .iter()
                .find(|it| !is_true(it))
                .unwrap_or(last)
                .clone(),
            (Self::Or, [.., last]) => arguments
                .iter()
                .find(|it| is_true(it))
                .unwrap_or(last)
                .clone(),
            (Self::Not, [value]) => Value::Bool(!is_true(value)),
            (Self::Compare(comparison), [first, others @ ..]) if !others.is_empty() => {
                Value::Bool(comparison.holds(first, others)?)
            }
            (Self::Len, [value]) => Value::from(length(value)?),
            (Self::Index, [value, keys @ ..]) => {
                let mut found = value;
                for key in keys {
                    found = element(found, key)?;
                }
                found.clone()
            }
            (Self::Slice, [value, bounds @ ..]) if bounds.len() <= 2 => slice(value, bounds)?,
            (Self::Print, values) => Value::String(joined(values, "")),
            (Self::Println, values) => Value::String(joined(values, " ") + "\n"),
            (Self::Printf, [Value::String(format), values @ ..]) => {
                Value::String(printf(format, values))
            }
            (Self::Json, [value]) => Value::String(value.to_string()),
            (Self::Upper, [value]) => Value::String(plain(value).to_uppercase()),
            (Self::Lower, [value]) => Value::String(plain(value).to_lowercase()),
            (Self::Title, [value]) => Value::String(titled(&plain(value))),
            (Self::Join, [Value::Array(values), Value::String(between)]) => {
                Value::String(values.iter().map(plain).collect::<Vec<_>>().join(between))
            }
            (Self::Split, [Value::String(text), Value::String(between)]) => {
                text.split(between.as_str()).map(Value::from).collect()
            }
            (Self::Pad, [Value::String(text), before, after]) if text.is_empty() => {
                let _counts = (count(before)?, count(after)?);
                Value::String(String::new())
            }
            (Self::Pad, [value, before, after]) => Value::String(format!(
                "{}{}{}",
                " ".repeat(count(before)?),
                plain(value),
                " ".repeat(count(after)?)
            )),
            (Self::Truncate, [value, length]) => {
                Value::String(plain(value).chars().take(count(length)?).collect())
            }
            (Self::Html, [_, ..]) => Value::String(escaped(arguments, escape::html)),
            (Self::Js, [_, ..]) => Value::String(escaped(arguments, escape::js)),
            (Self::UrlQuery, [_, ..]) => Value::String(escape::url_query(&joined(arguments, ""))),
            _ => return Err(format!("it does not take these {} values", arguments.len())),
        })
    }
}

impl Comparison {
    fn holds(self, first: &Value, others: &[Value]) -> Result<bool, String> {
        if self == Self::Eq {
            for other in others {
                if order(first, other)? == Some(Ordering::Equal) {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        let [other] = others else {
            return Err("it compares two values".to_owned());
        };
        let order = order(first, other)?;
        Ok(match self {
            Self::Eq => order == Some(Ordering::Equal),
            Self::Ne => order != Some(Ordering::Equal),
            Self::Lt => order == Some(Ordering::Less),
            Self::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::Gt => order == Some(Ordering::Greater),
            Self::Ge => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        })
    }
}

/// Returns how two values of one kind are ordered; nothing for a value that is not there.
fn order(one: &Value, other: &Value) -> Result<Option<Ordering>, String> {
    match (one, other) {
        (Value::Null, Value::Null) => Ok(Some(Ordering::Equal)),
        (Value::Null, _) | (_, Value::Null) => Ok(None),
        (Value::String(one), Value::String(other)) => Ok(Some(one.cmp(other))),
        (Value::Bool(one), Value::Bool(other)) => Ok(Some(one.cmp(other))),
        (Value::Number(one), Value::Number(other)) => Ok(match (one.as_i64(), other.as_i64()) {
            (Some(one), Some(other)) => Some(one.cmp(&other)),
            _ => one.as_f64().partial_cmp(&other.as_f64()),
        }),
        _ => Err(format!(
            "`{}` and `{}` are of different kinds",
            plain(one),
            plain(other)
        )),
    }
}

/// Tells whether a value counts as true: anything but nothing, zero and what is empty.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// Returns a value as it is written, lists and structures as Go writes them.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(values) => format!("[{}]", joined(values, " ")),
        Value::Object(fields) => {
            let values: Vec<String> = fields.values().map(plain).collect();
            format!("{{{}}}", values.join(" "))
        }
    }
}

fn joined(values: &[Value], between: &str) -> String {
    values.iter().map(plain).collect::<Vec<_>>().join(between)
}

/// Returns values as one text with some characters written in another way.
fn escaped(values: &[Value], escape: fn(char, &mut String)) -> String {
    let mut text = String::new();
    for character in joined(values, "").chars() {
        escape(character, &mut text);
    }
    text
}

fn length(value: &Value) -> Result<usize, String> {
    match value {
        Value::String(text) => Ok(text.len()),
        Value::Array(values) => Ok(values.len()),
        Value::Object(fields) => Ok(fields.len()),
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            Err(format!("`{}` has no length", plain(value)))
        }
    }
}

fn element<'value>(value: &'value Value, key: &Value) -> Result<&'value Value, String> {
    let found = match (value, key) {
        (Value::Array(values), Value::Number(_)) => values.get(count(key)?),
        (Value::Object(fields), Value::String(name)) => fields.get(name),
        _ => {
            return Err(format!(
                "`{}` has no elements by `{}`",
                plain(value),
                plain(key)
            ));
        }
    };
    found.ok_or_else(|| format!("there is no element `{}`", plain(key)))
}

fn slice(value: &Value, bounds: &[Value]) -> Result<Value, String> {
    let start = bounds.first().map_or(Ok(0), count)?;
    let end = bounds.get(1).map_or_else(|| length(value), count)?;
    let outside = || format!("there is no part from {start} to {end}");
    match value {
        Value::String(text) => text.get(start..end).map(Value::from).ok_or_else(outside),
        Value::Array(values) => {
            let part = values.get(start..end).ok_or_else(outside)?;
            Ok(Value::Array(part.to_vec()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err(format!("`{}` has no parts", plain(value)))
        }
    }
}

/// No count in a template is larger.
const LARGEST_COUNT: u64 = 10_000;

/// Reads a count.
fn count(value: &Value) -> Result<usize, String> {
    let small = value.as_u64().filter(|number| *number <= LARGEST_COUNT);
    small
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| format!("`{}` is no count", plain(value)))
}

/// Writes the first letter of each word large, as Docker does.
fn titled(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut is_start = true;
    for character in text.chars() {
        if is_start {
            titled.extend(character.to_uppercase());
        } else {
            titled.push(character);
        }
        is_start = character.is_whitespace();
    }
    titled
}
