//! A Dockerfile as it was written: typed instructions with places, variables not yet expanded.

use std::time::Duration;

/// A whole Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// The parser directives above the first instruction.
    pub directives: Directives,
    /// `ARG`s before the first `FROM`.
    pub global_args: Vec<Instruction>,
    /// The stages, in order of appearance.
    pub stages: Vec<Stage>,
    /// The last lines of instructions that have an empty line in the middle.
    pub empty_continuations: Vec<usize>,
}

/// `# key=value` lines above everything else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// The front end that the author asks for; ours is used anyway.
    pub syntax: Option<String>,
    /// Which character continues a line.
    pub escape: Escape,
    /// Whether a directive said so.
    pub escape_written: bool,
    /// Settings of the lint checks.
    pub check: Option<String>,
}

/// The character that escapes others and continues a line at its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Escape {
    /// `\`
    #[default]
    Backslash,
    /// `` ` ``
    Backtick,
}

impl Escape {
    /// Returns the character.
    pub fn character(self) -> char {
        match self {
            Self::Backslash => '\\',
            Self::Backtick => '`',
        }
    }
}

/// The lines of something, counted from 1, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lines {
    /// The first line.
    pub first: usize,
    /// The last line.
    pub last: usize,
}

/// What stands between one `FROM` and the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Where its `FROM` stands.
    pub lines: Lines,
    /// `FROM` as it was written.
    pub text: String,
    /// The keyword `FROM` as it was written.
    pub keyword: String,
    /// The base as it was written.
    pub base: String,
    /// `AS` as it was written, where there is a name.
    pub as_keyword: Option<String>,
    /// The name after `AS` as it was written.
    pub name: Option<String>,
    /// `--platform`, not expanded.
    pub platform: Option<String>,
    /// The comment lines directly above its `FROM`.
    pub comments: Vec<String>,
    /// Its instructions.
    pub instructions: Vec<Instruction>,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// Where it stands, heredocs included.
    pub lines: Lines,
    /// The instruction with continued lines joined, without heredoc bodies.
    pub text: String,
    /// The keyword as it was written.
    pub keyword: String,
    /// The comment lines directly above it.
    pub comments: Vec<String>,
    /// What it says.
    pub kind: Kind,
}

/// What an instruction says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `ADD`
    Add(Copy),
    /// `ARG`
    Arg(Vec<Arg>),
    /// `CMD`
    Cmd(Command),
    /// `COPY`
    Copy(Copy),
    /// `ENTRYPOINT`
    Entrypoint(Command),
    /// `ENV`
    Env(Vec<Pair>),
    /// `EXPOSE`
    Expose(Vec<String>),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `LABEL`
    Label(Vec<Pair>),
    /// `MAINTAINER`
    Maintainer(String),
    /// `ONBUILD`: the text after the keyword, not read any further.
    Onbuild(String),
    /// `RUN`
    Run(Run),
    /// `SHELL`
    Shell(Vec<String>),
    /// `STOPSIGNAL`
    StopSignal(String),
    /// `USER`
    User(String),
    /// `VOLUME`
    Volume(Vec<String>),
    /// `WORKDIR`
    Workdir(String),
}

/// One variable of an `ARG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// Its name.
    pub name: String,
    /// Its default; not expanded.
    pub default: Option<String>,
}

/// One pair of an `ENV` or a `LABEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name; not expanded.
    pub name: String,
    /// The value; not expanded.
    pub value: String,
    /// Whether `=` or only white space stood between them.
    pub delimiter: Delimiter,
}

/// What stands between name and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delimiter {
    /// `NAME=value`
    Equals,
    /// `NAME value`, the old form.
    Space,
}

/// A command in one of its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `["program", "argument"]`
    Exec(Vec<String>),
    /// A line for the shell.
    Shell(String),
}

/// `RUN`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What to run.
    pub command: Command,
    /// Heredocs, in order.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`s as they were written.
    pub mounts: Vec<String>,
    /// `--network`
    pub network: Option<String>,
    /// `--security`
    pub security: Option<String>,
    /// `--device`s.
    pub devices: Vec<String>,
}

/// `COPY` and `ADD`; a flag of the other one is never set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copy {
    /// What to copy; not expanded. A heredoc stands here by its `<<NAME` word.
    pub sources: Vec<CopySource>,
    /// Where to; not expanded.
    pub dest: String,
    /// `--from`, as it was written; empty means the context.
    pub from: Option<String>,
    /// `--chown`; not expanded.
    pub chown: Option<String>,
    /// `--chmod`; not expanded.
    pub chmod: Option<String>,
    /// `--link`
    pub link: bool,
    /// `--parents`
    pub parents: bool,
    /// `--exclude`s.
    pub exclude: Vec<String>,
    /// `ADD --checksum`; not expanded.
    pub checksum: Option<String>,
    /// `ADD --unpack`
    pub unpack: Option<bool>,
    /// `ADD --keep-git-dir`
    pub keep_git_dir: Option<bool>,
}

/// One source of a `COPY` or an `ADD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySource {
    /// A path, pattern or URL.
    Path(String),
    /// A file that the Dockerfile holds.
    Heredoc(Heredoc),
}

/// A text that the Dockerfile holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The delimiter; it is the file's name as well.
    pub name: String,
    /// The text as it stands; `<<-` has not removed tabs yet.
    pub content: String,
    /// Whether variables in it are expanded: the delimiter was not quoted.
    pub expand: bool,
    /// Whether leading tabs are removed: `<<-`.
    pub chomp: bool,
    /// The file descriptor before `<<`; 0 where there is none.
    pub descriptor: u32,
}

/// `HEALTHCHECK`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// `NONE`
    None,
    /// `CMD …`
    Probe {
        /// The probe.
        command: Command,
        /// `--interval`
        interval: Option<Duration>,
        /// `--timeout`
        timeout: Option<Duration>,
        /// `--start-period`
        start_period: Option<Duration>,
        /// `--start-interval`
        start_interval: Option<Duration>,
        /// `--retries`
        retries: Option<u32>,
    },
}
