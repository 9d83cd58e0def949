//! The power fails: what the disk had not been given yet is gone, and so is all that ran.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::Sandbox;
use crate::support::checks::until;
use crate::support::machine::{self, needs};

const PROJECT: &str = "
services:
  db:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    volumes: ['data:/data', '/scratch']
    stop_grace_period: 0s
  web:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    networks: [default, back]
    stop_grace_period: 0s
networks: {back: {internal: true}}
volumes: {data: }
";

/// Ends the life of a file system as a power cut does: `FS_IOC_SHUTDOWN`, with or without its own journal.
const CUT: &str = "
import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(fd, 0x8004587d, struct.pack('I', int(sys.argv[2])))
";

/// A disk of a sandbox's own, with a journal, whose power can fail.
struct Disk {
    image: PathBuf,
    state: PathBuf,
}

impl Disk {
    fn below(sandbox: &Sandbox) -> Self {
        let disk = Self {
            image: sandbox.path("disk"),
            state: sandbox.path("state"),
        };
        fs::create_dir(&disk.state).unwrap();
        let file = fs::File::create(&disk.image).unwrap();
        file.set_len(96 << 20).unwrap();
        run("mkfs.ext4", &["-q", "-F", disk.image.to_str().unwrap()]);
        disk.mount();
        fs::remove_dir(disk.state.join("lost+found")).unwrap();
        disk
    }

    fn mount(&self) {
        let (image, state) = (self.image.to_str().unwrap(), self.state.to_str().unwrap());
        let private: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        until("a disk that was not cut off", || {
            run("mount", &["-o", "loop", image, state]);
            // As long as a dying mount namespace has the old file system, mounting finds that one again.
            let is_new = fs::set_permissions(&self.state, private.clone()).is_ok();
            if !is_new {
                self.unmount();
            }
            is_new.then_some(())
        });
    }

    fn unmount(&self) {
        until("nothing in the way of unmounting", || {
            let mut umount = Command::new("umount");
            let status = umount.arg(&self.state).stderr(Stdio::null()).status();
            status.unwrap().success().then_some(())
        });
    }

    fn cut(&self, flag: &str) {
        run("python3", &["-c", CUT, self.state.to_str().unwrap(), flag]);
    }

    /// Everything that a reboot does to this sandbox.
    fn reboot(&self, sandbox: &Sandbox) {
        let found = sandbox.leftovers(&[]);
        sandbox.kill_everything();
        self.unmount();
        // What lies in memory is gone: links, cgroups, and the files of the run directory.
        for line in found.lines() {
            let mut words = line.split_whitespace();
            let (kind, what) = (words.next().unwrap(), words.next().unwrap_or_default());
            match kind {
                "link" => drop(
                    Command::new("ip")
                        .args(["link", "del", what])
                        .stderr(Stdio::null())
                        .status(),
                ),
                "cgroup" => drop(fs::remove_dir(what)),
                "file" if !PathBuf::from(what).starts_with(&self.state) => {
                    drop(fs::remove_file(what).or_else(|_| fs::remove_dir_all(what)));
                }
                _ => {}
            }
        }
        self.mount();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        drop(umount.arg("--lazy").arg(&self.state).status());
    }
}

fn run(program: &str, args: &[&str]) {
    let mut command = Command::new(program);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let status = command.args(args).stderr(Stdio::null()).status().unwrap();
    assert!(
        status.success() || thread::panicking(),
        "{program} {args:?}"
    );
}

fn loop_devices() -> Result<(), String> {
    if fs::exists("/dev/loop-control").unwrap_or(false) {
        return Ok(());
    }
    Err("this machine has no loop devices".to_owned())
}

const UP: &[&str] = &["up", "-d"];
const DOWN: &[&str] = &["down", "-v", "-t", "0"];

#[test]
fn up_and_down_work_after_a_power_cut_at_any_time() {
    needs!(
        machine::images(),
        machine::root(),
        loop_devices(),
        machine::program("mkfs.ext4"),
        machine::program("python3")
    );
    let sandbox = Sandbox::new(PROJECT);
    let disk = Disk::below(&sandbox);
    sandbox.consort(UP).succeeds();
    sandbox.consort(DOWN).succeeds();
    // Without its own journal written, then with.
    for (verb, flag, after_ms) in [
        (UP, "2", 20),
        (UP, "1", 60),
        (UP, "2", 120),
        (UP, "1", 250),
        (UP, "2", 2000),
        (UP, "1", 2000),
        (DOWN, "2", 20),
        (DOWN, "1", 60),
        (DOWN, "2", 2000),
    ] {
        let what = format!("{verb:?} cut off after {after_ms} ms ({flag})");
        if verb == DOWN {
            sandbox.consort(UP).succeeds();
            rustix::fs::sync();
        }
        let mut running = sandbox.start(verb);
        let mut waited = 0;
        while waited < after_ms && running.child.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(5));
            waited += 5;
        }
        disk.cut(flag);
        // It fails, succeeds or was done before: what it says does not matter.
        drop(running.wait());
        disk.reboot(&sandbox);
        let again = sandbox.consort(UP);
        assert!(again.ok(), "{what}: {again}");
        let all = sandbox.ps();
        assert!(
            all.iter().all(|one| one["State"] == "running"),
            "{what}: {all:?}"
        );
        assert_eq!(all.len(), 2, "{what}");
        let down = sandbox.consort(DOWN);
        assert!(down.ok(), "{what}: {down}");
        let left = sandbox.leftovers(&["--volumes"]);
        assert_eq!(left, "", "{what}");
    }
    drop(disk);
}
