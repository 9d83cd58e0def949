//! `--chown` and users of instructions → numbers, by the files of the image that is being made.
//!
//! What BuildKit does with names that are not there is followed where people may rely on it.

use std::path::Path;

use crate::runtime::build::BuildError;
use crate::runtime::kernel::rooted::Root;

/// More than any real passwd or group file holds.
const FILE_LIMIT_BYTES: u64 = 8 << 20;

/// A user and a group by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime::build) struct Owner {
    pub(in crate::runtime::build) uid: u32,
    pub(in crate::runtime::build) gid: u32,
}

impl Owner {
    /// Root.
    pub(in crate::runtime::build) const ROOT: Self = Self { uid: 0, gid: 0 };
}

/// Reads `user[:group]` of `--chown`.
///
/// A user alone gives a group of the same number. A name that the files do not have gives 0, a group the
/// user's number; without the file a name is an error, except for `root`.
pub(in crate::runtime::build) fn chown(root: &Root, text: &str) -> Result<Owner, BuildError> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let uid = number_of(root, "etc/passwd", "user", user)?.unwrap_or(0);
    let gid = match group {
        None => uid,
        Some("") => 0,
        Some(group) => number_of(root, "etc/group", "group", group)?.unwrap_or(uid),
    };
    Ok(Owner { uid, gid })
}

fn number_of(root: &Root, file: &str, kind: &str, text: &str) -> Result<Option<u32>, BuildError> {
    if text.is_empty() {
        return Ok(Some(0));
    }
    if let Ok(number) = text.parse::<u32>() {
        return Ok(Some(number));
    }
    match read(root, file)? {
        Some(content) => Ok(number_in(&content, text)),
        None if text == "root" => Ok(Some(0)),
        None => {
            let act = format!("find {kind} `{text}` of `--chown`");
            Err(BuildError::refused(
                act,
                format!("the image has no `/{file}`"),
            ))
        }
    }
}

/// Finds the number in the third field of the line that begins with a name.
fn number_in(content: &str, name: &str) -> Option<u32> {
    let mut fields = content.lines().map(|line| line.split(':'));
    fields.find_map(|mut fields| {
        let is_it = fields.next() == Some(name);
        let number = fields.nth(1)?.parse().ok()?;
        is_it.then_some(number)
    })
}

fn read(root: &Root, path: &str) -> Result<Option<String>, BuildError> {
    let act = format!("read `/{path}` of the image");
    let bytes = root.read_bounded(Path::new(path), FILE_LIMIT_BYTES);
    let bytes = bytes.map_err(BuildError::kernel(act))?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Finds the numbers of a `USER`; an unknown name is an error.
pub(in crate::runtime::build) fn lookup_user(root: &Root, user: &str) -> Result<Owner, BuildError> {
    let identity = crate::runtime::container::users::resolve(root, user, &[])?;
    Ok(Owner {
        uid: identity.uid,
        gid: identity.gid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_there_are_read_as_buildkit_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        let of = |text: &str| chown(&root, text).map(|owner| (owner.uid, owner.gid)).ok();
        assert_eq!(of("55"), Some((55, 55)));
        assert_eq!(of("1:2"), Some((1, 2)));
        assert_eq!(of("root:root"), Some((0, 0)));
        assert_eq!(of("app"), None);
        assert_eq!(of("1:2:3"), None);
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        put("etc/passwd", "web:x:1001:2000::/:\n");
        put("etc/group", "staff:x:50:\n");
        assert_eq!(of("web"), Some((1001, 1001)));
        assert_eq!(of("web:staff"), Some((1001, 50)));
        assert_eq!(of("web:"), Some((1001, 0)));
        assert_eq!(of("nobody"), Some((0, 0)));
        assert_eq!(of("web:nogroup"), Some((1001, 1001)));
    }
}
