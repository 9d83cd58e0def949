//! Beginning, ending, and what an exit code says.

use consort::runtime::container::cgroup::{Hierarchies, Sought, leftovers};
use consort::runtime::container::description::Terminal;
use consort::runtime::container::{
    Container, ContainerError, ContainerRecord, FirstProcess, JoinedNamespace, JoinedNamespaces,
    Stdio,
};
use consort::runtime::kernel::pidfd::{Exit, ProcessIdentity};
use consort::runtime::kernel::{namespace, sys};

use crate::needs_privileges;
use crate::sandbox::{Sandbox, captured, finish, sh};

#[test]
fn a_program_runs_and_its_output_and_exit_code_come_back() {
    needs_privileges!();
    let outcome = Sandbox::new("echo hello; exit 42").try_run().unwrap();
    assert_eq!(outcome.output, "hello\n");
    assert_eq!(outcome.exit, Exit::Code(42));
}

#[test]
fn the_program_is_the_first_process_of_its_own_machine() {
    needs_privileges!();
    let output = sh("echo $$; hostname; ls /; pwd; ps | grep -c .");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[..2], ["1", "box"]);
    assert!(lines.contains(&"/"));
    assert!(!output.contains("/work"), "{output}");
}

#[test]
fn a_missing_program_is_127_and_one_that_cannot_run_126() {
    needs_privileges!();
    let mut missing = Sandbox::new("");
    missing.description.args = vec!["no-such-program".to_owned()];
    let error = missing.try_run().unwrap_err();
    assert_eq!(error.exit_code(), 127, "{error}");
    assert!(error.to_string().contains("no-such-program"));

    let mut not_executable = Sandbox::new("");
    not_executable.description.args = vec!["/etc/passwd".to_owned()];
    let error = not_executable.try_run().unwrap_err();
    assert_eq!(error.exit_code(), 126, "{error}");

    let mut loader = Sandbox::new("");
    let path = loader.dir.path().join("bin/script");
    std::fs::write(&path, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    loader.description.args = vec!["script".to_owned()];
    let error = loader.try_run().unwrap_err();
    assert!(
        matches!(error, ContainerError::InterpreterNotFound { .. }),
        "{error}"
    );
}

#[test]
fn a_created_container_that_is_not_started_goes_away_with_its_creator() {
    needs_privileges!();
    let mut sandbox = Sandbox::new("echo never");
    let (_reader, stdio) = captured();
    let created = sandbox.create(stdio).unwrap();
    let record = created.container().record().unwrap();
    let cgroup = record.cgroup.clone();
    let pid = record.process.pid;
    drop(created);
    assert!(cgroup.wait_until_empty(5_000).unwrap());
    let child = rustix::process::Pid::from_raw(pid);
    rustix::process::waitpid(child, rustix::process::WaitOptions::empty()).unwrap();
    cgroup.remove().unwrap();
}

#[test]
fn a_signal_ends_it_and_pausing_stops_it() {
    needs_privileges!();
    let mut sandbox = Sandbox::new("trap 'exit 7' TERM; echo up; while :; do sleep 1 & wait; done");
    let (mut reader, stdio) = captured();
    let container = sandbox.create(stdio).unwrap().start().unwrap();
    let mut byte = [0; 3];
    std::io::Read::read_exact(&mut reader, &mut byte).unwrap();
    assert!(
        container
            .processes()
            .unwrap()
            .contains(&container.process().pid())
    );
    if container.cgroup().is_empty() {
        assert!(
            container
                .pause()
                .unwrap_err()
                .to_string()
                .contains("no cgroup")
        );
        container.signal(15).unwrap();
    } else {
        container.pause().unwrap();
        assert!(container.cgroup().is_paused());
        container.signal(15).unwrap();
        assert!(!container.process().wait_until_ended(Some(100)).unwrap());
        container.unpause().unwrap();
    }
    assert_eq!(finish(&container), Exit::Code(7));
}

#[test]
fn a_terminal_is_the_containers_own_console() {
    needs_privileges!();
    let mut sandbox =
        Sandbox::new("tty; stty size; stat -c '%t' /dev/console; [ -t 2 ] && echo tty2");
    sandbox.description.terminal = Terminal::Yes;
    let mut created = sandbox
        .create(Stdio::Terminal {
            rows: 40,
            columns: 100,
        })
        .unwrap();
    let mut terminal = std::fs::File::from(created.take_terminal().unwrap());
    let container = created.start().unwrap();
    let mut output = Vec::new();
    // A terminal whose other side is closed answers with an error, not with an end.
    drop(std::io::Read::read_to_end(&mut terminal, &mut output));
    let output = String::from_utf8(output).unwrap().replace('\r', "");
    assert_eq!(output, "/dev/pts/0\n40 100\n88\ntty2\n");
    assert_eq!(finish(&container), Exit::Code(0));
}

#[test]
fn the_small_init_reaps_orphans_passes_signals_on_and_keeps_the_code() {
    needs_privileges!();
    let script =
        "echo $$; (sleep 0.1 & ) ; sleep 0.3; ps -o pid,comm,stat; ls /proc/1/fd | wc -l; exit 9";
    let mut sandbox = Sandbox::new(script);
    sandbox.first_process = FirstProcess::Reaper;
    let outcome = sandbox.try_run().unwrap();
    assert!(outcome.output.starts_with("2\n"), "{}", outcome.output);
    assert!(
        outcome.output.contains("consort-init"),
        "{}",
        outcome.output
    );
    assert!(!outcome.output.contains('Z'), "{}", outcome.output);
    assert_eq!(outcome.exit, Exit::Code(9));

    let mut sandbox = Sandbox::new("trap 'exit 3' TERM; echo up; while :; do sleep 1 & wait; done");
    sandbox.first_process = FirstProcess::Reaper;
    let (mut reader, stdio) = captured();
    let container = sandbox.create(stdio).unwrap().start().unwrap();
    let mut bytes = [0; 3];
    std::io::Read::read_exact(&mut reader, &mut bytes).unwrap();
    container.signal(15).unwrap();
    assert_eq!(finish(&container), Exit::Code(3));

    let mut sandbox = Sandbox::new("");
    sandbox.first_process = FirstProcess::Reaper;
    sandbox.description.args = vec!["no-such-program".to_owned()];
    assert_eq!(sandbox.try_run().unwrap_err().exit_code(), 127);
}

#[test]
fn another_containers_namespaces_can_be_joined() {
    needs_privileges!();
    let mut first = Sandbox::new("echo up; exec sleep 1000");
    let (mut reader, stdio) = captured();
    let owner = first.create(stdio).unwrap().start().unwrap();
    let mut byte = [0; 1];
    std::io::Read::read_exact(&mut reader, &mut byte).unwrap();
    let pid = owner.process().pid();
    let mut second = Sandbox::new(
        "for n in net ipc pid uts; do readlink /proc/self/ns/$n; done; echo $$; ps | grep -c sleep",
    );
    second.description.hostname = None;
    let joined = |name: &str| JoinedNamespace {
        namespace: namespace::open_of(pid, name).unwrap(),
        process: owner.process().try_clone().unwrap().into_fd(),
    };
    second.join = JoinedNamespaces {
        network: Some(namespace::open_of(pid, "net").unwrap()),
        ipc: Some(joined("ipc")),
        pid: Some(joined("pid")),
        uts: Some(namespace::open_of(pid, "uts").unwrap()),
    };
    let output = second.run();
    for name in ["net", "ipc", "pid", "uts"] {
        let link = std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
        assert!(
            output.contains(link.to_str().unwrap()),
            "{name} in {output}"
        );
    }
    assert!(!output.contains("\n1\n1\n"), "{output}");
    owner.kill_all(5_000).unwrap();
    finish(&owner);
}

#[test]
fn the_exit_of_a_container_that_somebody_else_reaped_is_still_known() {
    needs_privileges!();
    let mut sandbox = Sandbox::new("sleep 0.2; exit 42");
    let (_reader, stdio) = captured();
    let container = sandbox.create(stdio).unwrap().start().unwrap();
    let other = Container::adopt(&container.record().unwrap())
        .unwrap()
        .unwrap();
    assert_eq!(finish(&container), Exit::Code(42));
    // As a monitor would see it that is not the parent: before Linux 6.15 nobody can know.
    let seen = other.exit(1_000).unwrap().unwrap();
    assert!(matches!(seen, Exit::Code(42) | Exit::Unknown), "{seen:?}");
    assert!(
        Container::adopt(&container_record_of_the_dead(&other))
            .unwrap()
            .is_none()
    );
}

fn container_record_of_the_dead(container: &Container) -> ContainerRecord {
    ContainerRecord {
        process: ProcessIdentity {
            pid: container.process().pid(),
            start_ticks: 1,
        },
        cgroup: container.cgroup().clone(),
    }
}

#[test]
fn a_failed_set_up_leaves_nothing_behind() {
    needs_privileges!();
    let mut sandbox = Sandbox::new("true");
    sandbox.description.cwd = "/etc/passwd/not-a-directory".into();
    let error = sandbox.try_run().unwrap_err();
    assert!(error.to_string().contains("working directory"), "{error}");
    let found = leftovers(
        &Hierarchies::detect().unwrap(),
        sys::territory().unwrap(),
        Sought {
            projects: &|_| true,
            names: &|_| true,
        },
    );
    assert!(!found.contains_key(&format!("tests/{}", sandbox.name())));
}
