//! The variables that are visible somewhere: an ordered list, and the global arguments.

use std::collections::{BTreeMap, BTreeSet};

use crate::runtime::build::dockerfile::ast::{Dockerfile, Instruction, Kind};
use crate::runtime::build::dockerfile::{Lexer, Mistake, Variables};
use crate::runtime::build::request::Request;
use crate::value::Platform;

/// Variables in the order in which they were set; the last one wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scope(Vec<(String, String)>);

impl Scope {
    /// Sets a variable; it moves to the end.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value.to_owned()));
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The variables as a process gets them.
    pub(super) fn environment(&self) -> Vec<String> {
        let pairs = self.0.iter();
        pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }
}

impl Variables for Scope {
    fn value(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What is known before the first stage.
#[derive(Debug, Clone)]
pub(super) struct Globals {
    /// The predefined and the global arguments with their values.
    pub(super) scope: Scope,
    /// The same, but as if no argument had been given.
    pub(super) defaults: Scope,
    /// Global arguments that were declared, with a value or without.
    pub(super) declared: BTreeSet<String>,
}

impl Globals {
    pub(super) fn read(dockerfile: &Dockerfile, request: &Request) -> Result<Self, Mistake> {
        let lexer = Lexer::new(dockerfile.directives.escape.character());
        let platforms = platform_args(request);
        let mut globals = Self {
            scope: platforms.clone(),
            defaults: platforms,
            declared: BTreeSet::new(),
        };
        for name in globals.scope.names().map(str::to_owned).collect::<Vec<_>>() {
            if let Some(value) = request.args.get(&name) {
                globals.scope.set(&name, value);
            }
        }
        for instruction in &dockerfile.global_args {
            let place = |mistake: Mistake| mistake.at(instruction.lines);
            declare(&mut globals.scope, instruction, lexer, &request.args).map_err(place)?;
            declare(&mut globals.defaults, instruction, lexer, &BTreeMap::new()).map_err(place)?;
            if let Kind::Arg(args) = &instruction.kind {
                let names = args.iter().map(|arg| arg.name.clone());
                globals.declared.extend(names);
            }
        }
        Ok(globals)
    }
}

fn declare(
    scope: &mut Scope,
    instruction: &Instruction,
    lexer: Lexer,
    given: &BTreeMap<String, String>,
) -> Result<(), Mistake> {
    let Kind::Arg(args) = &instruction.kind else {
        return Ok(());
    };
    for arg in args {
        let value = match (given.get(&arg.name), &arg.default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(default)) => {
                Some(lexer.expand(default, scope).map_err(Mistake::from)?.text)
            }
            (None, None) => None,
        };
        if let Some(value) = value {
            scope.set(&arg.name, &value);
        }
    }
    Ok(())
}

fn platform_args(request: &Request) -> Scope {
    let mut scope = Scope::default();
    add_platform(&mut scope, "BUILD", &request.build_platform);
    add_platform(&mut scope, "TARGET", &request.platform);
    let target = request
        .target
        .as_deref()
        .filter(|target| !target.is_empty());
    scope.set("TARGETSTAGE", target.unwrap_or("default"));
    scope
}

fn add_platform(scope: &mut Scope, prefix: &str, platform: &Platform) {
    let name = |end: &str| format!("{prefix}{end}");
    scope.set(&name("PLATFORM"), &platform.to_string());
    scope.set(&name("OS"), platform.os());
    scope.set(&name("OSVERSION"), "");
    scope.set(&name("ARCH"), platform.architecture());
    scope.set(&name("VARIANT"), platform.variant().unwrap_or_default());
}
