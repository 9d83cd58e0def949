//! Bringing up, changing, stopping and taking down.

use crate::support::machine::{self, needs};
use crate::support::run::Running;
use crate::support::{Sandbox, until};

const TWO: &str = "
services:
  db:
    image: ${BUSYBOX}
    command: [sh, -c, \"trap 'exit 0' TERM; while :; do sleep 0.1; done\"]
  web:
    image: ${BUSYBOX}
    command: [sh, -c, \"trap 'exit 0' TERM; while :; do sleep 0.1; done\"]
    depends_on: [db]
";

fn ids(sandbox: &Sandbox) -> Vec<String> {
    let mut ids: Vec<_> = sandbox
        .ps()
        .iter()
        .map(|one| one["ID"].to_string())
        .collect();
    ids.sort();
    ids
}

#[test]
fn up_starts_every_service_and_down_leaves_nothing() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TWO);
    sandbox.consort(&["up", "-d"]).succeeds();
    let found = sandbox.ps();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found.iter().all(|one| one["State"] == "running"),
        "{found:?}"
    );
    sandbox.ends_clean();
}

#[test]
fn a_second_up_changes_nothing() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TWO);
    sandbox.consort(&["up", "-d"]).succeeds();
    let before = ids(&sandbox);
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(ids(&sandbox), before);
    sandbox.consort(&["plan"]).succeeds();
}

#[test]
fn only_the_changed_service_is_recreated() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TWO);
    sandbox.consort(&["up", "-d"]).succeeds();
    let db = sandbox.field("db", "ID");
    let web = sandbox.field("web", "ID");
    sandbox.rewrite(&format!("{TWO}    environment: {{LEVEL: debug}}\n"));
    let plan = sandbox.consort(&["plan"]);
    assert_eq!(plan.status.code(), Some(2), "{plan}");
    assert!(
        plan.stdout.contains("LEVEL"),
        "the plan must name the changed field: {plan}"
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(sandbox.field("db", "ID"), db);
    assert_ne!(sandbox.field("web", "ID"), web);
    assert_eq!(sandbox.sh("web", "echo $LEVEL"), "debug");
}

#[test]
fn force_recreate_replaces_containers_that_have_not_changed() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TWO);
    sandbox.consort(&["up", "-d"]).succeeds();
    let before = sandbox.field("web", "ID");
    sandbox
        .consort(&["up", "-d", "--force-recreate", "web"])
        .succeeds();
    assert_ne!(sandbox.field("web", "ID"), before);
}

#[test]
fn no_deps_leaves_dependencies_alone() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TWO);
    sandbox
        .consort(&["up", "-d", "--no-deps", "web"])
        .succeeds();
    assert_eq!(sandbox.field("db", "State"), None);
    assert_eq!(sandbox.field("web", "State").as_deref(), Some("running"));
}

#[test]
fn naming_a_service_brings_its_dependencies() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TWO);
    sandbox.consort(&["up", "-d", "web"]).succeeds();
    assert_eq!(sandbox.field("db", "State").as_deref(), Some("running"));
}

#[test]
fn scale_adds_and_takes_away_replicas() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TWO);
    sandbox.consort(&["up", "-d", "--scale", "db=3"]).succeeds();
    assert_eq!(sandbox.ps().len(), 4);
    sandbox.consort(&["up", "-d", "--scale", "db=1"]).succeeds();
    let names: Vec<_> = sandbox.ps().iter().map(|one| one["Name"].clone()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().any(|name| name == "project-db-1"), "{names:?}");
}

#[test]
fn orphans_stay_until_they_are_asked_away() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TWO);
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.rewrite("services: {db: {image: '${BUSYBOX}', command: [sleep, '1000']}}");
    let run = sandbox.consort(&["up", "-d", "-t", "0"]);
    assert!(run.ok(), "{run}");
    assert!(run.stderr.contains("orphan"), "orphans are named: {run}");
    assert_eq!(sandbox.field("web", "State").as_deref(), Some("running"));
    sandbox
        .consort(&["up", "-d", "--remove-orphans"])
        .succeeds();
    assert_eq!(sandbox.field("web", "State"), None);
}

#[test]
fn wait_returns_when_the_health_check_passes() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  slow:
    image: ${BUSYBOX}
    command: [sh, -c, 'sleep 0.5; touch /ready; exec sleep 1000']
    healthcheck: {test: [CMD, test, -e, /ready], interval: 100ms, start_period: 5s, start_interval: 50ms}
  after:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    depends_on: {slow: {condition: service_healthy}}
",
    );
    sandbox.consort(&["up", "-d", "--wait"]).succeeds();
    assert_eq!(sandbox.field("slow", "Health").as_deref(), Some("healthy"));
    assert_eq!(sandbox.field("after", "State").as_deref(), Some("running"));
}

#[test]
fn wait_fails_when_the_health_check_does() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  ill:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    healthcheck: {test: 'echo no good >&2; exit 3', interval: 50ms, retries: 2}
  after:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    depends_on: {ill: {condition: service_healthy}}
",
    );
    let error = sandbox
        .consort(&["up", "-d", "--wait", "-t", "0"])
        .fails_with(1);
    assert!(
        error.contains("ill"),
        "the unhealthy service is named: {error}"
    );
    assert_eq!(sandbox.field("ill", "Health").as_deref(), Some("unhealthy"));
    assert_ne!(sandbox.field("after", "State").as_deref(), Some("running"));
}

#[test]
fn wait_fails_when_a_container_ends_at_once() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  broken: {image: '${BUSYBOX}', command: [sh, -c, 'exit 3']}
  works: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}
",
    );
    let said = sandbox.consort(&["up", "-d", "--wait"]).fails_with(1);
    assert!(
        said.contains("project-broken-1") && said.contains("exit code 3"),
        "{said}"
    );
    assert_eq!(sandbox.field("works", "State").as_deref(), Some("running"));
    sandbox.consort(&["up", "-d", "--wait", "works"]).succeeds();
}

#[test]
fn start_says_what_has_not_been_created() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TWO);
    let said = sandbox.consort(&["start"]).fails_with(1);
    assert!(
        said.contains("service `db` has no container to start"),
        "{said}"
    );
    sandbox.consort(&["create"]).succeeds();
    sandbox.consort(&["start"]).succeeds();
    let said = sandbox.other(&["-p", "nobody", "start"]).fails_with(1);
    assert!(said.contains("project `nobody` has no container"), "{said}");
}

#[test]
fn what_runs_is_said_of_the_services_that_are_meant() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TWO);
    sandbox.consort(&["up", "-d"]).succeeds();
    let said = |args: &[&str]| sandbox.consort(args).stderr;
    let both = said(&["up", "-d", "web"]);
    assert!(
        both.contains("project-db-1  Running") && both.contains("project-web-1  Running"),
        "{both}"
    );
    let one = said(&["up", "-d", "--no-deps", "web"]);
    assert_eq!(one.trim(), "Container project-web-1  Running");
}

#[test]
fn a_one_shot_service_that_completed_is_done() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  migrate:
    image: ${BUSYBOX}
    command: [sh, -c, 'echo run >>/out/runs']
    volumes: [./out:/out]
  app:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    depends_on: {migrate: {condition: service_completed_successfully}}
",
    );
    sandbox.consort(&["up", "-d", "--wait"]).succeeds();
    sandbox.consort(&["up", "-d", "--wait"]).succeeds();
    let runs = std::fs::read_to_string(sandbox.path("project/out/runs")).unwrap();
    assert_eq!(runs, "run\n");
}

#[test]
fn a_failed_one_shot_stops_what_depends_on_it_and_nothing_else() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  migrate: {image: '${BUSYBOX}', command: [sh, -c, 'exit 7']}
  other: {image: '${BUSYBOX}', command: [sleep, '1000']}
  app:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    depends_on: {migrate: {condition: service_completed_successfully}}
",
    );
    let error = sandbox.consort(&["up", "-d"]).fails_with(1);
    assert!(error.contains("migrate") && error.contains('7'), "{error}");
    assert_eq!(sandbox.field("other", "State").as_deref(), Some("running"));
    assert_ne!(sandbox.field("app", "State").as_deref(), Some("running"));
}

#[test]
fn stop_start_and_restart_keep_the_container() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TWO);
    sandbox.consort(&["up", "-d"]).succeeds();
    let before = ids(&sandbox);
    sandbox.sh("web", "echo kept >/kept");
    sandbox.consort(&["stop"]).succeeds();
    assert_eq!(sandbox.field("web", "State").as_deref(), Some("exited"));
    assert_eq!(sandbox.field("web", "ExitCode").as_deref(), Some("0"));
    sandbox.consort(&["start"]).succeeds();
    assert_eq!(sandbox.sh("web", "cat /kept"), "kept");
    sandbox.consort(&["restart", "-t", "1"]).succeeds();
    assert_eq!(sandbox.sh("web", "cat /kept"), "kept");
    assert_eq!(ids(&sandbox), before);
}

#[test]
fn what_ignores_sigterm_is_killed_after_the_grace_period() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  stubborn:
    image: ${BUSYBOX}
    command: [sh, -c, \"trap '' TERM; while :; do sleep 0.1; done\"]
    stop_grace_period: 300ms
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.consort(&["stop"]).succeeds();
    assert_eq!(
        sandbox.field("stubborn", "ExitCode").as_deref(),
        Some("137")
    );
}

#[test]
fn stop_sends_the_signal_of_the_service() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  polite:
    image: ${BUSYBOX}
    command: [sh, -c, \"trap 'exit 42' USR1; while :; do sleep 0.1; done\"]
    stop_signal: SIGUSR1
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.consort(&["stop"]).succeeds();
    assert_eq!(sandbox.field("polite", "ExitCode").as_deref(), Some("42"));
}

#[test]
fn kill_sends_the_signal_that_is_asked_for() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one:
    image: ${BUSYBOX}
    command: [sh, -c, \"trap 'echo got HUP' HUP; while :; do sleep 0.1; done\"]
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.consort(&["kill", "-s", "HUP"]).succeeds();
    until("the signal in the log", || {
        sandbox.logs("one").contains("got HUP").then_some(())
    });
    sandbox.consort(&["kill"]).succeeds();
    until("the end", || {
        (sandbox.field("one", "State")? == "exited").then_some(())
    });
    assert_eq!(sandbox.field("one", "ExitCode").as_deref(), Some("137"));
}

#[test]
fn rm_removes_stopped_containers_only() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TWO);
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.consort(&["stop", "web"]).succeeds();
    sandbox.consort(&["rm", "-f"]).succeeds();
    assert_eq!(sandbox.field("web", "State"), None);
    assert_eq!(sandbox.field("db", "State").as_deref(), Some("running"));
    sandbox.consort(&["rm", "-f", "-s", "db"]).succeeds();
    assert_eq!(sandbox.field("db", "State"), None);
}

#[test]
fn rm_asks_and_nobody_to_answer_means_no() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TWO);
    assert_eq!(
        sandbox.consort(&["rm", "-f"]).stderr.trim(),
        "No stopped containers"
    );
    sandbox.consort(&["create"]).succeeds();
    let asked = sandbox.consort(&["rm"]).succeeds();
    assert!(
        asked.starts_with("Going to remove project-db-1, project-web-1\n"),
        "{asked}"
    );
    assert_eq!(sandbox.ps().len(), 2);
    let mut command = sandbox.command();
    let answer = sandbox.file("answer", "y\n");
    command
        .args(["rm", "web"])
        .stdin(std::fs::File::open(answer).unwrap());
    assert!(command.output().unwrap().status.success());
    assert_eq!(
        (sandbox.field("web", "State"), sandbox.ps().len()),
        (None, 1)
    );
}

#[test]
fn a_paused_container_does_nothing_until_it_is_unpaused() {
    needs!(machine::images(), machine::cgroup_limits());
    let sandbox = Sandbox::new(
        "
services:
  ticker:
    image: ${BUSYBOX}
    command: [sh, -c, 'while :; do echo tick; sleep 0.02; done']
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.consort(&["pause"]).succeeds();
    assert_eq!(sandbox.field("ticker", "State").as_deref(), Some("paused"));
    // What was in the pipe may still arrive; then it must stand still.
    let still = until("a log that stands still", || {
        let first = sandbox.logs("ticker").len();
        (first == sandbox.logs("ticker").len()).then_some(first)
    });
    assert_eq!(sandbox.logs("ticker").len(), still);
    sandbox.consort(&["unpause"]).succeeds();
    until("further ticks", || {
        (sandbox.logs("ticker").len() > still).then_some(())
    });
}

#[test]
fn restart_always_starts_again_and_stop_ends_it() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  again:
    image: ${BUSYBOX}
    command: [sh, -c, 'echo begun; sleep 0.1; exit 1']
    restart: always
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    until("three starts", || {
        (sandbox.logs("again").matches("begun").count() >= 3).then_some(())
    });
    sandbox.consort(&["stop", "-t", "0"]).succeeds();
    assert_eq!(sandbox.field("again", "State").as_deref(), Some("exited"));
    let starts = sandbox.logs("again").matches("begun").count();
    assert_eq!(sandbox.logs("again").matches("begun").count(), starts);
}

#[test]
fn restart_on_failure_gives_up_after_its_count() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  thrice:
    image: ${BUSYBOX}
    command: [sh, -c, 'echo begun; exit 1']
    restart: on-failure:2
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    until("the end", || {
        (sandbox.field("thrice", "State")? == "exited").then_some(())
    });
    until("three starts", || {
        (sandbox.logs("thrice").matches("begun").count() == 3).then_some(())
    });
    assert_eq!(sandbox.field("thrice", "ExitCode").as_deref(), Some("1"));
}

#[test]
fn down_keeps_named_volumes_and_down_v_does_not() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  keeper:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    volumes: ['data:/data']
volumes: {data: }
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.sh("keeper", "echo kept >/data/file");
    sandbox.consort(&["down", "-t", "0"]).succeeds();
    assert_eq!(sandbox.leftovers(&[]), "");
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(sandbox.sh("keeper", "cat /data/file"), "kept");
    sandbox.consort(&["down", "-v", "-t", "0"]).succeeds();
    assert_eq!(sandbox.leftovers(&["--volumes"]), "");
}

#[test]
fn dry_run_says_what_it_would_do_and_does_nothing() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TWO);
    let run = sandbox.consort(&["--dry-run", "up", "-d"]);
    assert!(run.ok(), "{run}");
    assert!(format!("{run}").contains("project-web-1"), "{run}");
    assert!(sandbox.ps().is_empty());
    assert_eq!(sandbox.leftovers(&[]), "");
}

#[test]
fn plan_says_what_is_missing_and_exits_with_two() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TWO);
    let plan = sandbox.consort(&["plan"]);
    assert_eq!(plan.status.code(), Some(2), "{plan}");
    for step in ["project_default", "project-db-1", "project-web-1"] {
        assert!(plan.stdout.contains(step), "{step} is missing: {plan}");
    }
    let json = sandbox.consort(&["plan", "--format", "json"]);
    let parsed: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(parsed.is_object() || parsed.is_array(), "{parsed}");
}

#[test]
fn profiles_decide_what_comes_up() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  always: {image: '${BUSYBOX}', command: [sleep, '1000']}
  tool: {image: '${BUSYBOX}', command: [sleep, '1000'], profiles: [tools]}
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(sandbox.field("tool", "State"), None);
    sandbox
        .consort(&["--profile", "tools", "up", "-d"])
        .succeeds();
    assert_eq!(sandbox.field("tool", "State").as_deref(), Some("running"));
    sandbox
        .consort(&["--profile", "tools", "down", "-t", "0"])
        .succeeds();
}

#[test]
fn commands_that_name_no_service_leave_alone_what_no_profile_enables() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  always: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}
  tool: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s, profiles: [tools]}
",
    );
    sandbox
        .consort(&["--profile", "tools", "up", "-d"])
        .succeeds();
    let before = sandbox.field("tool", "ID");
    for command in ["stop", "start", "restart", "kill", "down"] {
        sandbox.consort(&[command]).succeeds();
        assert_eq!(
            sandbox.field("tool", "State").as_deref(),
            Some("running"),
            "{command}"
        );
        assert_eq!(sandbox.field("tool", "ID"), before, "{command}");
    }
    assert_eq!(sandbox.field("always", "State"), None);
    sandbox.consort(&["stop", "tool"]).succeeds();
    sandbox.consort(&["rm", "--force"]).succeeds();
    assert_eq!(sandbox.field("tool", "State").as_deref(), Some("exited"));
    sandbox.consort(&["--profile", "tools", "down"]).succeeds();
    assert_eq!(sandbox.field("tool", "State"), None);
}

#[test]
fn orphans_are_left_alone_by_commands_that_name_no_service() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TWO);
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.rewrite("services: {other: {image: '${BUSYBOX}', command: [echo, mine]}}");
    for command in ["stop", "restart", "pause", "kill"] {
        sandbox.consort(&[command]).succeeds();
        for orphan in ["db", "web"] {
            assert_eq!(
                sandbox.field(orphan, "State").as_deref(),
                Some("running"),
                "{command}"
            );
        }
    }
    let logs = sandbox.consort(&["logs"]).succeeds();
    assert_eq!(logs, "");
    sandbox
        .consort(&["down", "--remove-orphans", "-t", "0"])
        .succeeds();
}

#[test]
fn two_projects_live_side_by_side() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TWO);
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.consort(&["-p", "other", "up", "-d"]).succeeds();
    let listed = sandbox.consort(&["ls", "--format", "json"]).succeeds();
    let listed: Vec<serde_json::Value> = serde_json::from_str(&listed).unwrap();
    let names: Vec<_> = listed.iter().map(|one| one["Name"].clone()).collect();
    assert!(names.iter().any(|name| name == "project") && names.iter().any(|name| name == "other"));
    sandbox
        .consort(&["-p", "other", "down", "-t", "0"])
        .succeeds();
    assert!(sandbox.ps().iter().all(|one| one["State"] == "running"));
}

#[test]
fn rm_asks_before_it_reads() {
    needs!(machine::images());
    let sandbox = Sandbox::new("services: {one: {image: '${BUSYBOX}', command: [\"true\"]}}");
    sandbox.consort(&["create"]).succeeds();
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut command = sandbox.command();
    command.arg("rm");
    let running = Running::with_input(command, std::os::fd::OwnedFd::from(theirs).into());
    until("the question", || {
        running.has_written("Are you sure?").then_some(())
    });
    std::io::Write::write_all(&mut ours, b"y\n").unwrap();
    running.wait().succeeds();
    assert_eq!(sandbox.ps().len(), 0);
}

#[test]
fn hooks_before_the_start_prepare_its_volumes_once() {
    needs!(machine::images());
    let sandbox = Sandbox::new(&format!(
        "
services:
  one:
    image: ${{BUSYBOX}}
    command: [sh, -c, 'cat /data/runs; exec sleep 1000']
    stop_grace_period: 0s
    environment: {{WHO: service}}
    volumes: ['data:/data', /cache]
    scale: 2
    pre_start:
      - {{command: [sh, -c, 'echo preparing for $$WHO; echo run >>/data/runs; echo x >/cache/x']}}
      - {{image: '{}', command: [sh, -c, 'cat /cache/x >>/data/runs'], environment: {{WHO: hook}}}}
volumes: {{data: }}
",
        machine::oci("alpine"),
    ));
    let run = sandbox.consort(&["up", "-d"]);
    assert!(
        run.ok() && run.stderr.contains("| preparing for service"),
        "{run}"
    );
    assert_eq!(sandbox.sh("one", "cat /data/runs"), "run\nx");
    assert_eq!(sandbox.ps().len(), 2, "containers of hooks go");
    for verb in [
        &["up", "-d"][..],
        &["restart"],
        &["stop"],
        &["start"],
        &["up", "-d", "--scale", "one=3"],
    ] {
        sandbox.consort(verb).succeeds();
        if verb != ["stop"] {
            let runs = sandbox.sh("one", "cat /data/runs");
            assert_eq!(runs, "run\nx", "{verb:?}");
        }
    }
    sandbox
        .consort(&["up", "-d", "--force-recreate"])
        .succeeds();
    assert_eq!(sandbox.sh("one", "cat /data/runs"), "run\nx\nrun\nx");
}

#[test]
fn a_hook_before_the_start_that_fails_runs_again_and_keeps_the_service_from_starting() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    stop_grace_period: 0s
    volumes: ['data:/data']
    pre_start: [{command: [sh, -c, 'echo attempt; mv /data/first /data/second || { touch /data/first; exit 3; }']}]
  two: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s, depends_on: [one]}
volumes: {data: }
",
    );
    let run = sandbox.consort(&["up", "-d"]);
    let told = ["attempt", "3"]
        .iter()
        .all(|word| run.stderr.contains(word));
    assert!(!run.ok() && told, "{run}");
    assert_eq!(sandbox.field("two", "State").as_deref(), Some("created"));
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(sandbox.field("two", "State").as_deref(), Some("running"));
    assert_eq!(sandbox.ps().len(), 2);
}

#[test]
fn waiting_for_a_container_that_keeps_ending_comes_to_an_end_and_shows_its_exit_codes() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  loop: {image: '${BUSYBOX}', command: [sh, -c, 'exit 7'], restart: always}
",
    );
    let error = sandbox.consort(&["up", "-d", "--wait"]).fails_with(1);
    assert!(
        error.contains("loop") && error.contains("exit code 7"),
        "{error}"
    );
}
