//! YAML text into trees: one per document, with the places of everything.
//!
//! Aliases are expanded and merge keys (`<<`) resolved here, so that no later stage knows them.
//! The tags `!reset` and `!override` become paths, which are applied to what came before.
//!
//! **Invariant:** the work is bounded: aliases add at most [`NODE_LIMIT`] values to a document, all
//! documents of a load hold as many as its [`Budget`] has, and none has more than [`DEPTH_LIMIT`] levels.

mod build;
mod hint;
mod scalar;

use std::borrow::Cow;

use saphyr_parser::{Parser, ScanError};

use crate::compose::budget::Budget;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::tree::{Node, Path, Span};

pub(crate) use scalar::resolve;

/// How many nodes aliases may add to a document.
pub(crate) const NODE_LIMIT: usize = 100_000;
/// How deep a document may nest.
pub(crate) const DEPTH_LIMIT: usize = 200;

/// How many values may stand behind `:` and a tab, which the parser does not take.
const TAB_LIMIT: usize = 100;

/// One document of a file.
#[derive(Debug, Default)]
pub(crate) struct Document {
    /// Its value.
    pub(crate) root: Node,
    /// The paths whose earlier values it drops: those tagged `!reset` and `!override`.
    pub(crate) resets: Vec<Path>,
}

/// Reads the documents of a file; what is wrong with them goes to `faults`.
pub(crate) fn parse(
    file: u32,
    text: &str,
    budget: &mut Budget,
    faults: &mut Vec<Diagnostic>,
) -> Vec<Document> {
    let (before, mut text) = (budget.clone(), Cow::Borrowed(text));
    for _ in 0..TAB_LIMIT {
        let (documents, found, refused) = attempt(file, &text, budget);
        if let Some(spaced) = refused
            .as_ref()
            .and_then(|error| hint::without_tab(&text, error))
        {
            text = Cow::Owned(spaced);
            budget.clone_from(&before);
            continue;
        }
        faults.extend(refused.map(|error| syntax(file, &text, &error)));
        faults.extend(found);
        return documents;
    }
    let place = Span {
        file,
        line: 1,
        column: 1,
        width: 1,
    };
    let message = format!("more than {TAB_LIMIT} values stand behind a tab");
    faults.push(Diagnostic::error(place, message).hint("put a space behind the `:` instead"));
    Vec::new()
}

/// Reads as far as the text can be read.
fn attempt(
    file: u32,
    text: &str,
    budget: &mut Budget,
) -> (Vec<Document>, Vec<Diagnostic>, Option<ScanError>) {
    let mut builder = build::Builder::new(file, budget);
    let (mut fault, mut refused) = (None, None);
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, at)) => fault = builder.event(event, at).err(),
            Err(error) => refused = Some(error),
        }
        if fault.is_some() || refused.is_some() {
            break;
        }
    }
    let (documents, mut found) = builder.finish();
    found.extend(fault);
    (documents, found, refused)
}

/// Turns a scanner's complaint into ours.
fn syntax(file: u32, text: &str, error: &ScanError) -> Diagnostic {
    let span = place(file, text, error);
    if error.info().contains("recursion limit") {
        return Diagnostic::error(span, format!("nested deeper than {DEPTH_LIMIT} levels"));
    }
    Diagnostic::error(span, format!("not valid YAML: {}", error.info()))
        .maybe_hint(hint::of(text, error))
}

/// Returns where a complaint belongs: where the scanner stopped, or on the line that it only missed something of.
fn place(file: u32, text: &str, error: &ScanError) -> Span {
    let at = build::span_at(file, *error.marker());
    let number = hint::line_of(text, error);
    let line = text.lines().nth(number).unwrap_or_default();
    let count = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    let number = u32::try_from(number + 1).unwrap_or(u32::MAX);
    if number == at.line {
        return at;
    }
    Span {
        line: number,
        column: count(line) - count(line.trim_start()) + 1,
        width: count(line.trim()).max(1),
        ..at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::tree::Value;

    fn one(text: &str) -> Node {
        let mut faults = Vec::new();
        let mut documents = parse(0, text, &mut Budget::default(), &mut faults);
        assert_eq!(faults, [], "{text}");
        documents.remove(0).root
    }

    fn faults(text: &str) -> Vec<String> {
        let mut faults = Vec::new();
        parse(0, text, &mut Budget::default(), &mut faults);
        faults.into_iter().map(|fault| fault.message).collect()
    }

    #[test]
    fn scalars_resolve_as_yaml_1_1_with_1_2_booleans() {
        let cases = [
            ("010", Value::Int(8)),
            ("0o17", Value::Int(15)),
            ("0x1F", Value::Int(31)),
            ("1_000", Value::Int(1000)),
            ("1e3", Value::Float(1000.0)),
            ("08", Value::Float(8.0)),
            ("yes", Value::Text("yes".into())),
            ("true", Value::Bool(true)),
            ("~", Value::Null),
            ("12:30:45", Value::Text("12:30:45".into())),
            ("'1'", Value::Text("1".into())),
            ("!!str 1", Value::Text("1".into())),
        ];
        for (text, value) in cases {
            assert_eq!(
                one(&format!("a: {text}")).get("a").unwrap().value,
                value,
                "{text}"
            );
        }
    }

    #[test]
    fn a_tab_may_stand_between_a_key_and_its_value() {
        let node = one("a:\tx\nb: |\n  c:\td\n");
        assert_eq!(node.get("a").unwrap().value, Value::Text("x".into()));
        assert_eq!(node.get("b").unwrap().value, Value::Text("c:\td\n".into()));
    }

    #[test]
    fn merge_keys_add_what_is_not_there() {
        let node = one("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\n");
        let merged = node.get("y").unwrap();
        assert_eq!(merged.get("a").unwrap().value, Value::Int(1));
        assert_eq!(merged.get("b").unwrap().value, Value::Int(3));
    }

    #[test]
    fn a_key_written_twice_is_refused() {
        assert_eq!(
            faults("a: 1\nb: 2\na: 3\n"),
            ["the key `a` is written twice"]
        );
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..10 {
            let list = vec![format!("*a{}", level - 1); 10].join(", ");
            text += &format!("a{level}: &a{level} [{list}]\n");
        }
        let found = faults(&text);
        assert!(found[0].contains("aliases"), "{found:?}");
    }

    #[test]
    fn a_long_text_cannot_be_copied_without_end() {
        let long = "x".repeat(100_000);
        let text = format!("a: &a {long}\nb: [{}]\n", "*a, ".repeat(1000));
        let found = faults(&text);
        assert!(found[0].contains("aliases"), "{found:?}");
        let text = format!("a: {}{long}{}\n", "&x [".repeat(190), "]".repeat(190));
        let found = faults(&text.repeat(2));
        assert!(found[0].contains("anchors"), "{found:?}");
    }

    #[test]
    fn more_values_than_a_project_may_hold_are_refused() {
        let found = faults(&format!("a: [{}]\n", "x,".repeat(300_000)));
        assert!(found[0].contains("values"), "{found:?}");
        let found = faults(&"--- a\n".repeat(300_000));
        assert!(found[0].contains("values"), "{found:?}");
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let found = faults(&"[".repeat(1000));
        assert!(found[0].contains("levels"), "{found:?}");
        let found = faults(
            &(0..1000)
                .map(|depth| " ".repeat(depth) + "a:\n")
                .collect::<String>(),
        );
        assert!(found[0].contains("levels"), "{found:?}");
    }
}
