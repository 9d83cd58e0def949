//! A source of `COPY` or `ADD` → what of a tree is meant by it.

use std::path::{Path, PathBuf};

use rustix::fs::Stat;

use super::pattern;
use super::resolve::resolve;
use super::tree::Tree;
use super::view::{Keeps, Sieve, View};
use super::walk::{Item, Walk};
use crate::runtime::build::BuildError;
use crate::runtime::kernel::rooted::EntryKind;
use crate::value::IgnorePatterns;

/// One thing that a source means: a file, or a folder with what is selected in it.
#[derive(Debug)]
pub(in crate::runtime::build) struct Selection {
    /// The last name of its path as it was asked for.
    pub(in crate::runtime::build) name: PathBuf,
    /// Where it is in the tree, without any link.
    pub(in crate::runtime::build) path: PathBuf,
    /// What is known of it.
    pub(in crate::runtime::build) stat: Stat,
    /// What is below it, parents first.
    pub(in crate::runtime::build) below: Vec<Item>,
}

impl Selection {
    pub(in crate::runtime::build) fn is_dir(&self) -> bool {
        EntryKind::of(&self.stat) == EntryKind::Directory
    }
}

/// Selects what a path or pattern means; nothing where a pattern matches nothing.
pub(in crate::runtime::build) fn select(
    tree: &Tree,
    text: &str,
    exclude: &View,
) -> Result<Vec<Selection>, BuildError> {
    let cleaned = cleaned(text);
    let parts: Vec<&str> = cleaned.split('/').filter(|part| !part.is_empty()).collect();
    let Some(split) = parts.iter().position(|part| pattern::is_pattern(part)) else {
        return Ok(vec![one(tree, text, Path::new(&cleaned), exclude)?]);
    };
    let (base, wanted) = (parts[..split].join("/"), parts[split..].join("/"));
    if pattern::matches(&wanted, "").is_none() {
        let act = format!("use `{text}` as a pattern");
        return Err(BuildError::refused(act, "it is malformed"));
    }
    let base = resolve(&tree.root, Path::new(&base))?;
    let mut selected = Vec::new();
    for path in matching(tree, &base, &wanted)? {
        if !exclude.hides(&path) {
            selected.push(one(tree, text, &base.join(&path), exclude)?);
        }
    }
    Ok(selected)
}

/// Lists what below a folder matches, from there.
fn matching(tree: &Tree, base: &Path, wanted: &str) -> Result<Vec<PathBuf>, BuildError> {
    let act = format!("look at `/{}`", base.display());
    let stat = tree.root.stat_link(base).map_err(BuildError::kernel(act))?;
    if stat.is_none_or(|stat| EntryKind::of(&stat) != EntryKind::Directory) {
        return Ok(Vec::new());
    }
    let walk = Walk {
        root: &tree.root,
        folder: base,
        view: view_of(tree),
        sieves: Vec::new(),
        levels: wanted.split('/').count(),
    };
    let matches = walk.run()?.into_iter().map(|item| item.path);
    Ok(matches
        .filter(|path| {
            let text = path.to_str();
            text.is_some_and(|text| pattern::matches(wanted, text) == Some(true))
        })
        .collect())
}

fn view_of(tree: &Tree) -> Sieve<'_> {
    Sieve {
        patterns: tree.view.patterns(),
        keeps: Keeps::Others,
    }
}

/// Selects one path, following it where it is a link.
fn one(tree: &Tree, text: &str, path: &Path, exclude: &View) -> Result<Selection, BuildError> {
    let resolved = resolve(&tree.root, path)?;
    let act = format!("look at `{text}`");
    let stat = tree
        .root
        .stat_link(&resolved)
        .map_err(BuildError::kernel(act))?;
    let is_seen = resolved.as_os_str().is_empty() || tree.view.shows(&resolved);
    let Some(stat) = stat.filter(|_| is_seen) else {
        return Err(BuildError::NoSource {
            path: text.to_owned(),
            excluded: stat.is_some(),
        });
    };
    let mut selection = Selection {
        name: path.file_name().map(PathBuf::from).unwrap_or_default(),
        path: resolved,
        stat,
        below: Vec::new(),
    };
    if selection.is_dir() {
        let sieves = vec![Sieve {
            patterns: exclude.patterns(),
            keeps: Keeps::Others,
        }];
        selection.below = below(tree, &selection.path, sieves)?;
        let is_root = selection.path.as_os_str().is_empty();
        let is_hidden = !is_root && tree.view.hides(&selection.path);
        if is_hidden && selection.below.is_empty() {
            return Err(BuildError::NoSource {
                path: text.to_owned(),
                excluded: true,
            });
        }
    }
    Ok(selection)
}

fn below(tree: &Tree, folder: &Path, sieves: Vec<Sieve<'_>>) -> Result<Vec<Item>, BuildError> {
    let walk = Walk {
        root: &tree.root,
        folder,
        view: view_of(tree),
        sieves,
        levels: usize::MAX,
    };
    walk.run()
}

/// Selects what `COPY --parents` means: what matches below the root, or below what is before `/./`.
pub(in crate::runtime::build) fn select_parents(
    tree: &Tree,
    text: &str,
    exclude: &View,
) -> Result<Vec<Selection>, BuildError> {
    let text = text.trim_start_matches('/');
    let (parent, wanted) = match text.split_once("/./") {
        Some((parent, wanted)) => (parent, wanted.trim_start_matches('/')),
        None => ("", text),
    };
    let wanted = cleaned(wanted);
    let wanted = if wanted == "." { "**" } else { &wanted };
    let act = format!("use `{text}` as a pattern");
    let include = IgnorePatterns::from_patterns([wanted])
        .map_err(|error| BuildError::refused(act, error.to_string()))?;
    let sieves = vec![
        Sieve {
            patterns: &include,
            keeps: Keeps::Matches,
        },
        Sieve {
            patterns: exclude.patterns(),
            keeps: Keeps::Others,
        },
    ];
    let mut tops = select(tree, parent, &View::everything())?;
    for top in &mut tops {
        top.below = below(tree, &top.path, sieves.clone())?;
    }
    Ok(tops)
}

/// Takes a path from the root, without `.` and `..`.
fn cleaned(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return ".".to_owned();
    }
    parts.join("/")
}
