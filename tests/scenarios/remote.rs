//! Compose files on other machines: in git repositories and in registries.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::support::Sandbox;
use crate::support::artifact::{self, compose, env_file};
use crate::support::git::GitServer;
use crate::support::machine::{self, needs};
use crate::support::registry::DebianRegistry;

const SHOP: [(&str, &str); 5] = [
    (
        "compose.yaml",
        "services: {web: {image: x, env_file: [web.env], extends: {file: parts/base.yaml, service: base}}}",
    ),
    ("web.env", "FROM_ENV=1\n"),
    (
        "parts/base.yaml",
        "services: {base: {labels: {from: base}, env_file: [base.env]}}",
    ),
    ("parts/base.env", "FROM_BASE=2\n"),
    ("deploy/compose.yaml", "services: {deployed: {image: x}}"),
];

fn plain() -> Sandbox {
    Sandbox::new("services: {one: {image: x}}")
}

/// What `config` says of a project that is named with `-f`.
fn config(sandbox: &Sandbox, file: &str) -> String {
    sandbox.other(&["-f", file, "config"]).succeeds()
}

/// Why a project that is named with `-f` is refused.
fn refusal(sandbox: &Sandbox, file: &str) -> String {
    sandbox.other(&["-f", file, "config"]).fails_with(3)
}

fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is missing in:\n{text}");
    }
}

/// A secret of the user's that nothing from elsewhere may read.
fn canary(sandbox: &Sandbox) -> PathBuf {
    let path = sandbox.path("home/canary.env");
    fs::write(&path, "CANARY=sings\n").unwrap();
    path
}

/// Checks that a repository whose `compose.yaml` is this cannot read the canary, `CANARY` in it.
fn cannot_read(file: &str, more: &[(&str, &str)]) {
    let sandbox = plain();
    let canary = canary(&sandbox).display().to_string();
    let place = |text: &str| text.replace("CANARY", &canary);
    let mut files = vec![("compose.yaml".to_owned(), place(file))];
    files.extend(
        more.iter()
            .map(|(name, text)| ((*name).to_owned(), place(text))),
    );
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (&**name, &**text))
        .collect();
    let server = GitServer::start(&files);
    let run = sandbox.other(&["-f", &server.url(""), "config"]);
    assert!(!run.ok(), "it must be refused: {run}");
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(!said.contains("sings"), "{run}");
    assert!(said.contains("did not come with this file"), "{run}");
}

#[test]
fn a_project_in_a_git_repository_loads_with_the_files_beside_it() {
    needs!(machine::program("git"));
    let (server, sandbox) = (GitServer::start(&SHOP), plain());
    let text = config(&sandbox, &server.url(""));
    has(
        &text,
        &["name: shop", "FROM_ENV", "FROM_BASE", "from: base"],
    );
    let text = config(&sandbox, &server.url("#main:deploy"));
    has(&text, &["name: deploy", "deployed:"]);
    let text = config(&sandbox, &server.url("#:deploy/compose.yaml"));
    has(&text, &["name: deploy", "deployed:"]);
}

#[test]
fn compose_file_names_a_git_repository_as_well() {
    needs!(machine::program("git"));
    let (server, sandbox) = (GitServer::start(&SHOP), plain());
    let url = server.url("#main:deploy");
    let run = sandbox.other_with(&[("COMPOSE_FILE", &url)], &["config"]);
    has(&run.succeeds(), &["deployed:"]);
    let both = format!("{url},compose.yaml");
    let env = [("COMPOSE_FILE", &*both), ("COMPOSE_PATH_SEPARATOR", ",")];
    has(
        &sandbox.other_with(&env, &["config"]).succeeds(),
        &["deployed:", "one:"],
    );
}

#[test]
fn include_and_extends_reach_into_a_git_repository() {
    needs!(machine::program("git"));
    let server = GitServer::start(&SHOP);
    let sandbox = Sandbox::new(&format!(
        "
include:
  - {}
  - path: [{}]
services:
  own:
    image: y
    extends: {{file: '{}', service: base}}
",
        server.url(""),
        server.url("#main:deploy"),
        server.url("#main:parts/base.yaml"),
    ));
    let text = sandbox.consort(&["config"]).succeeds();
    has(
        &text,
        &["web:", "deployed:", "own:", "FROM_ENV", "FROM_BASE"],
    );
    let up = sandbox.consort(&["config", "--services"]).succeeds();
    assert_eq!(up, "deployed\nown\nweb\n");
}

#[test]
fn a_branch_is_looked_up_each_time_and_a_tag_and_a_commit_stay() {
    needs!(machine::program("git"));
    let (mut server, sandbox) = (GitServer::start(&SHOP), plain());
    server.tag("v1");
    let old = server.commit(&[]);
    config(&sandbox, &server.url("#main"));
    server.commit(&[("compose.yaml", "services: {newer: {image: x}}")]);
    has(&config(&sandbox, &server.url("#main")), &["newer:"]);
    has(&config(&sandbox, &server.url("")), &["newer:"]);
    has(&config(&sandbox, &server.url("#v1")), &["web:"]);
    has(
        &config(&sandbox, &server.url(&format!("#{old}"))),
        &["web:"],
    );
    server.stop();
    // A commit that is here needs nobody.
    has(
        &config(&sandbox, &server.url(&format!("#{old}"))),
        &["web:"],
    );
    let run = sandbox.other(&["-f", &server.url("#main"), "config"]);
    has(&run.stderr, &["warning", "cannot reach", "last fetched"]);
    has(&run.succeeds(), &["newer:"]);
    // What was never here is not.
    has(&refusal(&sandbox, &server.url("#other")), &["cannot reach"]);
}

#[test]
fn what_is_not_there_is_said_with_its_place() {
    needs!(machine::program("git"));
    let server = GitServer::start(&SHOP);
    let sandbox = Sandbox::new(&format!("include:\n  - {}\n", server.url("#nope")));
    let error = sandbox.consort(&["config"]).fails_with(3);
    has(
        &error,
        &[
            "compose.yaml:2:5",
            "^^^",
            "nope",
            "no such branch or tag",
            "hint",
        ],
    );
    has(
        &refusal(&sandbox, &server.url("#main:missing")),
        &["no `missing` in the repository"],
    );
    has(
        &refusal(&sandbox, &server.url("#main:parts")),
        &["no Compose file", "compose.yaml"],
    );
    sandbox.rewrite("services: {one: {image: x}}");
}

#[test]
fn a_fetch_that_was_killed_is_done_again_and_leaves_nothing() {
    needs!(machine::program("git"));
    let (server, sandbox) = (GitServer::start(&SHOP), plain());
    let url = server.url("");
    let cache = sandbox.path("home/.cache/consort/remote");
    for point in ["remote.sync", "remote.rename"] {
        let fail = format!("{point}:1:abort");
        let run = sandbox.other_with(&[("CONSORT_FAIL", &fail)], &["-f", &url, "config"]);
        assert!(run.was_killed(), "{run}");
        assert_eq!(
            fs::read_dir(cache.join("git")).map_or(0, Iterator::count),
            0
        );
    }
    has(&config(&sandbox, &url), &["web:"]);
    assert!(!cache.join("partial").exists());
    assert_eq!(
        fs::read_dir(cache.join("git")).map_or(0, Iterator::count),
        1
    );
}

#[test]
fn without_git_it_is_said_that_git_is_missing() {
    let sandbox = plain();
    let env = [("PATH", "/nowhere")];
    let run = sandbox.other_with(&env, &["-f", "https://127.0.0.1:1/shop.git", "config"]);
    has(&run.fails_with(3), &["`git`", "not installed", "hint"]);
}

#[test]
fn both_can_be_switched_off() {
    let sandbox = plain();
    for (name, file) in [
        (
            "COMPOSE_EXPERIMENTAL_GIT_REMOTE",
            "git://127.0.0.1:1/shop.git",
        ),
        ("COMPOSE_EXPERIMENTAL_OCI_REMOTE", "oci://127.0.0.1:1/shop"),
    ] {
        let run = sandbox.other_with(&[(name, "false")], &["-f", file, "config"]);
        has(&run.fails_with(3), &[name, "switches this off"]);
        let run = sandbox.other_with(&[(name, "perhaps")], &["-f", file, "config"]);
        has(&run.fails_with(3), &[name, "perhaps", "expected"]);
    }
}

#[test]
fn nothing_on_this_machine_is_taken_for_a_repository() {
    let sandbox = plain();
    for file in [
        "file:///etc/shop.git",
        "ext::sh -c 'touch canary'",
        "--upload-pack=x",
    ] {
        let run = sandbox.other(&[&format!("--file={file}"), "config"]);
        assert!(!run.ok(), "{run}");
    }
    has(
        &refusal(&sandbox, "git://127.0.0.1/shop.git#--upload-pack=x"),
        &["malformed"],
    );
    has(
        &refusal(&sandbox, "ssh://-oProxyCommand=x/shop"),
        &["malformed"],
    );
    has(
        &refusal(&sandbox, "git://127.0.0.1/shop.git#main:../x"),
        &["malformed", "leads out"],
    );
    assert!(!sandbox.path("project/canary").exists());
}

#[test]
fn a_redirection_of_git_to_this_machine_is_refused() {
    needs!(machine::program("git"));
    let (server, sandbox) = (GitServer::start(&SHOP), plain());
    let settings = "[url \"file:///\"]\n\tinsteadOf = git://\n";
    fs::write(sandbox.path("home/.gitconfig"), settings).unwrap();
    has(&refusal(&sandbox, &server.url("")), &["not allowed"]);
}

#[test]
fn hooks_and_settings_of_the_surroundings_do_not_reach_a_checkout() {
    needs!(machine::program("git"));
    let (server, sandbox) = (GitServer::start(&SHOP), plain());
    let hooks = sandbox.path("home/template/hooks");
    fs::create_dir_all(&hooks).unwrap();
    let hook = hooks.join("post-checkout");
    fs::write(
        &hook,
        format!("#!/bin/sh\ntouch {}\n", sandbox.path("home/ran").display()),
    )
    .unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let template = sandbox.path("home/template").display().to_string();
    let env = [
        ("GIT_TEMPLATE_DIR", &*template),
        // As in a hook of another repository.
        ("GIT_DIR", "/nowhere"),
        ("GIT_INDEX_FILE", "/nowhere/index"),
    ];
    let run = sandbox.other_with(&env, &["-f", &server.url(""), "config", "-q"]);
    run.succeeds();
    assert!(!sandbox.path("home/ran").exists());
}

#[test]
fn a_path_out_of_a_repository_is_refused() {
    needs!(machine::program("git"));
    cannot_read("include: [{path: CANARY}]", &[]);
    cannot_read("include: [{path: '../../../../../canary.env'}]", &[]);
    cannot_read(
        "include: [{path: inner.yaml, env_file: CANARY}]\nservices: {a: {image: x}}",
        &[("inner.yaml", "services: {b: {image: x}}")],
    );
    cannot_read(
        "include: [{path: inner.yaml, project_directory: /}]\nservices: {a: {image: x}}",
        &[("inner.yaml", "services: {b: {image: x}}")],
    );
    cannot_read("services: {a: {extends: {file: CANARY, service: b}}}", &[]);
    cannot_read("services: {a: {image: x, env_file: CANARY}}", &[]);
    cannot_read("services: {a: {image: x, env_file: ~/canary.env}}", &[]);
    cannot_read(
        "services: {a: {image: x, env_file: '${HOME}/canary.env'}}",
        &[],
    );
    cannot_read(
        "services: {a: {image: x, env_file: [{path: ../../../../../canary.env, required: false}]}}",
        &[],
    );
    cannot_read("services: {a: {image: x, label_file: [CANARY]}}", &[]);
    cannot_read(
        "services: {a: {image: x, configs: [c]}}\nconfigs: {c: {file: CANARY}}",
        &[],
    );
    cannot_read(
        "services: {a: {image: x, secrets: [c]}}\nsecrets: {c: {file: CANARY}}",
        &[],
    );
    cannot_read("services: {a: {build: /}}", &[]);
    cannot_read(
        "x-e: &e {env_file: CANARY}\nservices: {a: {image: x, <<: *e}}",
        &[],
    );
    cannot_read(
        "include: [inner/compose.yaml]",
        &[(
            "inner/compose.yaml",
            "services: {a: {image: x, env_file: ../../../../../../canary.env}}",
        )],
    );
    cannot_read(
        "services: {a: {extends: {file: inner/base.yaml, service: b}}}",
        &[(
            "inner/base.yaml",
            "services: {b: {image: x, env_file: CANARY}}",
        )],
    );
}

#[test]
fn a_symbolic_link_out_of_a_repository_is_refused() {
    needs!(machine::program("git"));
    let link = [
        ("leak", "-> CANARY"),
        ("up", "-> ../../../../.."),
        ("all", "-> /"),
    ];
    for file in [
        "services: {a: {image: x, env_file: leak}}",
        "services: {a: {image: x, env_file: up/canary.env}}",
        "services: {a: {image: x, env_file: allCANARY}}",
        "services: {a: {image: x, configs: [c]}}\nconfigs: {c: {file: leak}}",
        "services: {a: {build: all}}",
        "include: [leak]",
        "services: {a: {extends: {file: leak, service: b}}}",
    ] {
        cannot_read(file, &link);
    }
    let sandbox = plain();
    let canary = canary(&sandbox);
    let to_canary = format!("-> {}", canary.display());
    let server = GitServer::start(&[
        ("compose.yaml", &to_canary),
        ("deploy", "-> /"),
        (".env", &to_canary),
    ]);
    for rest in ["", "#main:deploy", "#main:deploy/etc/passwd"] {
        let error = refusal(&sandbox, &server.url(rest));
        assert!(
            !error.contains("sings") && !error.contains("root:"),
            "{error}"
        );
    }
}

#[test]
fn a_file_of_ones_own_beside_a_fetched_one_may_name_anything() {
    needs!(machine::program("git"));
    let (server, sandbox) = (GitServer::start(&SHOP), plain());
    let canary = canary(&sandbox);
    let own = format!("services: {{web: {{env_file: ['{}']}}}}", canary.display());
    let own = sandbox.file("own.yaml", &own).display().to_string();
    let run = sandbox.other(&["-f", &server.url(""), "-f", &own, "config"]);
    has(&run.succeeds(), &["CANARY", "FROM_ENV"]);
    // And a fetched one laid over files of one's own may use what is beside them.
    let over = GitServer::start(&[("compose.yaml", "services: {one: {env_file: [local.env]}}")]);
    sandbox.file("local.env", "LOCAL=1\n");
    let run = sandbox.other(&["-f", "compose.yaml", "-f", &over.url(""), "config"]);
    has(&run.succeeds(), &["LOCAL"]);
}

#[test]
fn a_project_from_a_git_repository_runs() {
    needs!(machine::images(), machine::program("git"));
    let file = "services: {one: {image: '${BUSYBOX}', command: [sh, -c, 'cat /c'], configs: [{source: c, target: /c}]}}\nconfigs: {c: {file: words}}";
    let server = GitServer::start(&[("compose.yaml", file), ("words", "from afar\n")]);
    let sandbox = plain();
    let url = server.url("");
    sandbox.other(&["-f", &url, "up"]).succeeds();
    let logs = sandbox
        .other(&["-f", &url, "logs", "--no-log-prefix"])
        .succeeds();
    assert_eq!(logs, "from afar\n");
    sandbox
        .other(&["-f", &url, "down", "--timeout", "0"])
        .succeeds();
}

#[test]
fn a_project_in_a_registry_loads_and_is_fetched_once() {
    needs!(machine::program("docker-registry"));
    let registry = DebianRegistry::empty();
    let parts = [
        compose(
            "services: {web: {image: x, env_file: [a1.env], extends: {file: b2.yaml, service: base}}}",
            json!({"com.docker.compose.file": "compose.yaml"}),
        ),
        compose(
            "services: {web: {image: y}, db: {image: z}}",
            json!({"com.docker.compose.file": "override.yaml"}),
        ),
        compose(
            "services: {base: {labels: {from: base}}}",
            json!({"com.docker.compose.file": "b2.yaml", "com.docker.compose.extends": "true"}),
        ),
        env_file("a1.env", "FROM_ENV=1\n"),
    ];
    let digest = artifact::push(registry.address(), "team/shop", "1", &parts);
    let sandbox = plain();
    let tagged = format!("oci://{}/team/shop:1", registry.address());
    let pinned = format!("oci://{}/team/shop@{digest}", registry.address());
    let text = config(&sandbox, &tagged);
    has(
        &text,
        &[
            "name: shop",
            "FROM_ENV",
            "from: base",
            "image: \"y\"",
            "db:",
        ],
    );
    let including = Sandbox::new(&format!("include: ['{tagged}']"));
    has(&including.consort(&["config"]).succeeds(), &["web:", "db:"]);
    drop(registry);
    has(&config(&sandbox, &pinned), &["db:"]);
    let run = sandbox.other(&["-f", &tagged, "config"]);
    has(&run.stderr, &["warning", "last fetched"]);
    has(&run.succeeds(), &["db:"]);
    including.rewrite("services: {one: {image: x}}");
}

#[test]
fn a_name_in_an_artifact_never_leads_out_of_its_folder() {
    needs!(machine::program("docker-registry"));
    let (registry, sandbox) = (DebianRegistry::empty(), plain());
    let main = compose("services: {a: {image: x}}", json!({}));
    let target = sandbox.path("home/written").display().to_string();
    for (number, name) in ["../../x", &target, "..", "a/b", "compose.yaml", ""]
        .iter()
        .enumerate()
    {
        for (kind, part) in [
            ("env", env_file(name, "X=1\n")),
            (
                "file",
                compose(
                    "services: {}",
                    json!({"com.docker.compose.file": name, "com.docker.compose.extends": "true"}),
                ),
            ),
        ] {
            let repository = format!("evil/{kind}{number}");
            artifact::push(registry.address(), &repository, "1", &[main.clone(), part]);
            let error = refusal(
                &sandbox,
                &format!("oci://{}/{repository}:1", registry.address()),
            );
            has(&error, &["name"]);
        }
    }
    assert!(!PathBuf::from(target).exists());
    let cache = sandbox.path("home/.cache/consort/remote");
    assert!(!cache.join("x").exists() && !cache.join("oci").join("x").exists());
    assert_eq!(
        fs::read_dir(cache.join("oci")).map_or(0, Iterator::count),
        0
    );
}

#[test]
fn an_artifact_with_wrong_bytes_or_of_another_kind_is_refused() {
    needs!(machine::images(), machine::program("docker-registry"));
    let (registry, sandbox) = (DebianRegistry::empty(), plain());
    let text = "services: {a: {image: x}}";
    artifact::push(registry.address(), "shop", "1", &[compose(text, json!({}))]);
    fs::write(
        registry.blob(&artifact::digest(text)),
        "services: {b: {image: x}}",
    )
    .unwrap();
    let name = format!("oci://{}/shop:1", registry.address());
    has(&refusal(&sandbox, &name), &["digest"]);
    let images = DebianRegistry::start();
    let name = format!("oci://{}/library/busybox:latest", images.address());
    has(
        &refusal(&sandbox, &name),
        &["application/vnd.docker.compose.project"],
    );
    let name = format!("oci://{}/nothing:1", images.address());
    has(&refusal(&sandbox, &name), &["not known to"]);
}

#[test]
fn a_project_from_a_registry_runs() {
    needs!(machine::images(), machine::program("docker-registry"));
    let registry = DebianRegistry::empty();
    let file = "services: {one: {image: '${BUSYBOX}', command: [sh, -c, 'echo \"$$WORD\"'], env_file: [w.env]}}";
    let parts = [compose(file, json!({})), env_file("w.env", "WORD=hello\n")];
    artifact::push(registry.address(), "team/shop", "latest", &parts);
    let sandbox = plain();
    let name = format!("oci://{}/team/shop", registry.address());
    sandbox.other(&["-f", &name, "up"]).succeeds();
    let logs = sandbox
        .other(&["-f", &name, "logs", "--no-log-prefix"])
        .succeeds();
    assert_eq!(logs, "hello\n");
    sandbox
        .other(&["-f", &name, "down", "--timeout", "0"])
        .succeeds();
}
