//! Words that clap refused only because they stand behind the verb and belong before it.

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::args::CommandLine;

/// Returns the flag that stands in the wrong place, if that is why clap refused.
pub(super) fn flag(refusal: &clap::Error) -> Option<&str> {
    if refusal.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(flag)) = refusal.get(ContextKind::InvalidArg) else {
        return None;
    };
    let command = CommandLine::command();
    let mut own = command.get_arguments();
    let is_own = own.any(|argument| {
        let short = argument.get_short().map(|short| format!("-{short}"));
        let long = argument.get_long().map(|long| format!("--{long}"));
        [short, long].into_iter().flatten().any(|own| own == *flag)
    });
    is_own.then_some(flag)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn a_flag_of_all_commands_is_known_behind_one() {
        let refused = |words: &[&str]| CommandLine::try_parse_from(words).unwrap_err();
        let behind = refused(&["consort", "config", "-f", "x"]);
        assert_eq!(flag(&behind), Some("-f"));
        let behind = refused(&["consort", "up", "--project-directory=x"]);
        assert_eq!(flag(&behind), Some("--project-directory"));
        assert_eq!(flag(&refused(&["consort", "up", "--nowhere"])), None);
    }
}
