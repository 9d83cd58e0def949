//! Words of Docker Compose's command line that consort does not know yet, and what it says to them.
//!
//! They are no arguments: nothing accepts them. The table is looked at only once clap has refused a word, so that the
//! refusal can say that it is the right word, too early.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Verbs of Docker Compose that are not there yet.
const VERBS: [&str; 6] = ["alpha", "bridge", "commit", "publish", "push", "watch"];

/// Flags of Docker Compose that are not there yet, and what can be done instead.
const FLAGS: [(&str, &str); 4] = [
    ("--watch", "run `consort up -d` again after a change"),
    ("-w", "run `consort up -d` again after a change"),
    ("--lock-image-digests", "name the digest in `image`"),
    ("--resolve-image-digests", "name the digest in `image`"),
];

/// What to say about a word that exists in Docker Compose and not here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotYet {
    /// The verb or flag.
    pub(super) word: String,
    /// What can be done instead, if anything.
    pub(super) hint: Option<&'static str>,
}

/// Returns what to say when clap refused a word only because consort does not have it yet.
pub(super) fn explain(refusal: &clap::Error) -> Option<NotYet> {
    let text = |kind| match refusal.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    if refusal.kind() == ErrorKind::InvalidSubcommand {
        let verb = text(ContextKind::InvalidSubcommand)?;
        return VERBS.contains(&verb).then(|| NotYet {
            word: verb.to_owned(),
            hint: None,
        });
    }
    if refusal.kind() == ErrorKind::UnknownArgument {
        let flag = text(ContextKind::InvalidArg)?;
        let (word, hint) = FLAGS.iter().find(|(known, _)| *known == flag)?;
        return Some(NotYet {
            word: (*word).to_owned(),
            hint: Some(hint),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::CommandLine;

    fn refused(words: &[&str]) -> Option<NotYet> {
        explain(&CommandLine::try_parse_from(words).unwrap_err())
    }

    #[test]
    fn a_verb_that_comes_later_is_called_by_its_name() {
        let word = |text: &str| {
            Some(NotYet {
                word: text.to_owned(),
                hint: None,
            })
        };
        assert_eq!(refused(&["consort", "publish"]), word("publish"));
        assert_eq!(refused(&["consort", "watch", "web"]), word("watch"));
    }

    #[test]
    fn a_flag_that_comes_later_is_called_by_its_name() {
        assert_eq!(
            refused(&["consort", "up", "--watch"]).unwrap().word,
            "--watch"
        );
        assert_eq!(refused(&["consort", "up", "-w"]).unwrap().word, "-w");
    }

    #[test]
    fn a_typing_mistake_is_left_to_clap() {
        assert_eq!(refused(&["consort", "upp"]), None);
        assert_eq!(refused(&["consort", "up", "--detac"]), None);
    }

    #[test]
    fn nothing_in_the_table_is_supported() {
        for verb in VERBS {
            assert!(refused(&["consort", verb]).is_some(), "{verb} exists");
        }
    }
}
