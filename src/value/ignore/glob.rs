//! One pattern, matched without backtracking.

/// A pattern for a relative path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Glob {
    /// Exactly this path.
    Path(String),
    /// `**` and then plain text: every path that ends so.
    Ending(String),
    /// Anything else.
    Pieces(Vec<Piece>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Char(char),
    /// `?`: one character but `/`.
    One,
    /// `*`: characters but `/`.
    Star,
    /// `**` at the end: characters.
    Rest,
    /// `**` before more: nothing, or what [`Piece::Folders`] takes.
    MaybeFolders,
    /// Characters up to a `/`.
    Folders,
    /// `[a-z]`
    Class {
        ranges: Vec<(char, char)>,
        is_negated: bool,
    },
}

impl Glob {
    /// Reads a pattern; nothing where it is not well-formed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let pieces = pieces(text)?;
        let is_plain = |pieces: &[Piece]| pieces.iter().all(|p| matches!(p, Piece::Char(_)));
        if is_plain(&pieces) && !text.contains('\\') {
            return Some(Self::Path(text.to_owned()));
        }
        match text.strip_prefix("**") {
            Some(ending) if !ending.is_empty() && !ending.contains(['*', '?', '[', ']', '\\']) => {
                Some(Self::Ending(ending.to_owned()))
            }
            _ => Some(Self::Pieces(pieces)),
        }
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Path(own) => own == path,
            Self::Ending(ending) => {
                path.ends_with(ending.as_str()) || ending.strip_prefix('/') == Some(path)
            }
            Self::Pieces(pieces) => run(pieces, path),
        }
    }
}

fn pieces(text: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let piece = match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                chars.next_if_eq(&'/');
                match chars.peek() {
                    Some(_) => {
                        pieces.push(Piece::MaybeFolders);
                        Piece::Folders
                    }
                    None => Piece::Rest,
                }
            }
            '*' => Piece::Star,
            '?' => Piece::One,
            '\\' => Piece::Char(chars.next()?),
            '[' => class(&mut chars)?,
            c => Piece::Char(c),
        };
        pieces.push(piece);
    }
    Some(pieces)
}

fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Piece> {
    let is_negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if chars.peek() == Some(&']') && !ranges.is_empty() {
            chars.next();
            return Some(Piece::Class { ranges, is_negated });
        }
        let first = class_char(chars)?;
        let last = match chars.next_if_eq(&'-') {
            Some(_) => class_char(chars)?,
            None => first,
        };
        ranges.push((first, last));
    }
}

fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next(),
        c => Some(c),
    }
}

/// Follows all ways to match at once.
fn run(pieces: &[Piece], path: &str) -> bool {
    let mut live = vec![false; pieces.len() + 1];
    live[0] = true;
    skip(pieces, &mut live);
    for c in path.chars() {
        if !live.contains(&true) {
            return false;
        }
        live = advance(pieces, &live, c);
    }
    live[pieces.len()]
}

fn advance(pieces: &[Piece], live: &[bool], c: char) -> Vec<bool> {
    let mut next = vec![false; live.len()];
    for (at, piece) in pieces.iter().enumerate().filter(|(at, _)| live[*at]) {
        match piece {
            Piece::Char(own) => next[at + 1] |= *own == c,
            Piece::One => next[at + 1] |= c != '/',
            Piece::Star => next[at] |= c != '/',
            Piece::Rest => next[at] = true,
            Piece::MaybeFolders => {}
            Piece::Folders => {
                next[at] = true;
                next[at + 1] |= c == '/';
            }
            Piece::Class { ranges, is_negated } => {
                let is_in = ranges
                    .iter()
                    .any(|(first, last)| (first..=last).contains(&&c));
                next[at + 1] |= is_in != *is_negated;
            }
        }
    }
    skip(pieces, &mut next);
    next
}

/// Passes every piece that may match nothing.
fn skip(pieces: &[Piece], live: &mut [bool]) {
    for (at, piece) in pieces.iter().enumerate() {
        let is_live = live[at];
        live[at + 1] |= is_live && matches!(piece, Piece::Star | Piece::Rest | Piece::MaybeFolders);
        if matches!(piece, Piece::MaybeFolders) {
            live[at + 2] |= is_live;
        }
    }
}
