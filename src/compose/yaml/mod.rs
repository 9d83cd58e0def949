//! YAML text into trees: one per document, with the places of everything.
//!
//! Aliases are expanded and merge keys (`<<`) resolved here, so that no later stage knows them.
//! The tags `!reset` and `!override` become paths, which are applied to what came before.
//!
//! **Invariant:** the work is bounded: a document has at most [`NODE_LIMIT`] nodes after its
//! aliases are expanded and at most [`DEPTH_LIMIT`] levels.

mod build;
mod scalar;

use saphyr_parser::{Parser, ScanError};

use crate::compose::diagnostic::Diagnostic;
use crate::compose::tree::{Node, Path, Span};

pub(crate) use scalar::resolve;

/// How many nodes aliases may add to a document.
pub(crate) const NODE_LIMIT: usize = 100_000;
/// How deep a document may nest.
pub(crate) const DEPTH_LIMIT: usize = 200;

/// One document of a file.
#[derive(Debug, Default)]
pub(crate) struct Document {
    /// Its value.
    pub(crate) root: Node,
    /// The paths whose earlier values it drops: those tagged `!reset` and `!override`.
    pub(crate) resets: Vec<Path>,
}

/// Reads the documents of a file; what is wrong with them goes to `faults`.
pub(crate) fn parse(file: u32, text: &str, faults: &mut Vec<Diagnostic>) -> Vec<Document> {
    let mut builder = build::Builder::new(file);
    for event in Parser::new_from_str(text) {
        let accepted = match event {
            Ok((event, at)) => builder.event(event, at),
            Err(error) => Err(syntax(file, text, &error)),
        };
        if let Err(fault) = accepted {
            faults.push(fault);
            break;
        }
    }
    let (documents, found) = builder.finish();
    faults.extend(found);
    documents
}

/// Turns a scanner's complaint into ours.
fn syntax(file: u32, text: &str, error: &ScanError) -> Diagnostic {
    let span = Span {
        file,
        ..build::span_at(file, *error.marker())
    };
    let line = text
        .lines()
        .nth(error.marker().line().saturating_sub(1))
        .unwrap_or_default();
    let hint = if line.trim_start().starts_with('\t')
        || line.contains('\t') && line.trim().is_empty()
        || error.info().contains("tabs disallowed")
    {
        Some("YAML is indented with spaces; this line begins with a tab")
    } else if error.info().contains("unknown anchor") {
        Some("an anchor `&name` must stand above, in the same file")
    } else if error.info().contains("mapping values are not allowed") {
        Some("a value that contains `: ` must be quoted; also check the indentation of this line")
    } else if error.info().contains("simple key") || error.info().contains("':'") {
        Some("a key needs `:` and a space behind it; check the lines above as well")
    } else {
        None
    };
    if error.info().contains("recursion limit") {
        return Diagnostic::error(span, format!("nested deeper than {DEPTH_LIMIT} levels"));
    }
    Diagnostic::error(span, format!("not valid YAML: {}", error.info()))
        .maybe_hint(hint.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::tree::Value;

    fn one(text: &str) -> Node {
        let mut faults = Vec::new();
        let mut documents = parse(0, text, &mut faults);
        assert_eq!(faults, [], "{text}");
        documents.remove(0).root
    }

    fn faults(text: &str) -> Vec<String> {
        let mut faults = Vec::new();
        parse(0, text, &mut faults);
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
