//! Text of unknown origin → text that cannot command a terminal.
//!
//! Names, messages and log lines come from images, registries and containers. A terminal would obey the
//! control sequences in them: set its title, write the clipboard, answer queries, move the cursor.
//!
//! **Invariant:** what consort says itself reaches a terminal with every control character made visible;
//! a service's output keeps its colours (SGR sequences) and nothing else. A pipe gets the exact bytes.

use std::borrow::Cow;
use std::fmt::Write as _;

const ESC: u8 = 0x1b;

/// Makes control and direction-changing characters visible, except newline and tab.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        push_visible(&mut shown, character);
    }
    Cow::Owned(shown)
}

/// Keeps the colours of one line of a service's output and makes every other control visible.
///
/// A carriage return at the end belongs to the line break of a terminal and is dropped. When colours passed, the line
/// ends with a reset, so that they do not run into the next line.
pub(super) fn colours_only(line: &[u8]) -> Cow<'_, [u8]> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if is_harmless(line) {
        return Cow::Borrowed(line);
    }
    let mut shown = String::with_capacity(line.len() + 16);
    let mut rest = line;
    let mut coloured = false;
    while !rest.is_empty() {
        let colours = colour_sequence_len(rest);
        if colours > 0 {
            shown.push_str(&String::from_utf8_lossy(&rest[..colours]));
            coloured = true;
            rest = &rest[colours..];
            continue;
        }
        let end = 1 + rest[1..]
            .iter()
            .position(|&byte| byte == ESC)
            .unwrap_or(rest.len() - 1);
        for character in String::from_utf8_lossy(&rest[..end]).chars() {
            push_visible(&mut shown, character);
        }
        rest = &rest[end..];
    }
    if coloured {
        shown.push_str("\x1b[0m");
    }
    Cow::Owned(shown.into_bytes())
}

fn is_harmless(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(|text| !text.chars().any(is_hostile))
}

fn is_hostile(character: char) -> bool {
    let changes_direction = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    changes_direction || (character.is_control() && character != '\n' && character != '\t')
}

fn push_visible(shown: &mut String, character: char) {
    if !is_hostile(character) {
        shown.push(character);
        return;
    }
    let written = match character {
        '\r' => shown.write_str("\\r"),
        control if control.is_ascii() => write!(shown, "\\x{:02x}", u32::from(control)),
        other => write!(shown, "\\u{{{:x}}}", u32::from(other)),
    };
    written.expect("writing to a string cannot fail");
}

/// Returns the length of the `ESC [ … m` sequence that `bytes` starts with, 0 if it starts with none.
fn colour_sequence_len(bytes: &[u8]) -> usize {
    let Some(parameters) = bytes.strip_prefix(b"\x1b[") else {
        return 0;
    };
    let digits = parameters
        .iter()
        .position(|byte| !(byte.is_ascii_digit() || *byte == b';' || *byte == b':'))
        .unwrap_or(parameters.len());
    match parameters.get(digits) {
        Some(b'm') => digits + 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_not_copied() {
        assert!(matches!(visible("web-1 é ✔"), Cow::Borrowed(_)));
        assert!(matches!(colours_only(b"ready"), Cow::Borrowed(_)));
    }

    #[test]
    fn control_characters_are_shown_instead_of_obeyed() {
        assert_eq!(
            visible("\x1b]0;title\x07\u{9b}2J\u{202e}x\rn"),
            "\\x1b]0;title\\x07\\u{9b}2J\\u{202e}x\\rn"
        );
    }

    #[test]
    fn colours_pass_and_are_reset_but_cursor_and_clipboard_do_not() {
        let shown = colours_only(b"\x1b[1;31mred\x1b[2J\x1b]52;c;aGk=\x07");
        assert_eq!(
            String::from_utf8_lossy(&shown),
            "\x1b[1;31mred\\x1b[2J\\x1b]52;c;aGk=\\x07\x1b[0m"
        );
    }

    #[test]
    fn the_line_break_of_a_terminal_is_not_shown() {
        assert_eq!(&*colours_only(b"ready\r"), b"ready");
    }

    #[test]
    fn an_unfinished_sequence_is_shown() {
        assert_eq!(&*colours_only(b"\x1b[31"), b"\\x1b[31");
    }
}
