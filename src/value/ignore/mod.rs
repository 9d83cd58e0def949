//! The patterns of a `.dockerignore`: which paths of a folder are left out.
//!
//! The rules are Docker's: the last pattern that matches decides, `!` takes back in, `*` and `?` do
//! not cross `/`, `**` does, and what lies below an excluded folder is excluded with it.

mod glob;

use glob::Glob;

/// The most patterns of one file.
const PATTERNS_LIMIT: usize = 10_000;

/// Why patterns cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    /// A pattern that is not well-formed.
    #[error("read ignore pattern `{pattern}`: syntax error in pattern")]
    Syntax {
        /// The pattern.
        pattern: String,
    },
    /// A `!` without a pattern.
    #[error("read ignore pattern `!`: illegal exclusion pattern, expected a pattern after `!`")]
    Nothing,
    /// Too many patterns.
    #[error("read ignore patterns: more than 10,000")]
    TooMany,
}

/// A list of patterns; an empty one leaves nothing out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IgnorePatterns {
    patterns: Vec<Pattern>,
    /// Whether every `!` pattern begins with the plain path of a folder.
    takes_back_by_prefix: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    text: String,
    takes_back: bool,
    glob: Glob,
}

/// Which patterns matched a path or a folder above it; made for a folder, it serves all its entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matched {
    by_pattern: Vec<bool>,
    decided_by: Option<usize>,
    is_excluded: bool,
}

impl Matched {
    /// Reports whether the path is left out.
    pub fn is_excluded(&self) -> bool {
        self.is_excluded
    }
}

impl IgnorePatterns {
    /// Reads the text of a `.dockerignore`.
    pub fn from_lines(text: &str) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self::from_patterns(
            lines
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(relative),
        )
    }

    /// Takes patterns that are relative to the folder.
    pub fn from_patterns(
        texts: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, IgnoreError> {
        let mut patterns = Vec::new();
        for text in texts {
            let text = text.as_ref().trim();
            if text.is_empty() {
                continue;
            }
            if patterns.len() == PATTERNS_LIMIT {
                return Err(IgnoreError::TooMany);
            }
            patterns.push(Pattern::parse(text)?);
        }
        let mut takes_back = patterns.iter().filter(|pattern| pattern.takes_back);
        Ok(Self {
            takes_back_by_prefix: takes_back.all(|pattern| !has_wildcard(&pattern.prefix())),
            patterns,
        })
    }

    /// Reports whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Matches an entry, given what matched the folder that holds it ([`Matched::default`] for the
    /// top folder). The path is relative, with `/` and without `.` and `..`.
    pub fn matched(&self, folder: &Matched, path: &str) -> Matched {
        let mut found = Matched {
            by_pattern: vec![false; self.patterns.len()],
            ..Matched::default()
        };
        for (index, pattern) in self.patterns.iter().enumerate() {
            let is_inherited = folder.by_pattern.get(index).copied().unwrap_or(false);
            // A pattern that could not change the verdict is not tried, and what lies below does not
            // inherit it: this is what Docker does, and it can be seen.
            if !is_inherited && pattern.takes_back != found.is_excluded {
                continue;
            }
            if is_inherited || pattern.glob.matches(path) {
                found.by_pattern[index] = true;
                found.is_excluded = !pattern.takes_back;
                found.decided_by = Some(index);
            }
        }
        found
    }

    /// Reports whether a path is left out, itself or by a folder above it.
    pub fn excludes(&self, path: &str) -> bool {
        self.walk(path).is_excluded
    }

    /// Returns the pattern that leaves a path out.
    pub fn excluded_by(&self, path: &str) -> Option<&str> {
        let matched = self.walk(path);
        let index = matched.decided_by.filter(|_| matched.is_excluded)?;
        Some(&self.patterns.get(index)?.text)
    }

    /// Says whether something below an excluded folder may be taken back in; otherwise a walk
    /// need not look into it.
    pub fn may_take_back_below(&self, folder: &str) -> bool {
        let takes_back = || self.patterns.iter().filter(|pattern| pattern.takes_back);
        if !self.takes_back_by_prefix {
            return takes_back().next().is_some();
        }
        let folder = format!("{folder}/");
        takes_back().any(|pattern| {
            let prefix = format!("{}/", pattern.prefix());
            prefix.starts_with(&folder) || folder.starts_with(&prefix)
        })
    }

    fn walk(&self, path: &str) -> Matched {
        let ends = path.match_indices('/').map(|(at, _)| at);
        let mut matched = Matched::default();
        for end in ends.chain([path.len()]) {
            matched = self.matched(&matched, &path[..end]);
        }
        matched
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, IgnoreError> {
        let cleaned = clean(text);
        let (takes_back, glob) = match cleaned.strip_prefix('!') {
            Some("") => return Err(IgnoreError::Nothing),
            Some(glob) => (true, glob),
            None => (false, cleaned.as_str()),
        };
        Ok(Self {
            text: text.to_owned(),
            takes_back,
            glob: Glob::parse(glob).ok_or_else(|| IgnoreError::Syntax {
                pattern: text.to_owned(),
            })?,
        })
    }

    /// The pattern without the wildcards that end it.
    fn prefix(&self) -> String {
        let cleaned = clean(&self.text);
        let text = cleaned.trim_start_matches('!');
        let text = text.strip_suffix("/**").or(text.strip_suffix("/*"));
        text.unwrap_or(cleaned.trim_start_matches('!')).to_owned()
    }
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '[', '\\'])
}

/// Makes a line's pattern relative to the folder.
fn relative(line: &str) -> String {
    let (mark, pattern) = match line.strip_prefix('!') {
        Some(pattern) => ("!", pattern.trim()),
        None => ("", line),
    };
    if pattern.is_empty() {
        return mark.to_owned();
    }
    let cleaned = clean(pattern);
    let cleaned = match cleaned.strip_prefix('/') {
        Some(rest) if !rest.is_empty() => rest,
        _ => &cleaned,
    };
    format!("{mark}{cleaned}")
}

/// Removes `.`, `..` and double slashes, as far as the text alone allows.
fn clean(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_absolute => {}
            part => parts.push(part),
        }
    }
    match (is_absolute, parts.join("/")) {
        (true, joined) => format!("/{joined}"),
        (false, joined) if joined.is_empty() => ".".to_owned(),
        (false, joined) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(lines: &str, paths: &[&str]) -> Vec<String> {
        let patterns = IgnorePatterns::from_lines(lines).unwrap();
        let found = paths.iter().filter(|path| patterns.excludes(path));
        found.map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn patterns_match_as_docker_matches_them() {
        for (lines, path, expected) in [
            ("*.log", "a.log", true),
            ("*.log", "d/a.log", false),
            ("**/*.log", "d/a.log", true),
            ("**/*.log", "a.log", true),
            ("d", "d/x/y", true),
            ("d/", "d/x", true),
            ("/d", "d", true),
            ("d/*", "d", false),
            ("d/*", "d/x", true),
            ("d/**", "d", false),
            ("d/**", "d/x/y", true),
            ("**", "any/thing", true),
            ("**foo", "xfoo", true),
            ("**/foo", "xfoo", false),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("[a-c]x", "bx", true),
            ("[^a]x", "bx", true),
            ("a+$", "a+$", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("# d\nd", "d", true),
            (" d \n", "d", true),
            ("*\n!a", "a", false),
            ("*\n!a", "a/b", false),
            ("*\n!a/b", "a/c", true),
            ("*\n!a/b", "a/b", false),
            ("!a\n*", "a", true),
            ("a/b\n!a", "a/b", true),
            ("..", "a", false),
            ("./a/../b", "b", true),
        ] {
            assert_eq!(
                !excluded(lines, &[path]).is_empty(),
                expected,
                "{lines:?} {path}"
            );
        }
    }

    #[test]
    fn a_pattern_that_is_not_well_formed_is_refused() {
        for lines in ["[", "[]", "a\\", "[a-]", "!"] {
            assert!(IgnorePatterns::from_lines(lines).is_err(), "{lines}");
        }
    }

    #[test]
    fn a_folder_is_skipped_only_when_nothing_in_it_can_come_back() {
        let below = |lines: &str, folder: &str| {
            let patterns = IgnorePatterns::from_lines(lines).unwrap();
            patterns.may_take_back_below(folder)
        };
        assert!(!below("*", "a"));
        assert!(below("*\n!a/b", "a"));
        assert!(!below("*\n!a/b", "c"));
        assert!(below("*\n!**/x", "c"));
        assert!(below("*\n!a/**", "a"));
        assert!(below("*\n!a/**\na/b", "a/b"));
    }

    #[test]
    fn the_deciding_pattern_is_named() {
        let patterns = IgnorePatterns::from_lines("*\n!a\na/b").unwrap();
        assert_eq!(patterns.excluded_by("x/y"), Some("*"));
        assert_eq!(patterns.excluded_by("a/b/c"), Some("a/b"));
        assert_eq!(patterns.excluded_by("a"), None);
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let pattern = "*a".repeat(2_000);
        let patterns = IgnorePatterns::from_lines(&pattern).unwrap();
        assert!(!patterns.excludes(&format!("{}b", "a".repeat(4_000))));
    }
}
