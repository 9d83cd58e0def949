//! `<<NAME`: which files an instruction's line announces.

use super::ast::Heredoc;
use super::split;
use super::words::{Lexer, NoVariables};

/// Says whether heredocs in this line are heredocs: `COPY`, `ADD` and `RUN`, not in JSON form.
pub(super) fn may_open(line: &str) -> bool {
    if !line.contains("<<") {
        return false;
    }
    let split = split::command(line);
    match split.keyword.to_ascii_lowercase().as_str() {
        "onbuild" => may_open(&split.rest),
        "add" | "copy" | "run" => !split::is_json(&split.rest),
        _ => false,
    }
}

/// Returns the heredocs that a line opens, in order, still without their text.
pub(super) fn opened_by(line: &str) -> Vec<Heredoc> {
    let lexer = Lexer::raw('\\');
    let words = lexer.words(line, &NoVariables).unwrap_or_default();
    words.iter().filter_map(|word| read(word)).collect()
}

/// Reads a word such as `3<<-"EOF"`.
pub(super) fn read(word: &str) -> Option<Heredoc> {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let (descriptor, rest) = word.split_at(digits);
    let rest = rest.strip_prefix("<<")?;
    let (chomp, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let plain = Lexer::keeping_unset('\\').words(rest, &NoVariables).ok()?;
    let quoted = Lexer::raw('\\').words(rest, &NoVariables).ok()?;
    let ([name], [written]) = (plain.as_slice(), quoted.as_slice()) else {
        return None;
    };
    Some(Heredoc {
        name: name.clone(),
        content: String::new(),
        expand: name == written,
        chomp,
        descriptor: descriptor.parse().unwrap_or(0),
    })
}

/// Removes the leading tabs of each line, as `<<-` asks for.
pub(in crate::runtime::build) fn chomped(content: &str) -> String {
    content
        .split_inclusive('\n')
        .map(|line| line.trim_start_matches('\t'))
        .collect()
}

/// Says whether a word is nothing but a heredoc.
pub(in crate::runtime::build) fn is_heredoc(word: &str) -> bool {
    read(word).is_some()
}
