//! Commands: a list of words, or one line that is split into words as a shell would split it.
//!
//! **Invariant:** `None` keeps what the image says, an empty list clears it.

use serde_json::Value as Json;

use crate::compose::diagnostic::Diagnostic;
use crate::compose::model::field::{Field, Form};
use crate::compose::model::outline;
use crate::compose::tree::{Node, Value};

impl Field for Option<Vec<String>> {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        match &node.value {
            Value::Text(line) => {
                let split = split_words(line);
                if split.is_none() {
                    let fault = Diagnostic::error(node.span, "the command ends inside a quotation");
                    faults.push(fault.hint("close the quotation, or write the command as a list"));
                }
                let (words, operator) = split?;
                if let Some(operator) = operator {
                    let message =
                        format!("the command ends before `{operator}`: what follows is not run");
                    let hint =
                        "no shell reads it: write `sh -c '…'` around it, or quote the character";
                    faults.push(Diagnostic::warning(node.span, message).hint(hint));
                }
                if words.len() > WORD_LIMIT {
                    let message = format!("the command has more than {WORD_LIMIT} words");
                    faults.push(Diagnostic::error(node.span, message));
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

/// How many words a command may have: no kernel takes so many.
const WORD_LIMIT: usize = 100_000;

/// Where the splitter is.
#[derive(Clone, Copy, PartialEq)]
enum Quote {
    None,
    Single,
    Double,
}

/// Splits a line into words; `None` when a quotation stays open.
///
/// Stops at an unquoted `;`, `&`, `|`, `<` or `>`, as Docker Compose does: what follows is not run.
fn split_words(line: &str) -> Option<(Vec<String>, Option<char>)> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut in_word = false;
    let mut quote = Quote::None;
    let mut escaped = false;
    for c in line.chars() {
        if escaped {
            word.push(c);
            in_word = true;
            escaped = false;
            continue;
        }
        match (c, quote) {
            ('\\', Quote::None | Quote::Double) => escaped = true,
            ('\'', Quote::None) => (quote, in_word) = (Quote::Single, true),
            ('"', Quote::None) => (quote, in_word) = (Quote::Double, true),
            ('\'', Quote::Single) | ('"', Quote::Double) => quote = Quote::None,
            (' ' | '\t' | '\r' | '\n', Quote::None) => {
                if std::mem::take(&mut in_word) {
                    words.push(std::mem::take(&mut word));
                }
                if words.len() > WORD_LIMIT {
                    break;
                }
            }
            (';' | '&' | '|' | '<' | '>', Quote::None) => {
                return Some((stopped(words, word, c), Some(c)));
            }
            _ => {
                word.push(c);
                in_word = true;
            }
        }
    }
    if words.len() <= WORD_LIMIT && (escaped || quote != Quote::None) {
        return None;
    }
    if in_word {
        words.push(word);
    }
    Some((words, None))
}

/// Ends the words at an operator; a number before a redirection belongs to the redirection.
fn stopped(mut words: Vec<String>, word: String, operator: char) -> Vec<String> {
    let redirects = operator == '>' && word.starts_with(|c: char| c.is_ascii_digit());
    if !word.is_empty() && !redirects {
        words.push(word);
    }
    words
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
        assert_eq!(split_words("echo 'a"), None);
    }

    #[test]
    fn nothing_after_an_operator_is_part_of_the_command() {
        let (words, operator) = split_words("a b; c").unwrap();
        assert_eq!(words, ["a", "b"]);
        assert_eq!(operator, Some(';'));
    }
}
