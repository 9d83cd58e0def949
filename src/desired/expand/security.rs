//! What a container may do.

use super::desk::Desk;
use crate::compose::model;
use crate::desired::Security;
use std::path::Path;

pub(super) fn security(desk: &mut Desk<'_>, model: &model::Service) -> Security {
    let options = model
        .security_opt
        .iter()
        .filter_map(|text| option(desk, text))
        .collect();
    Security {
        privileged: model.privileged,
        read_only: model.read_only,
        cap_add: model.cap_add.clone(),
        cap_drop: model.cap_drop.clone(),
        options,
    }
}

/// Brings an option into the form `name=value`, with the text of a seccomp profile as its value.
fn option(desk: &mut Desk<'_>, text: &str) -> Option<String> {
    let separator = text.find(['=', ':']);
    let Some((name, value)) = separator.map(|at| (&text[..at], &text[at + 1..])) else {
        return Some(text.to_owned());
    };
    if name != "seccomp" || matches!(value, "unconfined" | "builtin") {
        return Some(format!("{name}={value}"));
    }
    let path = desk.project.working_dir.join(Path::new(value));
    let place = desk.place("security_opt");
    let bytes = desk.read("a seccomp profile", &path, place)?;
    match serde_json::from_slice::<serde_json::Value>(&bytes) {
        Ok(profile) => Some(format!("seccomp={profile}")),
        Err(source) => {
            desk.refuse_value("security_opt", source);
            None
        }
    }
}
