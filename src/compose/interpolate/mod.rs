//! Variables into values: `${NAME}` in every string, then the types that some keys ask for.
//!
//! **Invariant:** keys are never interpolated, and a value is interpolated exactly once.

mod cast;
mod template;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) use template::{Mention, Problem, Scope, defaults, names, substitute};

use crate::compose::budget::Budget;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::suggest::suggestion;
use crate::compose::tree::{LIST, Node, Span, Trace, Value, VariableOrigin, VariableUse};

/// Interpolates trees with the variables of one environment.
pub(crate) struct Interpolator<'a> {
    environment: &'a BTreeMap<String, String>,
    origins: Option<&'a BTreeMap<String, PathBuf>>,
    budget: &'a mut Budget,
    faults: &'a mut Vec<Diagnostic>,
    filled: Vec<(Span, Vec<VariableUse>)>,
}

impl<'a> Interpolator<'a> {
    /// Interpolates with the variables of `environment`.
    pub(crate) fn new(
        environment: &'a BTreeMap<String, String>,
        budget: &'a mut Budget,
        faults: &'a mut Vec<Diagnostic>,
    ) -> Self {
        Self {
            environment,
            origins: None,
            budget,
            faults,
            filled: Vec::new(),
        }
    }

    /// Ends: the variables that filled values, with the places of these.
    pub(crate) fn into_filled(self) -> Vec<(Span, Vec<VariableUse>)> {
        self.filled
    }

    /// Knows which variables came from which file.
    pub(crate) fn knowing(self, origins: &'a BTreeMap<String, PathBuf>) -> Self {
        Self {
            origins: Some(origins),
            ..self
        }
    }

    /// Interpolates every string of a tree.
    pub(crate) fn run(&mut self, root: &mut Node) {
        self.below(root, &mut Vec::new());
    }

    /// Interpolates every string below `node`, whose path from the root is `path`.
    fn below<'t>(&mut self, node: &'t mut Node, path: &mut Vec<&'t str>) {
        if node.as_text().is_some() {
            return self.text(node, path);
        }
        match &mut node.value {
            Value::Map(map) => {
                for (key, entry) in map {
                    path.push(key);
                    self.below(&mut entry.node, path);
                    path.pop();
                }
            }
            Value::List(list) => {
                path.push(LIST);
                for item in list {
                    self.below(item, path);
                }
                path.pop();
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
        }
    }

    fn text(&mut self, node: &mut Node, path: &[&str]) {
        let Value::Text(text) = &node.value else {
            return;
        };
        if text.contains('$') {
            if self.budget.was_refused() {
                // It was said where it ran out.
                return;
            }
            let mut scope = Scope::new(self.environment);
            let filled = substitute(text, &mut scope).and_then(|filled| {
                let defaults = defaults(text);
                let unset = scope.used.iter().filter(|(_, value)| value.is_none());
                let kept = unset.filter_map(|(name, _)| defaults.get(name.as_str()));
                let kept: usize = kept.map(|default| default.len()).sum();
                self.budget.text(scope.spent_bytes() + kept)?;
                Ok(filled)
            });
            let template = text.clone();
            match filled {
                Ok(filled) => node.value = Value::Text(filled),
                Err(problem) => {
                    let fault = explain(&problem, node.span, self.environment, self.faults);
                    self.faults.push(fault);
                    return;
                }
            }
            let defaults = defaults(&template);
            self.warn_of_unset(&scope, &template, node.span);
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
                self.filled.push((node.span, variables.clone()));
                trace.variables.extend(variables);
            }
        }
        let before = self.faults.len();
        cast::apply(path, node, self.faults);
        if let Some(fault) = self.faults.get_mut(before).filter(|it| it.hint.is_none()) {
            fault.hint = advise(path, node);
        }
    }

    /// Returns where the value of a variable came from.
    fn origin(
        &self,
        name: &str,
        value: Option<&str>,
        defaults: &BTreeMap<&str, &str>,
    ) -> VariableOrigin {
        if value.is_none() {
            let default = defaults.get(name).filter(|default| !default.is_empty());
            return default.map_or(VariableOrigin::Unset, |default| {
                VariableOrigin::Default((*default).to_owned())
            });
        }
        let file = self.origins.and_then(|origins| origins.get(name));
        file.map_or(VariableOrigin::Shell, |file| {
            VariableOrigin::EnvFile(file.clone())
        })
    }

    fn warn_of_unset(&mut self, scope: &Scope<'_>, text: &str, span: Span) {
        for name in &scope.unset {
            let bare = text.contains(&format!("${name}"));
            let message = format!("the variable `{name}` is not set; it becomes an empty string");
            let warning = Diagnostic::warning(span, message);
            let names = self.environment.keys().map(String::as_str);
            let near = suggestion(name, names, self.faults);
            self.faults.push(match near {
                Some(near) => warning.hint(format!("did you mean `{near}`?")),
                None if bare => warning.hint(format!(
                    "write `${{{name}:-}}` if that is intended, `$${name}` if it is no variable"
                )),
                None => warning.hint(format!(
                    "set it in the shell or in `.env`, or write `${{{name}:-}}` if that is intended"
                )),
            });
        }
    }
}

/// Says what a string that should become a number mostly means.
fn advise(path: &[&str], node: &Node) -> Option<String> {
    let text = node.as_text()?;
    let is_below = |key: &str| path.contains(&key);
    if is_below("ulimits") && text == "unlimited" {
        return Some("`-1` means no limit".to_owned());
    }
    if is_below("ports") && text.contains('-') {
        let hint =
            format!("the long form has one port; for a range write `\"{text}:{text}\"` instead");
        return Some(hint);
    }
    if is_below("ulimits")
        && let Some(hint) = limits_of(text)
    {
        return Some(hint);
    }
    let (name, value) = text.split_once(':')?;
    let is_pair = name.chars().all(char::is_alphabetic) && !value.starts_with(' ');
    is_pair.then(|| format!("put a space behind the `:`: `{name}: {value}`"))
}

/// Says how limits are written that other tools write as one text, such as `1024:2048` or `soft=1024`.
fn limits_of(text: &str) -> Option<String> {
    let number = |text: &str| text.trim().parse::<i64>().ok();
    let named = |name: &str| {
        let mut parts = text.split([',', ' ', ';']);
        number(parts.find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))?)
    };
    let (soft, hard) = match text.split_once(':') {
        Some((soft, hard)) if number(soft).is_some() => (number(soft), number(hard)),
        _ => (named("soft"), named("hard")),
    };
    let (soft, hard) = (soft.or(hard)?, hard.or(soft)?);
    Some(format!("write `{{soft: {soft}, hard: {hard}}}`"))
}

/// Finds `${NAME:=value}` or `${NAME=value}`, which shells have, and says what to write.
fn assignment(template: &str) -> Option<String> {
    template.split("${").skip(1).find_map(|rest| {
        let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric())?;
        let (name, rest) = rest.split_at(end);
        let (operator, rest) = match rest.strip_prefix(":=") {
            Some(rest) => (":-", rest),
            None => ("-", rest.strip_prefix('=')?),
        };
        let value = rest.split('}').next().unwrap_or_default();
        Some(format!(
            "only shells assign a value: a default is written `${{{name}{operator}{value}}}`"
        ))
    })
}

/// Turns a problem of a template into a diagnostic.
fn explain(
    problem: &Problem,
    span: Span,
    environment: &BTreeMap<String, String>,
    faults: &[Diagnostic],
) -> Diagnostic {
    match problem {
        Problem::Invalid(text) => {
            Diagnostic::error(span, format!("`{text}` is no valid use of a variable"))
                .expected("expected `${NAME}`, `${NAME:-default}`, `${NAME:?message}` or the like")
                .hint(
                    assignment(text).unwrap_or_else(|| {
                        "a `$` that stands for itself is written `$$`".to_owned()
                    }),
                )
        }
        Problem::Required { name, reason } => {
            let near = suggestion(name, environment.keys().map(String::as_str), faults);
            let message = match reason.as_str() {
                "" => format!("the variable `{name}` must be set"),
                reason => format!("the variable `{name}` must be set: {reason}"),
            };
            Diagnostic::error(span, message).hint(match near {
                _ if reason.starts_with(':') => {
                    format!(
                        "the `:` stands first: `${{{name}:?…}}`, or `${{{name}:-…}}` with a default"
                    )
                }
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("set it in the shell or in `.env`: {name}=value"),
            })
        }
        Problem::TooMuch(message) => Diagnostic::error(span, message),
    }
}
