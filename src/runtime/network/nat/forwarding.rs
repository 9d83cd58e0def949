//! The kernel's switches for passing packets on between interfaces.

use std::io;

use crate::runtime::network::{NetworkError, settings};

/// Switches IPv4 forwarding on where it is off, and notes that.
pub(super) fn enable_ipv4(changed: &mut Vec<String>) -> Result<(), NetworkError> {
    enable("ipv4/ip_forward", changed)
}

/// Switches IPv6 forwarding on where it is off, and notes that.
///
/// A forwarding kernel stops listening to routers unless told otherwise for each interface; those
/// that listen now shall go on, or the machine itself would lose its way out.
pub(super) fn enable_ipv6(changed: &mut Vec<String>) -> Result<(), NetworkError> {
    const FORWARDING: &str = "ipv6/conf/all/forwarding";
    if is(FORWARDING, "1")? {
        return Ok(());
    }
    for interface in interfaces().map_err(|source| failed("ipv6/conf", source))? {
        let accept = format!("ipv6/conf/{interface}/accept_ra");
        if interface != "all" && is(&accept, "1")? {
            settings::set(&accept, "2")?;
            changed.push(spoken(&accept, "2"));
        }
    }
    enable(FORWARDING, changed)
}

fn enable(setting: &str, changed: &mut Vec<String>) -> Result<(), NetworkError> {
    if !is(setting, "1")? {
        settings::set(setting, "1")?;
        changed.push(spoken(setting, "1"));
    }
    Ok(())
}

fn is(setting: &str, value: &str) -> Result<bool, NetworkError> {
    let current = settings::read(setting).map_err(|source| failed(setting, source))?;
    Ok(current.trim() == value)
}

fn failed(setting: &str, source: io::Error) -> NetworkError {
    NetworkError::Setting {
        setting: setting.to_owned(),
        source,
    }
}

/// Returns the change in the words of `sysctl`.
fn spoken(setting: &str, value: &str) -> String {
    format!("net.{} = {value}", setting.replace('/', "."))
}

fn interfaces() -> io::Result<Vec<String>> {
    let entries = std::fs::read_dir("/proc/sys/net/ipv6/conf")?;
    Ok(entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect())
}
