//! `run`: a container for one command, with the configuration of a service.

use std::io::Write as _;
use std::process::Stdio;

use rustix::process::Signal;

use crate::support::machine::{self, needs};
use crate::support::run::Running;
use crate::support::{Sandbox, until};

const PROJECT: &str = "
services:
  db:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    stop_grace_period: 0s
    healthcheck: {test: [CMD, test, -e, /gate/open], interval: 100ms, retries: 1000}
    volumes: [./gate:/gate]
  app:
    image: ${BUSYBOX}
    command: [echo, the, default]
    environment: {A: from-file, B: b}
    working_dir: /tmp
    stop_grace_period: 0s
    depends_on: {db: {condition: service_healthy}}
";

fn project() -> Sandbox {
    let sandbox = Sandbox::new(PROJECT);
    sandbox.file("gate/open", "");
    sandbox
}

/// Runs a command with `input` on its standard input; returns its exit code and standard output.
fn fed(sandbox: &Sandbox, input: &[u8], args: &[&str]) -> (Option<i32>, Vec<u8>) {
    let mut command = sandbox.command();
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    (output.status.code(), output.stdout)
}

#[test]
fn run_brings_up_what_the_service_depends_on_and_nothing_else() {
    needs!(machine::images());
    let sandbox = project();
    let output = sandbox.consort(&["run", "app"]).succeeds();
    assert_eq!(output, "the default\n");
    assert_eq!(sandbox.field("db", "Health").as_deref(), Some("healthy"));
    let containers = sandbox.ps();
    let run = containers
        .iter()
        .find(|one| one["Service"] == "app")
        .unwrap();
    assert!(run["Name"].as_str().unwrap().contains("-app-run-"), "{run}");
    assert!(
        run["Labels"]
            .to_string()
            .contains("com.docker.compose.oneoff=True"),
        "{run}"
    );
    assert_eq!(containers.len(), 2, "no replica of app: {containers:?}");
}

#[test]
fn a_dependency_that_fails_leaves_no_container_behind() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  init: {image: '${BUSYBOX}', command: [sh, -c, 'exit 4']}
  app: {image: '${BUSYBOX}', command: ['true'], depends_on: {init: {condition: service_completed_successfully}}}
",
    );
    let error = sandbox
        .consort(&["run", "app", "echo", "not", "reached"])
        .fails_with(1);
    assert!(error.contains("init") && error.contains('4'), "{error}");
    assert_eq!(sandbox.field("app", "State"), None);
}

#[test]
fn run_returns_the_exit_code_and_removes_what_it_was_told_to_remove() {
    needs!(machine::images());
    let sandbox = project();
    let run = [
        "run",
        "--rm",
        "--no-deps",
        "app",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 17",
    ];
    let ran = sandbox.consort(&run);
    assert_eq!(
        (ran.status.code(), ran.stdout.as_str()),
        (Some(17), "out\n"),
        "{ran}"
    );
    assert!(ran.stderr.ends_with("err\n"), "{ran}");
    assert_eq!(sandbox.ps().len(), 0);
}

#[test]
fn input_and_output_of_any_size_pass_through_whole_and_end() {
    needs!(machine::images());
    let sandbox = project();
    let input: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (code, output) = fed(
        &sandbox,
        &input,
        &["run", "--rm", "--no-deps", "app", "cat"],
    );
    assert_eq!(code, Some(0));
    assert!(output == input, "{} of {} bytes", output.len(), input.len());
    let (_, output) = fed(
        &sandbox,
        b"",
        &["run", "--rm", "--no-deps", "app", "printf", "no newline"],
    );
    assert_eq!(output, b"no newline");
}

#[test]
fn flags_change_this_container_alone() {
    needs!(machine::images());
    let sandbox = project();
    sandbox.file("extra.env", "B=from-env-file\nC=c\n");
    sandbox.file("mounted/file", "content\n");
    let show = "echo $A $B $C $D; id -u; pwd; cat /m/file";
    let run = [
        "run",
        "--rm",
        "--no-deps",
        "-e",
        "A=typed",
        "-e",
        "D",
        "--env-from-file",
        "extra.env",
        "-u",
        "1234",
        "-w",
        "/etc",
        "-v",
        "./mounted:/m:ro",
        "-l",
        "mine=yes",
        "--entrypoint",
        "sh -c",
        "app",
        show,
    ];
    let output = sandbox
        .consort_with(&[("D", "from-caller")], &run)
        .succeeds();
    assert_eq!(
        output,
        "typed from-env-file c from-caller\n1234\n/etc\ncontent\n"
    );
    let plain = sandbox.consort(&[
        "run",
        "--rm",
        "--no-deps",
        "app",
        "sh",
        "-c",
        "echo $A; pwd",
    ]);
    assert_eq!(plain.succeeds(), "from-file\n/tmp\n");
}

#[test]
fn a_signal_reaches_the_command_and_its_exit_code_comes_back() {
    needs!(machine::images());
    let sandbox = project();
    let script = "trap 'echo caught; exit 8' INT; echo ready; while :; do sleep 0.05; done";
    let run = sandbox.start(&["run", "--rm", "--no-deps", "app", "sh", "-c", script]);
    until("the command runs", || {
        run.has_written("ready").then_some(())
    });
    run.signal(Signal::INT);
    let run = run.wait();
    assert_eq!(run.status.code(), Some(8), "{run}");
    assert_eq!(run.stdout, "ready\ncaught\n", "{run}");
    assert_eq!(sandbox.ps().len(), 0);
}

#[test]
fn containers_of_run_are_no_replicas() {
    needs!(machine::images());
    let sandbox = project();
    let id = sandbox
        .consort(&["run", "-d", "--no-deps", "app", "sleep", "1000"])
        .succeeds();
    assert_eq!(id.trim().len(), 64, "{id}");
    drop(sandbox.consort(&["stop"]).succeeds());
    drop(sandbox.consort(&["down"]).succeeds());
    assert_eq!(sandbox.field("app", "State").as_deref(), Some("running"));
    drop(sandbox.consort(&["up", "-d"]).succeeds());
    assert_eq!(sandbox.ps().len(), 3, "db, app and the container of run");
    drop(sandbox.consort(&["down", "--remove-orphans"]).succeeds());
    assert_eq!(sandbox.ps().len(), 0);
}

#[test]
fn a_container_of_a_killed_run_goes_with_the_next_command() {
    needs!(machine::images());
    let sandbox = project();
    let script = "echo ready; read line";
    let mut command = sandbox.command();
    command.args(["run", "--rm", "--no-deps", "app", "sh", "-c", script]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the command runs", || {
        sandbox
            .field("app", "State")
            .filter(|state| state == "running")
    });
    child.kill().unwrap();
    child.wait().unwrap();
    // Its input has ended with its command, and so has it.
    until("the end of the container", || {
        sandbox.ps().is_empty().then_some(())
    });
    drop(sandbox.consort(&["up", "-d", "db"]).succeeds());
    let left = sandbox.leftovers(&[]);
    assert!(!left.contains("-app-run-"), "{left}");
}

#[test]
fn a_terminal_is_the_commands_own() {
    needs!(machine::images());
    let sandbox = project();
    let program = format!(
        "{} --file {} run --rm --no-deps app sh -c 'stty size; test -t 0 && test -t 1 && echo terminal; exit 5'",
        env!("CARGO_BIN_EXE_consort"),
        sandbox.path("project/compose.yaml").display(),
    );
    let mut command = std::process::Command::new("script");
    command.args([
        "--quiet",
        "--return",
        "--command",
        &format!("stty rows 33 cols 77; {program}"),
        "/dev/null",
    ]);
    command
        .env("CONSORT_STATE_DIR", sandbox.path("state"))
        .env("BUSYBOX", machine::oci("busybox"));
    if !machine::is_root() {
        command.env("XDG_RUNTIME_DIR", sandbox.path("runtime"));
    }
    let run = Running::start(command).wait();
    assert_eq!(run.status.code(), Some(5), "{run}");
    assert!(run.stdout.contains("terminal"), "{run}");
}
