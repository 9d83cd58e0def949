//! A path inside a root → the same place without any link, also where nothing is yet.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use crate::runtime::build::BuildError;
use crate::runtime::kernel::rooted::{EntryKind, Root};

/// The most links that are followed on the way to one place.
const LINKS_LIMIT: usize = 255;

/// Follows all links of a path, the last one too; what leads above the root stays at the root.
///
/// The result is relative to the root. Where something is missing, or is no directory, the rest is taken as
/// it is written.
pub(in crate::runtime::build) fn resolve(root: &Root, path: &Path) -> Result<PathBuf, BuildError> {
    let mut pending: Vec<Vec<u8>> = reversed(path);
    let mut done = PathBuf::new();
    let mut links = 0;
    while let Some(name) = pending.pop() {
        if name == b".." {
            let _was_below = done.pop();
            continue;
        }
        let next = done.join(OsStr::from_bytes(&name));
        let stat = root
            .stat_link(&next)
            .map_err(BuildError::kernel(format!("look at `/{}`", next.display())))?;
        if stat.is_none_or(|stat| EntryKind::of(&stat) != EntryKind::Symlink) {
            done = next;
            continue;
        }
        links += 1;
        if links > LINKS_LIMIT {
            let act = format!("follow the links of `{}`", path.display());
            return Err(BuildError::refused(act, "they never end"));
        }
        let text = root.read_link(&next).map_err(BuildError::kernel(format!(
            "read link `/{}`",
            next.display()
        )))?;
        let target = Path::new(OsStr::from_bytes(text.as_bytes()));
        if target.is_absolute() {
            done = PathBuf::new();
        }
        pending.extend(reversed(target));
    }
    Ok(done)
}

/// Returns the parts of a path, the last one first.
fn reversed(path: &Path) -> Vec<Vec<u8>> {
    let parts = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.as_bytes().to_vec()),
        Component::ParentDir => Some(b"..".to_vec()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_and_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(path("real/sub")).unwrap();
        symlink("/real", path("abs")).unwrap();
        symlink("../../../../real/sub", path("real/up")).unwrap();
        symlink("nothing/here", path("dangling")).unwrap();
        symlink("loop", path("loop")).unwrap();
        let root = Root::open(dir.path()).unwrap();
        let resolved = |text: &str| resolve(&root, Path::new(text)).unwrap();
        assert_eq!(resolved("/abs/sub"), Path::new("real/sub"));
        assert_eq!(resolved("abs/up/x"), Path::new("real/sub/x"));
        assert_eq!(resolved("../../dangling"), Path::new("nothing/here"));
        assert_eq!(resolved("/new/../other"), Path::new("other"));
        assert!(resolve(&root, Path::new("loop")).is_err());
    }
}
