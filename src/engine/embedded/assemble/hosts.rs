//! A container's names and addresses into its `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::network::addresses;
use crate::desired::{ContainerSpec, NetworkMode};
use crate::engine::EngineError;
use crate::engine::embedded::inner::Inner;
use crate::engine::embedded::record::ContainerRecord;
use crate::runtime::network::NetworkError;
use crate::runtime::network::files::{self, HostAddress, HostsFile};
use crate::runtime::network::names::ResolvConf;
use crate::runtime::store::{Durability, read_bounded, write_atomic};

impl Inner {
    /// Writes the files into the container's folder on the disk: programs inside may write to them as
    /// well, and memory that all containers share would be theirs to fill.
    pub(super) fn write_network_files(
        &self,
        record: &ContainerRecord,
        hostname: &str,
        resolv: &ResolvConf,
    ) -> Result<(), EngineError> {
        if !has_own_files(&record.spec) {
            return Ok(());
        }
        let spec = &record.spec;
        let failed = |error| {
            EngineError::act(
                format!("write the host names of container `{}`", record.name),
                error,
            )
        };
        let hosts = HostsFile {
            hostname: hostname.to_owned(),
            domain: spec.domainname.clone(),
            addresses: addresses(record).into_values().collect(),
            extra_hosts: extra_hosts(spec)?,
            gateways: self.gateways(spec, &record.endpoints)?,
        };
        let resolv_conf = resolv_conf(spec, resolv);
        let texts = [
            ("hosts", files::hosts(&hosts).map_err(failed)?),
            ("hostname", files::hostname(hostname).map_err(failed)?),
            ("resolv.conf", resolv_conf.map_err(failed)?),
        ];
        let folder = self.folder(record);
        // Also in a container that has lost its monitor.
        let is_mounted = self.is_watched(&record.id) || self.state(record)?.has_process_or_pause();
        for (name, text) in texts {
            let path = folder.join(name);
            let act = || format!("write `{}`", path.display());
            if is_mounted && path.exists() {
                refresh(&path, &text).map_err(|error| EngineError::act(act(), error))?;
                continue;
            }
            write_atomic(&path, text.as_bytes(), Durability::Cached)
                .map_err(|error| EngineError::act(act(), error))?;
            let readable = std::fs::Permissions::from_mode(0o644);
            std::fs::set_permissions(&path, readable)
                .map_err(|error| EngineError::act(act(), error))?;
        }
        Ok(())
    }
}

/// Writes a file that a running container has mounted, where its lines are no longer all in it.
///
/// In place, because the mount stays with the file that it was made of. What a program inside has
/// added stays as long as nothing of ours changes.
fn refresh(path: &Path, text: &str) -> std::io::Result<()> {
    const LIMIT_BYTES: u64 = 1 << 20;
    let current = read_bounded(path, LIMIT_BYTES).unwrap_or_default();
    let current = String::from_utf8_lossy(&current);
    let current: BTreeSet<&str> = current.lines().collect();
    if text.lines().all(|line| current.contains(line)) {
        return Ok(());
    }
    let mut file = std::fs::File::options()
        .write(true)
        .truncate(true)
        .open(path)?;
    file.write_all(text.as_bytes())
}

/// Reports whether a container gets `/etc/hosts` and so on: who shares a network shares its names.
pub(super) fn has_own_files(spec: &ContainerSpec) -> bool {
    match spec.network {
        NetworkMode::Endpoints(_) | NetworkMode::None | NetworkMode::Host => true,
        NetworkMode::Container(_) | NetworkMode::Service { .. } => false,
    }
}

/// Returns `/etc/resolv.conf`: our own name server on networks, else what the file or the host says.
fn resolv_conf(spec: &ContainerSpec, host: &ResolvConf) -> Result<String, NetworkError> {
    let own = &spec.resolver;
    let or_host = |own: &[String], host: &[String]| {
        if own.is_empty() {
            host.to_vec()
        } else {
            own.to_vec()
        }
    };
    let search = or_host(&own.search, &host.search);
    let servers: Vec<IpAddr> = own
        .servers
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect();
    match &spec.network {
        NetworkMode::Endpoints(_) => {
            files::resolv_conf(&[files::NAME_SERVER], &search, &own.options)
        }
        NetworkMode::Host
        | NetworkMode::None
        | NetworkMode::Container(_)
        | NetworkMode::Service { .. } => {
            let servers = if servers.is_empty() {
                &host.nameservers
            } else {
                &servers
            };
            files::resolv_conf(servers, &search, &or_host(&own.options, &host.options))
        }
    }
}

fn extra_hosts(spec: &ContainerSpec) -> Result<Vec<(String, HostAddress)>, EngineError> {
    let hosts = spec.resolver.hosts.iter();
    hosts
        .map(|host| {
            if host.address == "host-gateway" {
                return Ok((host.name.clone(), HostAddress::Gateway));
            }
            let parsed = host.address.parse().map(HostAddress::Ip);
            let act = || {
                format!(
                    "use `{}` as the address of host `{}`",
                    host.address, host.name
                )
            };
            parsed
                .map(|address| (host.name.clone(), address))
                .map_err(|error| EngineError::act(act(), error))
        })
        .collect()
}
