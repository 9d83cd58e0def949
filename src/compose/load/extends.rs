//! `extends`: services that begin as another one, of the same file or of another.
//!
//! **Invariant:** a service is extended once, however many others extend it in turn.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use crate::compose::budget::TooMuch;
use crate::compose::combine::{apply_resets_below, extend_service};
use crate::compose::diagnostic::{About, Diagnostic, Severity};
use crate::compose::load::consistency::CIRCLE_NOTES_LIMIT;
use crate::compose::load::has_errors;
use crate::compose::load::layer::{Level, Loader};
use crate::compose::schema;
use crate::compose::suggest::nearest;
use crate::compose::tree::{Entry, Extended, Map, Node, Path, Span, Value};
use crate::graph::Cycle;

/// The longest chain of services that extend each other.
const CHAIN_LIMIT: usize = 200;

/// The services among which one name means one service.
struct Scope {
    id: usize,
    file: PathBuf,
    services: Map,
    /// Those that others of them extend.
    bases: BTreeSet<String>,
    resets: Vec<Path>,
}

/// Files that were read for their services, and services that are extended already.
#[derive(Default)]
pub(super) struct ExtendsCache {
    scopes: usize,
    /// Whether a chain was refused for its length.
    too_long: bool,
    files: BTreeMap<(PathBuf, String), Option<Rc<Scope>>>,
    services: BTreeMap<(usize, String), Option<Node>>,
    /// Mistakes in those files, as warnings: only what is extended must be right.
    doubts: Vec<Diagnostic>,
}

/// One step of a chain of services that extend each other.
struct Link {
    scope: usize,
    file: PathBuf,
    service: String,
    span: Span,
}

/// What `extends` says.
struct Extends {
    service: String,
    file: Option<Node>,
    span: Span,
}

impl Loader<'_> {
    /// Replaces every service that extends another by the two of them merged.
    pub(super) fn apply_extends(&mut self, root: &mut Node, resets: &[Path], level: &Level) {
        let services = root.get_mut("services").and_then(Node::as_map_mut);
        let Some(services) = services else { return };
        let extend = |(name, entry): (&String, &Entry)| {
            entry.node.get("extends").is_some().then(|| name.clone())
        };
        let extending: Vec<String> = services.iter().filter_map(extend).collect();
        if extending.is_empty() {
            return;
        }
        let file = level.included.last().cloned().unwrap_or_default();
        self.extends.scopes += 1;
        let scope = Rc::new(Scope {
            id: self.extends.scopes,
            file,
            bases: bases(services),
            services: std::mem::take(services),
            resets: resets.to_vec(),
        });
        let extended: Vec<(String, Node)> = extending
            .into_iter()
            .filter_map(|name| {
                let extended = self.extended(&scope, &name, level, &mut Vec::new());
                if extended.is_none() {
                    self.aside.lost.name(&name);
                }
                Some((name, extended?))
            })
            .collect();
        // Nobody else has this scope: only those of other files are kept.
        let mut after = Rc::try_unwrap(scope)
            .map_or_else(|shared| shared.services.clone(), |scope| scope.services);
        for (name, node) in extended {
            if let Some(entry) = after.get_mut(&name) {
                entry.node = node;
            }
        }
        if let Some(services) = root.get_mut("services").and_then(Node::as_map_mut) {
            *services = after;
        }
    }

    /// Warns of mistakes in extended files that no service took over.
    pub(super) fn tell_doubts(&mut self) {
        let told: BTreeSet<Span> = self.faults.iter().map(|fault| fault.span).collect();
        let doubts = std::mem::take(&mut self.extends.doubts).into_iter();
        let new = doubts.filter(|it| !told.contains(&it.span) && !self.aside.tells_of(it.span));
        self.faults.extend(new);
    }

    /// Returns a service merged over what it extends.
    fn extended(
        &mut self,
        scope: &Rc<Scope>,
        name: &str,
        level: &Level,
        chain: &mut Vec<Link>,
    ) -> Option<Node> {
        let service = &scope.services.get(name)?.node;
        let before = self.faults.len();
        if let Some(extends) = service.get("extends") {
            schema::check(extends, &schema::EXTENDS, "extends", &mut self.faults);
        }
        if has_errors(&self.faults[before..]) {
            return None;
        }
        let Some(extends) = read_extends(service) else {
            return Some(service.clone());
        };
        let id = (scope.id, name.to_owned());
        if let Some(known) = self.extends.services.get(&id) {
            return known.clone();
        }
        if self.closes_circle(scope, name, &extends, chain) {
            return None;
        }
        chain.push(Link {
            scope: scope.id,
            file: scope.file.clone(),
            service: name.to_owned(),
            span: extends.span,
        });
        let extended = self.extend(scope, (name, service, &extends), level, chain);
        chain.pop();
        if !chain.is_empty() || scope.bases.contains(name) {
            self.extends.services.insert(id, extended.clone());
        }
        extended
    }

    fn extend(
        &mut self,
        scope: &Rc<Scope>,
        (name, service, extends): (&str, &Node, &Extends),
        level: &Level,
        chain: &mut Vec<Link>,
    ) -> Option<Node> {
        let base_scope = match &extends.file {
            Some(file) => self.scope_of_file(file, level)?,
            None => Rc::clone(scope),
        };
        if !base_scope.services.contains_key(&extends.service) {
            self.faults.push(unknown(extends, &base_scope));
            return None;
        }
        if let Some(entry) = base_scope.services.get(&extends.service) {
            self.history.extended.push(Extended::new(
                (name, extends.span),
                (&extends.service, entry.key),
                &entry.node,
            ));
        }
        let base = self.extended(&base_scope, &extends.service, level, chain)?;
        if base.is_null() {
            return Some(service.clone());
        }
        if let Err(TooMuch(message)) = self.budget.values(base.weight()) {
            self.faults.push(Diagnostic::error(extends.span, message));
            return None;
        }
        let mut base = base;
        let removed = &mut self.history.removed;
        apply_resets_below(&mut base, &["services", name], &scope.resets, removed);
        extend_service(&mut base, service.clone(), &mut self.faults);
        base.remove("extends");
        Some(base)
    }

    /// Refuses a service that extends itself through others.
    fn closes_circle(
        &mut self,
        scope: &Scope,
        name: &str,
        extends: &Extends,
        chain: &[Link],
    ) -> bool {
        let real = |file: &std::path::Path| self.source.resolve_links(file);
        let same_file =
            |link: &Link| link.file == scope.file || real(&link.file) == real(&scope.file);
        let same =
            |link: &Link| link.service == name && (link.scope == scope.id || same_file(link));
        if let Some(start) = chain.iter().position(same) {
            let circle = &chain[start..];
            let way = Cycle {
                steps: circle.iter().map(|link| (&link.service, ())).collect(),
            };
            let message = format!("the service `{name}` extends itself: {way}");
            let mut fault = Diagnostic::error(circle[0].span, message);
            for link in circle[1..].iter().take(CIRCLE_NOTES_LIMIT) {
                fault = fault.note(
                    link.span,
                    format!("`{}` extends the next one here", link.service),
                );
            }
            self.faults
                .push(fault.hint("remove one of these `extends`"));
            return true;
        }
        if chain.len() >= CHAIN_LIMIT {
            let message = format!("more than {CHAIN_LIMIT} services extend each other");
            // Once is enough: the rest of the chain would say so again and again.
            if !std::mem::replace(&mut self.extends.too_long, true) {
                self.faults.push(Diagnostic::error(extends.span, message));
            }
            return true;
        }
        false
    }

    /// Reads the services of another file, once for each file.
    fn scope_of_file(&mut self, file: &Node, level: &Level) -> Option<Rc<Scope>> {
        let path = self.named_file(file, &level.directory)?;
        let id = (path.clone(), level.base.clone());
        if let Some(known) = self.extends.files.get(&id) {
            return known.clone();
        }
        let scope = self.read_scope(&path, file.span, level).map(Rc::new);
        self.extends.files.insert(id, scope.clone());
        scope
    }

    fn read_scope(&mut self, path: &std::path::Path, span: Span, level: &Level) -> Option<Scope> {
        let directory = path.parent().unwrap_or(path);
        let documents = self.parse(path, directory, Some(span))?;
        let (mut tree, resets) = self.plain_layers(documents, level);
        let mut found = Vec::new();
        schema::check(&tree, &schema::PROJECT, "", &mut found);
        // What a part lacks may come from what extends it.
        let written = found.into_iter().filter(|it| it.about == About::Written);
        self.extends.doubts.extend(written.map(|it| Diagnostic {
            severity: Severity::Warning,
            ..it
        }));
        let base = super::include::relative(&level.directory, directory);
        self.resolve_paths(&mut tree, (&base, directory), level.home.as_deref());
        let Some(Value::Map(services)) = tree.remove("services").map(|node| node.value) else {
            let message = format!("`{}` has no services", path.display());
            self.faults.push(Diagnostic::error(span, message));
            return None;
        };
        self.extends.scopes += 1;
        Some(Scope {
            id: self.extends.scopes,
            file: path.to_owned(),
            bases: bases(&services),
            services,
            resets,
        })
    }
}

/// Returns the services that others of the same scope extend.
fn bases(services: &Map) -> BTreeSet<String> {
    let extends = services
        .values()
        .filter_map(|entry| read_extends(&entry.node));
    let here = extends.filter(|extends| extends.file.is_none());
    here.map(|extends| extends.service).collect()
}

fn read_extends(service: &Node) -> Option<Extends> {
    let extends = service.get("extends")?;
    match &extends.value {
        Value::Text(name) => Some(Extends {
            service: name.clone(),
            file: None,
            span: extends.span,
        }),
        Value::Map(_) => {
            let service = extends.get("service")?;
            let file = extends.get("file").filter(|file| !file.is_null()).cloned();
            Some(Extends {
                service: service.as_text()?.to_owned(),
                file,
                span: service.span,
            })
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) => None,
    }
}

fn unknown(extends: &Extends, scope: &Scope) -> Diagnostic {
    let message = format!("there is no service `{}` to extend", extends.service);
    let near = nearest(&extends.service, scope.services.keys().map(String::as_str));
    let place = scope.file.display();
    Diagnostic::error(extends.span, message).hint(match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the services of `{place}` are `{}`", names(&scope.services)),
    })
}

fn names(services: &BTreeMap<String, Entry>) -> String {
    let names: Vec<&str> = services.keys().map(String::as_str).take(20).collect();
    names.join("`, `")
}
