//! Words that are no command line of ours.

use super::sandbox::Sandbox;

#[test]
fn a_mistyped_verb_is_wrong_usage_and_the_right_one_is_offered() {
    let said = Sandbox::empty().consort(&["upp"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("'up'"), "{}", said.stderr);
}

#[test]
fn nothing_at_all_is_wrong_usage() {
    let said = Sandbox::empty().consort(&[]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("Usage: consort"), "{}", said.stderr);
}

#[test]
fn wrong_usage_of_plan_is_not_mistaken_for_changes() {
    let said = Sandbox::empty().consort(&["plan", "--no-such-flag"]);
    assert_eq!(said.code, Some(1));
}

#[test]
fn a_flag_of_all_commands_behind_one_is_told_where_it_belongs() {
    let said = Sandbox::empty().consort(&["config", "-f", "other.yaml"]);
    assert_eq!(said.code, Some(2));
    insta::assert_snapshot!(said.stderr, @r"
    error: `-f` stands before the command
       hint: write it directly behind `consort`
    ");
}

#[test]
fn a_verb_that_is_not_there_yet_is_refused_by_name() {
    let said = Sandbox::empty().consort(&["bridge", "convert"]);
    assert_eq!(said.code, Some(1));
    insta::assert_snapshot!(said.stderr, @"error: `bridge` is not supported yet");
}

#[test]
fn a_flag_that_is_not_there_yet_is_refused_by_name() {
    let said = Sandbox::empty().consort(&["up", "--watch"]);
    assert_eq!(said.code, Some(1));
    insta::assert_snapshot!(said.stderr, @r"
    error: `--watch` is not supported yet
       hint: run `consort up -d` again after a change
    ");
}

#[test]
fn flags_that_exclude_each_other_are_wrong_usage() {
    let sandbox = Sandbox::empty();
    for words in [
        &["up", "-d", "--abort-on-container-exit"][..],
        &["up", "--wait", "--attach", "web"],
        &["up", "--force-recreate", "--no-recreate"],
        &["up", "-V", "--no-recreate"],
        &["up", "--attach", "web", "--attach-dependencies"],
        &["config", "--services", "--volumes"],
    ] {
        assert_eq!(sandbox.consort(words).code, Some(2), "{words:?}");
    }
}

#[test]
fn a_variable_with_a_word_that_the_flag_would_not_take_is_refused() {
    let said = Sandbox::empty().consort_with(&[("COMPOSE_ANSI", "sometimes")], &["version"]);
    assert_eq!(said.code, Some(2));
    insta::assert_snapshot!(
        said.stderr,
        @"error: `COMPOSE_ANSI` is `sometimes`, expected one of `auto`, `never`, `always`"
    );
}

#[test]
fn flags_are_taken_as_gos_parser_takes_them() {
    let sandbox = Sandbox::with("services: {web: {image: x, profiles: [a]}, db: {image: y}}");
    let services = |words: &[&str]| {
        let said = sandbox.consort(&[words, &["config", "--services"]].concat());
        assert_eq!(said.code, Some(0), "{words:?}: {}", said.stderr);
        said.stdout
    };
    assert_eq!(
        services(&["-p", "A", "-p", "b", "--profile", "a"]),
        "db\nweb\n"
    );
    assert_eq!(services(&["--dry-run=false", "--dry-run=F"]), "db\n");
    for words in [
        &["config", "-q", "-q"][..],
        &["config", "--quiet=true", "--no-interpolate=0"],
        &["config", "--quiet", "--services=false"],
        &["--parallel", "-1", "config", "-q"],
        &[
            "up",
            "--dry-run",
            "-d",
            "-d",
            "--wait=false",
            "--abort-on-container-exit=false",
        ],
    ] {
        let said = sandbox.consort(words);
        let refused = said.code == Some(2);
        assert!(!refused, "{words:?}: {}", said.stderr);
    }
}

#[test]
fn a_program_that_is_run_keeps_its_own_flags() {
    let said = Sandbox::with("services: {web: {image: x}}").consort(&["exec", "web", "-T", "sh"]);
    assert_eq!(
        said.code,
        Some(1),
        "`-T` is no flag of ours there: {}",
        said.stderr
    );
}

#[test]
fn what_runs_inside_a_container_is_not_rehearsed() {
    let sandbox = Sandbox::with("services: {web: {image: x}}");
    for words in [
        &["--dry-run", "exec", "web", "sh"][..],
        &["attach", "--dry-run", "web"],
    ] {
        let said = sandbox.consort(words);
        assert_eq!(said.code, Some(1), "{words:?}");
        assert!(said.stderr.contains("`--dry-run`"), "{}", said.stderr);
    }
}
