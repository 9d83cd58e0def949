//! Names of projects, services, containers, networks and volumes.
//!
//! **Invariant:** a name can be a file name: it is not empty, has no separator and is never `.` or
//! `..`, because its first character is a letter or a digit. Rooms that put names into paths rely
//! on it.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::{borrow::Borrow, fmt, ops::Deref, str::FromStr, sync::Arc};

/// Longest name that is accepted: what a file name may be, less what is appended to it.
const MAX_BYTES: usize = 200;

/// A text that cannot be a name of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use `{text}` as a {kind} name: {expected}")]
pub struct NameError {
    /// What was given.
    pub text: String,
    /// What it was meant to name.
    pub kind: &'static str,
    /// Which form is accepted.
    pub expected: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:path, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                if text.len() <= MAX_BYTES && $check(text) {
                    return Ok(Self(text.into()));
                }
                Err(NameError { text: text.to_owned(), kind: $kind, expected: $expected })
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }
    };
}

name! {
    /// The name of a project, which scopes everything that belongs to it.
    ProjectName, "project", is_project,
    "lower-case letters, digits, `-` and `_`, starting with a letter or digit"
}
name! {
    /// The key of a service below `services`.
    ServiceName, "service", is_resource,
    "letters, digits, `.`, `_` and `-`, starting with a letter or digit"
}
name! {
    /// The name of one container, unique on the machine.
    ContainerName, "container", is_resource,
    "letters, digits, `.`, `_` and `-`, starting with a letter or digit"
}
name! {
    /// The name of a network, unique on the machine.
    NetworkName, "network", is_resource,
    "letters, digits, `.`, `_` and `-`, starting with a letter or digit"
}
name! {
    /// The name of a volume, unique on the machine.
    VolumeName, "volume", is_resource,
    "letters, digits, `.`, `_` and `-`, starting with a letter or digit"
}

fn is_project(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(plain) && text.chars().all(|c| plain(c) || matches!(c, '-' | '_'))
}

fn is_resource(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(plain)
        && text
            .chars()
            .all(|c| plain(c) || matches!(c, '.' | '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_leave_its_folder_is_refused() {
        for text in ["", ".", "..", "a/b", "/a", "-a", "a\0b", "a b"] {
            assert!(text.parse::<ContainerName>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_project_name_is_lower_case() {
        assert!("demo_1-x".parse::<ProjectName>().is_ok());
        let refused = "Demo".parse::<ProjectName>().unwrap_err();
        assert!(
            refused
                .to_string()
                .starts_with("use `Demo` as a project name")
        );
    }

    #[test]
    fn an_endless_name_is_refused() {
        assert!("a".repeat(MAX_BYTES).parse::<ServiceName>().is_ok());
        assert!("a".repeat(MAX_BYTES + 1).parse::<ServiceName>().is_err());
    }

    #[test]
    fn a_stored_name_is_checked_again_when_read() {
        assert!(serde_json::from_str::<VolumeName>("\"data\"").is_ok());
        assert!(serde_json::from_str::<VolumeName>("\"../data\"").is_err());
    }
}
