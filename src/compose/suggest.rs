//! The name that was probably meant: the nearest one by edits.

use crate::compose::diagnostic::Diagnostic;

/// After how many mistakes nothing is suggested any more: nobody reads that far, and looking takes time.
const SUGGESTION_LIMIT: usize = 200;

/// Returns the candidate that differs least from `name`, if it differs little and little was wrong so far.
pub(crate) fn suggestion<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = impl Into<&'a str>>,
    faults: &[Diagnostic],
) -> Option<&'a str> {
    if faults.len() > SUGGESTION_LIMIT {
        return None;
    }
    let candidates: Vec<&str> = candidates.into_iter().map(Into::into).collect();
    let other = OTHER_NAMES.iter().find(|(other, _)| *other == name);
    let known = other.filter(|(_, known)| candidates.contains(known));
    known
        .map(|(_, known)| *known)
        .or_else(|| nearest(name, candidates.iter().copied()))
        .or_else(|| only_extended(name, &candidates))
}

/// What other tools and other keys call the same thing.
const OTHER_NAMES: [(&str, &str); 14] = [
    ("src", "source"),
    ("dst", "target"),
    ("dest", "target"),
    ("destination", "target"),
    ("opts", "options"),
    ("env", "environment"),
    ("cmd", "command"),
    ("memory", "mem_limit"),
    ("publish", "published"),
    ("readonly", "read_only"),
    ("log_driver", "logging"),
    ("log_opt", "logging"),
    ("net", "network_mode"),
    ("name", "container_name"),
];

/// Returns the only candidate that begins or ends with `name`.
fn only_extended<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    const PART_MIN: usize = 4;
    let fits = |known: &&&str| {
        name.len() >= PART_MIN && (known.starts_with(name) || known.ends_with(name))
    };
    let mut found = candidates.iter().filter(fits);
    let first = found.next()?;
    found.next().is_none().then_some(*first)
}

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
    fn a_part_of_one_word_and_the_name_that_others_use_find_it() {
        let conditions = ["service_healthy", "service_started"];
        assert_eq!(
            suggestion("healthy", conditions, &[]),
            Some("service_healthy")
        );
        assert_eq!(suggestion("service", conditions, &[]), None);
        assert_eq!(suggestion("src", ["source", "target"], &[]), Some("source"));
    }

    #[test]
    fn a_different_word_finds_nothing() {
        assert_eq!(nearest("labels", ["environment", "image"]), None);
        assert_eq!(nearest("x", ["a", "b"]), None);
    }
}
