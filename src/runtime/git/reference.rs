//! The name of a branch or tag → the commit that it stands for now.

use std::ffi::OsStr;
use std::path::Path;

use super::command::refused;
use super::{Git, GitError};
use crate::value::GitSource;

/// What `git ls-remote --exit-code` ends with when nothing has the name.
const NOTHING_FOUND: i32 = 2;

impl Git {
    /// Asks the repository which commit is meant; one that is spelled out is not asked for.
    pub fn commit_of(&self, source: &GitSource) -> Result<String, GitError> {
        if let Some(commit) = source.commit() {
            return Ok(commit.to_owned());
        }
        let url = source.shown_url();
        let name = source.reference().unwrap_or("HEAD");
        let peeled = format!("{name}^{{}}");
        let words = [
            "ls-remote",
            "--exit-code",
            "--",
            source.url(),
            name,
            &peeled,
        ];
        let ended = self.end_of(Path::new("/"), &words.map(OsStr::new))?;
        let none = || GitError::NoReference {
            url: url.clone(),
            reference: name.to_owned(),
        };
        match ended.code {
            Some(0) => {
                let listed = String::from_utf8_lossy(&ended.output);
                chosen(&listed, name).ok_or_else(none)
            }
            Some(NOTHING_FOUND) => Err(none()),
            _ => Err(refused(&format!("reach `{url}`"), &ended)),
        }
    }
}

/// Chooses among what was listed, where a name also finds those that only end in it.
///
/// The order is git's own; an annotated tag has a second line, which names its commit.
fn chosen(listed: &str, name: &str) -> Option<String> {
    let find = |wanted: &str| {
        let mut lines = listed.lines().filter_map(|line| line.split_once('\t'));
        let found = lines.find(|(_, full)| *full == wanted);
        found.map(|(commit, _)| commit.to_owned())
    };
    let places = ["", "refs/", "refs/tags/", "refs/heads/"];
    let found = places.iter().find_map(|place| {
        let full = format!("{place}{name}");
        find(&format!("{full}^{{}}")).or_else(|| find(&full))
    });
    // It becomes the name of a folder.
    found.filter(|id| matches!(id.len(), 40 | 64) && id.chars().all(|c| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_name_wins_and_a_tag_is_followed_to_its_commit() {
        let id = |digit: &str| digit.repeat(40);
        let listed = format!(
            "{}\trefs/heads/feature/main\n{}\trefs/heads/main\n{}\trefs/tags/v1\n{}\trefs/tags/v1^{{}}\n../x\trefs/heads/bad\n",
            id("a"),
            id("b"),
            id("c"),
            id("d"),
        );
        assert_eq!(chosen(&listed, "main"), Some(id("b")));
        assert_eq!(chosen(&listed, "heads/main"), Some(id("b")));
        assert_eq!(chosen(&listed, "v1"), Some(id("d")));
        assert_eq!(chosen(&listed, "feature"), None);
        assert_eq!(chosen(&listed, "bad"), None);
    }
}
