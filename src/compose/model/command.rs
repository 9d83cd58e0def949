//! Commands: a list of words, or one line that is split into words as a shell would split it.
//!
//! **Invariant:** `None` keeps what the image says, an empty list clears it.

use serde_json::Value as Json;
use thiserror::Error;

use crate::compose::diagnostic::Diagnostic;
use crate::compose::model::field::{Field, Form};
use crate::compose::model::outline;
use crate::compose::tree::{Node, Value};

impl Field for Option<Vec<String>> {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        match &node.value {
            Value::Text(line) => {
                let (words, operator) = match split_words(line) {
                    Ok(split) => split,
                    Err(unfit) => {
                        faults.push(refusal(node, unfit));
                        return None;
                    }
                };
                if let Some(operator) = operator {
                    let message =
                        format!("the command ends before `{operator}`: what follows is not run");
                    let hint =
                        "no shell reads it: write `sh -c '…'` around it, or quote the character";
                    faults.push(Diagnostic::warning(node.span, message).hint(hint));
                }
                Some(words)
            }
            Value::List(list) => Some(list.iter().map(|word| word.value.to_plain()).collect()),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Map(_) => None,
        }
    }

    fn schema() -> Json {
        outline::or_null(outline::list(outline::text()))
    }

    fn print(&self, form: Form) -> Option<Json> {
        match (self, form) {
            (None, Form::Json) => Some(Json::Null),
            (None, Form::Yaml) => None,
            (Some(words), _) => Some(words.iter().cloned().map(Json::String).collect()),
        }
    }
}

fn refusal(node: &Node, unfit: Unfit) -> Diagnostic {
    match unfit {
        Unfit::Open => Diagnostic::error(node.span, "the command ends inside a quotation")
            .hint("close the quotation, or write the command as a list"),
        Unfit::Parenthesis => Diagnostic::error(
            node.span,
            "no shell runs the command, so `(` and `)` mean nothing",
        )
        .hint("put the parentheses in quotation marks, or begin with `sh -c`"),
        Unfit::TooLong => Diagnostic::error(
            node.span,
            format!("the command has more than {WORD_LIMIT} words"),
        ),
    }
}

/// How many words a command may have: no kernel takes so many.
const WORD_LIMIT: usize = 100_000;

/// What can stay open across blanks.
#[derive(Clone, Copy, PartialEq)]
enum Quote {
    Single,
    Double,
    /// Between backquotes.
    Back,
    /// Between `$(` and `)`.
    Dollar,
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// A quotation stays open.
    #[error("a quotation stays open")]
    Open,
    /// A parenthesis stands where a shell would begin another one.
    #[error("a parenthesis must be quoted")]
    Parenthesis,
    /// It has more words than any kernel takes.
    #[error("there are too many words")]
    TooLong,
}

/// Splits a line that was typed into words, up to the first operator of a shell.
pub fn command_words(line: &str) -> Result<Vec<String>, Unfit> {
    split_words(line).map(|(words, _)| words)
}

/// Splits a line into words.
///
/// Stops at an unquoted `;`, `&`, `|`, `<` or `>`, as Docker Compose does: what follows is not run.
/// The operator is the one that it stopped at.
fn split_words(line: &str) -> Result<(Vec<String>, Option<char>), Unfit> {
    let mut splitter = Splitter::default();
    for c in line.chars() {
        if splitter.open.is_empty() && !splitter.escaped && ";&|<>".contains(c) {
            return Ok((splitter.stopped(c), Some(c)));
        }
        splitter.take(c)?;
        if splitter.words.len() > WORD_LIMIT {
            return Err(Unfit::TooLong);
        }
    }
    Ok((splitter.finish()?, None))
}

/// A line that is being split.
#[derive(Default)]
struct Splitter {
    words: Vec<String>,
    word: String,
    in_word: bool,
    escaped: bool,
    open: Vec<Quote>,
}

impl Splitter {
    fn take(&mut self, c: char) -> Result<(), Unfit> {
        let within = |quote| self.open.contains(&quote);
        let (single, double) = (within(Quote::Single), within(Quote::Double));
        let (back, dollar) = (within(Quote::Back), within(Quote::Dollar));
        match c {
            _ if std::mem::take(&mut self.escaped) => self.push(c),
            '\\' if single => self.word.push(c),
            '\\' => self.escaped = true,
            ' ' | '\t' | '\r' | '\n' if self.open.is_empty() => self.end_word(),
            '"' if !single && !dollar => self.toggle(Quote::Double),
            '\'' if !double && !dollar => self.toggle(Quote::Single),
            '`' if !single && !double && !dollar => {
                self.toggle(Quote::Back);
                self.word.push(c);
            }
            '(' if !single && !double && !back => {
                if dollar || !self.word.ends_with('$') {
                    return Err(Unfit::Parenthesis);
                }
                self.toggle(Quote::Dollar);
                self.word.push(c);
            }
            ')' if !single && !double && !back => {
                self.toggle(Quote::Dollar);
                self.word.push(c);
            }
            _ => self.push(c),
        }
        Ok(())
    }

    fn push(&mut self, c: char) {
        self.word.push(c);
        self.in_word = true;
    }

    /// Opens or closes a quotation; even an empty one is a word.
    fn toggle(&mut self, quote: Quote) {
        self.in_word = true;
        match self.open.iter().position(|open| *open == quote) {
            Some(index) => drop(self.open.remove(index)),
            None => self.open.push(quote),
        }
    }

    fn end_word(&mut self) {
        if std::mem::take(&mut self.in_word) {
            self.words.push(std::mem::take(&mut self.word));
        }
    }

    /// Ends the words at an operator; a number before a redirection belongs to the redirection.
    fn stopped(mut self, operator: char) -> Vec<String> {
        if operator != '>' || !self.word.starts_with(|c: char| c.is_ascii_digit()) {
            self.end_word();
        }
        self.words
    }

    fn finish(mut self) -> Result<Vec<String>, Unfit> {
        if self.open.contains(&Quote::Dollar) {
            return Err(Unfit::Parenthesis);
        }
        if self.escaped || !self.open.is_empty() {
            return Err(Unfit::Open);
        }
        self.end_word();
        Ok(self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_like_a_shell_splits_it() {
        let (words, _) = split_words(r#"sh -c "echo 'a  b'" x\ y ''"#).unwrap();
        assert_eq!(words, ["sh", "-c", "echo 'a  b'", "x y", ""]);
    }

    #[test]
    fn an_open_quotation_is_no_command() {
        for line in ["echo 'a", "echo \"a", "echo `a", "echo \\"] {
            assert_eq!(split_words(line), Err(Unfit::Open), "{line}");
        }
    }

    #[test]
    fn what_a_shell_would_replace_is_one_word() {
        assert_eq!(split_words("a $(b 'c) d").unwrap().0, ["a", "$(b 'c)", "d"]);
        assert_eq!(split_words("`a | b` c").unwrap().0, ["`a | b`", "c"]);
    }

    #[test]
    fn other_parentheses_are_refused_unless_they_are_quoted() {
        for line in ["(a)", "a(b)", "a)", "$(a $(b))", "$(a", "a (b"] {
            assert_eq!(split_words(line), Err(Unfit::Parenthesis), "{line}");
        }
        assert_eq!(split_words("'(a)' \\(").unwrap().0, ["(a)", "("]);
    }

    #[test]
    fn nothing_after_an_operator_is_part_of_the_command() {
        let (words, operator) = split_words("a b; c").unwrap();
        assert_eq!(words, ["a", "b"]);
        assert_eq!(operator, Some(';'));
        assert_eq!(split_words("a '' 2>b").unwrap().0, ["a", ""]);
    }
}
