//! `up` in the foreground: what is shown from the first step on, and what ends it.

use rustix::process::Signal;

use crate::support::machine::{self, needs};
use crate::support::{Sandbox, until};

/// `late` waits for `slow`, which is healthy once `gate/open` exists.
const WAITING: &str = "
services:
  slow:
    image: ${BUSYBOX}
    command: [sh, -c, 'echo slow speaks; exec sleep 1000']
    stop_grace_period: 0s
    volumes: [./gate:/gate]
    healthcheck: {test: [CMD, test, -e, /gate/open], interval: 100ms, retries: 1000}
  late:
    image: ${BUSYBOX}
    command: [sh, -c, 'echo late speaks; exec sleep 1000']
    stop_grace_period: 0s
    depends_on: {slow: {condition: service_healthy}}
";

/// It says that it was asked to stop, and does not.
const STUBBORN: &str = "
services:
  one:
    image: ${BUSYBOX}
    command: [sh, -c, 'trap \"echo not now\" TERM; echo ready; while :; do sleep 0.05; done']
    stop_grace_period: 60s
";

fn waiting() -> Sandbox {
    let sandbox = Sandbox::new(WAITING);
    std::fs::create_dir(sandbox.path("project/gate")).unwrap();
    sandbox
}

#[test]
fn lines_are_shown_while_other_services_still_wait() {
    needs!(machine::images());
    let sandbox = waiting();
    let up = sandbox.start(&["up"]);
    until("the first line", || {
        up.has_written("slow-1  | slow speaks").then_some(())
    });
    assert_eq!(sandbox.field("late", "State").as_deref(), Some("created"));
    sandbox.file("gate/open", "");
    until("the second line", || {
        up.has_written("late-1  | late speaks").then_some(())
    });
    up.signal(Signal::INT);
    let run = up.wait();
    assert_eq!(run.status.code(), Some(130), "{run}");
    let attaching = run.stdout.matches("Attaching to late-1, slow-1").count();
    assert_eq!(attaching, 1, "{run}");
    assert_eq!(run.stdout.matches("slow speaks").count(), 1, "{run}");
}

#[test]
fn lines_that_are_written_at_once_are_all_shown_and_every_end_is_told() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  first:
    image: ${BUSYBOX}
    command: [sh, -c, 'printf \"one\\ntwo\\nthree\\n\"; exit 3']
    depends_on: [second]
  second:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    stop_grace_period: 0s
",
    );
    let run = sandbox.consort(&["up", "--exit-code-from", "first"]);
    assert_eq!(run.status.code(), Some(3), "{run}");
    for line in [
        "first-1   | one\nfirst-1   | two\nfirst-1   | three\n",
        "first-1 exited with code 3\n",
        "second-1 exited with code 137\n",
    ] {
        assert!(run.stdout.contains(line), "{line}: {run}");
    }
}

#[test]
fn an_up_that_fails_shows_what_was_written() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  sick:
    image: ${BUSYBOX}
    command: [sh, -c, 'echo cannot read the settings; exec sleep 1000']
    stop_grace_period: 0s
    healthcheck: {test: [CMD, 'false'], interval: 100ms, retries: 1}
  late:
    image: ${BUSYBOX}
    depends_on: {sick: {condition: service_healthy}}
",
    );
    let run = sandbox.consort(&["up"]);
    assert!(
        run.stdout.contains("sick-1  | cannot read the settings"),
        "{run}"
    );
    assert!(run.fails_with(1).contains("`project-sick-1`"));
}

#[test]
fn ctrl_c_while_services_wait_stops_those_that_run() {
    needs!(machine::images());
    let sandbox = waiting();
    let up = sandbox.start(&["up"]);
    until("the first line", || {
        up.has_written("slow speaks").then_some(())
    });
    up.signal(Signal::INT);
    let run = up.wait();
    assert_eq!(run.status.code(), Some(130), "{run}");
    assert!(run.stderr.contains("Gracefully stopping..."), "{run}");
    assert_eq!(sandbox.field("slow", "State").as_deref(), Some("exited"));
    assert_eq!(sandbox.field("late", "State").as_deref(), Some("created"));
}

#[test]
fn a_second_ctrl_c_kills_what_does_not_stop() {
    needs!(machine::images());
    let sandbox = Sandbox::new(STUBBORN);
    let up = sandbox.start(&["up"]);
    until("a line", || up.has_written("ready").then_some(()));
    up.signal(Signal::INT);
    until("an answer to the first", || {
        up.has_written("not now").then_some(())
    });
    up.signal(Signal::INT);
    let run = up.wait();
    assert_eq!(run.status.code(), Some(130), "{run}");
    assert_eq!(sandbox.field("one", "ExitCode").as_deref(), Some("137"));
}

#[test]
fn a_container_that_ends_while_others_wait_can_be_the_end_of_all() {
    needs!(machine::images());
    let sandbox = Sandbox::new(&format!(
        "{WAITING}  brief: {{image: '${{BUSYBOX}}', command: [sh, -c, 'echo bye; exit 7']}}\n"
    ));
    std::fs::create_dir(sandbox.path("project/gate")).unwrap();
    let run = sandbox.consort(&["up", "--abort-on-container-exit"]);
    assert_eq!(run.status.code(), Some(7), "{run}");
    assert!(
        run.stderr.contains("Aborting on container exit..."),
        "{run}"
    );
    let bye = run
        .stdout
        .find("brief-1  | bye")
        .expect("its line is shown");
    let end = run
        .stdout
        .find("brief-1 exited with code 7")
        .expect("its end is told");
    assert!(bye < end, "the last line comes before the end: {run}");
    assert_eq!(sandbox.field("slow", "State").as_deref(), Some("exited"));
}

#[test]
fn the_end_of_a_container_that_is_replaced_is_not_the_end_of_all() {
    needs!(machine::images());
    let compose = |word: &str| {
        format!(
            "
services:
  one:
    image: ${{BUSYBOX}}
    command: [sh, -c, 'echo {word}; exec sleep 1000']
    stop_grace_period: 0s
"
        )
    };
    let sandbox = Sandbox::new(&compose("old"));
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.rewrite(&compose("new"));
    let up = sandbox.start(&["up", "--abort-on-container-exit"]);
    until("the new one's line", || {
        up.has_written("one-1  | new").then_some(())
    });
    assert_eq!(sandbox.field("one", "State").as_deref(), Some("running"));
    up.signal(Signal::INT);
    let run = up.wait();
    assert_eq!(run.status.code(), Some(130), "{run}");
    assert!(!run.stdout.contains("| old"), "{run}");
}

#[test]
fn a_named_service_ends_alone_and_what_it_depends_on_goes_on() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  base: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}
  brief:
    image: ${BUSYBOX}
    command: [sh, -c, 'echo done; exit 3']
    depends_on: [base]
",
    );
    let run = sandbox.consort(&["up", "brief"]);
    assert_eq!(run.status.code(), Some(0), "{run}");
    assert!(run.stdout.starts_with("Attaching to brief-1\n"), "{run}");
    assert_eq!(sandbox.field("base", "State").as_deref(), Some("running"));
    let run = sandbox.consort(&["up", "--abort-on-container-exit", "brief"]);
    assert_eq!(run.status.code(), Some(3), "{run}");
    assert_eq!(sandbox.field("base", "State").as_deref(), Some("running"));
    let run = sandbox.consort(&["up", "--no-attach", "base"]);
    assert_eq!(run.status.code(), Some(0), "{run}");
}

#[test]
fn quiet_pulls_leave_out_only_how_far_they_are() {
    needs!(machine::images());
    let compose =
        "services: {one: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}}";
    let sandbox = Sandbox::new(compose);
    let run = sandbox.consort(&["--progress", "json", "up", "-d", "--quiet-pull"]);
    assert!(run.ok(), "{run}");
    assert!(!run.stderr.contains("parent_id"), "{run}");
    for word in ["Pulled", "Container project-one-1"] {
        assert!(run.stderr.contains(word), "{word} is missing: {run}");
    }
}

#[test]
fn the_end_of_a_service_that_was_not_named_is_not_told() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  db: {image: '${BUSYBOX}', command: [echo, from db]}
  web:
    image: '${BUSYBOX}'
    command: [echo, from web]
    depends_on: {db: {condition: service_completed_successfully}}
",
    );
    let run = sandbox.consort(&["up", "--attach-dependencies", "web"]);
    assert_eq!(run.status.code(), Some(0), "{run}");
    assert!(run.stdout.contains("db-1   | from db"), "{run}");
    assert!(run.stdout.contains("web-1 exited with code 0"), "{run}");
    assert!(!run.stdout.contains("db-1 exited"), "{run}");
}

#[test]
fn an_attached_up_goes_on_when_its_service_is_restarted_elsewhere() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one:
    image: ${BUSYBOX}
    command: [sh, -c, 'trap \"exit 0\" TERM; echo speaks; while :; do sleep 0.05; done']
",
    );
    let up = sandbox.start(&["up", "one"]);
    until("the first line", || {
        up.has_written("one-1  | speaks").then_some(())
    });
    drop(sandbox.consort(&["restart", "one"]).succeeds());
    until("the line after the restart", || {
        (up.written().matches("one-1  | speaks").count() == 2).then_some(())
    });
    up.signal(Signal::INT);
    let run = up.wait();
    assert_eq!(run.status.code(), Some(130), "{run}");
}
