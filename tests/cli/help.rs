//! `--help`: every verb explains itself.

use super::sandbox::Sandbox;

#[test]
fn every_verb_of_the_list_explains_itself() {
    let sandbox = Sandbox::empty();
    let help = sandbox.consort(&["--help"]);
    assert_eq!(help.code, Some(0));
    let (_, list) = help.stdout.split_once("Commands:\n").unwrap();
    let verbs: Vec<&str> = list
        .lines()
        .take_while(|line| !line.is_empty())
        // A description that is wrapped goes on further to the right.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(verbs.len() > 20, "{verbs:?}");
    let silent = list.lines().take_while(|line| !line.is_empty());
    let silent = silent.filter(|line| line.split_whitespace().count() < 2);
    // The end of a description that is wrapped may be one word, further to the right.
    let silent: Vec<&str> = silent.filter(|line| !line.starts_with("   ")).collect();
    assert_eq!(silent, Vec::<&str>::new());
    for verb in verbs {
        let said = sandbox.consort(&[verb, "--help"]);
        assert_eq!(said.code, Some(0), "{verb}");
        assert!(
            said.stdout.contains(&format!("Usage: consort {verb}")),
            "{verb}: {}",
            said.stdout
        );
    }
}

#[test]
fn exit_codes_are_part_of_the_help() {
    let help = Sandbox::empty().consort(&["--help"]).stdout;
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    insta::assert_snapshot!(codes, @r"
      0    done
      1    a step failed
      2    wrong usage; `plan` returns 1 for that, and 2 for: there are changes
      3    the Compose files have mistakes
      4    the engine cannot be reached
      130  interrupted
      255  a bug in consort
      `exec`, `wait` and `up --exit-code-from` return the container's own exit code.
    ");
}
