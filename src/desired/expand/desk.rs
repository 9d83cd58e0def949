//! The desk at which one service after the other is expanded: its places, mistakes and notices.

use crate::compose::{Project, model, source::Source};
use crate::desired::{DesiredError, Notice, Places};
use crate::value::{ImageRef, Place, ProjectName, ServiceName};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    error::Error,
    net::IpAddr,
    path::Path,
    str::FromStr,
};

pub(super) struct Desk<'a> {
    pub(super) project: &'a Project,
    pub(super) name: ProjectName,
    source: &'a dyn Source,
    /// What is on the desk: the path below which places are looked up, and how it is called.
    prefix: String,
    owner: String,
    service: Option<ServiceName>,
    faults: Vec<DesiredError>,
    notices: Vec<Notice>,
    /// The addresses that services have fixed, disabled ones included, by the network's key.
    fixed: BTreeMap<&'a str, BTreeSet<IpAddr>>,
}

fn fixed_addresses(project: &Project) -> BTreeMap<&str, BTreeSet<IpAddr>> {
    let mut fixed: BTreeMap<&str, BTreeSet<IpAddr>> = BTreeMap::new();
    let services = project.services.values();
    for service in services.chain(project.disabled_services.values()) {
        for (key, network) in &service.networks {
            let addresses = network.iter().flat_map(fixed_of);
            fixed.entry(key).or_default().extend(addresses);
        }
    }
    fixed
}

/// Returns the addresses that a service has fixed on one network; what is none is refused elsewhere.
fn fixed_of(network: &model::ServiceNetwork) -> impl Iterator<Item = IpAddr> {
    let texts = [&network.ipv4_address, &network.ipv6_address];
    texts
        .into_iter()
        .flatten()
        .filter_map(|text| text.parse().ok())
}

impl<'a> Desk<'a> {
    pub(super) fn new(project: &'a Project, name: ProjectName, source: &'a dyn Source) -> Self {
        Self {
            project,
            owner: format!("project `{name}`"),
            name,
            source,
            prefix: String::new(),
            service: None,
            faults: Vec::new(),
            notices: Vec::new(),
            fixed: fixed_addresses(project),
        }
    }

    /// Returns the addresses on a network that other services have fixed.
    pub(super) fn fixed_by_others(
        &self,
        key: &str,
        own: &model::ServiceNetwork,
    ) -> BTreeSet<IpAddr> {
        let mut others = self.fixed.get(key).cloned().unwrap_or_default();
        for address in fixed_of(own) {
            others.remove(&address);
        }
        others
    }

    /// Puts a service on the desk.
    pub(super) fn open(&mut self, service: &ServiceName) {
        self.prefix = format!("services.{service}");
        self.owner = format!("service `{service}`");
        self.service = Some(service.clone());
    }

    /// Puts a network or volume on the desk.
    pub(super) fn open_resource(&mut self, kind: &str, key: &str) {
        self.prefix = format!("{kind}s.{key}");
        self.owner = format!("{kind} `{key}`");
        self.service = None;
    }

    pub(super) fn close(self) -> (Vec<DesiredError>, Vec<Notice>) {
        (self.faults, self.notices)
    }

    /// Where a value of what is on the desk is written, or the nearest value that contains it.
    pub(super) fn place(&self, field: &str) -> Option<Place> {
        let mut path = format!("{}.{field}", self.prefix);
        loop {
            if let Some(place) = self.project.places.get(&path) {
                return Some(place);
            }
            path.truncate(path.rfind('.')?);
        }
    }

    pub(super) fn refuse(&mut self, fault: DesiredError) {
        self.faults.push(fault);
    }

    pub(super) fn refuse_value(
        &mut self,
        field: &str,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) {
        let fault = DesiredError::Value {
            owner: self.owner.clone(),
            field: field.to_owned(),
            place: self.place(field),
            source: source.into(),
        };
        self.faults.push(fault);
    }

    pub(super) fn refuse_support(&mut self, field: &str, reason: &'static str) {
        let fault = DesiredError::NotSupported {
            owner: self.owner.clone(),
            field: field.to_owned(),
            reason,
            place: self.place(field),
        };
        self.faults.push(fault);
    }

    pub(super) fn refuse_unknown(&mut self, field: &str, what: String) {
        let fault = DesiredError::Unknown {
            owner: self.owner.clone(),
            what,
            place: self.place(field),
        };
        self.faults.push(fault);
    }

    pub(super) fn notice(&mut self, field: &str, reason: &str) {
        let Some(service) = self.service.clone() else {
            return;
        };
        let place = self.place(field);
        self.notices.push(Notice {
            service,
            field: field.to_owned(),
            reason: reason.to_owned(),
            place,
        });
    }

    /// Reads a value of what is on the desk; a mistake is noted and gives nothing.
    pub(super) fn parse<T>(&mut self, field: &str, text: &str) -> Option<T>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(source) => {
                self.refuse_value(field, source);
                None
            }
        }
    }

    /// Reads a value that may be missing.
    pub(super) fn parse_some<T>(&mut self, field: &str, text: Option<&String>) -> Option<T>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        text.and_then(|text| self.parse(field, text))
    }

    pub(super) fn service_name(&mut self, key: &str) -> Option<ServiceName> {
        match key.parse() {
            Ok(name) => Some(name),
            Err(source) => {
                let owner = format!("service `{key}`");
                let place = self.project.places.get(&format!("services.{key}"));
                let source = Box::new(source);
                let field = "services".to_owned();
                self.faults.push(DesiredError::Value {
                    owner,
                    field,
                    place,
                    source,
                });
                None
            }
        }
    }

    /// Reads an image; a relative place is one below the project's directory.
    pub(super) fn image(&mut self, field: &str, text: &str) -> Option<ImageRef> {
        let reference: ImageRef = self.parse(field, text)?;
        Some(reference.resolve_against(&self.project.working_dir))
    }

    /// Reads a file that the project names.
    pub(super) fn read(
        &mut self,
        what: &str,
        path: &Path,
        place: Option<Place>,
    ) -> Option<Vec<u8>> {
        match self.source.read(path) {
            Ok(bytes) => Some(bytes),
            Err(source) => {
                let (what, from) = (what.to_owned(), path.display().to_string());
                self.faults.push(DesiredError::Content {
                    what,
                    from,
                    place,
                    source,
                });
                None
            }
        }
    }

    /// Where the values of a service are written that a plan may name.
    pub(super) fn places(&self, model: &model::Service) -> Places {
        let mut places = Places::default();
        let entries = [
            ("environment", model.environment.keys().collect::<Vec<_>>()),
            ("labels", model.labels.keys().collect()),
            ("annotations", model.annotations.keys().collect()),
            ("sysctls", model.sysctls.keys().collect()),
            ("ulimits", model.ulimits.keys().collect()),
            ("networks", model.networks.keys().collect()),
            ("depends_on", model.depends_on.keys().collect()),
        ];
        let nested = entries
            .into_iter()
            .flat_map(|(field, keys)| keys.into_iter().map(move |key| format!("{field}.{key}")));
        let Some(mut written) = self.project.places.below(&self.prefix) else {
            return places;
        };
        let fields = FIELDS.iter().map(|field| Cow::Borrowed(*field));
        for field in fields.chain(nested.map(Cow::Owned)) {
            let key = field.split('.').next().unwrap_or_default();
            // Most keys are not there, which is seen at once.
            let place = written.has(key).then(|| written.get(&field)).flatten();
            if let Some(place) = place {
                places.insert(field.into_owned(), place);
            }
        }
        places
    }
}

/// The keys of a service that a spec is made from.
const FIELDS: [&str; 71] = [
    "annotations",
    "blkio_config",
    "build",
    "cap_add",
    "cap_drop",
    "cgroup",
    "cgroup_parent",
    "command",
    "configs",
    "container_name",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "cpus",
    "cpuset",
    "depends_on",
    "deploy",
    "deploy.resources.limits.cpus",
    "deploy.resources.limits.memory",
    "deploy.resources.limits.pids",
    "deploy.resources.reservations.memory",
    "deploy.restart_policy",
    "device_cgroup_rules",
    "devices",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
    "entrypoint",
    "environment",
    "expose",
    "extra_hosts",
    "group_add",
    "healthcheck",
    "hostname",
    "image",
    "init",
    "ipc",
    "labels",
    "logging",
    "mac_address",
    "mem_limit",
    "mem_reservation",
    "mem_swappiness",
    "memswap_limit",
    "network_mode",
    "networks",
    "oom_kill_disable",
    "oom_score_adj",
    "pid",
    "pids_limit",
    "platform",
    "ports",
    "post_start",
    "pre_start",
    "pre_stop",
    "privileged",
    "read_only",
    "restart",
    "runtime",
    "secrets",
    "security_opt",
    "shm_size",
    "stop_grace_period",
    "stop_signal",
    "sysctls",
    "tmpfs",
    "user",
    "working_dir",
];
