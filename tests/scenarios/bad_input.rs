//! What is wrong is said with its place, and leaves nothing half-made.

use std::net::TcpListener;
use std::process::Command;

use crate::support::Sandbox;
use crate::support::checks::free_port;
use crate::support::machine::{self, needs};
use crate::support::run::Run;

/// Checks that the file is refused with exit code 3, and that the message has every one of `words`.
fn refused(compose: &str, words: &[&str]) {
    let sandbox = Sandbox::new(compose);
    for verb in [&["config", "-q"][..], &["up", "-d"]] {
        let error = sandbox.consort(verb).fails_with(3);
        for word in words {
            assert!(error.contains(word), "`{word}` is missing in:\n{error}");
        }
    }
    assert_eq!(sandbox.leftovers(&["--volumes"]), "");
    // Taking down needs a file that loads.
    sandbox.rewrite("services: {one: {image: x}}");
}

#[test]
fn text_that_is_not_yaml_is_refused_with_its_place() {
    refused("services:\n  web: [unclosed\n", &["compose.yaml:"]);
}

#[test]
fn a_wrong_type_is_refused_with_what_was_expected() {
    refused(
        "services:\n  web:\n    image: x\n    ports: {a: b}\n",
        &["compose.yaml:4:", "ports", "list"],
    );
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    refused(
        "services:\n  web:\n    imag: x\n",
        &["compose.yaml:3:5", "imag", "image"],
    );
}

#[test]
fn all_mistakes_are_told_at_once() {
    refused(
        "services:\n  web:\n    imag: x\n  db:\n    image: y\n    cpus: many\n",
        &["imag", "cpus", "compose.yaml:3:", "compose.yaml:6:"],
    );
}

#[test]
fn an_unknown_dependency_is_refused_with_the_nearest_service() {
    refused(
        "services:\n  web:\n    image: x\n    depends_on: [dbb]\n  db: {image: y}\n",
        &["dbb", "compose.yaml:4:"],
    );
}

#[test]
fn a_cycle_is_refused_with_its_path() {
    refused(
        "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [c]}\n  c: {image: x, depends_on: [a]}\n",
        &["a", "b", "c", "→", "compose.yaml:"],
    );
}

#[test]
fn an_undefined_volume_network_or_secret_is_refused() {
    refused(
        "services: {one: {image: x, volumes: ['data:/data']}}",
        &["data"],
    );
    refused("services: {one: {image: x, networks: [front]}}", &["front"]);
    refused("services: {one: {image: x, secrets: [key]}}", &["key"]);
}

#[test]
fn a_required_variable_that_is_not_set_is_refused() {
    refused(
        "services: {one: {image: '${NO_SUCH_IMAGE:?give me one}'}}",
        &["NO_SUCH_IMAGE", "give me one"],
    );
}

#[test]
fn a_build_is_refused_by_name_until_it_is_there() {
    let sandbox = Sandbox::new("services: {one: {build: .}}");
    let run = sandbox.consort(&["up", "-d"]);
    assert!(!run.ok() && run.stderr.contains("build"), "{run}");
    sandbox.rewrite("services: {one: {image: x}}");
}

#[test]
fn no_file_at_all_is_said_with_a_hint() {
    let sandbox = Sandbox::new("services: {}");
    let mut command = Command::new(crate::support::sandbox::binary());
    command
        .arg("up")
        .current_dir(sandbox.path("home"))
        .env_clear();
    let run = crate::support::run::Running::start(command).wait();
    assert!(!run.ok() && run.stderr.contains("compose.yaml"), "{run}");
    sandbox.rewrite("services: {one: {image: x}}");
}

#[test]
fn an_unknown_flag_is_a_usage_error() {
    let sandbox = Sandbox::new("services: {one: {image: x}}");
    let error = sandbox.consort(&["up", "--detatch"]).fails_with(2);
    assert!(error.contains("--detach"), "{error}");
}

#[test]
fn a_taken_port_is_refused_with_who_has_it() {
    needs!(machine::images());
    let port = free_port();
    let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let sandbox = Sandbox::new(&format!(
        "
services:
  one: {{image: '${{BUSYBOX}}', command: [sleep, '1000'], ports: ['127.0.0.1:{port}:80'], stop_grace_period: 0s}}
  other: {{image: '${{BUSYBOX}}', command: [sleep, '1000'], stop_grace_period: 0s}}
"
    ));
    let error = sandbox.consort(&["up", "-d"]).fails_with(1);
    assert!(error.contains(&port.to_string()), "{error}");
    let own = std::process::id().to_string();
    assert!(
        error.contains(&own),
        "it must say that process {own} has it:\n{error}"
    );
    assert_eq!(sandbox.field("other", "State").as_deref(), Some("running"));
    drop(taken);
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(sandbox.field("one", "State").as_deref(), Some("running"));
}

#[test]
fn a_missing_bind_source_is_refused_where_it_must_exist() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    volumes: [{type: bind, source: ./missing, target: /data, bind: {create_host_path: false}}]
",
    );
    let error = sandbox.consort(&["up", "-d"]).fails_with(1);
    assert!(error.contains("missing"), "{error}");
    assert!(!sandbox.path("project/missing").exists());
}

#[test]
fn a_missing_secret_file_is_refused_before_anything_starts() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one: {image: '${BUSYBOX}', command: [sleep, '1000'], secrets: [key]}
secrets: {key: {file: ./nokey.txt}}
",
    );
    let run = sandbox.consort(&["up", "-d"]);
    assert!(!run.ok() && run.stderr.contains("nokey.txt"), "{run}");
    sandbox.file("nokey.txt", "x");
}

#[test]
fn a_newer_state_directory_is_left_alone() {
    needs!(machine::images());
    let sandbox = Sandbox::new("services: {one: {image: '${BUSYBOX}', command: ['true']}}");
    sandbox.consort(&["ps"]).succeeds();
    let version = sandbox.path("state/version");
    let before = std::fs::read(&version).unwrap_or_else(|_| b"1\n".to_vec());
    std::fs::create_dir_all(sandbox.path("state")).unwrap();
    std::fs::write(&version, "999\n").unwrap();
    let run = sandbox.consort(&["up", "-d"]);
    assert!(!run.ok() && run.stderr.contains("999"), "{run}");
    assert_eq!(std::fs::read_to_string(&version).unwrap(), "999\n");
    std::fs::write(&version, before).unwrap();
}

#[test]
fn a_state_directory_without_permission_is_named() {
    needs!(machine::ordinary_user());
    let sandbox = Sandbox::new("services: {one: {image: x}}");
    let run = sandbox.consort_with(&[("CONSORT_STATE_DIR", "/proc/1/consort")], &["up", "-d"]);
    assert!(!run.ok() && run.stderr.contains("/proc/1/consort"), "{run}");
}

#[test]
fn a_full_disk_is_said_and_down_still_works() {
    needs!(machine::images(), machine::root());
    let sandbox = Sandbox::new(
        "services: {one: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}}",
    );
    let tmpfs = ["-t", "tmpfs", "-o", "size=700k,mode=700", "tmpfs"];
    let run = up_with_its_state_on(&tmpfs, &sandbox);
    let full = !run.ok() && run.stderr.to_lowercase().contains("no space left");
    assert!(full, "{run}");
}

#[test]
fn a_filesystem_that_cannot_mark_files_is_told_by_what_it_lacks() {
    needs!(machine::root());
    let sandbox = Sandbox::new("services: {one: {image: 'rootfs:/', command: [\"true\"]}}");
    let ramfs = ["-t", "ramfs", "-o", "mode=700", "ramfs"];
    let run = up_with_its_state_on(&ramfs, &sandbox);
    let told = !run.ok() && run.stderr.contains("CONSORT_STATE_DIR");
    assert!(told, "{run}");
}

/// Mounts something as the state directory of a sandbox for as long as it takes to try to bring it up, and looks that
/// nothing of it is left.
fn up_with_its_state_on(mount: &[&str], sandbox: &Sandbox) -> Run {
    let state = sandbox.path("state");
    std::fs::create_dir_all(&state).unwrap();
    let call = |program: &str, args: &[&str]| {
        let status = Command::new(program).args(args).arg(&state).status();
        assert!(status.unwrap().success(), "{program} {args:?}");
    };
    call("mount", mount);
    let run = sandbox.consort(&["up", "-d"]);
    let down = sandbox.consort(&["down", "-v", "-t", "0"]);
    let left = sandbox.leftovers(&["--volumes"]);
    call("umount", &[]);
    assert!(down.ok(), "{down}");
    assert_eq!(left, "");
    run
}

#[test]
fn up_says_what_is_wrong_with_an_image_reference() {
    let sandbox = Sandbox::new("services:\n  web:\n    image: 'UPPER//case'\n");
    let run = sandbox.consort(&["up", "-d"]);
    assert!(!run.ok() && run.stderr.contains("UPPER//case"), "{run}");
    sandbox.rewrite("services: {one: {image: x}}");
}

#[test]
fn commands_over_what_is_there_need_no_file_of_variables() {
    needs!(machine::images());
    let service = "image: '${BUSYBOX}', command: [sh, -c, 'echo hello; exec sleep 1000'], stop_grace_period: 0s";
    let sandbox = Sandbox::new(&format!(
        "services:\n  one: {{{service}, env_file: own.env, label_file: labels}}\n  two: {{{service}}}\n"
    ));
    let files = ["own.env", "labels"].map(|name| sandbox.file(name, "A=b\n"));
    sandbox.consort(&["up", "-d"]).succeeds();
    for file in files {
        std::fs::remove_file(file).unwrap();
    }
    assert_eq!(sandbox.ps().len(), 2);
    assert_eq!(sandbox.sh("one", "echo $A"), "b");
    let verbs: [&[&str]; 9] = [
        &["logs"],
        &["top"],
        &["port", "one", "80"],
        &["pause"],
        &["unpause"],
        &["restart"],
        &["stop"],
        &["start"],
        &["rm", "-fs", "two"],
    ];
    for verb in verbs {
        let run = sandbox.consort(verb);
        assert!(!run.stderr.contains("own.env"), "{run}");
        // An ordinary user without a cgroup can pause nothing; nothing listens on the port.
        let may_fail = match verb[0] {
            "pause" | "unpause" => !machine::is_root(),
            other => other == "port",
        };
        assert!(run.ok() || may_fail, "{run}");
    }
    let run = sandbox.consort(&["up", "-d"]);
    let told = run.stderr.contains("own.env") && run.stderr.contains("labels");
    assert!(!run.ok() && told, "{run}");
}

#[test]
fn namespaces_that_do_not_exist_are_refused_with_their_place() {
    for (key, value) in [
        ("userns_mode", "keep-id"),
        ("ipc", "bogus"),
        ("pid", "container:"),
        ("uts", "private"),
    ] {
        let sandbox = Sandbox::new(&format!(
            "services:\n  one:\n    image: 'rootfs:/'\n    {key}: '{value}'\n"
        ));
        for verb in [&["plan"][..], &["up", "-d"]] {
            let run = sandbox.consort(verb);
            let told = run.stderr.contains(key) && run.stderr.contains("compose.yaml:4:");
            assert!(!run.ok() && told, "{run}");
        }
        assert_eq!(sandbox.leftovers(&["--volumes"]), "");
    }
}
