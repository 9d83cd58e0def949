//! `plan` and `--dry-run` where nothing is there yet.

use super::sandbox::Sandbox;

const PROJECT: &str = "
services:
  web: {image: 'rootfs:/', command: [sleep, '1'], depends_on: [db]}
  db: {image: 'rootfs:/', command: [sleep, '1']}
";

#[test]
fn a_plan_says_what_would_be_done_and_why_and_ends_with_2() {
    let sandbox = Sandbox::with(PROJECT);
    let said = sandbox.consort(&["plan"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    for words in [
        "create network",
        "create container",
        "demo-web-1",
        "not found",
        "after #",
    ] {
        assert!(
            said.stdout.contains(words),
            "`{words}` is missing in:\n{}",
            said.stdout
        );
    }
}

#[test]
fn with_compatibility_the_parts_of_names_have_an_underscore_between_them() {
    let sandbox = Sandbox::with(PROJECT);
    let flag = sandbox.consort(&["--compatibility", "plan"]);
    let variable = [("COMPOSE_COMPATIBILITY", "1")];
    let variable = sandbox.consort_with(&variable, &["plan"]);
    for said in [flag, variable] {
        assert!(said.stdout.contains("demo_web_1"), "{}", said.stdout);
        assert!(!said.stdout.contains("demo-web-1"), "{}", said.stdout);
    }
    sandbox.file("compose.yaml", "services: {web: {build: .}}");
    let image = sandbox.consort(&["--compatibility", "config", "--images"]);
    assert_eq!(image.stdout, "demo_web\n");
}

#[test]
fn a_plan_in_json_has_numbered_steps_with_typed_causes() {
    let sandbox = Sandbox::with(PROJECT);
    let said = sandbox.consort(&["plan", "--format", "json"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    let plan: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    let first = &plan["steps"][0];
    assert_eq!(first["id"], 1);
    assert_eq!(first["cause"], "not_found");
    assert_eq!(first["reason"], "not found");
}

#[test]
fn a_rehearsal_shows_the_plan_of_the_verb_and_changes_nothing() {
    let sandbox = Sandbox::with(PROJECT);
    for words in [
        &["--dry-run", "up", "-d"][..],
        &["up", "--dry-run"],
        &["create", "--dry-run"],
    ] {
        let said = sandbox.consort(words);
        assert_eq!(said.code, Some(0), "{words:?}: {}", said.stderr);
        assert!(
            said.stdout.contains("create container"),
            "{words:?}: {}",
            said.stdout
        );
    }
    let down = sandbox.consort(&["down", "--dry-run"]);
    assert_eq!(
        (down.code, down.stdout.as_str()),
        (Some(0), "Nothing to do.\n"),
        "{}",
        down.stderr
    );
    assert_eq!(sandbox.consort(&["ps", "-a", "-q"]).stdout, "");
}
