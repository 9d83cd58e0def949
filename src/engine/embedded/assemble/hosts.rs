//! A container's names and addresses into its `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::network::addresses;
use super::short_id;
use crate::desired::{ContainerSpec, NetworkMode};
use crate::engine::EngineError;
use crate::engine::embedded::inner::Inner;
use crate::engine::embedded::record::ContainerRecord;
use crate::runtime::network::NetworkError;
use crate::runtime::network::files::{self, HostAddress, HostsFile};
use crate::runtime::network::names::ResolvConf;
use crate::runtime::store::{Durability, read_bounded, write_atomic};
use crate::value::ContainerName;

/// As much of an `/etc/hosts` is read.
const HOSTS_LIMIT_BYTES: u64 = 1 << 20;
/// How many containers may join each other's network in a row.
const JOINS_LIMIT: usize = 16;

impl Inner {
    /// Writes the files into the container's folder on the disk: programs inside may write to them as
    /// well, and memory that all containers share would be theirs to fill.
    pub(super) fn write_network_files(
        &self,
        record: &ContainerRecord,
        hostname: &str,
        resolv: &ResolvConf,
    ) -> Result<(), EngineError> {
        if joined_network(&record.spec).is_some() {
            return Ok(());
        }
        let spec = &record.spec;
        let failed = |error| {
            EngineError::act(
                format!("write the host names of container `{}`", record.name),
                error,
            )
        };
        let extra_hosts = extra_hosts(spec)?;
        let hosts = if matches!(spec.network, NetworkMode::Host) {
            let machine = read_bounded(Path::new("/etc/hosts"), HOSTS_LIMIT_BYTES);
            let machine = machine.unwrap_or_default();
            files::hosts_of_machine(&String::from_utf8_lossy(&machine), &extra_hosts)
        } else {
            files::hosts(&HostsFile {
                hostname: hostname.to_owned(),
                domain: spec.domainname.clone(),
                addresses: addresses(record).into_values().collect(),
                extra_hosts,
                gateways: self.gateways(spec, &record.endpoints)?,
            })
        };
        let resolv_conf = resolv_conf(spec, resolv);
        let texts = [
            ("hosts", hosts.map_err(failed)?),
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

impl Inner {
    /// Returns the container that has the network that a container is in: itself, unless it joined another.
    pub(super) fn network_owner(
        &self,
        record: &ContainerRecord,
    ) -> Result<ContainerRecord, EngineError> {
        let mut owner = record.clone();
        for _ in 0..JOINS_LIMIT {
            let Some(joined) = joined_network(&owner.spec) else {
                return Ok(owner);
            };
            owner = self.get(joined)?;
        }
        let act = format!("find the network of container `{}`", record.name);
        Err(EngineError::act(
            act,
            "too many containers join each other's network",
        ))
    }

    /// Returns a container's host name: its own, or that of the network it is in.
    pub(super) fn hostname(&self, record: &ContainerRecord) -> Result<String, EngineError> {
        if let Some(own) = &record.spec.hostname {
            return Ok(own.clone());
        }
        let owner = self.network_owner(record)?;
        Ok(match (&owner.spec.hostname, &owner.spec.network) {
            (Some(name), _) => name.clone(),
            (None, NetworkMode::Host) => machine_name(),
            (None, _) => short_id(&owner.id).to_owned(),
        })
    }
}

/// Writes a file that a running container has mounted, where its lines are no longer all in it.
///
/// In place, because the mount stays with the file that it was made of. What a program inside has
/// added stays as long as nothing of ours changes.
fn refresh(path: &Path, text: &str) -> std::io::Result<()> {
    let current = read_bounded(path, HOSTS_LIMIT_BYTES).unwrap_or_default();
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

/// Returns the container whose network a container joins, and with it its host name and name files.
fn joined_network(spec: &ContainerSpec) -> Option<&ContainerName> {
    match &spec.network {
        NetworkMode::Container(container) | NetworkMode::Service { container, .. } => {
            Some(container)
        }
        NetworkMode::Endpoints(_) | NetworkMode::None | NetworkMode::Host => None,
    }
}

fn machine_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    match files::hostname(&name) {
        Ok(_) => name,
        // A machine without a proper name.
        Err(_) => "localhost".to_owned(),
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
