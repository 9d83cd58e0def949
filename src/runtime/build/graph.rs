//! A build with nothing left to decide: every needed stage with its base and its typed steps.
//!
//! Variables are expanded, ONBUILD triggers of the base are in place, mounts and flags are read. What
//! is left to the executor is what only the files know: patterns, users by name, archives.

use std::sync::Arc;

use crate::value::{Digest, GitSource, ImageRef, Platform};

use super::BuildError;
use super::document::{History, ImageDocument};

/// All stages that the target needs, dependencies first; the target is the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// The stages. A [`StageId`] is an index into this list, and a stage only names earlier ones.
    pub stages: Vec<Stage>,
}

/// Which stage of a [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StageId(pub usize);

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its name for people: what follows `AS`, else `stage-N`.
    pub name: String,
    /// What it is built for.
    pub platform: Platform,
    /// What it starts from.
    pub base: Base,
    /// Its steps, in order.
    pub steps: Vec<Step>,
    /// The image's document after all steps, without times: `history` has the base's entries and one
    /// for each step; `rootfs` holds the base's layers only.
    pub image: ImageDocument,
}

/// What a stage starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An image.
    Image(Arc<BaseImage>),
    /// An earlier stage.
    Stage(StageId),
    /// A named context that is a folder or a repository.
    Context(ContextName),
}

/// Finds the images that a Dockerfile names; the executor's side of the store and the registries.
#[async_trait::async_trait]
pub trait Images: Send + Sync {
    /// Returns the image of a name, pulled where it is missing.
    async fn find(
        &self,
        name: &ImageRef,
        platform: &Platform,
    ) -> Result<Arc<BaseImage>, BuildError>;
}

/// An image that the caller found for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    /// The name as the Dockerfile or the named context has it.
    pub name: String,
    /// The digest of its configuration: the image's id.
    pub id: Digest,
    /// Its document.
    pub document: ImageDocument,
}

/// A name of `--build-context`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContextName(pub String);

impl ContextName {
    /// Takes a name as it is written; `docker.io/library/` and `:latest` say nothing.
    pub fn of(name: &str) -> Self {
        let Ok(ImageRef::Registry(image)) = name.parse::<ImageRef>() else {
            return Self(name.to_owned());
        };
        let tag = image.tag().filter(|tag| *tag != "latest");
        let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = image.digest().map(|digest| format!("@{digest}"));
        let name = image.familiar_name();
        Self(format!("{name}{tag}{}", digest.unwrap_or_default()))
    }
}

/// One instruction, ready to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The first line of the instruction in the Dockerfile; for a trigger, that of `FROM`.
    pub line: usize,
    /// The instruction for people, variables expanded: `RUN echo hello`.
    pub text: String,
    /// What it does to the files; an instruction that only changes the configuration has none.
    pub operation: Option<Operation>,
    /// Its entry in the history, without a time.
    pub history: History,
}

/// What a step does to the files. Each one makes a layer, even when nothing changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// `RUN`
    Run(Box<Run>),
    /// `COPY` and `ADD`
    Copy(Box<Copy>),
    /// `WORKDIR`: makes the folder, owned by `user`, 0755, where it is missing.
    Workdir {
        /// The absolute, cleaned path.
        path: String,
        /// `USER` at this point, expanded; empty means 0:0.
        user: String,
    },
}

/// `RUN`, expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The program and its arguments: the shell's words are in front where it is shell form.
    pub args: Vec<String>,
    /// Files that the command reads: a heredoc script with `#!`, or those of a shell-form command.
    pub heredoc: Option<RunHeredoc>,
    /// The whole environment, `NAME=value`: that of the image, then the `ARG`s. PATH is in it.
    pub env: Vec<String>,
    /// `NAME=value` of predefined proxy arguments: in the process's environment, not in the cache key.
    pub proxy_env: Vec<String>,
    /// The working directory, absolute; it is made again (0755 0:0) where it is missing.
    pub workdir: String,
    /// `USER`, expanded; empty means 0:0.
    pub user: String,
    /// `--mount`s, in order.
    pub mounts: Vec<Mount>,
    /// `--network`
    pub network: Network,
    /// `--security`
    pub security: Security,
}

/// A script with `#!` in a heredoc: BuildKit runs it as a file of a read-only mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunHeredoc {
    /// The file's path in the container: `/dev/pipes/EOF`.
    pub path: String,
    /// The file's text; mode 0755.
    pub content: String,
}

/// `--network` of a RUN.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    /// What the build uses.
    #[default]
    Default,
    /// None.
    None,
    /// That of the host.
    Host,
}

/// `--security` of a RUN.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Security {
    /// Confined.
    #[default]
    Sandbox,
    /// Not confined; only where the caller allows it.
    Insecure,
}

/// One `--mount`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// Files of the context, a stage or an image.
    Bind {
        /// Whose files.
        from: Source,
        /// Which of them, from the root.
        source: String,
        /// The absolute path in the container.
        target: String,
        /// Whether the command may write; what it writes is discarded.
        writable: bool,
    },
    /// A folder that survives between builds.
    Cache {
        /// Names the cache; the target where none was given.
        id: String,
        /// What a new cache starts with.
        from: Source,
        /// Which folder of `from`, from the root; `None` starts empty.
        source: Option<String>,
        /// The absolute path in the container.
        target: String,
        /// How commands that run at the same time share it.
        sharing: Sharing,
        /// Whether the command may not write.
        read_only: bool,
        /// The mode of a new cache.
        mode: u32,
        /// The owner of a new cache.
        uid: u32,
        /// The group of a new cache.
        gid: u32,
    },
    /// Memory.
    Tmpfs {
        /// The absolute path in the container.
        target: String,
        /// The most bytes that it holds.
        size_bytes: Option<u64>,
    },
    /// A secret of the caller.
    Secret {
        /// Which one.
        id: String,
        /// The absolute path of the file; `None` where only a variable was asked for.
        target: Option<String>,
        /// The variable that gets the value.
        env: Option<String>,
        /// Whether the build fails without it.
        required: bool,
        /// The file's mode.
        mode: u32,
        /// The file's owner.
        uid: u32,
        /// The file's group.
        gid: u32,
    },
    /// A socket of the caller's agent; `SSH_AUTH_SOCK` names it.
    Ssh {
        /// Which agent.
        id: String,
        /// The absolute path of the socket.
        target: String,
        /// Whether the build fails without it.
        required: bool,
        /// The socket's mode.
        mode: u32,
        /// The socket's owner.
        uid: u32,
        /// The socket's group.
        gid: u32,
    },
}

/// How commands share a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sharing {
    /// All at once.
    #[default]
    Shared,
    /// Each its own copy while another one is in use.
    Private,
    /// One after the other.
    Locked,
}

/// Whose files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The build context.
    Context,
    /// A named context that is a folder or a repository.
    Named(ContextName),
    /// An earlier stage.
    Stage(StageId),
    /// An image.
    Image(Arc<BaseImage>),
    /// No files: an empty root.
    Empty,
}

/// `COPY` and `ADD`, expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Which instruction it is, for messages.
    pub instruction: CopyInstruction,
    /// What to copy, in order.
    pub sources: Vec<CopySource>,
    /// Where to: absolute; a `/` at the end says that it is a folder.
    pub dest: String,
    /// `--chown` as words; none means 0:0 for the context and unchanged for stages and images.
    pub chown: Option<String>,
    /// `--chmod`: octal, or symbolic (`u+x,go=rX`).
    pub chmod: Option<String>,
    /// `--parents`
    pub parents: bool,
    /// `--exclude` patterns, with the semantics of `.dockerignore`.
    pub exclude: Vec<String>,
    /// `--link`
    pub link: bool,
}

/// Which of the two instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyInstruction {
    /// `ADD`
    Add,
    /// `COPY`
    Copy,
}

/// One source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySource {
    /// A path or pattern below the root of `from`.
    Files {
        /// Whose files.
        from: Source,
        /// As written, expanded; a leading `/` and `..` stay inside the root.
        pattern: String,
        /// Whether archives are unpacked.
        unpack: Unpack,
    },
    /// A file that the Dockerfile holds: mode 0644.
    Inline {
        /// The file's name.
        name: String,
        /// The text, expanded.
        content: String,
    },
    /// A file behind a URL: mode 0600.
    Http {
        /// The URL.
        url: String,
        /// What it must hash to.
        checksum: Option<Digest>,
        /// Whether an archive is unpacked.
        unpack: Unpack,
    },
    /// A repository.
    Git {
        /// Which one.
        source: GitSource,
        /// The commit that the reference must lead to.
        checksum: Option<String>,
        /// Whether `.git` is copied.
        keep_git_dir: bool,
    },
}

/// Whether archives are unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpack {
    /// Never.
    No,
    /// Where the content is an archive.
    Detect,
}
