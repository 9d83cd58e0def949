//! What a container can find of our processes that enter it, and what it can do to them.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use sha2::Digest as _;

use crate::support::Sandbox;
use crate::support::checks::until;
use crate::support::machine::{self, needs};

/// More than stopping takes on a busy machine, and less than any wait for a process that is stopped.
const SOON: Duration = Duration::from_secs(9);

/// Looks at every other process without making one, and tells of whatever is the host's.
const WATCH: &str = r#"
up=../../../../../../../../../../../../../../..
while read -r key value; do [ "$key" = CapBnd: ] && own=0x$value; done </proc/self/status
echo begun
while :; do
  for process in /proc/[0-9]*; do
    [ $process = /proc/$$ ] && continue
    for entry in $process/fd/* $process/cwd $process/root; do
      [ -e $entry/$up$HOST_FILE ] && echo "out through $entry"
    done
    while read -r key value; do
      [ "$key" = CapPrm: ] && [ $((0x$value & ~own)) != 0 ] && echo "rights in $process: $value"
    done <$process/status
    seen=$((seen + 1)); [ $seen = 2000 ] && echo looked
  done 2>/dev/null
done
"#;

const WATCHED: &str = "
services:
  watcher:
    image: ${BUSYBOX}
    command: [sh, /watch]
    volumes: ['./watch:/watch:ro']
    environment: {HOST_FILE: '${HOST_FILE}'}
    cap_add: CAPABILITIES
    stop_grace_period: 0s
    healthcheck: {test: [CMD, 'true'], interval: 100ms}
    post_start: [{command: ['true']}]
    pre_stop: [{command: ['true']}]
  beside:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    init: true
    pid: service:watcher
    depends_on: [watcher]
    stop_grace_period: 0s
    pre_stop: [{command: ['true']}]
";

#[test]
fn what_enters_a_container_leads_nowhere_outside_and_has_no_more_rights() {
    needs!(machine::images());
    for capabilities in ["[]", "[SYS_PTRACE]"] {
        let sandbox = Sandbox::new(&WATCHED.replace("CAPABILITIES", capabilities));
        let host_file = sandbox.file("watch", WATCH);
        let sandbox = sandbox.with_env("HOST_FILE", &host_file.display().to_string());
        sandbox.consort(&["up", "-d"]).succeeds();
        for _ in 0..10 {
            sandbox.sh("watcher", ":");
            sandbox.sh("beside", ":");
        }
        sandbox.consort(&["restart", "beside"]).succeeds();
        until("the watcher to have looked around", || {
            sandbox.logs("watcher").contains("looked").then_some(())
        });
        assert_eq!(sandbox.logs("watcher"), "begun\nlooked\n");
    }
}

#[test]
fn the_program_of_a_shared_pid_namespace_reads_the_proc_of_that_namespace() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one:
    image: ${BUSYBOX}
    command: [sleep, '1111']
    stop_grace_period: 0s
  other:
    image: ${BUSYBOX}
    command: [sleep, '2222']
    pid: service:one
    depends_on: [one]
    stop_grace_period: 0s
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    for service in ["one", "other"] {
        let seen = sandbox.sh(service, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
        assert!(
            seen.contains("sleep 1111") && seen.contains("sleep 2222"),
            "{seen}"
        );
    }
    let masked = sandbox.sh(
        "other",
        "head -c 1 /proc/keys | wc -c; echo 1 2>&- >/proc/sys/vm/swappiness || echo read-only",
    );
    assert_eq!(masked, "0\nread-only");
}

/// Stops every process but its own first one, again and again.
const STOPPING: &str = "
services:
  one:
    image: ${BUSYBOX}
    command: [sh, -c, 'trap : TERM; while :; do for p in /proc/[0-9]*; do p=$${p#/proc/}; [ $$p = 1 ] || kill -STOP $$p; done 2>/dev/null; done']
    stop_grace_period: 0s
    healthcheck: {test: [CMD, 'true'], interval: 1s, timeout: 1s, retries: 1}
";

#[test]
fn a_container_that_stops_what_enters_it_does_not_hold_up_its_monitor() {
    needs!(machine::images());
    let sandbox = Sandbox::new(STOPPING);
    sandbox.consort(&["up", "-d"]).succeeds();
    until("the stopped probes to be given up", || {
        (sandbox.field("one", "Health")? == "unhealthy").then_some(())
    });
    for verb in [&["stop"][..], &["start"], &["kill"], &["start"], &["down"]] {
        let began = Instant::now();
        sandbox.consort(verb).succeeds();
        assert!(began.elapsed() < SOON, "{verb:?}: {:?}", began.elapsed());
    }
}

#[test]
fn a_container_ends_at_once_beside_a_stopped_client_and_beside_a_probe() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    stop_grace_period: 0s
    healthcheck: {test: [CMD, sleep, '300'], interval: 1s, timeout: 200s}
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    let client = sandbox.start(&["exec", "-T", "one", "sh", "-c", "echo inside; sleep 1000"]);
    until("the program to run", || {
        client.has_written("inside").then_some(())
    });
    client.signal(Signal::STOP);
    let began = Instant::now();
    sandbox.consort(&["stop"]).succeeds();
    let took = began.elapsed();
    client.signal(Signal::CONT);
    assert_eq!(client.wait().status.code(), Some(137));
    assert!(took < SOON / 3, "{took:?}");
}

#[test]
fn a_program_ends_with_the_client_that_started_it_and_goes_on_when_that_left() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "services: {one: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}}",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox
        .consort(&["exec", "-d", "one", "sleep", "2222"])
        .succeeds();
    let line = "echo inside; sleep 3333 & sleep 4444";
    let client = sandbox.start(&["exec", "-T", "one", "sh", "-c", line]);
    until("the program to run", || {
        client.has_written("inside").then_some(())
    });
    client.signal(Signal::KILL);
    assert!(client.wait().was_killed());
    until("what the client has started to end", || {
        let running = sandbox.sh("one", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
        assert!(running.contains("sleep 2222"), "{running}");
        (!running.contains("3333") && !running.contains("4444")).then_some(())
    });
}

#[test]
fn a_probe_that_runs_out_of_time_leaves_nothing_behind() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    stop_grace_period: 0s
    healthcheck: {test: [CMD-SHELL, 'sleep 301 & setsid sleep 302 & (sleep 303 &) ; sleep 304'], interval: 1s, timeout: 1s, retries: 3}
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    until("three probes to fail", || {
        (sandbox.field("one", "Health")? == "unhealthy").then_some(())
    });
    let running = sandbox.sh("one", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
    for seconds in 301..=304 {
        let left = running.matches(&format!("sleep {seconds}")).count();
        // One probe may run right now.
        assert!(left <= 1, "{left} of {seconds}: {running}");
    }
}

#[test]
fn containers_that_share_ipc_share_dev_shm_and_none_sees_our_run_folder_there() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  owner: {image: '${BUSYBOX}', command: [sleep, '1000'], ipc: shareable, shm_size: 8m, stop_grace_period: 0s}
  guest: {image: '${BUSYBOX}', command: [sleep, '1000'], ipc: 'service:owner', stop_grace_period: 0s}
  host: {image: '${BUSYBOX}', command: [sleep, '1000'], ipc: host, stop_grace_period: 0s}
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.sh("owner", "echo here >/dev/shm/note");
    let seen = "cat /dev/shm/note; df -k /dev/shm | tail -n 1 | awk '{print $2}'";
    assert_eq!(sandbox.sh("guest", seen), "here\n8192");
    let ours = sandbox.sh(
        "host",
        "find /dev/shm -mindepth 2 -path '/dev/shm/consort-*' | head -n 3",
    );
    let folder = format!("/dev/shm/consort-{}/", rustix::process::geteuid().as_raw());
    assert!(!ours.contains(&folder), "{ours}");
    assert_eq!(sandbox.sh("host", "test -e /dev/shm/note; echo $?"), "1");
}

#[test]
fn the_processes_of_the_host_are_seen_with_pid_host() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "services: {one: {image: '${BUSYBOX}', command: [sleep, '1000'], pid: host, stop_grace_period: 0s}}",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    let us = format!("cat /proc/{}/comm", std::process::id());
    let name = std::fs::read_to_string("/proc/self/comm").unwrap();
    assert_eq!(sandbox.sh("one", &us), name.trim());
}

#[test]
fn where_no_thread_can_be_made_a_command_says_so() {
    // Root is not counted.
    needs!(
        machine::images(),
        machine::ordinary_user(),
        machine::program("prlimit")
    );
    let sandbox = Sandbox::new("services: {one: {image: '${BUSYBOX}', command: [sleep, '1000']}}");
    let consort = sandbox.command();
    let mut limited = std::process::Command::new("prlimit");
    limited
        .arg("--nproc=1")
        .arg(consort.get_program())
        .args(consort.get_args())
        .args(["up", "-d"])
        .current_dir(sandbox.path("project"))
        .env_clear()
        .envs(
            consort
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    let output = limited.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !said.contains("panicked") && said.contains("error: "),
        "{said}"
    );
    assert!(
        output.status.code().is_some_and(|code| code < 100),
        "{}",
        output.status
    );
}

#[test]
fn the_run_folder_of_a_state_directory_goes_with_its_last_container() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "services: {one: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}}",
    );
    let digest = sha2::Sha256::digest(sandbox.path("state").as_os_str().as_encoded_bytes());
    let name: String = digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let user = rustix::process::geteuid().as_raw();
    let runtime = sandbox.path("runtime/consort").display().to_string();
    let shared = format!("/dev/shm/consort-{user}");
    let bases = ["/run/consort", "/dev/consort", &shared, &runtime];
    let is_there = || {
        bases
            .iter()
            .any(|base| std::path::Path::new(base).join(&name).exists())
    };
    for _ in 0..2 {
        sandbox.consort(&["up", "-d"]).succeeds();
        assert!(is_there());
        sandbox.consort(&["ps"]).succeeds();
        sandbox.consort(&["down"]).succeeds();
        assert!(!is_there());
    }
}
