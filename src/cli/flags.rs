//! Words as Go's flag parser takes them → words that clap takes in the same way.
//!
//! Scripts are written for `docker compose`, whose parser differs from clap in rules that hold for every flag of every
//! verb, so they are applied here once:
//!
//! - a switch takes a value behind `=` (`--wait=true`, `-d=false`), in any spelling of Go's `strconv.ParseBool`;
//! - a flag that takes one value may be repeated, and the last one counts (`-d -d`, `-p a -p b`);
//! - the word behind a flag that takes a value is its value, whatever it begins with (`--tail -1`);
//! - a verb that runs a program (`exec`) has no flags behind its first argument, where even `--` is a word like others.
//!
//! What is no flag of ours is passed on as it is: clap says what is wrong with it.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use clap::{Arg, ArgAction, Command, Id};

/// Returns the words of a command line of `root`, the program's name first, as clap takes them.
pub(super) fn normalize(mut root: Command, words: &[OsString]) -> Vec<OsString> {
    let Some((program, rest)) = words.split_first() else {
        return Vec::new();
    };
    let mut reader = Reader {
        rest,
        written: vec![(None, program.clone())],
    };
    if let Some(name) = reader.flags(&[&root])
        && let Some(verb) = root.find_subcommand_mut(&name)
    {
        // The arguments of the other verbs are not put together.
        verb.build();
        let verb = verb.clone();
        reader.verb(&verb, &root);
    }
    let rest = reader.rest.iter().cloned();
    let written = reader.written.into_iter().map(|(_, word)| word);
    written.chain(rest).collect()
}

/// Reads words from the front and writes them as clap takes them.
struct Reader<'words> {
    /// What has not been read.
    rest: &'words [OsString],
    /// What has been written; a word that a later one replaces has the id of its flag.
    written: Vec<(Option<Id>, OsString)>,
}

impl Reader<'_> {
    /// Reads flags and arguments of a verb.
    fn verb(&mut self, verb: &Command, root: &Command) {
        let runs_program = verb.get_positionals().any(Arg::is_trailing_var_arg_set);
        while let Some(word) = self.flags(&[verb, root]) {
            if let Some(below) = verb.find_subcommand(&word) {
                return self.verb(below, root);
            }
            if runs_program {
                self.written.push((None, OsString::from("--")));
                return;
            }
        }
    }

    /// Reads flags and the argument behind them, which is returned; nothing where the words end or clap must judge.
    fn flags(&mut self, commands: &[&Command]) -> Option<OsString> {
        while let Some((word, rest)) = self.rest.split_first() {
            let bytes = word.as_bytes();
            let left = match bytes {
                b"--" => return None,
                [b'-', b'-', long @ ..] => self.long(long, rest, commands)?,
                [b'-', shorts @ ..] if !shorts.is_empty() => self.shorts(shorts, rest, commands)?,
                _ => {
                    self.written.push((None, word.clone()));
                    self.rest = rest;
                    return Some(word.clone());
                }
            };
            self.rest = left;
        }
        None
    }

    /// Reads `name` or `name=value`, and returns what is left to read.
    fn long<'words>(
        &mut self,
        text: &[u8],
        rest: &'words [OsString],
        commands: &[&Command],
    ) -> Option<&'words [OsString]> {
        let mut parts = text.splitn(2, |byte| *byte == b'=');
        let name = std::str::from_utf8(parts.next()?).ok()?;
        let flag = find(commands, |arg| {
            arg.get_long() == Some(name)
                || arg
                    .get_all_aliases()
                    .is_some_and(|names| names.contains(&name))
        })?;
        let typed = format!("--{name}");
        match (Kind::of(flag), parts.next()) {
            (Kind::Switch, None) => self.set(flag, &typed, On::Yes),
            (Kind::Switch, Some(value)) => self.set(flag, &typed, On::of(value)?),
            (Kind::OptionalSwitch, None) => self.write(flag, &typed, b"true"),
            (Kind::OptionalSwitch, Some(value)) => {
                self.write(flag, &typed, On::of(value)?.word().as_bytes());
            }
            (Kind::Value, Some(value)) => self.write(flag, &typed, value),
            (Kind::Value, None) => {
                let (value, rest) = rest.split_first()?;
                self.write(flag, &typed, value.as_bytes());
                return Some(rest);
            }
            (Kind::Other, _) => return None,
        }
        Some(rest)
    }

    /// Reads one-letter flags that are written together, and returns what is left to read.
    fn shorts<'words>(
        &mut self,
        mut letters: &[u8],
        rest: &'words [OsString],
        commands: &[&Command],
    ) -> Option<&'words [OsString]> {
        let before = self.written.len();
        while let Some((letter, behind)) = letters.split_first() {
            let letter = char::from(*letter);
            let read = find(commands, |arg| {
                arg.get_short() == Some(letter)
                    || arg
                        .get_all_short_aliases()
                        .is_some_and(|shorts| shorts.contains(&letter))
            })
            .and_then(|flag| self.short(flag, letter, behind, rest));
            match read {
                Some(Read::Letter) => letters = behind,
                Some(Read::Word) => return Some(rest),
                Some(Read::WordAndValue) => return rest.split_first().map(|(_, rest)| rest),
                None => {
                    self.written.truncate(before);
                    return None;
                }
            }
        }
        Some(rest)
    }

    /// Reads one of several one-letter flags, with the letters behind it.
    fn short(
        &mut self,
        flag: &Arg,
        letter: char,
        behind: &[u8],
        rest: &[OsString],
    ) -> Option<Read> {
        let typed = format!("-{letter}");
        match (Kind::of(flag), behind) {
            (Kind::Switch, [b'=', value @ ..]) => {
                self.set(flag, &typed, On::of(value)?);
                Some(Read::Word)
            }
            (Kind::OptionalSwitch, [b'=', value @ ..]) => {
                self.write(flag, &typed, On::of(value)?.word().as_bytes());
                Some(Read::Word)
            }
            (Kind::Switch, _) => {
                self.set(flag, &typed, On::Yes);
                Some(Read::Letter)
            }
            (Kind::OptionalSwitch, _) => {
                self.write(flag, &typed, b"true");
                Some(Read::Letter)
            }
            (Kind::Value, []) => {
                self.write(flag, &typed, rest.first()?.as_bytes());
                Some(Read::WordAndValue)
            }
            (Kind::Value, [b'=', value @ ..] | value) => {
                self.write(flag, &typed, value);
                Some(Read::Word)
            }
            (Kind::Other, _) => None,
        }
    }

    /// Writes a switch that is on; one that is off is not written, and takes back what was typed before.
    fn set(&mut self, flag: &Arg, typed: &str, on: On) {
        self.forget(flag);
        if on == On::Yes {
            self.push(flag, OsString::from(typed));
        }
    }

    /// Writes a flag with its value.
    fn write(&mut self, flag: &Arg, typed: &str, value: &[u8]) {
        self.forget(flag);
        let word = [typed.as_bytes(), b"=", value].concat();
        self.push(flag, OsString::from_vec(word));
    }

    fn push(&mut self, flag: &Arg, word: OsString) {
        self.written.push((Some(flag.get_id().clone()), word));
    }

    /// Takes back a flag that was typed before, unless it is one that collects values.
    fn forget(&mut self, flag: &Arg) {
        if !matches!(flag.get_action(), ArgAction::Append) {
            self.written
                .retain(|(id, _)| id.as_ref() != Some(flag.get_id()));
        }
    }
}

/// How much of the words a one-letter flag took.
enum Read {
    /// Its letter.
    Letter,
    /// All of its word.
    Word,
    /// All of its word and the next one.
    WordAndValue,
}

/// What a flag takes.
enum Kind {
    /// Nothing, or a truth value behind `=`.
    Switch,
    /// The same, where clap knows of the value.
    OptionalSwitch,
    /// A value, behind `=` or as the next word.
    Value,
    /// Something else: help and the version, which end the command line.
    Other,
}

impl Kind {
    fn of(flag: &Arg) -> Self {
        let action = flag.get_action();
        match () {
            () if matches!(action, ArgAction::SetTrue) => Self::Switch,
            () if action.takes_values() && flag.is_require_equals_set() => Self::OptionalSwitch,
            () if action.takes_values() => Self::Value,
            () => Self::Other,
        }
    }
}

/// Whether a switch is on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Yes,
    No,
}

impl On {
    /// Reads a truth value as Go does.
    fn of(value: &[u8]) -> Option<Self> {
        match value {
            b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => Some(Self::Yes),
            b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => Some(Self::No),
            _ => None,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Yes => "true",
            Self::No => "false",
        }
    }
}

/// Finds a flag of the innermost command, or one of an outer command that all verbs take.
fn find<'command>(
    commands: &[&'command Command],
    mut is_it: impl FnMut(&Arg) -> bool,
) -> Option<&'command Arg> {
    let (innermost, outer) = commands.split_first()?;
    let own = innermost.get_arguments();
    let shared = outer
        .iter()
        .flat_map(|command| command.get_arguments())
        .filter(|arg| arg.is_global_set());
    own.chain(shared)
        .find(|arg| !arg.is_positional() && is_it(arg))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::args::CommandLine;

    fn normal(line: &str) -> String {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let words = normalize(CommandLine::command(), &words);
        words.join(std::ffi::OsStr::new(" ")).into_string().unwrap()
    }

    #[test]
    fn a_switch_takes_a_truth_value_and_the_last_one_counts() {
        assert_eq!(normal("c up -d -d"), "c up -d");
        assert_eq!(normal("c up --wait=true"), "c up --wait");
        assert_eq!(normal("c up --wait=F web"), "c up web");
        assert_eq!(normal("c up -d -d=false"), "c up");
        assert_eq!(normal("c up -dV --detach=false"), "c up -V");
        assert_eq!(normal("c --dry-run=1 up --dry-run=0"), "c up");
        assert_eq!(normal("c up --wait=maybe"), "c up --wait=maybe");
    }

    #[test]
    fn a_switch_that_is_on_by_default_can_be_switched_off() {
        assert_eq!(normal("c ps --orphans=0"), "c ps --orphans=false");
        assert_eq!(normal("c ps --orphans -a"), "c ps --orphans=true -a");
    }

    #[test]
    fn one_value_replaces_another_and_collected_values_stay() {
        assert_eq!(normal("c -p a -p b ps"), "c -p=b ps");
        assert_eq!(
            normal("c -p a --project-name=b ps"),
            "c --project-name=b ps"
        );
        assert_eq!(normal("c -f a -f b ps"), "c -f=a -f=b ps");
        assert_eq!(normal("c up -t 1 -t2"), "c up -t=2");
    }

    #[test]
    fn the_word_behind_a_flag_is_its_value_whatever_it_begins_with() {
        assert_eq!(normal("c logs --tail -1 web"), "c logs --tail=-1 web");
        assert_eq!(normal("c logs -fn -1"), "c logs -f -n=-1");
        assert_eq!(normal("c -p -- ps"), "c -p=-- ps");
    }

    #[test]
    fn a_program_keeps_its_own_words() {
        assert_eq!(
            normal("c exec -T web sh -c x -d"),
            "c exec -T web -- sh -c x -d"
        );
        assert_eq!(normal("c exec web -- echo"), "c exec web -- -- echo");
        assert_eq!(normal("c exec -- web echo"), "c exec -- web echo");
    }

    #[test]
    fn a_verb_below_a_verb_has_flags_too() {
        assert_eq!(normal("c image ls -q -q=false"), "c image ls");
    }

    #[test]
    fn what_is_no_flag_is_passed_on_as_it_is() {
        assert_eq!(normal("c up --nosuch -d -d"), "c up --nosuch -d -d");
        assert_eq!(normal("c up -dx -d"), "c up -dx -d");
        assert_eq!(normal("c nosuch -d -d"), "c nosuch -d -d");
        assert_eq!(normal("c up -- -d -d"), "c up -- -d -d");
        assert_eq!(normal("c ps -p"), "c ps -p");
    }
}
