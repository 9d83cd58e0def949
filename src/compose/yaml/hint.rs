//! A scanner's complaint into advice: what people mostly did where it stopped.

use std::collections::BTreeSet;

use saphyr_parser::ScanError;

use crate::compose::suggest::nearest;

/// Advises on a complaint about a text.
pub(super) fn of(text: &str, error: &ScanError) -> Option<String> {
    let number = line_of(text, error);
    let lines = || text.lines();
    let line = lines().nth(number).unwrap_or_default();
    let says = |words: &str| error.info().contains(words);
    if is_web_page(text) {
        return Some("this is a web page: download the file itself, often called `raw`".to_owned());
    }
    if lines().any(|line| line.starts_with("<<<<<<< ")) {
        return Some("the file has conflict marks of git: choose one of the sides".to_owned());
    }
    let begins_with_tab = line.trim_start_matches(' ').starts_with('\t');
    if begins_with_tab || says("tabs disallowed") {
        return Some("YAML is indented with spaces; this line begins with a tab".to_owned());
    }
    if says("unknown anchor") {
        return Some(near_anchor(text, error));
    }
    if says("mapping values are not allowed") {
        return Some(no_mapping_here(text, number));
    }
    if let Some(other) = sibling_of_another_kind(text, number)
        && (says("simple key") || says("block mapping") || says("block collection"))
    {
        return Some(other);
    }
    let advice = if says("simple key") || says("':'") {
        "a key needs `:` and a space behind it; check the lines above as well"
    } else if says("escape character") || says("hexadecimal") {
        "between `\"` and `\"` a `\\` begins an escape: use `'` instead, or write `\\\\`"
    } else if says("block sequence entries") {
        "put the `- ` on a line of its own, below the key"
    } else if says("document start") {
        "this line is indented less than the first one of the file"
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

/// Says which anchor an unknown alias could mean.
fn near_anchor(text: &str, error: &ScanError) -> String {
    let word = |text: &str| -> String {
        let is_end = |c: char| c.is_whitespace() || matches!(c, ',' | ']' | '}' | '[' | '{');
        text.chars().take_while(|c| !is_end(*c)).collect()
    };
    let number = error.marker().line().saturating_sub(1);
    let line = text.lines().nth(number).unwrap_or_default();
    let from_here: String = line.chars().skip(error.marker().col()).collect();
    let alias = word(from_here.trim_start_matches('*'));
    let anchors = |text: &str| -> BTreeSet<String> {
        let found = text.match_indices('&').filter(|(at, _)| {
            text[..*at].ends_with(|c: char| c.is_whitespace() || matches!(c, '[' | '{' | ','))
        });
        let names = found.map(|(at, _)| word(&text[at + 1..]));
        names.filter(|name| !name.is_empty()).collect()
    };
    let above: Vec<&str> = text.lines().take(number + 1).collect();
    let known = anchors(&above.join("\n"));
    if let Some(near) = nearest(&alias, known.iter().map(String::as_str)) {
        return format!("did you mean `*{near}`?");
    }
    if anchors(text).contains(&alias) {
        return format!("the anchor `&{alias}` stands below: move it above its first use");
    }
    "an anchor `&name` must stand above, in the same file".to_owned()
}

/// Returns which line a complaint is about, from zero: that of a key without `:` is only missed below it.
pub(super) fn line_of(text: &str, error: &ScanError) -> usize {
    let number = error.marker().line().saturating_sub(1);
    let is_content = |line: &str| !line.trim().is_empty() && !line.trim().starts_with('#');
    let is_here = text.lines().nth(number).is_some_and(is_content);
    if is_here || !error.info().contains("simple key") {
        return number;
    }
    let above = text.lines().take(number).enumerate();
    let above = above.filter(|(_, line)| is_content(line)).last();
    above.map_or(number, |(number, _)| number)
}

fn is_web_page(text: &str) -> bool {
    let start = text.trim_start().get(..9).unwrap_or_default();
    let start = start.to_ascii_lowercase();
    start.starts_with("<!doctype") || start.starts_with("<html")
}

/// A list element beside keys, or a line without `- ` beside list elements.
fn sibling_of_another_kind(text: &str, number: usize) -> Option<String> {
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let is_element = |line: &str| line.trim().starts_with("- ") || line.trim() == "-";
    let is_content = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with('#');
    let line = text.lines().nth(number)?;
    let before: Vec<&str> = text.lines().take(number).filter(is_content).collect();
    let above = before
        .iter()
        .rev()
        .take_while(|above| indent(above) >= indent(line));
    let sibling = above.filter(|above| indent(above) == indent(line)).last()?;
    match (is_element(line), is_element(sibling)) {
        (true, false) => Some(format!(
            "a `- ` cannot stand beside a key, here `{}`: a list and a mapping do not mix",
            sibling.trim()
        )),
        (false, true) => Some("begin this line with `- ` like those above".to_owned()),
        _ => None,
    }
}

/// A second `:` in a line, or a first one below a line that lacks its own.
fn no_mapping_here(text: &str, number: usize) -> String {
    let is_content = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with('#');
    let above = text.lines().take(number).filter(is_content).last();
    let key = above.map(str::trim).filter(|above| {
        !above.contains(": ") && !above.ends_with(':') && !above.starts_with(['-', '"', '\''])
    });
    match key {
        Some(key) if key.contains(':') => {
            format!("the line above, `{key}`, needs a space behind its `:`, or a `:` at its end")
        }
        Some(key) if key.split(' ').count() > 2 => {
            format!("the line above, `{key}`, has no `:` behind its key, or no `#` before it")
        }
        Some(key) => format!("the line above, `{key}`, has no `:` behind its key"),
        None => key_behind_a_key(text, number).unwrap_or_else(|| {
            "a value that contains `: ` must be quoted; also check the indentation of this line"
                .to_owned()
        }),
    }
}

/// Finds `key: another: value` in one line.
fn key_behind_a_key(text: &str, number: usize) -> Option<String> {
    let line = text.lines().nth(number)?.trim().trim_start_matches("- ");
    let (first, rest) = line.split_once(": ")?;
    let (second, _) = rest.trim_start().split_once(": ")?;
    let is_key = |word: &str| {
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        !word.is_empty() && word.chars().all(letter)
    };
    (is_key(first) && is_key(second)).then(|| {
        format!(
            "if `{second}` is a key below `{first}`, put it on a line of its own, indented further; a value that contains `: ` must be quoted"
        )
    })
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
