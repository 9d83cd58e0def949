//! A project into text: what `config` prints, and the hashes that tell configurations apart.
//!
//! **Invariant:** what is printed loads again to the same project: every `$` is written `$$`.

mod hash;
mod json;
mod list;
mod number;
mod scalar;
mod yaml;

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::compose::diagnostic::{ComposeError, Report};
use crate::compose::load::load_tree;
use crate::compose::model::field::print_named;
use crate::compose::model::{
    Field as _, FileObject, Form, Network, Project, Service, Volume, outline, plain,
};
use crate::compose::options::LoadOptions;
use crate::compose::source::Source;

pub use hash::service_hash;
pub use json::{compact, pretty};
pub use list::{
    VariableUsage, environment, images, models, networks, profiles, services, variables, volumes,
};
pub use yaml::to_yaml;

/// How a project is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Indented JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Prints a project as `config` does.
pub fn config(project: &Project, format: Format) -> String {
    let text = match format {
        Format::Json => pretty(&document(project, Form::Json)),
        Format::Yaml => in_yaml(project),
    };
    if text.contains('$') {
        return text.replace('$', "$$");
    }
    text
}

/// Writes a project as YAML, one service after the other: all of them as data would be several times the text.
fn in_yaml(project: &Project) -> String {
    if project.services.is_empty() {
        return to_yaml(&document(project, Form::Yaml));
    }
    let mut out = String::new();
    yaml::write_entries(&mut out, &before_services(project, Form::Yaml), 0);
    out.push_str("services:\n");
    for (name, service) in &project.services {
        let service = service.print(Form::Yaml).unwrap_or(Json::Null);
        yaml::write_entry(&mut out, name, &service, 1);
    }
    yaml::write_entries(&mut out, &after_services(project, Form::Yaml), 0);
    out
}

/// Prints the images alone, as a file that overrides them.
pub fn images_only(project: &Project, format: Format) -> String {
    let image = |(name, service): (&String, &Service)| {
        let only = Service {
            image: Some(service.image.clone()?),
            ..Service::default()
        };
        Some((name.clone(), only))
    };
    let only = Project {
        services: project.services.iter().filter_map(image).collect(),
        ..Project::default()
    };
    config(&only, format)
}

/// Prints a project whose variables stay as they are written.
pub fn uninterpolated(
    options: &LoadOptions,
    source: &dyn Source,
    format: Format,
) -> Result<(String, Report), ComposeError> {
    let tree = load_tree(options, source)?;
    let data = plain(&tree.root);
    let text = match format {
        Format::Json => pretty(&data),
        Format::Yaml => to_yaml(&data),
    };
    Ok((text, tree.into_warnings()))
}

/// Returns the JSON Schema of what [`config`] writes as JSON.
pub fn config_schema() -> Json {
    let mut schema = outline::record([
        ("name", "The name of the project.", String::schema()),
        (
            "services",
            "The services.",
            outline::named(outline::or_null(Service::schema())),
        ),
        (
            "networks",
            "The networks, by key.",
            BTreeMap::<String, Network>::schema(),
        ),
        (
            "volumes",
            "The volumes, by key.",
            BTreeMap::<String, Volume>::schema(),
        ),
        (
            "secrets",
            "The secrets, by key.",
            BTreeMap::<String, FileObject>::schema(),
        ),
        (
            "configs",
            "The configs, by key.",
            BTreeMap::<String, FileObject>::schema(),
        ),
    ]);
    schema["required"] = json!(["name", "services"]);
    schema["patternProperties"] = json!({ "^x-": {} });
    schema
}

/// Lays a project out as data.
pub fn document(project: &Project, form: Form) -> Json {
    let mut out = before_services(project, form);
    let services = print_named(&project.services, form);
    out.insert(
        "services".to_owned(),
        services.unwrap_or_else(|| Json::Object(Map::new())),
    );
    out.extend(after_services(project, form));
    if form == Form::Json {
        out.sort_keys();
    }
    Json::Object(out)
}

fn before_services(project: &Project, form: Form) -> Map<String, Json> {
    let is_printed = form == Form::Json || !project.name.is_empty();
    let name = || ("name".to_owned(), Json::String(project.name.clone()));
    is_printed.then(name).into_iter().collect()
}

fn after_services(project: &Project, form: Form) -> Map<String, Json> {
    let mut out = Map::new();
    let mut put = |key: &str, value: Option<Json>| {
        out.extend(value.map(|value| (key.to_owned(), value)));
    };
    put("networks", project.networks.print(form));
    put("volumes", project.volumes.print(form));
    put("secrets", project.secrets.print(form));
    put("configs", project.configs.print(form));
    if form == Form::Yaml {
        // Docker Compose leaves models out of its JSON, and scripts compare it.
        put("models", project.models.print(form));
    }
    out.extend(
        project
            .extensions
            .iter()
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    out
}
