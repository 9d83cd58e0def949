//! What runs inside a container: its process, health, end, output and hooks.

use crate::value::{Duration, ImageRef, Signal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The first process of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// Replaces the image's entry point and drops its command; empty clears it.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command; empty clears it.
    pub command: Option<Vec<String>>,
    /// Variables on top of the image's.
    pub environment: BTreeMap<String, String>,
    /// Where it starts; the image's directory when nothing is said.
    pub working_dir: Option<String>,
    /// `USER[:GROUP]` by name or number; the image's user when nothing is said.
    pub user: Option<String>,
    /// Additional groups by name or number.
    pub group_add: Vec<String>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether its standard input stays open.
    pub stdin_open: bool,
    /// Whether a small first process reaps and forwards signals; the engine's default if not said.
    pub init: Option<bool>,
}

/// How a container is asked to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopSpec {
    /// The signal; the image's, else `SIGTERM`, when nothing is said.
    pub signal: Option<Signal>,
    /// How long it is waited for before `SIGKILL`; 10 seconds when nothing is said.
    pub grace: Option<Duration>,
}

/// How the health of a container is found out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healthcheck {
    /// The probe; the image's when nothing is said.
    pub probe: Option<HealthProbe>,
    /// Time between two probes.
    pub interval: Option<Duration>,
    /// Time that a probe may take.
    pub timeout: Option<Duration>,
    /// How many probes in a row must fail.
    pub retries: Option<u32>,
    /// Time after the start in which failures do not count.
    pub start_period: Option<Duration>,
    /// Time between two probes within the start period.
    pub start_interval: Option<Duration>,
}

/// What a health probe runs inside the container; exit code 0 is healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthProbe {
    /// There is no check, not even the image's.
    Disabled,
    /// A line for the container's `/bin/sh -c`.
    Shell(String),
    /// A program with its arguments.
    Exec(Vec<String>),
}

/// What happens when a container's first process ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartPolicy {
    /// It stays down.
    #[default]
    No,
    /// It starts again, also after the machine did.
    Always,
    /// It starts again unless someone stopped it.
    UnlessStopped,
    /// It starts again when the exit code is not 0.
    OnFailure {
        /// How many times at most; without end when nothing is said.
        max_retries: Option<u32>,
    },
}

/// Where a container's output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSpec {
    /// The driver; `json-file` when nothing is said.
    pub driver: Option<String>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
}

/// Commands that run at points of a container's life, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// Run to the end after the container is created and before it starts.
    pub pre_start: Vec<HookSpec>,
    /// Run inside right after it started.
    pub post_start: Vec<HookSpec>,
    /// Run inside before it is stopped.
    pub pre_stop: Vec<HookSpec>,
}

/// When a hook runs.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum HookStage {
    /// Before the container starts, in a container of its own.
    PreStart,
    /// Right after it started, inside it.
    PostStart,
    /// Before it is stopped, inside it.
    PreStop,
}

impl HookStage {
    /// The stage as a Compose file writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreStart => "pre_start",
            Self::PostStart => "post_start",
            Self::PreStop => "pre_stop",
        }
    }
}

/// One command of a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookSpec {
    /// The program with its arguments; the image's own when nothing is said.
    pub command: Option<Vec<String>>,
    /// `USER[:GROUP]`; the container's when nothing is said.
    pub user: Option<String>,
    /// Whether it runs with nearly no confinement.
    pub privileged: bool,
    /// Where it starts; the container's directory when nothing is said.
    pub working_dir: Option<String>,
    /// Variables on top of the container's.
    pub environment: BTreeMap<String, String>,
    /// The image of a hook before the start; the container's when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRef>,
    /// Whether a hook before the start runs for each new replica, and not for the first one alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub per_replica: bool,
}
