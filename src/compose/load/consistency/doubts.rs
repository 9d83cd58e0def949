//! What a service may say, but hardly means: Docker Compose takes it too, and something else happens.

use crate::compose::diagnostic::Diagnostic;
use crate::compose::model::{Project, Service};

/// Warns of what a service hardly means.
pub(super) fn tell(project: &Project, service: &Service, faults: &mut Vec<Diagnostic>) {
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
