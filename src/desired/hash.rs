//! Two specs are the same when what matters of them is: the comparable form and its hash.

use super::{ContainerSpec, label};
use crate::value::Digest;
use serde_json::Value;

/// Returns what matters of a stored spec of a container, network or volume.
///
/// Left out is what says where the project is and how it is looked at, not what runs: labels of
/// [`label`], the pull policy and whether output is shown.
pub fn comparable(mut spec: Value) -> Value {
    let Some(fields) = spec.as_object_mut() else {
        return spec;
    };
    fields.shift_remove("attach");
    if let Some(image) = fields.get_mut("image").and_then(Value::as_object_mut) {
        image.shift_remove("pull");
    }
    if let Some(labels) = fields.get_mut("labels").and_then(Value::as_object_mut) {
        labels.retain(|name, _| !name.starts_with(label::PREFIX));
    }
    spec
}

/// Returns the hash of what all replicas of a service have in common.
pub fn config_hash(spec: &ContainerSpec) -> String {
    let mut value = comparable(serde_json::to_value(spec).unwrap_or_default());
    if let Some(fields) = value.as_object_mut() {
        fields.shift_remove("name");
        fields.shift_remove("number");
    }
    let endpoints = value
        .pointer_mut("/network/endpoints")
        .and_then(Value::as_array_mut);
    for endpoint in endpoints.into_iter().flatten() {
        if let Some(aliases) = endpoint.get_mut("aliases").and_then(Value::as_array_mut) {
            aliases.retain(|alias| alias.as_str() != Some(spec.name.as_str()));
        }
    }
    let bytes = serde_json::to_vec(&value).unwrap_or_default();
    Digest::sha256_of(&bytes).hex().to_owned()
}
