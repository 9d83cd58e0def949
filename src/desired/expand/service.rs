//! A service into the spec of its first replica, and that into those of the others.

use super::{desk::Desk, endpoint, grant, limits, mount, port, process, security};
use crate::compose::{Project, model, render::service_hash};
use crate::desired::{
    ContainerSpec, Dependency, DesiredError, ImageSpec, Namespaces, PullPolicy, config_hash, label,
};
use crate::value::{ContainerName, Duration, ImageRef, ServiceName};
use std::collections::BTreeMap;

/// A service, and what its replicas are made from.
pub(super) struct Template<'a> {
    pub(super) model: &'a model::Service,
    pub(super) dependencies: &'a BTreeMap<ServiceName, Dependency>,
}

/// Refuses replicas that could not be next to each other.
pub(super) fn check_replicas(desk: &mut Desk<'_>, model: &model::Service, replicas: u32) {
    if replicas > 1 && model.container_name.is_some() {
        desk.refuse(DesiredError::Shared {
            service: model.name.clone(),
            replicas,
            what: "one `container_name`".to_owned(),
            place: desk.place("container_name"),
        });
    }
    port::check_replicas(desk, model, replicas);
}

/// Makes the spec of one replica; nothing when its mistakes leave no way to name it.
pub(super) fn spec(
    desk: &mut Desk<'_>,
    template: &Template<'_>,
    number: u32,
) -> Option<ContainerSpec> {
    let model = template.model;
    let service: ServiceName = desk.parse("name", &model.name)?;
    let name: ContainerName = desk.parse("container_name", &container_name(desk, model, number))?;
    let image = image(desk, model)?;
    let hooks = process::hooks(desk, model, &image.reference);
    let mut spec = ContainerSpec {
        project: desk.name.clone(),
        service,
        number,
        hash: String::new(),
        image,
        process: process::process(model),
        stop: process::stop(desk, model),
        hostname: model.hostname.clone(),
        domainname: model.domainname.clone(),
        network: endpoint::mode(desk, model, &name),
        resolver: endpoint::resolver(model),
        ports: port::ports(desk, model),
        expose: model.expose.clone(),
        namespaces: namespaces(desk, model),
        mounts: mount::mounts(desk, model),
        files: grant::files(desk, model),
        healthcheck: process::healthcheck(desk, model),
        restart: process::restart(desk, model),
        security: security::security(desk, model),
        sysctls: model.sysctls.clone(),
        ulimits: limits::ulimits(model),
        devices: limits::devices(desk, model),
        device_cgroup_rules: model.device_cgroup_rules.clone(),
        shm_size_bytes: limits::bytes(model.shm_size),
        limits: limits::limits(desk, model),
        logging: process::logging(model),
        annotations: model.annotations.clone(),
        labels: labels(desk, model),
        hooks,
        runtime: model.runtime.clone(),
        attach: model.attach.unwrap_or(true),
        name,
    };
    mark(desk, template, &mut spec);
    Some(spec)
}

/// Makes another replica's spec from the first one's.
pub(super) fn replica(first: &ContainerSpec, project: &Project, number: u32) -> ContainerSpec {
    let mut spec = first.clone();
    if number == first.number {
        return spec;
    }
    spec.number = number;
    let name = project.container_name(&first.service, number);
    spec.name = name.parse().unwrap_or(spec.name);
    endpoint::rename(&mut spec.network, &first.name, &spec.name);
    spec.labels
        .insert(label::CONTAINER_NUMBER.to_owned(), number.to_string());
    spec
}

fn container_name(desk: &Desk<'_>, model: &model::Service, number: u32) -> String {
    match &model.container_name {
        Some(name) => name.clone(),
        None => desk.project.container_name(&model.name, number),
    }
}

/// The variable that names the platform of images.
const DEFAULT_PLATFORM: &str = "DOCKER_DEFAULT_PLATFORM";

fn image(desk: &mut Desk<'_>, model: &model::Service) -> Option<ImageSpec> {
    let reference = match (&model.image, &model.build) {
        (Some(image), _) => desk.image("image", image)?,
        (None, Some(_)) => built_name(desk, model)?,
        (None, None) if model.provider.is_some() => return None,
        (None, None) => {
            desk.refuse_unknown("image", "an image or a build".to_owned());
            return None;
        }
    };
    let wanted = match model.pull_policy.as_deref() {
        None => PullPolicy::Missing,
        Some(policy) => pull_policy(desk, policy)?,
    };
    let pull = match model.image {
        Some(_) => wanted,
        None => PullPolicy::Build,
    };
    // As Docker has it, a variable stands in for the platforms that services do not name.
    let default = desk.project.environment.get(DEFAULT_PLATFORM);
    let platform = match (&model.platform, default.filter(|text| !text.is_empty())) {
        (Some(platform), _) => desk.parse("platform", platform),
        (None, Some(platform)) => desk.parse(DEFAULT_PLATFORM, platform),
        (None, None) => None,
    };
    Some(ImageSpec {
        reference,
        pull,
        platform,
    })
}

/// The name of an image that is built and that the file does not name.
pub(super) fn built_name(desk: &mut Desk<'_>, model: &model::Service) -> Option<ImageRef> {
    if model.image.is_some() || model.build.is_none() {
        return None;
    }
    desk.image("image", &desk.project.built_image(&model.name))
}

fn pull_policy(desk: &mut Desk<'_>, text: &str) -> Option<PullPolicy> {
    const DAY_SECONDS: i64 = 86_400;
    const SECOND_NANOS: i64 = 1_000_000_000;
    let days = |days: i64| Duration::from_nanoseconds(days * DAY_SECONDS * SECOND_NANOS);
    Some(match text {
        "always" | "refresh" => PullPolicy::Always,
        "missing" | "if_not_present" => PullPolicy::Missing,
        "never" => PullPolicy::Never,
        "build" => PullPolicy::Build,
        "daily" => PullPolicy::Every(days(1)),
        "weekly" => PullPolicy::Every(days(7)),
        other => {
            let period = other.strip_prefix("every_").unwrap_or(other);
            PullPolicy::Every(desk.parse("pull_policy", period)?)
        }
    })
}

fn namespaces(desk: &mut Desk<'_>, model: &model::Service) -> Namespaces {
    let fields = [
        (
            ("ipc", &model.ipc),
            &["", "private", "shareable", "host"][..],
            "expected `private`, `shareable`, `host`, `service:NAME` or `container:NAME`",
        ),
        (
            ("pid", &model.pid),
            &["", "host"],
            "expected `host`, `service:NAME` or `container:NAME`",
        ),
        (("uts", &model.uts), &["", "host"], "expected `host`"),
        (
            ("userns_mode", &model.userns_mode),
            &["", "host"],
            "`host` is the only mode: root maps no user, and an ordinary user's containers share one mapping",
        ),
    ];
    for ((field, value), words, reason) in fields {
        let joins = matches!(field, "ipc" | "pid");
        let is_known = value.as_deref().is_none_or(|value| {
            let other = value
                .strip_prefix("service:")
                .or_else(|| value.strip_prefix("container:"));
            words.contains(&value) || (joins && other.is_some_and(|other| !other.is_empty()))
        });
        if !is_known {
            desk.refuse_support(field, reason);
        }
    }
    Namespaces {
        ipc: shared(desk, "ipc", model.ipc.as_ref()),
        pid: shared(desk, "pid", model.pid.as_ref()),
        uts: shared(desk, "uts", model.uts.as_ref()),
        cgroup: model.cgroup.clone(),
        userns: model.userns_mode.clone(),
        cgroup_parent: model.cgroup_parent.clone(),
    }
}

/// A service is named by its first container, which exists under that name as long as it does.
fn shared(desk: &mut Desk<'_>, field: &str, text: Option<&String>) -> Option<String> {
    let text = text?;
    match text.strip_prefix("service:") {
        Some(service) => Some(format!(
            "container:{}",
            first_container(desk, field, service)?
        )),
        None => Some(text.clone()),
    }
}

/// The name of the first container of another service.
pub(super) fn first_container(
    desk: &mut Desk<'_>,
    field: &str,
    service: &str,
) -> Option<ContainerName> {
    let Some(other) = desk.project.services.get(service) else {
        desk.refuse_unknown(field, format!("service `{service}`"));
        return None;
    };
    let name = container_name(desk, other, 1);
    desk.parse(field, &name)
}

fn labels(desk: &mut Desk<'_>, model: &model::Service) -> BTreeMap<String, String> {
    let reserved: Vec<&String> = model
        .labels
        .keys()
        .filter(|name| name.starts_with(label::PREFIX))
        .collect();
    for name in reserved {
        let field = format!("labels.{name}");
        desk.refuse_support(
            &field,
            "labels that start with `com.docker.compose.` are reserved",
        );
    }
    model.labels.clone()
}

/// Puts on the labels by which the container is found again.
fn mark(desk: &Desk<'_>, template: &Template<'_>, spec: &mut ContainerSpec) {
    spec.hash = config_hash(spec);
    let depends_on: Vec<String> = template
        .dependencies
        .iter()
        .map(|(service, needs)| format!("{service}:{}:{}", needs.condition.as_str(), needs.restart))
        .collect();
    let files: Vec<String> = desk
        .project
        .files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let marks = [
        (label::PROJECT, desk.name.to_string()),
        (label::SERVICE, spec.service.to_string()),
        (label::CONFIG_HASH, service_hash(template.model)),
        (label::CONTAINER_NUMBER, spec.number.to_string()),
        (label::ONEOFF, "False".to_owned()),
        (label::DEPENDS_ON, depends_on.join(",")),
        (label::VERSION, env!("CARGO_PKG_VERSION").to_owned()),
        (
            label::WORKING_DIR,
            desk.project.working_dir.display().to_string(),
        ),
        (label::CONFIG_FILES, files.join(",")),
    ];
    let env_files = &desk.project.env_files;
    let env_files: Vec<String> = env_files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    if !env_files.is_empty() {
        let name = label::ENVIRONMENT_FILE.to_owned();
        spec.labels.insert(name, env_files.join(","));
    }
    spec.labels
        .extend(marks.map(|(name, value)| (name.to_owned(), value)));
}

#[cfg(test)]
mod tests {
    use super::DEFAULT_PLATFORM;
    use crate::compose::{self, LoadOptions, source::Memory};
    use crate::desired::{self, Options};
    use std::collections::BTreeMap;

    #[test]
    fn the_default_platform_is_that_of_services_that_name_none() {
        let text = "services: {a: {image: x}, b: {image: x, platform: linux/arm64}}";
        let source = Memory::new([("/p/compose.yaml", text)]);
        let options = LoadOptions {
            cwd: "/p".into(),
            environment: BTreeMap::from([(
                DEFAULT_PLATFORM.to_owned(),
                "linux/riscv64".to_owned(),
            )]),
            ..LoadOptions::default()
        };
        let project = compose::load(&options, &source).unwrap().project;
        let scale = BTreeMap::new();
        let source = &source;
        let state = desired::expand(&project, &Options { scale, source }).unwrap();
        let replicas = state.services.into_values().flat_map(|it| it.replicas);
        let platforms = replicas.map(|spec| spec.image.platform.map(|it| it.to_string()));
        let platforms: Vec<_> = platforms.flatten().collect();
        assert_eq!(platforms, ["linux/riscv64", "linux/arm64"]);
    }
}
