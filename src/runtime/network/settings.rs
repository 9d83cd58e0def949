//! The kernel's network settings below `/proc/sys/net`, of the calling thread's network namespace.

use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};

use super::NetworkError;
use super::nat::Ipv6;

const ROOT: &str = "/proc/sys/net";

/// Keeps a network from changing the host's routes, and IPv6 off where nobody asked for it.
pub(super) fn harden_bridge(link: &str, ipv6: Ipv6) -> Result<(), NetworkError> {
    if !Path::new("/proc/sys/net/ipv6").exists() {
        return Ok(());
    }
    let setting = |name: &str| format!("ipv6/conf/{link}/{name}");
    let disabled = match ipv6 {
        Ipv6::Enabled => "0",
        Ipv6::Disabled => "1",
    };
    set(&setting("disable_ipv6"), disabled)?;
    // A container could otherwise announce itself as the host's router (CVE-2020-13401).
    set(&setting("accept_ra"), "0")
}

/// Sets one setting, if it is not so already.
pub(super) fn set(setting: &str, value: &str) -> Result<(), NetworkError> {
    let failed = |source: io::Error| NetworkError::Setting {
        setting: setting.to_owned(),
        source,
    };
    if read(setting).map_err(failed)?.trim() == value {
        return Ok(());
    }
    let path = Path::new(ROOT).join(setting);
    let file = open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    let file = file.map_err(|error| failed(error.into()))?;
    // A setting is one write; it cannot be cut.
    let _written = rustix::io::write(file, value.as_bytes()).map_err(|e| failed(e.into()))?;
    Ok(())
}

/// Returns the names in a folder of settings.
pub(super) fn list(folder: &str) -> io::Result<Vec<String>> {
    let entries = std::fs::read_dir(Path::new(ROOT).join(folder))?;
    let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
    let names: io::Result<Vec<Option<String>>> = names.collect();
    Ok(names?.into_iter().flatten().collect())
}

/// Reads one setting.
pub(super) fn read(setting: &str) -> io::Result<String> {
    let path = Path::new(ROOT).join(setting);
    let file = open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = [0_u8; 128];
    let count = rustix::io::read(file, &mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
}
