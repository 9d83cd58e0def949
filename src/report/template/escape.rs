//! Characters → how HTML, JavaScript and the query of an address write them, as Go's templates do.

use std::fmt::Write as _;

/// Writes a character so that HTML takes it as text.
pub(super) fn html(character: char, text: &mut String) {
    match character {
        '<' => text.push_str("&lt;"),
        '>' => text.push_str("&gt;"),
        '&' => text.push_str("&amp;"),
        '\'' => text.push_str("&#39;"),
        '"' => text.push_str("&#34;"),
        '\0' => text.push(char::REPLACEMENT_CHARACTER),
        _ => text.push(character),
    }
}

/// Writes a character so that it stays within a quoted text of JavaScript, in HTML too.
pub(super) fn js(character: char, text: &mut String) {
    match character {
        '\\' | '\'' | '"' => {
            text.push('\\');
            text.push(character);
        }
        '<' | '>' | '&' | '=' => unicode(character, text),
        _ if character.is_control() => unicode(character, text),
        _ => text.push(character),
    }
}

fn unicode(character: char, text: &mut String) {
    write!(text, "\\u{:04X}", u32::from(character)).expect("a text can always be written to");
}

/// Returns a text as one value of the query of an address.
pub(super) fn url_query(plain: &str) -> String {
    let mut text = String::with_capacity(plain.len());
    for byte in plain.bytes() {
        match byte {
            b' ' => text.push('+'),
            b'-' | b'_' | b'.' | b'~' => text.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
            _ => write!(text, "%{byte:02X}").expect("a text can always be written to"),
        }
    }
    text
}
