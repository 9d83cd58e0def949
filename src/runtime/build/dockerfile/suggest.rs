//! The word that was probably meant.

/// Returns the nearest of some words, if it is near enough to be meant.
pub(crate) fn suggestion<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    const FARTHEST: usize = 3;
    if word.len() > 64 {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let near = known
        .into_iter()
        .map(|other| (distance(&word, &other.to_ascii_lowercase()), other));
    near.filter(|(distance, other)| {
        *distance > 0 && *distance < FARTHEST && *distance < other.len()
    })
    .min_by_key(|(distance, _)| *distance)
    .map(|(_, other)| other)
}

/// The number of inserted, removed and changed characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.chars().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, to) in right.iter().enumerate() {
            let change = corner + usize::from(from != *to);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[right.len()]
}
