//! `explain`: where values come from, over all the ways in which they come.

use super::sandbox::Sandbox;

/// A project of several files, in which every value comes from somewhere else.
fn project() -> Sandbox {
    let sandbox = Sandbox::with(
        "
include: [part/compose.yaml]
x-common: &common {restart: always, image: common}
services:
  web:
    <<: *common
    extends: {file: base.yaml, service: base}
    image: web:${TAG:-1}
    environment:
      LEVEL: info
      GIVEN:
    ports: ['${PORT:-8080}:80']
",
    );
    sandbox.file(
        "base.yaml",
        "services:\n  base:\n    user: nobody\n    env_file: [vars.env]\n    environment: [LEVEL=trace]\n",
    );
    sandbox.file("vars.env", "# comment\nLEVEL=file\nFROM_FILE=1\n");
    sandbox.file(
        "compose.override.yaml",
        "services:\n  web:\n    environment: ['LEVEL=debug']\n",
    );
    sandbox.file(".env", "TAG=2\nGIVEN=x\n");
    std::fs::create_dir(sandbox.path("part")).unwrap();
    sandbox.file("part/.env", "PART=3\n");
    sandbox.file(
        "part/compose.yaml",
        "services:\n  db: {image: 'db:$PART'}\n",
    );
    sandbox
}

fn explained(path: &str) -> String {
    let said = project().consort(&["explain", path]);
    assert_eq!((said.code, &*said.stderr), (Some(0), ""));
    said.stdout
}

#[test]
fn the_place_that_won_comes_before_all_that_it_shadows() {
    insta::assert_snapshot!(explained("web.environment.LEVEL"), @r#"
    services.web.environment.LEVEL = "debug"
      written at /folder/demo/compose.override.yaml:3:19
      shadows "info" at /folder/demo/compose.yaml:10:14
      shadows "trace" at /folder/demo/base.yaml:5:19
      shadows what is at /folder/demo/vars.env:2:1
    "#);
    insta::assert_snapshot!(explained("web.image"), @r#"
    services.web.image = "web:2"
      written at /folder/demo/compose.yaml:8:12
      shadows "common" at /folder/demo/compose.yaml:3:44
      variable TAG = "2", from /folder/demo/.env
    "#);
}

#[test]
fn a_variable_is_traced_to_the_shell_a_file_or_its_default() {
    insta::assert_snapshot!(explained("web.ports.0.published"), @r#"
    services.web.ports.0.published = "8080"
      written at /folder/demo/compose.yaml:12:13
      variable PORT is not set, its default is "8080"
    "#);
    insta::assert_snapshot!(explained("web.environment.GIVEN"), @r#"
    services.web.environment.GIVEN = "x"
      written at /folder/demo/compose.yaml:11:12
      variable GIVEN = "x", from /folder/demo/.env
    "#);
    insta::assert_snapshot!(explained("db.image"), @r#"
    services.db.image = "db:3"
      written at /folder/demo/part/compose.yaml:2:15
        a file that is named at /folder/demo/compose.yaml:2:11
      variable PART = "3", from /folder/demo/part/.env
    "#);
    let sandbox = project();
    let said = sandbox.consort_with(&[("TAG", "4")], &["explain", "web.image"]);
    assert!(
        said.stdout.contains("variable TAG = \"4\", from the shell"),
        "{}",
        said.stdout
    );
}

#[test]
fn what_another_file_brings_names_the_way_to_it() {
    insta::assert_snapshot!(explained("web.environment.FROM_FILE"), @r#"
    services.web.environment.FROM_FILE = "1"
      written at /folder/demo/vars.env:3:1
        a file that is named at /folder/demo/base.yaml:4:16
        a file that is named at /folder/demo/compose.yaml:7:21
    "#);
    insta::assert_snapshot!(explained("web.user"), @r#"
    services.web.user = "nobody"
      written at /folder/demo/base.yaml:3:11
        a file that is named at /folder/demo/compose.yaml:7:21
        through `extends` at /folder/demo/compose.yaml:7:41
    "#);
}

#[test]
fn what_nobody_wrote_says_what_it_follows_from() {
    insta::assert_snapshot!(explained("networks.default.name"), @r#"
    networks.default.name = "demo_default"
      follows from /folder/demo/part/compose.yaml:2:3
        a file that is named at /folder/demo/compose.yaml:2:11
    "#);
    insta::assert_snapshot!(explained("name"), @r#"
    name = "demo"
      made of the name of the project's directory
    "#);
}

#[test]
fn a_path_that_is_not_there_suggests_the_one_that_was_meant() {
    let sandbox = project();
    for (path, meant) in [
        ("services.wbe.image", "services.web.image"),
        ("web.env", "services.web.environment"),
        ("web.environment.LEVLE", "services.web.environment.LEVEL"),
        ("wbe.image", "services.web.image"),
        ("web.ports.9", "services.web.ports"),
    ] {
        let said = sandbox.consort(&["explain", path]);
        assert_eq!(said.code, Some(1));
        let hint = format!("did you mean `{meant}`?");
        assert!(said.stderr.contains(&hint), "{path}: {}", said.stderr);
    }
}

#[test]
fn a_short_form_and_a_line_of_a_file_tell_as_much_as_what_is_written_out() {
    let sandbox = Sandbox::with(
        "services:\n  web:\n    image: x\n    env_file: vars.env\n    healthcheck: {test: 'true $A'}\n    ports: ['80']\n",
    );
    sandbox.file("vars.env", "REF=${A}-${B:-2}\nPLAIN='$A'\n");
    sandbox.file(".env", "A=1\n");
    let explained = |path: &str| sandbox.consort(&["explain", path]).stdout;
    insta::assert_snapshot!(explained("web.environment.REF"), @r#"
    services.web.environment.REF = "1-2"
      written at /folder/demo/vars.env:1:1
        a file that is named at /folder/demo/compose.yaml:4:15
      variable A = "1", from /folder/demo/.env
      variable B is not set, its default is "2"
    "#);
    insta::assert_snapshot!(explained("web.environment.PLAIN"), @r#"
    services.web.environment.PLAIN = "$A"
      written at /folder/demo/vars.env:2:1
        a file that is named at /folder/demo/compose.yaml:4:15
    "#);
    insta::assert_snapshot!(explained("web.healthcheck.test.1"), @r#"
    services.web.healthcheck.test.1 = "true 1"
      written at /folder/demo/compose.yaml:5:25
      variable A = "1", from /folder/demo/.env
    "#);
    insta::assert_snapshot!(explained("web.ports[0].target"), @r"
    services.web.ports.0.target = 80
      written at /folder/demo/compose.yaml:6:13
    ");
}
