//! Paths through the tree, and the patterns that rules are written for.

use std::fmt;

/// The way from the root to a node, as keys; list elements are `[]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Path {
    parts: Vec<String>,
}

impl Path {
    /// The root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Makes a path from its keys.
    pub fn of(parts: &[&str]) -> Self {
        Self {
            parts: parts.iter().map(|part| (*part).to_owned()).collect(),
        }
    }

    /// Returns the same way from one level further up.
    #[must_use]
    pub fn below(&self, key: &str) -> Self {
        let parts = std::iter::once(key.to_owned())
            .chain(self.parts.iter().cloned())
            .collect();
        Self { parts }
    }

    /// Goes down one key; undone by [`Path::pop`].
    pub fn push(&mut self, key: &str) {
        self.parts.push(key.to_owned());
    }

    /// Goes up one key.
    pub fn pop(&mut self) {
        self.parts.pop();
    }

    /// Returns the keys.
    pub fn parts(&self) -> &[String] {
        &self.parts
    }

    /// Returns the last key.
    pub fn last(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 && part != "[]" {
                f.write_str(".")?;
            }
            f.write_str(part)?;
        }
        Ok(())
    }
}

/// A pattern such as `services.*.ports.[].target`; `*` stands for any one key or element.
#[derive(Debug, Clone, Copy)]
pub struct Pattern(pub &'static str);

impl Pattern {
    /// Returns whether the pattern describes exactly this path.
    pub fn matches(self, parts: &[String]) -> bool {
        // From the end: what differs mostly differs there.
        let mut rest = parts.iter().rev();
        for part in self.0.rsplit('.') {
            match rest.next() {
                Some(found) if part == "*" || part == found => {}
                _ => return false,
            }
        }
        rest.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_exactly_one_key() {
        let path = Path::of(&["services", "web", "ports"]);
        assert!(Pattern("services.*.ports").matches(path.parts()));
        assert!(!Pattern("services.*").matches(path.parts()));
        assert!(!Pattern("services.*.ports.*").matches(path.parts()));
    }
}
