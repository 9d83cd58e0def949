//! `--check` and `--print`: what the lint checks say of a Dockerfile, and what it comes to.

use super::shown;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::invocation::Invocation;
use crate::runtime::build::graph::Base;
use crate::runtime::build::request::Request;
use crate::runtime::build::resolve::{self, Warning};
use crate::runtime::build::{BuildError, Workshop};

/// Checks a Dockerfile; a finding is a failure, as with Docker.
pub(super) async fn check(
    invocation: &Invocation,
    request: &Request,
    workshop: &Workshop,
) -> Result<ExitStatus, CommandError> {
    let dockerfile = &request.dockerfile;
    let failed = |error| shown::failed(invocation, dockerfile, error);
    let checked = resolve::check(request, workshop).await.map_err(failed)?;
    let mut output = invocation.stdout();
    output.line(&summary(checked.warnings.len()))?;
    for warning in &checked.warnings {
        output.line("")?;
        output.line(&heading(warning))?;
        output.line(&warning.message)?;
        output.bytes(shown::excerpt(dockerfile, warning).as_bytes())?;
    }
    if let Some(mistake) = checked.mistake {
        return Err(failed(BuildError::from(mistake)));
    }
    if !checked.violated.is_empty() {
        return Err(CommandError::user(resolve::violation(&checked.violated)));
    }
    Ok(match checked.warnings.len() {
        0 => ExitStatus::Done,
        _ => ExitStatus::Failed,
    })
}

/// Shows the stages that are needed and their steps.
pub(super) async fn print(
    invocation: &Invocation,
    request: &Request,
    workshop: &Workshop,
) -> Result<ExitStatus, CommandError> {
    let failed = |error| shown::failed(invocation, &request.dockerfile, error);
    let resolved = resolve::resolve(request, workshop).await.map_err(failed)?;
    let stages = &resolved.graph.stages;
    let mut output = invocation.stdout();
    for stage in stages {
        let base = match &stage.base {
            Base::Scratch => "scratch".to_owned(),
            Base::Image(image) => format!("image {}", image.name),
            Base::Stage(id) => format!("stage {}", stages[id.0].name),
            Base::Context(name) => format!("context {}", name.0),
        };
        output.line(&format!("stage {} from {base}", stage.name))?;
        for step in &stage.steps {
            let text = step.text.lines().next().unwrap_or_default();
            output.line(&format!("  line {:<4} {text}", step.line))?;
        }
    }
    Ok(ExitStatus::Done)
}

fn summary(count: usize) -> String {
    match count {
        0 => "Check complete, no warnings found.".to_owned(),
        1 => "Check complete, 1 warning has been found!".to_owned(),
        count => format!("Check complete, {count} warnings have been found!"),
    }
}

/// `WARNING: StageNameCasing - https://…`
fn heading(warning: &Warning) -> String {
    let name = warning.rule.name();
    let mut page = String::new();
    let mut before = 'A';
    for letter in name.chars() {
        if letter.is_uppercase() && before.is_lowercase() {
            page.push('-');
        }
        page.extend(letter.to_lowercase());
        before = letter;
    }
    format!("WARNING: {name} - https://docs.docker.com/go/dockerfile/rule/{page}/")
}
