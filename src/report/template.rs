//! `--format '{{.Name}}: {{json .Ports}}'` and a row of fields → one line of text.
//!
//! This is the part of Go's templates that people use to pick fields: fields, `json`, `upper`, `lower`, `title`,
//! pipes, and the `table` prefix that prints a header. Everything else is refused by name.

use std::io;

use serde_json::Value;

use super::output::Output;
use super::table;

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// `{{` without `}}`.
    #[error("find the `}}}}` that closes `{action}`")]
    Unclosed {
        /// The text from `{{` on.
        action: String,
    },
    /// Something of Go's templates that is not a field or one of the functions above.
    #[error(
        "use `{word}` in a template: only fields, `json`, `upper`, `lower` and `title` are supported"
    )]
    Unsupported {
        /// The word that is not known.
        word: String,
    },
    /// A field that the rows do not have.
    #[error("find the field `.{field}`: the fields are {known}")]
    UnknownField {
        /// What was asked for.
        field: String,
        /// What there is.
        known: String,
    },
}

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    has_header: bool,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Action {
        path: Vec<String>,
        functions: Vec<Function>,
    },
}

#[derive(Clone, Copy, Debug)]
enum Function {
    Json,
    Upper,
    Lower,
    Title,
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let (has_header, body) = match text.strip_prefix("table ") {
            Some(body) => (true, body),
            None => (false, text),
        };
        let body = body.replace("\\t", "\t").replace("\\n", "\n");
        let mut parts = Vec::new();
        let mut rest = body.as_str();
        while let Some(start) = rest.find("{{") {
            parts.push(Part::Text(rest[..start].to_owned()));
            let after = &rest[start + 2..];
            let end = after.find("}}").ok_or_else(|| TemplateError::Unclosed {
                action: rest[start..].to_owned(),
            })?;
            parts.push(parse_action(&after[..end])?);
            rest = &after[end + 2..];
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { has_header, parts })
    }

    /// Writes one line for each row, and the header first where the template asks for it.
    pub fn write(&self, output: &mut Output, rows: &[Value]) -> Result<(), WriteError> {
        let mut lines = Vec::with_capacity(rows.len() + 1);
        if self.has_header {
            lines.push(self.header());
        }
        for row in rows {
            lines.push(self.fill(row)?);
        }
        if self.has_header {
            let cells: Vec<Vec<String>> = lines
                .iter()
                .map(|line| line.split('\t').map(str::to_owned).collect())
                .collect();
            table::write_rows(output, cells.iter())?;
        } else {
            for line in &lines {
                output.line(line)?;
            }
        }
        Ok(())
    }

    fn fill(&self, row: &Value) -> Result<String, TemplateError> {
        let mut line = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => line.push_str(text),
                Part::Action { path, functions } => {
                    let mut value = look_up(row, path)?.clone();
                    for function in functions {
                        value = apply(*function, &value);
                    }
                    line.push_str(&plain(&value));
                }
            }
        }
        Ok(line)
    }

    fn header(&self) -> String {
        let mut line = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => line.push_str(text),
                Part::Action { path, .. } => {
                    line.push_str(&title_of(path.last().map_or("", String::as_str)));
                }
            }
        }
        line
    }
}

/// Why rows could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The template does not fit the rows.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The output is gone.
    #[error(transparent)]
    Output(#[from] io::Error),
}

fn parse_action(action: &str) -> Result<Part, TemplateError> {
    let action = action.trim_matches('-').trim();
    let mut path = None;
    let mut functions = Vec::new();
    for (index, stage) in action.split('|').enumerate() {
        let mut words: Vec<&str> = stage.split_whitespace().collect();
        let operand = if index == 0 { words.pop() } else { None };
        if let Some(operand) = operand {
            path = Some(parse_path(operand)?);
        }
        for word in words {
            functions.push(parse_function(word)?);
        }
    }
    match path {
        Some(path) => Ok(Part::Action { path, functions }),
        None => Err(TemplateError::Unsupported {
            word: action.to_owned(),
        }),
    }
}

fn parse_path(operand: &str) -> Result<Vec<String>, TemplateError> {
    let unsupported = || TemplateError::Unsupported {
        word: operand.to_owned(),
    };
    let names = operand.strip_prefix('.').ok_or_else(unsupported)?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let is_name = |name: &str| !name.is_empty() && name.chars().all(char::is_alphanumeric);
    let path: Vec<String> = names.split('.').map(str::to_owned).collect();
    if path.iter().all(|name| is_name(name)) {
        Ok(path)
    } else {
        Err(unsupported())
    }
}

fn parse_function(word: &str) -> Result<Function, TemplateError> {
    match word {
        "json" => Ok(Function::Json),
        "upper" => Ok(Function::Upper),
        "lower" => Ok(Function::Lower),
        "title" => Ok(Function::Title),
        other => Err(TemplateError::Unsupported {
            word: other.to_owned(),
        }),
    }
}

fn look_up<'row>(row: &'row Value, path: &[String]) -> Result<&'row Value, TemplateError> {
    let mut value = row;
    for field in path {
        value = value
            .get(field)
            .ok_or_else(|| TemplateError::UnknownField {
                field: field.clone(),
                known: value.as_object().map_or_else(String::new, |fields| {
                    fields
                        .keys()
                        .map(|key| format!("`.{key}`"))
                        .collect::<Vec<_>>()
                        .join(", ")
                }),
            })?;
    }
    Ok(value)
}

fn apply(function: Function, value: &Value) -> Value {
    Value::String(match function {
        Function::Json => value.to_string(),
        Function::Upper => plain(value).to_uppercase(),
        Function::Lower => plain(value).to_lowercase(),
        Function::Title => capitalised(&plain(value)),
    })
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Returns the column title of a field: `CREATED AT` for `CreatedAt`.
fn title_of(field: &str) -> String {
    match field {
        "ID" => return "CONTAINER ID".to_owned(),
        "RunningFor" => return "CREATED".to_owned(),
        _ => {}
    }
    let mut title = String::with_capacity(field.len() + 2);
    for (index, character) in field.chars().enumerate() {
        if index > 0 && character.is_uppercase() {
            title.push(' ');
        }
        title.extend(character.to_uppercase());
    }
    title
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::output::memory::Memory;

    fn written(template: &str) -> String {
        let memory = Memory::default();
        let rows =
            [json!({"Name": "demo-web-1", "State": "running", "Publishers": [], "ExitCode": 0})];
        Template::parse(template)
            .unwrap()
            .write(&mut memory.pipe(), &rows)
            .unwrap();
        memory.text()
    }

    #[test]
    fn fields_functions_and_pipes_are_filled_in() {
        assert_eq!(
            written("{{.Name}} {{ upper .State }}"),
            "demo-web-1 RUNNING\n"
        );
        assert_eq!(
            written("{{json .Publishers}}\\t{{.State | title}}"),
            "[]\tRunning\n"
        );
        assert_eq!(written("{{.ExitCode}}"), "0\n");
    }

    #[test]
    fn table_prints_a_header() {
        insta::assert_snapshot!(written("table {{.Name}}\t{{.ExitCode}}"), @r"
        NAME         EXIT CODE
        demo-web-1   0
        ");
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let message = |text: &str| Template::parse(text).unwrap_err().to_string();
        assert!(message("{{range .Ports}}x{{end}}").contains("`range`"));
        assert!(message("{{.Name").contains("{{.Name"));
        assert!(message("{{$x}}").contains("`$x`"));
    }

    #[test]
    fn an_unknown_field_is_refused_with_the_fields_there_are() {
        let memory = Memory::default();
        let rows = [json!({"Name": "web"})];
        let template = Template::parse("{{.Nam}}").unwrap();
        let error = template.write(&mut memory.pipe(), &rows).unwrap_err();
        assert_eq!(
            error.to_string(),
            "find the field `.Nam`: the fields are `.Name`"
        );
    }
}
