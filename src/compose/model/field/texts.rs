//! Lists of texts, and mappings of names to texts, which may be written as lists of `KEY=value`.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{Field, Form};
use crate::compose::diagnostic::Diagnostic;
use crate::compose::model::outline;
use crate::compose::tree::{Node, Value};

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
