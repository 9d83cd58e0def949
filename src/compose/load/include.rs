//! `include`: whole projects that become part of this one, each with its own directory and
//! variables.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use crate::compose::budget::TooMuch;
use crate::compose::combine::{apply_resets_below, merge_resource};
use crate::compose::diagnostic::Diagnostic;
use crate::compose::load::has_errors;
use crate::compose::load::layer::{Level, Loader, Paths};
use crate::compose::load::locate::origins;
use crate::compose::model::plain;
use crate::compose::schema;
use crate::compose::settle::{absolute, join};
use crate::compose::tree::{Map, Node, Path as TreePath, Span, Value};

/// How deep projects may include each other.
const DEPTH_LIMIT: usize = 50;

/// One entry of `include`.
struct Include {
    paths: Vec<Node>,
    directory: Option<String>,
    env_files: Vec<Node>,
    span: Span,
}

/// Variables, and the files that some of them came from.
type Variables = (BTreeMap<String, String>, BTreeMap<String, PathBuf>);

impl Loader<'_> {
    /// Loads what a document includes and lays the document over it; `resets` are what the document drops.
    ///
    /// Returns the services that more than one of them describes.
    pub(super) fn apply_includes(
        &mut self,
        root: &mut Node,
        resets: &[TreePath],
        level: &Level,
    ) -> BTreeSet<String> {
        let mut laid_over = BTreeSet::new();
        let Some(list) = root.remove("include").filter(|list| !list.is_null()) else {
            return laid_over;
        };
        let before = self.faults.len();
        schema::check(&list, &schema::INCLUDE, "include", &mut self.faults);
        if has_errors(&self.faults[before..]) {
            self.aside.lost.everything();
            return laid_over;
        }
        let items = list.as_list().unwrap_or_default();
        for include in items.iter().filter_map(read_include) {
            match self.include(&include, level) {
                Some(included) => self.import(root, included, resets, &mut laid_over),
                None => self.aside.lost.everything(),
            }
        }
        laid_over
    }

    fn include(&mut self, include: &Include, level: &Level) -> Option<Node> {
        let paths = self.paths(include, level)?;
        let Some((main, _)) = paths.first().cloned() else {
            let warning = Diagnostic::warning(include.span, "this includes no file");
            self.faults.push(warning.hint("name a file with `path`"));
            return Some(Node::default());
        };
        let real = self.source.resolve_links(&main);
        let same = |file: &PathBuf| *file == main || self.source.resolve_links(file) == real;
        if let Some(start) = level.included.iter().position(same) {
            let fault = circle(include, &main, &level.included[start..]);
            self.faults.push(fault);
            return None;
        }
        if level.included.len() >= DEPTH_LIMIT {
            let message = format!("more than {DEPTH_LIMIT} projects include each other");
            self.faults.push(Diagnostic::error(include.span, message));
            return None;
        }
        let (directory, base) = directories(include, &main, level, self);
        if let Some(named) = &include.directory
            && !self.keep_inside(&directory, named, include.span)
        {
            return None;
        }
        let (environment, origins) = self.environment(include, &directory, level)?;
        let documents: Vec<_> = paths
            .iter()
            .filter_map(|(path, span)| self.parse(path, &directory, Some(*span)))
            .collect();
        let complete = documents.len() == paths.len();
        let inner = Level {
            directory,
            base,
            environment: Rc::new(environment),
            origins: Rc::new(origins),
            home: level.home.clone(),
            included: level.included.clone(),
            // What is included is resolved against the including project in any case.
            paths: Paths::Resolved,
        };
        complete.then(|| self.layers(documents, &inner))
    }

    fn paths(&mut self, include: &Include, level: &Level) -> Option<Vec<(PathBuf, Span)>> {
        let mut place = |node: &Node| Some((self.named_file(node, &level.directory)?, node.span));
        include.paths.iter().map(&mut place).collect()
    }

    /// Reads the variables of an included project; those of the including one win.
    fn environment(
        &mut self,
        include: &Include,
        directory: &Path,
        level: &Level,
    ) -> Option<Variables> {
        let mut files: Vec<(PathBuf, Span)> = Vec::new();
        if include.env_files.is_empty() {
            let default = directory.join(".env");
            if self.source.exists(&default) && !self.source.is_dir(&default) {
                files.push((default, include.span));
            }
        }
        for file in &include.env_files {
            let shown = file.value.to_plain();
            let path = absolute(&level.directory, Path::new(&shown));
            if path != Path::new("/dev/null") {
                self.keep_inside(&path, &shown, file.span).then_some(())?;
                files.push((path, file.span));
            }
        }
        if let Err(TooMuch(message)) = self.budget.layer(level.environment.len()) {
            self.faults.push(Diagnostic::error(include.span, message));
            return None;
        }
        let mut found = BTreeMap::new();
        let mut from = BTreeMap::clone(&level.origins);
        for (path, span) in files {
            let before = found.clone();
            self.env_file(&path, Some(span), &level.environment, &mut found)?;
            from.extend(origins(&path, &before, &found, &level.environment));
        }
        found.extend(
            level
                .environment
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        Some((found, from))
    }

    /// Adds the resources of an included project; what is there already under the same name is laid over them.
    fn import(
        &mut self,
        root: &mut Node,
        mut included: Node,
        resets: &[TreePath],
        laid_over: &mut BTreeSet<String>,
    ) {
        for kind in [
            "services", "volumes", "networks", "secrets", "configs", "models",
        ] {
            let Some(Value::Map(resources)) = included.remove(kind).map(|node| node.value) else {
                continue;
            };
            if root.get(kind).is_none_or(Node::is_null) {
                root.set(kind, Node::new(Value::Map(Map::new()), Span::default()));
            }
            // The checker says what is wrong with anything but a mapping.
            let Some(own) = root.get_mut(kind).and_then(Node::as_map_mut) else {
                continue;
            };
            for (name, entry) in resources {
                let Some(known) = own.get_mut(&name) else {
                    own.insert(name, entry);
                    continue;
                };
                if plain(&known.node) == plain(&entry.node) {
                    continue;
                }
                let later = std::mem::replace(&mut known.node, entry.node);
                let removed = &mut self.history.removed;
                apply_resets_below(&mut known.node, &[kind, &name], resets, removed);
                merge_resource(&mut known.node, later, (kind, &name), &mut self.faults);
                if kind == "services" {
                    laid_over.insert(name);
                }
            }
        }
    }
}

/// Reads an element that has the right shape; nothing asks for nothing.
fn read_include(node: &Node) -> Option<Include> {
    let list = |key: &str| match node.get(key) {
        Some(Node {
            value: Value::List(items),
            ..
        }) => items.clone(),
        Some(text) if text.as_text().is_some() => vec![text.clone()],
        _ => Vec::new(),
    };
    let span = node.span;
    if node.as_text().is_some() {
        let paths = vec![node.clone()];
        return Some(Include {
            paths,
            directory: None,
            env_files: Vec::new(),
            span,
        });
    }
    node.as_map()?;
    let directory = node.get("project_directory").and_then(Node::as_text);
    Some(Include {
        paths: list("path"),
        directory: directory
            .filter(|directory| !directory.is_empty())
            .map(str::to_owned),
        env_files: list("env_file"),
        span,
    })
}

fn circle(include: &Include, path: &Path, way: &[PathBuf]) -> Diagnostic {
    let way: Vec<_> = way.iter().map(|p| p.display().to_string()).collect();
    let message = format!(
        "the file includes itself: {} → {}",
        way.join(" → "),
        path.display()
    );
    Diagnostic::error(include.span, message).hint("remove one of these `include`s")
}

/// Returns the directory of an included project, and the way to it from the including one.
fn directories(
    include: &Include,
    main: &Path,
    level: &Level,
    loader: &Loader<'_>,
) -> (PathBuf, String) {
    let Some(directory) = &include.directory else {
        let directory = main.parent().unwrap_or(main).to_owned();
        let base = relative(&level.directory, &directory);
        return (directory, base);
    };
    let path = absolute(&level.directory, Path::new(directory));
    if Path::new(directory).is_absolute() {
        return (path, directory.clone());
    }
    // What is not a directory stands for the one that it is in.
    let exists = loader.source.is_dir(&path);
    let shown = if exists {
        path.clone()
    } else {
        path.parent().unwrap_or(&path).to_owned()
    };
    let base = relative(&level.directory, &shown);
    (path, base)
}

/// Returns the way from one absolute directory to another.
pub(super) fn relative(from: &Path, to: &Path) -> String {
    let from: Vec<Component<'_>> = from.components().collect();
    let to: Vec<Component<'_>> = to.components().collect();
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = vec![".."; from.len() - shared].join("/");
    let down: Vec<_> = to[shared..]
        .iter()
        .map(|c| c.as_os_str().to_string_lossy())
        .collect();
    let way = join(&up, &down.join("/"));
    if way.is_empty() { ".".to_owned() } else { way }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_between_directories_goes_up_and_down() {
        assert_eq!(relative(Path::new("/a/b"), Path::new("/a/c/d")), "../c/d");
        assert_eq!(relative(Path::new("/a"), Path::new("/a/b")), "b");
        assert_eq!(relative(Path::new("/a"), Path::new("/a")), ".");
        assert_eq!(relative(Path::new("/a/b"), Path::new("/")), "../..");
    }
}
