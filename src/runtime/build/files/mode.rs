//! `--chmod`: an octal number, or changes such as `u+x,go=rX`.

use crate::runtime::build::BuildError;

/// How modes are changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtime::build) enum ModeChange {
    /// All get this one.
    To(u32),
    /// Each is changed, in this order.
    By(Vec<Change>),
}

/// One operation on the bits of some of user, group and others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime::build) struct Change {
    /// Which of `rwx` triples are changed.
    who: u32,
    operator: Operator,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Remove,
    Set,
}

/// Which bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct What {
    /// `rwx` for all three.
    bits: u32,
    /// `X`: execution where owner, group or others have it already, and of folders.
    execute_if_any: bool,
    /// `s`
    set_id: bool,
    /// `t`
    sticky: bool,
    /// `u`, `g` or `o`: what these have now, by how far their bits are shifted.
    like: Option<u32>,
}

/// The mode of folders that are made on the way to something.
pub(super) const DIR_MODE: u32 = 0o755;
const USER: u32 = 0o700;
const GROUP: u32 = 0o070;
const OTHERS: u32 = 0o007;

impl ModeChange {
    /// Reads the flag's value.
    pub(in crate::runtime::build) fn parse(text: &str) -> Result<Self, BuildError> {
        let refuse = || {
            let act = format!("use `{text}` as a mode");
            BuildError::refused(
                act,
                "an octal number, or changes such as `u+x`, are expected",
            )
        };
        if text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_digit())
        {
            let mode = u32::from_str_radix(text, 8).map_err(|_| refuse())?;
            if mode > 0o7777 {
                return Err(refuse());
            }
            return Ok(Self::To(mode));
        }
        let mut changes = Vec::new();
        for clause in text.split(',') {
            read_clause(clause, &mut changes).ok_or_else(refuse)?;
        }
        Ok(Self::By(changes))
    }

    /// Returns the mode of a folder that is made on the way: as with `BuildKit` changes are not for it, nor are
    /// set-id bits.
    pub(super) fn of_made_folder(&self) -> u32 {
        match self {
            Self::To(mode) => mode & 0o777,
            Self::By(_) => DIR_MODE,
        }
    }

    /// Returns the mode of something that had `mode`.
    pub(in crate::runtime::build) fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        match self {
            Self::To(mode) => *mode,
            Self::By(changes) => {
                let apply = |mode, change: &Change| change.apply(mode, is_dir);
                changes.iter().fold(mode, apply)
            }
        }
    }
}

fn read_clause(clause: &str, changes: &mut Vec<Change>) -> Option<()> {
    let start = clause.find(['+', '-', '='])?;
    let (who, mut rest) = clause.split_at(start);
    let who = who.chars().try_fold(0, |who, letter| {
        Some(
            who | match letter {
                'u' => USER,
                'g' => GROUP,
                'o' => OTHERS,
                'a' => USER | GROUP | OTHERS,
                _ => return None,
            },
        )
    })?;
    let who = if who == 0 { USER | GROUP | OTHERS } else { who };
    while let Some(operator) = rest.chars().next() {
        let operator = match operator {
            '+' => Operator::Add,
            '-' => Operator::Remove,
            '=' => Operator::Set,
            _ => return None,
        };
        let end = rest[1..]
            .find(['+', '-', '='])
            .map_or(rest.len(), |at| at + 1);
        changes.push(Change {
            who,
            operator,
            what: read_what(&rest[1..end])?,
        });
        rest = &rest[end..];
    }
    Some(())
}

fn read_what(letters: &str) -> Option<What> {
    let mut what = What::default();
    for letter in letters.chars() {
        match letter {
            'r' => what.bits |= 0o444,
            'w' => what.bits |= 0o222,
            'x' => what.bits |= 0o111,
            'X' => what.execute_if_any = true,
            's' => what.set_id = true,
            't' => what.sticky = true,
            'u' => what.like = Some(6),
            'g' => what.like = Some(3),
            'o' => what.like = Some(0),
            _ => return None,
        }
    }
    Some(what)
}

impl Change {
    fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        let mut bits = self.what.bits;
        if self.what.execute_if_any && (is_dir || mode & 0o111 != 0) {
            bits |= 0o111;
        }
        if let Some(shift) = self.what.like {
            bits |= ((mode >> shift) & 0o7) * 0o111;
        }
        let mut selected = bits & self.who;
        let mut special = 0;
        if self.what.set_id {
            special |= if self.who & USER != 0 { 0o4000 } else { 0 };
            special |= if self.who & GROUP != 0 { 0o2000 } else { 0 };
        }
        if self.what.sticky {
            special |= 0o1000;
        }
        selected |= special;
        match self.operator {
            Operator::Add => mode | selected,
            Operator::Remove => mode & !selected,
            Operator::Set => {
                let set_ids = (if self.who & USER != 0 { 0o4000 } else { 0 })
                    | (if self.who & GROUP != 0 { 0o2000 } else { 0 });
                (mode & !(self.who | set_ids)) | selected
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_those_of_chmod() {
        for (text, mode, is_dir, expected) in [
            ("0755", 0o600, false, 0o755),
            ("755", 0o600, false, 0o755),
            ("4711", 0o600, false, 0o4711),
            ("u+x", 0o644, false, 0o744),
            ("u+x,go=rX", 0o644, false, 0o755),
            ("go=rX", 0o600, false, 0o644),
            ("go=rX", 0o600, true, 0o655),
            ("a-w", 0o666, false, 0o444),
            ("+x", 0o644, false, 0o755),
            ("g=u", 0o640, false, 0o660),
            ("u+s", 0o755, false, 0o4755),
            ("u=rwx,g=,o=", 0o777, false, 0o700),
        ] {
            let change = ModeChange::parse(text).unwrap();
            assert_eq!(change.apply(mode, is_dir), expected, "{text}");
        }
        for text in ["", "999", "77777", "u", "z+x", "u+q", "0x1"] {
            assert!(ModeChange::parse(text).is_err(), "{text}");
        }
    }
}
