//! Secrets and configs that a service is granted.

use super::desk::Desk;
use crate::compose::model;
use crate::desired::{Content, FileKind, InjectedFile};
use std::path::Path;

/// Everyone may read, nobody may write.
const DEFAULT_MODE: u32 = 0o444;
/// The bits that the specification ignores: the files cannot be written.
const WRITABLE: u32 = 0o222;

pub(super) fn files(desk: &mut Desk<'_>, model: &model::Service) -> Vec<InjectedFile> {
    let secrets = model.secrets.iter().map(|grant| (FileKind::Secret, grant));
    let configs = model.configs.iter().map(|grant| (FileKind::Config, grant));
    secrets
        .chain(configs)
        .filter_map(|(kind, grant)| one(desk, kind, grant))
        .collect()
}

fn one(desk: &mut Desk<'_>, kind: FileKind, grant: &model::Grant) -> Option<InjectedFile> {
    let (word, field) = words(kind);
    let key = grant.source.clone().unwrap_or_default();
    let objects = match kind {
        FileKind::Secret => &desk.project.secrets,
        FileKind::Config => &desk.project.configs,
    };
    let Some(object) = objects.get(&key) else {
        desk.refuse_unknown(field, format!("{word} `{key}`"));
        return None;
    };
    let content = content(desk, kind, &key, object)?;
    let mode = grant
        .mode
        .map_or(Some(DEFAULT_MODE), |mode| u32::try_from(mode.0).ok());
    let Some(mode) = mode.filter(|mode| *mode <= 0o7777) else {
        desk.refuse_support(field, "a mode is an octal number from 0 to 07777");
        return None;
    };
    let target = target(kind, grant, &key);
    let uid = desk.parse_some(field, grant.uid.as_ref());
    let gid = desk.parse_some(field, grant.gid.as_ref());
    let digest = content.digest();
    Some(InjectedFile {
        kind,
        key,
        target,
        uid,
        gid,
        mode: mode & !WRITABLE,
        digest,
        content: Some(content),
    })
}

fn words(kind: FileKind) -> (&'static str, &'static str) {
    match kind {
        FileKind::Secret => ("secret", "secrets"),
        FileKind::Config => ("config", "configs"),
    }
}

fn content(
    desk: &mut Desk<'_>,
    kind: FileKind,
    key: &str,
    object: &model::FileObject,
) -> Option<Content> {
    let (word, field) = words(kind);
    if object.external || object.driver.is_some() || object.template_driver.is_some() {
        desk.refuse_support(field, "nothing outside the project can provide it");
        return None;
    }
    if let Some(text) = &object.content {
        return Some(Content::new(text.as_bytes()));
    }
    if let Some(variable) = &object.environment {
        let Some(value) = desk.project.environment.get(variable) else {
            desk.refuse_unknown(
                field,
                format!("the variable `{variable}` of {word} `{key}`"),
            );
            return None;
        };
        return Some(Content::new(value.as_bytes()));
    }
    let Some(file) = &object.file else {
        desk.refuse_unknown(
            field,
            format!("a file, variable or text for {word} `{key}`"),
        );
        return None;
    };
    let place = desk.project.places.get(&format!("{field}.{key}.file"));
    let bytes = desk.read(&format!("{word} `{key}`"), Path::new(file), place)?;
    Some(Content::new(&bytes))
}

/// A relative target is below the folder of its kind.
fn target(kind: FileKind, grant: &model::Grant, key: &str) -> String {
    let target = grant
        .target
        .as_deref()
        .filter(|target| !target.is_empty())
        .unwrap_or(key);
    match kind {
        _ if target.starts_with('/') => target.to_owned(),
        FileKind::Secret => format!("/run/secrets/{target}"),
        FileKind::Config => format!("/{target}"),
    }
}
