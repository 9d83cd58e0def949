//! Variables into values: `${NAME}` in every string, then the types that some keys ask for.
//!
//! **Invariant:** keys are never interpolated, and a value is interpolated exactly once.

mod cast;
mod template;

use std::collections::BTreeMap;

pub(crate) use template::{Problem, Scope, names, substitute};

use crate::compose::diagnostic::Diagnostic;
use crate::compose::tree::{Node, Span, Trace, Value, VariableUse};

/// Interpolates the values below `node`, whose path from the root is `path`.
pub(crate) struct Interpolator<'a> {
    environment: &'a BTreeMap<String, String>,
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
            faults,
            path: Vec::new(),
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
                let variables = scope.used.into_iter();
                let variables = variables.map(|(name, value)| VariableUse { name, value });
                let trace = node.trace.get_or_insert_with(Box::<Trace>::default);
                trace.variables.extend(variables);
            }
        }
        cast::apply(&self.path, node, self.faults);
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
