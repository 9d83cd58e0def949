//! `--secret` and `--ssh`: what steps may use of the caller's.

use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use crate::cli::environment::Environment;
use crate::cli::error::CommandError;
use crate::runtime::build::request::{SecretSource, SshSource};

/// The variable that names the user's agent.
pub(in crate::cli) const AGENT: &str = "SSH_AUTH_SOCK";

/// Reads `id=ID[,src=FILE|,env=NAME][,type=file|env]`.
pub(super) fn secrets(
    environment: &Environment,
    written: &[String],
) -> Result<BTreeMap<String, SecretSource>, CommandError> {
    let mut found = BTreeMap::new();
    for text in written {
        let (id, source) = secret(environment, text)?;
        if let Some(source) = source {
            found.insert(id, source);
        }
    }
    Ok(found)
}

fn secret(
    environment: &Environment,
    text: &str,
) -> Result<(String, Option<SecretSource>), CommandError> {
    let refuse = |reason: &str| {
        CommandError::usage(format!("`--secret {text}`: {reason}"))
            .hint("write `--secret id=NAME,src=FILE` or `--secret id=NAME,env=VARIABLE`")
    };
    let (mut id, mut file, mut variable, mut kind) = (None, None, None, None);
    for field in text.split(',') {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| refuse("expected key=value"))?;
        match key.trim().to_ascii_lowercase().as_str() {
            "id" => id = Some(value.to_owned()),
            "src" | "source" => file = Some(value.to_owned()),
            "env" => variable = Some(value.to_owned()),
            "type" if matches!(value, "file" | "env") => kind = Some(value.to_owned()),
            "type" => return Err(refuse("its type is neither `file` nor `env`")),
            other => return Err(refuse(&format!("unknown key `{other}`"))),
        }
    }
    let id = id
        .filter(|id| !id.is_empty())
        .ok_or_else(|| refuse("it has no id"))?;
    let is_env = kind.as_deref() == Some("env");
    if is_env && variable.is_none() {
        variable = file.take();
    }
    if variable.is_none() && file.is_none() && kind.as_deref() != Some("file") {
        variable = environment.get(&id).map(|_| id.clone());
    }
    if let Some(variable) = variable {
        let value = environment.get(&variable);
        return Ok((id, value.map(|value| SecretSource::Value(value.to_owned()))));
    }
    let path = at(environment, file.as_deref().unwrap_or(&id));
    let source = std::fs::metadata(&path);
    let metadata = source.map_err(|source| {
        CommandError::cannot(
            format!("read the secret `{id}` from `{}`", path.display()),
            source,
        )
    })?;
    if metadata.is_dir() {
        return Err(refuse("its file is a folder"));
    }
    Ok((id, Some(SecretSource::File(path))))
}

/// Reads `default`, `ID`, `ID=SOCKET` and `ID=KEY[,KEY]`.
pub(in crate::cli) fn agents(
    environment: &Environment,
    written: &[String],
) -> Result<BTreeMap<String, SshSource>, CommandError> {
    let mut found = BTreeMap::new();
    for text in written {
        let (id, paths) = match text.split_once('=') {
            Some((id, paths)) => (id, paths),
            None => (text.as_str(), ""),
        };
        let id = if id.is_empty() { "default" } else { id };
        found.insert(id.to_owned(), agent(environment, id, paths)?);
    }
    Ok(found)
}

fn agent(environment: &Environment, id: &str, paths: &str) -> Result<SshSource, CommandError> {
    if paths.is_empty() {
        let socket = environment.get(AGENT).filter(|socket| !socket.is_empty());
        let socket = socket.ok_or_else(|| {
            CommandError::user(format!("there is no SSH agent for `{id}`"))
                .hint(format!("set {AGENT}, or write `--ssh {id}=KEY`"))
        })?;
        return Ok(SshSource::Agent(at(environment, socket)));
    }
    let paths: Vec<PathBuf> = paths.split(',').map(|path| at(environment, path)).collect();
    let mut keys = Vec::new();
    for path in &paths {
        let metadata = std::fs::metadata(path).map_err(|source| {
            CommandError::cannot(format!("use `{}` as an SSH key", path.display()), source)
        })?;
        match metadata.file_type().is_socket() {
            true if paths.len() == 1 => return Ok(SshSource::Agent(path.clone())),
            true => return Err(CommandError::user("only a single SSH socket is allowed")),
            false => keys.push(path.clone()),
        }
    }
    Ok(SshSource::Keys(keys))
}

fn at(environment: &Environment, path: &str) -> PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => environment.home().join(rest),
        None => environment.working_directory().join(Path::new(path)),
    }
}
