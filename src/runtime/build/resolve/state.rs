//! What one instruction leaves to the next: configuration, variables, folder, user.

use std::sync::Arc;

use crate::runtime::build::dockerfile::Variables as _;
use crate::runtime::build::dockerfile::ast::Lines;
use crate::runtime::build::document::{Config, ImageDocument};
use crate::runtime::build::graph::BaseImage;
use crate::value::Platform;

use super::scope::Scope;

/// PATH of an image that has none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Between two instructions.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) platform: Platform,
    /// The image's document so far.
    pub(super) document: ImageDocument,
    /// `ENV` and `ARG` as commands and words see them.
    pub(super) scope: Scope,
    /// The `ARG`s so far, for the history.
    pub(super) args: Vec<(String, Option<String>)>,
    /// The working directory.
    pub(super) folder: String,
    /// The user of commands.
    pub(super) user: String,
    /// Whether a `WORKDIR` was seen in this file.
    pub(super) has_workdir: bool,
    /// Where the last one of each of these instructions stands in this stage.
    pub(super) seen: Seen,
}

/// Instructions of which only the last one counts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) cmd: Option<Lines>,
    pub(super) entrypoint: Option<Lines>,
    pub(super) healthcheck: Option<Lines>,
}

impl State {
    /// Starts from nothing.
    pub(super) fn scratch(platform: &Platform) -> Self {
        let document = ImageDocument {
            architecture: platform.architecture().to_owned(),
            os: platform.os().to_owned(),
            variant: platform.variant().unwrap_or_default().to_owned(),
            config: Config {
                working_dir: "/".to_owned(),
                ..Config::default()
            },
            ..ImageDocument::default()
        };
        Self::of(document, platform)
    }

    /// Starts from an image.
    pub(super) fn image(image: &Arc<BaseImage>, platform: &Platform) -> Self {
        Self::of(image.document.clone(), platform)
    }

    fn of(mut document: ImageDocument, platform: &Platform) -> Self {
        let mut scope = Scope::default();
        let mut pairs = document.config.env.iter();
        if !pairs.any(|pair| pair.starts_with("PATH=")) {
            document.config.env.push(format!("PATH={DEFAULT_PATH}"));
        }
        for pair in &document.config.env {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            scope.set(name, value);
        }
        let folder = match document.config.working_dir.as_str() {
            "" => "/".to_owned(),
            folder => joined("/", folder),
        };
        Self {
            platform: platform.clone(),
            user: document.config.user.clone(),
            document,
            scope,
            args: Vec::new(),
            folder,
            has_workdir: false,
            seen: Seen::default(),
        }
    }

    /// Starts from a finished stage.
    pub(super) fn after(stage: &Self) -> Self {
        Self {
            seen: Seen::default(),
            ..stage.clone()
        }
    }

    /// Sets a variable of the image.
    pub(super) fn set_env(&mut self, name: &str, value: &str) {
        self.scope.set(name, value);
        let pair = format!("{name}={value}");
        let prefix = format!("{name}=");
        let env = &mut self.document.config.env;
        match env.iter_mut().find(|known| known.starts_with(&prefix)) {
            Some(known) => *known = pair,
            None => env.push(pair),
        }
    }

    /// The words in front of a command in shell form.
    pub(super) fn shell(&self) -> Vec<String> {
        match self.document.config.shell.as_slice() {
            [] => vec!["/bin/sh".to_owned(), "-c".to_owned()],
            shell => shell.to_vec(),
        }
    }

    /// `|2 A=1 B=2`: the arguments as they stand in front of a command in the history.
    pub(super) fn args_for_history(&self) -> Vec<String> {
        let mut pairs: Vec<(&str, String)> = Vec::new();
        for (name, value) in &self.args {
            let current = self.scope.value(name).map(str::to_owned);
            let value = current.or_else(|| value.clone()).unwrap_or_default();
            let pair = format!("{name}={value}");
            match pairs.iter_mut().find(|(known, _)| *known == name.as_str()) {
                Some((_, known)) => *known = pair,
                None => pairs.push((name, pair)),
            }
        }
        let count = (!pairs.is_empty()).then(|| format!("|{}", pairs.len()));
        count
            .into_iter()
            .chain(pairs.into_iter().map(|(_, pair)| pair))
            .collect()
    }
}

/// Joins a path to a folder and removes `.`, `..` and double slashes.
pub(super) fn joined(folder: &str, path: &str) -> String {
    let all = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{folder}/{path}")
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in all.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
