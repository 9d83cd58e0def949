//! A busybox root filesystem and a container on it, gone when the test is.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use consort::runtime::container::cgroup::Placement;
use consort::runtime::container::description::{
    Confinement, Description, Limits, Masks, NamespaceSharing, NewPrivileges, Privilege,
    RootAccess, Sharing, Terminal,
};
use consort::runtime::container::seccomp::Seccomp;
use consort::runtime::container::spec::{self, Machine};
use consort::runtime::container::{
    Bundle, Container, ContainerError, Created, FirstProcess, JoinedNamespaces, Lifetime, Stdio,
    create, users,
};
use consort::runtime::kernel::mount::{self, Depth};
use consort::runtime::kernel::pidfd::Exit;
use consort::runtime::kernel::rooted::Root;
use consort::runtime::kernel::sys;
use oci_spec::runtime::Spec;

/// Says why a test cannot run here, or `None` if it can.
pub(crate) fn obstacle() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root");
    }
    if !Path::new("/bin/busybox").exists() {
        return Some("needs busybox-static");
    }
    None
}

/// Leaves the test with a note where it cannot run.
#[macro_export]
macro_rules! needs_privileges {
    () => {
        if let Some(reason) = $crate::sandbox::obstacle() {
            eprintln!("skipped: {reason}");
            return;
        }
    };
}

/// Leaves the test with a note where only one user and group can be had.
#[macro_export]
macro_rules! needs_ids {
    () => {
        if !consort::runtime::kernel::sys::maps_uid(1234) {
            eprintln!("skipped: needs a user namespace with more than one id");
            return;
        }
    };
}

/// A root filesystem directory, and everything that a test may want to change before it runs.
pub(crate) struct Sandbox {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) description: Description,
    pub(crate) seccomp: Seccomp,
    pub(crate) join: JoinedNamespaces,
    pub(crate) first_process: FirstProcess,
    name: String,
}

/// What a program said and how it ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) output: String,
    pub(crate) exit: Exit,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

const APPLETS: [&str; 36] = [
    "sh", "cat", "ls", "id", "echo", "mount", "sleep", "true", "false", "stat", "grep", "hostname",
    "ps", "kill", "mkdir", "touch", "ip", "sysctl", "readlink", "pwd", "env", "dd", "tty", "stty",
    "wc", "sort", "head", "ping", "unshare", "mknod", "chroot", "test", "[", "umask", "ulimit",
    "tr",
];

impl Sandbox {
    /// A container that runs `script` in a shell.
    pub(crate) fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for name in ["bin", "etc", "proc", "dev", "sys", "tmp", "root"] {
            std::fs::create_dir(root.join(name)).unwrap();
        }
        std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        for applet in APPLETS {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        write(
            root,
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/tmp:/bin/sh\n",
        );
        write(
            root,
            "etc/group",
            "root:x:0:\napp:x:1000:\nextra:x:77:app\n",
        );
        std::fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            dir,
            description: description(script),
            seccomp: Seccomp::Default,
            join: JoinedNamespaces::default(),
            first_process: FirstProcess::Program,
            name: format!("{}-{number}", std::process::id()),
        }
    }

    /// The name of its cgroup.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What the container is made from.
    pub(crate) fn spec(&self) -> Result<Spec, ContainerError> {
        let root = Root::open(self.dir.path()).unwrap();
        let identity = users::resolve(&root, &self.description.user, &self.description.groups)?;
        let machine = Machine {
            in_user_namespace: sys::in_user_namespace().unwrap(),
        };
        spec::build(&self.description, &identity, machine)
    }

    /// Sets the container up with these descriptors.
    pub(crate) fn create(&mut self, stdio: Stdio) -> Result<Created, ContainerError> {
        let path = CString::new(self.dir.path().as_os_str().as_bytes()).unwrap();
        let rootfs = mount::clone_path(&path, Depth::One).unwrap();
        create(Bundle {
            spec: self.spec()?,
            rootfs,
            join: std::mem::take(&mut self.join),
            mounted: BTreeMap::new(),
            stdio,
            placement: Placement {
                parent: "consort/tests".to_owned(),
                name: self.name.clone(),
            },
            seccomp: self.seccomp.clone(),
            first_process: self.first_process,
            lifetime: Lifetime::Own,
        })
    }

    /// Runs the container to its end.
    pub(crate) fn try_run(&mut self) -> Result<Outcome, ContainerError> {
        let (mut reader, stdio) = captured();
        let container = self.create(stdio)?.start()?;
        let mut output = String::new();
        reader.read_to_string(&mut output).unwrap();
        Ok(Outcome {
            output,
            exit: finish(&container),
        })
    }

    /// Runs the container to its end and returns what it said.
    pub(crate) fn run(&mut self) -> String {
        self.try_run()
            .unwrap_or_else(|error| panic!("{}", chain(&error)))
            .output
    }
}

/// Runs a script with the usual settings.
pub(crate) fn sh(script: &str) -> String {
    Sandbox::new(script).run()
}

/// Waits for the end of a container and removes what is left of it.
pub(crate) fn finish(container: &Container) -> Exit {
    assert!(
        container.process().wait_until_ended(Some(20_000)).unwrap(),
        "still running"
    );
    let exit = container.exit(0).unwrap().unwrap();
    assert!(container.kill_all(5_000).unwrap());
    container.cgroup().remove().unwrap();
    exit
}

/// Standard input from nowhere, both outputs into the returned pipe.
pub(crate) fn captured() -> (File, Stdio) {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let input: OwnedFd = File::open("/dev/null").unwrap().into();
    let errors = writer.try_clone().unwrap();
    (File::from(reader), Stdio::Files([input, writer, errors]))
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

pub(crate) fn write(root: &Path, path: &str, text: &str) {
    std::fs::write(root.join(path), text).unwrap();
}

fn description(script: &str) -> Description {
    let own = Sharing::Own;
    Description {
        args: ["sh", "-c", script].map(str::to_owned).into(),
        env: Vec::new(),
        cwd: "/".into(),
        user: String::new(),
        groups: Vec::new(),
        terminal: Terminal::No,
        hostname: Some("box".to_owned()),
        domainname: None,
        namespaces: NamespaceSharing {
            pid: own,
            network: own,
            ipc: own,
            uts: own,
            cgroup: own,
        },
        confinement: Confinement {
            privilege: Privilege::Confined,
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            new_privileges: NewPrivileges::Allowed,
            apparmor: None,
            masks: Masks::Default,
        },
        mounts: Vec::new(),
        devices: Vec::new(),
        device_rules: Vec::new(),
        root: RootAccess::ReadWrite,
        shm_size_bytes: None,
        sysctls: BTreeMap::new(),
        rlimits: BTreeMap::new(),
        limits: Limits::default(),
        oom_score_adj: None,
        annotations: BTreeMap::new(),
    }
}
