//! Configs and secrets, and how services are granted them.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value as Json;

use crate::compose::diagnostic::Diagnostic;
use crate::compose::load::SECRET_CONTENT;
use crate::compose::model::Extensions;
use crate::compose::model::field::{
    Field, Form, child, containers, extensions, named, print_extensions, record,
};
use crate::compose::model::outline;
use crate::compose::tree::{Node, Value};

/// A config or a secret of the project.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FileObject {
    /// Its real name.
    pub name: Option<String>,
    /// The file that holds it.
    pub file: Option<String>,
    /// The variable that holds it.
    pub environment: Option<String>,
    /// Its content: written in the file, or taken from the variable.
    pub content: Option<String>,
    /// Managed by somebody else.
    pub external: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The driver that provides it.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// The driver that fills templates in it.
    pub template_driver: Option<String>,
    /// The `x-*` keys.
    pub extensions: Extensions,
}
named!(FileObject);

impl Field for FileObject {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        let mut text = |key| child(node, key, faults);
        Self {
            name: text("name"),
            file: text("file"),
            environment: text("environment"),
            content: text("content").or_else(|| text(SECRET_CONTENT)),
            driver: text("driver"),
            template_driver: text("template_driver"),
            external: node
                .get("external")
                .is_some_and(|n| n.value == Value::Bool(true)),
            labels: child(node, "labels", faults),
            driver_opts: child(node, "driver_opts", faults),
            extensions: extensions(node),
        }
    }

    fn schema() -> Json {
        outline::record([
            ("name", "Its real name.", outline::text()),
            ("file", "The file that holds it.", outline::text()),
            (
                "environment",
                "The variable that holds it.",
                outline::text(),
            ),
            ("content", "What it holds.", outline::text()),
            (
                "external",
                "Whether somebody else manages it.",
                outline::flag(),
            ),
            ("labels", "Its labels.", outline::named(outline::text())),
            ("driver", "The driver that stores it.", outline::text()),
            (
                "driver_opts",
                "Options of the driver.",
                outline::named(outline::text()),
            ),
            (
                "template_driver",
                "The driver that fills templates in it.",
                outline::text(),
            ),
        ])
    }

    fn print(&self, form: Form) -> Option<Json> {
        let mut out = serde_json::Map::new();
        let mut put = |key: &str, value: Option<Json>| {
            out.extend(value.map(|value| (key.to_owned(), value)));
        };
        put("name", self.name.print(form));
        put("file", self.file.print(form));
        put("environment", self.environment.print(form));
        // What came from a variable stays out of everything that is printed.
        if self.environment.is_none() {
            put("content", self.content.print(form));
        }
        put("external", self.external.print(form));
        put("labels", self.labels.print(form));
        put("driver", self.driver.print(form));
        put("driver_opts", self.driver_opts.print(form));
        put("template_driver", self.template_driver.print(form));
        print_extensions(&self.extensions, form, &mut out);
        Some(Json::Object(out))
    }
}

record! {
    /// Grants a service, or a build, a config or a secret.
    Grant {
        /// The config or secret.
        source: Option<String> = "source",
        /// Where it appears.
        target: Option<String> = "target",
        /// The owner of the file.
        uid: Option<String> = "uid",
        /// The group of the file.
        gid: Option<String> = "gid",
        /// The mode of the file.
        mode: Option<FileMode> = "mode",
    }
}
containers!(Grant);

/// The permission bits of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileMode(pub i64);

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0{:o}", self.0)
    }
}

impl Field for Option<FileMode> {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        let mode = match &node.value {
            Value::Null => return None,
            Value::Int(bits) => i64::try_from(*bits).ok(),
            Value::Text(text) => i64::from_str_radix(text, 8).ok(),
            Value::Float(_) | Value::Bool(_) | Value::List(_) | Value::Map(_) => None,
        };
        if mode.is_none() {
            let found = node.value.to_plain();
            let fault = Diagnostic::error(node.span, format!("`{found}` is no file mode"));
            faults.push(fault.expected("expected an octal mode such as `0440`"));
        }
        mode.map(FileMode)
    }

    fn schema() -> Json {
        outline::text()
    }

    fn print(&self, _: Form) -> Option<Json> {
        self.map(|mode| Json::String(mode.to_string()))
    }
}
