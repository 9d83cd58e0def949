//! What services refer to must be there, and what they say must fit together.

mod doubts;

use std::collections::BTreeMap;

use crate::compose::diagnostic::Diagnostic;
use crate::compose::load::recover::Lost;
use crate::compose::model::{CONTAINER_LIMIT, Dependency, Project, Service};
use crate::compose::suggest::suggestion;
use crate::compose::tree::Span;
use crate::graph::Dag;

/// Checks the services that are switched on.
///
/// What is `lost` is not there because of mistakes that are told already.
pub(super) fn check(project: &mut Project, lost: &Lost, faults: &mut Vec<Diagnostic>) {
    let mut containers = 0;
    for service in project.services.values() {
        let mut checker = Checker {
            project,
            lost,
            service,
            faults,
        };
        checker.image();
        checker.build();
        checker.networks();
        checker.healthcheck();
        checker.dependencies();
        checker.resources();
        checker.scale(&mut containers);
        checker.limits();
        checker.sizes();
        checker.restart();
        checker.watch();
        checker.mounts();
        doubts::tell(project, service, faults);
    }
    for (name, secret) in &project.secrets {
        if !secret.external && secret.file.is_none() && secret.environment.is_none() {
            let span = project.places.key_span(&format!("secrets.{name}"));
            let fault = Diagnostic::error(span, format!("the secret `{name}` has no source"));
            faults.push(fault.hint("add `file` or `environment`"));
        }
    }
    for service in project.services.values_mut() {
        if let (Some(scale), Some(deploy)) = (service.scale, &mut service.deploy) {
            deploy.replicas = Some(scale);
        }
    }
    circles(project, faults);
}

/// When a container starts again; `on-failure` may have a count behind it.
const RESTART_POLICIES: &[&str] = &["no", "always", "unless-stopped", "on-failure"];
/// The same for `deploy`, with its own words first and those that Docker Compose passes on.
const RESTART_CONDITIONS: &[&str] = &[
    "none",
    "on-failure",
    "any",
    "no",
    "always",
    "unless-stopped",
];

struct Checker<'a> {
    project: &'a Project,
    lost: &'a Lost,
    service: &'a Service,
    faults: &'a mut Vec<Diagnostic>,
}

impl Checker<'_> {
    fn span(&self, path: &str) -> Span {
        let name = &self.service.name;
        let places = &self.project.places;
        if path.is_empty() {
            places.key_span(&format!("services.{name}"))
        } else {
            places.span(&format!("services.{name}.{path}"))
        }
    }

    fn fault(&mut self, path: &str, message: String) -> &mut Diagnostic {
        let span = self.span(path);
        self.faults.push(Diagnostic::error(span, message));
        let last = self.faults.len() - 1;
        &mut self.faults[last]
    }

    fn image(&mut self) {
        let service = self.service;
        let has_none =
            service.build.is_none() && service.image.is_none() && service.provider.is_none();
        if has_none && !self.lost.has(&service.name) {
            let message = format!("the service `{}` has no image and no build", service.name);
            self.fault("", message).hint = Some("add `image:` or `build:`".to_owned());
        }
    }

    fn build(&mut self) {
        let Some(build) = &self.service.build else {
            return;
        };
        if build.dockerfile.is_some() && build.dockerfile_inline.is_some() {
            let message = "`dockerfile` and `dockerfile_inline` exclude each other".to_owned();
            self.fault("build.dockerfile_inline", message).hint =
                Some("keep one of them".to_owned());
        }
        for (name, context) in &build.additional_contexts {
            let Some(target) = context.strip_prefix("service:") else {
                continue;
            };
            let path = format!("build.additional_contexts.{name}");
            match self.project.services.get(target) {
                None => self.unknown_service(&path, target, "the additional context"),
                Some(target_service) if target_service.build.is_none() => {
                    let message =
                        format!("the service `{target}` is not built, so it is no context");
                    self.fault(&path, message);
                }
                Some(_) => {}
            }
        }
        if let Some(platform) = &self.service.platform
            && !build.platforms.is_empty()
            && !build.platforms.contains(platform)
        {
            let message = format!("`build.platforms` lacks the service's platform `{platform}`");
            self.fault("build.platforms", message);
        }
        for (index, secret) in build.secrets.iter().enumerate() {
            let path = format!("build.secrets.{index}");
            self.known(
                "secret",
                secret.source.as_deref(),
                &self.project.secrets,
                &path,
            );
        }
    }

    fn networks(&mut self) {
        let service = self.service;
        let excluded = service.network_mode.is_some() && !service.networks.is_empty();
        if excluded {
            let message = "`network_mode` and `networks` exclude each other".to_owned();
            let path = format!("services.{}.networks", service.name);
            let networks = self.project.places.key_span(&path);
            let fault = self.fault("network_mode", message);
            let hint = if fault.span.file == networks.file {
                "keep one of them"
            } else {
                "keep one of them: the later file can say `network_mode: !reset null`"
            };
            *fault = fault
                .clone()
                .note(networks, "the networks are here")
                .hint(hint);
        }
        for network in service.networks.keys() {
            if excluded && network == "default" {
                // It is not there because of `network_mode`.
                continue;
            }
            let path = format!("networks.{network}");
            self.known("network", Some(network), &self.project.networks, &path);
        }
        let shared = service
            .network_mode
            .as_deref()
            .and_then(|mode| mode.strip_prefix("service:"));
        if let Some(shared) = shared
            && !self.project.services.contains_key(shared)
        {
            self.unknown_service("network_mode", shared, "`network_mode`");
        }
    }

    fn healthcheck(&mut self) {
        let test = self
            .service
            .healthcheck
            .as_ref()
            .and_then(|check| check.test.first());
        if let Some(first) = test.filter(|t| !matches!(t.as_str(), "CMD" | "CMD-SHELL" | "NONE")) {
            let message = format!("a `healthcheck.test` list cannot start with `{first}`");
            let fault = self.fault("healthcheck.test", message);
            fault.expected = Some("expected `CMD`, `CMD-SHELL` or `NONE` first".to_owned());
            fault.hint = Some("write one string instead of a list to run it in a shell".to_owned());
        }
    }

    fn dependencies(&mut self) {
        for (name, Dependency { required, .. }) in &self.service.depends_on {
            // What `network_mode` names is reported there.
            let mode = self.service.network_mode.as_deref();
            let shared = mode.and_then(|mode| mode.strip_prefix("service:"));
            let known = self.project.services.contains_key(name) || shared == Some(name.as_str());
            let disabled = self.project.disabled_services.contains_key(name);
            if !known && (!disabled || *required) {
                let path = format!("depends_on.{name}");
                let who = format!("`{}`", self.asking_for(&path));
                self.unknown_service(&path, name, &who);
            }
        }
    }

    /// Names the key that a dependency follows from: `depends_on`, or another one that needs the service.
    fn asking_for(&self, dependency: &str) -> &'static str {
        let service = self.service;
        let listed = |key: &'static str, count: usize| {
            (0..count).map(move |index| (key, format!("{key}.{index}")))
        };
        let links = listed("links", service.links.len());
        let volumes = listed("volumes_from", service.volumes_from.len());
        let namespaces = ["network_mode", "ipc", "pid", "uts", "cgroup"];
        let namespaces = namespaces.map(|key| (key, key.to_owned()));
        let span = self.span(dependency);
        let mut others = links.chain(volumes).chain(namespaces);
        let found = others.find(|(_, path)| self.span(path) == span);
        found.map_or("depends_on", |(key, _)| key)
    }

    fn unknown_service(&mut self, path: &str, name: &str, what: &str) {
        if self.lost.has(name) {
            return;
        }
        if let Some(disabled) = self.project.disabled_services.get(name) {
            let profiles = disabled.profiles.join("`, `");
            let message = format!("{what} needs the service `{name}`, which no active profile has");
            let span = self.project.places.key_span(&format!("services.{name}"));
            let fault = self.fault(path, message);
            fault.hint = Some(format!("activate one of its profiles: `{profiles}`"));
            *fault = fault.clone().note(span, "the service is here");
            return;
        }
        let near = suggestion(
            name,
            self.project.services.keys().map(String::as_str),
            self.faults,
        );
        let near = near.map(|near| format!("did you mean `{near}`?"));
        let alone = self.is_brought(path).then(|| {
            format!(
                "`extends` brings the service alone: add `{name}` as well, or `include` the file"
            )
        });
        let message = format!("{what} names the service `{name}`, which is not there");
        let hint = self.by_container(name).or(near).or(alone);
        self.fault(path, message).hint = hint;
    }

    /// Says which service has a container of this name.
    fn by_container(&self, name: &str) -> Option<String> {
        let is_meant = |service: &&Service| service.container_name.as_deref() == Some(name);
        let service = self.project.services.values().find(is_meant)?;
        let meant = &service.name;
        Some(format!(
            "`{name}` is the container of the service `{meant}`: write `{meant}`"
        ))
    }

    /// Tells whether `extends` brought a value from another file.
    fn is_brought(&self, path: &str) -> bool {
        let whole = format!("services.{}.{path}", self.service.name);
        self.span("").file != self.span(path).file && !self.project.places.way(&whole).is_empty()
    }

    /// Checks that the project has a network, volume, config, secret or model of a name.
    fn known<T>(&mut self, word: &str, name: Option<&str>, all: &BTreeMap<String, T>, path: &str) {
        let name = name.unwrap_or_default();
        if all.contains_key(name) || self.lost.has(name) {
            return;
        }
        let near = suggestion(name, all.keys().map(String::as_str), self.faults);
        let near = Some(name.trim_end_matches('/'))
            .filter(|name| all.contains_key(*name))
            .or(near);
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.is_brought(path) => format!(
                "`extends` brings the service alone: add `{word}s:` with `{name}:` at the top level of your file"
            ),
            None if word == "secret" && name.contains('/') => {
                format!("add a secret with `file: {name}` at the top level, and name it here")
            }
            None => format!("add it at the top level: `{word}s:` with `{name}:` below"),
        };
        let message = format!(
            "the service `{}` uses the {word} `{name}`, which is not there",
            self.service.name
        );
        self.fault(path, message).hint = Some(hint);
    }

    fn resources(&mut self) {
        let (service, project) = (self.service, self.project);
        for (index, volume) in service.volumes.iter().enumerate() {
            let named = volume.kind == "volume" && volume.source.is_some();
            if named {
                let path = format!("volumes.{index}");
                let before = self.faults.len();
                self.known("volume", volume.source.as_deref(), &project.volumes, &path);
                let source = volume.source.as_deref().unwrap_or_default();
                let looks_like_path = source.trim_end_matches('/').contains('/');
                if let (true, Some(fault)) = (looks_like_path, self.faults.get_mut(before)) {
                    fault.hint =
                        Some("a path on this machine begins with `./`, `../`, `/` or `~`".into());
                }
            }
        }
        for (index, config) in service.configs.iter().enumerate() {
            let path = format!("configs.{index}");
            self.known("config", config.source.as_deref(), &project.configs, &path);
        }
        for (index, secret) in service.secrets.iter().enumerate() {
            let path = format!("secrets.{index}");
            self.known("secret", secret.source.as_deref(), &project.secrets, &path);
        }
        for model in service.models.keys() {
            self.known(
                "model",
                Some(model),
                &project.models,
                &format!("models.{model}"),
            );
        }
    }

    /// Checks how many containers a service has; `containers` counts those of the services before it.
    fn scale(&mut self, containers: &mut u64) {
        let service = self.service;
        let replicas = service.deploy.as_ref().and_then(|deploy| deploy.replicas);
        if let (Some(scale), Some(replicas)) = (service.scale, replicas)
            && scale != replicas
        {
            self.differ(
                "scale",
                "deploy.replicas",
                &scale.to_string(),
                &replicas.to_string(),
            );
        }
        for (path, value) in [("scale", service.scale), ("deploy.replicas", replicas)] {
            if value.is_some_and(|value| value < 0) {
                self.fault(path, format!("`{path}` cannot be negative"));
            }
        }
        let fits = *containers <= CONTAINER_LIMIT;
        *containers = containers.saturating_add(service.replicas());
        if fits && *containers > CONTAINER_LIMIT {
            let path = if service.scale.is_some() {
                "scale"
            } else if replicas.is_some() {
                "deploy.replicas"
            } else {
                ""
            };
            let message = format!("the project has more than {CONTAINER_LIMIT} containers");
            let found = format!("with this service it has {containers}");
            self.fault(path, message).expected = Some(found);
        }
        let several = service.scale.or(replicas).is_some_and(|count| count > 1);
        if let (true, Some(name)) = (several, &service.container_name) {
            let message = format!("several containers cannot share the name `{name}`");
            self.fault("container_name", message).hint =
                Some("remove `container_name`, or run one container".to_owned());
        }
    }

    fn differ(&mut self, first: &str, second: &str, left: &str, right: &str) {
        let message = format!("`{first}` and `{second}` differ: {left} and {right}");
        let other = self.span(second);
        let fault = self.fault(first, message);
        fault.hint = Some("keep one of them".to_owned());
        *fault = fault.clone().note(other, "the other one is here");
    }

    /// What two keys say about one limit must be the same.
    #[expect(clippy::float_cmp, reason = "both were read from text in the same way")]
    fn limits(&mut self) {
        let service = self.service;
        let Some(deploy) = &service.deploy else {
            return;
        };
        if let Some(limits) = &deploy.resources.limits {
            if service.cpus != 0.0 && service.cpus != limits.cpus {
                let (left, right) = (service.cpus.to_string(), limits.cpus.to_string());
                self.differ("cpus", "deploy.resources.limits.cpus", &left, &right);
            }
            if service.mem_limit.is_some() && service.mem_limit != limits.memory {
                let show =
                    |size: Option<crate::value::ByteSize>| size.unwrap_or_default().to_string();
                let (left, right) = (show(service.mem_limit), show(limits.memory));
                self.differ("mem_limit", "deploy.resources.limits.memory", &left, &right);
            }
            if service.pids_limit != 0 && service.pids_limit != limits.pids {
                let (left, right) = (service.pids_limit.to_string(), limits.pids.to_string());
                self.differ("pids_limit", "deploy.resources.limits.pids", &left, &right);
            }
        }
        if let Some(reserved) = &deploy.resources.reservations {
            let own = service.mem_reservation;
            if own.is_some() && own != reserved.memory {
                let left = own.unwrap_or_default().to_string();
                let right = reserved.memory.unwrap_or_default().to_string();
                self.differ(
                    "mem_reservation",
                    "deploy.resources.reservations.memory",
                    &left,
                    &right,
                );
            }
        }
    }

    fn restart(&mut self) {
        let service = self.service;
        let deploy = service.deploy.as_ref();
        let condition =
            deploy.and_then(|deploy| deploy.restart_policy.as_ref()?.condition.as_ref());
        let counted = |text: &str| {
            let count = text.strip_prefix("on-failure:");
            count.is_some_and(|count| count.parse::<u32>().is_ok())
        };
        let path = "deploy.restart_policy.condition";
        for (path, key, value, words) in [
            (
                "restart",
                "restart",
                service.restart.as_ref(),
                RESTART_POLICIES,
            ),
            (path, "condition", condition, RESTART_CONDITIONS),
        ] {
            // With `--no-interpolate` a variable is still there.
            let Some(text) = value.filter(|text| !text.contains('$')) else {
                continue;
            };
            if words.contains(&text.as_str()) || key == "restart" && counted(text) {
                continue;
            }
            let near = suggestion(text, words.iter().copied(), self.faults);
            let fault = self.fault(path, format!("`{key}` cannot be `{text}`"));
            fault.expected = Some(format!("expected `{}`", words.join("`, `")));
            fault.hint = near.map(|near| format!("did you mean `{near}`?"));
        }
    }

    /// Sizes are not negative; -1 is no limit where there can be one.
    fn sizes(&mut self) {
        let service = self.service;
        let resources = service.deploy.as_ref().map(|deploy| &deploy.resources);
        let most = resources.and_then(|resources| resources.limits.as_ref()?.memory);
        let promised = resources.and_then(|resources| resources.reservations.as_ref()?.memory);
        for (path, size) in [
            ("mem_limit", service.mem_limit),
            ("mem_reservation", service.mem_reservation),
            ("memswap_limit", service.memswap_limit),
            ("mem_swappiness", service.mem_swappiness),
            ("deploy.resources.limits.memory", most),
            ("deploy.resources.reservations.memory", promised),
        ] {
            if size.is_some_and(|size| size.bytes() < -1) {
                let message = format!("`{path}` cannot be negative");
                self.fault(path, message).expected = Some("expected -1 or more".to_owned());
            }
        }
        let build = service.build.as_ref().and_then(|build| build.shm_size);
        let mut others = vec![
            ("shm_size".to_owned(), service.shm_size),
            ("build.shm_size".to_owned(), build),
        ];
        for (index, volume) in service.volumes.iter().enumerate() {
            let size = volume.tmpfs.as_ref().and_then(|tmpfs| tmpfs.size);
            others.push((format!("volumes.{index}.tmpfs.size"), size));
        }
        let io = service.blkio_config.iter();
        let rates = io.flat_map(|io| {
            [
                ("device_read_bps", &io.device_read_bps),
                ("device_write_bps", &io.device_write_bps),
                ("device_read_iops", &io.device_read_iops),
                ("device_write_iops", &io.device_write_iops),
            ]
        });
        for (key, list) in rates {
            let paths = (0..list.len()).map(|index| format!("blkio_config.{key}.{index}.rate"));
            others.extend(paths.zip(list.iter().map(|throttle| throttle.rate)));
        }
        for (path, size) in others {
            if size.is_some_and(|size| size.bytes() < 0) {
                let key = path.rsplit('.').next().unwrap_or_default();
                let message = format!("`{key}` cannot be negative");
                self.fault(&path, message);
            }
        }
    }

    fn watch(&mut self) {
        let rules = self
            .service
            .develop
            .iter()
            .flat_map(|develop| &develop.watch);
        for (index, rule) in rules.enumerate() {
            let needs_target = !matches!(rule.action.as_str(), "rebuild" | "restart");
            if needs_target && rule.target.is_none() {
                let message = format!("the action `{}` needs a `target`", rule.action);
                self.fault(&format!("develop.watch.{index}"), message).hint =
                    Some("add `target:` with a path in the container".to_owned());
            }
        }
    }

    /// Two mounts cannot go to one place.
    fn mounts(&mut self) {
        let service = self.service;
        let mut taken: BTreeMap<&str, String> = BTreeMap::new();
        let tmpfs = service.tmpfs.iter().enumerate().map(|(index, mount)| {
            (
                mount.split(':').next().unwrap_or_default(),
                format!("tmpfs.{index}"),
            )
        });
        let volumes = service.volumes.iter().enumerate();
        let volumes = volumes.map(|(index, v)| (v.target.as_str(), format!("volumes.{index}")));
        for (target, path) in tmpfs.chain(volumes) {
            if let Some(first) = taken.get(target) {
                let note = self.span(first);
                let fault = self.fault(&path, format!("`{target}` is mounted twice"));
                *fault = fault.clone().note(note, "it is mounted here as well");
            } else {
                taken.insert(target, path);
            }
        }
    }
}

/// Two services cannot have one `container_name`.
pub(super) fn container_names(project: &Project, faults: &mut Vec<Diagnostic>) {
    let mut taken: BTreeMap<&str, Span> = BTreeMap::new();
    for service in project.services.values() {
        let Some(name) = &service.container_name else {
            continue;
        };
        let path = format!("services.{}.container_name", service.name);
        let span = project.places.span(&path);
        if let Some(first) = taken.get(name.as_str()) {
            let message = format!("two services have the container name `{name}`");
            let fault = Diagnostic::error(span, message).note(*first, "it is given here as well");
            faults.push(fault.hint("rename one of them"));
        } else {
            taken.insert(name, span);
        }
    }
}

/// How many steps of a circle are shown with their places, beside the first.
pub(super) const CIRCLE_NOTES_LIMIT: usize = 20;

/// Services cannot wait for each other in a circle.
fn circles(project: &Project, faults: &mut Vec<Diagnostic>) {
    let edges = project.services.values().flat_map(|service| {
        let to = service
            .depends_on
            .keys()
            .filter(|name| project.services.contains_key(*name));
        to.map(|to| (service.name.clone(), to.clone(), service.name.clone()))
    });
    let Err(circle) = Dag::new(project.services.keys().cloned(), edges) else {
        return;
    };
    let span = |from: &str, to: &str| {
        project
            .places
            .span(&format!("services.{from}.depends_on.{to}"))
    };
    let path = circle.path();
    let steps: Vec<(&String, &String)> = path.windows(2).map(|pair| (pair[0], pair[1])).collect();
    let Some((first, rest)) = steps.split_first() else {
        return;
    };
    let message = format!("the services wait for each other: {circle}");
    let mut fault = Diagnostic::error(span(first.0, first.1), message);
    for (from, to) in rest.iter().take(CIRCLE_NOTES_LIMIT) {
        fault = fault.note(span(from, to), format!("`{from}` waits for `{to}` here"));
    }
    faults.push(fault.hint("remove one of these dependencies"));
}
