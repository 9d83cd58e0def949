//! The name that was probably meant: the nearest one by edits.

/// Returns the candidate that differs least from `name`, if it differs little.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = impl Into<&'a str>>,
) -> Option<&'a str> {
    let limit = match name.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    let candidates = candidates.into_iter().map(Into::into);
    candidates
        .filter_map(|candidate: &str| {
            let same_letters = candidate.eq_ignore_ascii_case(name) && candidate != name;
            let edits = if same_letters {
                0
            } else {
                distance(name, candidate, limit)?
            };
            (candidate != name && (edits < name.chars().count() || same_letters))
                .then_some((edits, candidate))
        })
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Counts the edits between two words; swapping neighbours is one. `None` above the limit.
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            let changed = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = changed.min(above[j] + 1).min(row[j - 1] + 1);
            if swap {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().filter(|edits| *edits <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_slip_finds_the_word() {
        let keys = ["environment", "entrypoint", "volumes", "image"];
        assert_eq!(nearest("enviroment", keys), Some("environment"));
        assert_eq!(nearest("imgae", keys), Some("image"));
        assert_eq!(nearest("VOLUMES", keys), Some("volumes"));
    }

    #[test]
    fn a_different_word_finds_nothing() {
        assert_eq!(nearest("labels", ["environment", "image"]), None);
        assert_eq!(nearest("x", ["a", "b"]), None);
    }
}
