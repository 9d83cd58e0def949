//! One stage: its instructions in order, each into a step.

use std::collections::BTreeMap;

use crate::runtime::build::dockerfile::ast::{Instruction, Lines};
use crate::runtime::build::dockerfile::{Lexer, Mistake, suggestion};
use crate::runtime::build::document::History;
use crate::runtime::build::graph::{Operation, Source, Step};
use crate::runtime::build::request::Request;

use super::lint::{Lint, Rule};
use super::scope::Globals;
use super::state::State;

/// The mark of an entry in an image's history.
const COMMENT: &str = "buildkit.dockerfile.v0";

/// What `--from` and `from=` names stand for in one stage.
pub(super) type Sources = BTreeMap<String, Source>;

/// A stage in the making.
pub(super) struct Interpreter<'a> {
    pub(super) escape: char,
    pub(super) globals: &'a Globals,
    pub(super) request: &'a Request,
    pub(super) sources: &'a Sources,
    pub(super) lint: &'a mut Lint,
    pub(super) state: State,
    pub(super) steps: Vec<Step>,
}

/// What an instruction came to.
pub(super) struct Outcome {
    pub(super) history: Option<String>,
    pub(super) operation: Option<Operation>,
}

impl Outcome {
    /// Only the configuration changed.
    pub(super) fn config(history: impl Into<String>) -> Self {
        Self {
            history: Some(history.into()),
            operation: None,
        }
    }

    /// Files change.
    pub(super) fn files(history: impl Into<String>, operation: Operation) -> Self {
        Self {
            history: Some(history.into()),
            operation: Some(operation),
        }
    }
}

impl Interpreter<'_> {
    /// Adds the step of an instruction.
    pub(super) fn add(&mut self, instruction: &Instruction) -> Result<(), Mistake> {
        let lines = instruction.lines;
        let text = self.shown(instruction);
        let outcome = self.dispatch(instruction).map_err(|m| m.at(lines))?;
        let Some(created_by) = outcome.history else {
            return Ok(());
        };
        let history = History {
            created_by,
            comment: COMMENT.to_owned(),
            empty_layer: outcome.operation.is_none(),
            ..History::default()
        };
        self.state.document.history.push(history.clone());
        self.steps.push(Step {
            line: lines.first,
            text,
            operation: outcome.operation,
            history,
        });
        Ok(())
    }

    /// The instruction for people.
    fn shown(&self, instruction: &Instruction) -> String {
        let keyword = instruction.keyword.to_uppercase();
        let rest = instruction.text.get(instruction.keyword.len()..);
        let text = format!("{keyword}{}", rest.unwrap_or_default());
        let expanded = Lexer::raw(self.escape).expand(&text, &self.state.scope);
        expanded.map_or(text, |expansion| expansion.text)
    }

    /// Expands a word.
    pub(super) fn expand(&mut self, word: &str, lines: Lines) -> Result<String, Mistake> {
        let expansion = Lexer::new(self.escape).expand(word, &self.state.scope)?;
        for name in &expansion.missing {
            self.report_undefined(name, lines);
        }
        Ok(expansion.text)
    }

    /// Expands a text into words.
    pub(super) fn words(&mut self, text: &str, lines: Lines) -> Result<Vec<String>, Mistake> {
        self.expand(text, lines)?;
        Ok(Lexer::new(self.escape).words(text, &self.state.scope)?)
    }

    /// Expands the text of a heredoc.
    pub(super) fn expand_heredoc(&mut self, text: &str) -> Result<String, Mistake> {
        let lexer = Lexer::for_heredoc(self.escape);
        Ok(lexer.expand(text, &self.state.scope)?.text)
    }

    fn report_undefined(&mut self, name: &str, lines: Lines) {
        let args = self.state.args.iter().map(|(name, _)| name.as_str());
        if args.clone().any(|arg| arg == name) {
            return;
        }
        let meant = suggestion(name, self.state.scope.names().chain(args));
        let meant = meant.map(|meant| format!(" (did you mean ${meant}?)"));
        let message = format!(
            "Usage of undefined variable '${name}'{}",
            meant.unwrap_or_default()
        );
        self.lint.warn(Rule::UndefinedVar, lines, message);
    }
}
