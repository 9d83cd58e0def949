//! Whole Dockerfiles through the parser, and words through the lexer.

use std::collections::BTreeMap;

use super::ast::{Command, CopySource, Kind};
use super::{Lexer, Variables, parse};

struct Fixed(BTreeMap<&'static str, &'static str>);

impl Variables for Fixed {
    fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).copied()
    }
}

fn expand(word: &str) -> Result<String, String> {
    let variables = Fixed(BTreeMap::from([
        ("x", "/usr/lib/a.tar.gz"),
        ("e", ""),
        ("HOME", "/root"),
        ("words", "a b"),
    ]));
    let expanded = Lexer::new('\\').expand(word, &variables);
    expanded
        .map(|expansion| expansion.text)
        .map_err(|error| error.to_string())
}

#[test]
fn words_expand_as_docker_does() {
    for (word, expected) in [
        ("$HOME/x", "/root/x"),
        ("${HOME}x", "/rootx"),
        ("'$HOME'", "$HOME"),
        ("\"$HOME\"", "/root"),
        ("\\$HOME", "$HOME"),
        ("\"\\$HOME\\\\$HOME\"", "$HOME\\/root"),
        ("$1 $@ $* $#", "   "),
        ("a$ b", "a$ b"),
        ("${u:-d}${u-d}${e:-d}${e-d}", "ddd"),
        ("${u:+d}${e:+d}${e+d}${HOME:+d}", "dd"),
        ("${u:-${HOME}}", "/root"),
        ("${x#*/}", "usr/lib/a.tar.gz"),
        ("${x##*/}", "a.tar.gz"),
        ("${x%.*}", "/usr/lib/a.tar"),
        ("${x%%.*}", "/usr/lib/a"),
        ("${x/lib/bin}", "/usr/bin/a.tar.gz"),
        ("${x//\\//-}", "-usr-lib-a.tar.gz"),
        ("${x/#a/b}", "/usr/lib/a.tar.gz"),
        ("a\\ b", "a b"),
    ] {
        assert_eq!(expand(word).as_deref(), Ok(expected), "{word}");
    }
    for word in [
        "${}", "${", "${V", "${x:=y}", "${u:?m}", "'a", "\"a", "${{a}", "${e:?}",
    ] {
        assert!(expand(word).is_err(), "{word}");
    }
}

#[test]
fn an_expansion_that_grows_without_end_is_refused() {
    let long = Box::leak("y".repeat(600_000).into_boxed_str());
    let variables = Fixed(BTreeMap::from([("y", &*long)]));
    let error = Lexer::new('\\').expand("$y$y$y$y", &variables).unwrap_err();
    assert!(error.to_string().contains("1 MiB"), "{error}");
    assert!(
        Lexer::new('\\')
            .expand(&"${a:-".repeat(10_000), &variables)
            .is_err()
    );
    assert!(
        Lexer::new('\\')
            .expand("${y//*y*y*y*z/}", &variables)
            .is_err()
    );
}

#[test]
fn lines_continue_comments_fall_out_and_heredocs_are_read() {
    let text = "\u{feff}# escape=\\\nFROM a AS B\nRUN one \\\n# comment\n\n  two\nCOPY <<-'X' <<Y z /d/\n\t1\n\tX\n2$A\nY\n";
    let dockerfile = parse(text).unwrap();
    let stage = &dockerfile.stages[0];
    assert_eq!(stage.name.as_deref(), Some("B"));
    let Kind::Run(run) = &stage.instructions[0].kind else {
        panic!("{stage:?}");
    };
    assert_eq!(run.command, Command::Shell("one   two".to_owned()));
    assert_eq!(dockerfile.empty_continuations, [6]);
    let Kind::Copy(copy) = &stage.instructions[1].kind else {
        panic!("{stage:?}");
    };
    let [
        CopySource::Path(path),
        CopySource::Heredoc(x),
        CopySource::Heredoc(y),
    ] = copy.sources.as_slice()
    else {
        panic!("{copy:?}");
    };
    assert_eq!((path.as_str(), copy.dest.as_str()), ("z", "/d/"));
    assert_eq!(
        (x.content.as_str(), x.expand, x.chomp),
        ("\t1\n", false, true)
    );
    assert_eq!(
        (y.content.as_str(), y.expand, y.chomp),
        ("2$A\n", true, false)
    );
}

#[test]
fn a_mistake_names_its_line_and_what_was_meant() {
    for (text, line, message, hint) in [
        (
            "FROM a\nCOYP a b",
            2,
            "unknown instruction: COYP",
            "did you mean COPY?",
        ),
        (
            "FROM a\nRUN --mont=x y",
            2,
            "unknown flag: --mont",
            "did you mean --mount?",
        ),
        (
            "FROM a\nCOPY --chown a b",
            2,
            "missing a value on flag: --chown",
            "",
        ),
        (
            "FROM a b",
            1,
            "FROM requires either one or three arguments",
            "",
        ),
        ("\n\nFROM a\nENV x", 4, "ENV must have two arguments", ""),
        (
            "FROM a\nCOPY <<E /x\na\n",
            2,
            "unterminated heredoc",
            "exactly `E`",
        ),
        ("# escape=x\nFROM a", 1, "invalid escape token", ""),
        (
            "ENV a=b\nFROM a",
            1,
            "no build stage in current context",
            "FROM",
        ),
        ("FROM a\nRUN [\"a\", 1]", 2, "comprised of strings only", ""),
        (
            "FROM a\nHEALTHCHECK --interval=1 CMD x",
            2,
            "invalid duration",
            "",
        ),
        ("FROM a\nHEALTHCHECK --interval=1us CMD x", 2, "1ms", ""),
    ] {
        let mistake = parse(text).unwrap_err();
        assert_eq!(
            mistake.lines.map(|lines| lines.first),
            Some(line),
            "{mistake:?}"
        );
        assert!(mistake.message.contains(message), "{mistake:?}");
        assert!(mistake.hint.unwrap_or_default().contains(hint), "{text}");
    }
}

#[test]
fn almost_json_is_a_line_for_the_shell() {
    for rest in ["['a']", "[\"a\",]", "[\"a\"] b", "[a]"] {
        let dockerfile = parse(&format!("FROM a\nCMD {rest}")).unwrap();
        let kind = &dockerfile.stages[0].instructions[0].kind;
        assert_eq!(kind, &Kind::Cmd(Command::Shell(rest.to_owned())));
    }
}
