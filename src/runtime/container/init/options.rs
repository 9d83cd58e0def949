//! Mount options in the words of `mount(8)` → restrictions, propagation and filesystem options.

use std::ffi::CString;

use crate::runtime::container::error::ContainerError;
use crate::runtime::kernel::mount::{Depth, Propagation, Restrictions};

/// What a list of options asks for.
#[derive(Debug)]
pub(super) struct MountOptions {
    /// Restrictions to add.
    pub(super) add: Restrictions,
    /// Restrictions to take away.
    pub(super) remove: Restrictions,
    /// Whether restrictions go for the mounts below as well (`rro` and the like).
    pub(super) depth: Depth,
    /// `bind` or `rbind`: a path of the host, with or without what is mounted below it.
    pub(super) bind: Option<Depth>,
    /// Propagation and whether it goes for the mounts below.
    pub(super) propagation: Option<(Propagation, Depth)>,
    /// What is for the filesystem itself.
    pub(super) data: Vec<(CString, Option<CString>)>,
}

/// The restriction a word adds or takes away, without a leading `r`.
fn restriction(word: &str) -> Option<(Restrictions, Restrictions)> {
    let none = Restrictions::empty();
    let add = |one| Some((one, none));
    let remove = |one| Some((none, one));
    match word {
        "ro" => add(Restrictions::MOUNT_ATTR_RDONLY),
        "rw" => remove(Restrictions::MOUNT_ATTR_RDONLY),
        "nosuid" => add(Restrictions::MOUNT_ATTR_NOSUID),
        "suid" => remove(Restrictions::MOUNT_ATTR_NOSUID),
        "nodev" => add(Restrictions::MOUNT_ATTR_NODEV),
        "dev" => remove(Restrictions::MOUNT_ATTR_NODEV),
        "noexec" => add(Restrictions::MOUNT_ATTR_NOEXEC),
        "exec" => remove(Restrictions::MOUNT_ATTR_NOEXEC),
        "nodiratime" => add(Restrictions::MOUNT_ATTR_NODIRATIME),
        "diratime" => remove(Restrictions::MOUNT_ATTR_NODIRATIME),
        "nosymfollow" => add(NO_SYMLINKS),
        "symfollow" => remove(NO_SYMLINKS),
        // The three ways to keep access times are one field: all of it is replaced.
        "relatime" => Some((Restrictions::MOUNT_ATTR_RELATIME, ACCESS_TIMES)),
        "noatime" => Some((Restrictions::MOUNT_ATTR_NOATIME, ACCESS_TIMES)),
        "strictatime" => Some((Restrictions::MOUNT_ATTR_STRICTATIME, ACCESS_TIMES)),
        "atime" | "norelatime" | "nostrictatime" => Some((none, none)),
        _ => None,
    }
}

const NO_SYMLINKS: Restrictions = Restrictions::from_bits_retain(0x0020_0000);
const ACCESS_TIMES: Restrictions = Restrictions::from_bits_retain(0x0000_0070);

fn propagation(word: &str) -> Option<(Propagation, Depth)> {
    let (depth, word) = match word.strip_prefix('r') {
        Some(rest) => (Depth::Tree, rest),
        None => (Depth::One, word),
    };
    let kind = match word {
        "private" => Propagation::Private,
        "slave" => Propagation::Slave,
        "shared" => Propagation::Shared,
        "unbindable" => Propagation::Unbindable,
        _ => return None,
    };
    Some((kind, depth))
}

/// Reads options; a later one undoes an earlier one.
pub(super) fn parse(options: &[String]) -> Result<MountOptions, ContainerError> {
    let mut parsed = MountOptions {
        add: Restrictions::empty(),
        remove: Restrictions::empty(),
        depth: Depth::One,
        bind: None,
        propagation: None,
        data: Vec::new(),
    };
    for word in options.iter().flat_map(|option| option.split(',')) {
        parse_word(word, &mut parsed)?;
    }
    Ok(parsed)
}

fn parse_word(word: &str, parsed: &mut MountOptions) -> Result<(), ContainerError> {
    let recursive = word.strip_prefix('r').and_then(restriction);
    if let Some((add, remove)) = restriction(word).or(recursive) {
        parsed.add = parsed.add.difference(remove).union(add);
        parsed.remove = parsed.remove.difference(add).union(remove);
        if recursive.is_some() && restriction(word).is_none() {
            parsed.depth = Depth::Tree;
        }
    } else if let Some(propagation) = propagation(word) {
        parsed.propagation = Some(propagation);
    } else {
        match word {
            "bind" => parsed.bind = Some(Depth::One),
            "rbind" => parsed.bind = Some(Depth::Tree),
            // Known to mount(8) and without meaning for one mount in a private namespace; `z` and
            // `Z` relabel for SELinux, where it is active.
            "" | "defaults" | "async" | "nouser" | "user" | "auto" | "noauto" | "nofail"
            | "remount" | "loud" | "silent" | "z" | "Z" | "tmpcopyup" => {}
            other => parsed.data.push(data(other)?),
        }
    }
    Ok(())
}

fn data(word: &str) -> Result<(CString, Option<CString>), ContainerError> {
    let refuse = |_| ContainerError::setting("a mount option", word, "it holds a NUL byte");
    Ok(match word.split_once('=') {
        Some((key, value)) => (
            CString::new(key).map_err(refuse)?,
            Some(CString::new(value).map_err(refuse)?),
        ),
        None => (CString::new(word).map_err(refuse)?, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> MountOptions {
        parse(&[text.to_owned()]).unwrap()
    }

    #[test]
    fn the_last_word_wins() {
        let options = read("ro,nosuid,rw");
        assert_eq!(options.add, Restrictions::MOUNT_ATTR_NOSUID);
        assert_eq!(options.remove, Restrictions::MOUNT_ATTR_RDONLY);
    }

    #[test]
    fn recursive_words_go_for_the_whole_tree() {
        let options = read("rbind,rro,rslave");
        assert_eq!(options.bind, Some(Depth::Tree));
        assert_eq!(options.depth, Depth::Tree);
        assert_eq!(options.propagation, Some((Propagation::Slave, Depth::Tree)));
        assert_eq!(read("ro").depth, Depth::One);
        assert_eq!(read("relatime").depth, Depth::One);
    }

    #[test]
    fn what_is_not_for_the_mount_is_for_the_filesystem() {
        let options = read("noexec,size=64m,huge");
        assert_eq!(options.data.len(), 2);
        assert_eq!(
            options.data[0],
            (c"size".to_owned(), Some(c"64m".to_owned()))
        );
        assert_eq!(options.data[1], (c"huge".to_owned(), None));
    }
}
