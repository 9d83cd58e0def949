//! A place in a file that a user wrote: what errors, causes and explanations point at.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A position in one source file; lines and columns count from one.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Place {
    /// The file as it was named when it was opened.
    pub file: PathBuf,
    /// The line, from one.
    pub line: u32,
    /// The column in characters, from one.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_prints_as_file_line_column() {
        let place = Place {
            file: "compose.yaml".into(),
            line: 14,
            column: 7,
        };
        assert_eq!(place.to_string(), "compose.yaml:14:7");
    }
}
