//! How one value of the model is read from the tree and printed again.
//!
//! Every type that a key can hold implements [`Field`]; the `record!` macro makes a struct of
//! fields out of one list, so that the struct, the reader and the printer cannot disagree.
//!
//! **Invariant:** reading happens after the shape was checked and short forms were expanded, so a
//! reader meets one form only; what it still cannot read becomes a diagnostic.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Value as Json, json};

use crate::compose::diagnostic::Diagnostic;
use crate::compose::model::outline;
use crate::compose::tree::{Node, Value};
use crate::value::{ByteSize, Duration};

/// What a value is printed for: JSON and YAML differ in a few places, as Docker Compose's do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `config --format json`, and what hashes are taken of.
    Json,
    /// `config --format yaml`.
    Yaml,
}

/// A type of the model.
pub trait Field: Default {
    /// Reads the value from a checked node.
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self;
    /// Prints the value; nothing when it is left out.
    fn print(&self, form: Form) -> Option<Json>;
    /// Returns the JSON Schema of what is printed as JSON.
    fn schema() -> Json;
}

/// The keys that start with `x-`, kept as they were written.
pub type Extensions = BTreeMap<String, Json>;

macro_rules! record {
    (
        $(#[$meta:meta])*
        $name:ident { $( #[doc = $about:literal] $field:ident : $type:ty = $key:literal, )* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $name {
            $( #[doc = $about] pub $field: $type, )*
            /// The `x-*` keys.
            pub extensions: $crate::compose::model::Extensions,
        }

        impl $name {
            /// The keys, each with what it means.
            pub const KEYS: &'static [(&'static str, &'static str)] =
                &[$( ($key, $about), )*];
        }

        impl $crate::compose::model::Field for $name {
            fn read(
                node: &$crate::compose::tree::Node,
                faults: &mut Vec<$crate::compose::diagnostic::Diagnostic>,
            ) -> Self {
                Self {
                    $( $field: node.get($key).map_or_else(
                        Default::default,
                        |child| $crate::compose::model::Field::read(child, faults),
                    ), )*
                    extensions: $crate::compose::model::field::extensions(node),
                }
            }

            fn print(&self, form: $crate::compose::model::Form) -> Option<serde_json::Value> {
                let mut out = serde_json::Map::new();
                // A field with an empty key is filled by the loader and never printed.
                $( if let Some(value) = $crate::compose::model::Field::print(&self.$field, form)
                    .filter(|_| !$key.is_empty())
                {
                    out.insert($key.to_owned(), value);
                } )*
                $crate::compose::model::field::print_extensions(&self.extensions, form, &mut out);
                Some(serde_json::Value::Object(out))
            }

            fn schema() -> serde_json::Value {
                $crate::compose::model::outline::record([
                    $( ($key, $about, <$type as $crate::compose::model::Field>::schema()), )*
                ])
            }
        }
    };
}
pub(crate) use record;

/// Reads the `x-*` keys of a mapping.
pub(crate) fn extensions(node: &Node) -> Extensions {
    let keys = node.as_map().into_iter().flatten();
    keys.filter(|(key, _)| key.starts_with("x-"))
        .map(|(key, entry)| (key.clone(), plain(&entry.node)))
        .collect()
}

/// Prints the `x-*` keys; JSON leaves them out, as Docker Compose does below the top level.
pub(crate) fn print_extensions(
    extensions: &Extensions,
    form: Form,
    out: &mut serde_json::Map<String, Json>,
) {
    if form == Form::Yaml {
        out.extend(
            extensions
                .iter()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
    }
}

/// Turns a node into plain data, without places.
pub fn plain(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Int(number) => i64::try_from(*number)
            .map(Json::from)
            .or_else(|_| u64::try_from(*number).map(Json::from))
            .unwrap_or_else(|_| Json::String(number.to_string())),
        Value::Float(number) => float(*number),
        Value::Text(text) => Json::String(text.clone()),
        Value::List(list) => list.iter().map(plain).collect(),
        Value::Map(map) => Json::Object(
            map.iter()
                // A key that no file can spell belongs to the loader.
                .filter(|(key, _)| !key.starts_with('\0'))
                .map(|(key, entry)| (key.clone(), plain(&entry.node)))
                .collect(),
        ),
    }
}

/// Makes a JSON number, whole where it is whole.
fn float(number: f64) -> Json {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to be whole and small"
    )]
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return Json::from(number as i64);
    }
    serde_json::Number::from_f64(number).map_or_else(
        || Json::String(Value::Float(number).to_plain()),
        Json::Number,
    )
}

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
fn parsed<T: FromStr>(node: &Node, expected: &str, faults: &mut Vec<Diagnostic>) -> Option<T> {
    let text = node.value.to_plain();
    let value = text.parse().ok();
    if value.is_none() {
        let fault = Diagnostic::error(node.span, format!("cannot read `{text}`"));
        faults.push(fault.expected(expected));
    }
    value
}

impl Field for Option<ByteSize> {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        if node.is_null() {
            return None;
        }
        let expected = "expected a size such as `512m`, `1.5gb` or a number of bytes";
        parsed::<ByteSize>(node, expected, faults).filter(|size| size.bytes() != 0)
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
        parsed(
            node,
            "expected a duration such as `10s`, `1m30s` or `500ms`",
            faults,
        )
    }

    fn schema() -> Json {
        outline::text()
    }

    fn print(&self, _: Form) -> Option<Json> {
        self.map(|duration| Json::String(duration.to_string()))
    }
}

impl Field for Vec<String> {
    fn read(node: &Node, _: &mut Vec<Diagnostic>) -> Self {
        match &node.value {
            Value::Null => Self::new(),
            Value::List(list) => list.iter().map(|item| item.value.to_plain()).collect(),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Map(_) => {
                vec![node.value.to_plain()]
            }
        }
    }

    fn schema() -> Json {
        outline::list(outline::text())
    }

    fn print(&self, _: Form) -> Option<Json> {
        (!self.is_empty()).then(|| self.iter().cloned().map(Json::String).collect())
    }
}

impl Field for BTreeMap<String, String> {
    fn read(node: &Node, _: &mut Vec<Diagnostic>) -> Self {
        pairs(node)
            .map(|(key, value)| (key, value.unwrap_or_default()))
            .collect()
    }

    fn schema() -> Json {
        outline::named(outline::text())
    }

    fn print(&self, _: Form) -> Option<Json> {
        let text = |(key, value): (&String, &String)| (key.clone(), Json::String(value.clone()));
        (!self.is_empty()).then(|| Json::Object(self.iter().map(text).collect()))
    }
}

/// Reads a mapping, or a list of `KEY=value`; a key alone has no value.
fn pairs(node: &Node) -> std::vec::IntoIter<(String, Option<String>)> {
    let mut pairs = Vec::new();
    for (key, entry) in node.as_map().into_iter().flatten() {
        let value = (!entry.node.is_null()).then(|| entry.node.value.to_plain());
        pairs.push((key.clone(), value));
    }
    for item in node.as_list().unwrap_or_default() {
        let text = item.value.to_plain();
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text.as_str(), None),
        };
        pairs.push((key.to_owned(), value));
    }
    pairs.into_iter()
}

impl Field for BTreeMap<String, Option<String>> {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        for item in node.as_list().unwrap_or_default() {
            let text = item.value.to_plain();
            let name = text.split('=').next().unwrap_or_default();
            if name.ends_with(char::is_whitespace) {
                let message = format!("the variable `{}` ends with a space", name.trim_end());
                let fault = Diagnostic::error(item.span, message);
                faults.push(fault.hint("remove the space before `=`"));
            }
        }
        pairs(node).collect()
    }

    fn schema() -> Json {
        outline::named(outline::or_null(outline::text()))
    }

    fn print(&self, _: Form) -> Option<Json> {
        let text = |(key, value): (&String, &Option<String>)| {
            (key.clone(), value.clone().map_or(Json::Null, Json::String))
        };
        (!self.is_empty()).then(|| Json::Object(self.iter().map(text).collect()))
    }
}

/// Implements [`Field`] for the containers of a record: optional, listed and named.
macro_rules! containers {
    ($($type:ty),* $(,)?) => { $(
        impl $crate::compose::model::Field for Option<$type> {
            fn read(
                node: &$crate::compose::tree::Node,
                faults: &mut Vec<$crate::compose::diagnostic::Diagnostic>,
            ) -> Self {
                (!node.is_null()).then(|| $crate::compose::model::Field::read(node, faults))
            }

            fn schema() -> serde_json::Value {
                <$type as $crate::compose::model::Field>::schema()
            }

            fn print(&self, form: $crate::compose::model::Form) -> Option<serde_json::Value> {
                self.as_ref().and_then(|inner| inner.print(form))
            }
        }

        impl $crate::compose::model::Field for Vec<$type> {
            fn read(
                node: &$crate::compose::tree::Node,
                faults: &mut Vec<$crate::compose::diagnostic::Diagnostic>,
            ) -> Self {
                let items = node.as_list().unwrap_or_default();
                items
                    .iter()
                    .map(|item| $crate::compose::model::Field::read(item, faults))
                    .collect()
            }

            fn schema() -> serde_json::Value {
                $crate::compose::model::outline::list(
                    <$type as $crate::compose::model::Field>::schema(),
                )
            }

            fn print(&self, form: $crate::compose::model::Form) -> Option<serde_json::Value> {
                let items = || self.iter().filter_map(|item| item.print(form)).collect();
                (!self.is_empty()).then(items)
            }
        }
    )* };
}
pub(crate) use containers;

/// Reads a mapping of names to records.
pub(crate) fn read_named<T: Field>(
    node: &Node,
    faults: &mut Vec<Diagnostic>,
) -> BTreeMap<String, T> {
    let entries = node.as_map().into_iter().flatten();
    entries
        .map(|(name, entry)| (name.clone(), T::read(&entry.node, faults)))
        .collect()
}

/// Prints a mapping of names to records; a record that prints as nothing is `null`.
pub(crate) fn print_named<T: Field>(map: &BTreeMap<String, T>, form: Form) -> Option<Json> {
    let value =
        |(name, item): (&String, &T)| (name.clone(), item.print(form).unwrap_or(Json::Null));
    (!map.is_empty()).then(|| Json::Object(map.iter().map(value).collect()))
}

/// Implements [`Field`] for mappings of names to a type.
macro_rules! named {
    ($($type:ty),* $(,)?) => { $(
        impl $crate::compose::model::Field for std::collections::BTreeMap<String, $type> {
            fn read(
                node: &$crate::compose::tree::Node,
                faults: &mut Vec<$crate::compose::diagnostic::Diagnostic>,
            ) -> Self {
                $crate::compose::model::field::read_named(node, faults)
            }

            fn schema() -> serde_json::Value {
                // A record that prints as nothing is null.
                let one = <$type as $crate::compose::model::Field>::schema();
                $crate::compose::model::outline::named($crate::compose::model::outline::or_null(one))
            }

            fn print(&self, form: $crate::compose::model::Form) -> Option<serde_json::Value> {
                $crate::compose::model::field::print_named(self, form)
            }
        }
    )* };
}
pub(crate) use named;
