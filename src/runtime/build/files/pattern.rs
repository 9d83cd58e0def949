//! Patterns of `COPY` sources: `*`, `?` and `[…]` within one component, as Go's `filepath.Match` has them.

/// Says whether a path has a character that makes it a pattern.
pub(super) fn is_pattern(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

/// Matches a whole path; `None` where the pattern itself is malformed.
pub(super) fn matches(pattern: &str, path: &str) -> Option<bool> {
    let pattern: Vec<char> = pattern.chars().collect();
    let path: Vec<char> = path.chars().collect();
    matches_from(&pattern, &path)
}

fn matches_from(pattern: &[char], path: &[char]) -> Option<bool> {
    let Some((&first, rest)) = pattern.split_first() else {
        return Some(path.is_empty());
    };
    if first == '*' {
        let mut length = 0;
        loop {
            if matches_from(rest, &path[length..])? {
                return Some(true);
            }
            match path.get(length) {
                Some('/') | None => return Some(false),
                Some(_) => length += 1,
            }
        }
    }
    let (fits, rest) = one(first, rest, path.first().copied())?;
    if !fits {
        return Some(false);
    }
    matches_from(rest, &path[1..])
}

/// Matches one character with what the pattern has for it; returns what of the pattern is left.
fn one(first: char, rest: &[char], found: Option<char>) -> Option<(bool, &[char])> {
    match first {
        '?' => Some((found.is_some_and(|found| found != '/'), rest)),
        '[' => {
            let (fits, rest) = class(rest, found)?;
            Some((fits && found != Some('/'), rest))
        }
        '\\' => {
            let (&literal, rest) = rest.split_first()?;
            Some((found == Some(literal), rest))
        }
        literal => Some((found == Some(literal), rest)),
    }
}

fn class(mut rest: &[char], found: Option<char>) -> Option<(bool, &[char])> {
    let is_negated = rest.first() == Some(&'^');
    if is_negated {
        rest = &rest[1..];
    }
    let mut fits = false;
    let mut ranges = 0;
    loop {
        if rest.first() == Some(&']') && ranges > 0 {
            let has_one = found.is_some() && fits != is_negated;
            return Some((has_one, &rest[1..]));
        }
        let (low, after) = class_char(rest)?;
        rest = after;
        let mut high = low;
        if rest.first() == Some(&'-') {
            (high, rest) = class_char(&rest[1..])?;
        }
        fits |= found.is_some_and(|found| (low..=high).contains(&found));
        ranges += 1;
    }
}

fn class_char(rest: &[char]) -> Option<(char, &[char])> {
    let (&first, rest) = rest.split_first()?;
    match first {
        '-' | ']' => None,
        '\\' => {
            let (&literal, rest) = rest.split_first()?;
            Some((literal, rest))
        }
        literal => Some((literal, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_within_a_component() {
        for (pattern, path, expected) in [
            ("*.txt", "a.txt", Some(true)),
            ("*.txt", "d/a.txt", Some(false)),
            ("**/*.txt", "d/a.txt", Some(true)),
            ("**/*.txt", "d/e/a.txt", Some(false)),
            ("a?c", "abc", Some(true)),
            ("a?c", "a/c", Some(false)),
            ("[a-c]x", "bx", Some(true)),
            ("[^a-c]x", "bx", Some(false)),
            ("arr[[]0].txt", "arr[0].txt", Some(true)),
            ("a\\*b", "a*b", Some(true)),
            ("a\\*b", "axb", Some(false)),
            ("[", "a", None),
            ("*", ".hidden", Some(true)),
            ("a*", "a", Some(true)),
            ("", "a", Some(false)),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
        assert!(is_pattern("a[b") && !is_pattern("a\\*b"));
    }
}
