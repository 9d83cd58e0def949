//! What is mounted in every container, and what is hidden again.

use oci_spec::runtime::Mount;
use std::path::{Path, PathBuf};

use super::Machine;
use crate::runtime::container::description::{
    Description, MountRequest, MountSource, Privilege, RootAccess, Sharing,
};
use crate::runtime::container::error::ContainerError;
use crate::runtime::kernel::sys;

/// The group `tty` of nearly every image.
const TERMINAL_GROUP: u32 = 5;
const DEFAULT_SHM_BYTES: u64 = 64 << 20;

/// Returns the usual mounts and the requested ones, those nearer to the root first.
pub(super) fn all(
    description: &Description,
    machine: Machine,
) -> Result<Vec<Mount>, ContainerError> {
    let mut requested = Vec::new();
    for request in &description.mounts {
        requested.push(requested_mount(request)?);
    }
    let mut all = usual(description, machine);
    // What the user mounts on the very same place takes it.
    all.retain(|mount| {
        requested
            .iter()
            .all(|other| other.destination() != mount.destination())
    });
    // Stable: of two at the same place the later one is on top.
    requested.sort_by_key(|mount| mount.destination().components().count());
    all.extend(requested);
    Ok(all)
}

fn usual(description: &Description, machine: Machine) -> Vec<Mount> {
    let privileged = description.confinement.privilege == Privilege::Privileged;
    let read_only: &[&str] = if privileged { &[] } else { &["ro"] };
    let shm = description.shm_size_bytes.unwrap_or(DEFAULT_SHM_BYTES);
    let shm_size = format!("size={shm}");
    // A user namespace with one id has no group 5 to give terminals to.
    let devpts: &[&str] = if machine.in_user_namespace && !sys::maps_gid(TERMINAL_GROUP) {
        &["newinstance", "ptmxmode=0666", "mode=0620"]
    } else {
        &["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
    };
    let quiet = ["nosuid", "noexec", "nodev"];
    let shm_options: Vec<&str> = quiet
        .iter()
        .copied()
        .chain(["mode=1777", &shm_size])
        .collect();
    let with = |more: &[&'static str]| [quiet.as_slice(), more].concat();
    let shares_ipc = description.namespaces.ipc == Sharing::Host;
    let mut all = vec![
        if description.namespaces.pid == Sharing::Host && machine.in_user_namespace {
            // The kernel lets a process mount procfs only for a pid namespace that its user namespace owns.
            mount("/proc", "bind", "/proc", &with(&["rbind"]))
        } else {
            mount("/proc", "proc", "proc", &quiet)
        },
        mount(
            "/dev",
            "tmpfs",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &[&["nosuid", "noexec"], devpts].concat(),
        ),
        if description.namespaces.network == Sharing::Host && machine.in_user_namespace {
            // The kernel lets nobody mount sysfs for a network namespace that is not theirs.
            let bind = if privileged {
                vec!["rbind"]
            } else {
                with(&["rbind", "ro"])
            };
            mount("/sys", "bind", "/sys", &bind)
        } else {
            mount("/sys", "sysfs", "sysfs", &with(read_only))
        },
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &with(read_only)),
        if shares_ipc {
            mount("/dev/shm", "bind", "/dev/shm", &with(&["rbind"]))
        } else {
            mount("/dev/shm", "tmpfs", "shm", &shm_options)
        },
    ];
    if !(shares_ipc && machine.in_user_namespace) {
        all.push(mount("/dev/mqueue", "mqueue", "mqueue", &quiet));
    } else if rustix::fs::stat("/dev/mqueue").is_ok() {
        // The kernel lets a process mount the queues only of an IPC namespace that its user namespace owns.
        all.push(mount(
            "/dev/mqueue",
            "bind",
            "/dev/mqueue",
            &with(&["rbind"]),
        ));
    }
    all
}

fn mount(target: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    let mut mount = Mount::default();
    mount
        .set_destination(PathBuf::from(target))
        .set_typ(Some(kind.to_owned()))
        .set_source(Some(PathBuf::from(source)))
        .set_options(Some(
            options.iter().map(|option| (*option).to_owned()).collect(),
        ));
    mount
}

fn requested_mount(request: &MountRequest) -> Result<Mount, ContainerError> {
    let target = &request.target;
    let shown = target.display().to_string();
    if !target.is_absolute() || shown.contains("/../") || shown.ends_with("/..") {
        let reason = "an absolute path without `..` is expected";
        return Err(ContainerError::setting("a mount's target", &shown, reason));
    }
    let mut options = Vec::new();
    let mut read_only = "ro";
    let (kind, source) = match &request.source {
        MountSource::Bind(source) => {
            options.push("rbind".to_owned());
            read_only = "rro";
            ("bind", source.clone())
        }
        MountSource::BindAround(source) => {
            options.push("rbind".to_owned());
            ("bind", source.clone())
        }
        MountSource::BindShallow(source) => {
            options.push("bind".to_owned());
            ("bind", source.clone())
        }
        MountSource::Tmpfs { size_bytes, mode } => {
            options.extend(["noexec", "nosuid", "nodev"].map(str::to_owned));
            options.extend(size_bytes.map(|size| format!("size={size}")));
            options.push(format!("mode={:o}", mode.unwrap_or(0o1777)));
            ("tmpfs", PathBuf::from("tmpfs"))
        }
    };
    if request.access == RootAccess::ReadOnly {
        options.push(read_only.to_owned());
    }
    options.extend(request.options.iter().cloned());
    let mut result = Mount::default();
    result
        .set_destination(target.clone())
        .set_typ(Some(kind.to_owned()))
        .set_source(Some(source))
        .set_options(Some(options));
    Ok(result)
}

/// Returns where in the container its bind mounts show a folder of the host.
pub(super) fn places_of(mounts: &[Mount], folder: &Path) -> Vec<String> {
    let place = |mount: &Mount| {
        let options = mount.options().as_deref().unwrap_or_default();
        let is_bind = options
            .iter()
            .any(|option| option == "rbind" || option == "bind");
        let is_shared = options
            .iter()
            .any(|option| option == "rshared" || option == "shared");
        let below = folder.strip_prefix(mount.source().as_deref()?).ok()?;
        let place = mount.destination().join(below);
        (is_bind && !is_shared).then(|| place.display().to_string())
    };
    mounts.iter().filter_map(place).collect()
}

/// Returns what a container must not read: what Docker and Podman mask, and a few more.
pub(super) fn masked_paths() -> Vec<String> {
    let fixed = [
        "/proc/acpi",
        "/proc/asound",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/pagetypeinfo",
        "/proc/sched_debug",
        "/proc/scsi",
        "/proc/slabinfo",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/vmallocinfo",
        "/sys/devices/virtual/powercap",
        "/sys/firmware",
        "/sys/fs/bpf",
        "/sys/fs/pstore",
        "/sys/fs/selinux",
        "/sys/kernel/debug",
        "/sys/kernel/security",
        "/sys/kernel/tracing",
    ];
    let mut all: Vec<String> = fixed.map(str::to_owned).into();
    all.extend(thermal_throttles());
    all
}

/// Returns the directories that tell how hot each processor is; absent on most virtual machines.
fn thermal_throttles() -> Vec<String> {
    let mut found = Vec::new();
    for number in 0_u32.. {
        let processor = format!("/sys/devices/system/cpu/cpu{number}");
        if rustix::fs::stat(processor.as_str()).is_err() {
            return found;
        }
        let throttle = format!("{processor}/thermal_throttle");
        if rustix::fs::stat(throttle.as_str()).is_ok() {
            found.push(throttle);
        }
    }
    found
}

/// Returns what a container may read but not write.
pub(super) fn read_only_paths() -> Vec<String> {
    [
        "/proc/bus",
        "/proc/fs",
        "/proc/irq",
        "/proc/sys",
        "/proc/sysrq-trigger",
    ]
    .map(str::to_owned)
    .into()
}
