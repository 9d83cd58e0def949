//! Devices of the host that a container asked for, and the rules about all others.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType, Mount};
use rustix::fs::{FileType, Stat};

use crate::runtime::container::description::{Description, DeviceRequest, Privilege};
use crate::runtime::container::error::ContainerError;

/// A device node to be made, and what may be done with it.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) spec: LinuxDevice,
    source: PathBuf,
    permissions: String,
}

/// Parts of /dev that are not devices, or are the container's own.
const NOT_DEVICES: [&str; 6] = ["pts", "shm", "fd", "mqueue", "console", "ptmx"];
/// How deep below /dev real devices lie (`/dev/bus/usb/001/002`).
const DEPTH_LIMIT: usize = 5;

/// Returns the requested devices, or all of them for a privileged container.
pub(super) fn requested(description: &Description) -> Result<Vec<Device>, ContainerError> {
    let mut found = Vec::new();
    if description.confinement.privilege == Privilege::Privileged {
        collect(Path::new("/dev"), Path::new("/dev"), "rwm", &mut found, 0);
    }
    for DeviceRequest {
        source,
        target,
        permissions,
    } in &description.devices
    {
        let known = permissions.bytes().all(|byte| b"rwm".contains(&byte));
        if !known || permissions.is_empty() {
            let reason = "some of `r`, `w` and `m` are expected";
            return Err(ContainerError::setting(
                "device permissions",
                permissions,
                reason,
            ));
        }
        let stat = rustix::fs::stat(source).map_err(|errno| ContainerError::HostFile {
            act: "use device",
            path: source.clone(),
            source: errno.into(),
        })?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            collect(source, target, permissions, &mut found, 0);
        } else if let Some(device) = device((source, target), &stat, permissions) {
            found.push(device);
        } else {
            let shown = source.display().to_string();
            return Err(ContainerError::setting(
                "a device",
                &shown,
                "it is not a device",
            ));
        }
    }
    Ok(found)
}

fn collect(from: &Path, to: &Path, permissions: &str, found: &mut Vec<Device>, depth: usize) {
    let Ok(entries) = std::fs::read_dir(from) else {
        return;
    };
    let mut names: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| PathBuf::from(entry.file_name()))
        .collect();
    names.sort();
    for name in names {
        if depth == 0 && NOT_DEVICES.iter().any(|other| name.as_os_str() == *other) {
            continue;
        }
        let Ok(stat) = rustix::fs::lstat(from.join(&name)) else {
            continue;
        };
        let target = to.join(&name);
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            if depth < DEPTH_LIMIT {
                collect(&from.join(&name), &target, permissions, found, depth + 1);
            }
        } else {
            found.extend(device((&from.join(&name), &target), &stat, permissions));
        }
    }
}

fn device((source, target): (&Path, &Path), stat: &Stat, permissions: &str) -> Option<Device> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => LinuxDeviceType::C,
        FileType::BlockDevice => LinuxDeviceType::B,
        FileType::RegularFile
        | FileType::Directory
        | FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::Unknown => return None,
    };
    let mut spec = LinuxDevice::default();
    spec.set_path(target.to_owned())
        .set_typ(kind)
        .set_major(rustix::fs::major(stat.st_rdev).into())
        .set_minor(rustix::fs::minor(stat.st_rdev).into())
        .set_file_mode(Some(stat.st_mode & 0o777))
        .set_uid(Some(stat.st_uid))
        .set_gid(Some(stat.st_gid));
    Some(Device {
        spec,
        source: source.to_owned(),
        permissions: permissions.to_owned(),
    })
}

/// Returns the devices as mounts of the host's nodes, for a user namespace, where nobody can make any.
pub(super) fn as_mounts(devices: &[Device]) -> Vec<Mount> {
    let mount = |device: &Device| {
        let mut mount = Mount::default();
        mount
            .set_destination(device.spec.path().clone())
            .set_typ(Some("bind".to_owned()))
            .set_source(Some(device.source.clone()))
            .set_options(Some(vec!["bind".to_owned()]));
        mount
    };
    devices.iter().map(mount).collect()
}

/// What every container may use: null zero full random urandom tty console ptmx and its terminals.
const USUAL: [(i64, Option<i64>); 8] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(2)),
    (136, None),
];

/// Returns the rules in order: nothing, but for the usual devices, the requested ones and the rules
/// that were asked for.
pub(super) fn rules(
    description: &Description,
    devices: &[Device],
) -> Result<Vec<LinuxDeviceCgroup>, ContainerError> {
    if description.confinement.privilege == Privilege::Privileged {
        return Ok(vec![rule(
            Answer::Allow,
            LinuxDeviceType::A,
            (None, None),
            "rwm",
        )]);
    }
    let mut rules = vec![
        rule(Answer::Deny, LinuxDeviceType::A, (None, None), "rwm"),
        // Making a node is harmless where opening it is not allowed.
        rule(Answer::Allow, LinuxDeviceType::C, (None, None), "m"),
        rule(Answer::Allow, LinuxDeviceType::B, (None, None), "m"),
    ];
    for (major, minor) in USUAL {
        rules.push(rule(
            Answer::Allow,
            LinuxDeviceType::C,
            (Some(major), minor),
            "rwm",
        ));
    }
    for Device {
        spec, permissions, ..
    } in devices
    {
        let number = (Some(spec.major()), Some(spec.minor()));
        rules.push(rule(Answer::Allow, spec.typ(), number, permissions));
    }
    for text in &description.device_rules {
        rules.push(parse_rule(text)?);
    }
    Ok(rules)
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Allow,
    Deny,
}

fn rule(
    answer: Answer,
    kind: LinuxDeviceType,
    (major, minor): (Option<i64>, Option<i64>),
    access: &str,
) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(answer == Answer::Allow)
        .set_typ(Some(kind))
        .set_major(major)
        .set_minor(minor)
        .set_access(Some(access.to_owned()));
    rule
}

fn parse_rule(text: &str) -> Result<LinuxDeviceCgroup, ContainerError> {
    let parse = || {
        let mut words = text.split_ascii_whitespace();
        let kind = match words.next()? {
            "a" => LinuxDeviceType::A,
            "b" => LinuxDeviceType::B,
            "c" => LinuxDeviceType::C,
            _ => return None,
        };
        let (major, minor) = words.next()?.split_once(':')?;
        let access = words.next()?;
        let known = !access.is_empty() && access.bytes().all(|byte| b"rwm".contains(&byte));
        if !known || words.next().is_some() {
            return None;
        }
        let number = |text: &str| match text {
            "*" => Some(None),
            digits => digits.parse::<u32>().ok().map(|number| Some(number.into())),
        };
        Some(rule(
            Answer::Allow,
            kind,
            (number(major)?, number(minor)?),
            access,
        ))
    };
    parse().ok_or_else(|| {
        ContainerError::setting(
            "a device rule",
            text,
            "a form such as `c 1:3 rwm` is expected",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_rule_is_read_as_docker_reads_it() {
        let parsed = parse_rule("c 42:* rm").unwrap();
        assert_eq!((parsed.major(), parsed.minor()), (Some(42), None));
        assert_eq!(parsed.access().as_deref(), Some("rm"));
        for bad in [
            "",
            "c",
            "c 1:3",
            "x 1:3 r",
            "c 1 r",
            "c 1:3 rx",
            "c 1:3 r\nb 8:0 w",
            "c -1:3 r",
        ] {
            assert!(parse_rule(bad).is_err(), "{bad:?}");
        }
    }
}
