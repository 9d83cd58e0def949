//! `RUN --mount`.

use crate::runtime::build::dockerfile::{Mistake, suggestion};
use crate::runtime::build::graph::{Mount, Sharing, Source};
use crate::value::ByteSize;

use super::stage::Interpreter;
use super::state::joined;

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "required",
    "size",
    "id",
    "sharing",
    "mode",
    "uid",
    "gid",
    "env",
];
const FILE_MODE_SECRET: u32 = 0o400;
const FILE_MODE_SOCKET: u32 = 0o600;
const FOLDER_MODE: u32 = 0o755;

/// What a mount is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Type {
    #[default]
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

/// The fields of one `--mount`.
#[derive(Debug, Default)]
pub(super) struct Fields {
    kind: Type,
    from: String,
    source: String,
    target: String,
    read_only: Option<bool>,
    required: bool,
    size_bytes: Option<u64>,
    id: String,
    sharing: Option<Sharing>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    env: Option<String>,
}

/// The name in `from=`, which never has variables.
pub(super) fn from_of(text: &str) -> Result<Option<String>, Mistake> {
    for field in csv(text)? {
        let Some((key, value)) = field.split_once('=') else {
            continue;
        };
        if !key.eq_ignore_ascii_case("from") {
            continue;
        }
        if value.find('$').is_some_and(|at| at + 1 != value.len()) {
            return Err(Mistake::new(
                "'from' doesn't support variable expansion, define alias stage instead",
            ));
        }
        return Ok(Some(value.to_owned()));
    }
    Ok(None)
}

pub(super) fn count_ssh(mounts: &[Mount]) -> usize {
    let is_ssh = |mount: &&Mount| matches!(mount, Mount::Ssh { .. });
    mounts.iter().filter(is_ssh).count()
}

impl Fields {
    /// Reads `type=cache,target=/x`; values are expanded.
    pub(super) fn read(
        text: &str,
        expand: &mut dyn FnMut(&str) -> Result<String, Mistake>,
    ) -> Result<Self, Mistake> {
        let mut fields = Self::default();
        for field in csv(text)? {
            match field.split_once('=') {
                Some((key, value)) => {
                    let value = expand(value)?;
                    fields.set(&key.to_ascii_lowercase(), &value, &field)?;
                }
                None => fields.flag(&field)?,
            }
        }
        fields.check()?;
        Ok(fields)
    }

    fn flag(&mut self, field: &str) -> Result<(), Mistake> {
        match field.to_ascii_lowercase().as_str() {
            "readonly" | "ro" => self.read_only = Some(true),
            "readwrite" | "rw" => self.read_only = Some(false),
            "required" if matches!(self.kind, Type::Secret | Type::Ssh) => self.required = true,
            "required" => {
                let kind = self.kind_name();
                let message = format!("unexpected key 'required' for mount type '{kind}'");
                return Err(Mistake::new(message));
            }
            _ => {
                let message = format!("invalid field '{field}' must be a key=value pair");
                return Err(Mistake::new(message));
            }
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str, field: &str) -> Result<(), Mistake> {
        let invalid = || Mistake::new(format!("invalid value for {key}: {value}"));
        let switch = || read_switch(value).ok_or_else(invalid);
        let number = || value.parse::<u32>().map_err(|_| invalid());
        match key {
            "type" => self.kind = kind(value)?,
            "from" => value.clone_into(&mut self.from),
            "source" | "src" => value.clone_into(&mut self.source),
            "target" | "dst" | "destination" => value.clone_into(&mut self.target),
            "readonly" | "ro" => self.read_only = Some(switch()?),
            "readwrite" | "rw" => self.read_only = Some(!switch()?),
            "required" if matches!(self.kind, Type::Secret | Type::Ssh) => {
                self.required = switch()?;
            }
            "size" if self.kind == Type::Tmpfs => {
                let size = value.parse::<ByteSize>().map_err(|_| invalid())?;
                self.size_bytes = Some(u64::try_from(size.bytes()).map_err(|_| invalid())?);
            }
            "id" => value.clone_into(&mut self.id),
            "sharing" => self.sharing = Some(sharing(value)?),
            "mode" => self.mode = Some(u32::from_str_radix(value, 8).map_err(|_| invalid())?),
            "uid" => self.uid = Some(number()?),
            "gid" => self.gid = Some(number()?),
            "env" => self.env = Some(value.to_owned()),
            "required" | "size" => {
                let kind = self.kind_name();
                let message = format!("unexpected key '{key}' for mount type '{kind}'");
                return Err(Mistake::new(message));
            }
            _ => {
                let meant = suggestion(key, KEYS);
                let message = format!("unexpected key '{key}' in '{field}'");
                let hint = meant.map(|meant| format!("did you mean {meant}?"));
                return Err(Mistake::new(message).with_hint(hint));
            }
        }
        Ok(())
    }

    fn kind_name(&self) -> &'static str {
        match self.kind {
            Type::Bind => "bind",
            Type::Cache => "cache",
            Type::Tmpfs => "tmpfs",
            Type::Secret => "secret",
            Type::Ssh => "ssh",
        }
    }

    /// Checks what fits together.
    fn check(&self) -> Result<(), Mistake> {
        let kind = self.kind_name();
        let has_owner = self.mode.is_some() || self.uid.is_some() || self.gid.is_some();
        if has_owner && matches!(self.kind, Type::Bind | Type::Tmpfs) {
            let message = format!("mode, uid and gid are not allowed for {kind:?} type mounts");
            return Err(Mistake::new(message));
        }
        if self.sharing.is_some() && self.kind != Type::Cache {
            return Err(Mistake::new(format!(
                "invalid cache sharing set for {kind} mount"
            )));
        }
        if self.kind == Type::Tmpfs && !(self.source.is_empty() && self.from.is_empty()) {
            return Err(Mistake::new("a tmpfs mount has no source"));
        }
        if self.kind == Type::Secret {
            if !self.from.is_empty() {
                return Err(Mistake::new("secret mount should not have a from"));
            }
            if self.source.is_empty() && self.target.is_empty() && self.id.is_empty() {
                return Err(Mistake::new(
                    "invalid secret mount. one of source, target required",
                ));
            }
            if !self.source.is_empty() && !self.id.is_empty() {
                return Err(Mistake::new("both source and id can't be set"));
            }
        }
        Ok(())
    }

    /// Makes the mount; `ssh_before` counts the agents of the same instruction.
    pub(super) fn into_mount(
        self,
        stage: &Interpreter<'_>,
        ssh_before: usize,
    ) -> Result<Mount, Mistake> {
        let folder = stage.state.folder.as_str();
        let at = |target: &str| match joined(folder, target) {
            root if root == "/" => Err(Mistake::new("invalid mount target \"/\"")),
            target => Ok(target),
        };
        match self.kind {
            Type::Bind => Ok(Mount::Bind {
                from: stage.source_of(&self.from)?,
                source: joined("/", &self.source),
                target: at(&self.target)?,
                writable: self.read_only == Some(false),
            }),
            Type::Tmpfs => Ok(Mount::Tmpfs {
                target: at(&self.target)?,
                size_bytes: self.size_bytes,
            }),
            Type::Cache => self.cache(stage, at),
            Type::Secret => Ok(self.secret(folder)),
            Type::Ssh => Ok(self.ssh(folder, ssh_before)),
        }
    }

    fn cache(
        self,
        stage: &Interpreter<'_>,
        at: impl Fn(&str) -> Result<String, Mistake>,
    ) -> Result<Mount, Mistake> {
        let from = match self.from.as_str() {
            "" => Source::Empty,
            from => stage.source_of(from)?,
        };
        let id = match self.id.as_str() {
            "" => clean_relative(&self.target),
            id => id.to_owned(),
        };
        let source = Some(joined("/", &self.source)).filter(|_| !self.from.is_empty());
        Ok(Mount::Cache {
            id,
            from,
            source,
            target: at(&self.target)?,
            sharing: self.sharing.unwrap_or_default(),
            read_only: self.read_only == Some(true),
            mode: self.mode.unwrap_or(FOLDER_MODE),
            uid: self.uid.unwrap_or(0),
            gid: self.gid.unwrap_or(0),
        })
    }

    fn secret(self, folder: &str) -> Mount {
        let named = if self.source.is_empty() {
            &self.id
        } else {
            &self.source
        };
        let id = match named.as_str() {
            "" => base_name(&self.target).to_owned(),
            named => named.to_owned(),
        };
        let target = match self.target.as_str() {
            "" if self.env.is_some() => None,
            "" => Some(format!("/run/secrets/{}", base_name(&id))),
            target => Some(joined(folder, target)),
        };
        Mount::Secret {
            id,
            target,
            env: self.env,
            required: self.required,
            mode: self.mode.unwrap_or(FILE_MODE_SECRET),
            uid: self.uid.unwrap_or(0),
            gid: self.gid.unwrap_or(0),
        }
    }

    fn ssh(self, folder: &str, ssh_before: usize) -> Mount {
        let target = match self.target.as_str() {
            "" => format!("/run/buildkit/ssh_agent.{ssh_before}"),
            target => joined(folder, target),
        };
        Mount::Ssh {
            id: match self.id.as_str() {
                "" => "default".to_owned(),
                id => id.to_owned(),
            },
            target,
            required: self.required,
            mode: self.mode.unwrap_or(FILE_MODE_SOCKET),
            uid: self.uid.unwrap_or(0),
            gid: self.gid.unwrap_or(0),
        }
    }
}

fn kind(value: &str) -> Result<Type, Mistake> {
    match value {
        "bind" => Ok(Type::Bind),
        "cache" => Ok(Type::Cache),
        "tmpfs" => Ok(Type::Tmpfs),
        "secret" => Ok(Type::Secret),
        "ssh" => Ok(Type::Ssh),
        _ => {
            let meant = suggestion(value, ["bind", "cache", "tmpfs", "secret", "ssh"]);
            Err(Mistake::new(format!("unsupported mount type {value:?}"))
                .with_hint(meant.map(|meant| format!("did you mean {meant}?"))))
        }
    }
}

fn sharing(value: &str) -> Result<Sharing, Mistake> {
    match value.to_ascii_lowercase().as_str() {
        "shared" => Ok(Sharing::Shared),
        "private" => Ok(Sharing::Private),
        "locked" => Ok(Sharing::Locked),
        _ => Err(Mistake::new(format!("unsupported sharing value {value:?}"))
            .with_hint(Some("known: shared, private, locked".to_owned()))),
    }
}

fn read_switch(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn base_name(path: &str) -> &str {
    path.trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or(path)
}

fn clean_relative(path: &str) -> String {
    let cleaned = joined("/", path);
    if path.starts_with('/') {
        cleaned
    } else {
        cleaned.trim_start_matches('/').to_owned()
    }
}

/// The fields of a line of comma-separated values; `"a,b"` is one.
fn csv(text: &str) -> Result<Vec<String>, Mistake> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut is_quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if is_quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if is_quoted || field.is_empty() => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    if is_quoted {
        return Err(Mistake::new(format!("unclosed quote in {text:?}")));
    }
    fields.push(field);
    Ok(fields)
}
