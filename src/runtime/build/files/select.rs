//! A source of `COPY` or `ADD` → what of a tree is meant by it.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::Stat;

use super::pattern;
use super::resolve::resolve;
use super::{Tree, View};
use crate::runtime::build::BuildError;
use crate::runtime::kernel::rooted::EntryKind;

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

/// Something below a selected folder.
#[derive(Debug)]
pub(in crate::runtime::build) struct Item {
    /// Its path from the folder.
    pub(in crate::runtime::build) path: PathBuf,
    /// What is known of it.
    pub(in crate::runtime::build) stat: Stat,
    /// Whether it is meant itself, or is only on the way to something that is.
    pub(in crate::runtime::build) is_meant: bool,
}

/// Selects what a path or pattern means; nothing where a pattern matches nothing.
pub(in crate::runtime::build) fn select(
    tree: &Tree,
    text: &str,
    exclude: &View,
) -> Result<Vec<Selection>, BuildError> {
    let cleaned = cleaned(text);
    let parts: Vec<&str> = cleaned.split('/').filter(|part| !part.is_empty()).collect();
    let split = parts.iter().position(|part| pattern::is_pattern(part));
    let Some(split) = split else {
        return Ok(vec![one(tree, text, Path::new(&cleaned), exclude)?]);
    };
    let (base, wanted) = (parts[..split].join("/"), parts[split..].join("/"));
    if pattern::matches(&wanted, "").is_none() {
        let act = format!("use `{text}` as a pattern");
        return Err(BuildError::refused(act, "it is malformed"));
    }
    let resolved = resolve(&tree.root, Path::new(&base))?;
    let mut selected = Vec::new();
    for path in matching(tree, &resolved, &wanted)? {
        let inside = path.strip_prefix(&resolved).unwrap_or(&path);
        if exclude.hides(inside, false) {
            continue;
        }
        selected.push(one(tree, text, &path, exclude)?);
    }
    Ok(selected)
}

/// Lists what below a folder matches; what is below a match is not looked at.
fn matching(tree: &Tree, base: &Path, wanted: &str) -> Result<Vec<PathBuf>, BuildError> {
    let act = || BuildError::kernel(format!("list `/{}`", base.display()));
    let depth = wanted.split('/').count();
    let mut found: Vec<PathBuf> = Vec::new();
    let is_dir = tree.root.stat(base).map_err(act())?;
    if is_dir.is_none_or(|stat| EntryKind::of(&stat) != EntryKind::Directory) {
        return Ok(found);
    }
    let walk = tree.root.walk_to(base, depth).map_err(act())?;
    for entry in walk {
        let entry = entry.map_err(act())?;
        let path = base.join(&entry.path);
        let is_dir = entry.kind() == EntryKind::Directory;
        if !tree.view.shows(&path, is_dir) {
            continue;
        }
        let Ok(text) = std::str::from_utf8(entry.path.as_os_str().as_bytes()) else {
            continue;
        };
        if pattern::matches(wanted, text) == Some(true) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Selects one path, following it where it is a link.
fn one(tree: &Tree, text: &str, path: &Path, exclude: &View) -> Result<Selection, BuildError> {
    let resolved = resolve(&tree.root, path)?;
    let stat = tree
        .root
        .stat_link(&resolved)
        .map_err(BuildError::kernel(format!("look at `{text}`")))?;
    let is_dir = stat.is_some_and(|stat| EntryKind::of(&stat) == EntryKind::Directory);
    let is_seen = resolved.as_os_str().is_empty() || tree.view.shows(&resolved, is_dir);
    let Some(stat) = stat.filter(|_| is_seen) else {
        return Err(BuildError::NoSource {
            path: text.to_owned(),
            excluded: stat.is_some(),
        });
    };
    let below = if is_dir {
        below(tree, &resolved, &|path, is_dir| !exclude.hides(path, is_dir))?
    } else {
        Vec::new()
    };
    Ok(Selection {
        name: path.file_name().map(PathBuf::from).unwrap_or_default(),
        path: resolved,
        stat,
        below,
    })
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
    let cleaned = cleaned(wanted);
    let wanted = View::of_pattern(&cleaned)?;
    let resolved = resolve(&tree.root, Path::new(parent))?;
    let act = format!("look at `{text}`");
    let stat = tree.root.stat_link(&resolved).map_err(BuildError::kernel(act))?;
    let Some(stat) = stat else {
        return Err(BuildError::NoSource {
            path: text.to_owned(),
            excluded: false,
        });
    };
    let is_meant = |path: &Path, is_dir: bool| {
        cleaned == "." || (wanted.hides(path, is_dir) && !exclude.hides(path, is_dir))
    };
    Ok(vec![Selection {
        name: PathBuf::new(),
        below: below(tree, &resolved, &is_meant)?,
        path: resolved,
        stat,
    }])
}

/// Lists what is below a folder and meant, with the folders on the way to it.
fn below(
    tree: &Tree,
    folder: &Path,
    is_meant: &dyn Fn(&Path, bool) -> bool,
) -> Result<Vec<Item>, BuildError> {
    let act = || BuildError::kernel(format!("list `/{}`", folder.display()));
    let mut items: Vec<Item> = Vec::new();
    for entry in tree.root.walk(folder).map_err(act())? {
        let entry = entry.map_err(act())?;
        let is_dir = entry.kind() == EntryKind::Directory;
        let whole = folder.join(&entry.path);
        let is_meant = is_meant(&entry.path, is_dir) && !tree.view.hides(&whole, is_dir);
        if is_meant || is_dir {
            items.push(Item {
                path: entry.path,
                stat: entry.stat,
                is_meant,
            });
        }
    }
    Ok(without_idle_folders(items))
}

/// Drops folders that are not meant and lead to nothing that is.
fn without_idle_folders(items: Vec<Item>) -> Vec<Item> {
    let mut kept: Vec<Item> = Vec::new();
    for item in items.into_iter().rev() {
        // Parents come first, so that in this order what was kept last is the nearest thing below.
        let leads_on = kept
            .last()
            .is_some_and(|below: &Item| below.path.starts_with(&item.path));
        if item.is_meant || leads_on {
            kept.push(item);
        }
    }
    kept.reverse();
    kept
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
