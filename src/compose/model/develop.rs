//! What happens while a service is developed, and what runs around its start and stop.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::compose::diagnostic::Diagnostic;
use crate::compose::model::Extensions;
use crate::compose::model::field::{
    Field, Form, child, containers, extensions, print_extensions, record,
};
use crate::compose::model::outline;
use crate::compose::tree::Node;

record! {
    /// The `develop` section of a service.
    Develop {
        /// Which files are watched, and what a change of them does.
        watch: Vec<WatchRule> = "watch",
    }
}
containers!(Develop);

/// What a change of some files does to a running service.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WatchRule {
    /// The watched file or directory.
    pub path: String,
    /// `rebuild`, `sync`, `restart`, `sync+restart` or `sync+exec`.
    pub action: String,
    /// Where changed files go in the container.
    pub target: Option<String>,
    /// What runs in the container after a sync.
    pub exec: Option<Hook>,
    /// Patterns of files that are watched.
    pub include: Vec<String>,
    /// Patterns of files that are not watched.
    pub ignore: Vec<String>,
    /// Syncs everything once at the start.
    pub initial_sync: bool,
    /// The `x-*` keys.
    pub extensions: Extensions,
}
containers!(WatchRule);

impl Field for WatchRule {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        Self {
            path: child(node, "path", faults),
            action: child(node, "action", faults),
            target: child(node, "target", faults),
            exec: child(node, "exec", faults),
            include: child(node, "include", faults),
            ignore: child(node, "ignore", faults),
            initial_sync: node
                .get("initial_sync")
                .is_some_and(|n| Field::read(n, faults)),
            extensions: extensions(node),
        }
    }

    fn schema() -> Json {
        outline::record([
            ("path", "The watched file or directory.", outline::text()),
            ("action", "What a change does.", outline::text()),
            (
                "target",
                "Where changed files go in the container.",
                outline::text(),
            ),
            (
                "exec",
                "What runs in the container after a sync.",
                Hook::schema(),
            ),
            (
                "include",
                "Patterns of files that are watched.",
                outline::list(outline::text()),
            ),
            (
                "ignore",
                "Patterns of files that are not watched.",
                outline::list(outline::text()),
            ),
            (
                "initial_sync",
                "Syncs everything once at the start.",
                outline::flag(),
            ),
        ])
    }

    fn print(&self, form: Form) -> Option<Json> {
        let mut out = serde_json::Map::new();
        out.insert("path".to_owned(), json!(self.path));
        out.insert("action".to_owned(), json!(self.action));
        let exec = match (&self.exec, form) {
            (None, Form::Json) => Some(json!({ "command": null })),
            (exec, _) => exec.print(form),
        };
        let mut put = |key: &str, value: Option<Json>| {
            out.extend(value.map(|value| (key.to_owned(), value)));
        };
        put("target", self.target.print(form));
        put("exec", exec);
        put("include", self.include.print(form));
        put("ignore", self.ignore.print(form));
        put("initial_sync", self.initial_sync.print(form));
        print_extensions(&self.extensions, form, &mut out);
        Some(Json::Object(out))
    }
}

record! {
    /// A command that runs at a moment of a service's life.
    Hook {
        /// The command.
        command: Option<Vec<String>> = "command",
        /// The image of a `pre_start` container; the service's image when missing.
        image: Option<String> = "image",
        /// The user that runs it.
        user: Option<String> = "user",
        /// Runs with all privileges.
        privileged: bool = "privileged",
        /// The directory that it runs in.
        working_dir: Option<String> = "working_dir",
        /// Its environment; `None` for a variable that was not found.
        environment: BTreeMap<String, Option<String>> = "environment",
        /// Runs once for each replica.
        per_replica: bool = "per_replica",
    }
}
containers!(Hook);
