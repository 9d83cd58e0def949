//! What commands print and return: logs, exec, attached `up`, and what scripts parse.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::machine::{self, needs};
use crate::support::{Sandbox, until};

const SLEEPER: &str = "
services:
  one:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    environment: {COLOUR: green}
    stop_grace_period: 0s
";

const TALKER: &str = "
services:
  talker:
    image: ${BUSYBOX}
    command: [sh, -c, 'for n in 1 2 3 4 5; do echo out $$n; echo err $$n >&2; done; exec sleep 1000']
    stop_grace_period: 0s
";

#[test]
fn exec_passes_output_and_exit_code_through() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLEEPER);
    sandbox.consort(&["up", "-d"]).succeeds();
    let run = sandbox.consort(&[
        "exec",
        "-T",
        "one",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 42",
    ]);
    assert_eq!(run.status.code(), Some(42), "{run}");
    assert_eq!(run.stdout, "out\n");
    assert!(run.stderr.contains("err"), "{run}");
}

#[test]
fn exec_sets_user_environment_and_folder() {
    needs!(machine::images(), machine::id_ranges());
    let sandbox = Sandbox::new(SLEEPER);
    sandbox.consort(&["up", "-d"]).succeeds();
    let line = "id -u; echo $COLOUR $SIZE; pwd";
    let args = [
        "exec", "-T", "-u", "www-data", "-e", "SIZE=big", "-w", "/var", "one", "sh", "-c", line,
    ];
    assert_eq!(sandbox.consort(&args).succeeds(), "33\ngreen big\n/var\n");
}

#[test]
fn exec_of_a_program_that_is_not_there_is_127() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLEEPER);
    sandbox.consort(&["up", "-d"]).succeeds();
    let error = sandbox
        .consort(&["exec", "-T", "one", "no-such-program"])
        .fails_with(127);
    assert!(error.contains("no-such-program"), "{error}");
    let detached = sandbox.consort(&["exec", "-d", "one", "no-such-program"]);
    let error = detached.fails_with(1);
    assert!(error.contains("no-such-program"), "{error}");
}

#[test]
fn exec_in_a_service_that_does_not_run_says_so() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLEEPER);
    let error = sandbox
        .consort(&["exec", "-T", "one", "true"])
        .fails_with(1);
    assert!(error.contains("`one`"), "{error}");
}

#[test]
fn exec_with_a_group_runs_in_that_group_only() {
    needs!(machine::images(), machine::id_ranges());
    let sandbox = Sandbox::new(SLEEPER);
    sandbox.consort(&["up", "-d"]).succeeds();
    let args = [
        "exec",
        "-T",
        "-u",
        "1234:55",
        "one",
        "sh",
        "-c",
        "id -u; id -G",
    ];
    assert_eq!(sandbox.consort(&args).succeeds(), "1234\n55\n");
}

#[test]
fn exec_reaches_a_service_that_left_the_file() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLEEPER);
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.rewrite("services: {two: {image: '${BUSYBOX}'}}");
    let args = ["exec", "--no-TTY", "one", "echo", "-n", "--", "still here"];
    assert_eq!(sandbox.consort(&args).succeeds(), "-- still here");
    let dashes = sandbox.consort(&["exec", "-T", "one", "--", "echo"]);
    let error = dashes.fails_with(127);
    assert!(error.contains("`--`"), "{error}");
}

#[test]
fn wait_names_containers_by_their_ids() {
    needs!(machine::images());
    let sandbox =
        Sandbox::new("services: {one: {image: '${BUSYBOX}', command: [sh, -c, 'exit 3']}}");
    sandbox.consort(&["up", "-d"]).succeeds();
    let id = sandbox.field("one", "ID").expect("it is there");
    let run = sandbox.consort(&["wait", "one"]);
    assert_eq!(run.status.code(), Some(3), "{run}");
    assert!(
        run.stdout.starts_with(&format!("container \"{id}")),
        "{run}"
    );
    assert!(
        run.stdout.ends_with("\" exited with status code 3\n"),
        "{run}"
    );
}

#[test]
fn logs_keep_both_outputs_in_order() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TALKER);
    sandbox.consort(&["up", "-d"]).succeeds();
    until("ten lines", || {
        (sandbox.logs("talker").lines().count() == 10).then_some(())
    });
    let log = sandbox.logs("talker");
    let out: Vec<_> = log.lines().filter(|line| line.starts_with("out")).collect();
    assert_eq!(out, ["out 1", "out 2", "out 3", "out 4", "out 5"]);
    let prefixed = sandbox.consort(&["logs", "--no-color"]).succeeds();
    assert!(
        prefixed
            .lines()
            .all(|line| line.starts_with("talker-1  | ")),
        "{prefixed}"
    );
}

#[test]
fn logs_show_the_last_lines_and_their_times() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TALKER);
    sandbox.consort(&["up", "-d"]).succeeds();
    until("ten lines", || {
        (sandbox.logs("talker").lines().count() == 10).then_some(())
    });
    let tail = sandbox
        .consort(&["logs", "--no-log-prefix", "--tail", "2"])
        .succeeds();
    assert_eq!(tail.lines().count(), 2, "{tail}");
    let timed = sandbox
        .consort(&["logs", "--no-log-prefix", "--timestamps", "--tail", "1"])
        .succeeds();
    let stamp = timed.split(' ').next().unwrap();
    assert!(stamp.contains('T') && stamp.ends_with('Z'), "{timed}");
    let none = sandbox.consort(&["logs", "--no-log-prefix", "--since", "2099-01-01T00:00:00Z"]);
    assert_eq!(none.succeeds(), "");
    let all = sandbox
        .consort(&["logs", "--no-log-prefix", "--since", "1h"])
        .succeeds();
    assert_eq!(all.lines().count(), 10, "{all}");
}

#[test]
fn logs_of_a_replica_that_is_not_there_are_refused() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLEEPER);
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.consort(&["logs", "--index", "1", "one"]).succeeds();
    let said = sandbox
        .consort(&["logs", "--index", "2", "one"])
        .fails_with(1);
    assert!(said.contains("service `one` has no container 2"), "{said}");
    sandbox.consort(&["logs", "--index", "1"]).fails_with(2);
}

#[test]
fn followed_logs_end_with_the_containers_and_tell_how_they_ended() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  brief:
    image: ${BUSYBOX}
    restart: on-failure:1
    command: [sh, -c, 'echo first; sleep 0.5; echo last; exit 3']
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    let followed = sandbox.consort(&["logs", "-f"]).succeeds();
    let (first, again) = followed.split_once(" (restarting)\n").unwrap_or_default();
    let run = "brief-1  | first\nbrief-1  | last\nbrief-1 exited with code 3";
    assert_eq!((first, again.trim_end()), (run, run), "{followed}");
}

#[test]
fn followed_logs_without_a_tail_begin_with_what_is_written_next() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  steady:
    image: ${BUSYBOX}
    stop_grace_period: 0s
    volumes: [./gate:/gate]
    command: [sh, -c, 'echo old; while ! test -e /gate/open; do sleep 0.05; done; echo new']
",
    );
    std::fs::create_dir(sandbox.path("project/gate")).unwrap();
    sandbox.consort(&["up", "-d"]).succeeds();
    until("the old line", || {
        (sandbox.logs("steady") == "old\n").then_some(())
    });
    let logs = sandbox.start(&["logs", "-f", "--tail", "0"]);
    sandbox.file("gate/open", "");
    let run = logs.wait();
    assert!(!run.stdout.contains("old"), "{run}");
}

#[test]
fn a_long_line_and_bytes_that_are_no_text_survive_the_log() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  odd:
    image: ${BUSYBOX}
    command: [sh, -c, \"head -c 200000 /dev/zero | tr '\\\\0' x; echo; printf '\\\\377\\\\n'; echo end\"]
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    until("the last line", || {
        sandbox.logs("odd").ends_with("end\n").then_some(())
    });
    let log = sandbox.logs("odd");
    assert_eq!(log.lines().next().unwrap().len(), 200_000);
}

#[test]
fn the_log_is_rotated_by_size() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  flood:
    image: ${BUSYBOX}
    command: [sh, -c, 'yes 0123456789012345678901234567890123456789 | head -n 50000; echo end']
    logging: {driver: json-file, options: {max-size: 100k, max-file: '2'}}
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    until("the last line", || {
        sandbox.logs("flood").ends_with("end\n").then_some(())
    });
    let said = sandbox.consort(&["logs", "flood"]).stderr;
    assert!(
        said.contains("earlier output of `flood-1` is not kept"),
        "{said}"
    );
    let end = sandbox.consort(&["logs", "--tail", "1", "flood"]);
    assert_eq!((end.stdout.lines().count(), end.stderr.as_str()), (1, ""));
    let used = folder_bytes(&sandbox.path("state/projects"));
    assert!(used < 1_000_000, "two files of 100 kB take {used} bytes");
}

fn folder_bytes(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map_while(Result::ok);
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind)
                if kind.is_dir() && entry.file_name() != "upper" && entry.file_name() != "work" =>
            {
                folder_bytes(&entry.path())
            }
            Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |file| file.len()),
            Ok(_) | Err(_) => 0,
        })
        .sum()
}

#[test]
fn attached_up_merges_logs_and_stops_on_interrupt() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  a: {image: '${BUSYBOX}', command: [sh, -c, 'echo from a; exec sleep 1000'], stop_grace_period: 0s}
  b: {image: '${BUSYBOX}', command: [sh, -c, 'echo from b; exec sleep 1000'], stop_grace_period: 0s}
",
    );
    let up = sandbox.start(&["up", "--no-color"]);
    until("both running", || {
        let found = sandbox.ps();
        (found.len() == 2 && found.iter().all(|one| one["State"] == "running")).then_some(())
    });
    until("both logs", || {
        (sandbox.logs("a").contains("from a") && sandbox.logs("b").contains("from b")).then_some(())
    });
    up.signal(Signal::INT);
    let run = up.wait();
    assert!(matches!(run.status.code(), Some(0 | 130)), "{run}");
    assert!(
        run.stdout.contains("a-1  | from a") && run.stdout.contains("b-1  | from b"),
        "{run}"
    );
    assert!(
        sandbox.ps().iter().all(|one| one["State"] == "exited"),
        "{run}"
    );
}

#[test]
fn exit_code_from_returns_the_code_of_that_service() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  tests: {image: '${BUSYBOX}', command: [sh, -c, 'echo testing; exit 17']}
  server: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}
",
    );
    let run = sandbox.consort(&["up", "--exit-code-from", "tests"]);
    assert_eq!(run.status.code(), Some(17), "{run}");
    assert!(run.stdout.contains("testing"), "{run}");
    assert_eq!(sandbox.field("server", "State").as_deref(), Some("exited"));
}

#[test]
fn abort_on_container_exit_stops_the_others() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  brief: {image: '${BUSYBOX}', command: [sh, -c, 'exit 5']}
  server: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}
",
    );
    let run = sandbox.consort(&["up", "--abort-on-container-exit"]);
    assert_eq!(run.status.code(), Some(5), "{run}");
    assert_eq!(sandbox.field("server", "State").as_deref(), Some("exited"));
}

#[test]
fn ps_tells_what_scripts_read() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLEEPER);
    sandbox.consort(&["up", "-d"]).succeeds();
    let found = sandbox.ps();
    let one = &found[0];
    assert_eq!(one["Name"], "project-one-1");
    assert_eq!(one["Project"], "project");
    assert_eq!(one["Service"], "one");
    assert_eq!(one["State"], "running");
    assert_eq!(one["ExitCode"], 0);
    assert!(
        one["Labels"]
            .as_str()
            .unwrap()
            .contains("com.docker.compose.service=one"),
        "{one}"
    );
    assert!(
        one["Labels"]
            .as_str()
            .unwrap()
            .contains("com.docker.compose.image=sha256:"),
        "{one}"
    );
    assert_eq!(one["Command"], "\"sleep 1000\"");
    sandbox.rewrite(
        "services: {one: {image: '${BUSYBOX}', stop_grace_period: 0s, command: [sh, -c, 'sleep 9; sleep 9']}}",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    let command = ["ps", "--no-trunc", "--format", "{{.Command}}"];
    let command = sandbox.consort(&command).succeeds();
    assert_eq!(command, "\"sh -c 'sleep 9; sleep 9'\"\n");
    let ids = sandbox.consort(&["ps", "-q"]).succeeds();
    assert_eq!(ids.trim().len(), 64, "{ids}");
    assert_eq!(sandbox.consort(&["ps", "--services"]).succeeds(), "one\n");
    let table = sandbox.consort(&["ps"]).succeeds();
    assert!(table.starts_with("NAME"), "{table}");
    assert!(table.contains("project-one-1"), "{table}");
}

#[test]
fn listings_go_through_templates() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLEEPER);
    sandbox.consort(&["up", "-d"]).succeeds();
    let said = |verb: &str, format: &str| sandbox.consort(&[verb, "--format", format]).succeeds();
    let label = "{{.Label \"com.docker.compose.project\"}}";
    let row = format!("{{{{if eq .State \"running\"}}}}{{{{.Names}}}}{{{{end}}}}\\t{label}");
    assert_eq!(said("ps", &row), "project-one-1\tproject\n");
    let table = said(
        "ps",
        "table {{.Name}}\\t{{.Label \"com.docker.compose.service\"}}",
    );
    assert_eq!(table, "NAME            service\nproject-one-1   one\n");
    assert_eq!(
        said("ls", "{{upper .Name}} {{.Status}}"),
        "PROJECT running(1)\n"
    );
    assert_eq!(said("images", "{{.ContainerName}}"), "project-one-1\n");
    for verb in ["ls", "images"] {
        let refused = sandbox.consort(&[verb, "--format", "yaml"]).fails_with(2);
        assert!(
            refused.contains("`--format yaml` is not known"),
            "{refused}"
        );
    }
}

#[test]
fn ps_without_a_project_shows_nothing() {
    let sandbox = Sandbox::new(SLEEPER);
    assert!(sandbox.ps().is_empty());
}

#[test]
fn config_prints_the_resolved_project() {
    let sandbox = Sandbox::new(SLEEPER).with_env("BUSYBOX", "busybox:latest");
    let yaml = sandbox.consort(&["config"]).succeeds();
    assert!(yaml.starts_with("name: project\n"), "{yaml}");
    assert!(yaml.contains("image: busybox:latest"), "{yaml}");
    let json = sandbox.consort(&["config", "--format", "json"]).succeeds();
    let parsed: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(parsed["services"]["one"]["environment"]["COLOUR"], "green");
    assert_eq!(
        sandbox.consort(&["config", "--services"]).succeeds(),
        "one\n"
    );
    assert_eq!(sandbox.consort(&["config", "-q"]).succeeds(), "");
}

#[test]
fn top_lists_the_processes_of_each_container() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLEEPER);
    sandbox.consort(&["up", "-d"]).succeeds();
    let top = sandbox.consort(&["top"]).succeeds();
    assert!(
        top.contains("SERVICE") && top.contains("one") && top.contains("sleep 1000"),
        "{top}"
    );
}

#[test]
fn images_lists_what_the_containers_run() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLEEPER);
    sandbox.consort(&["up", "-d"]).succeeds();
    let json = sandbox.consort(&["images", "--format", "json"]).succeeds();
    let parsed: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(parsed[0]["ContainerName"], "project-one-1", "{json}");
    for time in ["Created", "LastTagTime"] {
        assert!(parsed[0][time].is_string(), "{time}: {json}");
    }
}

#[test]
fn images_tell_of_a_folder_what_they_tell_of_others() {
    let sandbox = Sandbox::new("services: {one: {image: 'rootfs:/', command: ['true']}}");
    sandbox.consort(&["create"]).succeeds();
    let json = sandbox.consort(&["images", "--format", "json"]).succeeds();
    let parsed: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(parsed[0]["Repository"], "rootfs:/", "{json}");
    for text in ["Created", "LastTagTime", "Platform"] {
        let is_there = parsed[0][text].as_str().is_some_and(|it| !it.is_empty());
        assert!(is_there, "{text}: {json}");
    }
}

#[test]
fn events_tell_of_create_start_and_die() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLEEPER);
    sandbox.consort(&["up", "-d"]).succeeds();
    let events = sandbox.start(&["events", "--json", "--since", "1h"]);
    let follows = |action: &str| events.has_written(action).then_some(());
    // What is past comes first: whoever tells of it hears what comes.
    until("the follower", || follows(r#""action":"start""#));
    sandbox.consort(&["restart", "-t", "0"]).succeeds();
    let exec = sandbox.consort(&["exec", "-T", "one", "sh", "-c", "exit 3"]);
    assert_eq!(exec.status.code(), Some(3), "{exec}");
    sandbox.consort(&["stop", "-t", "0"]).succeeds();
    until("the last stop", || {
        let told = events.written();
        (told.matches(r#""action":"stop""#).count() == 2).then_some(())
    });
    events.signal(Signal::INT);
    let run = events.wait();
    let told: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let actions: Vec<_> = told
        .iter()
        .filter_map(|event| event["action"].as_str())
        .collect();
    let stopped = ["kill", "die", "stop"];
    let again = [
        "start",
        "restart",
        "exec_create: sh -c exit 3",
        "exec_start: sh -c exit 3",
        "exec_die",
    ];
    let all = [&["create", "start"][..], &stopped, &again, &stopped].concat();
    assert_eq!(actions, all);
    let ended = told.iter().find(|event| event["action"] == "exec_die");
    assert_eq!(ended.unwrap()["attributes"]["exitCode"], "3");
    assert!(
        told.iter()
            .all(|event| event["service"] == "one" && event["type"] == "container")
    );
}

#[test]
fn events_of_the_past_are_told_and_end_when_they_shall() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLEEPER);
    sandbox.consort(&["up", "-d"]).succeeds();
    let past = sandbox
        .consort(&["events", "--since", "1h", "--until", "0s"])
        .succeeds();
    let actions: Vec<_> = past
        .lines()
        .filter_map(|line| line.split(' ').nth(3))
        .collect();
    assert_eq!(actions, ["create", "start"], "{past}");
    let before = sandbox.consort(&["events", "--since", "2h", "--until", "1h"]);
    assert_eq!(before.succeeds(), "");
    let now = sandbox.consort(&["events", "--until", "0s"]);
    assert_eq!(now.succeeds(), "", "without `--since` the past is left out");
}

#[test]
fn kill_leaves_orphans_alone_unless_asked() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLEEPER);
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.rewrite("services: {two: {image: '${BUSYBOX}'}}");
    sandbox.consort(&["kill"]).succeeds();
    assert_eq!(sandbox.field("one", "State").as_deref(), Some("running"));
    sandbox.consort(&["kill", "--remove-orphans"]).succeeds();
    until("its end", || {
        (sandbox.field("one", "State")? == "exited").then_some(())
    });
}

#[test]
fn progress_goes_to_standard_output_where_the_project_says_so() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLEEPER);
    sandbox.file(
        ".env",
        "COMPOSE_STATUS_STDOUT=true\nCOMPOSE_PROGRESS=json\n",
    );
    let run = sandbox.consort(&["up", "-d"]);
    assert!(
        run.stdout.contains("{\"id\":\"Container project-one-1\""),
        "{run}"
    );
    assert_eq!(run.stderr, "", "{run}");
}

#[test]
fn version_and_completions_are_there() {
    let sandbox = Sandbox::new(SLEEPER);
    let short = sandbox.consort(&["version", "--short"]).succeeds();
    assert_eq!(short.trim(), env!("CARGO_PKG_VERSION"));
    let json = sandbox.consort(&["version", "--format", "json"]).succeeds();
    let parsed: Value = serde_json::from_str(&json).unwrap();
    assert!(parsed["version"].is_string(), "{json}");
    let script = sandbox.consort(&["completion", "bash"]).succeeds();
    assert!(script.contains("consort"), "{script}");
}

#[test]
fn progress_is_lines_in_a_pipe_and_objects_on_demand() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLEEPER);
    let plain = sandbox.consort(&["up", "-d"]);
    assert!(
        !plain.stderr.contains('\x1b'),
        "no escape codes in a pipe: {plain}"
    );
    sandbox.consort(&["down", "-t", "0"]).succeeds();
    let json = sandbox.consort(&["--progress", "json", "up", "-d"]);
    assert!(json.ok(), "{json}");
    let parsed: Vec<Value> = json
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let done = parsed
        .iter()
        .any(|event| event["id"] == "Container project-one-1");
    assert!(done, "{json}");
}
