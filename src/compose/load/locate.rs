//! Which files make the project, where it lives, which variables and profiles are set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::compose::budget::TooMuch;
use crate::compose::diagnostic::{Diagnostic, Severity};
use crate::compose::env::parse_dotenv;
use crate::compose::load::environment::tell_doubts;
use crate::compose::load::layer::{Level, Loader, Paths};
use crate::compose::model::NameFrom;
use crate::compose::options::LoadOptions;
use crate::compose::settle::absolute;
use crate::compose::source::{Fetched, Remote};
use crate::compose::tree::Span;

/// The files that are looked for, best first.
pub(super) const FILE_NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];
/// The override files that are looked for beside them.
const OVERRIDE_NAMES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What was found out before any Compose file is parsed.
#[derive(Debug, Clone)]
pub(super) struct Located {
    pub(super) files: Vec<PathBuf>,
    pub(super) directory: PathBuf,
    /// What the project is called where nothing names it.
    pub(super) default_name: String,
    pub(super) environment: BTreeMap<String, String>,
    /// The variables that came from a file, with that file.
    pub(super) origins: BTreeMap<String, PathBuf>,
    pub(super) profiles: Vec<String>,
    /// What gives the project its name, once that is known.
    pub(super) name_from: NameFrom,
    /// The files of variables that the command or its environment names.
    pub(super) env_files: Vec<PathBuf>,
}

impl Located {
    /// Makes the level of the main files.
    pub(super) fn level(&self, paths: Paths) -> Level {
        Level {
            directory: self.directory.clone(),
            base: self.directory.to_string_lossy().into_owned(),
            environment: Rc::new(self.environment.clone()),
            origins: Rc::new(self.origins.clone()),
            home: self.environment.get("HOME").cloned(),
            included: Vec::new(),
            paths,
        }
    }
}

/// Finds the variables that files of variables add, whether or not there is a Compose file.
pub(super) fn variables(
    options: &LoadOptions,
    loader: &mut Loader<'_>,
) -> BTreeMap<String, String> {
    let mut finder = Finder::new(options);
    if finder.read_env_files(loader).is_some() && finder.take_compose_file(loader).is_some() {
        if finder.files.is_empty() {
            finder.search(loader);
        }
        let _whole = finder
            .place_files(loader)
            .and_then(|()| finder.read_env_files(loader));
    }
    let Finder {
        mut environment,
        origins,
        ..
    } = finder;
    environment.retain(|name, _| origins.contains_key(name));
    environment
}

/// Finds the files, the directory and the variables.
pub(super) fn locate(options: &LoadOptions, loader: &mut Loader<'_>) -> Option<Located> {
    let mut finder = Finder::new(options);
    finder.read_env_files(loader)?;
    finder.take_compose_file(loader)?;
    if finder.files.is_empty() {
        finder.search(loader);
    }
    if finder.files.is_empty() {
        let directory = finder.directory();
        let message = format!("no Compose file in `{}` or above it", directory.display());
        loader.faults.push(
            Diagnostic::error(Span::default(), message)
                .hint("name one with `-f`, or write `compose.yaml`"),
        );
        return None;
    }
    finder.place_files(loader)?;
    // The files may lie elsewhere than the command: their directory has variables too.
    finder.read_env_files(loader)?;
    let profiles = finder.profiles();
    let directory = finder.directory();
    let default_name = finder.default_name();
    let env_files = finder.named_env_files();
    let Finder {
        environment,
        origins,
        files,
        ..
    } = finder;
    Some(Located {
        name_from: NameFrom::default(),
        files,
        directory,
        default_name,
        environment,
        origins,
        profiles,
        env_files,
    })
}

struct Finder<'a> {
    options: &'a LoadOptions,
    environment: BTreeMap<String, String>,
    origins: BTreeMap<String, PathBuf>,
    /// As they were named, and after [`Finder::place_files`] where they are.
    files: Vec<PathBuf>,
    /// The main file, where it came from another machine.
    fetched: Option<Fetched>,
}

impl<'a> Finder<'a> {
    fn new(options: &'a LoadOptions) -> Self {
        Self {
            options,
            environment: options.environment.clone(),
            origins: BTreeMap::new(),
            files: options.files.clone(),
            fetched: None,
        }
    }

    /// Returns the project's directory as far as it is known.
    fn directory(&self) -> PathBuf {
        let cwd = &self.options.cwd;
        if let Some(directory) = &self.options.project_directory {
            return absolute(cwd, directory);
        }
        match self.main_file() {
            // It is not here yet.
            Some(file) if is_remote(file) => cwd.clone(),
            Some(file) => absolute(cwd, file)
                .parent()
                .map_or_else(|| cwd.clone(), Path::to_owned),
            None => cwd.clone(),
        }
    }

    fn main_file(&self) -> Option<&PathBuf> {
        let is_file = |file: &&PathBuf| file.as_path() != Path::new("-");
        self.files.iter().find(is_file)
    }

    /// Finds out where the named files are, which brings those of other machines here.
    fn place_files(&mut self, loader: &mut Loader<'_>) -> Option<()> {
        let main = self.main_file().cloned();
        for file in &mut self.files {
            if !is_remote(file) {
                *file = absolute(&self.options.cwd, file);
                continue;
            }
            let fetched = loader.fetch(&file.to_string_lossy(), Span::default())?;
            let is_main = main.as_ref() == Some(file);
            file.clone_from(&fetched.file);
            if is_main {
                self.fetched = Some(fetched);
            }
        }
        Some(())
    }

    fn default_name(&self) -> String {
        match &self.fetched {
            // Its folder here has a name that nobody knows.
            Some(fetched) if self.options.project_directory.is_none() => fetched.name.clone(),
            Some(_) | None => {
                let directory = self.directory();
                let name = directory.file_name().unwrap_or_default();
                name.to_string_lossy().into_owned()
            }
        }
    }

    /// Reads `--env-file`, `COMPOSE_ENV_FILES` or `.env`; variables that are set stay as they are.
    fn read_env_files(&mut self, loader: &mut Loader<'_>) -> Option<()> {
        let named = self.named_env_files();
        let files = if named.is_empty() {
            let default = self.directory().join(".env");
            let disabled = self.options.environment.get("COMPOSE_DISABLE_ENV_FILE");
            let disabled = disabled
                .is_some_and(|v| matches!(v.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"));
            let usable = loader.source.exists(&default) && !loader.source.is_dir(&default);
            if disabled || !usable {
                Vec::new()
            } else {
                vec![default]
            }
        } else {
            named
        };
        let mut found = BTreeMap::new();
        for path in &files {
            let before = found.clone();
            loader.env_file(path, None, &self.environment, &mut found)?;
            let new = origins(path, &before, &found, &self.environment);
            self.origins.extend(new);
        }
        for (name, value) in found {
            self.environment.entry(name).or_insert(value);
        }
        Some(())
    }

    fn named_env_files(&self) -> Vec<PathBuf> {
        let cwd = &self.options.cwd;
        if !self.options.env_files.is_empty() {
            return self
                .options
                .env_files
                .iter()
                .map(|file| absolute(cwd, file))
                .collect();
        }
        let listed = self.options.environment.get("COMPOSE_ENV_FILES");
        let listed = listed.map(String::as_str).unwrap_or_default().split(',');
        listed
            .filter(|file| !file.is_empty())
            .map(|file| absolute(cwd, Path::new(file)))
            .collect()
    }

    /// Takes the files of `COMPOSE_FILE`, unless `-f` named some.
    fn take_compose_file(&mut self, loader: &mut Loader<'_>) -> Option<()> {
        if !self.files.is_empty() {
            return Some(());
        }
        let Some(listed) = self.environment.get("COMPOSE_FILE") else {
            return Some(());
        };
        let separator = self
            .environment
            .get("COMPOSE_PATH_SEPARATOR")
            .filter(|s| !s.is_empty());
        let separator = separator.map_or(":", String::as_str);
        let cwd = &self.options.cwd;
        let parts: Vec<&str> = match Remote::read(listed) {
            // An address has colons of its own.
            Some(Ok(_)) if separator == ":" => vec![listed],
            Some(_) | None => listed.split(separator).collect(),
        };
        let place = |part: &str| {
            if Remote::is_meant(part) {
                PathBuf::from(part)
            } else {
                absolute(cwd, Path::new(part))
            }
        };
        let files: Vec<PathBuf> = parts.into_iter().map(place).collect();
        for file in &files {
            let is_here = file.as_path() != Path::new("-") && !is_remote(file);
            if is_here && !loader.source.exists(file) {
                let message = format!(
                    "`COMPOSE_FILE` names `{}`, which is not there",
                    file.display()
                );
                let hint = if listed.contains("://") {
                    "beside an address, separate them by `,`: set `COMPOSE_PATH_SEPARATOR`"
                } else {
                    "several files are separated by `:`, or by what `COMPOSE_PATH_SEPARATOR` says"
                };
                let several = listed.contains("://") || file.to_string_lossy().contains([';', ',']);
                let hint = several.then(|| hint.to_owned());
                let fault = Diagnostic::error(Span::default(), message);
                loader.faults.push(fault.maybe_hint(hint));
                return None;
            }
        }
        self.files = files;
        Some(())
    }

    /// Looks for the usual names in the directory and above it.
    fn search(&mut self, loader: &mut Loader<'_>) {
        let start = self.directory();
        for directory in start.ancestors() {
            let Some(file) = first_of(&FILE_NAMES, directory, loader) else {
                continue;
            };
            self.files.push(file);
            self.files
                .extend(first_of(&OVERRIDE_NAMES, directory, loader));
            return;
        }
    }

    fn profiles(&self) -> Vec<String> {
        if !self.options.profiles.is_empty() {
            return self.options.profiles.clone();
        }
        let listed = self.environment.get("COMPOSE_PROFILES").map(String::as_str);
        let listed = listed.unwrap_or_default().split(',').map(str::trim);
        listed
            .filter(|profile| !profile.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

/// Returns the variables that a file added or changed, unless they were set before any file.
pub(super) fn origins(
    path: &Path,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    set: &BTreeMap<String, String>,
) -> BTreeMap<String, PathBuf> {
    after
        .iter()
        .filter(|(name, value)| before.get(*name) != Some(value) && !set.contains_key(*name))
        .map(|(name, _)| (name.clone(), path.to_owned()))
        .collect()
}

fn is_remote(file: &Path) -> bool {
    file.to_str().is_some_and(Remote::is_meant)
}

/// Returns the first name that is in a directory; several are worth a warning.
pub(super) fn first_of(
    names: &[&str],
    directory: &Path,
    loader: &mut Loader<'_>,
) -> Option<PathBuf> {
    let paths = names.iter().map(|name| directory.join(name));
    let found: Vec<PathBuf> = paths.filter(|path| loader.source.exists(path)).collect();
    let winner = found.first()?.clone();
    if found.len() > 1 {
        let all: Vec<_> = found
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let message = format!("several Compose files fit: `{}`", all.join("`, `"));
        loader
            .faults
            .push(Diagnostic::warning(Span::default(), message).hint(format!(
                "`{}` is used; name another one with `-f`",
                winner.display()
            )));
    }
    Some(winner)
}

impl Loader<'_> {
    /// Reads a file of variables; those of `current` go before its own when values refer to them.
    pub(super) fn env_file(
        &mut self,
        path: &Path,
        asked_by: Option<Span>,
        current: &BTreeMap<String, String>,
        variables: &mut BTreeMap<String, String>,
    ) -> Option<()> {
        if self.source.is_dir(path) {
            let message = format!(
                "`{}` is a directory, not a file of variables",
                path.display()
            );
            self.faults
                .push(Diagnostic::error(asked_by.unwrap_or_default(), message));
            return None;
        }
        let (file, text) = self.read(path, asked_by)?;
        if let Err(TooMuch(message)) = self.budget.layer(variables.len()) {
            let span = asked_by.unwrap_or_default();
            self.faults.push(Diagnostic::error(span, message));
            return None;
        }
        let earlier = variables.clone();
        let lookup = |name: &str| current.get(name).or_else(|| earlier.get(name)).cloned();
        match parse_dotenv(&text, variables, &lookup) {
            Ok(doubts) => {
                tell_doubts(&self.files, &mut self.faults, file, doubts);
                Some(())
            }
            Err(error) => {
                self.faults.push(error.told(Severity::Error, file));
                None
            }
        }
    }
}
