//! An entry's name into the place it means, with whiteouts told from things.
//!
//! **Invariant:** a [`Place`] has no empty, `.` or `..` component, so it cannot lead above its root.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Longer names cannot be given to the kernel.
const NAME_LIMIT_BYTES: usize = 4095;
const COMPONENT_LIMIT_BYTES: usize = 255;
const WHITEOUT: &[u8] = b".wh.";
const WHITEOUT_META: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// A place below a root: a directory, and a name in it unless it is the root itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    path: PathBuf,
}

/// What an entry's name asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The root directory itself.
    Root,
    /// A thing at this place.
    Thing(Place),
    /// Nothing at this place, whatever lower layers have there.
    Whiteout(Place),
    /// Only what this layer has in this directory.
    Opaque(PathBuf),
    /// A note of some storage driver to itself.
    Ignored,
}

impl Place {
    /// Reads a name that is taken from the root, whether or not it begins with `/`.
    pub(super) fn parse(name: &[u8]) -> Result<Option<Self>, &'static str> {
        if name.len() > NAME_LIMIT_BYTES {
            return Err("its name has more than 4,095 bytes");
        }
        if name.contains(&0) {
            return Err("its name contains NUL");
        }
        let mut path = PathBuf::new();
        for component in name.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return Err("its name contains `..`"),
                long if long.len() > COMPONENT_LIMIT_BYTES => {
                    return Err("a part of its name has more than 255 bytes");
                }
                other => path.push(OsStr::from_bytes(other)),
            }
        }
        Ok((!path.as_os_str().is_empty()).then_some(Self { path }))
    }

    /// Returns the whole path, relative to the root.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the directory, relative to the root.
    pub(super) fn parent(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Returns the name in the directory.
    pub(super) fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }
}

/// Returns a name without its empty parts; `None` for the root, an error for one that leads elsewhere.
pub(in crate::runtime::image) fn place_in_root(
    name: &[u8],
) -> Result<Option<String>, &'static str> {
    let Some(place) = Place::parse(name)? else {
        return Ok(None);
    };
    match place.path.into_os_string().into_string() {
        Ok(name) => Ok(Some(name)),
        Err(_) => Err("a name in it is not UTF-8"),
    }
}

impl Meaning {
    pub(super) fn of(name: &[u8]) -> Result<Self, &'static str> {
        let Some(place) = Place::parse(name)? else {
            return Ok(Self::Root);
        };
        let is_whiteout = |part: &OsStr| part.as_bytes().starts_with(WHITEOUT);
        if place
            .parent()
            .iter()
            .any(|part| part.as_bytes().starts_with(WHITEOUT_META))
        {
            return Ok(Self::Ignored);
        }
        if place.parent().iter().any(is_whiteout) {
            return Err("a directory in its name is a whiteout");
        }
        let last = place.name().as_bytes();
        if last == OPAQUE {
            return Ok(Self::Opaque(place.parent().to_owned()));
        }
        if last.starts_with(WHITEOUT_META) {
            return Ok(Self::Ignored);
        }
        match last.strip_prefix(WHITEOUT) {
            None => Ok(Self::Thing(place)),
            Some(b"" | b"." | b"..") => Err("it is a whiteout of no name"),
            Some(hidden) => {
                let path = place.parent().join(OsStr::from_bytes(hidden));
                Ok(Self::Whiteout(Place { path }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Place {
        Place { path: path.into() }
    }

    #[test]
    fn names_mean_places_below_the_root() {
        for (name, expected) in [
            ("./", Meaning::Root),
            ("/", Meaning::Root),
            ("a/b", Meaning::Thing(place("a/b"))),
            ("./a//b/./c/", Meaning::Thing(place("a/b/c"))),
            ("/etc/passwd", Meaning::Thing(place("etc/passwd"))),
            ("a/.wh.b", Meaning::Whiteout(place("a/b"))),
            (".wh...a", Meaning::Whiteout(place("..a"))),
            ("a/.wh..wh..opq", Meaning::Opaque("a".into())),
            (".wh..wh..opq", Meaning::Opaque("".into())),
            (".wh..wh.aufs", Meaning::Ignored),
            (".wh..wh.plnk/1.2", Meaning::Ignored),
        ] {
            assert_eq!(Meaning::of(name.as_bytes()), Ok(expected), "{name}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let long = format!("a/{}", "b".repeat(256));
        let deep = "a/".repeat(3000);
        for name in [
            "..",
            "a/../b",
            "../../etc",
            "a/..",
            ".wh.",
            ".wh..",
            ".wh...",
            "a/.wh.",
            ".wh.a/b",
            "a\0b",
            &long,
            &deep,
        ] {
            assert!(Meaning::of(name.as_bytes()).is_err(), "{name}");
        }
    }
}
