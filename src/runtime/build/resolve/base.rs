//! What each `FROM` means, before anything is looked up.

use std::collections::BTreeMap;

use crate::runtime::build::dockerfile::ast::{Dockerfile, Stage};
use crate::runtime::build::dockerfile::{Expansion, Lexer, Mistake, Variables as _, suggestion};
use crate::value::{ImageRef, Platform};

use super::lint::{Lint, Rule};
use super::scope::Globals;

/// The base of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BaseName {
    /// `scratch`
    Scratch,
    /// An earlier stage, by its place in the file.
    Stage(usize),
    /// Anything else: a named context or an image.
    Other(String),
}

/// A stage's `FROM`, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct From {
    pub(super) base: BaseName,
    /// `--platform`; none where it was not given.
    pub(super) platform: Option<Platform>,
}

/// Reads the `FROM` of every stage, needed or not.
pub(super) fn read_all(
    dockerfile: &Dockerfile,
    globals: &Globals,
    lint: &mut Lint,
) -> Result<Vec<From>, Mistake> {
    let lexer = Lexer::new(dockerfile.directives.escape.character());
    let mut reader = Reader {
        lexer,
        globals,
        lint,
    };
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for (index, stage) in dockerfile.stages.iter().enumerate() {
        let from = reader.read(stage, &names).map_err(|m| m.at(stage.lines))?;
        found.push(from);
        if let Some(name) = &stage.name {
            names.insert(name.to_lowercase(), index);
        }
    }
    Ok(found)
}

struct Reader<'a> {
    lexer: Lexer,
    globals: &'a Globals,
    lint: &'a mut Lint,
}

impl Reader<'_> {
    fn read(&mut self, stage: &Stage, names: &BTreeMap<String, usize>) -> Result<From, Mistake> {
        let name = self.lexer.expand(&stage.base, &self.globals.scope)?;
        self.report_undefined(stage, &name);
        self.report_default(stage, &name);
        if name.text.is_empty() {
            let message = format!("base name ({}) should not be blank", stage.base);
            let hint = "only ARGs above the first FROM are visible here";
            return Err(Mistake::new(message).with_hint(Some(hint.to_owned())));
        }
        let base = match names.get(&name.text.to_lowercase()) {
            Some(index) => BaseName::Stage(*index),
            None if name.text == "scratch" => BaseName::Scratch,
            None => BaseName::Other(name.text),
        };
        let platform = match &stage.platform {
            Some(platform) => Some(self.platform(stage, platform)?),
            None => None,
        };
        Ok(From { base, platform })
    }

    fn platform(&mut self, stage: &Stage, written: &str) -> Result<Platform, Mistake> {
        let found = self.lexer.expand(written, &self.globals.scope)?;
        self.report_undefined(stage, &found);
        if found.text.is_empty() {
            let missing = found.missing.iter().next();
            let hint = missing.and_then(|name| suggestion(name, self.globals.scope.names()));
            let message = format!("empty platform value from expression {written}");
            let hint = hint.map(|name| format!("did you mean {name}?"));
            return Err(Mistake::new(message).with_hint(hint));
        }
        let platform: Platform = found.text.parse().map_err(|error| {
            Mistake::new(format!("failed to parse platform {}: {error}", found.text))
        })?;
        self.report_platform(stage, (written, &found), &platform);
        Ok(platform)
    }

    fn report_platform(
        &mut self,
        stage: &Stage,
        (written, found): (&str, &Expansion),
        platform: &Platform,
    ) {
        if found.used.is_empty() && found.missing.is_empty() {
            let name = stage.name.as_deref().unwrap_or_default().to_lowercase();
            if name.contains(platform.os()) || name.contains(platform.architecture()) {
                return;
            }
            let message = format!("FROM --platform flag should not use constant value {written:?}");
            self.lint
                .warn(Rule::FromPlatformFlagConstDisallowed, stage.lines, message);
            return;
        }
        let is_target_only = found.missing.is_empty()
            && found.used.len() == 1
            && found.used.contains("TARGETPLATFORM");
        if is_target_only && self.globals.scope.value("TARGETPLATFORM") == Some(&found.text) {
            let message = format!(
                "Setting platform to predefined {written} in FROM is redundant as this is the default behavior"
            );
            self.lint
                .warn(Rule::RedundantTargetPlatform, stage.lines, message);
        }
    }

    fn report_undefined(&mut self, stage: &Stage, found: &Expansion) {
        let undeclared = found.missing.iter();
        for name in undeclared.filter(|name| !self.globals.declared.contains(*name)) {
            let known = self.globals.scope.names();
            let known = known.chain(self.globals.declared.iter().map(String::as_str));
            let meant = suggestion(name, known);
            let meant = meant.map(|meant| format!(" (did you mean {meant}?)"));
            let message = format!(
                "FROM argument '{name}' is not declared{}",
                meant.unwrap_or_default()
            );
            self.lint
                .warn(Rule::UndefinedArgInFrom, stage.lines, message);
        }
    }

    /// With the defaults alone the base must have a name, too.
    fn report_default(&mut self, stage: &Stage, found: &Expansion) {
        let has_variables = !found.used.is_empty() || !found.missing.is_empty();
        if !has_variables {
            return;
        }
        let by_default = self.lexer.expand(&stage.base, &self.globals.defaults);
        let name = by_default.map(|found| found.text).unwrap_or_default();
        if name.is_empty() || name.parse::<ImageRef>().is_err() {
            let message = format!(
                "Default value for ARG {} results in empty or invalid base image name",
                stage.base
            );
            self.lint
                .warn(Rule::InvalidDefaultArgInFrom, stage.lines, message);
        }
    }
}
