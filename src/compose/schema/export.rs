//! The table as a JSON Schema, for editors.

use serde_json::{Map, Value as Json, json};

use crate::compose::schema::PROJECT;
use crate::compose::schema::shape::{List, Mapping, Number, Shape, Text};

/// Returns the JSON Schema of a Compose file.
pub fn json_schema() -> Json {
    let mut schema = shape(&PROJECT);
    if let Json::Object(out) = &mut schema {
        out.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        out.insert("title".to_owned(), json!("Compose file"));
    }
    schema
}

/// Turns a shape into a schema: one alternative for each kind of value.
fn shape(shape: &Shape) -> Json {
    let mut alternatives = Vec::new();
    if shape.null {
        alternatives.push(json!({ "type": "null" }));
    }
    if shape.boolean {
        alternatives.push(json!({ "type": "boolean" }));
    }
    alternatives.extend(shape.number.map(number));
    alternatives.extend(shape.text.map(text));
    alternatives.extend(shape.list.map(list));
    alternatives.extend(shape.map.map(mapping));
    if alternatives.len() == 1 {
        return alternatives.remove(0);
    }
    json!({ "anyOf": alternatives })
}

fn number(number: Number) -> Json {
    let mut out = json!({ "type": if number.whole { "integer" } else { "number" } });
    if let Some((low, high)) = number.range {
        out["minimum"] = json!(low);
        if high < i64::MAX {
            out["maximum"] = json!(high);
        }
    }
    out
}

fn text(text: Text) -> Json {
    match text {
        Text::Any => json!({ "type": "string" }),
        // A variable may stand for any of the words.
        Text::OneOf(words) => {
            json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": "\\$" }] })
        }
        Text::Match(matcher) => {
            json!({ "type": "string", "pattern": format!("{}|\\$", matcher.pattern) })
        }
    }
}

fn list(list: &List) -> Json {
    let mut out = json!({ "type": "array", "items": shape(&list.item) });
    if list.unique {
        out["uniqueItems"] = json!(true);
    }
    out
}

fn mapping(mapping: &Mapping) -> Json {
    let mut out = json!({ "type": "object" });
    let mut properties = Map::new();
    for (key, inner) in mapping.keys {
        let mut schema = shape(inner);
        let about = mapping.about.iter().find(|(name, _)| name == key);
        if let Some((_, about)) = about {
            schema["description"] = json!(about.trim());
        }
        properties.insert((*key).to_owned(), schema);
    }
    if !properties.is_empty() {
        out["properties"] = Json::Object(properties);
    }
    if !mapping.required.is_empty() {
        out["required"] = json!(mapping.required);
    }
    let mut patterns = Map::new();
    if let Some(named) = mapping.named {
        patterns.insert(named.names.pattern.to_owned(), shape(&named.value));
    }
    if mapping.extensions {
        patterns.insert("^x-".to_owned(), json!({}));
    }
    if !patterns.is_empty() {
        out["patternProperties"] = Json::Object(patterns);
    }
    if mapping.closed {
        out["additionalProperties"] = json!(false);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finds keys without a description, as `path: key`.
    fn undescribed(shape: &Shape, path: &str, found: &mut Vec<String>) {
        if let Some(mapping) = shape.map {
            for (key, inner) in mapping.keys {
                if !mapping.about.iter().any(|(name, _)| name == key) {
                    found.push(format!("{path}.{key}"));
                }
                undescribed(inner, &format!("{path}.{key}"), found);
            }
            if let Some(named) = mapping.named {
                undescribed(&named.value, &format!("{path}.*"), found);
            }
        }
        if let Some(list) = shape.list {
            undescribed(&list.item, &format!("{path}[]"), found);
        }
    }

    #[test]
    fn every_key_is_described() {
        let mut found = Vec::new();
        undescribed(&PROJECT, "", &mut found);
        // Accepted because the specification has it; nothing acts on it.
        assert_eq!(found, [".services.*.pull_refresh_after"]);
    }
}
