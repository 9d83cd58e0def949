//! The `build` section of a service.

use super::desk::Desk;
use super::service;
use crate::compose::model;
use crate::desired::{
    BuildContext, BuildNetwork, BuildSecret, BuildSpec, BuildWhen, Content, Dockerfile, Ulimit,
    label,
};
use crate::value::{ImageRef, Platform};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// Makes the build of a service exact; nothing where it has none or a part of it is refused.
pub(super) fn spec(desk: &mut Desk<'_>, model: &model::Service) -> Option<BuildSpec> {
    one(desk, model, &mut Vec::new())
}

/// `chain` holds the services whose builds need this one.
fn one(desk: &mut Desk<'_>, model: &model::Service, chain: &mut Vec<String>) -> Option<BuildSpec> {
    let build = model.build.as_ref()?;
    if chain.contains(&model.name) {
        let field = "build.additional_contexts";
        desk.refuse_support(
            field,
            "builds cannot take files from each other in a circle",
        );
        return None;
    }
    chain.push(model.name.clone());
    if build.isolation.is_some() {
        desk.refuse_support("build.isolation", "isolation is for Windows");
    }
    notices(desk, build);
    let image = match &model.image {
        Some(image) => desk.image("image", image)?,
        None => service::built_name(desk, model)?,
    };
    let network = network(desk, build)?;
    let contexts = contexts(desk, build, chain);
    chain.pop();
    Some(BuildSpec {
        image,
        tags: tags(desk, build),
        platform: platform(desk, model, build),
        when: when(model),
        context: build.context.clone().unwrap_or_else(|| ".".to_owned()),
        dockerfile: match (&build.dockerfile_inline, &build.dockerfile) {
            (Some(text), _) => Dockerfile::Text(text.clone()),
            (None, Some(path)) => Dockerfile::Path(PathBuf::from(path)),
            (None, None) => Dockerfile::Usual,
        },
        args: args(build),
        target: build.target.clone(),
        labels: labels(desk, model, build),
        contexts,
        secrets: secrets(desk, build),
        ssh: ssh(build),
        no_cache: build.no_cache,
        no_cache_filter: build.no_cache_filter.clone(),
        pull: build.pull,
        network,
        extra_hosts: extra_hosts(desk, build),
        shm_size_bytes: build
            .shm_size
            .and_then(|size| u64::try_from(size.bytes()).ok()),
        ulimits: ulimits(build),
        entitlements: entitlements(desk, build, network),
    })
}

fn notices(desk: &mut Desk<'_>, build: &model::Build) {
    let is_wanted = |value: &Option<String>| {
        let value = value.as_deref().unwrap_or("false");
        !matches!(value, "false" | "mode=disabled")
    };
    for (field, is_set) in [
        ("build.provenance", is_wanted(&build.provenance)),
        ("build.sbom", is_wanted(&build.sbom)),
    ] {
        if is_set {
            desk.notice(field, "attestations are not made");
        }
    }
    for (field, list) in [
        ("build.cache_from", &build.cache_from),
        ("build.cache_to", &build.cache_to),
    ] {
        if !list.is_empty() {
            desk.notice(field, "steps come from the cache of this machine only");
        }
    }
}

fn when(model: &model::Service) -> BuildWhen {
    match (model.pull_policy.as_deref(), &model.image) {
        (Some("build"), _) => BuildWhen::Always,
        (Some("never"), _) | (_, None) => BuildWhen::Missing,
        (_, Some(_)) => BuildWhen::Unfetched,
    }
}

fn tags(desk: &mut Desk<'_>, build: &model::Build) -> Vec<ImageRef> {
    let tags = build.tags.iter();
    tags.filter_map(|tag| desk.image("build.tags", tag))
        .collect()
}

/// The service's own platform, else this machine's if it is among those of the build, else the first one.
fn platform(desk: &mut Desk<'_>, model: &model::Service, build: &model::Build) -> Option<Platform> {
    if let Some(platform) = &model.platform {
        return desk.parse("platform", platform);
    }
    let platforms = build.platforms.iter();
    let platforms: Vec<Platform> = platforms
        .filter_map(|text| desk.parse("build.platforms", text))
        .collect();
    let host = Platform::host();
    let own = platforms.iter().find(|platform| **platform == host);
    own.or(platforms.first()).cloned()
}

fn args(build: &model::Build) -> BTreeMap<String, String> {
    let known = build.args.iter();
    known
        .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
        .collect()
}

fn labels(
    desk: &Desk<'_>,
    model: &model::Service,
    build: &model::Build,
) -> BTreeMap<String, String> {
    let mut labels = build.labels.clone();
    labels.insert(label::PROJECT.to_owned(), desk.name.to_string());
    labels.insert(label::SERVICE.to_owned(), model.name.clone());
    labels
}

fn contexts(
    desk: &mut Desk<'_>,
    build: &model::Build,
    chain: &mut Vec<String>,
) -> BTreeMap<String, BuildContext> {
    let mut contexts = BTreeMap::new();
    for (name, place) in &build.additional_contexts {
        let Some(key) = place.strip_prefix("service:") else {
            contexts.insert(name.clone(), BuildContext::Place(place.clone()));
            continue;
        };
        let project = desk.project;
        let other = project
            .services
            .get(key)
            .or(project.disabled_services.get(key));
        let Some(other) = other else {
            desk.refuse_unknown("build.additional_contexts", format!("the service `{key}`"));
            continue;
        };
        let image = match &other.image {
            Some(image) => desk.image("build.additional_contexts", image),
            None => service::built_name(desk, other),
        };
        if let (Some(service), Some(image)) = (desk.service_name(key), image) {
            let build = one(desk, other, chain).map(Box::new);
            let context = BuildContext::Service {
                service,
                image,
                build,
            };
            contexts.insert(name.clone(), context);
        }
    }
    contexts
}

fn secrets(desk: &mut Desk<'_>, build: &model::Build) -> BTreeMap<String, BuildSecret> {
    let mut secrets = BTreeMap::new();
    for grant in &build.secrets {
        let key = grant.source.clone().unwrap_or_default();
        let id = grant.target.clone().filter(|target| !target.is_empty());
        if let Some(secret) = secret(desk, &key) {
            secrets.insert(id.unwrap_or(key), secret);
        }
    }
    secrets
}

fn secret(desk: &mut Desk<'_>, key: &str) -> Option<BuildSecret> {
    const FIELD: &str = "build.secrets";
    let Some(object) = desk.project.secrets.get(key) else {
        desk.refuse_unknown(FIELD, format!("secret `{key}`"));
        return None;
    };
    let value = |text: &str| {
        let content = Content::new(text.as_bytes());
        BuildSecret::Value {
            digest: content.digest(),
            content: Some(content),
        }
    };
    if let Some(file) = &object.file {
        return Some(BuildSecret::File(PathBuf::from(file)));
    }
    if let Some(text) = &object.content {
        return Some(value(text));
    }
    let Some(variable) = &object.environment else {
        desk.refuse_support(FIELD, "a secret of a build is a file, a variable or a text");
        return None;
    };
    match desk.project.environment.get(variable) {
        Some(text) => Some(value(text)),
        None => {
            let what = format!("the variable `{variable}` of secret `{key}`");
            desk.refuse_unknown(FIELD, what);
            None
        }
    }
}

fn ssh(build: &model::Build) -> BTreeMap<String, Option<PathBuf>> {
    let keys = build.ssh.0.iter();
    let path = |path: &String| (!path.is_empty()).then(|| PathBuf::from(path));
    keys.map(|key| (key.id.clone(), key.path.as_ref().and_then(path)))
        .collect()
}

fn network(desk: &mut Desk<'_>, build: &model::Build) -> Option<BuildNetwork> {
    match build.network.as_deref() {
        None | Some("" | "default" | "bridge") => Some(BuildNetwork::Default),
        Some("none") => Some(BuildNetwork::None),
        Some("host") => Some(BuildNetwork::Host),
        Some(_) => {
            desk.refuse_support("build.network", "a build uses `default`, `none` or `host`");
            None
        }
    }
}

fn extra_hosts(desk: &mut Desk<'_>, build: &model::Build) -> Vec<(String, Vec<IpAddr>)> {
    let mut hosts = Vec::new();
    for (name, addresses) in &build.extra_hosts.0 {
        let mut known = Vec::new();
        for address in addresses {
            if address == "host-gateway" {
                desk.refuse_support("build.extra_hosts", "a build has no `host-gateway`");
            } else {
                known.extend(desk.parse::<IpAddr>("build.extra_hosts", address));
            }
        }
        hosts.push((name.clone(), known));
    }
    hosts
}

fn ulimits(build: &model::Build) -> BTreeMap<String, Ulimit> {
    let limit = |(name, limit): (&String, &model::Ulimit)| {
        let (soft, hard) = (limit.soft(), limit.hard());
        (name.clone(), Ulimit { soft, hard })
    };
    build.ulimits.iter().map(limit).collect()
}

fn entitlements(desk: &mut Desk<'_>, build: &model::Build, network: BuildNetwork) -> Vec<String> {
    let mut entitlements = build.entitlements.clone();
    for entitlement in &build.entitlements {
        if !matches!(entitlement.as_str(), "network.host" | "security.insecure") {
            let reason = "the freedoms are `network.host` and `security.insecure`";
            desk.refuse_support("build.entitlements", reason);
        }
    }
    if build.privileged {
        entitlements.push("security.insecure".to_owned());
    }
    if network == BuildNetwork::Host {
        entitlements.push("network.host".to_owned());
    }
    entitlements
}
