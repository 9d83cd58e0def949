//! The stages in their order: files, documents, one tree, one project.

mod consistency;
mod environment;
mod extends;
mod files;
mod include;
mod layer;
mod locate;
mod name;
mod recover;
mod remote;
mod select;

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::compose::diagnostic::{ComposeError, Diagnostic, Report, Severity, Wrong};
use crate::compose::model::field::{extensions, read_named};
use crate::compose::model::{NameFrom, Places, Project};
use crate::compose::options::LoadOptions;
use crate::compose::settle::normalize;
use crate::compose::source::Source;
use crate::compose::tree::{History, Map, Node, Shadow, Span, Value};

pub(crate) use layer::SECRET_CONTENT;
use layer::{Loader, Paths};
use locate::Located;
use recover::Aside;

/// A loaded project and what is worth saying about its files.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The project.
    pub project: Project,
    /// Warnings, with the files that they point into.
    pub warnings: Report,
}

/// A project as a tree, before it is read into types.
#[derive(Debug, Clone)]
pub(crate) struct LoadedTree {
    pub(crate) root: Node,
    name: String,
    located: Located,
    faults: Vec<Diagnostic>,
    aside: Aside,
    history: History,
    files: crate::compose::source::Files,
}

impl LoadedTree {
    /// Returns the warnings, with the files that they point into.
    pub(crate) fn into_warnings(self) -> Report {
        Report::of(self.faults, self.files)
    }
}

/// Loads a project: every mistake of its files is in the error.
pub fn load(options: &LoadOptions, source: &dyn Source) -> Result<Loaded, ComposeError> {
    let LoadedTree {
        root,
        name,
        located,
        mut faults,
        aside,
        history,
        files,
    } = recovered_tree(options, source)?;
    let mut project = read_project(&root, name, &located, &mut faults);
    project.separator = options.separator;
    project.name_from = located.name_from;
    project.places = Places::new(root, files.clone(), located.origins.clone(), history);
    // A value that cannot be read is as good as missing: later stages find what else is wrong.
    select::profiles(&mut project, &located.profiles, &mut faults);
    let mut files = files;
    if !options.switches.no_consistency {
        consistency::check(&mut project, &aside.lost, &mut faults);
        if options.switches.container_names {
            consistency::container_names(&project, &mut faults);
        }
    }
    environment::resolve(&mut project, options, source, (&mut files, &mut faults));
    let mistaken = has_errors(&faults) || !aside.is_empty();
    if !has_errors(&faults) {
        select::services(&mut project, options, &mut faults);
    }
    if mistaken {
        return Err(refuse(aside.join(faults), files));
    }
    if has_errors(&faults) {
        return Err(ComposeError {
            wrong: Wrong::Request,
            ..refuse(faults, files)
        });
    }
    project.places.know(files.clone());
    if !options.switches.all_resources {
        select::drop_unused(&mut project);
    }
    Ok(Loaded {
        project,
        warnings: Report::of(faults, files),
    })
}

/// Returns the variables that a project's files of variables add to the environment, as far as these can be read.
///
/// What is wrong with them is said by [`load`].
pub fn variables(options: &LoadOptions, source: &dyn Source) -> BTreeMap<String, String> {
    let mut loader = Loader::new(source, options.switches);
    locate::variables(options, &mut loader)
}

/// The variable that tells a project its name.
const PROJECT_NAME: &str = "COMPOSE_PROJECT_NAME";

/// Loads a project as a tree: everything before types, profiles and references.
pub(crate) fn load_tree(
    options: &LoadOptions,
    source: &dyn Source,
) -> Result<LoadedTree, ComposeError> {
    let tree = recovered_tree(options, source)?;
    if tree.aside.is_empty() {
        return Ok(tree);
    }
    Err(refuse(tree.aside.join(tree.faults), tree.files))
}

/// Loads a project as a tree that may lack what has mistakes.
fn recovered_tree(options: &LoadOptions, source: &dyn Source) -> Result<LoadedTree, ComposeError> {
    let mut loader = Loader::new(source, options.switches);
    let located = match locate::locate(options, &mut loader) {
        Some(located) if !has_errors(&loader.faults) => located,
        _ => return Err(refuse(loader.faults, loader.files)),
    };
    let (root, name, located) = match layered(options, located, &mut loader) {
        Some(done) if !has_errors(&loader.faults) => done,
        _ => return Err(refuse(loader.aside.join(loader.faults), loader.files)),
    };
    let Loader {
        files,
        faults,
        aside,
        history,
        ..
    } = loader;
    Ok(LoadedTree {
        root,
        name,
        located,
        faults,
        aside,
        history,
        files,
    })
}

fn layered(
    options: &LoadOptions,
    mut located: Located,
    loader: &mut Loader<'_>,
) -> Option<(Node, String, Located)> {
    let documents = loader.parse_all(&located.files, &located.directory);
    if has_errors(&loader.faults) {
        return None;
    }
    let (name, from) = name::project_name(options, &located, &documents, &mut loader.faults)?;
    located.name_from = from;
    located
        .environment
        .insert(PROJECT_NAME.to_owned(), name.clone());
    let paths = if options.switches.no_path_resolution {
        Paths::Kept
    } else {
        Paths::Resolved
    };
    let mut level = located.level(paths);
    if options.switches.no_interpolate {
        // A variable without a value stays as it is written too.
        level.environment = Rc::new([(PROJECT_NAME.to_owned(), name.clone())].into());
    }
    let mut root = loader.layers(documents, &level);
    loader.tell_doubts();
    let has_mistakes = has_errors(&loader.faults) || !loader.aside.is_empty();
    if root.as_map().is_none_or(Map::is_empty) && !has_mistakes {
        loader.faults.push(
            Diagnostic::error(root.span, "the Compose file is empty")
                .hint("a Compose file needs at least `services:`"),
        );
    }
    if !has_errors(&loader.faults) && !options.switches.no_normalize {
        let text = Value::Text(name.clone());
        match root.get_mut("name") {
            // A name from a file keeps its place, though not every letter of it.
            Some(written) if located.name_from == NameFrom::File => written.value = text,
            written => {
                let shadow = written.map(Node::take).filter(|it| it.value != text);
                let mut name = Node::implied(text, Span::default());
                if let (Some(was), Some(trace)) = (shadow, &mut name.trace) {
                    let (span, value) = (was.span, was.value);
                    trace.replaces(Shadow { span, value }, was.trace);
                }
                root.set("name", name);
            }
        }
        normalize(&mut root, &name, &level.environment);
    }
    Some((root, name, located))
}

pub(crate) fn has_errors(faults: &[Diagnostic]) -> bool {
    faults.iter().any(|fault| fault.severity == Severity::Error)
}

fn refuse(faults: Vec<Diagnostic>, files: crate::compose::source::Files) -> ComposeError {
    ComposeError {
        report: Box::new(Report::of(faults, files)),
        wrong: Wrong::Files,
    }
}

fn read_project(
    root: &Node,
    name: String,
    located: &Located,
    faults: &mut Vec<Diagnostic>,
) -> Project {
    let empty = Node::default();
    let part = |key: &str| root.get(key).unwrap_or(&empty);
    let mut project = Project {
        name,
        working_dir: located.directory.clone(),
        files: located.files.clone(),
        services: read_named(part("services"), faults),
        networks: read_named(part("networks"), faults),
        volumes: read_named(part("volumes"), faults),
        secrets: read_named(part("secrets"), faults),
        configs: read_named(part("configs"), faults),
        models: read_named(part("models"), faults),
        extensions: extensions(root),
        environment: located.environment.clone(),
        profiles: located.profiles.clone(),
        env_files: located.env_files.clone(),
        ..Project::default()
    };
    for (name, service) in &mut project.services {
        service.name.clone_from(name);
        let node = root.get("services").and_then(|services| services.get(name));
        let test = node.and_then(|node| node.get("healthcheck")?.get("test")?.as_text());
        if let (Some(check), Some(line)) = (&mut service.healthcheck, test) {
            // One line instead of a list runs in a shell.
            check.test = vec!["CMD-SHELL".to_owned(), line.to_owned()];
        }
        let deploy = service.deploy.as_mut();
        let updates = deploy.map(|d| [&mut d.update_config, &mut d.rollback_config]);
        for update in updates.into_iter().flatten().flatten() {
            // A pause of nothing is the default and is not printed.
            update.delay = update.delay.filter(|delay| delay.nanoseconds() != 0);
            update.monitor = update.monitor.filter(|monitor| monitor.nanoseconds() != 0);
        }
    }
    project
}
