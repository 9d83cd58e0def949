//! Where a value of a project comes from: the place that won, what it shadows, what filled it.

use serde_json::{Value as Json, json};
use thiserror::Error;

use crate::compose::model::{Form, Project, Shadowed, Variable, VariableOrigin};
use crate::compose::render::document;
use crate::compose::suggest::nearest;
use crate::value::Place;

/// Why nothing can be explained.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("find `{path}` in the project")]
pub struct ExplainError {
    /// What was asked for.
    pub path: String,
    /// What was perhaps meant.
    pub nearest: Option<String>,
}

/// One explained value.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Its path from the root of the project.
    pub path: String,
    /// What it is in the end.
    pub value: Json,
    /// Where it was written; nowhere when it follows from other values.
    pub place: Option<Place>,
    /// What was written for it before, latest first.
    pub shadowed: Vec<Shadowed>,
    /// The variables that filled it.
    pub variables: Vec<Variable>,
}

/// Explains the values at a path and below: `services.web.image`, `web.image`, or `.` for all.
pub fn explain(project: &Project, path: &str) -> Result<Vec<Explanation>, ExplainError> {
    let root = document(project, Form::Yaml);
    let asked = path.trim_start_matches('.');
    let full = full_path(project, asked);
    let Some((value, known)) = lookup(&root, &full) else {
        return Err(unknown(&root, path, &full));
    };
    let mut found = Vec::new();
    leaves(value, known, &mut |path, value| {
        found.push(Explanation {
            value: value.clone(),
            place: project.places.get(&path),
            shadowed: project.places.shadowed(&path),
            variables: project.places.variables(&path),
            path,
        });
    });
    Ok(found)
}

/// Completes a path that begins with the name of a service.
fn full_path(project: &Project, asked: &str) -> String {
    let sections = [
        "name", "services", "networks", "volumes", "secrets", "configs", "models",
    ];
    let first = asked.split('.').next().unwrap_or_default();
    let is_service = project.services.keys().any(|name| {
        asked == name
            || asked
                .strip_prefix(name.as_str())
                .is_some_and(|rest| rest.starts_with('.'))
    });
    if is_service && !sections.contains(&first) {
        return format!("services.{asked}");
    }
    asked.to_owned()
}

/// Finds a value; keys may contain dots. Also returns the path.
fn lookup<'a>(value: &'a Json, path: &str) -> Option<(&'a Json, String)> {
    if path.is_empty() {
        return Some((value, String::new()));
    }
    let join = |head: &str, rest: String| {
        if rest.is_empty() {
            head.to_owned()
        } else {
            format!("{head}.{rest}")
        }
    };
    match value {
        Json::Object(map) => {
            let dots = path.match_indices('.').map(|(index, _)| index);
            dots.chain([path.len()]).find_map(|end| {
                let inner = map.get(&path[..end])?;
                let rest = path.get(end + 1..).unwrap_or_default();
                let (found, way) = lookup(inner, rest)?;
                Some((found, join(&path[..end], way)))
            })
        }
        Json::Array(items) => {
            let (index, rest) = path.split_once('.').unwrap_or((path, ""));
            let (found, way) = lookup(items.get(index.parse::<usize>().ok()?)?, rest)?;
            Some((found, join(index, way)))
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
    }
}

/// Visits every value that is neither a filled list nor a filled mapping.
fn leaves(value: &Json, path: String, visit: &mut impl FnMut(String, &Json)) {
    let below = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    match value {
        Json::Object(map) if !map.is_empty() => {
            for (key, inner) in map {
                leaves(inner, below(key), visit);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for (index, inner) in items.iter().enumerate() {
                leaves(inner, below(&index.to_string()), visit);
            }
        }
        Json::Null
        | Json::Bool(_)
        | Json::Number(_)
        | Json::String(_)
        | Json::Array(_)
        | Json::Object(_) => visit(path, value),
    }
}

/// Suggests the nearest key below the part of the path that is known.
fn unknown(root: &Json, asked: &str, full: &str) -> ExplainError {
    let mut known = full;
    let parent = loop {
        known = known.rsplit_once('.').map_or("", |(head, _)| head);
        if let Some((parent, _)) = lookup(root, known) {
            break parent;
        }
    };
    let missing = full[known.len()..].trim_start_matches('.');
    let missing = missing.split('.').next().unwrap_or_default();
    let keys = parent
        .as_object()
        .into_iter()
        .flat_map(|map| map.keys().map(String::as_str));
    let nearest = nearest(missing, keys).map(|key| {
        if known.is_empty() {
            key.to_owned()
        } else {
            format!("{known}.{key}")
        }
    });
    ExplainError {
        path: asked.to_owned(),
        nearest,
    }
}

impl Explanation {
    /// Shows it to people.
    pub fn to_text(&self) -> String {
        let mut out = format!("{} = {}\n", self.path, self.value);
        match &self.place {
            Some(place) => out += &format!("  written at {place}\n"),
            None => out += "  follows from other values\n",
        }
        for shadow in &self.shadowed {
            let value = shadow
                .value
                .as_ref()
                .map(|value| format!(" {}", json!(value)));
            out += &format!(
                "  shadows{} at {}\n",
                value.unwrap_or_default(),
                shadow.place
            );
        }
        for variable in &self.variables {
            let value = variable
                .value
                .as_ref()
                .map_or("nothing".to_owned(), |v| json!(v).to_string());
            let origin = match &variable.origin {
                VariableOrigin::Shell => "from the shell".to_owned(),
                VariableOrigin::EnvFile(file) => format!("from {}", file.display()),
                VariableOrigin::Unset => "not set anywhere".to_owned(),
            };
            out += &format!("  variable {} = {value}, {origin}\n", variable.name);
        }
        out
    }

    /// Lays it out for programs.
    pub fn to_json(&self) -> Json {
        let place = |place: &Place| json!({ "file": place.file.display().to_string(), "line": place.line, "column": place.column });
        let shadowed = self
            .shadowed
            .iter()
            .map(|shadow| json!({ "value": shadow.value, "place": place(&shadow.place) }));
        let variables = self.variables.iter().map(|variable| {
            let (origin, file) = match &variable.origin {
                VariableOrigin::Shell => ("shell", None),
                VariableOrigin::EnvFile(file) => ("env_file", Some(file.display().to_string())),
                VariableOrigin::Unset => ("unset", None),
            };
            json!({ "name": variable.name, "value": variable.value, "origin": origin, "file": file })
        });
        json!({
            "path": self.path,
            "value": self.value,
            "place": self.place.as_ref().map(place),
            "shadowed": shadowed.collect::<Vec<_>>(),
            "variables": variables.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::source::Memory;
    use crate::compose::{LoadOptions, Switches, load};

    fn project() -> Project {
        let files = [
            (
                "/p/compose.yaml",
                "services:\n  web:\n    image: web:${TAG:-1}\n    environment:\n      LEVEL: info\n",
            ),
            (
                "/p/compose.override.yaml",
                "services:\n  web:\n    environment:\n      - LEVEL=debug\n",
            ),
            ("/p/.env", "TAG=2\n"),
        ];
        let options = LoadOptions {
            cwd: "/p".into(),
            environment: [].into(),
            files: Vec::new(),
            project_directory: None,
            project_name: None,
            profiles: Vec::new(),
            env_files: Vec::new(),
            services: Vec::new(),
            switches: Switches::default(),
        };
        load(&options, &Memory::new(files)).unwrap().project
    }

    #[test]
    fn the_winner_and_what_it_shadows_are_named() {
        let found = explain(&project(), "web.environment.LEVEL").unwrap();
        let [level] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(level.value, json!("debug"));
        assert_eq!(
            level.place.as_ref().unwrap().to_string(),
            "/p/compose.override.yaml:4:9"
        );
        assert_eq!(level.shadowed[0].value.as_deref(), Some("info"));
        assert_eq!(level.shadowed[0].place.to_string(), "/p/compose.yaml:5:14");
    }

    #[test]
    fn a_variable_tells_where_it_came_from() {
        let found = explain(&project(), "services.web.image").unwrap();
        let tag = &found[0].variables[0];
        assert_eq!(
            (tag.name.as_str(), tag.value.as_deref()),
            ("TAG", Some("2"))
        );
        assert_eq!(tag.origin, VariableOrigin::EnvFile("/p/.env".into()));
    }

    #[test]
    fn an_unknown_path_suggests_a_known_one() {
        let error = explain(&project(), "web.imag").unwrap_err();
        assert_eq!(error.nearest.as_deref(), Some("services.web.image"));
    }
}
