//! A [`Request`] into a [`Graph`]: stages are chosen and ordered, variables expanded, bases found.

mod base;
mod check;
mod copy;
mod expose;
mod instruction;
mod lint;
mod mount;
mod quote;
mod run;
mod scope;
mod secret;
mod stage;
mod state;
mod walk;

#[cfg(test)]
mod tests;

use crate::runtime::build::BuildError;
use crate::runtime::build::dockerfile::{self, Mistake};
use crate::runtime::build::graph::{Graph, Images};
use crate::runtime::build::request::Request;

pub use lint::{Rule, Warning};

/// What a Dockerfile comes to.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The build.
    pub graph: Graph,
    /// What the lint checks say, in order of lines.
    pub warnings: Vec<Warning>,
}

/// Which stages are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those that the target needs.
    Needed,
    /// All of them: a check without a target looks at every stage.
    All,
}

/// What a check found.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What the lint checks say, in order of lines.
    pub warnings: Vec<Warning>,
    /// Why the Dockerfile cannot be built, if so.
    pub mistake: Option<Mistake>,
    /// The rules that the author or the caller made errors.
    pub violated: Vec<Rule>,
}

/// Resolves a build.
pub async fn resolve(request: &Request, images: &dyn Images) -> Result<Resolved, BuildError> {
    let dockerfile = dockerfile::parse(&request.dockerfile.text)?;
    let mut lint = lint::Lint::new(&dockerfile, request)?;
    check::file(&dockerfile, &mut lint);
    let graph = walk::graph(&dockerfile, request, images, (&mut lint, Reach::Needed)).await?;
    let violated = lint.violated();
    let warnings = lint.into_warnings();
    if violated.is_empty() {
        return Ok(Resolved { graph, warnings });
    }
    Err(Mistake::new(violation(&violated)).into())
}

/// Runs the lint checks only.
pub async fn check(request: &Request, images: &dyn Images) -> Result<Checked, BuildError> {
    let dockerfile = dockerfile::parse(&request.dockerfile.text)?;
    let mut lint = lint::Lint::new(&dockerfile, request)?;
    check::file(&dockerfile, &mut lint);
    let reach = match request.target {
        Some(_) => Reach::Needed,
        None => Reach::All,
    };
    let walked = walk::graph(&dockerfile, request, images, (&mut lint, reach)).await;
    let mistake = match walked {
        Ok(_) => None,
        Err(BuildError::Dockerfile(mistake)) => Some(*mistake),
        Err(other) => return Err(other),
    };
    Ok(Checked {
        violated: lint.violated(),
        warnings: lint.into_warnings(),
        mistake,
    })
}

/// Says which rules were violated.
pub fn violation(rules: &[Rule]) -> String {
    let names: Vec<&str> = rules.iter().map(|rule| rule.name()).collect();
    format!("lint violation found for rules: {}", names.join(", "))
}
