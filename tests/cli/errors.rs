//! What is said when something is wrong, and the exit code that goes with it.

use super::sandbox::Sandbox;

#[test]
fn mistakes_in_files_are_shown_with_their_place_and_end_with_3() {
    let sandbox = Sandbox::with("services:\n  web:\n    imagee: nginx\n    image: nginx\n");
    let said = sandbox.consort(&["up", "-d"]);
    assert_eq!(said.code, Some(3));
    insta::assert_snapshot!(said.stderr, @r"
    error: `imagee` is no key of `web`
     --> /folder/demo/compose.yaml:3:5
      |
    3 |     imagee: nginx
      |     ^^^^^^
      = hint: did you mean `image`?
    ");
}

#[test]
fn colours_are_there_only_where_they_are_wanted() {
    let sandbox = Sandbox::with("services: {web: {imagee: nginx}}");
    let plain = sandbox.consort(&["config"]);
    assert!(!plain.stderr.contains('\x1b'), "{}", plain.stderr);
    let coloured = sandbox.consort(&["--ansi", "always", "config"]);
    assert!(coloured.stderr.contains('\x1b'), "{}", coloured.stderr);
    let variables = [("COMPOSE_ANSI", "always"), ("NO_COLOR", "1")];
    let wanted = sandbox.consort_with(&variables, &["config"]);
    assert!(wanted.stderr.contains('\x1b'), "{}", wanted.stderr);
}

#[test]
fn a_name_that_is_no_project_name_is_wrong_usage() {
    let said = Sandbox::empty().consort(&["-p", "Not A Name", "ps"]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.stderr.starts_with("error: cannot use `Not A Name`"),
        "{}",
        said.stderr
    );
}

#[test]
fn a_template_that_cannot_be_used_is_refused_before_anything_is_looked_at() {
    let sandbox = Sandbox::with("services: {web: {image: x}}");
    let said = sandbox.consort(&["stats", "--format", "{{template \"x\"}}"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("`template`"), "{}", said.stderr);
}

#[test]
fn a_time_that_is_none_is_wrong_usage() {
    let sandbox = Sandbox::with("services: {web: {image: x}}");
    let said = sandbox.consort(&["logs", "--since", "yesterday"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("`yesterday`"), "{}", said.stderr);
}
