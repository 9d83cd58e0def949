//! The devices of a `Spec`, and those that every program expects, into steps of the child.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use oci_spec::runtime::{Linux, LinuxDevice, LinuxDeviceType};
use rustix::fs::{FileType, Gid, Mode, Uid};

use super::mounts::open_source;
use super::target;
use crate::runtime::container::error::ContainerError;
use crate::runtime::container::init::filesystem::{DeviceHow, DeviceStep};
use crate::runtime::kernel::mount::Depth;
use crate::runtime::kernel::rooted::TargetKind;
use crate::runtime::kernel::sys::Territory;

/// The devices that every program expects.
const USUAL_DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

pub(super) fn usual_devices(territory: Territory) -> Result<Vec<DeviceStep>, ContainerError> {
    let steps = USUAL_DEVICES.iter().map(|(name, major, minor)| {
        let how = if territory == Territory::UserNamespace {
            bind_device(&Path::new("/dev").join(name))?
        } else {
            DeviceHow::Node {
                kind: FileType::CharacterDevice,
                mode: Mode::from_raw_mode(0o666),
                number: rustix::fs::makedev(*major, *minor),
                owner: (Uid::ROOT, Gid::ROOT),
            }
        };
        device_step(&Path::new("/dev").join(name), how)
    });
    steps.collect()
}

pub(super) fn devices(
    linux: &Linux,
    territory: Territory,
) -> Result<Vec<DeviceStep>, ContainerError> {
    let steps = linux.devices().iter().flatten().map(|device| {
        let how = if territory == Territory::UserNamespace {
            bind_device(device.path())?
        } else {
            node(device)?
        };
        device_step(device.path(), how)
    });
    steps.collect()
}

fn node(device: &LinuxDevice) -> Result<DeviceHow, ContainerError> {
    let shown = device.path().display().to_string();
    let refuse = |reason| ContainerError::setting("a device", &shown, reason);
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
        LinuxDeviceType::B => FileType::BlockDevice,
        LinuxDeviceType::P => FileType::Fifo,
        LinuxDeviceType::A => return Err(refuse("its kind is not said")),
    };
    let part = |number: i64| u32::try_from(number).map_err(|_| refuse("its number is negative"));
    let (major, minor) = (part(device.major())?, part(device.minor())?);
    Ok(DeviceHow::Node {
        kind,
        mode: Mode::from_raw_mode(device.file_mode().unwrap_or(0o666) & 0o7777),
        number: rustix::fs::makedev(major, minor),
        owner: (
            Uid::from_raw(device.uid().unwrap_or(0)),
            Gid::from_raw(device.gid().unwrap_or(0)),
        ),
    })
}

fn bind_device(path: &Path) -> Result<DeviceHow, ContainerError> {
    Ok(DeviceHow::Bind {
        tree: open_source(path, Depth::One)?,
        target: target(path, TargetKind::File)?,
    })
}

fn device_step(path: &Path, how: DeviceHow) -> Result<DeviceStep, ContainerError> {
    let label = path.display().to_string();
    let refuse = |reason| ContainerError::setting("a device", &label, reason);
    let name = path
        .file_name()
        .ok_or_else(|| refuse("its path has no last name"))?;
    let name = CString::new(name.as_bytes()).map_err(|_| refuse("its path holds a NUL byte"))?;
    let dir = target(
        path.parent().unwrap_or(Path::new("/")),
        TargetKind::Directory,
    )?;
    Ok(DeviceStep {
        label,
        dir,
        name,
        how,
    })
}
