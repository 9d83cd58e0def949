//! Lists of what a project has, for scripts. All are sorted.

use std::collections::{BTreeMap, BTreeSet};

use crate::compose::diagnostic::{ComposeError, Report};
use crate::compose::interpolate::names;
use crate::compose::load::load_tree;
use crate::compose::model::Project;
use crate::compose::options::LoadOptions;
use crate::compose::source::Source;
use crate::compose::tree::{Node, Value};

/// Returns the names of the active services.
pub fn services(project: &Project) -> Vec<String> {
    project.services.keys().cloned().collect()
}

/// Returns the keys of the volumes.
pub fn volumes(project: &Project) -> Vec<String> {
    project.volumes.keys().cloned().collect()
}

/// Returns the keys of the networks.
pub fn networks(project: &Project) -> Vec<String> {
    project.networks.keys().cloned().collect()
}

/// Returns the artifacts of the models.
pub fn models(project: &Project) -> Vec<String> {
    let models = project
        .models
        .values()
        .filter_map(|model| model.model.clone());
    models.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Returns the images of the active services; a built one without a name is named after its service.
pub fn images(project: &Project) -> Vec<String> {
    let image = |(name, service): (&String, &crate::compose::model::Service)| {
        service
            .image
            .clone()
            .unwrap_or_else(|| project.built_image(name))
    };
    let mut images: Vec<String> = project.services.iter().map(image).collect();
    images.sort();
    images
}

/// Returns the profiles of all services.
pub fn profiles(project: &Project) -> Vec<String> {
    let all = project
        .services
        .values()
        .chain(project.disabled_services.values());
    let profiles = all.flat_map(|service| service.profiles.iter().cloned());
    profiles.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Returns the variables that interpolation saw, as `KEY=value`.
pub fn environment(project: &Project) -> Vec<String> {
    project
        .environment
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// A variable that the files use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VariableUsage {
    /// Its name.
    pub name: String,
    /// Must it be set?
    pub required: bool,
    /// What it is without a value.
    pub default_value: String,
    /// What replaces its value.
    pub alternate_value: String,
}

/// Returns the variables that the files use, by name.
pub fn variables(
    options: &LoadOptions,
    source: &dyn Source,
) -> Result<(Vec<VariableUsage>, Report), ComposeError> {
    let mut options = options.clone();
    options.switches.no_interpolate = true;
    let tree = load_tree(&options, source)?;
    let mut found = BTreeMap::new();
    collect(&tree.root, &mut found);
    Ok((found.into_values().collect(), tree.into_warnings()))
}

fn collect(node: &Node, found: &mut BTreeMap<String, VariableUsage>) {
    match &node.value {
        Value::Text(text) => {
            for mention in names(text) {
                let usage = found
                    .entry(mention.name.clone())
                    .or_insert_with(|| VariableUsage {
                        name: mention.name.clone(),
                        ..VariableUsage::default()
                    });
                usage.required |= mention.required;
                if usage.default_value.is_empty() {
                    usage.default_value = mention.default;
                }
                if usage.alternate_value.is_empty() {
                    usage.alternate_value = mention.alternative;
                }
            }
        }
        Value::List(list) => list.iter().for_each(|item| collect(item, found)),
        Value::Map(map) => map.values().for_each(|entry| collect(&entry.node, found)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
    }
}
