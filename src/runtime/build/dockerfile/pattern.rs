//! Shell patterns of `${name#pattern}` and `${name/pattern/text}`: `*`, `?` and `\`.

/// How many single comparisons one match may take.
const STEPS_LIMIT: usize = 20_000_000;

/// A match that takes more steps than allowed.
#[derive(Debug)]
pub(super) struct TooSlow;

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Char(char),
    Any,
    Star,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let piece = match c {
                '*' => Piece::Star,
                '?' => Piece::Any,
                '\\' => Piece::Char(chars.next().unwrap_or('\\')),
                c => Piece::Char(c),
            };
            if piece != Piece::Star || pieces.last() != Some(&Piece::Star) {
                pieces.push(piece);
            }
        }
        Self(pieces)
    }

    /// Removes the shortest or longest match at the start.
    pub(super) fn without_prefix(&self, value: &str, longest: bool) -> Result<String, TooSlow> {
        let chars: Vec<char> = value.chars().collect();
        let end = self.match_at(&chars, longest, &mut 0)?;
        Ok(chars[end.unwrap_or(0)..].iter().collect())
    }

    /// Removes the shortest or longest match at the end.
    pub(super) fn without_suffix(&self, value: &str, longest: bool) -> Result<String, TooSlow> {
        let mut chars: Vec<char> = value.chars().collect();
        chars.reverse();
        let mut pieces = self.0.clone();
        pieces.reverse();
        let end = Self(pieces).match_at(&chars, longest, &mut 0)?;
        Ok(chars[end.unwrap_or(0)..].iter().rev().collect())
    }

    /// Puts a text in place of the first match or of all of them; each match is the longest one.
    pub(super) fn replaced(&self, value: &str, text: &str, all: bool) -> Result<String, TooSlow> {
        let chars: Vec<char> = value.chars().collect();
        let mut out = String::new();
        let mut at = 0;
        let mut steps = 0;
        let mut is_done = false;
        while at < chars.len() {
            let end = if is_done {
                None
            } else {
                self.match_at(&chars[at..], true, &mut steps)?
            };
            match end {
                Some(length) if length > 0 => {
                    out.push_str(text);
                    at += length;
                    is_done = !all;
                }
                _ => {
                    out.push(chars[at]);
                    at += 1;
                }
            }
        }
        Ok(out)
    }

    /// Returns the length of the match at the start, if there is one.
    fn match_at(
        &self,
        chars: &[char],
        longest: bool,
        steps: &mut usize,
    ) -> Result<Option<usize>, TooSlow> {
        let mut live = vec![false; self.0.len() + 1];
        live[0] = true;
        self.skip_stars(&mut live);
        let mut found = live[self.0.len()].then_some(0);
        for (index, c) in chars.iter().enumerate() {
            if found.is_some() && !longest || !live.contains(&true) {
                break;
            }
            *steps += live.len();
            if *steps > STEPS_LIMIT {
                return Err(TooSlow);
            }
            live = self.advance(&live, *c);
            if live[self.0.len()] {
                found = Some(index + 1);
            }
        }
        Ok(found)
    }

    fn advance(&self, live: &[bool], c: char) -> Vec<bool> {
        let mut next = vec![false; live.len()];
        for (at, piece) in self.0.iter().enumerate() {
            match piece {
                Piece::Star => next[at] |= live[at],
                Piece::Any => next[at + 1] |= live[at],
                Piece::Char(own) => next[at + 1] |= live[at] && *own == c,
            }
        }
        self.skip_stars(&mut next);
        next
    }

    fn skip_stars(&self, live: &mut [bool]) {
        for (at, piece) in self.0.iter().enumerate() {
            live[at + 1] |= live[at] && *piece == Piece::Star;
        }
    }
}
