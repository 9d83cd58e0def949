//! Abort at every named point of `up` and `down`, then run again: it must converge and leave nothing.

use std::collections::BTreeMap;
use std::fs;

use crate::support::Sandbox;
use crate::support::machine::{self, needs};

/// Small, and yet everything that leaves traces is in it.
const PROJECT: &str = "
services:
  db:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    volumes: ['data:/data', './bind:/bind', '/scratch']
    secrets: [key]
    healthcheck: {test: [CMD, 'true'], interval: 50ms}
    stop_grace_period: 0s
  web:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    ports: ['127.0.0.1::80']
    networks: [default, back]
    depends_on: {db: {condition: service_healthy}}
    stop_grace_period: 0s
networks: {back: {internal: true}}
volumes: {data: }
secrets: {key: {environment: KEY}}
";

const UP: &[&str] = &["up", "-d"];
const DOWN: &[&str] = &["down", "-v", "-t", "0"];

fn sandbox() -> Sandbox {
    Sandbox::new(PROJECT).with_env("KEY", "k3y")
}

/// Returns the points that `args` passes, with how often, in the order of their names.
fn passed(sandbox: &Sandbox, args: &[&str]) -> BTreeMap<String, u32> {
    let list = sandbox.path("points");
    fs::write(&list, "").unwrap();
    let armed = format!("list:{}", list.display());
    sandbox
        .consort_with(&[("CONSORT_FAIL", &armed)], args)
        .succeeds();
    let mut counts = BTreeMap::new();
    for name in fs::read_to_string(&list).unwrap().lines() {
        // Each probe of a monitor is a process of its own, so each would meet it: that is no moment
        // of a command but a container that never gets healthy.
        if name == "exec.enter" {
            continue;
        }
        *counts.entry(name.to_owned()).or_insert(0) += 1;
    }
    counts
}

/// The first and the last pass of each point: those between are the same code with other names.
fn moments(points: &BTreeMap<String, u32>) -> Vec<String> {
    let mut moments = Vec::new();
    for (name, count) in points {
        moments.push(format!("{name}:1"));
        if *count > 1 {
            moments.push(format!("{name}:{count}"));
        }
    }
    moments
}

#[test]
fn up_aborted_anywhere_converges_and_down_leaves_nothing() {
    needs!(machine::images());
    let sandbox = sandbox();
    let points = passed(&sandbox, UP);
    sandbox.ends_clean();
    assert!(points.len() > 10, "`up` must pass named points: {points:?}");
    for moment in moments(&points) {
        let armed = format!("{moment}:abort");
        drop(sandbox.consort_with(&[("CONSORT_FAIL", &armed)], UP));
        let again = sandbox.consort(UP);
        assert!(again.ok(), "after an abort at {moment}: {again}");
        let running = sandbox
            .ps()
            .iter()
            .filter(|one| one["State"] == "running")
            .count();
        assert_eq!(running, 2, "after an abort at {moment}");
        taken_down(&sandbox, &moment);
    }
}

#[test]
fn down_aborted_anywhere_can_be_repeated_and_leaves_nothing() {
    needs!(machine::images());
    let sandbox = sandbox();
    sandbox.consort(UP).succeeds();
    let points = passed(&sandbox, DOWN);
    assert!(
        points.len() > 3,
        "`down` must pass named points: {points:?}"
    );
    for moment in moments(&points) {
        sandbox.consort(UP).succeeds();
        let armed = format!("{moment}:abort");
        drop(sandbox.consort_with(&[("CONSORT_FAIL", &armed)], DOWN));
        taken_down(&sandbox, &moment);
    }
}

#[test]
fn up_after_an_aborted_down_converges() {
    needs!(machine::images());
    let sandbox = sandbox();
    sandbox.consort(UP).succeeds();
    let points = passed(&sandbox, DOWN);
    for moment in moments(&points) {
        sandbox.consort(UP).succeeds();
        let armed = format!("{moment}:abort");
        drop(sandbox.consort_with(&[("CONSORT_FAIL", &armed)], DOWN));
        let again = sandbox.consort(UP);
        assert!(again.ok(), "after an abort at {moment}: {again}");
    }
}

#[test]
fn an_error_anywhere_in_up_is_an_error_and_no_panic() {
    needs!(machine::images());
    let sandbox = sandbox();
    let points = passed(&sandbox, UP);
    sandbox.ends_clean();
    for name in points.keys() {
        let armed = format!("{name}:1:errno=ENOSPC");
        let run = sandbox.consort_with(&[("CONSORT_FAIL", &armed)], UP);
        assert!(!run.stderr.contains("panicked"), "ENOSPC at {name}: {run}");
        assert!(
            matches!(run.status.code(), Some(0 | 1 | 4)),
            "ENOSPC at {name}: {run}"
        );
        let again = sandbox.consort(UP);
        assert!(again.ok(), "after ENOSPC at {name}: {again}");
        taken_down(&sandbox, name);
    }
}

#[test]
fn up_killed_at_random_times_converges() {
    needs!(machine::images());
    let sandbox = sandbox();
    // Spread evenly over what an `up` takes on a slow machine; the order does not matter.
    for step in 0..25_u64 {
        let up = sandbox.start(UP);
        std::thread::sleep(std::time::Duration::from_millis(step * 4));
        up.signal(rustix::process::Signal::KILL);
        let run = up.wait();
        assert!(run.was_killed() || run.ok(), "{run}");
        let again = sandbox.consort(UP);
        assert!(again.ok(), "killed after {} ms: {again}", step * 4);
        taken_down(&sandbox, &format!("{} ms", step * 4));
    }
}

fn taken_down(sandbox: &Sandbox, moment: &str) {
    let down = sandbox.consort(DOWN);
    assert!(down.ok(), "`down` after an abort at {moment}: {down}");
    let left = sandbox.leftovers(&["--volumes"]);
    assert_eq!(left, "", "left after an abort at {moment}");
}

#[test]
fn a_change_in_place_aborted_anywhere_is_made_or_taken_back_by_the_next_up() {
    needs!(machine::images());
    let compose = |alias: &str| {
        format!(
            "
services:
  one:
    image: ${{BUSYBOX}}
    command: [sleep, '1000']
    networks: {{default: {{aliases: [{alias}]}}}}
    stop_grace_period: 0s
"
        )
    };
    let sandbox = Sandbox::new(&compose("old"));
    sandbox.consort(UP).succeeds();
    let id = sandbox.field("one", "ID");
    sandbox.rewrite(&compose("new"));
    let points = passed(&sandbox, UP);
    let passes = |(name, count): (&String, &u32)| {
        let name = name.clone();
        (1..=*count).map(move |nth| format!("{name}:{nth}"))
    };
    for moment in points.iter().flat_map(passes) {
        for wanted in ["new", "old"] {
            sandbox.rewrite(&compose("old"));
            sandbox.consort(UP).succeeds();
            sandbox.rewrite(&compose("new"));
            let armed = format!("{moment}:abort");
            drop(sandbox.consort_with(&[("CONSORT_FAIL", &armed)], UP));
            sandbox.rewrite(&compose(wanted));
            let again = sandbox.consort(UP);
            assert!(again.ok(), "after an abort at {moment}: {again}");
            let asked = "for n in old new; do nslookup $n | grep -q ^Name && echo $n; done; true";
            let known = sandbox.sh("one", asked);
            assert_eq!(known, wanted, "after an abort at {moment}");
        }
    }
    assert_eq!(sandbox.field("one", "ID"), id, "it is the same container");
}
