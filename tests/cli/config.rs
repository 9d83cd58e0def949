//! `config`: the project as it was understood, in whole and in part.

use std::process::Stdio;

use super::sandbox::Sandbox;

const PROJECT: &str = "
services:
  web:
    image: nginx:${TAG:-1.27}
    depends_on: [db]
    volumes: [data:/data]
  db:
    image: postgres:16
  debug:
    image: busybox
    profiles: [tools]
volumes:
  data:
";

#[test]
fn parts_are_written_one_a_line() {
    let sandbox = Sandbox::with(PROJECT);
    let said = |part: &str| sandbox.consort(&["config", part]).stdout;
    assert_eq!(said("--services"), "db\nweb\n");
    assert_eq!(said("--volumes"), "data\n");
    assert_eq!(said("--networks"), "default\n");
    assert_eq!(said("--images"), "nginx:1.27\npostgres:16\n");
    assert_eq!(said("--profiles"), "tools\n");
}

#[test]
fn hashes_are_written_for_the_services_that_are_asked_for() {
    let sandbox = Sandbox::with(PROJECT);
    let all = sandbox.consort(&["config", "--hash", "*"]).stdout;
    let one = sandbox.consort(&["config", "--hash", "db"]).stdout;
    assert_eq!(all.lines().count(), 2);
    assert!(
        all.starts_with(&one) && one.starts_with("db "),
        "{all}\n{one}"
    );
    let unknown = sandbox.consort(&["config", "--hash", "bd"]);
    assert_eq!(unknown.code, Some(1));
    insta::assert_snapshot!(unknown.stderr, @r"
    error: no such service: `bd`
       hint: the services are `db`, `web`
    ");
}

#[test]
fn variables_are_listed_with_their_defaults() {
    let sandbox = Sandbox::with(PROJECT);
    insta::assert_snapshot!(sandbox.consort(&["config", "--variables"]).stdout, @r"
    NAME      REQUIRED   DEFAULT VALUE   ALTERNATE VALUE
    TAG       false      1.27            
    ");
    let json = sandbox.consort(&["config", "--variables", "--format", "json"]);
    let variables: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(variables["TAG"]["DefaultValue"], "1.27");
    let yaml = sandbox.consort(&["config", "--variables", "--format", "yaml"]);
    assert_eq!(
        yaml.stdout,
        "TAG:\n  name: TAG\n  defaultvalue: \"1.27\"\n  presencevalue: \"\"\n  required: false\n"
    );
}

#[test]
fn without_interpolation_variables_without_a_value_stay_as_they_are_written() {
    let sandbox = Sandbox::with(
        "
services:
  web:
    build: {context: ., args: {SHELL_ONLY: , TAG: $TAG}}
    image: nginx:$TAG
    environment: [SHELL_ONLY, TAG=$TAG]
    volumes: ['~/x:/x']
    configs: [c]
configs:
  c: {environment: SHELL_ONLY}
",
    );
    let variables = [("SHELL_ONLY", "1"), ("TAG", "2"), ("HOME", "/home/me")];
    let whole = sandbox.consort_with(&variables, &["config", "--no-interpolate"]);
    let text = whole.stdout;
    assert!(text.contains("- SHELL_ONLY\n"), "{text}");
    assert!(text.contains("- TAG=$TAG\n"), "{text}");
    assert!(text.contains("args:\n        TAG: $TAG\n"), "{text}");
    assert!(text.contains("source: /home/me/x\n"), "{text}");
    assert!(!text.contains("content:"), "{text}");
}

#[test]
fn two_services_with_one_container_name_are_listed_but_no_whole() {
    let sandbox = Sandbox::with(
        "
services:
  db: {image: postgres, container_name: same}
  web: {image: nginx, container_name: same}
",
    );
    let lists = sandbox.consort(&["config", "--services"]);
    assert_eq!(lists.stdout, "db\nweb\n");
    let unchecked = sandbox.consort(&["config", "--no-consistency", "--quiet"]);
    assert_eq!(unchecked.code, Some(0));
    let whole = sandbox.consort(&["config"]);
    assert_eq!(whole.code, Some(3));
    assert!(
        whole
            .stderr
            .starts_with("error: two services have the container name `same`"),
        "{}",
        whole.stderr
    );
}

#[test]
fn the_project_goes_where_it_is_asked_to_go() {
    let sandbox = Sandbox::with(PROJECT);
    let shown = sandbox.consort(&["config"]);
    assert_eq!(shown.code, Some(0));
    assert!(shown.stdout.starts_with("name: demo\n"), "{}", shown.stdout);
    let quiet = sandbox.consort(&["config", "-q"]);
    assert_eq!((quiet.code, quiet.stdout.as_str()), (Some(0), ""));
    let written = sandbox.consort(&["config", "-o", "out.yaml"]);
    assert_eq!((written.code, written.stdout.as_str()), (Some(0), ""));
    assert_eq!(
        std::fs::read_to_string(sandbox.path("out.yaml")).unwrap(),
        shown.stdout
    );
}

#[test]
fn variables_of_compose_stand_in_for_flags() {
    let sandbox = Sandbox::empty();
    sandbox.file("a.yaml", "services: {a: {image: x}}");
    sandbox.file("b.yaml", "services: {b: {image: x, profiles: [p]}}");
    let variables = [
        ("COMPOSE_FILE", "a.yaml,b.yaml"),
        ("COMPOSE_PATH_SEPARATOR", ","),
        ("COMPOSE_PROFILES", "p"),
        ("COMPOSE_PROJECT_NAME", "other"),
    ];
    let services = sandbox.consort_with(&variables, &["config", "--services"]);
    assert_eq!(services.stdout, "a\nb\n");
    let whole = sandbox.consort_with(&variables, &["config"]);
    assert!(
        whole.stdout.starts_with("name: other\n"),
        "{}",
        whole.stdout
    );
}

#[test]
fn a_reader_that_went_away_ends_the_command_quietly() {
    let sandbox = Sandbox::with(PROJECT);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = sandbox.command(&[], &["config"]);
    let output = command
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = output.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_check_writes_nothing_about_files_without_mistakes() {
    let sandbox = Sandbox::with(PROJECT);
    let text = sandbox.consort(&["config", "--check"]);
    assert_eq!((text.code, &*text.stdout, &*text.stderr), (Some(0), "", ""));
    let json = sandbox.consort(&["config", "--check", "--format", "json"]);
    assert_eq!((json.code, &*json.stdout), (Some(0), "[]\n"));
}

#[test]
fn a_check_tells_editors_every_mistake_with_its_place_and_the_way_to_it() {
    let sandbox = Sandbox::with("include:\n  - part.yaml\nservices:\n  web: {image: x}\n");
    sandbox.file("part.yaml", "services:\n  db:\n    imag: y\n    image: y\n");
    let said = sandbox.consort(&["config", "--check", "--format", "json"]);
    assert_eq!((said.code, &*said.stderr), (Some(3), ""));
    insta::assert_snapshot!(said.stdout, @r#"
    [
      {
        "severity": "error",
        "message": "`imag` is no key of `db`",
        "file": "/folder/demo/part.yaml",
        "line": 3,
        "column": 5,
        "end_column": 9,
        "expected": null,
        "hint": "did you mean `image`?",
        "notes": [
          {
            "message": "this file is named here",
            "file": "/folder/demo/compose.yaml",
            "line": 2,
            "column": 5
          }
        ]
      }
    ]
    "#);
}

#[test]
fn a_check_tells_people_what_every_command_tells_them() {
    let sandbox = Sandbox::with("version: '3'\nservices:\n  web: {imag: x}\n");
    let check = sandbox.consort(&["config", "--check"]);
    let up = sandbox.consort(&["up"]);
    assert_eq!((check.code, up.code), (Some(3), Some(3)));
    assert_eq!((&*check.stdout, &check.stderr), ("", &up.stderr));
}

#[test]
fn what_up_refuses_is_told_with_its_place_before_anything_moves() {
    let sandbox = Sandbox::with(
        "
services:
  web:
    image: 'rootfs:/'
    runtime: nvidia
    logging: {driver: syslog}
    ports: ['8080:80/sctp']
    networks: [far]
networks:
  far: {driver: macvlan}
",
    );
    let config = sandbox.consort(&["config", "--quiet"]);
    assert_eq!(config.code, Some(0), "{}", config.stderr);
    let up = sandbox.consort(&["up", "-d"]);
    assert_eq!(up.code, Some(3), "{}", up.stderr);
    for (field, place) in [
        ("`runtime` of service `web`", "compose.yaml:5:"),
        ("`logging.driver` of service `web`", "compose.yaml:6:"),
        ("`ports` of service `web`", "compose.yaml:7:"),
        ("`driver` of network `far`", "compose.yaml:10:"),
    ] {
        for said in [&config.stderr, &up.stderr] {
            assert!(said.contains(field) && said.contains(place), "{said}");
        }
    }
}
