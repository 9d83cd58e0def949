//! The table as a JSON Schema, for editors.
//!
//! An editor sees one file as it is written, and the checker sees all files merged. So in the schema a list may repeat
//! what merging makes one. Keys that must be there are required, as in the schema of the Compose Specification.

use serde_json::{Map, Value as Json, json};

use crate::compose::schema::PROJECT;
use crate::compose::schema::shape::{List, Mapping, Number, Shape, Text};

/// Keys that the specification has and nothing acts on.
const UNUSED: &[(&str, &str)] = &[(
    "pull_refresh_after",
    "How old an image may become before it is fetched again; nothing acts on it yet.",
)];

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
    json!({ "type": "array", "items": shape(&list.item) })
}

fn mapping(mapping: &Mapping) -> Json {
    let mut out = json!({ "type": "object" });
    let mut properties = Map::new();
    for (key, inner) in mapping.keys {
        let mut schema = shape(inner);
        let mut about = mapping.about.iter().chain(UNUSED);
        let about = about.find(|(name, _)| name == key);
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

    /// Finds keys without a description.
    fn undescribed(schema: &Json, path: &str, found: &mut Vec<String>) {
        for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
            if inner["description"].as_str().is_none_or(str::is_empty) {
                found.push(format!("{path}.{key}"));
            }
            undescribed(inner, &format!("{path}.{key}"), found);
        }
        for inner in schema["patternProperties"]
            .as_object()
            .into_iter()
            .flatten()
        {
            undescribed(inner.1, &format!("{path}.*"), found);
        }
        for inner in schema["anyOf"].as_array().into_iter().flatten() {
            undescribed(inner, path, found);
        }
        if !schema["items"].is_null() {
            undescribed(&schema["items"], &format!("{path}[]"), found);
        }
    }

    #[test]
    fn keys_that_must_be_there_are_required() {
        let schema = json_schema();
        let project = &schema["properties"];
        let service = &project["services"]["patternProperties"]["^[a-zA-Z0-9._-]+$"];
        let dependency = &service["properties"]["depends_on"]["anyOf"][1]["patternProperties"];
        let of = |schema: &Json| schema["required"].clone();
        assert_eq!(of(&dependency["^[a-zA-Z0-9._-]+$"]), json!(["condition"]));
        assert_eq!(of(&service["properties"]["provider"]), json!(["type"]));
        let model = &project["models"]["patternProperties"]["^[a-zA-Z0-9._-]+$"];
        assert_eq!(of(model), json!(["model"]));
    }

    #[test]
    fn every_key_is_described() {
        let mut found = Vec::new();
        undescribed(&json_schema(), "", &mut found);
        assert!(found.is_empty(), "{found:#?}");
    }
}
