//! A container's record into the bundle that its monitor starts from, and the files beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use super::describe;
use super::events::event_attributes;
use super::holder::Holder;
use super::inner::Inner;
use super::network::endpoint_mark;
use super::record::ContainerRecord;
use super::volume::same_path;
use crate::desired::{
    ContainerSpec, InjectedFile, LogSpec, MountKind, NetworkMode, PortSpec, Protocol,
    RestartPolicy, VolumeMount,
};
use crate::engine::EngineError;
use crate::runtime::container::cgroup;
use crate::runtime::container::description::MountRequest;
use crate::runtime::monitor::bundle::{
    Bundle, BundleVolume, Init, NamedNetwork, NetworkBundle, OwnNetwork, SharedNamespaces,
};
use crate::runtime::monitor::health::HealthCheck;
use crate::runtime::monitor::log::LogOptions;
use crate::runtime::monitor::restart;
use crate::runtime::network::NetworkError;
use crate::runtime::network::files::{self, HostAddress, HostsFile};
use crate::runtime::network::names::{NameRecord, ResolvConf, host_resolvers};
use crate::runtime::network::publish::{self, HostPort, PublishConfig};
use crate::runtime::store::{Durability, make_dir, read_bounded, write_atomic};
use crate::value::{ContainerName, Signal};

impl Inner {
    /// Puts together all that a monitor needs to start a container.
    pub(super) fn assemble(&self, record: &ContainerRecord) -> Result<Bundle, EngineError> {
        let record = &self.with_current_leases(record)?;
        let spec = &record.spec;
        let hostname = hostname(record);
        let run_dir = self.layout.container_run(&record.id);
        let mut container = describe::describe(spec, &record.image_config, &hostname)?;
        let (mounts, volumes) = self.mounts(record, &run_dir)?;
        container.mounts = mounts;
        let (upstream, resolv) = host_resolvers(Path::new("/etc/resolv.conf"));
        let network = self.network_of(record, upstream)?;
        self.write_network_files(record, &run_dir, &hostname, &resolv)?;
        Ok(Bundle {
            id: record.id.clone(),
            name: record.name.to_string(),
            boot_id: self.boot_id.clone(),
            container_dir: self.folder(record),
            run_dir,
            events: self.layout.events(&spec.project),
            event_attributes: event_attributes(record),
            root: record.root.clone(),
            state_dir: self.layout.state_dir().to_owned(),
            volumes,
            container,
            seccomp: describe::seccomp(&spec.security),
            cgroup_parent: cgroup_parent(spec),
            cgroup_name: format!("{}-{}", self.layout.installation(), record.id),
            network,
            holder: self.holder.as_ref().map(Holder::socket),
            shared: self.shared_namespaces(spec)?,
            addresses: addresses(record),
            names: self.name_records(record),
            init: if spec.process.init == Some(true) {
                Init::Yes
            } else {
                Init::No
            },
            keep_stdin: spec.process.stdin_open,
            health: health(spec, record),
            restart: restart_policy(spec.restart),
            log: log_options(&spec.logging)?,
            stop_signal: self.stop_signal(record),
        })
    }

    /// Returns the signal that asks a container to end: the file's, the image's, or SIGTERM.
    pub(super) fn stop_signal(&self, record: &ContainerRecord) -> i32 {
        let own = record.spec.stop.signal;
        let image = || {
            record
                .image_config
                .stop_signal
                .as_deref()?
                .parse::<Signal>()
                .ok()
        };
        own.or_else(image).unwrap_or(Signal::TERM).number()
    }

    /// Returns all mounts of a container, outer ones first, and which of them are volumes.
    fn mounts(
        &self,
        record: &ContainerRecord,
        run_dir: &Path,
    ) -> Result<(Vec<MountRequest>, Vec<BundleVolume>), EngineError> {
        let (mut mounts, mut volumes) = (Vec::new(), Vec::new());
        for mount in &record.spec.mounts {
            if let Some(request) = describe::request(&mount.kind, &mount.target, mount.read_only) {
                self.prepare_bind(record, &mount.kind)?;
                mounts.push(request);
                continue;
            }
            let MountKind::Volume(wanted) = &mount.kind else {
                let what = format!("mount an image at `{}`", mount.target);
                return Err(EngineError::NotSupported {
                    what,
                    engine: "embedded",
                });
            };
            let (request, volume) =
                self.volume_mount(record, wanted, &mount.target, mount.read_only)?;
            mounts.push(request);
            volumes.push(volume);
        }
        self.add_image_volumes(record, &mut mounts, &mut volumes)?;
        mounts.extend(own_files(record, run_dir, &mounts));
        // What is mounted inside another mount comes after it.
        mounts.sort_by_key(|request| request.target.components().count());
        Ok((mounts, volumes))
    }

    /// Mounts the volumes that the image asks for and the file says nothing about.
    fn add_image_volumes(
        &self,
        record: &ContainerRecord,
        mounts: &mut Vec<MountRequest>,
        volumes: &mut Vec<BundleVolume>,
    ) -> Result<(), EngineError> {
        let wanted = &record.spec.mounts;
        let is_mounted = |target: &str| wanted.iter().any(|mount| same_path(&mount.target, target));
        let own = record
            .volumes
            .iter()
            .filter(|volume| volume.anonymous && !is_mounted(&volume.target));
        let plain = VolumeMount {
            name: None,
            nocopy: false,
            subpath: None,
            labels: BTreeMap::new(),
        };
        for volume in own {
            let (request, volume) = self.volume_mount(record, &plain, &volume.target, false)?;
            mounts.push(request);
            volumes.push(volume);
        }
        Ok(())
    }

    /// Writes secrets and configs into the run folder, which is on memory; mounted read-only.
    pub(super) fn keep_files(
        &self,
        record: &ContainerRecord,
        wanted: &[InjectedFile],
    ) -> Result<(), EngineError> {
        let run_dir = self.layout.container_run(&record.id);
        let dir = run_dir.join("files");
        let act = |error| {
            EngineError::act(
                format!("make the run folder of container `{}`", record.name),
                error,
            )
        };
        make_dir(&dir).map_err(act)?;
        for (number, file) in wanted.iter().enumerate() {
            let Some(content) = &file.content else {
                continue;
            };
            let path = kept_file(&run_dir, number);
            let failed = |error: std::io::Error| {
                EngineError::act(
                    format!("write `{}` of container `{}`", file.target, record.name),
                    error,
                )
            };
            write_atomic(&path, content.bytes(), Durability::Cached).map_err(act)?;
            let mode = std::fs::Permissions::from_mode(file.mode & 0o7777);
            std::fs::set_permissions(&path, mode).map_err(failed)?;
            chown(&path, Some(file.uid), Some(file.gid)).map_err(failed)?;
        }
        Ok(())
    }

    fn write_network_files(
        &self,
        record: &ContainerRecord,
        run_dir: &Path,
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
            gateways: self.gateways(record)?,
        };
        let resolv_conf = resolv_conf(spec, resolv);
        let texts = [
            ("hosts", files::hosts(&hosts).map_err(failed)?),
            ("hostname", files::hostname(hostname).map_err(failed)?),
            ("resolv.conf", resolv_conf.map_err(failed)?),
        ];
        let is_mounted = self.is_watched(&record.id);
        for (name, text) in texts {
            let path = run_dir.join(name);
            if is_mounted && path.exists() {
                refresh(&path, &text).map_err(|error| {
                    EngineError::act(format!("write `{}`", path.display()), error)
                })?;
                continue;
            }
            let act = |error| EngineError::act(format!("write `{}`", path.display()), error);
            write_atomic(&path, text.as_bytes(), Durability::Cached).map_err(act)?;
            let readable = std::fs::Permissions::from_mode(0o644);
            std::fs::set_permissions(&path, readable)
                .map_err(|error| EngineError::act(format!("write `{}`", path.display()), error))?;
        }
        Ok(())
    }

    /// Returns the gateways that `host-gateway` stands for.
    fn gateways(&self, record: &ContainerRecord) -> Result<Vec<IpAddr>, EngineError> {
        let Some(lease) = record.endpoints.first() else {
            return Ok(Vec::new());
        };
        let network = self.find_network(&lease.network)?;
        let subnets = network
            .into_iter()
            .flat_map(|network| [network.ipv4, network.ipv6]);
        Ok(subnets.flatten().map(|subnet| subnet.gateway).collect())
    }

    fn network_of(
        &self,
        record: &ContainerRecord,
        host_resolvers: Vec<SocketAddr>,
    ) -> Result<NetworkBundle, EngineError> {
        let spec = &record.spec;
        match &spec.network {
            NetworkMode::Host => Ok(NetworkBundle::Host),
            NetworkMode::Container(_) | NetworkMode::Service { .. } => Ok(NetworkBundle::Shared),
            NetworkMode::None => Ok(NetworkBundle::Own(OwnNetwork::default())),
            NetworkMode::Endpoints(_) => {
                let endpoints = self.endpoints(spec, &record.endpoints)?;
                let has_way_out = endpoints
                    .iter()
                    .any(|endpoint| !endpoint.default_gateways.is_empty());
                let upstream = if has_way_out {
                    upstream(spec, host_resolvers)?
                } else {
                    Vec::new()
                };
                let ports = spec
                    .ports
                    .iter()
                    .map(publish_config)
                    .collect::<Result<_, _>>()?;
                let networks = self.named_networks(record)?;
                Ok(NetworkBundle::Own(OwnNetwork {
                    mark: endpoint_mark(self.layout.installation(), &record.id),
                    endpoints,
                    ports,
                    upstream,
                    networks,
                    links: spec.resolver.links.clone(),
                }))
            }
        }
    }

    /// Leaves out addresses on networks that are gone or were made again: nothing leads there.
    pub(super) fn with_current_leases(
        &self,
        record: &ContainerRecord,
    ) -> Result<ContainerRecord, EngineError> {
        let mut current = record.clone();
        current.endpoints.clear();
        for lease in &record.endpoints {
            let network = self.find_network(&lease.network)?;
            if network.is_some_and(|network| network.id == lease.network_id) {
                current.endpoints.push(lease.clone());
            }
        }
        Ok(current)
    }

    fn named_networks(&self, record: &ContainerRecord) -> Result<Vec<NamedNetwork>, EngineError> {
        let mut named = Vec::new();
        for lease in &record.endpoints {
            let Some(network) = self.find_network(&lease.network)? else {
                continue;
            };
            let subnets = [network.ipv4, network.ipv6].into_iter().flatten();
            named.push(NamedNetwork {
                name: lease.network.to_string(),
                folder: self.layout.names(&lease.network),
                subnets: subnets.map(|subnet| subnet.subnet).collect(),
            });
        }
        Ok(named)
    }

    fn shared_namespaces(&self, spec: &ContainerSpec) -> Result<SharedNamespaces, EngineError> {
        let network = match &spec.network {
            NetworkMode::Container(name) => Some(self.folder_of(name)?),
            NetworkMode::Service { container, .. } => Some(self.folder_of(container)?),
            NetworkMode::Endpoints(_) | NetworkMode::None | NetworkMode::Host => None,
        };
        Ok(SharedNamespaces {
            network,
            pid: self.folder_of_mode(spec.namespaces.pid.as_deref())?,
            ipc: self.folder_of_mode(spec.namespaces.ipc.as_deref())?,
        })
    }

    fn folder_of_mode(&self, mode: Option<&str>) -> Result<Option<PathBuf>, EngineError> {
        let Some(text) = mode.and_then(|mode| mode.strip_prefix("container:")) else {
            return Ok(None);
        };
        let name = text.parse::<ContainerName>();
        let name =
            name.map_err(|error| EngineError::act(format!("find container `{text}`"), error))?;
        self.folder_of(&name).map(Some)
    }

    fn folder_of(&self, name: &ContainerName) -> Result<PathBuf, EngineError> {
        Ok(self.folder(&self.get(name)?))
    }

    fn name_records(&self, record: &ContainerRecord) -> BTreeMap<PathBuf, NameRecord> {
        let mut records = BTreeMap::new();
        for endpoint in record.spec.network.endpoints() {
            let mut leases = record.endpoints.iter();
            let Some(lease) = leases.find(|lease| lease.network == endpoint.network) else {
                continue;
            };
            let mut names = endpoint.aliases.clone();
            names.push(record.name.to_string());
            names.push(short_id(&record.id).to_owned());
            names.sort();
            names.dedup();
            let entry = NameRecord {
                container: record.id.clone(),
                names,
                ipv4: lease.ipv4,
                ipv6: lease.ipv6,
                healthy: true,
            };
            drop(records.insert(self.layout.names(&endpoint.network), entry));
        }
        records
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

/// Returns the cgroup below which a container's own is made.
fn cgroup_parent(spec: &ContainerSpec) -> String {
    let own = format!("{}/{}", cgroup::MARK, spec.project);
    spec.namespaces.cgroup_parent.clone().unwrap_or(own)
}

/// Returns the first twelve digits of an id, by which people know a container.
pub(super) fn short_id(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn hostname(record: &ContainerRecord) -> String {
    record
        .spec
        .hostname
        .clone()
        .unwrap_or_else(|| short_id(&record.id).to_owned())
}

/// Reports whether a container gets `/etc/hosts` and so on: who shares a network shares its names.
fn has_own_files(spec: &ContainerSpec) -> bool {
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

/// Returns the files that the engine itself puts into a container: names, secrets and configs.
fn own_files(
    record: &ContainerRecord,
    run_dir: &Path,
    mounts: &[MountRequest],
) -> Vec<MountRequest> {
    let own = [
        ("hosts", "/etc/hosts"),
        ("hostname", "/etc/hostname"),
        ("resolv.conf", "/etc/resolv.conf"),
    ];
    let is_free = |target: &str| !mounts.iter().any(|one| one.target == Path::new(target));
    let names = own
        .into_iter()
        .filter(|(_, target)| has_own_files(&record.spec) && is_free(target));
    let names =
        names.map(|(file, target)| describe::own_bind(run_dir.join(file), target, false, &[]));
    let files = record.spec.files.iter().enumerate().map(|(number, file)| {
        describe::own_bind(
            kept_file(run_dir, number),
            &file.target,
            true,
            &["nosuid", "nodev"],
        )
    });
    names.chain(files).collect()
}

fn kept_file(run_dir: &Path, number: usize) -> PathBuf {
    run_dir.join("files").join(number.to_string())
}

fn addresses(record: &ContainerRecord) -> BTreeMap<String, IpAddr> {
    let leases = record.endpoints.iter();
    let address = |v4: Option<std::net::Ipv4Addr>, v6: Option<std::net::Ipv6Addr>| {
        v4.map(IpAddr::V4).or(v6.map(IpAddr::V6))
    };
    leases
        .filter_map(|lease| Some((lease.network.to_string(), address(lease.ipv4, lease.ipv6)?)))
        .collect()
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

fn upstream(spec: &ContainerSpec, host: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, EngineError> {
    if spec.resolver.servers.is_empty() {
        return Ok(host);
    }
    let servers = spec.resolver.servers.iter();
    servers
        .map(|text| {
            let parsed = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
            parsed
                .map_err(|error| EngineError::act(format!("use `{text}` as a name server"), error))
        })
        .collect()
}

fn publish_config(port: &PortSpec) -> Result<PublishConfig, EngineError> {
    let protocol = match port.protocol {
        Protocol::Tcp => publish::Protocol::Tcp,
        Protocol::Udp => publish::Protocol::Udp,
        Protocol::Sctp => {
            let what = format!("publish port {}/sctp", port.target);
            return Err(EngineError::NotSupported {
                what,
                engine: "embedded",
            });
        }
    };
    let host_port = match port.published {
        None => HostPort::Any,
        Some(range) => HostPort::Within {
            first: range.first,
            last: range.last,
        },
    };
    Ok(PublishConfig {
        host_ip: port.host_ip,
        host_port,
        container_port: port.target,
        protocol,
    })
}

fn health(spec: &ContainerSpec, record: &ContainerRecord) -> Option<HealthCheck> {
    super::health::health_check(
        spec.healthcheck.as_ref(),
        record.image_config.healthcheck.as_ref(),
    )
}

fn restart_policy(policy: RestartPolicy) -> restart::RestartPolicy {
    match policy {
        RestartPolicy::No => restart::RestartPolicy::No,
        RestartPolicy::Always => restart::RestartPolicy::Always,
        RestartPolicy::UnlessStopped => restart::RestartPolicy::UnlessStopped,
        RestartPolicy::OnFailure { max_retries } => {
            restart::RestartPolicy::OnFailure { max_retries }
        }
    }
}

/// Reads `logging`: the drivers that keep lines, with their `max-size` and `max-file`, and `none`.
fn log_options(spec: &LogSpec) -> Result<Option<LogOptions>, EngineError> {
    let mut options = LogOptions::default();
    match spec.driver.as_deref() {
        None | Some("" | "json-file" | "local") => {}
        Some("none") => return Ok(None),
        Some(driver) => {
            let what = format!("keep output with the logging driver `{driver}`");
            return Err(EngineError::NotSupported {
                what,
                engine: "embedded",
            });
        }
    }
    for (name, value) in &spec.options {
        let act = || format!("use `{value}` as the logging option `{name}`");
        match name.as_str() {
            "max-size" => {
                let size: crate::value::ByteSize = value
                    .parse()
                    .map_err(|error| EngineError::act(act(), error))?;
                options.max_size_bytes = u64::try_from(size.bytes()).unwrap_or(u64::MAX);
            }
            "max-file" => {
                let count: u32 = value
                    .parse()
                    .map_err(|error| EngineError::act(act(), error))?;
                options.max_files = count.max(1);
            }
            // They add to each line what no reader of ours shows.
            "labels" | "labels-regex" | "env" | "env-regex" | "tag" | "compress" | "mode"
            | "max-buffer-size" => {}
            _ => {
                let what = format!("keep output with the logging option `{name}`");
                return Err(EngineError::NotSupported {
                    what,
                    engine: "embedded",
                });
            }
        }
    }
    Ok(Some(options))
}
