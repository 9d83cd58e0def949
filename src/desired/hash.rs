//! Two specs are the same when what matters of them is: the comparable form and its hash.

use super::{ContainerSpec, PullPolicy, label};
use crate::value::Digest;
use serde::Serialize;
use serde_json::Value;

/// Returns what matters of a stored spec of a container, network or volume.
///
/// Left out is what says where the project is and how it is looked at, not what runs: labels of
/// [`label`], places, the pull policy, whether output is shown and which addresses are others'.
pub fn comparable(mut spec: Value) -> Value {
    let Some(fields) = spec.as_object_mut() else {
        return spec;
    };
    fields.shift_remove("attach");
    fields.shift_remove("hash");
    fields.shift_remove("place");
    let endpoints = fields
        .get_mut("network")
        .and_then(|network| network.get_mut("endpoints")?.as_array_mut());
    for endpoint in endpoints.into_iter().flatten() {
        if let Some(endpoint) = endpoint.as_object_mut() {
            endpoint.shift_remove("kept_free");
        }
    }
    if let Some(image) = fields.get_mut("image").and_then(Value::as_object_mut) {
        image.shift_remove("pull");
    }
    if let Some(labels) = fields.get_mut("labels").and_then(Value::as_object_mut) {
        labels.retain(|name, _| !name.starts_with(label::PREFIX));
    }
    spec
}

/// Returns the hash of what all replicas of a service have in common, and [`comparable`] leaves.
pub fn config_hash(spec: &ContainerSpec) -> String {
    let mut common = spec.clone();
    common.attach = false;
    common.image.pull = PullPolicy::Missing;
    common
        .labels
        .retain(|name, _| !name.starts_with(label::PREFIX));
    common.number = 0;
    common.hash.clear();
    for endpoint in common.network.endpoints_mut() {
        endpoint.aliases.retain(|alias| alias != spec.name.as_str());
        endpoint.kept_free.clear();
    }
    if let Ok(name) = NOBODY.parse() {
        common.name = name;
    }
    let bytes = serde_json::to_vec(&common).unwrap_or_default();
    Digest::sha256_of(&bytes).hex().to_owned()
}

/// Returns the hash of what matters of a network or volume.
pub(super) fn resource_hash(spec: &impl Serialize) -> String {
    let spec = comparable(serde_json::to_value(spec).unwrap_or_default());
    Digest::sha256_of(spec.to_string().as_bytes())
        .hex()
        .to_owned()
}

/// The name that stands for those of all replicas.
const NOBODY: &str = "nobody";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::{self, LoadOptions, source::Memory};
    use crate::desired::{self, Options};
    use std::collections::{BTreeMap, BTreeSet};

    /// Returns what all containers of a project with one service have in common.
    fn hashes(service: &str) -> BTreeSet<String> {
        let text = format!("services: {{web: {{image: x, {service}}}}}");
        let source = Memory::new([("/p/compose.yaml".to_owned(), text.into_bytes())]);
        let options = LoadOptions {
            cwd: "/p".into(),
            ..LoadOptions::default()
        };
        let project = compose::load(&options, &source).unwrap().project;
        let scale = BTreeMap::new();
        let source = &source;
        let state = desired::expand(&project, &Options { scale, source }).unwrap();
        let replicas = state.services.into_values().flat_map(|web| web.replicas);
        replicas.map(|spec| config_hash(&spec)).collect()
    }

    #[test]
    fn what_does_not_run_does_not_count_and_everything_else_does() {
        let plain = hashes("command: [a]");
        for same in ["attach: false", "pull_policy: always", "scale: 3"] {
            assert_eq!(hashes(&format!("command: [a], {same}")), plain, "{same}");
        }
        for other in [
            "command: [b]",
            "command: [a], labels: {x: y}",
            "command: [a], init: true",
        ] {
            assert_ne!(hashes(other), plain, "{other}");
        }
    }
}
