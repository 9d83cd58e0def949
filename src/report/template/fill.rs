//! A parsed template and a row → text.

use std::collections::BTreeMap;

use serde_json::Value;

use super::error::TemplateError;
use super::functions::{Function, is_true, plain};
use super::parse::{Base, Call, DEEPEST, Node, Operand, Parsed, Pipe};

/// What a template is filled with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'row> {
    /// A row's fields and labels.
    Row {
        fields: &'row Value,
        labels: Option<&'row BTreeMap<String, String>>,
    },
    /// The titles of columns: each field stands for its title, and functions change nothing.
    Header,
}

/// Fills a template in.
pub(super) fn fill(template: &Parsed, subject: Subject<'_>) -> Result<String, TemplateError> {
    let dot = match subject {
        Subject::Row { fields, .. } => fields.clone(),
        Subject::Header => Value::Null,
    };
    let mut filler = Filler {
        subject,
        named: &template.named,
        depth: 0,
        variables: vec![(String::new(), dot.clone())],
        text: String::new(),
    };
    let _flow = filler.all(&template.nodes, &dot)?;
    Ok(filler.text)
}

/// What comes after a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// The next node.
    On,
    /// The end of the loop around it.
    Break,
    /// The next round of the loop around it.
    Continue,
}

struct Filler<'row> {
    subject: Subject<'row>,
    /// Templates by their names.
    named: &'row BTreeMap<String, Vec<Node>>,
    /// How many of them are filled in in each other.
    depth: usize,
    /// The innermost is last; `$` has no name.
    variables: Vec<(String, Value)>,
    text: String,
}

impl Filler<'_> {
    fn all(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, TemplateError> {
        let outer = self.variables.len();
        let mut flow = Flow::On;
        for node in nodes {
            flow = self.node(node, dot)?;
            if flow != Flow::On {
                break;
            }
        }
        self.variables.truncate(outer);
        Ok(flow)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, TemplateError> {
        match node {
            Node::Text(text) => self.text.push_str(text),
            Node::Write(pipe) => {
                let value = self.pipe(pipe, dot)?;
                self.text.push_str(&plain(&value));
            }
            Node::Set { name, pipe, is_new } => {
                let value = self.pipe(pipe, dot)?;
                if *is_new {
                    self.variables.push((name.clone(), value));
                } else {
                    *self.variable(name)? = value;
                }
            }
            Node::If {
                name,
                pipe,
                then,
                otherwise,
            } => {
                let value = self.pipe(pipe, dot)?;
                let branch = if is_true(&value) { then } else { otherwise };
                return self.with_variable((name.as_ref(), value), branch, dot);
            }
            Node::With {
                name,
                pipe,
                then,
                otherwise,
            } => {
                let value = self.pipe(pipe, dot)?;
                let (branch, dot) = if is_true(&value) {
                    (then, &value)
                } else {
                    (otherwise, dot)
                };
                return self.with_variable((name.as_ref(), value.clone()), branch, dot);
            }
            Node::Range {
                names,
                pipe,
                body,
                otherwise,
            } => {
                let value = self.pipe(pipe, dot)?;
                let elements = self.elements(value)?;
                if elements.is_empty() {
                    return self.all(otherwise, dot);
                }
                for (key, element) in elements {
                    if self.round(names, body, (key, element))? == Flow::Break {
                        break;
                    }
                }
            }
            Node::Template { name, pipe } => self.template(name, pipe.as_ref(), dot)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    /// Fills in a branch that may use the value that chose it by a name.
    fn with_variable(
        &mut self,
        (name, value): (Option<&String>, Value),
        branch: &[Node],
        dot: &Value,
    ) -> Result<Flow, TemplateError> {
        let outer = self.variables.len();
        if let Some(name) = name {
            self.variables.push((name.clone(), value));
        }
        let flow = self.all(branch, dot)?;
        self.variables.truncate(outer);
        Ok(flow)
    }

    /// Fills in a template by its name: it sees the value that it is given, and no variables from outside.
    fn template(
        &mut self,
        name: &str,
        pipe: Option<&Pipe>,
        dot: &Value,
    ) -> Result<(), TemplateError> {
        let value = match pipe {
            Some(pipe) => self.pipe(pipe, dot)?,
            None => Value::Null,
        };
        let nodes = self.named.get(name);
        let nodes = nodes.expect("the parser has seen every template that is filled in");
        if self.depth == DEEPEST {
            return Err(TemplateError::TooDeep { limit: DEEPEST });
        }
        self.depth += 1;
        let inner = vec![(String::new(), value.clone())];
        let outer = std::mem::replace(&mut self.variables, inner);
        let _flow = self.all(nodes, &value)?;
        self.variables = outer;
        self.depth -= 1;
        Ok(())
    }

    /// Does the body of a loop once.
    fn round(
        &mut self,
        names: &[String],
        body: &[Node],
        (key, element): (Value, Value),
    ) -> Result<Flow, TemplateError> {
        let outer = self.variables.len();
        match names {
            [] => {}
            [value] => self.variables.push((value.clone(), element.clone())),
            [index, value, ..] => {
                self.variables.push((index.clone(), key));
                self.variables.push((value.clone(), element.clone()));
            }
        }
        let flow = self.all(body, &element)?;
        self.variables.truncate(outer);
        Ok(flow)
    }

    fn pipe(&mut self, calls: &[Call], dot: &Value) -> Result<Value, TemplateError> {
        let mut piped = None;
        for call in calls {
            piped = Some(self.call(call, dot, piped)?);
        }
        Ok(piped.unwrap_or_default())
    }

    fn call(
        &mut self,
        call: &Call,
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, TemplateError> {
        let Base::Function(function) = &call.what.base else {
            if call
                .what
                .fields
                .last()
                .is_some_and(|field| field == "Label")
            {
                let name = self.arguments(None, &call.arguments, (dot, piped))?;
                return self.label(&name);
            }
            return match piped {
                None => self.operand(&call.what, dot),
                Some(_) => Err(TemplateError::Call {
                    function: "|".to_owned(),
                    reason: "what stands behind it is no function".to_owned(),
                }),
            };
        };
        let values = self.arguments(Some(*function), &call.arguments, (dot, piped))?;
        let value = match self.subject {
            Subject::Row { .. } => function.call(&values)?,
            Subject::Header => title(*function, values)?,
        };
        self.fields(value, &call.what.fields)
    }

    /// Returns the values of arguments; those that no longer matter to `and` and `or` are left out.
    fn arguments(
        &mut self,
        function: Option<Function>,
        operands: &[Operand],
        (dot, piped): (&Value, Option<Value>),
    ) -> Result<Vec<Value>, TemplateError> {
        let mut values = Vec::with_capacity(operands.len() + 1);
        for operand in operands {
            let value = self.operand(operand, dot)?;
            let decides = match function {
                Some(Function::And) => !is_true(&value),
                Some(Function::Or) => is_true(&value),
                _ => false,
            };
            values.push(value);
            if decides {
                return Ok(values);
            }
        }
        values.extend(piped);
        Ok(values)
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, TemplateError> {
        let value = match &operand.base {
            Base::Dot => dot.clone(),
            Base::Variable(name) => self.variable(name)?.clone(),
            Base::Literal(value) => value.clone(),
            Base::Group(pipe) => self.pipe(pipe, dot)?,
            Base::Function(function) => match self.subject {
                Subject::Row { .. } => function.call(&[])?,
                Subject::Header => Value::Null,
            },
        };
        self.fields(value, &operand.fields)
    }

    fn fields(&self, mut value: Value, fields: &[String]) -> Result<Value, TemplateError> {
        if let (Subject::Header, Some(field)) = (self.subject, fields.last()) {
            return Ok(Value::String(title_of(field)));
        }
        for field in fields {
            let Value::Object(known) = &mut value else {
                return Err(TemplateError::NoFields {
                    field: field.clone(),
                    of: kind(&value),
                });
            };
            let Some(found) = known.get_mut(field) else {
                let known: Vec<String> = known.keys().map(|key| format!("`.{key}`")).collect();
                return Err(TemplateError::UnknownField {
                    field: field.clone(),
                    known: known.join(", "),
                });
            };
            value = found.take();
        }
        Ok(value)
    }

    /// Returns the value of a label, empty where there is none.
    fn label(&self, arguments: &[Value]) -> Result<Value, TemplateError> {
        let [Value::String(name)] = arguments else {
            return Err(TemplateError::Call {
                function: ".Label".to_owned(),
                reason: "it takes the name of one label".to_owned(),
            });
        };
        match self.subject {
            Subject::Row { labels: None, .. } => Err(TemplateError::NoFields {
                field: "Label".to_owned(),
                of: "a row without labels",
            }),
            Subject::Row {
                labels: Some(labels),
                ..
            } => Ok(Value::String(labels.get(name).cloned().unwrap_or_default())),
            Subject::Header => {
                let last = name.rsplit('.').next().unwrap_or_default();
                Ok(Value::String(last.replace(['-', '_'], " ")))
            }
        }
    }

    /// Returns what a loop goes through: elements with their numbers, or fields with their names.
    fn elements(&self, value: Value) -> Result<Vec<(Value, Value)>, TemplateError> {
        match (value, self.subject) {
            // The title of a column stands for all that is below it.
            (title, Subject::Header) => Ok(vec![(Value::Null, title)]),
            (Value::Null, Subject::Row { .. }) => Ok(Vec::new()),
            (Value::Array(values), Subject::Row { .. }) => {
                let numbered = values.into_iter().enumerate();
                Ok(numbered
                    .map(|(index, value)| (Value::from(index), value))
                    .collect())
            }
            (Value::Object(fields), Subject::Row { .. }) => Ok(fields
                .into_iter()
                .map(|(name, value)| (Value::String(name), value))
                .collect()),
            (
                value @ (Value::String(_) | Value::Bool(_) | Value::Number(_)),
                Subject::Row { .. },
            ) => Err(TemplateError::Call {
                function: "range".to_owned(),
                reason: format!("{} has no elements", kind(&value)),
            }),
        }
    }

    fn variable(&mut self, name: &str) -> Result<&mut Value, TemplateError> {
        let mut innermost = self.variables.iter_mut().rev();
        let found = innermost.find(|(known, _)| known == name);
        found
            .map(|(_, value)| value)
            .ok_or_else(|| TemplateError::UnknownVariable {
                name: name.to_owned(),
            })
    }
}

/// Returns what a function makes of titles: conditions hold as they do of texts, all else is left as it is.
fn title(function: Function, mut values: Vec<Value>) -> Result<Value, TemplateError> {
    let composes = [
        Function::And,
        Function::Or,
        Function::Not,
        Function::Print,
        Function::Println,
        Function::Printf,
    ];
    if let Function::Compare(_) = function {
        return Ok(function.call(&values).unwrap_or(Value::Bool(false)));
    }
    if composes.contains(&function) {
        return function.call(&values);
    }
    Ok(if values.is_empty() {
        Value::Null
    } else {
        values.swap_remove(0)
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a structure",
    }
}

/// Returns the column title of a field: `CREATED AT` for `CreatedAt`.
fn title_of(field: &str) -> String {
    match field {
        "ID" => return "CONTAINER ID".to_owned(),
        "URL" => return "URL".to_owned(),
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
