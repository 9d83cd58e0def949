//! What the caller wants built: texts, contexts, arguments and limits, all of them read already.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use crate::value::{IgnorePatterns, ImageRef, Platform};

use super::graph::{ContextName, Network};

/// One build for one platform.
#[derive(Debug, Clone)]
pub struct Request {
    /// The Dockerfile.
    pub dockerfile: DockerfileText,
    /// The stage to build; none means the last one.
    pub target: Option<String>,
    /// `--build-arg`s.
    pub args: BTreeMap<String, String>,
    /// `--label`s; they win over `LABEL`.
    pub labels: BTreeMap<String, String>,
    /// What the image is for.
    pub platform: Platform,
    /// What this machine is.
    pub build_platform: Platform,
    /// The contexts.
    pub contexts: Contexts,
    /// How steps run.
    pub run: RunSettings,
    /// Which steps may come from the cache.
    pub cache: CacheUse,
    /// `SOURCE_DATE_EPOCH`: the time that the image says it was made, in seconds.
    pub epoch: Option<i64>,
}

/// The text of a Dockerfile.
#[derive(Debug, Clone)]
pub struct DockerfileText {
    /// Its name for messages.
    pub name: String,
    /// The text.
    pub text: String,
}

/// The contexts of a build.
#[derive(Debug, Clone)]
pub struct Contexts {
    /// The build context; none where only a Dockerfile was given.
    pub main: Option<ContextFiles>,
    /// `--build-context`s.
    pub named: BTreeMap<ContextName, NamedContext>,
}

/// What a name of `--build-context` stands for.
#[derive(Debug, Clone)]
pub enum NamedContext {
    /// Files: a folder, a repository that was checked out, an archive that was unpacked.
    Files(ContextFiles),
    /// An image.
    Image(ImageRef),
}

/// A folder of files that a build may copy from.
#[derive(Debug, Clone)]
pub struct ContextFiles {
    /// The folder. All of it is untrusted: open paths below it with the kernel's `RESOLVE_IN_ROOT`.
    pub folder: PathBuf,
    /// What of it does not belong to the context: its `.dockerignore`.
    pub ignore: IgnorePatterns,
    /// Whether copied files keep their owner.
    pub owner: ContextOwner,
}

/// The owner of files that are copied from a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextOwner {
    /// 0:0, whatever the owner in the folder.
    Root,
    /// As in the folder: it was unpacked from an archive.
    Kept,
}

/// How steps run.
#[derive(Debug, Clone, Default)]
pub struct RunSettings {
    /// The network of a `RUN` that asks for none.
    pub network: Network,
    /// Lines for /etc/hosts.
    pub extra_hosts: Vec<(String, Vec<IpAddr>)>,
    /// The size of /dev/shm.
    pub shm_size_bytes: Option<u64>,
    /// Resource limits: name, soft, hard.
    pub ulimits: Vec<(String, u64, u64)>,
    /// The parent cgroup.
    pub cgroup_parent: Option<String>,
    /// Secrets by id.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Agents by id.
    pub ssh: BTreeMap<String, SshSource>,
    /// Whether `RUN --security=insecure` and `--network=host` are allowed.
    pub entitlements: BTreeSet<Entitlement>,
}

/// A freedom that the caller grants to the steps of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entitlement {
    /// `network.host`
    NetworkHost,
    /// `security.insecure`
    SecurityInsecure,
}

/// Where a secret's value comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file, read when a step needs it.
    File(PathBuf),
    /// The value itself.
    Value(String),
}

impl std::fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Value(_) => f.write_str("Value(…)"),
        }
    }
}

/// Who signs for `RUN --mount=type=ssh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SshSource {
    /// The socket of an agent.
    Agent(PathBuf),
    /// Private keys, served by an agent of the build.
    Keys(Vec<PathBuf>),
}

/// Which steps may come from the cache.
#[derive(Debug, Clone, Default)]
pub struct CacheUse {
    /// `--no-cache`, `--no-cache-filter`
    pub skip: CacheSkip,
    /// `--cache-from`, as written.
    pub from: Vec<String>,
    /// `--cache-to`, as written.
    pub to: Vec<String>,
}

/// Whose steps are run again although the cache has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CacheSkip {
    /// None.
    #[default]
    Nothing,
    /// All.
    Everything,
    /// Those of these stages.
    Stages(BTreeSet<String>),
}
