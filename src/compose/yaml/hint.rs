//! A scanner's complaint into advice: what people mostly did where it stopped.

use saphyr_parser::ScanError;

/// Advises on a complaint about a text.
pub(super) fn of(text: &str, error: &ScanError) -> Option<String> {
    let number = error.marker().line().saturating_sub(1);
    let lines = || text.lines();
    let line = lines().nth(number).unwrap_or_default();
    let says = |words: &str| error.info().contains(words);
    if lines().any(|line| line.starts_with("<<<<<<< ")) {
        return Some("the file has conflict marks of git: choose one of the sides".to_owned());
    }
    let begins_with_tab = line.trim_start_matches(' ').starts_with('\t');
    if begins_with_tab || says("tabs disallowed") {
        return Some("YAML is indented with spaces; this line begins with a tab".to_owned());
    }
    if says("unknown anchor") {
        return Some("an anchor `&name` must stand above, in the same file".to_owned());
    }
    if says("mapping values are not allowed") {
        return Some(no_mapping_here(text, number));
    }
    let advice = if says("simple key") || says("':'") {
        "a key needs `:` and a space behind it; check the lines above as well"
    } else if says("unexpected character") || says("anchor or alias") {
        "a value that begins with this character must be quoted"
    } else if says("quoted scalar") {
        "the quotation that begins here is not closed, or its further lines are not indented"
    } else if says("flow") {
        "a `[` or `{` above is not closed, or a `,` is missing"
    } else if says("block mapping") || says("block collection") || says("indentation") {
        "the indentation of this line fits none of the lines above it"
    } else {
        return None;
    };
    Some(advice.to_owned())
}

/// A second `:` in a line, or a first one below a line that lacks its own.
fn no_mapping_here(text: &str, number: usize) -> String {
    let is_content = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with('#');
    let above = text.lines().take(number).filter(is_content).last();
    let key = above
        .map(str::trim)
        .filter(|above| !above.contains(':') && !above.starts_with('-'));
    match key {
        Some(key) => format!("the line above, `{key}`, has no `:` behind its key"),
        None => {
            "a value that contains `: ` must be quoted; also check the indentation of this line"
                .to_owned()
        }
    }
}

/// Replaces the tab between `:` and a value that the parser stumbled over; columns stay as they are.
pub(super) fn without_tab(text: &str, error: &ScanError) -> Option<String> {
    if !error
        .info()
        .contains("must be followed by a valid YAML whitespace")
    {
        return None;
    }
    let number = error.marker().line().checked_sub(1)?;
    let start = match number {
        0 => 0,
        _ => text.match_indices('\n').nth(number - 1)?.0 + 1,
    };
    let mut places = text[start..].char_indices().take(error.marker().col() + 1);
    let mut tabs = Vec::new();
    for (at, c) in places.by_ref() {
        match c {
            '\t' => tabs.push(start + at),
            ' ' => {}
            _ if tabs.is_empty() => {}
            _ => {
                // Tabs further left are of no interest.
                if !text[..start + at].ends_with('\t') {
                    tabs.clear();
                }
            }
        }
    }
    let tab = *tabs.last()?;
    let mut spaced = text.to_owned();
    spaced.replace_range(tab..=tab, " ");
    Some(spaced)
}
