//! `COPY`, `ADD` and `WORKDIR`: their cache keys, and what they do to a mounted draft.

use std::fs::File;
use std::path::Path;

use rustix::fs::OFlags;

use super::job::Job;
use super::sources;
use crate::runtime::build::BuildError;
use crate::runtime::build::files::{
    Folders, ModeChange, Owner, Placement, Selection, Tree, View, chown, lookup_user, make_dirs,
    of_selection, place, select, select_parents,
};
use crate::runtime::build::graph::{Copy, CopyInstruction, CopySource, Source, Unpack};
use crate::runtime::build::key::KeyHasher;
use crate::runtime::image::{Draft, is_archive, unpack_archive};
use crate::runtime::kernel::rooted::{EntryKind, Root};
use crate::value::IgnorePatterns;

/// The mode of a file that a Dockerfile holds.
const INLINE_MODE: u32 = 0o644;
/// The mode of a file that was downloaded.
const DOWNLOAD_MODE: u32 = 0o600;

/// What a `COPY` or `ADD` reads, found and ready to be placed.
#[derive(Debug)]
pub(super) struct Found {
    sources: Vec<FoundSource>,
}

#[derive(Debug)]
struct FoundSource {
    tree: Tree,
    selections: Vec<Selection>,
    unpack: Unpack,
    /// Where the tree is, if it was fetched.
    _draft: Option<Draft>,
}

/// Finds what a `COPY` or `ADD` reads, and adds it to the key of the step.
pub(super) fn find(job: &Job, copy: &Copy, key: &mut KeyHasher) -> Result<Found, BuildError> {
    key.text(
        "instruction",
        match copy.instruction {
            CopyInstruction::Add => "ADD",
            CopyInstruction::Copy => "COPY",
        },
    );
    key.text("dest", &copy.dest);
    key.text("chown", copy.chown.as_deref().unwrap_or("-"));
    key.text("chmod", copy.chmod.as_deref().unwrap_or("-"));
    key.number(u64::from(copy.parents));
    let exclude = IgnorePatterns::from_patterns(&copy.exclude).map_err(|error| {
        BuildError::refused("use the patterns of `--exclude`", error.to_string())
    })?;
    let exclude = View::without(exclude);
    let mut sources = Vec::new();
    for source in &copy.sources {
        let found = find_one(job, copy, source, &exclude)?;
        key.number(found.selections.len() as u64);
        key.number(u64::from(found.unpack == Unpack::Detect));
        for selection in &found.selections {
            of_selection(&found.tree, selection, key)?;
        }
        sources.push(found);
    }
    Ok(Found { sources })
}

fn find_one(
    job: &Job,
    copy: &Copy,
    source: &CopySource,
    exclude: &View,
) -> Result<FoundSource, BuildError> {
    match source {
        CopySource::Files {
            from,
            pattern,
            unpack,
        } => {
            let tree = sources::open(job, from)?;
            let selections = if copy.parents {
                select_parents(&tree, pattern, exclude)?
            } else {
                select(&tree, pattern, exclude)?
            };
            Ok(FoundSource {
                tree,
                selections,
                unpack: *unpack,
                _draft: None,
            })
        }
        CopySource::Inline { name, content } => {
            let tree = Tree::of_file(name, INLINE_MODE, content.as_bytes(), job.time())?;
            whole(tree, name, Unpack::No)
        }
        CopySource::Http { url, unpack, .. } => {
            let download = job.downloads.get(url).ok_or(BuildError::Cancelled)?;
            let name = file_name(url)?;
            let time = download.modified.as_deref().and_then(sources::http_time);
            let time = time.unwrap_or_else(|| job.time());
            let tree = Tree::of_file(name, DOWNLOAD_MODE, &download.bytes, time)?;
            whole(tree, name, *unpack)
        }
        CopySource::Git {
            source,
            checksum,
            keep_git_dir,
        } => {
            if *keep_git_dir {
                let act = format!("add the repository `{}`", source.shown_url());
                let reason =
                    "`--keep-git-dir` is not supported: only the files of a commit are fetched";
                return Err(BuildError::refused(act, reason));
            }
            let repository = sources::repository(job, source, checksum.as_deref())?;
            let path = source.path().unwrap_or("/");
            let selections = select(&repository.tree, path, exclude)?;
            Ok(FoundSource {
                tree: repository.tree,
                selections,
                unpack: Unpack::No,
                _draft: Some(repository.draft),
            })
        }
    }
}

/// Selects the one file of a tree in memory.
fn whole(tree: Tree, name: &str, unpack: Unpack) -> Result<FoundSource, BuildError> {
    let plain = name.rsplit('/').next().unwrap_or(name);
    let escaped: String = plain
        .chars()
        .flat_map(|letter| match letter {
            '*' | '?' | '[' | '\\' => vec!['\\', letter],
            letter => vec![letter],
        })
        .collect();
    let is_plain = escaped == plain;
    let mut selections = if is_plain {
        select(&tree, plain, &View::everything())?
    } else {
        select(&tree, "*", &View::everything())?
    };
    for selection in &mut selections {
        selection.name = plain.into();
    }
    Ok(FoundSource {
        tree,
        selections,
        unpack,
        _draft: None,
    })
}

/// Returns the name that a file behind a URL gets in a folder.
fn file_name(url: &str) -> Result<&str, BuildError> {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    let name = path.split_once('/').map(|(_, path)| path);
    let name = name.and_then(|path| path.rsplit('/').next());
    name.filter(|name| !matches!(*name, "" | "." | ".."))
        .ok_or_else(|| BuildError::refused(format!("add `{url}`"), "it has no file name"))
}

/// Places what was found.
pub(super) fn apply(
    job: &Job,
    copy: &Copy,
    found: &Found,
    target: &Root,
) -> Result<(), BuildError> {
    let owner = copy.chown.as_deref().map(|text| chown(target, text));
    let owner = owner.transpose()?;
    let mode = copy.chmod.as_deref().map(ModeChange::parse).transpose()?;
    let placement = Placement {
        target,
        owner,
        mode: mode.as_ref(),
        time: job.time(),
        folders: if copy.parents {
            Folders::Kept
        } else {
            Folders::Overwritten
        },
    };
    for source in &found.sources {
        for selection in &source.selections {
            if source.unpack == Unpack::Detect
                && unpack(&source.tree, selection, &copy.dest, &placement)?
            {
                continue;
            }
            place(&source.tree, selection, &copy.dest, &placement)?;
        }
    }
    Ok(())
}

/// Unpacks a selected file that is an archive; says whether it was one.
fn unpack(
    tree: &Tree,
    selection: &Selection,
    dest: &str,
    placement: &Placement<'_>,
) -> Result<bool, BuildError> {
    if EntryKind::of(&selection.stat) != EntryKind::Regular {
        return Ok(false);
    }
    let act = || format!("unpack `{}`", selection.name.display());
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = tree.root.open_at(&selection.path, flags);
    let file = File::from(file.map_err(BuildError::kernel(act()))?);
    if !is_archive(&file).map_err(BuildError::io(act()))? {
        return Ok(false);
    }
    // As Docker: the mode of `--chmod` is not for what comes out of an archive, nor for its folder.
    let around = Placement {
        mode: None,
        ..*placement
    };
    let path = make_dirs(&around, Path::new(dest))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let dir = placement.target.open_at(&path, flags);
    let dir = Root::from_fd(dir.map_err(BuildError::kernel(act()))?);
    let owner = placement.owner.map(|owner| (owner.uid, owner.gid));
    unpack_archive(&file, dir, owner).map_err(BuildError::io(act()))?;
    Ok(true)
}

/// Makes the folder of a `WORKDIR` where it is missing.
pub(super) fn workdir(job: &Job, path: &str, user: &str, target: &Root) -> Result<(), BuildError> {
    let owner = if user.is_empty() {
        Owner::ROOT
    } else {
        lookup_user(target, user)?
    };
    let placement = Placement {
        target,
        owner: Some(owner),
        mode: None,
        time: job.time(),
        folders: Folders::Kept,
    };
    let _path = make_dirs(&placement, Path::new(path))?;
    Ok(())
}

/// Copies all of a folder that a stage begins with.
pub(super) fn context(job: &Job, source: &Source, target: &Root) -> Result<(), BuildError> {
    let tree = sources::open(job, source)?;
    let placement = Placement {
        target,
        owner: None,
        mode: None,
        time: job.time(),
        folders: Folders::Overwritten,
    };
    for selection in select(&tree, "/", &View::everything())? {
        place(&tree, &selection, "/", &placement)?;
    }
    Ok(())
}

/// Adds all of a folder that a stage begins with to a key.
pub(super) fn context_key(
    job: &Job,
    source: &Source,
    key: &mut KeyHasher,
) -> Result<(), BuildError> {
    let tree = sources::open(job, source)?;
    for selection in select(&tree, "/", &View::everything())? {
        of_selection(&tree, &selection, key)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_the_last_name_of_its_path() {
        assert_eq!(file_name("http://h/a/b.tar?x=/y").unwrap(), "b.tar");
        for url in ["http://h", "http://h/", "http://h/a/", "http://h/.."] {
            assert!(file_name(url).is_err(), "{url}");
        }
    }
}
