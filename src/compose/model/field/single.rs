//! Values that stand alone: booleans, numbers, texts, sizes and durations.

use std::str::FromStr;

use serde_json::{Value as Json, json};

use super::plain::float;
use super::{Field, Form};
use crate::compose::diagnostic::Diagnostic;
use crate::compose::model::outline;
use crate::compose::tree::{Node, Value};
use crate::value::{ByteSize, Duration};

/// Reads a boolean; a string, such as a variable leaves it, is one when it says so.
fn flag(node: &Node, faults: &mut Vec<Diagnostic>) -> Option<bool> {
    match &node.value {
        Value::Bool(flag) => Some(*flag),
        Value::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "y" | "yes" | "on" => Some(true),
            "false" | "n" | "no" | "off" => Some(false),
            _ => {
                let fault = Diagnostic::error(node.span, format!("`{text}` is no boolean"));
                faults.push(fault.expected("expected `true` or `false`"));
                None
            }
        },
        Value::Null | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => None,
    }
}

impl Field for bool {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        flag(node, faults).unwrap_or(false)
    }

    fn schema() -> Json {
        outline::flag()
    }

    fn print(&self, _: Form) -> Option<Json> {
        self.then_some(Json::Bool(true))
    }
}

impl Field for Option<bool> {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        flag(node, faults)
    }

    fn schema() -> Json {
        outline::flag()
    }

    fn print(&self, _: Form) -> Option<Json> {
        self.map(Json::Bool)
    }
}

/// Reads a whole number that fits `T`.
fn whole<T: TryFrom<i128>>(node: &Node, faults: &mut Vec<Diagnostic>) -> Option<T> {
    let number = match &node.value {
        Value::Int(number) => Some(*number),
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole")]
        Value::Float(number) if number.fract() == 0.0 => Some(*number as i128),
        Value::Text(text) => text.parse().ok(),
        Value::Float(_) | Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => None,
    };
    let number = number.and_then(|number| T::try_from(number).ok());
    if number.is_none() && !node.is_null() {
        faults.push(
            Diagnostic::error(
                node.span,
                format!("`{}` is no fitting number", node.value.to_plain()),
            )
            .expected("expected a whole number here"),
        );
    }
    number
}

macro_rules! whole_number {
    ($($type:ty),*) => { $(
        impl Field for $type {
            fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
                whole(node, faults).unwrap_or_default()
            }

            fn schema() -> Json {
                outline::whole()
            }

            fn print(&self, _: Form) -> Option<Json> {
                (*self != 0).then(|| Json::from(*self))
            }
        }

        impl Field for Option<$type> {
            fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
                whole(node, faults)
            }

            fn schema() -> Json {
                outline::whole()
            }

            fn print(&self, _: Form) -> Option<Json> {
                self.map(Json::from)
            }
        }
    )* };
}
whole_number!(i64, u64, u32, u16);

impl Field for f32 {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        let number = match &node.value {
            #[expect(clippy::cast_precision_loss, reason = "as Docker Compose holds it")]
            Value::Int(number) => Some(*number as Self),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "as Docker Compose holds it"
            )]
            Value::Float(number) => Some(*number as Self),
            Value::Text(text) => text.parse().ok(),
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => None,
        };
        number.unwrap_or_else(|| {
            let found = node.value.to_plain();
            let fault = Diagnostic::error(node.span, format!("`{found}` is no number"));
            faults.push(fault.expected("expected a number such as `0.5` here"));
            0.0
        })
    }

    fn schema() -> Json {
        json!({ "type": "number" })
    }

    fn print(&self, _: Form) -> Option<Json> {
        // Through the shortest decimal, so that 0.1 does not become 0.10000000149.
        (*self != 0.0).then(|| float(self.to_string().parse().unwrap_or_default()))
    }
}

impl Field for Option<String> {
    fn read(node: &Node, _: &mut Vec<Diagnostic>) -> Self {
        if node.is_null() {
            None
        } else {
            Some(node.value.to_plain()).filter(|t| !t.is_empty())
        }
    }

    fn schema() -> Json {
        outline::text()
    }

    fn print(&self, _: Form) -> Option<Json> {
        self.clone().map(Json::String)
    }
}

impl Field for String {
    fn read(node: &Node, _: &mut Vec<Diagnostic>) -> Self {
        if node.is_null() {
            Self::new()
        } else {
            node.value.to_plain()
        }
    }

    fn schema() -> Json {
        outline::text()
    }

    fn print(&self, _: Form) -> Option<Json> {
        (!self.is_empty()).then(|| Json::String(self.clone()))
    }
}

/// Reads a value that parses itself from its text.
fn parsed<T: FromStr>(node: &Node, expected: &str) -> Result<T, Diagnostic> {
    let text = node.value.to_plain();
    let fault = || Diagnostic::error(node.span, format!("cannot read `{text}`")).expected(expected);
    text.parse().map_err(|_| fault())
}

/// Says how Docker writes a size with the unit of another tool, such as `512Mi`.
fn size_hint(text: &str) -> Option<String> {
    let whole = format!("{text}B");
    let is_short = text.ends_with('i') && whole.parse::<ByteSize>().is_ok();
    is_short.then(|| format!("write `{whole}`"))
}

impl Field for Option<ByteSize> {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        if node.is_null() {
            return None;
        }
        let expected = "expected a size such as `512m`, `1.5gb` or a number of bytes";
        match parsed::<ByteSize>(node, expected) {
            Ok(size) => Some(size).filter(|size| size.bytes() != 0),
            Err(fault) => {
                faults.push(fault.maybe_hint(size_hint(&node.value.to_plain())));
                None
            }
        }
    }

    fn schema() -> Json {
        outline::text()
    }

    fn print(&self, _: Form) -> Option<Json> {
        self.map(|size| Json::String(size.to_string()))
    }
}

impl Field for Option<Duration> {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        if node.is_null() {
            return None;
        }
        let expected = "expected a duration such as `10s`, `1m30s` or `500ms`";
        parsed(node, expected)
            .map_err(|fault| faults.push(fault))
            .ok()
    }

    fn schema() -> Json {
        outline::text()
    }

    fn print(&self, _: Form) -> Option<Json> {
        self.map(|duration| Json::String(duration.to_string()))
    }
}
