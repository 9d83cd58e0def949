//! Variables into values: `${NAME}` in every string, then the types that some keys ask for.
//!
//! **Invariant:** keys are never interpolated, and a value is interpolated exactly once.

mod cast;
mod template;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) use template::{Problem, Scope, names, substitute};

use crate::compose::diagnostic::Diagnostic;
use crate::compose::tree::{Node, Span, Trace, Value, VariableOrigin, VariableUse};
use template::Mention;

/// Interpolates the values below `node`, whose path from the root is `path`.
pub(crate) struct Interpolator<'a> {
    environment: &'a BTreeMap<String, String>,
    origins: Option<&'a BTreeMap<String, PathBuf>>,
    faults: &'a mut Vec<Diagnostic>,
    path: Vec<String>,
}

impl<'a> Interpolator<'a> {
    /// Interpolates with the variables of `environment`.
    pub(crate) fn new(
        environment: &'a BTreeMap<String, String>,
        faults: &'a mut Vec<Diagnostic>,
    ) -> Self {
        Self {
            environment,
            origins: None,
            faults,
            path: Vec::new(),
        }
    }

    /// Knows which variables came from which file.
    pub(crate) fn knowing(self, origins: &'a BTreeMap<String, PathBuf>) -> Self {
        Self {
            origins: Some(origins),
            ..self
        }
    }

    /// Interpolates every string of a tree.
    pub(crate) fn run(&mut self, node: &mut Node) {
        match &mut node.value {
            Value::Map(map) => {
                for (key, entry) in map {
                    self.path.push(key.clone());
                    self.run(&mut entry.node);
                    self.path.pop();
                }
            }
            Value::List(list) => {
                self.path.push("[]".to_owned());
                for item in list {
                    self.run(item);
                }
                self.path.pop();
            }
            Value::Text(_) => self.text(node),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
        }
    }

    fn text(&mut self, node: &mut Node) {
        let Value::Text(text) = &node.value else {
            return;
        };
        if text.contains('$') {
            let defaults = names(text);
            let mut scope = Scope::new(self.environment);
            match substitute(text, &mut scope) {
                Ok(filled) => node.value = Value::Text(filled),
                Err(problem) => {
                    let fault = explain(&problem, node.span, self.environment);
                    self.faults.push(fault);
                    return;
                }
            }
            self.warn_of_unset(&scope, node.span);
            if !scope.used.is_empty() {
                let used = scope.used.into_iter();
                let variables: Vec<VariableUse> = used
                    .map(|(name, value)| VariableUse {
                        origin: self.origin(&name, value.as_deref(), &defaults),
                        name,
                        value,
                    })
                    .collect();
                let trace = node.trace.get_or_insert_with(Box::<Trace>::default);
                trace.variables.extend(variables);
            }
        }
        cast::apply(&self.path, node, self.faults);
    }

    /// Returns where the value of a variable came from.
    fn origin(&self, name: &str, value: Option<&str>, mentions: &[Mention]) -> VariableOrigin {
        if value.is_none() {
            let mention = mentions.iter().find(|mention| mention.name == name);
            let default = mention.map(|mention| mention.default.clone());
            return default
                .filter(|default| !default.is_empty())
                .map_or(VariableOrigin::Unset, VariableOrigin::Default);
        }
        let file = self.origins.and_then(|origins| origins.get(name));
        file.map_or(VariableOrigin::Shell, |file| {
            VariableOrigin::EnvFile(file.clone())
        })
    }

    fn warn_of_unset(&mut self, scope: &Scope<'_>, span: Span) {
        for name in &scope.unset {
            let message = format!("the variable `{name}` is not set; it becomes an empty string");
            let warning = Diagnostic::warning(span, message);
            let near =
                crate::compose::suggest::nearest(name, self.environment.keys().map(String::as_str));
            self.faults.push(match near {
                Some(near) => warning.hint(format!("did you mean `{near}`?")),
                None => warning.hint(format!("write `${{{name}:-}}` if that is intended")),
            });
        }
    }
}

/// Turns a problem of a template into a diagnostic.
fn explain(problem: &Problem, span: Span, environment: &BTreeMap<String, String>) -> Diagnostic {
    match problem {
        Problem::Invalid(text) => {
            Diagnostic::error(span, format!("`{text}` is no valid use of a variable"))
                .expected("expected `${NAME}`, `${NAME:-default}`, `${NAME:?message}` or the like")
                .hint("a `$` that stands for itself is written `$$`")
        }
        Problem::Required { name, reason } => {
            let near =
                crate::compose::suggest::nearest(name, environment.keys().map(String::as_str));
            let message = match reason.as_str() {
                "" => format!("the variable `{name}` must be set"),
                reason => format!("the variable `{name}` must be set: {reason}"),
            };
            Diagnostic::error(span, message).hint(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("set it in the shell or in `.env`: {name}=value"),
            })
        }
        Problem::TooLarge => Diagnostic::error(span, "the variables expand to more than 10 MiB"),
    }
}
