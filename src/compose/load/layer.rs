//! Documents into one tree: each is interpolated, extended, completed by what it includes, and
//! laid over those before it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use crate::compose::budget::{Budget, TooMuch};
use crate::compose::combine::{apply_resets, enforce_unique, merge};
use crate::compose::diagnostic::Diagnostic;
use crate::compose::interpolate::Interpolator;
use crate::compose::load::extends::ExtendsCache;
use crate::compose::load::files::Documents;
use crate::compose::load::recover::{Aside, RestMust};
use crate::compose::options::Switches;
use crate::compose::schema;
use crate::compose::settle::{Resolver, resolve_paths, set_defaults, validate};
use crate::compose::shorthand::{ParseErrors, canonical};
use crate::compose::source::{Files, Source};
use crate::compose::tree::{History, Map, Node, Path, Span, Value};
use crate::compose::yaml::Document;

/// How many services a project may have.
const SERVICE_LIMIT: usize = 10_000;

/// What becomes of relative paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paths {
    /// They are joined to the base.
    Resolved,
    /// They stay as they are written.
    Kept,
}

/// What the files of one project, or of one included project, have in common.
#[derive(Debug, Clone)]
pub(super) struct Level {
    /// The directory that files are looked for in; absolute.
    pub(super) directory: PathBuf,
    /// What relative paths are joined to: absolute for the project, and for what it includes the
    /// way from the including project's directory.
    pub(super) base: String,
    /// The variables.
    pub(super) environment: Rc<BTreeMap<String, String>>,
    /// What `~` stands for.
    pub(super) home: Option<String>,
    /// The variables that came from a file, with that file.
    pub(super) origins: Rc<BTreeMap<String, PathBuf>>,
    /// The files that led here.
    pub(super) included: Vec<PathBuf>,
    /// Whether its relative paths are resolved.
    pub(super) paths: Paths,
}

/// The state of one load.
pub(super) struct Loader<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) switches: Switches,
    pub(super) files: Files,
    pub(super) faults: Vec<Diagnostic>,
    /// What was found in parts that were taken out so that the rest could be looked at.
    pub(super) aside: Aside,
    pub(super) extends: ExtendsCache,
    pub(super) history: History,
    pub(super) budget: Budget,
    /// The folders of what was brought here from other machines.
    pub(super) roots: Vec<PathBuf>,
}

impl<'a> Loader<'a> {
    /// Starts a load.
    pub(super) fn new(source: &'a dyn Source, switches: Switches) -> Self {
        let (files, faults) = (Files::default(), Vec::new());
        Self {
            source,
            switches,
            files,
            faults,
            aside: Aside::default(),
            extends: ExtendsCache::default(),
            history: History::default(),
            budget: Budget::default(),
            roots: Vec::new(),
        }
    }

    /// Lays the documents of a level over each other and settles the result.
    pub(super) fn layers(&mut self, files: Vec<Documents>, level: &Level) -> Node {
        let mut tree = Node::new(Value::Map(Map::new()), Span::default());
        for Documents { file, documents } in files {
            // A file may include one that it is laid over.
            let mut level = level.clone();
            let path = self
                .files
                .get(file)
                .map(|file| file.path.clone())
                .unwrap_or_default();
            level.included.push(path);
            for document in documents {
                self.layer(&mut tree, document, &level);
            }
        }
        self.count_services(&tree);
        if crate::compose::load::has_errors(&self.faults) {
            return tree;
        }
        set_defaults(&mut tree);
        let before = self.faults.len();
        validate(&tree, &mut self.faults);
        self.aside.drop_echoes(&mut self.faults);
        if level.paths == Paths::Resolved {
            self.resolve_paths(
                &mut tree,
                (&level.base, &level.directory),
                level.home.as_deref(),
            );
        }
        self.aside.keep(&mut self.faults, before);
        resolve_variables(&mut tree, &level.environment);
        tree
    }

    fn count_services(&mut self, tree: &Node) {
        let services = tree.get("services").and_then(Node::as_map);
        let mut places: Vec<Span> = services
            .into_iter()
            .flatten()
            .map(|(_, it)| it.key)
            .collect();
        places.sort();
        if let Some(first_too_many) = places.get(SERVICE_LIMIT) {
            let message = format!("the project has more than {SERVICE_LIMIT} services");
            self.faults
                .push(Diagnostic::error(*first_too_many, message));
        }
    }

    pub(super) fn resolve_paths(
        &mut self,
        tree: &mut Node,
        (base, directory): (&str, &std::path::Path),
        home: Option<&str>,
    ) {
        let resolver = Resolver {
            base,
            directory,
            home,
            source: self.source,
            files: &self.files,
        };
        resolve_paths(tree, &resolver, &mut self.faults);
    }

    fn layer(&mut self, tree: &mut Node, document: Document, level: &Level) {
        let Document { mut root, resets } = document;
        if root.as_map().is_none() {
            let message = format!("the file cannot be {}", root.value.kind());
            self.faults.push(
                Diagnostic::error(root.span, message)
                    .expected("expected a mapping such as `services:`"),
            );
            return;
        }
        if let Err(TooMuch(message)) = self.budget.layer(tree.weight()) {
            self.faults.push(Diagnostic::error(root.span, message));
            return;
        }
        let start = self.faults.len();
        self.interpolate(&mut root, level);
        self.set_aside(&mut root, start, RestMust::BeChecked);
        let mut own = service_names(&root);
        // What is included comes first, so that services can extend it.
        own.extend(self.apply_includes(&mut root, &resets, level));
        apply_resets(tree, &resets, &mut self.history.removed);
        self.apply_extends(&mut root, &resets, level);
        if tree.span.line == 0 {
            tree.span = root.span;
        }
        let settled = settled_services(tree, &root, &own);
        merge(tree, root, &mut self.faults);
        let settled = take_services(tree, &settled);
        enforce_unique(tree, &mut self.faults);
        let before = self.faults.len();
        schema::check(tree, &schema::PROJECT, "", &mut self.faults);
        let fits = self.set_aside(tree, before, RestMust::FitTheSchema);
        self.warn_of_version(tree);
        if fits {
            let before = self.faults.len();
            self.shorten(tree);
            if self.set_aside(tree, before, RestMust::FitTheSchema) {
                self.aside.keep(&mut self.faults, start);
            }
        }
        put_services(tree, settled);
    }

    /// Cuts out what the mistakes from `before` on are in; returns whether the rest makes sense.
    fn set_aside(&mut self, tree: &mut Node, before: usize, rest_must: RestMust) -> bool {
        self.aside.take(tree, &mut self.faults, before, rest_must)
    }

    pub(super) fn interpolate(&mut self, root: &mut Node, level: &Level) {
        if !self.switches.no_interpolate {
            let mut interpolator =
                Interpolator::new(&level.environment, &mut self.budget, &mut self.faults)
                    .knowing(&level.origins);
            interpolator.run(root);
            for (span, variables) in interpolator.into_filled() {
                self.files.fill(span, variables);
            }
        }
    }

    /// Brings a tree into its long form.
    pub(super) fn shorten(&mut self, tree: &mut Node) {
        let errors = if self.switches.no_interpolate {
            ParseErrors::Kept
        } else {
            ParseErrors::Refused
        };
        canonical(tree, errors, &mut self.budget, &mut self.faults);
        enforce_unique(tree, &mut self.faults);
    }

    fn warn_of_version(&mut self, tree: &mut Node) {
        let entry = tree.as_map_mut().and_then(|map| map.remove("version"));
        if let Some(entry) = entry {
            self.faults.push(
                Diagnostic::warning(entry.key, "`version` is obsolete and ignored")
                    .hint("remove the line"),
            );
        }
    }

    /// Merges documents that only serve as a source of services to extend.
    pub(super) fn plain_layers(&mut self, files: Documents, level: &Level) -> (Node, Vec<Path>) {
        let mut tree = Node::new(Value::Map(Map::new()), Span::default());
        let mut last_resets = Vec::new();
        for Document { mut root, resets } in files.documents {
            if root.as_map().is_none() {
                let message = format!("the file cannot be {}", root.value.kind());
                self.faults
                    .push(Diagnostic::error(root.span, message).expected("expected a mapping"));
                continue;
            }
            if let Err(TooMuch(message)) = self.budget.layer(tree.weight()) {
                self.faults.push(Diagnostic::error(root.span, message));
                break;
            }
            self.interpolate(&mut root, level);
            apply_resets(&mut tree, &resets, &mut self.history.removed);
            merge(&mut tree, root, &mut self.faults);
            enforce_unique(&mut tree, &mut self.faults);
            self.shorten(&mut tree);
            last_resets = resets;
        }
        (tree, last_resets)
    }
}

fn service_names(tree: &Node) -> BTreeSet<String> {
    let services = tree.get("services").and_then(Node::as_map);
    services.into_iter().flat_map(Map::keys).cloned().collect()
}

/// Returns the services that are as they will be once `layer`, which itself speaks of `own`, lies over `tree`: of all
/// others one of the two says nothing, and each is in order for itself.
fn settled_services(tree: &Node, layer: &Node, own: &BTreeSet<String>) -> BTreeSet<String> {
    let mut settled = service_names(tree);
    let brought = service_names(layer);
    for name in brought.difference(own) {
        // What is included is in order too, unless it meets what is there.
        if !settled.remove(name) {
            settled.insert(name.clone());
        }
    }
    &settled - own
}

/// Takes services out of a tree.
fn take_services(tree: &mut Node, names: &BTreeSet<String>) -> Map {
    let Some(services) = tree.get_mut("services").and_then(Node::as_map_mut) else {
        return Map::new();
    };
    let (taken, left) = std::mem::take(services)
        .into_iter()
        .partition(|(name, _)| names.contains(name));
    *services = left;
    taken
}

/// Puts services back that were taken out of a tree.
fn put_services(tree: &mut Node, mut taken: Map) {
    if let Some(services) = tree.get_mut("services").and_then(Node::as_map_mut) {
        services.append(&mut taken);
    }
}

/// The key under which a secret's value from the environment travels; no file can spell it.
pub(crate) const SECRET_CONTENT: &str = "\0content";

/// Takes the values that secrets, configs and listed variables have in the environment.
fn resolve_variables(tree: &mut Node, environment: &BTreeMap<String, String>) {
    for (_, entry) in tree
        .get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flatten()
    {
        let list = entry
            .node
            .get_mut("environment")
            .and_then(Node::as_list_mut);
        for item in list.into_iter().flatten() {
            if let Some(value) = item.as_text().and_then(|name| environment.get(name)) {
                let name = item.value.to_plain();
                item.value = Value::Text(format!("{name}={value}"));
                item.fill_from(&name, value);
            }
        }
    }
    for (kind, key) in [("secrets", SECRET_CONTENT), ("configs", "content")] {
        for (_, entry) in tree
            .get_mut(kind)
            .and_then(Node::as_map_mut)
            .into_iter()
            .flatten()
        {
            let variable = entry.node.get("environment").and_then(Node::as_text);
            if let Some(value) = variable.and_then(|name| environment.get(name)) {
                let span = entry
                    .node
                    .get("environment")
                    .map(|n| n.span)
                    .unwrap_or_default();
                entry.node.set(key, Node::text(value.clone(), span));
            }
        }
    }
}
