//! What a service may say, but hardly means: Docker Compose takes it too, and something else happens.

use crate::compose::diagnostic::Diagnostic;
use crate::compose::model::{Project, Service};
use crate::compose::source::Files;
use crate::compose::tree::{Node, Span};

/// Warns of what a service hardly means.
pub(super) fn tell(project: &Project, service: &Service, faults: &mut Vec<Diagnostic>) {
    written_twice(project, service, faults);
    let mut doubt = |path: &str, message: String, hint: String| {
        let span = project
            .places
            .span(&format!("services.{}.{path}", service.name));
        faults.push(Diagnostic::warning(span, message).hint(hint));
    };
    for (name, value) in &service.environment {
        match (name.split_once(':'), value) {
            (Some((before, behind)), None) => doubt(
                &format!("environment.{name}"),
                format!("the name of this variable is `{name}`"),
                format!("write `{before}={behind}`"),
            ),
            (_, Some(value)) if value.starts_with("!reset") || value.starts_with("!override") => {
                doubt(
                    &format!("environment.{name}"),
                    format!("`{value}` is text here"),
                    format!("a tag stands before a whole value: `{name}: !reset null`"),
                );
            }
            _ => {}
        }
    }
    let test = service
        .healthcheck
        .as_ref()
        .map(|check| check.test.as_slice());
    if let Some([kind, line, _, ..]) = test
        && kind == "CMD-SHELL"
    {
        doubt(
            "healthcheck.test.2",
            format!("the shell runs `{line}` without what follows"),
            "write the whole command as one string".to_owned(),
        );
    }
}

/// How far apart two elements with one name are looked for.
const LINES_LIMIT: u32 = 200;
/// How many names of one list are told.
const TWICE_LIMIT: usize = 20;

/// Warns of a name that one list has twice: the earlier value is lost.
fn written_twice(project: &Project, service: &Service, faults: &mut Vec<Diagnostic>) {
    for key in ["environment", "labels"] {
        let path = format!("services.{}.{key}", service.name);
        let list = project.places.node(&path).and_then(Node::as_list);
        let before = faults.len();
        for item in list.unwrap_or_default() {
            if faults.len() == before + TWICE_LIMIT {
                break;
            }
            let mut lost = item.trace.iter().flat_map(|trace| &trace.shadowed);
            let is_beside = |span: Span| is_in_one_list(project.places.files(), span, item.span);
            let lost = lost.find(|lost| lost.value != item.value && is_beside(lost.span));
            let Some(lost) = lost else { continue };
            let text = item.value.to_plain();
            let name = text.split('=').next().unwrap_or_default();
            let warning =
                Diagnostic::warning(item.span, format!("`{name}` stands twice in this list"));
            let warning = warning.note(lost.span, "the earlier value, which is lost, is here");
            faults.push(warning.hint("keep one of them"));
        }
    }
}

/// Tells whether two elements belong to the same list: nothing between them is indented less.
fn is_in_one_list(files: &Files, first: Span, second: Span) -> bool {
    let line = |number: u32| {
        let span = Span {
            line: number,
            ..second
        };
        files.line(span).unwrap_or_default()
    };
    let (last, indent) = (line(second.line), |line: &str| {
        line.len() - line.trim_start().len()
    });
    let distance = second.line.checked_sub(first.line);
    if first.file != second.file || distance.is_none_or(|lines| lines > LINES_LIMIT) {
        return false;
    }
    if first.line == second.line {
        let byte = |column: u32| {
            usize::try_from(column)
                .unwrap_or_default()
                .saturating_sub(1)
        };
        let between = last.get(byte(first.column)..byte(second.column));
        return between.is_some_and(|between| !between.contains(']'));
    }
    let is_inside = |line: &str| {
        let text = line.trim_start();
        text.is_empty() || text.starts_with('#') || indent(line) >= indent(last)
    };
    last.trim_start().starts_with("- ") && (first.line..second.line).all(|it| is_inside(line(it)))
}
