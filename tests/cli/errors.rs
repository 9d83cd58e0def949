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
    assert!(said.stderr.contains("the template `x`"), "{}", said.stderr);
}

#[test]
fn a_mistyped_service_is_no_mistake_of_the_files() {
    let sandbox = Sandbox::with("services: {web: {image: x}}");
    for verb in ["up", "create", "pull", "logs", "ps", "stop", "plan"] {
        let said = sandbox.consort(&[verb, "wbe"]);
        assert_eq!(said.code, Some(1), "{verb}: {}", said.stderr);
        assert!(
            said.stderr.contains("no such service: `wbe`"),
            "{}",
            said.stderr
        );
        assert!(
            said.stderr.contains("did you mean `web`?"),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn settings_come_from_the_projects_file_of_variables_too() {
    let sandbox = Sandbox::with("services: {web: {image: x}}");
    sandbox.file(".env", "COMPOSE_PROGRESS=bogus\n");
    let said = sandbox.consort(&["version"]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.stderr.contains("`COMPOSE_PROGRESS` is `bogus`"),
        "{}",
        said.stderr
    );
    let set = sandbox.consort_with(&[("COMPOSE_PROGRESS", "plain")], &["version"]);
    assert_eq!(set.code, Some(0), "what is set goes before: {}", set.stderr);
    sandbox.file("other.env", "COMPOSE_PARALLEL_LIMIT=few\n");
    let other = sandbox.consort(&["--env-file", "other.env", "version"]);
    assert_eq!(other.code, Some(2));
    assert!(
        other.stderr.contains("`COMPOSE_PARALLEL_LIMIT` is `few`"),
        "{}",
        other.stderr
    );
    sandbox.file(
        ".env",
        "COMPOSE_IGNORE_ORPHANS=1\nCOMPOSE_REMOVE_ORPHANS=1\n",
    );
    let both = sandbox.consort(&["up", "-d"]);
    assert!(
        both.stderr.contains("exclude each other"),
        "{}",
        both.stderr
    );
}

#[test]
fn flags_that_docker_compose_hides_are_taken() {
    let sandbox = Sandbox::with("services: {web: {image: x}}");
    for words in [
        &["--verbose", "version"][..],
        &["--no-ansi", "version"],
        &["--workdir", ".", "version"],
        &["exec", "-it", "--help"],
        &["rm", "-a", "--help"],
        &["pull", "--parallel", "--help"],
        &[
            "up",
            "--no-build",
            "--quiet-build",
            "--menu=false",
            "--help",
        ],
    ] {
        let said = sandbox.consort(words);
        assert_eq!(said.code, Some(0), "{words:?}: {}", said.stderr);
    }
    let menu = sandbox.consort(&["up", "--menu"]);
    assert_eq!(menu.code, Some(1));
    assert!(
        menu.stderr.contains("`--menu` is not supported yet"),
        "{}",
        menu.stderr
    );
}

#[test]
fn a_time_that_is_none_is_wrong_usage() {
    let sandbox = Sandbox::with("services: {web: {image: x}}");
    let said = sandbox.consort(&["logs", "--since", "yesterday"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("`yesterday`"), "{}", said.stderr);
}

/// Runs as GitHub Actions would and returns the exit code and the annotations.
fn annotated(sandbox: &Sandbox, words: &[&str]) -> (Option<i32>, String) {
    let root = sandbox.path("");
    let variables = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_WORKSPACE", root.to_str().unwrap()),
    ];
    let said = sandbox.consort_with(&variables, words);
    let lines = said.stderr.lines().filter(|line| line.starts_with("::"));
    let annotations: Vec<&str> = lines.collect();
    assert!(!said.stdout.contains("::error"), "{}", said.stdout);
    (said.code, annotations.join("\n"))
}

#[test]
fn every_command_that_cannot_load_the_project_annotates_its_files_on_github() {
    let sandbox = Sandbox::with("version: '3'\nservices:\n  web: {imagee: x}\n");
    for words in [
        &["up", "-d"][..],
        &["ps"],
        &["down"],
        &["plan"],
        &["explain", "."],
        &["config", "--check", "--format", "json"],
    ] {
        let (code, annotations) = annotated(&sandbox, words);
        assert_eq!(code, Some(3), "{words:?}");
        assert_eq!(
            annotations,
            "::warning file=compose.yaml,line=1,col=1::`version` is obsolete and ignored%0Aremove the line\n\
             ::error file=compose.yaml,line=3,col=9::`imagee` is no key of `web`%0Adid you mean `image`?",
            "{words:?}"
        );
    }
}

#[test]
fn what_the_engine_cannot_do_is_annotated_too() {
    let sandbox = Sandbox::with("services:\n  web:\n    image: x\n    external_links: [a]\n");
    let (code, annotations) = annotated(&sandbox, &["plan"]);
    assert_eq!(code, Some(3));
    insta::assert_snapshot!(annotations, @r"::error file=compose.yaml,line=4,col=21::cannot use `external_links` of service `web`: share a network instead");
}

#[test]
fn warnings_are_annotated_where_the_command_goes_on() {
    let sandbox = Sandbox::with("version: '3'\nservices:\n  web: {image: x}\n");
    let (code, annotations) = annotated(&sandbox, &["config"]);
    assert_eq!(code, Some(0));
    assert!(
        annotations.starts_with("::warning file=compose.yaml,line=1,col=1::"),
        "{annotations}"
    );
    let unset = sandbox.consort(&["config"]);
    assert!(!unset.stderr.contains("::"), "{}", unset.stderr);
}

#[test]
fn programs_that_read_progress_read_mistakes_and_warnings_in_the_same_way() {
    let sandbox = Sandbox::with("services: {web: {image: 'x${NO_SUCH_VARIABLE}'}}");
    let said = sandbox.consort(&["--progress", "json", "stop", "cache"]);
    assert_eq!(said.code, Some(1));
    assert_eq!(
        said.stderr.trim(),
        r#"{"error":true,"message":"no such service: `cache`"}"#
    );
    let said = sandbox.consort(&["--progress", "json", "config", "--quiet"]);
    let line: serde_json::Value = serde_json::from_str(&said.stderr).unwrap();
    let text = line["msg"].as_str().unwrap_or_default();
    assert_eq!(line["level"], "warning");
    assert!(
        text.ends_with(
            "1:25: the variable `NO_SUCH_VARIABLE` is not set; it becomes an empty string"
        ),
        "{text}"
    );
}

#[test]
fn a_live_tree_without_terminal_control_is_wrong_usage() {
    let said = Sandbox::empty().consort(&["--progress", "tty", "--ansi", "never", "ls"]);
    assert_eq!(said.code, Some(2));
    insta::assert_snapshot!(
        said.stderr,
        @"error: `--progress tty` needs the terminal control that `--ansi never` forbids"
    );
}

#[test]
fn a_pipe_is_read_to_its_end_and_one_that_nobody_writes_into_is_refused() {
    let sandbox = Sandbox::empty();
    let (pipe, mode) = (sandbox.path("compose.yaml"), rustix::fs::Mode::RUSR);
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
    let said = sandbox.consort(&["config", "-q"]);
    assert_eq!(said.code, Some(3));
    assert!(
        said.stderr.contains("a pipe that nobody writes into"),
        "{}",
        said.stderr
    );
    // A pipe that is open at both ends keeps what was written, as the one behind `<(…)` does.
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    rustix::io::write(&writer, b"services: {web: {imagee: x}}\n").unwrap();
    drop(writer);
    let mut command = sandbox.command(&[], &["-f", "/dev/stdin", "config", "-q"]);
    let output = command.stdin(reader).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("`imagee` is no key"), "{stderr}");
}

#[test]
fn includes_and_extends_through_symbolic_links_end() {
    let sandbox = Sandbox::with("include: [again/compose.yaml]\nservices: {web: {image: x}}\n");
    std::os::unix::fs::symlink(".", sandbox.path("again")).unwrap();
    let said = sandbox.consort(&["config", "-q"]);
    assert_eq!(said.code, Some(3));
    insta::assert_snapshot!(said.stderr, @r"
    error: the file includes itself: /folder/demo/compose.yaml → /folder/demo/again/compose.yaml
     --> /folder/demo/compose.yaml:1:11
      |
    1 | include: [again/compose.yaml]
      |           ^^^^^^^^^^^^^^^^^^
      = hint: remove one of these `include`s
    ");
    sandbox.file(
        "compose.yaml",
        "services: {web: {extends: {file: again/compose.yaml, service: web}}}\n",
    );
    let said = sandbox.consort(&["config", "-q"]);
    assert_eq!(said.code, Some(3));
    insta::assert_snapshot!(said.stderr, @r"
    error: the service `web` extends itself: web → web
     --> /folder/demo/compose.yaml:1:63
      |
    1 | services: {web: {extends: {file: again/compose.yaml, service: web}}}
      |                                                               ^^^
      = hint: remove one of these `extends`
    ");
}
