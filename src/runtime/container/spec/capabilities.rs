//! Which capabilities a container gets: Docker's default, more and less of them.

use std::collections::BTreeSet;

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities};

use crate::runtime::container::description::Privilege;
use crate::runtime::container::error::ContainerError;

/// What a container gets if nothing else is said.
pub const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// All that this program knows, by their numbers in the kernel.
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Returns the names of all capabilities in the order of their numbers.
pub fn capability_names() -> &'static [&'static str] {
    &NAMES
}

/// Returns the names that a container with these wishes gets.
pub(super) fn granted(
    privilege: Privilege,
    add: &[String],
    drop: &[String],
) -> Result<BTreeSet<&'static str>, ContainerError> {
    let mut granted: BTreeSet<&str> = match privilege {
        Privilege::Privileged => NAMES.into(),
        Privilege::Confined => DEFAULT_CAPABILITIES.into(),
    };
    let add = parse_all("an added capability", add)?;
    let drop = parse_all("a dropped capability", drop)?;
    // `ALL` first, then the names: adding ALL and dropping one leaves the others, and the reverse.
    if matches!(drop, Names::All) {
        granted.clear();
    }
    if matches!(add, Names::All) {
        granted.extend(NAMES);
    }
    if let Names::These(names) = drop {
        granted.retain(|name| !names.contains(name));
    }
    if let Names::These(names) = add {
        granted.extend(names);
    }
    Ok(granted)
}

enum Names {
    All,
    These(BTreeSet<&'static str>),
}

fn parse_all(what: &'static str, texts: &[String]) -> Result<Names, ContainerError> {
    let mut names = BTreeSet::new();
    let mut all = false;
    for text in texts {
        let upper = text.to_ascii_uppercase();
        if upper == "ALL" || upper == "CAP_ALL" {
            all = true;
            continue;
        }
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let known = NAMES
            .iter()
            .find(|name| name.strip_prefix("CAP_") == Some(bare));
        names.insert(*known.ok_or_else(|| {
            ContainerError::setting(what, text, "the kernel has no capability of that name")
        })?);
    }
    Ok(if all { Names::All } else { Names::These(names) })
}

/// Returns the sets of a program that runs with these: nothing inheritable, nothing ambient.
pub(super) fn sets(granted: &BTreeSet<&'static str>) -> LinuxCapabilities {
    let all: Capabilities = granted.iter().filter_map(|name| parse(name)).collect();
    let none = Capabilities::new();
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(all.clone()))
        .set_effective(Some(all.clone()))
        .set_permitted(Some(all))
        .set_inheritable(Some(none.clone()))
        .set_ambient(Some(none));
    sets
}

/// Returns the sets of a program that may do everything that we may.
pub fn all_capabilities() -> LinuxCapabilities {
    sets(&NAMES.into())
}

fn parse(name: &str) -> Option<Capability> {
    name.strip_prefix("CAP_")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(add: &[&str], drop: &[&str]) -> Vec<&'static str> {
        let own = |list: &[&str]| {
            list.iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        granted(Privilege::Confined, &own(add), &own(drop))
            .unwrap()
            .into_iter()
            .collect()
    }

    #[test]
    fn all_and_names_combine_as_in_docker() {
        assert_eq!(names(&[], &[]), DEFAULT_CAPABILITIES);
        assert_eq!(names(&["net_admin"], &["ALL"]), ["CAP_NET_ADMIN"]);
        assert_eq!(names(&["ALL"], &["CAP_SYS_ADMIN"]).len(), NAMES.len() - 1);
        assert_eq!(names(&[], &["all"]), Vec::<&str>::new());
    }

    #[test]
    fn every_name_is_known_to_the_spec() {
        for name in NAMES {
            assert!(parse(name).is_some(), "{name}");
        }
        assert!(granted(Privilege::Confined, &["CAP_FLY".to_owned()], &[]).is_err());
    }
}
