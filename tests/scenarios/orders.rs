//! Commands that are killed in the middle of stopping, and commands that run at the same time.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::machine::{self, needs};
use crate::support::run::Running;
use crate::support::{Sandbox, until};

/// Says when it starts and when it is asked to end, and takes a while to do so.
const SLOW: &str = "
services:
  slow:
    image: ${BUSYBOX}
    command: [sh, -c, \"trap 'echo asked; sleep 0.6; exit 7' TERM; echo began; while :; do sleep 0.05; done\"]
    stop_grace_period: 20s
    restart: always
";

/// What changes a project and stops what runs.
const VERBS: [&[&str]; 5] = [
    &["stop"],
    &["restart"],
    &["down"],
    &["up", "-d", "--force-recreate"],
    &["rm", "-f", "-s"],
];

fn count(sandbox: &Sandbox, word: &str) -> usize {
    sandbox
        .logs("slow")
        .lines()
        .filter(|line| *line == word)
        .count()
}

/// Starts the service and waits until it would hear of a signal.
fn up_and_listening(sandbox: &Sandbox) {
    sandbox.consort(&["up", "-d"]).succeeds();
    until("its beginning", || {
        (count(sandbox, "began") > count(sandbox, "asked")).then_some(())
    });
}

fn killed(running: Running) {
    running.signal(Signal::KILL);
    let run = running.wait();
    assert!(run.was_killed() || run.ok(), "{run}");
}

/// Brings the project up after `moment`, and checks that nothing of an earlier order is carried out later.
fn comes_up_and_stays(sandbox: &Sandbox, moment: &str) {
    let up = sandbox.consort(&["up", "-d", "--wait"]);
    assert!(up.ok(), "{moment}: {up}");
    let asked = count(sandbox, "asked");
    let state = sandbox.field("slow", "State");
    assert_eq!(state.as_deref(), Some("running"), "{moment}");
    // An order that is still carried out would have been heard by now, and would end it soon.
    sandbox.sh("slow", "sleep 0.2");
    assert_eq!(count(sandbox, "asked"), asked, "{moment}");
}

#[test]
fn what_a_killed_command_is_stopping_is_waited_for_and_started_again() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLOW);
    for verb in VERBS {
        up_and_listening(&sandbox);
        let asked = count(&sandbox, "asked");
        let running = sandbox.start(verb);
        until("the signal", || {
            (count(&sandbox, "asked") > asked).then_some(())
        });
        killed(running);
        comes_up_and_stays(&sandbox, &format!("{verb:?} killed while it waited"));
    }
}

#[test]
fn commands_killed_at_any_time_while_they_stop_a_slow_service_change_nothing_later() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLOW);
    for (number, verb) in (0..).zip(VERBS) {
        for step in 0..3_u64 {
            up_and_listening(&sandbox);
            let running = sandbox.start(verb);
            // Spread over the time in which it asks for the stop; the order does not matter.
            let after_ms = 5 + number * 7 + step * 25;
            thread::sleep(Duration::from_millis(after_ms));
            killed(running);
            comes_up_and_stays(&sandbox, &format!("{verb:?} killed after {after_ms} ms"));
        }
    }
}

#[test]
fn start_waits_for_the_end_of_what_a_killed_stop_is_stopping() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLOW);
    up_and_listening(&sandbox);
    let stop = sandbox.start(&["stop"]);
    until("the signal", || {
        (count(&sandbox, "asked") == 1).then_some(())
    });
    killed(stop);
    sandbox.consort(&["start"]).succeeds();
    until("its next run", || {
        (count(&sandbox, "began") == 2).then_some(())
    });
    assert_eq!(sandbox.field("slow", "State").as_deref(), Some("running"));
}

#[test]
fn a_stop_whose_command_and_monitor_were_killed_is_still_brought_to_its_end() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  slow:
    image: ${BUSYBOX}
    command: [sh, -c, \"trap 'echo asked' TERM; echo began; while :; do sleep 0.05; done\"]
",
    );
    up_and_listening(&sandbox);
    let stop = sandbox.start(&["stop", "-t", "2"]);
    until("the signal", || {
        (count(&sandbox, "asked") == 1).then_some(())
    });
    killed(stop);
    for monitor in sandbox.own_processes("[monitor]") {
        let monitor = rustix::process::Pid::from_raw(monitor).unwrap();
        rustix::process::kill_process(monitor, Signal::KILL).unwrap();
    }
    let up = sandbox.consort(&["up", "-d", "--wait"]);
    assert!(up.ok(), "{up}");
    assert_eq!(
        count(&sandbox, "began"),
        2,
        "it was killed when its time was up, and started again"
    );
    sandbox.consort(&["kill"]).succeeds();
}

const WAITING: &str = "
services:
  slow:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    stop_grace_period: 0s
    healthcheck: {test: 'test -e /go', interval: 100ms, retries: 100000}
  other: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}
  last:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    stop_grace_period: 0s
    depends_on: {slow: {condition: service_healthy}}
";

/// Starts an `up` that waits for the health of `slow` when this returns.
fn waiting_up(sandbox: &Sandbox) -> Running {
    let up = sandbox.start(&["up", "-d"]);
    until("the wait", || {
        up.has_written("slow-1  Waiting").then_some(())
    });
    until("the other service", || {
        (sandbox.field("other", "State").as_deref() == Some("running")).then_some(())
    });
    up
}

#[test]
fn other_commands_act_at_once_while_up_waits_and_up_says_that_they_removed_what_it_waits_for() {
    needs!(machine::images());
    let sandbox = Sandbox::new(WAITING);
    let up = waiting_up(&sandbox);
    for args in [
        &["stop", "other"] as &[&str],
        &["restart", "-t", "0", "other"],
        &["kill", "other"],
    ] {
        let begun = Instant::now();
        sandbox.consort(args).succeeds();
        assert!(begun.elapsed() < Duration::from_secs(20), "{args:?}");
    }
    assert!(!up.has_written("Error"), "it still waits");
    sandbox.consort(&["down"]).succeeds();
    let up = up.wait().fails_with(1);
    assert!(up.contains("wait for container `project-slow-1`"), "{up}");
    assert!(sandbox.ps().is_empty(), "`up` makes nothing again");
}

#[test]
fn a_stop_ends_an_up_that_waits_for_what_it_stops() {
    needs!(machine::images());
    let sandbox = Sandbox::new(WAITING);
    let up = waiting_up(&sandbox);
    sandbox.consort(&["stop", "slow"]).succeeds();
    let up = up.wait().fails_with(1);
    assert!(
        up.contains("`project-slow-1`, which ended with exit code 137"),
        "{up}"
    );
}

#[test]
fn two_ups_at_once_both_succeed_also_while_one_waits() {
    needs!(machine::images());
    let sandbox = Sandbox::new(WAITING);
    let first = waiting_up(&sandbox);
    let second = sandbox.start(&["up", "-d"]);
    until("the second wait", || {
        second.has_written("slow-1  Waiting").then_some(())
    });
    sandbox.sh("slow", "touch /go");
    for up in [first, second] {
        let run = up.wait();
        assert!(run.ok(), "{run}");
    }
    let running = sandbox.ps();
    assert!(
        running.iter().all(|one| one["State"] == "running"),
        "{running:?}"
    );
    assert_eq!(running.len(), 3);
}

#[test]
fn an_up_that_waits_with_a_replacement_plans_again_when_another_command_replaced_it() {
    needs!(machine::images());
    let changed = |level: u32| {
        WAITING.replace(
            "  last:\n",
            &format!("  last:\n    environment: {{LEVEL: '{level}'}}\n"),
        )
    };
    let sandbox = Sandbox::new(&changed(1));
    let up = waiting_up(&sandbox);
    sandbox.sh("slow", "touch /go");
    assert!(up.wait().ok());
    // `slow` is made again and waited for; the old `last` runs until then.
    let recreated = |level| {
        changed(level).replace(
            "[sleep, '1000']\n    stop_grace_period: 0s\n    healthcheck",
            "[sleep, '1001']\n    stop_grace_period: 0s\n    healthcheck",
        )
    };
    sandbox.rewrite(&recreated(2));
    let first = sandbox.start(&["up", "-d"]);
    until("the wait", || {
        first.has_written("slow-1  Waiting").then_some(())
    });
    let second = sandbox.start(&["up", "-d"]);
    until("the second wait", || {
        second.has_written("slow-1  Waiting").then_some(())
    });
    sandbox.sh("slow", "touch /go");
    for up in [first, second] {
        let run = up.wait();
        assert!(run.ok(), "{run}");
    }
    assert_eq!(sandbox.sh("last", "echo $LEVEL"), "2");
    assert_eq!(sandbox.ps().len(), 3);
}
