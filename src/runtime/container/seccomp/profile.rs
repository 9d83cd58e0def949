//! A profile in Docker's JSON form, or that of an OCI `Spec`, and what it means on this machine.

use std::collections::{BTreeMap, BTreeSet};

use oci_spec::runtime::LinuxSeccomp;
use serde::Deserialize;

use super::compile::{self, Condition, Operator, Rule, Verdict};
use super::numbers::NUMBERS;
use crate::runtime::container::error::ContainerError;
use crate::runtime::kernel::confine::Instruction;

/// A filter by names; what it comes to depends on the machine and on granted capabilities.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    pub(super) default_action: String,
    #[serde(default)]
    pub(super) default_errno_ret: Option<u32>,
    #[serde(default)]
    pub(super) syscalls: Vec<Entry>,
}

/// Calls that are answered alike.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    #[serde(default)]
    pub(super) names: Vec<String>,
    /// The older form with one name.
    #[serde(default)]
    pub(super) name: Option<String>,
    pub(super) action: String,
    #[serde(default)]
    pub(super) errno_ret: Option<u32>,
    #[serde(default)]
    pub(super) args: Option<Vec<Argument>>,
    #[serde(default)]
    pub(super) includes: When,
    #[serde(default)]
    pub(super) excludes: When,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Argument {
    pub(super) index: u32,
    pub(super) value: u64,
    #[serde(default)]
    pub(super) value_two: u64,
    pub(super) op: String,
}

/// What a machine and a container must be like for an entry to count, or not to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct When {
    #[serde(default)]
    pub(super) caps: Vec<String>,
    #[serde(default)]
    pub(super) arches: Vec<String>,
    #[serde(default)]
    pub(super) min_kernel: Option<String>,
}

/// This machine in the words of a profile.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: &str = "amd64";
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: &str = "arm64";

fn refuse(reason: impl Into<String>) -> ContainerError {
    ContainerError::SeccompProfile {
        reason: reason.into(),
    }
}

impl Profile {
    /// Reads a profile in Docker's JSON form.
    pub fn from_json(text: &str) -> Result<Self, ContainerError> {
        serde_json::from_str(text).map_err(|error| refuse(error.to_string()))
    }

    /// Reads a filter of an OCI `Spec`, whose form is a part of Docker's.
    pub fn from_spec(spec: &LinuxSeccomp) -> Result<Self, ContainerError> {
        let value = serde_json::to_value(spec).map_err(|error| refuse(error.to_string()))?;
        serde_json::from_value(value).map_err(|error| refuse(error.to_string()))
    }

    /// Compiles the profile for a container with these capabilities.
    pub fn compile(
        &self,
        capabilities: &BTreeSet<String>,
    ) -> Result<Vec<Instruction>, ContainerError> {
        let default = verdict(&self.default_action, self.default_errno_ret)?;
        let numbers: BTreeMap<&str, u32> = NUMBERS.iter().copied().collect();
        let mut rules: BTreeMap<u32, Vec<Rule>> = BTreeMap::new();
        for entry in self
            .syscalls
            .iter()
            .filter(|entry| entry.counts(capabilities))
        {
            let verdict = verdict(&entry.action, entry.errno_ret)?;
            if verdict == default {
                continue;
            }
            let alternatives = entry.alternatives()?;
            for name in entry.names.iter().chain(&entry.name) {
                // A call that this machine does not have cannot be made on it.
                let Some(number) = numbers.get(name.as_str()) else {
                    continue;
                };
                let list = rules.entry(*number).or_default();
                for conditions in &alternatives {
                    list.push(Rule {
                        conditions: conditions.clone(),
                        verdict,
                    });
                }
            }
        }
        let newest = NUMBERS.iter().map(|(_, number)| *number).max().unwrap_or(0);
        compile::program(&rules, default, newest).ok_or_else(|| refuse("it is too large"))
    }
}

impl Entry {
    fn counts(&self, capabilities: &BTreeSet<String>) -> bool {
        let has = |name: &String| capabilities.contains(name);
        let here = |list: &[String]| list.iter().any(|name| name == ARCHITECTURE);
        let included = self.includes.caps.iter().all(has)
            && (self.includes.arches.is_empty() || here(&self.includes.arches))
            && self.includes.min_kernel.as_deref().is_none_or(is_at_least);
        let excluded = self.excludes.caps.iter().any(has)
            || here(&self.excludes.arches)
            || self.excludes.min_kernel.as_deref().is_some_and(is_at_least);
        included && !excluded
    }

    /// Returns lists of conditions of which one list must hold as a whole.
    ///
    /// As runc reads it: conditions on different arguments belong together, several on the same
    /// argument are alternatives.
    fn alternatives(&self) -> Result<Vec<Vec<Condition>>, ContainerError> {
        let args = self.args.as_deref().unwrap_or_default();
        let conditions = args.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
        let arguments: BTreeSet<u32> = conditions.iter().map(|condition| condition.index).collect();
        if arguments.len() < conditions.len() {
            Ok(conditions
                .into_iter()
                .map(|condition| vec![condition])
                .collect())
        } else {
            Ok(vec![conditions])
        }
    }
}

fn condition(argument: &Argument) -> Result<Condition, ContainerError> {
    let Argument {
        index,
        value,
        value_two,
        op,
    } = argument;
    if *index > 5 {
        return Err(refuse(format!("a system call has no argument {index}")));
    }
    let (operator, value) = match op.as_str() {
        "SCMP_CMP_NE" => (Operator::NotEqual, *value),
        "SCMP_CMP_LT" => (Operator::Less, *value),
        "SCMP_CMP_LE" => (Operator::LessOrEqual, *value),
        "SCMP_CMP_EQ" => (Operator::Equal, *value),
        "SCMP_CMP_GE" => (Operator::GreaterOrEqual, *value),
        "SCMP_CMP_GT" => (Operator::Greater, *value),
        "SCMP_CMP_MASKED_EQ" => (Operator::MaskedEqual { mask: *value }, *value_two),
        other => return Err(refuse(format!("`{other}` is not a comparison"))),
    };
    Ok(Condition {
        index: *index,
        operator,
        value,
    })
}

const EPERM: u32 = 1;
/// The kernel takes the low 12 bits of an error number.
const MAX_ERRNO: u32 = 4095;

fn verdict(action: &str, errno: Option<u32>) -> Result<Verdict, ContainerError> {
    let errno = errno.unwrap_or(EPERM).min(MAX_ERRNO);
    Ok(match action {
        "SCMP_ACT_ALLOW" => Verdict(0x7fff_0000),
        "SCMP_ACT_ERRNO" => Verdict(0x0005_0000 | errno),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Verdict(0),
        "SCMP_ACT_KILL_PROCESS" => Verdict(0x8000_0000),
        "SCMP_ACT_TRAP" => Verdict(0x0003_0000),
        "SCMP_ACT_TRACE" => Verdict(0x7ff0_0000 | errno),
        "SCMP_ACT_LOG" => Verdict(0x7ffc_0000),
        "SCMP_ACT_NOTIFY" => return Err(refuse("`SCMP_ACT_NOTIFY` needs a supervisor")),
        other => return Err(refuse(format!("`{other}` is not an action"))),
    })
}

/// Says whether the running kernel is this version or newer.
fn is_at_least(version: &str) -> bool {
    fn parts(text: &str) -> (u32, u32) {
        let mut numbers = text.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
    let running = rustix::system::uname();
    parts(&running.release().to_string_lossy()) >= parts(version)
}
