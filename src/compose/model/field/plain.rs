//! A node into plain data, without places.

use serde_json::Value as Json;

use crate::compose::tree::{Node, Value};

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

/// Makes a JSON number, whole where it is whole and of less than seven digits; larger ones are
/// written like fractions by whom Docker Compose writes with.
pub(super) fn float(number: f64) -> Json {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to be whole and small"
    )]
    if number.fract() == 0.0 && number.abs() < 1e6 {
        return Json::from(number as i64);
    }
    serde_json::Number::from_f64(number).map_or_else(
        || Json::String(Value::Float(number).to_plain()),
        Json::Number,
    )
}
