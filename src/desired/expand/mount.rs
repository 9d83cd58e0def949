//! What is mounted.

use super::{desk::Desk, resource};
use crate::compose::model;
use crate::desired::{
    BindMount, DesiredService, ImageMount, MountKind, MountSpec, Propagation, RecursiveReadOnly,
    Relabel, TmpfsMount, VolumeMount,
};
use crate::value::{ByteSize, ServiceName};
use std::{collections::BTreeMap, path::PathBuf};

pub(super) fn mounts(desk: &mut Desk<'_>, model: &model::Service) -> Vec<MountSpec> {
    let mut mounts: Vec<MountSpec> = model
        .volumes
        .iter()
        .filter_map(|volume| one(desk, volume))
        .collect();
    mounts.extend(model.tmpfs.iter().map(|text| short_tmpfs(desk, text)));
    mounts
}

fn one(desk: &mut Desk<'_>, volume: &model::ServiceVolume) -> Option<MountSpec> {
    let kind = match volume.kind.as_str() {
        "bind" => MountKind::Bind(bind(desk, volume)?),
        "volume" => MountKind::Volume(named(desk, volume)?),
        "tmpfs" => MountKind::Tmpfs(tmpfs(volume)),
        "image" => MountKind::Image(image(desk, volume)?),
        _ => {
            desk.refuse_support(
                "volumes",
                "only `bind`, `volume`, `tmpfs` and `image` exist here",
            );
            return None;
        }
    };
    Some(MountSpec {
        target: volume.target.clone(),
        read_only: volume.read_only,
        kind,
    })
}

fn bind(desk: &mut Desk<'_>, volume: &model::ServiceVolume) -> Option<BindMount> {
    let Some(source) = volume.source.as_ref().map(PathBuf::from) else {
        desk.refuse_unknown("volumes", "the `source` of a bind mount".to_owned());
        return None;
    };
    let options = volume.bind.as_ref();
    let text = |pick: fn(&model::BindOptions) -> Option<&String>| options.and_then(pick);
    let propagation = match text(|bind| bind.propagation.as_ref()).map(String::as_str) {
        None | Some("") => None,
        Some(text) => Some(propagation(desk, text)?),
    };
    let recursive = match text(|bind| bind.recursive.as_ref()).map(String::as_str) {
        Some("disabled") => RecursiveReadOnly::Disabled,
        Some("writable") => RecursiveReadOnly::Writable,
        Some("readonly") => RecursiveReadOnly::ReadOnly,
        _ => RecursiveReadOnly::Enabled,
    };
    let relabel = match text(|bind| bind.selinux.as_ref()).map(String::as_str) {
        Some("z") => Some(Relabel::Shared),
        Some("Z") => Some(Relabel::Private),
        _ => None,
    };
    let create_host_path = options
        .and_then(|bind| bind.create_host_path)
        .unwrap_or(true);
    Some(BindMount {
        source,
        create_host_path,
        propagation,
        recursive,
        relabel,
    })
}

fn propagation(desk: &mut Desk<'_>, text: &str) -> Option<Propagation> {
    Some(match text {
        "private" => Propagation::Private,
        "rprivate" => Propagation::Rprivate,
        "shared" => Propagation::Shared,
        "rshared" => Propagation::Rshared,
        "slave" => Propagation::Slave,
        "rslave" => Propagation::Rslave,
        _ => {
            desk.refuse_support("volumes", "there is no such mount propagation");
            return None;
        }
    })
}

fn named(desk: &mut Desk<'_>, volume: &model::ServiceVolume) -> Option<VolumeMount> {
    let name = match volume.source.as_deref().filter(|source| !source.is_empty()) {
        None => None,
        Some(key) => {
            let Some(name) = resource::volume_name(desk, key) else {
                desk.refuse_unknown("volumes", format!("volume `{key}`"));
                return None;
            };
            Some(desk.parse("volumes", &name)?)
        }
    };
    let options = volume.volume.clone().unwrap_or_default();
    let model::VolumeOptions {
        labels,
        nocopy,
        subpath,
        ..
    } = options;
    Some(VolumeMount {
        name,
        nocopy,
        subpath,
        labels,
    })
}

fn tmpfs(volume: &model::ServiceVolume) -> TmpfsMount {
    let options = volume.tmpfs.clone().unwrap_or_default();
    TmpfsMount {
        size_bytes: super::limits::bytes(options.size),
        mode: (options.mode != 0).then_some(options.mode),
        uid: None,
        gid: None,
        options: Vec::new(),
    }
}

/// The source may be another service, whose image is meant.
fn image(desk: &mut Desk<'_>, volume: &model::ServiceVolume) -> Option<ImageMount> {
    let source = volume.source.clone().unwrap_or_default();
    let text = match desk.project.services.get(&source) {
        Some(other) => other
            .image
            .clone()
            .unwrap_or_else(|| desk.project.built_image(&source)),
        None => source,
    };
    let subpath = volume
        .image
        .as_ref()
        .and_then(|image| image.subpath.clone());
    Some(ImageMount {
        reference: desk.image("volumes", &text)?,
        subpath,
    })
}

/// Reads `path[:options]`.
fn short_tmpfs(desk: &mut Desk<'_>, text: &str) -> MountSpec {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let mut mount = TmpfsMount::default();
    let mut read_only = false;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", size)) if size.ends_with('%') => mount.options.push(option.to_owned()),
            Some(("size", size)) => {
                mount.size_bytes = super::limits::bytes(desk.parse::<ByteSize>("tmpfs", size));
            }
            Some(("mode", mode)) => match u32::from_str_radix(mode, 8) {
                Ok(mode) => mount.mode = Some(mode),
                Err(source) => desk.refuse_value("tmpfs", source),
            },
            Some(("uid", uid)) => mount.uid = desk.parse("tmpfs", uid),
            Some(("gid", gid)) => mount.gid = desk.parse("tmpfs", gid),
            None if option == "ro" => read_only = true,
            Some(_) | None => mount.options.push(option.to_owned()),
        }
    }
    MountSpec {
        target: target.to_owned(),
        read_only,
        kind: MountKind::Tmpfs(mount),
    }
}

/// Gives services the mounts of those that they name in `volumes_from`.
pub(super) fn share(desk: &mut Desk<'_>, services: &mut BTreeMap<ServiceName, DesiredService>) {
    let project = desk.project;
    for (key, model) in &project.services {
        for text in &model.volumes_from {
            let Some(name) = desk.service_name(key) else {
                continue;
            };
            desk.open(&name);
            let shared = from_service(desk, text, services);
            let Some(service) = services.get_mut(&name) else {
                continue;
            };
            for spec in &mut service.replicas {
                let own: Vec<String> = spec
                    .mounts
                    .iter()
                    .map(|mount| mount.target.clone())
                    .collect();
                let new = shared.iter().filter(|mount| !own.contains(&mount.target));
                spec.mounts.extend(new.cloned());
            }
        }
    }
}

fn from_service(
    desk: &mut Desk<'_>,
    text: &str,
    services: &BTreeMap<ServiceName, DesiredService>,
) -> Vec<MountSpec> {
    if text.starts_with("container:") {
        desk.refuse_support(
            "volumes_from",
            "only mounts of services of this project can be shared",
        );
        return Vec::new();
    }
    let (key, mode) = text.split_once(':').unwrap_or((text, "rw"));
    let Some(other) = services.get(key) else {
        desk.refuse_unknown("volumes_from", format!("service `{key}`"));
        return Vec::new();
    };
    let mounts = other
        .replicas
        .first()
        .map(|spec| spec.mounts.clone())
        .unwrap_or_default();
    if mounts.iter().any(is_anonymous) {
        desk.notice(
            "volumes_from",
            "anonymous volumes are not shared, named ones are",
        );
    }
    let shared = mounts.into_iter().filter(|mount| !is_anonymous(mount));
    shared
        .map(|mount| MountSpec {
            read_only: mount.read_only || mode == "ro",
            ..mount
        })
        .collect()
}

fn is_anonymous(mount: &MountSpec) -> bool {
    matches!(&mount.kind, MountKind::Volume(volume) if volume.name.is_none())
}
