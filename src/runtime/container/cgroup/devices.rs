//! Device rules: text on v1, a small program that the kernel asks on v2.

use std::os::fd::AsFd as _;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use super::{Cgroup, file};
use crate::runtime::container::error::ContainerError;
use crate::runtime::kernel::bpf::{self, DeviceAnswer, DeviceKind, DeviceRule};

/// Puts the rules in force; says whether that was possible.
pub(super) fn apply(cgroup: &Cgroup, rules: &[LinuxDeviceCgroup]) -> Result<bool, ContainerError> {
    if rules.is_empty() {
        return Ok(true);
    }
    if let Some(dir) = cgroup.v1_dir("devices") {
        for rule in rules {
            let name = if rule.allow() {
                "devices.allow"
            } else {
                "devices.deny"
            };
            file::write(dir, name, &v1_text(rule))?;
        }
        return Ok(true);
    }
    let Some(dir) = cgroup.open_v2()? else {
        return Ok(false);
    };
    let rules: Vec<DeviceRule> = rules.iter().map(v2_rule).collect();
    match bpf::attach_device_rules(dir.as_fd(), &rules) {
        Ok(()) => Ok(true),
        // Only the machine's own root may load such a program.
        Err(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS | rustix::io::Errno::NOSYS) => {
            Ok(false)
        }
        Err(errno) => Err(ContainerError::call("put device rules in force")(errno)),
    }
}

fn v1_text(rule: &LinuxDeviceCgroup) -> String {
    let kind = match rule.typ().unwrap_or(LinuxDeviceType::A) {
        LinuxDeviceType::A | LinuxDeviceType::P => return "a".to_owned(),
        LinuxDeviceType::B => "b",
        LinuxDeviceType::C | LinuxDeviceType::U => "c",
    };
    let number = |part: Option<i64>| {
        part.filter(|number| *number >= 0)
            .map_or("*".to_owned(), |number| number.to_string())
    };
    let access = rule.access().as_deref().unwrap_or("rwm");
    format!(
        "{kind} {}:{} {access}",
        number(rule.major()),
        number(rule.minor())
    )
}

fn v2_rule(rule: &LinuxDeviceCgroup) -> DeviceRule {
    let number = |part: Option<i64>| part.and_then(|number| u32::try_from(number).ok());
    let access = rule.access().as_deref().unwrap_or("rwm");
    DeviceRule {
        answer: if rule.allow() {
            DeviceAnswer::Allow
        } else {
            DeviceAnswer::Deny
        },
        kind: match rule.typ().unwrap_or(LinuxDeviceType::A) {
            LinuxDeviceType::A | LinuxDeviceType::P => None,
            LinuxDeviceType::B => Some(DeviceKind::Block),
            LinuxDeviceType::C | LinuxDeviceType::U => Some(DeviceKind::Character),
        },
        major: number(rule.major()),
        minor: number(rule.minor()),
        read: access.contains('r'),
        write: access.contains('w'),
        make_node: access.contains('m'),
    }
}
