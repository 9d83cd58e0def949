//! Paths through the tree.

use std::fmt;

use crate::compose::tree::Span;

/// What stands in a path for an element of a list.
pub(crate) const LIST: &str = "[]";

/// The way from the root to a node, as keys; list elements are [`LIST`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Path {
    parts: Vec<String>,
    /// Where what sets the end of the way apart is written.
    span: Span,
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
            span: Span::default(),
        }
    }

    /// Returns the same way, whose end is written at a place.
    #[must_use]
    pub fn written_at(self, span: Span) -> Self {
        Self { span, ..self }
    }

    /// Returns where its end is written.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Returns the same way from one level further up.
    #[must_use]
    pub fn below(&self, key: &str) -> Self {
        let parts = std::iter::once(key.to_owned())
            .chain(self.parts.iter().cloned())
            .collect();
        Self {
            parts,
            span: self.span,
        }
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
            if index > 0 && part != LIST {
                f.write_str(".")?;
            }
            f.write_str(part)?;
        }
        Ok(())
    }
}
