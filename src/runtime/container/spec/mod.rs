//! A [`Description`] and the machine it meets → an OCI runtime `Spec`.
//!
//! The defaults every container gets live here: mounts, masked and read-only paths, capabilities,
//! devices, environment.

mod capabilities;
mod devices;
mod environment;
mod limits;
mod mounts;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    Linux, LinuxNamespace, LinuxNamespaceType, PosixRlimit, PosixRlimitBuilder, PosixRlimitType,
    Process, Root, Spec, User,
};

use super::description::{
    Confinement, Description, Masks, NamespaceSharing, NewPrivileges, Privilege, RootAccess,
    Sharing, Terminal,
};
use super::error::ContainerError;
use super::users::Identity;

use devices::Device;

pub use capabilities::{DEFAULT_CAPABILITIES, all_capabilities, capability_names};
pub use limits::resources;

/// What the same description turns into differently on different machines.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// We are root only in a user namespace that somebody set up for us.
    pub in_user_namespace: bool,
}

/// Turns a description into what the container is made from.
pub fn build(
    description: &Description,
    identity: &Identity,
    machine: Machine,
) -> Result<Spec, ContainerError> {
    let mut root = Root::default();
    root.set_path(PathBuf::from("rootfs"));
    root.set_readonly(Some(description.root == RootAccess::ReadOnly));
    let devices = devices::requested(description)?;
    let mut all_mounts = mounts::all(description, machine)?;
    if machine.in_user_namespace {
        all_mounts.extend(devices::as_mounts(&devices));
    }
    let mut spec = Spec::default();
    spec.set_process(Some(process(description, identity)?))
        .set_root(Some(root))
        .set_hostname(description.hostname.clone())
        .set_domainname(description.domainname.clone())
        .set_mounts(Some(all_mounts))
        .set_linux(Some(linux(description, machine, devices)?))
        .set_annotations(Some(description.annotations.clone().into_iter().collect()));
    Ok(spec)
}

/// Shows an empty folder wherever a mount of the container would show `folder` of the host.
///
/// Where the mount passes mounts on to the host, that would hide the folder there, so it stays.
pub fn hide(spec: &mut Spec, folder: &Path) {
    let shown = mounts::places_of(spec.mounts().as_deref().unwrap_or_default(), folder);
    if let Some(linux) = spec.linux_mut() {
        let mut masked = linux.masked_paths().clone().unwrap_or_default();
        masked.extend(shown);
        linux.set_masked_paths(Some(masked));
    }
}

/// Turns a description into what the container's first process is made from.
pub fn process(description: &Description, identity: &Identity) -> Result<Process, ContainerError> {
    let mut user = User::default();
    user.set_uid(identity.uid)
        .set_gid(identity.gid)
        .set_additional_gids(Some(identity.groups.clone()));
    let Confinement {
        privilege,
        cap_add,
        cap_drop,
        ..
    } = &description.confinement;
    let capabilities = capabilities::granted(*privilege, cap_add, cap_drop)?;
    let mut process = Process::default();
    process
        .set_terminal(Some(description.terminal == Terminal::Yes))
        .set_user(user)
        .set_args(Some(description.args.clone()))
        .set_env(Some(environment::of(description, identity)))
        .set_cwd(description.cwd.clone())
        .set_capabilities(Some(capabilities::sets(&capabilities)))
        .set_rlimits(Some(rlimits(description)?))
        .set_no_new_privileges(Some(
            description.confinement.new_privileges == NewPrivileges::Forbidden,
        ))
        .set_apparmor_profile(description.confinement.apparmor.clone())
        .set_oom_score_adj(description.oom_score_adj);
    Ok(process)
}

fn linux(
    description: &Description,
    machine: Machine,
    devices: Vec<Device>,
) -> Result<Linux, ContainerError> {
    let confinement = &description.confinement;
    let (masked, read_only) = match (confinement.privilege, confinement.masks) {
        (Privilege::Confined, Masks::Default) => {
            (mounts::masked_paths(), mounts::read_only_paths())
        }
        (Privilege::Confined, Masks::None) | (Privilege::Privileged, _) => (Vec::new(), Vec::new()),
    };
    let mut resources = resources(&description.limits)?;
    // In a user namespace nobody can make a device node: what was not mounted cannot be opened.
    let needs_rules = !machine.in_user_namespace || !description.device_rules.is_empty();
    let rules = devices::rules(description, &devices)?;
    resources.set_devices(Some(if needs_rules { rules } else { Vec::new() }));
    let nodes = if machine.in_user_namespace {
        Vec::new()
    } else {
        devices.into_iter().map(|device| device.spec).collect()
    };
    let mut linux = Linux::default();
    linux
        .set_namespaces(Some(namespaces(description.namespaces)))
        .set_masked_paths(Some(masked))
        .set_readonly_paths(Some(read_only))
        .set_devices(Some(nodes))
        .set_resources(Some(resources))
        .set_sysctl(Some(sysctls(description, machine).into_iter().collect()));
    Ok(linux)
}

fn namespaces(sharing: NamespaceSharing) -> Vec<LinuxNamespace> {
    let wanted = [
        (LinuxNamespaceType::Mount, Sharing::Own),
        (LinuxNamespaceType::Pid, sharing.pid),
        (LinuxNamespaceType::Network, sharing.network),
        (LinuxNamespaceType::Ipc, sharing.ipc),
        (LinuxNamespaceType::Uts, sharing.uts),
        (LinuxNamespaceType::Cgroup, sharing.cgroup),
    ];
    let own = wanted
        .into_iter()
        .filter(|(_, sharing)| *sharing == Sharing::Own);
    own.map(|(kind, _)| {
        let mut namespace = LinuxNamespace::default();
        namespace.set_typ(kind);
        namespace
    })
    .collect()
}

/// Adds what lets an ordinary user in the container ping and listen below 1024, as Docker does.
fn sysctls(description: &Description, machine: Machine) -> BTreeMap<String, String> {
    let mut all = description.sysctls.clone();
    if description.namespaces.network == Sharing::Own
        && description.confinement.privilege == Privilege::Confined
    {
        all.entry("net.ipv4.ip_unprivileged_port_start".to_owned())
            .or_insert_with(|| "0".to_owned());
        // In a user namespace the range would have to lie within the mapped groups.
        if !machine.in_user_namespace {
            all.entry("net.ipv4.ping_group_range".to_owned())
                .or_insert_with(|| "0 2147483647".to_owned());
        }
    }
    all
}

fn rlimits(description: &Description) -> Result<Vec<PosixRlimit>, ContainerError> {
    let mut all = Vec::new();
    for (name, limit) in &description.rlimits {
        let what = "a resource limit";
        if limit.soft > limit.hard {
            return Err(ContainerError::setting(
                what,
                name,
                "its soft value is above its hard one",
            ));
        }
        let kind = rlimit_type(name)
            .ok_or_else(|| ContainerError::setting(what, name, "there is no such limit"))?;
        let entry = PosixRlimitBuilder::default()
            .typ(kind)
            .soft(limit.soft)
            .hard(limit.hard);
        all.extend(entry.build());
    }
    Ok(all)
}

fn rlimit_type(name: &str) -> Option<PosixRlimitType> {
    Some(match name {
        "as" => PosixRlimitType::RlimitAs,
        "core" => PosixRlimitType::RlimitCore,
        "cpu" => PosixRlimitType::RlimitCpu,
        "data" => PosixRlimitType::RlimitData,
        "fsize" => PosixRlimitType::RlimitFsize,
        "locks" => PosixRlimitType::RlimitLocks,
        "memlock" => PosixRlimitType::RlimitMemlock,
        "msgqueue" => PosixRlimitType::RlimitMsgqueue,
        "nice" => PosixRlimitType::RlimitNice,
        "nofile" => PosixRlimitType::RlimitNofile,
        "nproc" => PosixRlimitType::RlimitNproc,
        "rss" => PosixRlimitType::RlimitRss,
        "rtprio" => PosixRlimitType::RlimitRtprio,
        "rttime" => PosixRlimitType::RlimitRttime,
        "sigpending" => PosixRlimitType::RlimitSigpending,
        "stack" => PosixRlimitType::RlimitStack,
        _ => return None,
    })
}
