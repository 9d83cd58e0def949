//! Beginning, ending, and what an exit code says.

use consort::runtime::container::ContainerError;
use consort::runtime::kernel::pidfd::Exit;

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
    drop(rustix::process::waitpid(
        rustix::process::Pid::from_raw(pid),
        rustix::process::WaitOptions::empty(),
    ));
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
    container.pause().unwrap();
    assert!(container.cgroup().is_paused());
    container.signal(15).unwrap();
    assert!(!container.process().wait_until_ended(Some(100)).unwrap());
    assert!(
        container
            .processes()
            .unwrap()
            .contains(&container.process().pid())
    );
    container.unpause().unwrap();
    assert_eq!(finish(&container), Exit::Code(7));
}
