//! Part of a git repository → a folder in the cache, with advice where that fails.

use std::path::Path;

use super::cache::Cache;
use super::{check_switch, last_known, told};
use crate::cli::environment::Environment;
use crate::compose::source::{FetchError, Fetched};
use crate::runtime::git::{Git, GitError};
use crate::runtime::kernel::rooted::{EntryKind, Root};
use crate::value::GitSource;

const SWITCH: &str = "COMPOSE_EXPERIMENTAL_GIT_REMOTE";
/// How much of a commit people are shown.
const SHOWN_DIGITS: usize = 12;

/// Finds out which commit is meant and brings its files here, unless they are here.
pub(super) fn fetch(
    source: &GitSource,
    cache: &Cache,
    environment: &Environment,
) -> Result<Fetched, FetchError> {
    check_switch(environment, SWITCH)?;
    let git = Git::new(environment.variables());
    let (commit, warning) = commit(source, cache, &git)?;
    let root = cache.place("git", &commit);
    if !root.is_dir() {
        let made = cache.make(&root, |partial, tree| {
            git.check_out(source, &commit, (&partial.join("repository"), tree))
        });
        made.map_err(|error| advise(&error))?;
    }
    let path = Path::new(source.path().unwrap_or_default());
    let kind = kind(&root, path)?;
    let directory = match kind {
        EntryKind::Directory => path,
        EntryKind::Regular | EntryKind::Symlink | EntryKind::Special => {
            path.parent().unwrap_or(path)
        }
    };
    let name = directory.file_name().and_then(|name| name.to_str());
    Ok(Fetched {
        file: root.join(path),
        root,
        name: name.unwrap_or(source.repository_name()).to_owned(),
        warning,
    })
}

/// Returns the commit; the last one that was seen if nobody can be asked, with a warning.
fn commit(
    source: &GitSource,
    cache: &Cache,
    git: &Git,
) -> Result<(String, Option<String>), FetchError> {
    let name = format!(
        "{}#{}",
        source.url(),
        source.reference().unwrap_or_default()
    );
    let error = match git.commit_of(source) {
        Ok(commit) => {
            if source.commit().is_none() {
                cache.remember(&name, &commit);
            }
            return Ok((commit, None));
        }
        Err(error) => error,
    };
    let told = advise(&error);
    let can_be_old = match error {
        GitError::Refused { .. } | GitError::NotInstalled | GitError::Run { .. } => true,
        GitError::NoReference { .. } | GitError::Store(_) => false,
    };
    let known = cache.recall(&name).filter(|commit| {
        let is_here = !commit.is_empty() && cache.place("git", commit).is_dir();
        can_be_old && is_here
    });
    let Some(known) = known else {
        return Err(told);
    };
    let shown = known.get(..SHOWN_DIGITS).unwrap_or(&known);
    let warning = last_known(&told, shown);
    Ok((known, Some(warning)))
}

fn kind(root: &Path, path: &Path) -> Result<EntryKind, FetchError> {
    let found = Root::open(root).and_then(|root| root.stat(path));
    match found.map_err(|error| told(&error))? {
        Some(stat) => Ok(EntryKind::of(&stat)),
        None => Err(FetchError {
            reason: format!("there is no `{}` in the repository", path.display()),
            hint: Some("after `#` come the branch or tag, `:`, and the path".to_owned()),
        }),
    }
}

fn advise(error: &GitError) -> FetchError {
    let told = told(error);
    match error {
        GitError::NotInstalled => told
            .with_hint("install `git`, or fetch the repository in another way and name the copy"),
        GitError::NoReference { .. } => told.with_hint("a commit is given by all of its digits"),
        GitError::Refused { said, .. } if asks(said) => told.with_hint(
            "nobody is asked for passwords here: set up a credential helper of git, or an ssh key",
        ),
        GitError::Refused { .. } | GitError::Run { .. } | GitError::Store(_) => told,
    }
}

/// Says whether git would have asked for something.
fn asks(said: &str) -> bool {
    [
        "terminal prompts disabled",
        "Authentication failed",
        "Permission denied",
    ]
    .iter()
    .any(|part| said.contains(part))
}
