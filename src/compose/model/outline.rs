//! JSON Schemas of what the types of the model print as JSON.

use serde_json::{Map, Value as Json, json};

/// A string.
pub(crate) fn text() -> Json {
    json!({ "type": "string" })
}

/// A whole number.
pub(crate) fn whole() -> Json {
    json!({ "type": "integer" })
}

/// A boolean.
pub(crate) fn flag() -> Json {
    json!({ "type": "boolean" })
}

/// A list.
pub(crate) fn list(item: Json) -> Json {
    json!({ "type": "array", "items": item })
}

/// A mapping of names to values of one kind.
pub(crate) fn named(value: Json) -> Json {
    json!({ "type": "object", "additionalProperties": value })
}

/// A value that may be null.
pub(crate) fn or_null(value: Json) -> Json {
    json!({ "anyOf": [value, { "type": "null" }] })
}

/// A mapping with these keys, of which each may be missing; each with what it means.
pub(crate) fn record<'a>(keys: impl IntoIterator<Item = (&'a str, &'a str, Json)>) -> Json {
    let mut properties = Map::new();
    for (key, about, mut schema) in keys {
        // A field with an empty key is filled by the loader and never printed.
        if !key.is_empty() {
            schema["description"] = json!(about.trim());
            properties.insert(key.to_owned(), schema);
        }
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}
