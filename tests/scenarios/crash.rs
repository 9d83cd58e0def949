//! Any process of consort may be killed at any moment.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::checks::{free_port, tcp_read};
use crate::support::machine::{self, needs};
use crate::support::run::{Run, Running};
use crate::support::{Sandbox, until};

const TICKER: &str = "
services:
  ticker:
    image: ${BUSYBOX}
    command: [sh, -c, \"trap 'exit 33' TERM; n=0; while :; do n=$$((n+1)); echo tick $$n; sleep 0.02; done\"]
";

fn kill_9(pid: i32) {
    let pid = Pid::from_raw(pid).expect("a process has a positive id");
    kill_process(pid, Signal::KILL).expect("the process is there");
}

/// Kills the only monitor of the sandbox, and waits until it is gone.
fn kill_monitor(sandbox: &Sandbox) {
    let monitors = sandbox.own_processes("[monitor]");
    assert_eq!(monitors.len(), 1, "one monitor: {}", sandbox.leftovers(&[]));
    kill_9(monitors[0]);
    until("its end", || {
        (!sandbox.own_processes("[monitor]").contains(&monitors[0])).then_some(())
    });
}

/// Sends a command off and fails if it has not ended after as long as a scenario waits for anything.
fn ends_in_time(running: Running) -> Run {
    let mut running = running;
    until("the end of the command", || {
        running.child.try_wait().unwrap().map(drop)
    });
    running.wait()
}

fn inner_pid(sandbox: &Sandbox) -> String {
    sandbox.sh("ticker", "readlink /proc/1/ns/pid")
}

#[test]
fn a_container_outlives_its_monitor_and_is_adopted() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TICKER);
    sandbox.consort(&["up", "-d"]).succeeds();
    until("ticks", || {
        sandbox.logs("ticker").contains("tick 5\n").then_some(())
    });
    let before = inner_pid(&sandbox);
    kill_monitor(&sandbox);
    assert_eq!(sandbox.field("ticker", "State").as_deref(), Some("running"));
    assert_eq!(inner_pid(&sandbox), before, "the same container still runs");
    let ticks = sandbox.logs("ticker").lines().count();
    until("further ticks", || {
        (sandbox.logs("ticker").lines().count() > ticks + 5).then_some(())
    });
}

#[test]
fn nothing_of_the_log_is_lost_when_a_monitor_is_killed() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TICKER);
    sandbox.consort(&["up", "-d"]).succeeds();
    until("ticks", || {
        sandbox.logs("ticker").contains("tick 5\n").then_some(())
    });
    kill_monitor(&sandbox);
    until("ticks after it", || {
        sandbox.logs("ticker").contains("tick 60\n").then_some(())
    });
    let numbers: Vec<u32> = sandbox
        .logs("ticker")
        .lines()
        .filter_map(|line| line.strip_prefix("tick ")?.parse().ok())
        .collect();
    // What it was about to take off the stream may be there twice.
    let mut once = numbers.clone();
    once.dedup();
    assert!(once.len() + 1 >= numbers.len(), "{numbers:?}");
    let whole: Vec<u32> = (1..=u32::try_from(once.len()).unwrap()).collect();
    assert_eq!(once, whole);
}

const ONCE: &str = "
services:
  one:
    image: ${BUSYBOX}
    command: [sh, -c, 'until test -e /go; do sleep 0.01; done; echo once; exec sleep 1000']
    stop_grace_period: 0s
";

#[test]
fn a_monitor_that_dies_with_output_in_its_hands_loses_none_of_it() {
    needs!(machine::images());
    for (point, copies) in [("log.read", 1), ("log.written", 2)] {
        let sandbox = Sandbox::new(ONCE);
        let armed = format!("{point}:1:abort");
        sandbox
            .consort_with(&[("CONSORT_FAIL", &armed)], &["up", "-d"])
            .succeeds();
        sandbox.sh("one", "touch /go");
        until("the end of the monitor", || {
            sandbox.own_processes("[monitor]").is_empty().then_some(())
        });
        let written = until("the output", || {
            let written = sandbox.logs("one");
            (written.lines().count() == copies).then_some(written)
        });
        assert_eq!(written, "once\n".repeat(copies), "{point}");
    }
}

#[test]
fn stop_after_the_death_of_a_monitor_learns_the_true_exit_code() {
    needs!(machine::images(), machine::exit_codes_by_pidfd());
    let sandbox = Sandbox::new(TICKER);
    sandbox.consort(&["up", "-d"]).succeeds();
    until("ticks", || {
        sandbox.logs("ticker").contains("tick 3\n").then_some(())
    });
    kill_monitor(&sandbox);
    sandbox.consort(&["stop"]).succeeds();
    assert_eq!(sandbox.field("ticker", "State").as_deref(), Some("exited"));
    assert_eq!(sandbox.field("ticker", "ExitCode").as_deref(), Some("33"));
}

#[test]
fn stop_does_not_wait_for_ever_for_a_monitor_that_does_not_answer() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TICKER);
    sandbox.consort(&["up", "-d"]).succeeds();
    let monitor = sandbox.own_processes("[monitor]")[0];
    let monitor = Pid::from_raw(monitor).expect("a process has a positive id");
    kill_process(monitor, Signal::STOP).expect("the process is there");
    let stop = ends_in_time(sandbox.start(&["stop", "-t", "0"]));
    assert!(stop.ok(), "{stop}");
    assert_eq!(sandbox.field("ticker", "State").as_deref(), Some("exited"));
}

#[test]
fn a_terminal_whose_program_reads_no_keys_does_not_keep_its_container_from_being_stopped() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  deaf:
    image: ${BUSYBOX}
    command: [sh, -c, 'stty raw; echo deaf; exec sleep 1000']
    tty: true
    stop_grace_period: 0s
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    until("the program", || {
        sandbox.logs("deaf").contains("deaf").then_some(())
    });
    let mut attach = sandbox.command();
    attach.args(["attach", "deaf"]).stdin(Stdio::piped());
    attach.stdout(Stdio::null()).stderr(Stdio::null());
    let mut attach = attach.spawn().unwrap();
    let mut keyboard = attach.stdin.take().unwrap();
    let typist = thread::spawn(move || {
        // It fails once nobody takes the keys any more.
        keyboard.write_all(&[b'x'; 1 << 20]).ok();
    });
    let counters = format!("/proc/{}/io", attach.id());
    until("more keys than a terminal keeps", || {
        let text = fs::read_to_string(&counters).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("rchar: "))?;
        (line.parse::<u64>().ok()? > 100_000).then_some(())
    });
    let stop = ends_in_time(sandbox.start(&["stop"]));
    assert!(stop.ok(), "{stop}");
    assert_eq!(sandbox.field("deaf", "State").as_deref(), Some("exited"));
    attach.wait().unwrap();
    typist.join().unwrap();
}

/// A ticker with a published port, whose monitor is gone and whose port somebody else has.
fn with_a_stolen_port() -> (Sandbox, TcpListener) {
    let port = free_port();
    let sandbox = Sandbox::new(&format!("{TICKER}    ports: ['127.0.0.1:{port}:7000']\n"));
    sandbox.consort(&["up", "-d"]).succeeds();
    kill_monitor(&sandbox);
    let thief = until("the port to be free", || {
        TcpListener::bind(("127.0.0.1", port)).ok()
    });
    (sandbox, thief)
}

#[test]
fn a_container_whose_port_was_taken_meanwhile_is_watched_and_gets_it_back_once_it_is_free() {
    needs!(machine::images());
    let (sandbox, thief) = with_a_stolen_port();
    let address = thief.local_addr().unwrap().to_string();
    assert_eq!(sandbox.field("ticker", "State").as_deref(), Some("running"));
    assert_eq!(sandbox.own_processes("[monitor]").len(), 1);
    let ports = |sandbox: &Sandbox| sandbox.consort(&["ps"]).succeeds().contains(&address);
    assert!(!ports(&sandbox), "somebody else has it");
    let server = "nc -l -p 7000 -e echo hello </dev/null >/dev/null 2>&1 &";
    sandbox.sh("ticker", server);
    drop(thief);
    let heard = until("the port", || tcp_read(&address));
    assert_eq!(heard, "hello\n");
    assert!(ports(&sandbox));
}

#[test]
fn a_container_whose_port_was_taken_meanwhile_is_stopped_and_removed() {
    needs!(machine::images());
    let (sandbox, _thief) = with_a_stolen_port();
    assert!(sandbox.logs("ticker").contains("tick 1\n"));
    sandbox.consort(&["stop"]).succeeds();
    assert_eq!(sandbox.field("ticker", "State").as_deref(), Some("exited"));
    sandbox.ends_clean();
}

#[test]
fn a_container_that_nobody_can_watch_again_is_seen_stopped_and_removed() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TICKER);
    sandbox.consort(&["up", "-d"]).succeeds();
    kill_monitor(&sandbox);
    let found = sandbox.leftovers(&[]);
    let paths = found.lines().filter_map(|line| line.strip_prefix("file"));
    let bundle = paths
        .map(str::trim)
        .find(|path| path.ends_with("/bundle.json"));
    let bundle = bundle.unwrap_or_else(|| panic!("a bundle in {found}"));
    fs::write(bundle, "{").unwrap();
    assert_eq!(sandbox.field("ticker", "State").as_deref(), Some("running"));
    assert!(sandbox.logs("ticker").contains("tick 1\n"));
    sandbox.consort(&["stop"]).succeeds();
    assert_eq!(sandbox.field("ticker", "State").as_deref(), Some("exited"));
    sandbox.ends_clean();
}

/// A small disk of its own for a sandbox's state directory; it goes when this does.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn below(sandbox: &Sandbox) -> Self {
        let path = sandbox.path("state");
        fs::create_dir(&path).unwrap();
        let made = Self(path);
        made.run(
            "mount",
            &["-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs"],
        );
        made
    }

    fn run(&self, program: &str, args: &[&str]) {
        let mut command = Command::new(program);
        let status = command.args(args).arg(&self.0).status().unwrap();
        assert!(
            status.success() || thread::panicking(),
            "{program} {args:?}"
        );
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.run("umount", &["--lazy"]);
    }
}

#[test]
fn a_full_disk_keeps_nobody_from_seeing_stopping_and_removing_what_filled_it() {
    needs!(machine::images(), machine::root());
    let sandbox = Sandbox::new(
        "
services:
  filler:
    image: ${BUSYBOX}
    command:
      - sh
      - -c
      - trap 'exit 33' TERM; dd if=/dev/zero of=/data/all bs=64k; touch /dev/shm/full; while :; do echo tick; sleep 0.02; done
    restart: always
    volumes: ['data:/data']
volumes: {data: }
",
    );
    let disk = SmallDisk::below(&sandbox);
    sandbox.consort(&["up", "-d"]).succeeds();
    until("a full disk", || {
        let look = ["exec", "-T", "filler", "test", "-e", "/dev/shm/full"];
        sandbox.consort(&look).ok().then_some(())
    });
    let monitors = sandbox.own_processes("[monitor]");
    // More output than the last blocks have room for, and a change of the state record.
    sandbox.sh("filler", "dd if=/dev/zero of=/proc/1/fd/1 bs=64k count=4");
    sandbox.consort(&["pause"]).succeeds();
    sandbox.consort(&["unpause"]).succeeds();
    assert_eq!(sandbox.own_processes("[monitor]"), monitors);
    assert_eq!(sandbox.field("filler", "State").as_deref(), Some("running"));
    sandbox.consort(&["stop"]).succeeds();
    assert_eq!(sandbox.field("filler", "State").as_deref(), Some("exited"));
    assert_eq!(sandbox.field("filler", "ExitCode").as_deref(), Some("33"));
    sandbox.ends_clean();
    drop(disk);
}

#[test]
fn up_after_the_death_of_everything_starts_again() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TICKER);
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.kill_everything();
    assert_ne!(sandbox.field("ticker", "State").as_deref(), Some("running"));
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(sandbox.field("ticker", "State").as_deref(), Some("running"));
}

#[test]
fn down_after_the_death_of_everything_leaves_nothing() {
    needs!(machine::images());
    let sandbox = Sandbox::new(TICKER);
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.kill_everything();
    sandbox.ends_clean();
}

#[test]
fn a_reboot_is_survived() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    volumes: ['data:/data']
    stop_grace_period: 0s
volumes: {data: }
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.sh("one", "echo kept >/data/kept");
    sandbox.kill_everything();
    // What a reboot wipes: the run directory.
    for line in sandbox
        .leftovers(&[])
        .lines()
        .filter_map(|line| line.strip_prefix("file"))
    {
        let path = std::path::Path::new(line.trim());
        if !path.starts_with(sandbox.path("state")) {
            drop(fs::remove_file(path).or_else(|_| fs::remove_dir_all(path)));
        }
    }
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(sandbox.sh("one", "cat /data/kept"), "kept");
}

#[test]
fn two_commands_at_once_end_as_if_one_had_come_after_the_other() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  a: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}
  b: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}
",
    );
    for _ in 0..5 {
        let first = sandbox.start(&["up", "-d"]);
        let second = sandbox.start(&["up", "-d"]);
        let third = sandbox.start(&["down", "-t", "0"]);
        for running in [first, second, third] {
            let run = running.wait();
            assert!(run.ok(), "{run}");
        }
        let count = sandbox.ps().len();
        assert!(count == 0 || count == 2, "{count} containers");
    }
}

#[test]
fn a_second_command_says_for_whom_it_waits() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  slow: {image: '${BUSYBOX}', command: [sh, -c, \"trap '' TERM; while :; do sleep 0.1; done\"], stop_grace_period: 3s}
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    let stop = sandbox.start(&["stop"]);
    let pid = stop.child.id().to_string();
    let refused = until("the lock to be taken", || {
        let run = sandbox.consort(&["--no-wait", "up", "-d"]);
        (!run.ok()).then_some(run)
    });
    assert!(
        refused.stderr.contains(&pid) && refused.stderr.contains("stop"),
        "{refused}"
    );
    let waited = sandbox.start(&["up", "-d"]);
    assert!(stop.wait().ok());
    let waited = waited.wait();
    assert!(waited.ok(), "{waited}");
    assert_eq!(sandbox.field("slow", "State").as_deref(), Some("running"));
}

#[test]
fn ps_works_while_another_command_holds_the_project() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  slow: {image: '${BUSYBOX}', command: [sh, -c, \"trap '' TERM; while :; do sleep 0.1; done\"], stop_grace_period: 2s}
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    let stop = sandbox.start(&["stop"]);
    assert_eq!(sandbox.ps().len(), 1);
    assert!(stop.wait().ok());
}

#[test]
fn a_damaged_state_file_is_that_containers_matter_only() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  a: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}
  b: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    let id = sandbox.field("a", "ID").unwrap();
    let containers = sandbox.path("state/projects/project/containers");
    let folder = fs::read_dir(&containers)
        .unwrap()
        .map_while(Result::ok)
        .find(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with(id.get(..12).unwrap())
        })
        .unwrap();
    for damage in [&b""[..], b"\0\0\0\0", b"{\"half\":"] {
        fs::write(folder.path().join("state.json"), damage).unwrap();
        let found = sandbox.ps();
        assert!(
            found
                .iter()
                .any(|one| one["Service"] == "b" && one["State"] == "running"),
            "{found:?}"
        );
    }
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(sandbox.field("a", "State").as_deref(), Some("running"));
}

#[test]
fn an_interrupted_up_keeps_what_runs_and_the_next_goes_on() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  first: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}
  never:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    depends_on: [first]
    stop_grace_period: 0s
    healthcheck: {test: [CMD, test, -e, /ready], interval: 50ms, retries: 1000}
  last: {image: '${BUSYBOX}', command: [sleep, '1000'], depends_on: {never: {condition: service_healthy}}, stop_grace_period: 0s}
",
    );
    let up = sandbox.start(&["up", "-d"]);
    until("the wait", || {
        (sandbox.field("never", "State")? == "running").then_some(())
    });
    up.signal(Signal::INT);
    let run = up.wait();
    assert_eq!(run.status.code(), Some(130), "{run}");
    assert_eq!(sandbox.field("first", "State").as_deref(), Some("running"));
    sandbox.sh("never", "touch /ready");
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(sandbox.field("last", "State").as_deref(), Some("running"));
}

#[test]
fn foreign_things_that_look_like_ours_are_never_touched() {
    needs!(machine::images(), machine::root(), machine::program("ip"));
    let ip = |args: &[&str]| Command::new("ip").args(args).status().unwrap().success();
    let name = format!("csx{}", std::process::id() % 1_000_000);
    assert!(ip(&["link", "add", &name, "type", "bridge"]));
    let sandbox = Sandbox::new(
        "services: {one: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}}",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.consort(&["down", "-t", "0"]).succeeds();
    let kept = std::path::Path::new("/sys/class/net").join(&name).exists();
    assert!(ip(&["link", "delete", &name]));
    assert!(kept);
}

#[test]
fn the_process_that_enters_a_container_has_failpoints_too() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "services: {one: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}}",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    let enter = ["exec", "-T", "one", "echo", "inside"];
    let list = sandbox.path("points");
    let armed = format!("list:{}", list.display());
    let run = sandbox.consort_with(&[("CONSORT_FAIL", &armed)], &enter);
    assert_eq!(run.succeeds(), "inside\n");
    let points = fs::read_to_string(&list).unwrap();
    assert!(points.contains("exec.enter\n"), "{points}");
    for action in ["errno=EPERM", "abort"] {
        let armed = format!("exec.enter:1:{action}");
        let run = sandbox.consort_with(&[("CONSORT_FAIL", &armed)], &enter);
        assert!(!run.ok() && !run.stdout.contains("inside"), "{run}");
    }
    assert_eq!(sandbox.consort(&enter).succeeds(), "inside\n");
}

const NAMED: &str = "
name: PROJECT
services:
  one:
    image: ${BUSYBOX}
    command: [sh, -c, echo this is PROJECT; sleep 1000]
    container_name: sole
    stop_grace_period: 0s
";

#[test]
fn a_name_is_taken_from_the_moment_its_container_is_being_made() {
    needs!(machine::images());
    let sandbox = Sandbox::new(&NAMED.replace("PROJECT", "first"));
    let other = sandbox.file("other.yaml", &NAMED.replace("PROJECT", "second"));
    let other = other.display().to_string();
    let slow = [("CONSORT_FAIL", "container.record:1:delay_ms=1500")];
    let up = sandbox.start_with(&slow, &["up", "-d"]);
    let name = sandbox.path("state/names/sole");
    until("the name to be taken", || name.exists().then_some(()));
    let refused = sandbox.other(&["--file", &other, "up", "-d"]).fails_with(1);
    assert!(refused.contains("belongs to project `first`"), "{refused}");
    let up = up.wait();
    assert!(up.ok(), "{up}");
    sandbox.other(&["--file", &other, "down"]).succeeds();
    assert_eq!(sandbox.field("one", "State").as_deref(), Some("running"));
    assert_eq!(sandbox.logs("one"), "this is first\n");
}

#[test]
fn a_name_is_free_when_the_making_of_its_container_was_interrupted() {
    needs!(machine::images());
    let sandbox = Sandbox::new(&NAMED.replace("PROJECT", "first"));
    let other = sandbox.file("other.yaml", &NAMED.replace("PROJECT", "second"));
    let other = other.display().to_string();
    let abort = [("CONSORT_FAIL", "container.record:1:abort")];
    assert!(sandbox.consort_with(&abort, &["up", "-d"]).was_killed());
    sandbox.other(&["--file", &other, "up", "-d"]).succeeds();
    sandbox.consort(&["up", "-d"]).fails_with(1);
    sandbox.other(&["--file", &other, "down"]).succeeds();
    sandbox.consort(&["up", "-d"]).succeeds();
}
