//! What this machine can do, so that a scenario that needs more says so instead of passing.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// Prints why the running test cannot run here, also into the list that `tests/run` repeats.
///
/// Written past the test harness's capture, which would swallow it.
pub(crate) fn skip(reason: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("{test}: {reason}\n");
    drop(io::stderr().write_all(format!("skipped: {line}").as_bytes()));
    if let Some(list) = std::env::var_os("CONSORT_TEST_SKIPPED") {
        let file = OpenOptions::new().append(true).open(list);
        drop(file.map(|mut file| file.write_all(line.as_bytes())));
    }
}

/// Returns from the test, with the reason printed, unless the machine has what it needs.
macro_rules! needs {
    ($($have:expr),+ $(,)?) => {
        $(if let Err(reason) = $have {
            $crate::support::machine::skip(&reason);
            return;
        })+
    };
}
pub(crate) use needs;

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(crate) fn root() -> Result<(), String> {
    if is_root() {
        Ok(())
    } else {
        Err("needs root".into())
    }
}

pub(crate) fn ordinary_user() -> Result<(), String> {
    if is_root() {
        Err("runs as an ordinary user only".into())
    } else {
        Ok(())
    }
}

/// The images of `tests/images`.
pub(crate) fn images() -> Result<(), String> {
    if image_cache().join("stamp").exists() {
        return Ok(());
    }
    Err("the test images are not built; run `tests/prepare`".into())
}

/// One image folder as `image:` names it.
pub(crate) fn oci(folder: &str) -> String {
    format!("oci:{}", image_cache().join("oci").join(folder).display())
}

pub(crate) fn image_cache() -> PathBuf {
    let named = std::env::var_os("CONSORT_TEST_CACHE").filter(|path| !path.is_empty());
    named.map_or_else(|| repository().join("target/test-images"), PathBuf::from)
}

pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether a program is on PATH, or where Debian keeps those of administrators.
pub(crate) fn program(name: &str) -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    if folders.into_iter().any(|folder| folder.join(name).exists()) {
        return Ok(());
    }
    Err(format!("`{name}` is not installed"))
}

/// Whether memory, pids and cpu limits can be set: always as root, by delegation as a user.
pub(crate) fn cgroup_limits() -> Result<(), String> {
    if is_root() {
        return Ok(());
    }
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let unified = own
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .unwrap_or("/");
    let folder = Path::new("/sys/fs/cgroup").join(unified.trim_start_matches('/'));
    let writable = rustix::fs::access(folder.join("cgroup.procs"), rustix::fs::Access::WRITE_OK);
    let memory = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
    if writable.is_ok() && memory.contains("memory") {
        return Ok(());
    }
    Err("no cgroup is delegated to this user".into())
}

/// Whether ranges of ids can be mapped: always as root, by subordinate ids as a user.
pub(crate) fn id_ranges() -> Result<(), String> {
    if is_root() {
        return Ok(());
    }
    program("newuidmap")?;
    let uid = rustix::process::geteuid().as_raw();
    let name = Command::new("id").arg("--user").arg("--name").output();
    let name = name.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    let name = name.unwrap_or_default();
    let listed = fs::read_to_string("/etc/subuid").unwrap_or_default();
    let has = listed
        .lines()
        .filter_map(|line| line.split(':').next())
        .any(|owner| owner == name || owner == uid.to_string());
    if has {
        Ok(())
    } else {
        Err("this user has no subordinate ids".into())
    }
}

/// Whether the kernel tells anybody who held a pidfd how a process ended (`PIDFD_INFO_EXIT`).
pub(crate) fn exit_codes_by_pidfd() -> Result<(), String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (6, 15) {
        return Ok(());
    }
    Err(format!(
        "Linux {} does not tell how a process ended that somebody else started; 6.15 does",
        release.trim()
    ))
}

pub(crate) fn ipv6() -> Result<(), String> {
    match std::net::TcpListener::bind("[::1]:0") {
        Ok(_) => Ok(()),
        Err(_) => Err("no IPv6 on loopback".into()),
    }
}
