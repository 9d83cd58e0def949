//! What builds on this machine work with: the store, registries, and a network for their commands.
//!
//! All commands of one build share a network, which is made for the first and removed with the workshop.
//! One that a killed build left has a lock that is held by no process: the next build removes it.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::inner::Inner;
use super::record::{NetworkRecord, new_id};
use crate::desired::{IpamSpec, NetworkSpec};
use crate::engine::EngineError;
use crate::runtime::build::{Bases, Events, Reach, StepNetwork, Workshop};
use crate::runtime::network::address::MacAddress;
use crate::runtime::network::endpoint::{self, EndpointConfig};
use crate::runtime::network::files;
use crate::runtime::network::names::{ResolvConf, host_resolvers};
use crate::runtime::store::{Contention, FileLock, LockHolder};
use crate::value::{Cidr, NetworkName};

/// The project of the networks of builds; the label of no Compose project.
const PROJECT: &str = "consort-build";
/// What `systemd-resolved` writes of the resolvers behind it.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

impl Inner {
    /// Returns the surroundings of a build.
    pub(super) fn workshop(this: &Arc<Self>, events: Events) -> Workshop {
        let networks = Arc::new(BuildNetworks {
            inner: Arc::clone(this),
            made: Mutex::new(None),
        });
        Workshop {
            store: this.store.clone(),
            state_dir: this.layout.state_dir().to_owned(),
            installation: this.layout.installation().to_owned(),
            registries: this.registries.clone(),
            credentials: this.credentials.clone(),
            network: Arc::new(move |reach| networks.step(reach).map_err(io::Error::other)),
            bases: Bases::Missing,
            git: None,
            events,
        }
    }

    /// Removes the networks of builds that were killed.
    fn remove_dead_build_networks(&self) -> Result<(), EngineError> {
        for record in self.networks()? {
            let lock = self.layout.lock(&record.spec.name);
            if record.spec.project.as_str() == PROJECT && !FileLock::is_held(&lock) {
                self.raze_network(&record)?;
                drop(std::fs::remove_file(&lock));
            }
        }
        Ok(())
    }
}

/// The networks of one build.
struct BuildNetworks {
    inner: Arc<Inner>,
    made: Mutex<Option<Arc<BuildNetwork>>>,
}

impl BuildNetworks {
    /// Makes a namespace on the build's network, or on none.
    fn step(&self, reach: Reach) -> Result<StepNetwork, EngineError> {
        if reach == Reach::Nothing {
            let made = self.inner.in_network(|| {
                let act = "make a network namespace for a command of a build";
                endpoint::create_netns().map_err(|error| EngineError::act(act, error))
            });
            return Ok(StepNetwork {
                namespace: made?,
                resolv_conf: String::new(),
                keep: Box::new(()),
            });
        }
        let network = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            match &*made {
                Some(network) => Arc::clone(network),
                None => {
                    let network = Arc::new(BuildNetwork::new(&self.inner)?);
                    *made = Some(Arc::clone(&network));
                    network
                }
            }
        };
        network.step()
    }
}

/// A network with its record and its lock; removed when dropped.
struct BuildNetwork {
    inner: Arc<Inner>,
    record: NetworkRecord,
    given: AtomicU32,
    lock: Option<FileLock>,
}

impl Drop for BuildNetwork {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next build, which finds the lock free.
        drop(self.inner.raze_network(&self.record));
        if let Some(lock) = self.lock.take() {
            let path = lock.path().to_owned();
            drop(lock);
            drop(std::fs::remove_file(path));
        }
    }
}

impl BuildNetwork {
    fn new(inner: &Arc<Inner>) -> Result<Self, EngineError> {
        let act = "make a network for a build";
        let failed = |error: io::Error| EngineError::act(act, error);
        inner.remove_dead_build_networks()?;
        let id = new_id().map_err(failed)?;
        let name = format!("{PROJECT}-{}", id.get(..12).unwrap_or(&id));
        let name: NetworkName = name.parse().map_err(|error| EngineError::act(act, error))?;
        let holder = LockHolder {
            pid: std::process::id(),
            command: "consort build".to_owned(),
        };
        let lock = inner.layout.lock(&name);
        let lock = FileLock::acquire(&lock, &holder, Contention::Wait, &|_| {});
        let lock = lock.map_err(|error| EngineError::act(act, error))?;
        let spec = NetworkSpec {
            project: PROJECT
                .parse()
                .map_err(|error| EngineError::act(act, error))?,
            key: "default".to_owned(),
            external: false,
            place: None,
            driver: None,
            driver_opts: std::collections::BTreeMap::new(),
            ipam: IpamSpec::default(),
            internal: false,
            attachable: false,
            enable_ipv4: None,
            enable_ipv6: None,
            labels: std::collections::BTreeMap::new(),
            name: name.clone(),
        };
        let _made = inner.create_network(&spec)?;
        let record = inner.find_network(&name)?;
        let record = record.ok_or(EngineError::NetworkNotFound { name })?;
        Ok(Self {
            inner: Arc::clone(inner),
            record,
            given: AtomicU32::new(0),
            lock: Some(lock),
        })
    }

    fn step(self: Arc<Self>) -> Result<StepNetwork, EngineError> {
        let act = "connect a command of a build";
        let failed = |error: io::Error| EngineError::act(act, error);
        let config = self.endpoint(act)?;
        // Where the bridge is: who has left that namespace for a new one must be allowed back.
        let namespace = self.inner.in_network(|| {
            let namespace = endpoint::create_netns();
            let namespace = namespace.map_err(|error| EngineError::act(act, error))?;
            let attached = endpoint::attach(&namespace, &[config]);
            attached.map_err(|error| EngineError::act(act, error))?;
            Ok(namespace)
        })?;
        let conf = resolvers();
        let text = files::resolv_conf(&conf.nameservers, &conf.search, &conf.options);
        Ok(StepNetwork {
            namespace,
            resolv_conf: text.map_err(|error| failed(io::Error::other(error)))?,
            keep: Box::new(self),
        })
    }

    /// Chooses the next address.
    fn endpoint(&self, act: &str) -> Result<EndpointConfig, EngineError> {
        let failed = |error: io::Error| EngineError::act(act.to_owned(), error);
        let full = || failed(io::Error::other("the network has no address left"));
        let subnet = self.record.ipv4.as_ref().ok_or_else(full)?;
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        let first = subnet.subnet.offset_of(subnet.gateway).unwrap_or(1) + 1;
        let address = subnet.subnet.with_offset(first + u128::from(number));
        if !subnet.subnet.contains(address) || address == subnet.subnet.last() {
            return Err(full());
        }
        let gateway: IpAddr = subnet.gateway;
        Ok(EndpointConfig {
            interface_name: "eth0".to_owned(),
            bridge: self.record.link.clone(),
            host_link: endpoint::host_link_name().map_err(failed)?,
            mark: super::network::endpoint_mark(self.inner.layout.installation(), PROJECT),
            ipv4: Cidr::new(address, subnet.subnet.prefix_len()),
            ipv6: None,
            mac: MacAddress::of(address),
            mtu: None,
            default_gateways: vec![gateway],
        })
    }
}

/// Returns the resolvers that a namespace of its own can reach: none on a loopback address of the host.
fn resolvers() -> ResolvConf {
    let (_, mut conf) = host_resolvers(Path::new("/etc/resolv.conf"));
    conf.nameservers.retain(|ip| !ip.is_loopback());
    if conf.nameservers.is_empty() {
        let (_, behind) = host_resolvers(Path::new(RESOLVED));
        conf.nameservers = behind.nameservers;
        conf.nameservers.retain(|ip| !ip.is_loopback());
    }
    conf
}
