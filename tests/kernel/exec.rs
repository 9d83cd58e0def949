//! Another program in a running container.

use std::ffi::CString;
use std::io::Read as _;

use consort::runtime::container::description::Privilege;
use consort::runtime::container::exec::{ExecRequest, Executed, begin};
use consort::runtime::container::{Container, ContainerError, Stdio};
use consort::runtime::kernel::pidfd::Exit;
use consort::runtime::kernel::reexec::OwnProgram;
use oci_spec::runtime::Spec;

use crate::sandbox::{Outcome, Sandbox, captured, chain, finish};
use crate::{needs_ids, needs_privileges};

struct Running {
    sandbox: Sandbox,
    container: Container,
    spec: Spec,
}

fn running(mut sandbox: Sandbox) -> Running {
    let (mut reader, stdio) = captured();
    let spec = sandbox.spec().unwrap();
    let container = sandbox.create(stdio).unwrap().start().unwrap();
    let mut byte = [0; 1];
    reader.read_exact(&mut byte).unwrap();
    Running {
        sandbox,
        container,
        spec,
    }
}

fn idle() -> Sandbox {
    Sandbox::new("echo up; exec sleep 1000")
}

fn own_program() -> OwnProgram {
    OwnProgram::at(&CString::new(env!("CARGO_BIN_EXE_consort")).unwrap()).unwrap()
}

impl Running {
    fn start(
        &self,
        args: &[&str],
        stdio: Stdio,
        change: impl FnOnce(&mut ExecRequest<'_>),
    ) -> Result<Executed, ContainerError> {
        let own_program = own_program();
        let mut request = ExecRequest {
            container: &self.container,
            first: self.spec.process().as_ref().expect("it has a process"),
            seccomp: &self.sandbox.seccomp,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: Vec::new(),
            user: None,
            cwd: None,
            privilege: Privilege::Confined,
            stdio,
            own_program: &own_program,
        };
        change(&mut request);
        let mut executed = begin(request)?;
        executed.wait_until_it_runs()?;
        Ok(executed)
    }

    fn sh(&self, script: &str, change: impl FnOnce(&mut ExecRequest<'_>)) -> Outcome {
        let (mut reader, stdio) = captured();
        let mut executed = self
            .start(&["sh", "-c", script], stdio, change)
            .unwrap_or_else(|error| panic!("{}", chain(&error)));
        let mut output = String::new();
        reader.read_to_string(&mut output).unwrap();
        Outcome {
            output,
            exit: executed.wait().unwrap(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.container.kill_all(5_000).unwrap();
        finish(&self.container);
    }
}

#[test]
fn a_program_joins_every_namespace_and_the_confinement_of_the_container() {
    needs_privileges!();
    let running = running(idle());
    let outcome = running.sh(
        "for n in mnt pid net ipc uts cgroup; do \
         [ \"$(readlink /proc/1/ns/$n)\" = \"$(readlink /proc/self/ns/$n)\" ] || echo differs $n; done; \
         hostname; grep -E 'CapInh|CapBnd|CapAmb|Seccomp:|NoNewPrivs' /proc/self/status; \
         ls /proc/self/fd | wc -l; cat /proc/self/cgroup; exit 5",
        |_| {},
    );
    assert_eq!(outcome.exit, Exit::Code(5), "{}", outcome.output);
    assert!(!outcome.output.contains("differs"), "{}", outcome.output);
    for line in [
        "box\n",
        "CapBnd:\t00000000a80425fb",
        "CapInh:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "Seccomp:\t2",
        "\n4\n",
        "memory:/\n",
        "pids:/\n",
    ] {
        assert!(
            outcome.output.contains(line),
            "{line:?} in {}",
            outcome.output
        );
    }
}

#[test]
fn user_environment_and_directory_can_be_chosen() {
    needs_privileges!();
    needs_ids!();
    let running = running(idle());
    let outcome = running.sh("id -u; id -G; pwd; echo $HOME $GREETING", |request| {
        request.user = Some("app".to_owned());
        request.cwd = Some("/tmp".into());
        request.env = vec!["GREETING=hello".to_owned()];
    });
    assert_eq!(outcome.output, "1000\n1000 77\n/tmp\n/tmp hello\n");
}

#[test]
fn what_cannot_be_run_is_named_with_dockers_exit_code() {
    needs_privileges!();
    let running = running(idle());
    let error = running
        .start(&["nothing"], captured().1, |_| {})
        .unwrap_err();
    assert_eq!(error.exit_code(), 127, "{}", chain(&error));
    let error = running
        .start(&["/etc/passwd"], captured().1, |_| {})
        .unwrap_err();
    assert_eq!(error.exit_code(), 126, "{}", chain(&error));
    let error = running
        .start(&["true"], captured().1, |request| {
            request.cwd = Some("/proc/self/fd/3".into())
        })
        .unwrap_err();
    assert_eq!(error.exit_code(), 127, "{}", chain(&error));
    assert!(error.to_string().contains("`/proc/self/fd/3`"), "{error}");
}

#[test]
fn a_terminal_is_made_in_the_container() {
    needs_privileges!();
    let running = running(idle());
    let stdio = Stdio::Terminal {
        rows: 33,
        columns: 77,
    };
    let mut executed = running
        .start(&["sh", "-c", "tty; stty size"], stdio, |_| {})
        .unwrap();
    let mut terminal = std::fs::File::from(executed.take_terminal().unwrap());
    let mut output = Vec::new();
    // A terminal whose other side is closed answers with an error, not with an end.
    drop(terminal.read_to_end(&mut output));
    let output = String::from_utf8(output).unwrap();
    assert!(output.contains("/dev/pts/0"), "{output}");
    assert!(output.contains("33 77"), "{output}");
    assert_eq!(executed.wait().unwrap(), Exit::Code(0));
}

#[test]
fn a_privileged_program_is_not_confined_and_the_container_still_is() {
    needs_privileges!();
    let running = running(idle());
    let outcome = running.sh("grep -E 'Seccomp:|CapEff' /proc/self/status", |request| {
        request.privilege = Privilege::Privileged;
    });
    assert!(outcome.output.contains("Seccomp:\t0"), "{}", outcome.output);
    assert!(!outcome.output.contains("a80425fb"), "{}", outcome.output);
}

#[test]
fn our_own_binary_cannot_be_written_through_the_joining_process() {
    needs_privileges!();
    // The container scans for new processes and tries to open what they were started from.
    let script = "echo up; while :; do for p in /proc/[0-9]*; do \
        [ $p = /proc/1 ] || (echo owned > $p/exe) 2>/dev/null && echo BROKEN; done; done";
    let (before, running) = (
        std::fs::read(env!("CARGO_BIN_EXE_consort")).unwrap(),
        running(Sandbox::new(script)),
    );
    for _ in 0..20 {
        running.sh("true", |_| {});
    }
    assert!(before == std::fs::read(env!("CARGO_BIN_EXE_consort")).unwrap());
}
