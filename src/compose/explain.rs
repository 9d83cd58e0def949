//! Where a value of a project comes from: the place that won, what it shadows, what filled it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value as Json, json};
use thiserror::Error;

use crate::compose::env::dotenv_lines;
use crate::compose::interpolate::names;
use crate::compose::model::{Form, NameFrom, Places, Project, Shadowed};
use crate::compose::render::document;
use crate::compose::suggest::nearest;
use crate::compose::tree::{Span, VariableOrigin, VariableUse};
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

/// How a value came to be at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It was written.
    Written,
    /// It follows from what is written at the place, or from other values where there is none.
    Implied,
    /// It was removed by the tag at the place.
    Removed,
    /// `--project-name` gives it.
    Flag,
    /// `COMPOSE_PROJECT_NAME` gives it.
    Variable,
    /// It is made of the name of the project's directory.
    Directory,
}

/// One explained value.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Its path from the root of the project.
    pub path: String,
    /// What it is in the end.
    pub value: Json,
    /// How it came to be there.
    pub origin: Origin,
    /// Where it was written; nowhere when it follows from other values.
    pub place: Option<Place>,
    /// Where the file of the place was asked for, and where that file was asked for, and so on.
    pub way: Vec<Place>,
    /// The `extends` that it came through, nearest first.
    pub through: Vec<Place>,
    /// What was written for it before, latest first.
    pub shadowed: Vec<Shadowed>,
    /// The variables that filled it.
    pub variables: Vec<VariableUse>,
}

/// Explains the values at a path and below: `services.web.image`, `web.image`, or `.` for all.
pub fn explain(project: &Project, path: &str) -> Result<Vec<Explanation>, ExplainError> {
    let root = document(project, Form::Yaml);
    let asked = path.trim_matches('.').replace("..", ".");
    let full = full_path(project, &asked);
    // Some write elements of lists as `ports[0]`.
    let dotted = full.replace('[', ".").replace(']', "");
    let found = lookup(&root, &full).or_else(|| lookup(&root, &dotted));
    let mut explained = Vec::new();
    if let Some((value, known)) = found {
        let mut lines = Lines::default();
        leaves(value, known, &mut |path, value| {
            explained.push(explanation(project, &mut lines, path, value));
        });
    }
    explained.extend(removed(project, &root, &full));
    if explained.is_empty() {
        return Err(unknown(&root, path, &full));
    }
    Ok(explained)
}

/// Explains what is not there at a path and below because it was removed.
fn removed(project: &Project, root: &Json, path: &str) -> Vec<Explanation> {
    let places = &project.places;
    let gone = places.removed(path).into_iter();
    let gone = gone.filter(|(path, ..)| lookup(root, path).is_none());
    gone.map(|(path, by, was)| Explanation {
        path: path.to_owned(),
        value: Json::Null,
        origin: Origin::Removed,
        place: places.files().place(by),
        way: places.way_of(by),
        through: Vec::new(),
        shadowed: vec![was],
        variables: Vec::new(),
    })
    .collect()
}

/// Returns the service that a path leads into.
fn service_of<'p>(project: &'p Project, path: &str) -> Option<&'p str> {
    let inner = path.strip_prefix("services.")?;
    let mut names = project.services.keys().map(String::as_str);
    names.find(|name| {
        let rest = inner.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// Tells where the project's name is from, when that is no file.
fn name_from(project: &Project) -> Option<(Origin, Vec<VariableUse>)> {
    const NAME: &str = "COMPOSE_PROJECT_NAME";
    match project.name_from {
        NameFrom::File => None,
        NameFrom::Flag => Some((Origin::Flag, Vec::new())),
        NameFrom::Directory => Some((Origin::Directory, Vec::new())),
        NameFrom::Variable => {
            let variable = VariableUse {
                name: NAME.to_owned(),
                value: Some(project.name.clone()),
                origin: project.places.origin(NAME),
            };
            Some((Origin::Variable, vec![variable]))
        }
    }
}

/// Returns the paths that begin with a text, each as far as the end of the step behind the text.
pub fn steps(project: &Project, typed: &str) -> BTreeSet<String> {
    const SERVICES: &str = "services.";
    let root = document(project, Form::Yaml);
    let mut found = BTreeSet::new();
    leaves(&root, String::new(), &mut |path, _| {
        let path = match path.strip_prefix(SERVICES) {
            Some(short) if !typed.starts_with("services") => short,
            _ => &path,
        };
        let Some(rest) = path.strip_prefix(typed) else {
            return;
        };
        let inner = rest.strip_prefix('.').unwrap_or(rest);
        let end = inner.find('.').unwrap_or(inner.len());
        let length = path.len() - inner.len() + end;
        found.insert(path[..length].to_owned());
    });
    found
}

fn explanation<'p>(
    project: &'p Project,
    lines: &mut Lines<'p>,
    path: String,
    value: &Json,
) -> Explanation {
    let places = &project.places;
    let written = written_path(places, &path);
    let mut place = places.get(written);
    let mut way = places.way(written);
    let mut shadowed = places.shadowed(written);
    let mut variables = places.variables(written);
    let mut from_files = from_files(project, lines, &path);
    if place.is_none() && !from_files.is_empty() {
        let first = from_files.remove(0);
        place = Some(first.shadow.place);
        way = first.way;
        variables = first.variables;
    }
    shadowed.extend(from_files.into_iter().map(|mention| mention.shadow));
    // A list or a mapping that an `!override` replaced.
    let replaced = places.removed(written).into_iter();
    shadowed.extend(replaced.map(|(_, _, was)| was));
    let through = service_of(project, &path).map(|service| places.through(service, written));
    let mut origin = if place.is_none() || places.is_implied(&path) {
        Origin::Implied
    } else {
        Origin::Written
    };
    if let Some((from, filled)) = name_from(project).filter(|_| path == "name") {
        (origin, variables) = (from, filled);
    }
    Explanation {
        value: value.clone(),
        origin,
        place,
        way,
        through: through.unwrap_or_default(),
        shadowed,
        variables,
        path,
    }
}

/// Returns the path of what was written for a value: a string may stand for a whole list.
fn written_path<'p>(places: &Places, path: &'p str) -> &'p str {
    if places.node(path).is_some() {
        return path;
    }
    let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
    let is_short = places
        .node(parent)
        .is_some_and(|node| node.as_text().is_some());
    if is_short { parent } else { path }
}

/// What a file of variables or labels says about a value.
struct Mention {
    shadow: Shadowed,
    way: Vec<Place>,
    variables: Vec<VariableUse>,
}

/// What the files of variables and labels consist of, each read once.
#[derive(Default)]
struct Lines<'p> {
    files: BTreeMap<u32, FileLines<'p>>,
}

struct FileLines<'p> {
    /// The number of the line that sets each key, from 1.
    keys: BTreeMap<String, u32>,
    text: Vec<&'p str>,
}

impl<'p> Lines<'p> {
    /// Returns the number and the text of the line that sets a key.
    fn of_key(&mut self, project: &'p Project, file: u32, key: &str) -> Option<(u32, &'p str)> {
        let text = &project.places.files().get(file)?.text;
        let lines = self.files.entry(file).or_insert_with(|| FileLines {
            keys: dotenv_lines(text),
            text: text.lines().collect(),
        });
        let number = *lines.keys.get(key)?;
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        Some((number, lines.text.get(index).copied().unwrap_or_default()))
    }
}

/// Finds what the files of variables and labels say about a value, the strongest first.
fn from_files<'p>(project: &'p Project, lines: &mut Lines<'p>, path: &str) -> Vec<Mention> {
    let places = &project.places;
    let Some((service, files, key)) = in_service(project, path) else {
        return Vec::new();
    };
    let mention = |index: usize| {
        let entry = format!("services.{service}.{files}.{index}");
        let node = places.node(&entry)?;
        let file = node.get("path").unwrap_or(node).as_text()?;
        let number = places.files().named(Path::new(file))?;
        let (line, written) = lines.of_key(project, number, key)?;
        let place = Place {
            file: file.into(),
            line,
            column: 1,
        };
        let start = Span {
            file: number,
            line,
            ..Span::default()
        };
        Some(Mention {
            shadow: Shadowed { place, value: None },
            way: places.way_of(start),
            variables: variables_in(project, written),
        })
    };
    let count = |list: &str| {
        let list = places.node(&format!("services.{service}.{list}"));
        list.and_then(|node| node.as_list()).map_or(0, <[_]>::len)
    };
    (0..count(files)).rev().filter_map(mention).collect()
}

/// Splits the path of a variable or label into its service, the key of the files that may set it, and
/// its own name.
fn in_service<'a>(project: &Project, path: &'a str) -> Option<(&'a str, &'static str, &'a str)> {
    let sources = [(".environment.", "env_file"), (".labels.", "label_file")];
    let inner = path.strip_prefix("services.")?;
    sources.iter().find_map(|(values, files)| {
        let mut splits = inner.match_indices(values);
        let (end, _) = splits.find(|(end, _)| project.services.contains_key(&inner[..*end]))?;
        Some((&inner[..end], *files, &inner[end + values.len()..]))
    })
}

/// Returns the variables that a line of a file of variables mentions; single quotation marks hide them.
fn variables_in(project: &Project, line: &str) -> Vec<VariableUse> {
    let value = line
        .split_once(['=', ':'])
        .map_or("", |(_, value)| value.trim());
    if value.starts_with('\'') || !value.contains('$') {
        return Vec::new();
    }
    let told = |mention: crate::compose::interpolate::Mention| {
        let value = project.environment.get(&mention.name).cloned();
        let origin = match (&value, mention.default.is_empty()) {
            (Some(_), _) => project.places.origin(&mention.name),
            (None, true) => VariableOrigin::Unset,
            (None, false) => VariableOrigin::Default(mention.default),
        };
        VariableUse {
            name: mention.name,
            value,
            origin,
        }
    };
    names(value).into_iter().map(told).collect()
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
    let keys: Vec<&str> = keys.collect();
    let begins = || {
        let mut longer = keys.iter().filter(|key| key.starts_with(missing));
        longer
            .next()
            .copied()
            .filter(|_| longer.next().is_none() && !missing.is_empty())
    };
    let services = root.get("services").and_then(Json::as_object);
    let services = services.filter(|_| known.is_empty()).into_iter().flatten();
    let service = nearest(missing, services.map(|(name, _)| name.as_str()));
    if let Some(service) = service {
        let rest = full.split_once('.').map_or("", |(_, rest)| rest);
        let whole = format!("services.{service}.{rest}");
        let found = lookup(root, whole.trim_end_matches('.'));
        return ExplainError {
            path: asked.to_owned(),
            nearest: Some(found.map_or_else(|| format!("services.{service}"), |(_, path)| path)),
        };
    }
    let nearest = nearest(missing, keys.iter().copied()).or_else(begins);
    if nearest.is_none() && parent.is_array() {
        return ExplainError {
            path: asked.to_owned(),
            nearest: Some(known.to_owned()),
        };
    }
    let nearest = nearest.map(|key| {
        let begin = if known.is_empty() {
            key.to_owned()
        } else {
            format!("{known}.{key}")
        };
        let rest = full[known.len()..].trim_start_matches('.').split_once('.');
        let whole = rest.map(|(_, rest)| format!("{begin}.{rest}"));
        whole
            .filter(|whole| lookup(root, whole).is_some())
            .unwrap_or(begin)
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
        match (&self.place, self.origin) {
            (Some(place), Origin::Written) => out += &format!("  written at {place}\n"),
            (Some(place), Origin::Implied) => out += &format!("  follows from {place}\n"),
            (Some(place), Origin::Removed) => out += &format!("  removed at {place}\n"),
            (_, Origin::Flag) => out += "  given by `--project-name`\n",
            (_, Origin::Variable) => out += "  given by `COMPOSE_PROJECT_NAME`\n",
            (_, Origin::Directory) => out += "  made of the name of the project's directory\n",
            (None, Origin::Written | Origin::Implied | Origin::Removed) => {
                out += "  follows from other values\n";
            }
        }
        for place in &self.way {
            out += &format!("    a file that is named at {place}\n");
        }
        for place in &self.through {
            out += &format!("    through `extends` at {place}\n");
        }
        for Shadowed { place, value } in &self.shadowed {
            let value = value.as_ref().map(|value| json!(value).to_string());
            let value = value.unwrap_or_else(|| "what is".to_owned());
            out += &format!("  shadows {value} at {place}\n");
        }
        for variable in &self.variables {
            let value = json!(variable.value.as_deref().unwrap_or_default());
            let says = match &variable.origin {
                VariableOrigin::Shell => format!("= {value}, from the shell"),
                VariableOrigin::EnvFile(file) => format!("= {value}, from {}", file.display()),
                VariableOrigin::Default(text) => {
                    format!("is not set, its default is {}", json!(text))
                }
                VariableOrigin::Unset => "is not set".to_owned(),
            };
            out += &format!("  variable {} {says}\n", variable.name);
        }
        out
    }

    /// Lays it out for programs.
    pub fn document(&self) -> ExplanationDocument {
        ExplanationDocument {
            path: self.path.clone(),
            value: self.value.clone(),
            origin: self.origin,
            place: self.place.clone(),
            way: self.way.clone(),
            through: self.through.clone(),
            shadowed: self.shadowed.clone(),
            variables: self.variables.iter().map(VariableDocument::of).collect(),
        }
    }
}

/// Where a value came from, as programs read it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Explanation")]
pub struct ExplanationDocument {
    /// The path from the root of the project, with dots.
    path: String,
    /// What it is in the end.
    value: Json,
    /// How it came to be there.
    origin: Origin,
    /// Where it was written, or what it follows from; null when that is no single place.
    place: Option<Place>,
    /// Where the file of the place was asked for by `include`, `extends` or `env_file`, and so on.
    way: Vec<Place>,
    /// The `extends` that it came through, nearest first.
    through: Vec<Place>,
    /// What was written for it before, latest first.
    shadowed: Vec<Shadowed>,
    /// The variables that filled it.
    variables: Vec<VariableDocument>,
}

/// A variable that filled a value, as programs read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Variable")]
struct VariableDocument {
    /// Its name.
    name: String,
    /// Its value; null when it is not set.
    value: Option<String>,
    /// Where the value came from.
    origin: VariableSource,
    /// The file that it came from.
    file: Option<String>,
    /// The default that stands beside its name, where it was used.
    default: Option<String>,
}

/// Where the value of a variable came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum VariableSource {
    /// The environment of the command.
    Shell,
    /// A file such as `.env`.
    EnvFile,
    /// The default beside its name.
    Default,
    /// Nowhere.
    Unset,
}

impl VariableDocument {
    fn of(variable: &VariableUse) -> Self {
        let (origin, file, default) = match &variable.origin {
            VariableOrigin::Shell => (VariableSource::Shell, None, None),
            VariableOrigin::EnvFile(file) => (VariableSource::EnvFile, Some(file), None),
            VariableOrigin::Default(text) => (VariableSource::Default, None, Some(text)),
            VariableOrigin::Unset => (VariableSource::Unset, None, None),
        };
        Self {
            name: variable.name.clone(),
            value: variable.value.clone(),
            origin,
            file: file.map(|file| file.display().to_string()),
            default: default.cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::source::Memory;
    use crate::compose::{LoadOptions, load};

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
            ..LoadOptions::default()
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

    fn of(files: &[(&str, &str)], options: LoadOptions) -> Project {
        let files = files
            .iter()
            .map(|(name, text)| (format!("/p/{name}"), *text));
        let options = LoadOptions {
            cwd: "/p".into(),
            ..options
        };
        load(&options, &Memory::new(files)).unwrap().project
    }

    #[test]
    fn the_name_says_what_gave_it() {
        let name = |file: &str, options: LoadOptions| {
            let text = format!("{file}services: {{web: {{image: x}}}}\n");
            let project = of(&[("compose.yaml", &text)], options);
            explain(&project, "name").unwrap()[0].to_text()
        };
        let plain = name("", LoadOptions::default());
        assert_eq!(
            plain,
            "name = \"p\"\n  made of the name of the project's directory\n"
        );
        let file = name("name: My App\n", LoadOptions::default());
        assert_eq!(file, "name = \"myapp\"\n  written at /p/compose.yaml:1:7\n");
        let flag = LoadOptions {
            project_name: Some("other".to_owned()),
            ..LoadOptions::default()
        };
        assert_eq!(
            name("name: mine\n", flag),
            "name = \"other\"\n  given by `--project-name`\n  shadows \"mine\" at /p/compose.yaml:1:7\n"
        );
        let variable = LoadOptions {
            environment: BTreeMap::from([("COMPOSE_PROJECT_NAME".to_owned(), "env".to_owned())]),
            ..LoadOptions::default()
        };
        assert_eq!(
            name("", variable),
            "name = \"env\"\n  given by `COMPOSE_PROJECT_NAME`\n  variable COMPOSE_PROJECT_NAME = \"env\", from the shell\n"
        );
    }

    #[test]
    fn what_a_reset_removed_and_the_way_through_extends_are_told() {
        let first = "services:\n  base:\n    image: x\n  mid:\n    extends: base\n  web:\n    extends: mid\n    user: me\n    ports: ['80:80']\n";
        let second = "services:\n  web:\n    ports: !reset []\n";
        let files = [("compose.yaml", first), ("compose.override.yaml", second)];
        let project = of(&files, LoadOptions::default());
        let said = |path: &str| explain(&project, path).unwrap()[0].to_text();
        assert_eq!(
            said("web.ports"),
            "services.web.ports = null\n  removed at /p/compose.override.yaml:3:12\n  shadows what is at /p/compose.yaml:9:12\n"
        );
        assert_eq!(
            said("web.image"),
            "services.web.image = \"x\"\n  written at /p/compose.yaml:3:12\n    through `extends` at /p/compose.yaml:7:14\n    through `extends` at /p/compose.yaml:5:14\n"
        );
        assert_eq!(
            said("web.user"),
            "services.web.user = \"me\"\n  written at /p/compose.yaml:8:11\n"
        );
    }
}
