//! Root filesystems as they are mounted; needs the privilege to mount.

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use consort::runtime::image::snapshot::{self, Snapshot, Writable};
use consort::runtime::image::{ImageError, RootSource};
use consort::runtime::kernel::mount::{
    FsContext, Propagation, Restrictions, attach, set_propagation_of_all,
};
use consort::runtime::kernel::namespace::{Namespaces, unshare};

use crate::built::{Built, Layer};
use crate::server::Server;
use crate::state::State;

/// Set where a test runs itself again as the root of a user namespace.
const INSIDE: &str = "CONSORT_TEST_IN_USER_NAMESPACE";

/// Runs `act` on a thread with a mount table of its own; says why where that cannot be.
fn apart(act: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if let Err(error) = unshare(Namespaces::NEWNS) {
                println!("skipped: {error}");
                return;
            }
            set_propagation_of_all(Propagation::Private).unwrap();
            act();
        });
        thread.join().unwrap();
    });
}

/// Runs the test of this name again inside a user namespace; `true` if this is that run.
fn inside_user_namespace(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output();
    match output {
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("unshare failed") => {
            println!("skipped: user namespaces are not allowed here");
        }
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{text}");
        }
        Err(error) => println!("skipped: unshare: {error}"),
    }
    false
}

struct Container<'a> {
    state: &'a State,
    root: RootSource,
}

impl Container<'_> {
    fn prepare(&self) -> Snapshot {
        let (upper, work) = (
            self.state.path("state/c/upper"),
            self.state.path("state/c/work"),
        );
        let writable = Writable {
            upper: &upper,
            work: &work,
            state: self.state.layout.state_dir(),
        };
        snapshot::prepare(&self.root, &writable).unwrap()
    }

    fn mount(&self) -> Mounted {
        Mounted(self.prepare().mount().unwrap())
    }
}

/// A root filesystem that is mounted nowhere, looked at through its descriptor.
struct Mounted(OwnedFd);

impl Mounted {
    fn path(&self, below: &str) -> PathBuf {
        PathBuf::from(format!("/proc/thread-self/fd/{}", self.0.as_raw_fd())).join(below)
    }

    fn read(&self, below: &str) -> Option<String> {
        fs::read_to_string(self.path(below)).ok()
    }

    fn mode(&self, below: &str) -> u32 {
        fs::metadata(self.path(below)).unwrap().permissions().mode() & 0o7777
    }
}

fn image(state: &State) -> RootSource {
    let layers = vec![
        Layer::of(&[
            ("./", b""),
            ("etc/", b""),
            ("etc/name", b"lower"),
            ("etc/gone", b"x"),
            ("old/", b""),
            ("old/file", b"x"),
        ]),
        Layer::of(&[
            ("etc/", b""),
            ("etc/name", b"upper"),
            ("etc/.wh.gone", b""),
            ("old/", b""),
            ("old/.wh..wh..opq", b""),
            ("old/new", b"y"),
        ]),
    ];
    let dir = state.path("layout");
    Built::new(layers).write_layout(&dir, "1");
    state.pull(&format!("oci:{}", dir.display())).unwrap().root
}

fn layers_are_shown_as_one() {
    let state = State::new();
    let root = image(&state);
    apart(|| {
        let container = Container {
            state: &state,
            root,
        };
        let mounted = container.mount();
        assert_eq!(mounted.read("etc/name").as_deref(), Some("upper"));
        assert_eq!(mounted.read("etc/gone"), None);
        assert_eq!(mounted.read("old/file"), None);
        assert_eq!(mounted.read("old/new").as_deref(), Some("y"));
        assert_eq!(crate::state::names(&mounted.path("old")), ["new"]);
        assert_eq!(mounted.mode("."), 0o755);
        fs::write(mounted.path("etc/name"), "changed").unwrap();
        drop(mounted);
        let again = container.mount();
        assert_eq!(again.read("etc/name").as_deref(), Some("changed"));
    });
}

#[test]
fn layers_are_shown_as_one_root_filesystem() {
    layers_are_shown_as_one();
}

#[test]
fn layers_are_shown_as_one_in_a_user_namespace() {
    let test = "rootfs::layers_are_shown_as_one_in_a_user_namespace";
    if inside_user_namespace(test) {
        layers_are_shown_as_one();
    }
}

#[test]
fn an_image_of_many_layers_is_mounted() {
    let state = State::new();
    let layers: Vec<Layer> = (0..120)
        .map(|n| {
            Layer::of(&[
                (&format!("f{n}"), b"x"),
                ("last", format!("{n}").as_bytes()),
            ])
        })
        .collect();
    let dir = state.path("layout");
    Built::new(layers).write_layout(&dir, "1");
    let root = state.pull(&format!("oci:{}", dir.display())).unwrap().root;
    apart(|| {
        let mounted = Container {
            state: &state,
            root,
        }
        .mount();
        assert_eq!(mounted.read("last").as_deref(), Some("119"));
        assert!(mounted.path("f0").exists() && mounted.path("f119").exists());
    });
}

#[test]
fn an_image_without_layers_is_an_empty_root() {
    let state = State::new();
    apart(|| {
        let root = RootSource::Layers(Vec::new());
        let mounted = Container {
            state: &state,
            root,
        }
        .mount();
        assert!(crate::state::names(&mounted.path(".")).is_empty());
        assert_eq!(mounted.mode("."), 0o755);
    });
}

fn the_machine_is_shown_without_what_is_its_own() {
    let state = State::new();
    apart(|| {
        let root = RootSource::HostDir("/".into());
        let container = Container {
            state: &state,
            root,
        };
        let mounted = container.mount();
        assert!(mounted.path("usr/bin/env").exists());
        for (fresh, mode) in [
            ("proc", 0o555),
            ("sys", 0o555),
            ("dev", 0o755),
            ("run", 0o755),
            ("tmp", 0o1777),
        ] {
            assert!(
                crate::state::names(&mounted.path(fresh)).is_empty(),
                "{fresh}"
            );
            assert_eq!(mounted.mode(fresh), mode, "{fresh}");
        }
        fs::write(mounted.path("etc/consort-test"), "x").unwrap();
        fs::create_dir_all(mounted.path("var/lib/consort-test/data")).unwrap();
        assert!(!PathBuf::from("/etc/consort-test").exists());
        assert!(!PathBuf::from("/var/lib/consort-test").exists());
        drop(mounted);
        assert_eq!(
            container.mount().read("etc/consort-test").as_deref(),
            Some("x")
        );
    });
}

#[test]
fn the_machine_itself_is_a_root_filesystem() {
    the_machine_is_shown_without_what_is_its_own();
}

#[test]
fn the_machine_itself_is_a_root_filesystem_in_a_user_namespace() {
    let test = "rootfs::the_machine_itself_is_a_root_filesystem_in_a_user_namespace";
    if inside_user_namespace(test) {
        the_machine_is_shown_without_what_is_its_own();
    }
}

#[test]
fn the_state_directory_is_out_of_sight() {
    let state = State::new();
    fs::write(state.path("state/secret"), "x").unwrap();
    fs::write(state.path("beside"), "x").unwrap();
    apart(|| {
        let root = RootSource::HostDir(state.dir.path().to_owned());
        let mounted = Container {
            state: &state,
            root,
        }
        .mount();
        assert!(mounted.path("beside").exists());
        assert!(crate::state::names(&mounted.path("state")).is_empty());
    });
}

#[test]
fn the_state_directory_may_be_in_a_home_of_the_machine_that_is_shown() {
    let test = "rootfs::the_state_directory_may_be_in_a_home_of_the_machine_that_is_shown";
    if !inside_user_namespace(test) {
        return;
    }
    let machine = tempfile::tempdir().unwrap();
    let (home, other) = (machine.path().join("home"), machine.path().join("other"));
    fs::create_dir(&home).unwrap();
    fs::create_dir(&other).unwrap();
    let state = State::within(tempfile::tempdir_in(&home).unwrap());
    fs::write(state.path("beside"), "x").unwrap();
    apart(|| {
        // With a mount in it, the machine is shown part by part.
        let mount = FsContext::new(c"tmpfs").unwrap();
        let mount = mount.mount(Restrictions::empty()).unwrap();
        attach(&mount, fs::File::open(&other).unwrap()).unwrap();
        let root = RootSource::HostDir(machine.path().to_owned());
        let mounted = Container {
            state: &state,
            root,
        }
        .mount();
        let own = mounted
            .path("home")
            .join(state.dir.path().file_name().unwrap());
        assert!(own.join("beside").exists());
        assert!(crate::state::names(&own.join("state")).is_empty());
        fs::create_dir(mounted.path("home/another")).unwrap();
    });
}

#[test]
fn where_the_kernel_tells_of_itself_in_the_tree_a_container_finds_an_empty_directory() {
    let (machine, state) = (tempfile::tempdir().unwrap(), State::new());
    let chroot = machine.path().join("srv/chroot/proc");
    fs::create_dir_all(&chroot).unwrap();
    fs::write(machine.path().join("srv/chroot/file"), "x").unwrap();
    apart(|| {
        // Who may mount one owns the namespace of the processes that it shows.
        let Ok(proc) = FsContext::new(c"proc").and_then(|it| it.mount(Restrictions::empty()))
        else {
            println!("skipped: a proc filesystem cannot be mounted here");
            return;
        };
        attach(&proc, fs::File::open(&chroot).unwrap()).unwrap();
        let root = RootSource::HostDir(machine.path().to_owned());
        let mounted = Container {
            state: &state,
            root,
        }
        .mount();
        assert_eq!(mounted.read("srv/chroot/file").as_deref(), Some("x"));
        assert!(crate::state::names(&mounted.path("srv/chroot/proc")).is_empty());
    });
}

#[test]
fn a_full_disk_is_an_error_of_its_own_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let image = Built::large(600_000);
    let server = Server::with_image(&image, |_| None);
    apart(|| {
        let small = FsContext::new(c"tmpfs").unwrap();
        small.string(c"size", c"512k").unwrap();
        let small = small.mount(Restrictions::empty()).unwrap();
        attach(&small, fs::File::open(dir.path()).unwrap()).unwrap();
        let state = State::within(tempfile::tempdir_in(dir.path()).unwrap());
        let error = state.pull(&server.image("a:1")).unwrap_err();
        assert!(matches!(error, ImageError::DiskFull { .. }), "{error:?}");
        assert!(error.to_string().contains("state"), "{error}");
        state.assert_clean("a full disk");
        assert!(crate::state::names(&state.path("state/images/ingest")).is_empty());
    });
}
