//! A spec and what its image says into a description that the runtime can build.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::not_supported;
use crate::desired::{
    BindMount, BlockRate, ContainerSpec, Limits as WantedLimits, MountKind, Namespaces,
    NetworkMode, Propagation, RecursiveReadOnly, Security, TmpfsMount, Ulimit,
};
use crate::engine::EngineError;
use crate::runtime::container::description::{
    Confinement, Description, DeviceRate, DeviceRequest, DeviceWeight, Limits, Masks, MountRequest,
    MountSource, NamespaceSharing, NewPrivileges, Privilege, Rlimit, RootAccess, Sharing, Terminal,
};
use crate::runtime::container::seccomp::Seccomp;
use crate::runtime::image::ImageConfig;

/// What Docker gives to an image that says nothing.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// As many processes as a container may have when nobody says how many: a fork bomb stays inside.
const DEFAULT_PIDS: i64 = 2048;

/// Describes a container but for the mounts of its volumes and files, which [`super::assemble`] adds.
pub(super) fn describe(
    spec: &ContainerSpec,
    image: &ImageConfig,
    hostname: &str,
) -> Result<Description, EngineError> {
    let process = &spec.process;
    let tty = process.tty;
    Ok(Description {
        args: args(spec, image),
        env: environment(spec, image, hostname),
        cwd: working_dir(spec, image),
        user: process
            .user
            .clone()
            .or_else(|| image.user.clone())
            .unwrap_or_default(),
        groups: process.group_add.clone(),
        terminal: if tty { Terminal::Yes } else { Terminal::No },
        hostname: own_hostname(spec, hostname),
        domainname: spec.domainname.clone(),
        namespaces: namespaces(&spec.network, &spec.namespaces),
        confinement: confinement(&spec.security)?,
        mounts: Vec::new(),
        devices: devices(spec)?,
        device_rules: spec.device_cgroup_rules.clone(),
        root: access(spec.security.read_only),
        shm_size_bytes: spec.shm_size_bytes,
        sysctls: spec.sysctls.clone(),
        rlimits: spec
            .ulimits
            .iter()
            .map(|(name, limit)| (name.clone(), rlimit(*limit)))
            .collect(),
        limits: limits(&spec.limits),
        oom_score_adj: spec.limits.oom_score_adj,
        annotations: spec.annotations.clone(),
    })
}

/// Returns what runs: an entry point of the file's own drops the image's command.
pub(super) fn args(spec: &ContainerSpec, image: &ImageConfig) -> Vec<String> {
    let (entrypoint, default) = match &spec.process.entrypoint {
        Some(own) => (own.clone(), Vec::new()),
        None => (image.entrypoint.clone(), image.cmd.clone()),
    };
    let command = spec.process.command.clone().unwrap_or(default);
    entrypoint.into_iter().chain(command).collect()
}

fn environment(spec: &ContainerSpec, image: &ImageConfig, hostname: &str) -> Vec<String> {
    let mut variables = BTreeMap::from([
        ("PATH".to_owned(), DEFAULT_PATH.to_owned()),
        ("HOSTNAME".to_owned(), hostname.to_owned()),
    ]);
    if spec.process.tty {
        drop(variables.insert("TERM".to_owned(), "xterm".to_owned()));
    }
    variables.extend(image.env.iter().cloned());
    let own = spec.process.environment.iter();
    variables.extend(own.map(|(name, value)| (name.clone(), value.clone())));
    variables
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

fn working_dir(spec: &ContainerSpec, image: &ImageConfig) -> PathBuf {
    let chosen = spec
        .process
        .working_dir
        .clone()
        .or_else(|| image.working_dir.clone());
    let chosen = chosen
        .filter(|dir| !dir.is_empty())
        .unwrap_or_else(|| "/".to_owned());
    PathBuf::from("/").join(chosen)
}

fn own_hostname(spec: &ContainerSpec, hostname: &str) -> Option<String> {
    (spec.namespaces.uts.is_none()).then(|| hostname.to_owned())
}

fn namespaces(network: &NetworkMode, modes: &Namespaces) -> NamespaceSharing {
    let sharing = |mode: &Option<String>| match mode.as_deref() {
        Some("host") => Sharing::Host,
        _ => Sharing::Own,
    };
    NamespaceSharing {
        pid: sharing(&modes.pid),
        network: match network {
            NetworkMode::Host => Sharing::Host,
            NetworkMode::Endpoints(_)
            | NetworkMode::None
            | NetworkMode::Container(_)
            | NetworkMode::Service { .. } => Sharing::Own,
        },
        ipc: sharing(&modes.ipc),
        uts: sharing(&modes.uts),
        cgroup: sharing(&modes.cgroup),
    }
}

fn confinement(security: &Security) -> Result<Confinement, EngineError> {
    let mut confinement = Confinement {
        privilege: if security.privileged {
            Privilege::Privileged
        } else {
            Privilege::Confined
        },
        cap_add: security.cap_add.clone(),
        cap_drop: security.cap_drop.clone(),
        new_privileges: NewPrivileges::Allowed,
        apparmor: None,
        masks: Masks::Default,
    };
    for option in &security.options {
        apply_security_option(&mut confinement, option)?;
    }
    Ok(confinement)
}

/// Returns which system calls a container may make.
pub(super) fn seccomp(security: &Security) -> Seccomp {
    if security.privileged {
        return Seccomp::Unconfined;
    }
    let mut seccomp = Seccomp::Default;
    for option in &security.options {
        match option.split_once(['=', ':']) {
            Some(("seccomp", "unconfined")) => seccomp = Seccomp::Unconfined,
            Some(("seccomp", profile)) => seccomp = Seccomp::Profile(profile.to_owned()),
            _ => {}
        }
    }
    seccomp
}

/// Refuses what this engine does not do, before anything is made.
pub(super) fn check_supported(spec: &ContainerSpec) -> Result<(), EngineError> {
    if let Some(runtime) = spec.runtime.as_deref().filter(|name| !name.is_empty()) {
        let what = format!("run container `{}` with the runtime `{runtime}`", spec.name);
        return Err(not_supported(what));
    }
    let _confinement = confinement(&spec.security)?;
    let _devices = devices(spec)?;
    Ok(())
}

/// Applies one entry of `security_opt`; both `name=value` and `name:value` are written.
fn apply_security_option(confinement: &mut Confinement, option: &str) -> Result<(), EngineError> {
    let (name, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
    match (name, value) {
        ("no-new-privileges", "" | "true") => confinement.new_privileges = NewPrivileges::Forbidden,
        ("no-new-privileges", "false") => confinement.new_privileges = NewPrivileges::Allowed,
        // Which system calls are allowed is said apart, see `seccomp`.
        ("seccomp", _) => {}
        ("apparmor", profile) => confinement.apparmor = Some(profile.to_owned()),
        ("systempaths", "unconfined") => confinement.masks = Masks::None,
        // Where there is no SELinux, and there is none in this engine, its labels mean nothing.
        ("label", _) => {}
        _ => {
            let what = format!("use the security option `{option}`");
            return Err(not_supported(what));
        }
    }
    Ok(())
}

fn access(read_only: bool) -> RootAccess {
    if read_only {
        RootAccess::ReadOnly
    } else {
        RootAccess::ReadWrite
    }
}

fn devices(spec: &ContainerSpec) -> Result<Vec<DeviceRequest>, EngineError> {
    let mut requests = Vec::new();
    for device in &spec.devices {
        if !device.source.starts_with('/') {
            let what = format!(
                "give a container the device `{}` by its CDI name",
                device.source
            );
            return Err(not_supported(what));
        }
        requests.push(DeviceRequest {
            source: device.source.clone().into(),
            target: device.target.clone().into(),
            permissions: device.permissions.clone(),
        });
    }
    Ok(requests)
}

fn rlimit(limit: Ulimit) -> Rlimit {
    let one = |value: i64| u64::try_from(value).unwrap_or(u64::MAX);
    Rlimit {
        soft: one(limit.soft),
        hard: one(limit.hard),
    }
}

/// Says the wanted limits in the runtime's units.
pub(super) fn limits(wanted: &WantedLimits) -> Limits {
    let signed = |bytes: Option<u64>| bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    let (quota, period) = cpu_time(wanted);
    let weights = wanted.block_io.weight_devices.iter();
    let memory_bytes = signed(wanted.memory_bytes);
    // As Docker's: without a word about swap, there is as much of it as memory.
    let with_swap = memory_bytes.map(|bytes| bytes.saturating_mul(2));
    Limits {
        memory_bytes,
        memory_reservation_bytes: signed(wanted.memory_reservation_bytes),
        memory_and_swap_bytes: wanted.memory_swap_bytes.or(with_swap),
        swappiness: wanted.memory_swappiness.map(u64::from),
        oom_kill_disable: wanted.oom_kill_disable,
        cpu_shares: wanted.cpu_shares,
        cpu_quota_us: quota,
        cpu_period_us: period,
        cpu_realtime_runtime_us: wanted.cpu_rt_runtime_us,
        cpu_realtime_period_us: wanted.cpu_rt_period_us,
        cpuset_cpus: wanted.cpuset.clone(),
        cpuset_mems: None,
        pids: Some(wanted.pids.unwrap_or(DEFAULT_PIDS)),
        blkio_weight: wanted.block_io.weight,
        blkio_weight_device: weights
            .map(|device| DeviceWeight {
                path: device.path.clone(),
                weight: device.weight,
            })
            .collect(),
        blkio_read_bps: rates(&wanted.block_io.read_bps),
        blkio_write_bps: rates(&wanted.block_io.write_bps),
        blkio_read_iops: rates(&wanted.block_io.read_iops),
        blkio_write_iops: rates(&wanted.block_io.write_iops),
    }
}

/// Says a number of CPUs as time per period, unless the file says that itself.
fn cpu_time(wanted: &WantedLimits) -> (Option<i64>, Option<u64>) {
    const PERIOD_US: u64 = 100_000;
    match wanted.cpu_nanos {
        Some(nanos) if wanted.cpu_quota_us.is_none() => {
            let period = wanted.cpu_period_us.unwrap_or(PERIOD_US);
            let quota = u128::from(nanos) * u128::from(period) / 1_000_000_000;
            (
                Some(i64::try_from(quota).unwrap_or(i64::MAX).max(1000)),
                Some(period),
            )
        }
        _ => (wanted.cpu_quota_us, wanted.cpu_period_us),
    }
}

fn rates(wanted: &[BlockRate]) -> Vec<DeviceRate> {
    wanted
        .iter()
        .map(|rate| DeviceRate {
            path: rate.path.clone(),
            rate: rate.rate,
        })
        .collect()
}

/// Turns a bind mount into a request.
pub(super) fn bind(mount: &BindMount, target: &str, read_only: bool) -> MountRequest {
    let source = match mount.recursive {
        RecursiveReadOnly::Disabled => MountSource::BindShallow(mount.source.clone()),
        RecursiveReadOnly::Writable => MountSource::BindAround(mount.source.clone()),
        // Every kernel that consort runs on can.
        RecursiveReadOnly::Enabled | RecursiveReadOnly::ReadOnly => {
            MountSource::Bind(mount.source.clone())
        }
    };
    let propagation = mount.propagation.map(|propagation| match propagation {
        Propagation::Private => "private",
        Propagation::Rprivate => "rprivate",
        Propagation::Shared => "shared",
        Propagation::Rshared => "rshared",
        Propagation::Slave => "slave",
        Propagation::Rslave => "rslave",
    });
    MountRequest {
        source,
        target: target.into(),
        access: access(read_only),
        options: propagation.into_iter().map(str::to_owned).collect(),
    }
}

/// Turns a tmpfs into a request.
pub(super) fn tmpfs(mount: &TmpfsMount, target: &str, read_only: bool) -> MountRequest {
    let owner = [("uid", mount.uid), ("gid", mount.gid)].into_iter();
    let owner = owner.filter_map(|(name, id)| id.map(|id| format!("{name}={id}")));
    MountRequest {
        source: MountSource::Tmpfs {
            size_bytes: mount.size_bytes,
            mode: mount.mode,
        },
        target: target.into(),
        access: access(read_only),
        options: mount.options.iter().cloned().chain(owner).collect(),
    }
}

/// Turns a directory or file of ours into a request.
pub(super) fn own_bind(
    source: PathBuf,
    target: &str,
    read_only: bool,
    options: &[&str],
) -> MountRequest {
    MountRequest {
        source: MountSource::Bind(source),
        target: target.into(),
        access: access(read_only),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
    }
}

/// Reports whether a mount of the spec is one that this module turns into a request by itself.
pub(super) fn request(kind: &MountKind, target: &str, read_only: bool) -> Option<MountRequest> {
    match kind {
        MountKind::Bind(mount) => Some(bind(mount, target, read_only)),
        MountKind::Tmpfs(mount) => Some(tmpfs(mount, target, read_only)),
        MountKind::Volume(_) | MountKind::Image(_) => None,
    }
}
