//! Stored images and their histories → the rows of `image ls` and `image history`, and any JSON as a row.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use super::output::Output;
use super::table;
use super::template::Row;

/// What stands where there is nothing.
pub const NONE: &str = "<none>";
/// The longest instruction that a table shows whole.
const CREATED_BY_CHARS: usize = 45;

/// A JSON document as a row, for templates.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct JsonRow(pub serde_json::Value);

impl Row for JsonRow {}

/// One name of a stored image, with Docker's field names.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StoredImageRow {
    /// How many containers use it; Docker does not count them either.
    pub containers: String,
    /// When it was made.
    pub created_at: String,
    /// How long ago that was.
    pub created_since: String,
    /// The digest under which its registry knows it.
    pub digest: String,
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its name without a tag.
    pub repository: String,
    /// What it shares with other images.
    pub shared_size: String,
    /// How large it is.
    pub size: String,
    /// Its tag.
    pub tag: String,
    /// What it alone needs.
    pub unique_size: String,
    /// Its labels, for `.Label "name"`.
    #[serde(skip)]
    pub labels: BTreeMap<String, String>,
}

impl Row for StoredImageRow {
    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.labels)
    }
}

/// Whether a table of images has a column of digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestColumn {
    /// It has.
    Shown,
    /// It has not.
    Hidden,
}

/// Writes the table of `image ls`.
pub fn write_stored_images(
    output: &mut Output,
    rows: &[StoredImageRow],
    digests: DigestColumn,
) -> io::Result<()> {
    let mut header = vec!["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"];
    if digests == DigestColumn::Shown {
        header.insert(2, "DIGEST");
    }
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let mut cells = vec![
                row.repository.clone(),
                row.tag.clone(),
                row.id.clone(),
                row.created_since.clone(),
                row.size.clone(),
            ];
            if digests == DigestColumn::Shown {
                cells.insert(2, row.digest.clone());
            }
            cells
        })
        .collect();
    table::write(output, &header, &cells)
}

/// One step of an image's history, with Docker's field names.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HistoryRow {
    /// What its maker says of it.
    pub comment: String,
    /// When it was done.
    pub created_at: String,
    /// The instruction.
    pub created_by: String,
    /// How long ago it was done.
    pub created_since: String,
    /// The image's id for the last step.
    #[serde(rename = "ID")]
    pub id: String,
    /// What it added.
    pub size: String,
}

impl Row for HistoryRow {}

/// Cuts an instruction to what a table has room for.
pub fn shortened(text: &str) -> String {
    if text.chars().count() <= CREATED_BY_CHARS {
        return text.to_owned();
    }
    let kept: String = text.chars().take(CREATED_BY_CHARS - 1).collect();
    format!("{kept}…")
}

/// Writes the table of `image history`.
pub fn write_history(output: &mut Output, rows: &[HistoryRow]) -> io::Result<()> {
    let header = ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"];
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.id.clone(),
                row.created_since.clone(),
                row.created_by.clone(),
                row.size.clone(),
                row.comment.clone(),
            ]
        })
        .collect();
    table::write(output, &header, &cells)
}
