//! Images of Dockerfiles: built for services and alone, from the cache, with secrets, with mistakes.

use crate::support::Sandbox;
use crate::support::machine::{self, needs};

const PROJECT: &str = "
services:
  base:
    build:
      context: base
      args: {V: seven}
    command: [sleep, '1000']
    stop_grace_period: 0s
  web:
    build:
      context: web
      additional_contexts: {lib: 'service:base'}
      secrets: [token]
      dockerfile_inline: |
        FROM lib
        RUN --mount=type=secret,id=token wc -c < /run/secrets/token > /length
        COPY . /files/
    command: [sleep, '1000']
    stop_grace_period: 0s
secrets:
  token: {file: token.txt}
";

/// A project whose Dockerfiles find the image `busybox`.
fn sandbox(compose: &str) -> Sandbox {
    let sandbox = Sandbox::new(compose);
    let cache = machine::image_cache();
    let archive = format!("{}/archives/busybox.docker-archive.tar", cache.display());
    sandbox
        .consort(&["image", "load", "-q", "-i", &archive])
        .succeeds();
    let ids = sandbox
        .consort(&["image", "ls", "-q", "--no-trunc"])
        .succeeds();
    let id = ids.lines().next().unwrap();
    sandbox.consort(&["image", "tag", id, "busybox"]).succeeds();
    sandbox
}

fn project() -> Sandbox {
    let sandbox = sandbox(PROJECT);
    sandbox.file("token.txt", "hunter2");
    sandbox.file("base/Dockerfile", "FROM busybox\nARG V\nRUN echo $V > /v\n");
    sandbox.file("web/page", "one");
    sandbox.file("web/left.out", "no");
    sandbox.file("web/.dockerignore", "*.out\n");
    sandbox
}

#[test]
fn up_builds_what_is_missing_and_then_nothing() {
    needs!(machine::images());
    let sandbox = project();
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(sandbox.sh("base", "cat /v"), "seven");
    assert_eq!(
        sandbox.sh("web", "cat /v /length /files/page"),
        "seven\n7\none"
    );
    assert_eq!(sandbox.sh("web", "ls -A /files"), ".dockerignore\npage");
    sandbox.consort(&["plan"]).succeeds();
    let before = sandbox.field("base", "ID");
    sandbox.file("web/page", "two");
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(
        sandbox.sh("web", "cat /files/page"),
        "one",
        "nobody asked for a build"
    );
    sandbox.consort(&["up", "-d", "--build"]).succeeds();
    assert_eq!(sandbox.sh("web", "cat /files/page"), "two");
    assert_eq!(
        sandbox.field("base", "ID"),
        before,
        "its image is the same one"
    );
    sandbox.ends_clean();
}

#[test]
fn a_secret_of_a_build_is_in_no_layer_and_no_plan() {
    needs!(machine::images());
    let sandbox = project();
    let plan = sandbox.consort(&["plan", "--format", "json"]);
    assert!(!plan.stdout.contains("hunter2"), "{}", plan.stdout);
    sandbox.consort(&["build", "web"]).succeeds();
    let images = sandbox.consort(&["image", "ls"]).succeeds();
    let name = images.lines().find_map(|line| {
        let name = line.split_whitespace().next()?;
        name.ends_with("-web").then(|| name.to_owned())
    });
    let saved = sandbox.path("web.tar");
    let saved = saved.to_str().unwrap();
    let args = ["image", "save", "-o", saved, name.as_deref().unwrap()];
    sandbox.consort(&args).succeeds();
    let bytes = std::fs::read(saved).unwrap();
    let is_there = bytes.windows(7).any(|part| part == b"hunter2");
    assert!(!is_there, "the image holds the secret");
}

#[test]
fn a_line_that_fails_is_shown_with_what_it_wrote() {
    needs!(machine::images());
    let sandbox = sandbox("services: {}\n");
    sandbox.file("Dockerfile", "FROM busybox\nRUN echo before; exit 3\n");
    let said = sandbox.consort(&["build", "-t", "x", "."]).fails_with(1);
    assert!(said.contains(">>> RUN echo before; exit 3"), "{said}");
    assert!(
        said.contains("exit code 3") && said.contains("before"),
        "{said}"
    );
    sandbox.file("Dockerfile", "FROM busybox\nCOYP a b\n");
    let said = sandbox.consort(&["build", "-t", "x", "."]).fails_with(1);
    assert!(
        said.contains("Dockerfile:2") && said.contains("did you mean COPY?"),
        "{said}"
    );
}

#[test]
fn steps_come_from_the_cache_until_what_they_use_changes() {
    needs!(machine::images());
    let sandbox = sandbox("services: {}\n");
    sandbox.file("a", "1");
    sandbox.file(
        "Dockerfile",
        "FROM busybox\nRUN echo early\nCOPY a /a\nRUN echo late\n",
    );
    let build = || {
        let run = sandbox.consort(&["build", "-t", "x", "."]);
        assert!(run.ok(), "{}", run.stderr);
        run.stderr.matches("CACHED").count()
    };
    assert_eq!(build(), 0);
    assert_eq!(build(), 3);
    sandbox.file("a", "2");
    assert_eq!(build(), 1);
}

#[test]
fn a_check_names_rules_and_lines_and_builds_nothing() {
    needs!(machine::images());
    let sandbox = sandbox("services: {}\n");
    sandbox.file("Dockerfile", "FROM busybox as x\nRUN false\nCMD a\n");
    let run = sandbox.consort(&["build", "--check", "."]);
    assert!(!run.ok());
    for text in [
        "Check complete, 2 warnings have been found!",
        "WARNING: FromAsCasing - ",
        "WARNING: JSONArgsRecommended - ",
        "Dockerfile:3",
    ] {
        assert!(run.stdout.contains(text), "{}", run.stdout);
    }
}
