//! The lint checks by the names that BuildKit gave them, and which of them are wanted.

use std::collections::BTreeSet;

use crate::runtime::build::dockerfile::Mistake;
use crate::runtime::build::dockerfile::ast::{Dockerfile, Lines};
use crate::runtime::build::request::Request;

macro_rules! rules {
    ($($name:ident: $text:literal),* $(,)?) => {
        /// A lint check.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule {
            $(#[doc = $text] $name),*
        }

        impl Rule {
            const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the name that `# check=skip=` takes.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// Says what the check is about.
            pub fn description(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

rules! {
    ConsistentInstructionCasing: "All commands within the Dockerfile should use the same casing (either upper or lower)",
    DuplicateStageName: "Stage names should be unique",
    ExposeInvalidFormat: "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
    ExposeProtoCasing: "Protocol in EXPOSE instruction should be lowercase",
    FromAsCasing: "The 'as' keyword should match the case of the 'from' keyword",
    FromPlatformFlagConstDisallowed: "FROM --platform flag should not use a constant value",
    InvalidDefaultArgInFrom: "Default value for global ARG results in an empty or invalid base image name",
    InvalidDefinitionDescription: "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
    JSONArgsRecommended: "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
    LegacyKeyValueFormat: "Legacy key/value format with whitespace separator should not be used",
    MaintainerDeprecated: "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    MultipleInstructionsDisallowed: "Multiple instructions of the same type should not be used in the same stage",
    NoEmptyContinuation: "Empty continuation lines will become errors in a future release",
    RedundantTargetPlatform: "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    ReservedStageName: "Reserved words should not be used as stage names",
    SecretsUsedInArgOrEnv: "Sensitive data should not be used in the ARG or ENV commands",
    StageNameCasing: "Stage names should be lowercase",
    UndefinedArgInFrom: "FROM command must use declared ARGs",
    UndefinedVar: "Variables should be defined before their use",
    WorkdirRelativePath: "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// Where.
    pub lines: Lines,
    /// By which check.
    pub rule: Rule,
    /// What.
    pub message: String,
}

/// The findings, and which are wanted.
#[derive(Debug, Clone)]
pub(super) struct Lint {
    skip: Skip,
    experimental: Skip,
    is_error: bool,
    found: BTreeSet<Warning>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Skip {
    All,
    Rules(BTreeSet<Rule>),
}

impl Skip {
    fn contains(&self, rule: Rule) -> bool {
        match self {
            Self::All => true,
            Self::Rules(rules) => rules.contains(&rule),
        }
    }
}

impl Lint {
    /// The argument `BUILDKIT_DOCKERFILE_CHECK` wins over the directive `# check=`.
    pub(super) fn new(dockerfile: &Dockerfile, request: &Request) -> Result<Self, Mistake> {
        let given = request.args.get("BUILDKIT_DOCKERFILE_CHECK");
        let options = given.or(dockerfile.directives.check.as_ref());
        let mut lint = Self {
            skip: Skip::Rules(BTreeSet::new()),
            experimental: Skip::Rules(BTreeSet::new()),
            is_error: false,
            found: BTreeSet::new(),
        };
        for option in options.map(String::as_str).unwrap_or_default().split(';') {
            if !option.trim().is_empty() {
                lint.set(option)?;
            }
        }
        Ok(lint)
    }

    fn set(&mut self, option: &str) -> Result<(), Mistake> {
        let refuse =
            |reason: &str| Mistake::new(format!("invalid check option {option:?}: {reason}"));
        let (key, value) = option
            .split_once('=')
            .ok_or_else(|| refuse("expected key=value"))?;
        match key.trim() {
            "skip" => self.skip = rules(value),
            "experimental" => self.experimental = rules(value),
            "error" => {
                self.is_error = match value.trim().to_ascii_lowercase().as_str() {
                    "true" | "1" | "t" => true,
                    "false" | "0" | "f" => false,
                    _ => return Err(refuse("expected true or false")),
                }
            }
            _ => return Err(refuse("expected `skip`, `error` or `experimental`")),
        }
        Ok(())
    }

    /// Notes a finding, if its rule is wanted.
    pub(super) fn warn(&mut self, rule: Rule, lines: Lines, message: impl Into<String>) {
        let is_experimental = rule == Rule::InvalidDefinitionDescription;
        if self.skip.contains(rule) || is_experimental && !self.experimental.contains(rule) {
            return;
        }
        self.found.insert(Warning {
            lines,
            rule,
            message: message.into(),
        });
    }

    /// The rules that make the build fail.
    pub(super) fn violated(&self) -> Vec<Rule> {
        let rules: BTreeSet<Rule> = self.found.iter().map(|warning| warning.rule).collect();
        rules.into_iter().filter(|_| self.is_error).collect()
    }

    pub(super) fn into_warnings(self) -> Vec<Warning> {
        self.found.into_iter().collect()
    }
}

/// Reads a list of names; unknown ones may be rules of a newer BuildKit.
fn rules(text: &str) -> Skip {
    let names: Vec<&str> = text.split(',').map(str::trim).collect();
    if names.iter().any(|name| name.eq_ignore_ascii_case("all")) {
        return Skip::All;
    }
    let known = Rule::ALL.iter().copied();
    Skip::Rules(known.filter(|rule| names.contains(&rule.name())).collect())
}
