//! Images of the store → the rows that are shown of them.

use std::time::SystemTime;

use serde_json::Value;

use crate::report::{
    HistoryRow, NONE, StoredImageRow, Truncation, ago, local_time, rfc3339, shortened, size,
};
use crate::runtime::image::StoredImage;
use crate::value::ImageRef;

/// How times and sizes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    /// For people.
    Human,
    /// As they are.
    Exact,
}

/// Returns one row for each name of an image, or one without a name.
pub(super) fn of_image(
    image: &StoredImage,
    now: SystemTime,
    truncation: Truncation,
) -> Vec<StoredImageRow> {
    if image.names.is_empty() {
        return vec![row(image, None, now, truncation)];
    }
    let names = image.names.iter();
    names
        .map(|name| row(image, Some(name), now, truncation))
        .collect()
}

fn row(
    image: &StoredImage,
    name: Option<&ImageRef>,
    now: SystemTime,
    truncation: Truncation,
) -> StoredImageRow {
    let (repository, tag) = match name {
        Some(ImageRef::Registry(name)) => {
            (name.familiar_name(), name.tag().unwrap_or(NONE).to_owned())
        }
        Some(place @ ImageRef::Local(_)) => (place.to_string(), NONE.to_owned()),
        None => (NONE.to_owned(), NONE.to_owned()),
    };
    let digest = image.repo_digests.iter().find_map(|known| {
        let (name, digest) = known.split_once('@')?;
        (name == repository).then(|| digest.to_owned())
    });
    let created = image.created.as_deref().and_then(moment);
    StoredImageRow {
        containers: "N/A".to_owned(),
        created_at: created.map_or_else(|| "N/A".to_owned(), local_time),
        created_since: created.map_or_else(|| "N/A".to_owned(), |then| ago(then, now)),
        digest: digest.unwrap_or_else(|| NONE.to_owned()),
        id: id(image, truncation),
        repository,
        shared_size: "N/A".to_owned(),
        size: size(image.size_bytes),
        tag,
        unique_size: "N/A".to_owned(),
        labels: image.labels.clone(),
    }
}

fn id(image: &StoredImage, truncation: Truncation) -> String {
    match truncation {
        Truncation::Short => image.id.short().to_owned(),
        Truncation::Full => image.id.to_string(),
    }
}

fn moment(text: &str) -> Option<SystemTime> {
    Some(text.parse::<jiff::Timestamp>().ok()?.into())
}

/// Returns the history of an image, the newest step first.
pub(super) fn of_history(
    image: &StoredImage,
    now: SystemTime,
    truncation: Truncation,
    numbers: Numbers,
) -> Vec<HistoryRow> {
    let empty = Vec::new();
    let steps = image.document.get("history").and_then(Value::as_array);
    let steps = steps.unwrap_or(&empty);
    let mut layers = image.layers.iter();
    let mut rows: Vec<HistoryRow> = steps
        .iter()
        .map(|step| {
            let text = |key: &str| step.get(key).and_then(Value::as_str).unwrap_or_default();
            let is_empty = step.get("empty_layer").and_then(Value::as_bool) == Some(true);
            let layer = if is_empty { None } else { layers.next() };
            let size_bytes = layer.map_or(0, |layer| layer.size_bytes);
            let created = moment(text("created"));
            let created_by = match truncation {
                Truncation::Short => shortened(text("created_by")),
                Truncation::Full => text("created_by").to_owned(),
            };
            let created_at = created.map(rfc3339).unwrap_or_default();
            HistoryRow {
                comment: text("comment").to_owned(),
                created_since: match numbers {
                    Numbers::Human => created.map_or_else(|| "N/A".to_owned(), |it| ago(it, now)),
                    Numbers::Exact => created_at.clone(),
                },
                created_at,
                created_by,
                id: "<missing>".to_owned(),
                size: match numbers {
                    Numbers::Human => size(size_bytes),
                    Numbers::Exact => size_bytes.to_string(),
                },
            }
        })
        .collect();
    rows.reverse();
    if let Some(newest) = rows.first_mut() {
        newest.id = id(image, truncation);
    }
    rows
}
