//! The project's name: `-p`, `COMPOSE_PROJECT_NAME`, the last `name:`, the directory.

use crate::compose::budget::Budget;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::interpolate::Interpolator;
use crate::compose::load::files::Documents;
use crate::compose::load::locate::Located;
use crate::compose::model::NameFrom;
use crate::compose::options::LoadOptions;
use crate::compose::tree::{Node, Span};

/// Decides the name; a name that was asked for must be valid, one from a file is made so.
pub(super) fn project_name(
    options: &LoadOptions,
    located: &Located,
    documents: &[Documents],
    faults: &mut Vec<Diagnostic>,
) -> Option<(String, NameFrom)> {
    let from_environment = located.environment.get("COMPOSE_PROJECT_NAME");
    let asked = options
        .project_name
        .as_ref()
        .or(from_environment)
        .filter(|name| !name.is_empty());
    if let Some(asked) = asked {
        let before = faults.len();
        let name = checked(asked, faults);
        if let (Some(fault), None) = (faults.get_mut(before), &options.project_name) {
            let file = located.origins.get("COMPOSE_PROJECT_NAME");
            let from = file.map_or("the shell".to_owned(), |file| {
                format!("`{}`", file.display())
            });
            fault.message += &format!(": it is `COMPOSE_PROJECT_NAME` in {from}");
        }
        let from = if options.project_name.is_some() {
            NameFrom::Flag
        } else {
            NameFrom::Variable
        };
        return Some((name?, from));
    }
    let roots = documents.iter().flat_map(|file| &file.documents);
    let mut written = roots.filter_map(|document| document.root.get("name"));
    let written = written.rfind(|name| name.as_text().is_none_or(|text| !text.is_empty()));
    let (name, span, from) = match written {
        Some(node) => {
            let name = from_file(node, options, located, faults)?;
            (name, node.span, NameFrom::File)
        }
        None => {
            let name = normalized(&located.default_name);
            (name, Span::default(), NameFrom::Directory)
        }
    };
    if name.is_empty() {
        let message = "the project has no usable name";
        let fault = Diagnostic::error(span, message);
        faults.push(fault.hint("give one with `--project-name`, or write `name:` in the file"));
        return None;
    }
    Some((name, from))
}

fn checked(name: &str, faults: &mut Vec<Diagnostic>) -> Option<String> {
    if normalized(name) == name {
        return Some(name.to_owned());
    }
    let fault = Diagnostic::error(
        Span::default(),
        format!("`{name}` is no valid project name"),
    );
    let hint = match normalized(name).as_str() {
        "" => "use small letters, digits, `-` and `_`".to_owned(),
        better => format!("use small letters, digits, `-` and `_`, such as `{better}`"),
    };
    faults.push(fault.hint(hint));
    None
}

fn from_file(
    node: &Node,
    options: &LoadOptions,
    located: &Located,
    faults: &mut Vec<Diagnostic>,
) -> Option<String> {
    let mut node = node.clone();
    if node.as_text().is_none() {
        let message = format!("`name` cannot be {}", node.value.kind());
        faults.push(Diagnostic::error(node.span, message).expected("expected a string"));
        return None;
    }
    if !options.switches.no_interpolate {
        let before = faults.len();
        let mut found = Vec::new();
        Interpolator::new(&located.environment, &mut Budget::default(), &mut found).run(&mut node);
        // Warnings come again when the whole file is interpolated.
        faults.extend(
            found
                .into_iter()
                .filter(|f| f.severity == crate::compose::Severity::Error),
        );
        if faults.len() > before {
            return None;
        }
    }
    let name = node.as_text().unwrap_or_default();
    Some(if options.switches.no_normalize {
        name.to_owned()
    } else {
        normalized(name)
    })
}

/// Keeps small letters, digits, `-` and `_`, and no `-` or `_` in front.
fn normalized(name: &str) -> String {
    let name = name.to_lowercase();
    let fits = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let kept: String = name.chars().filter(fits).collect();
    kept.trim_start_matches(['-', '_']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_what_is_allowed() {
        assert_eq!(normalized("My App_1.0"), "myapp_10");
        assert_eq!(normalized("--x"), "x");
        assert_eq!(normalized("…"), "");
    }
}
