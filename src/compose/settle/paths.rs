//! Relative paths into absolute ones, for the keys that hold paths on this machine.

use std::path::{Path, PathBuf};

use crate::compose::diagnostic::Diagnostic;
use crate::compose::source::{Files, Remote, Source};
use crate::compose::tree::{Node, Value};

/// What paths are resolved against.
pub(crate) struct Resolver<'a> {
    /// The directory that relative paths start from; itself perhaps relative.
    pub(crate) base: &'a str,
    /// The same directory; absolute.
    pub(crate) directory: &'a Path,
    /// What `~` stands for.
    pub(crate) home: Option<&'a str>,
    /// Where symbolic links are resolved.
    pub(crate) source: &'a dyn Source,
    /// Which file each path is written in.
    pub(crate) files: &'a Files,
}

/// Resolves all paths of a project in its long form.
pub(crate) fn resolve_paths(
    project: &mut Node,
    resolver: &Resolver<'_>,
    faults: &mut Vec<Diagnostic>,
) {
    for (_, entry) in project
        .get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flatten()
    {
        for (key, entry) in entry.node.as_map_mut().into_iter().flatten() {
            resolver.service_key(key, &mut entry.node, faults);
        }
    }
    for kind in ["configs", "secrets"] {
        for (_, entry) in project
            .get_mut(kind)
            .and_then(Node::as_map_mut)
            .into_iter()
            .flatten()
        {
            if let Some(file) = entry.node.get_mut("file") {
                resolver.keep_inside(file, faults);
                resolver.any_path(file);
            }
        }
    }
    for (_, entry) in project
        .get_mut("volumes")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flatten()
    {
        resolver.bound_volume(&mut entry.node);
    }
}

impl Resolver<'_> {
    fn service_key(&self, key: &str, node: &mut Node, faults: &mut Vec<Diagnostic>) {
        match key {
            "build" => self.build(node, faults),
            "env_file" => {
                for item in node.as_list_mut().into_iter().flatten() {
                    if let Some(path) = item.get_mut("path") {
                        self.own_path(path, faults);
                    }
                }
            }
            "label_file" => {
                for path in node.as_list_mut().into_iter().flatten() {
                    self.own_path(path, faults);
                }
            }
            "extends" => {
                if let Some(file) = node.get_mut("file")
                    && !file.as_text().is_some_and(Remote::is_meant)
                {
                    self.path(file);
                }
            }
            "develop" => {
                let rules = node.get_mut("watch").and_then(Node::as_list_mut);
                for rule in rules.into_iter().flatten() {
                    if let Some(path) = rule.get_mut("path") {
                        self.own_path(path, faults);
                        self.follow_links(path);
                    }
                }
            }
            "volumes" => {
                for volume in node.as_list_mut().into_iter().flatten() {
                    self.mount(volume, faults);
                }
            }
            _ => {}
        }
    }

    fn build(&self, build: &mut Node, faults: &mut Vec<Diagnostic>) {
        if let Some(context) = build.get_mut("context") {
            self.context(context, faults);
        }
        let contexts = build
            .get_mut("additional_contexts")
            .and_then(Node::as_map_mut);
        for (_, entry) in contexts.into_iter().flatten() {
            self.context(&mut entry.node, faults);
        }
        let keys = build.get_mut("ssh").and_then(Node::as_map_mut);
        for (_, entry) in keys.into_iter().flatten() {
            self.keep_inside(&entry.node, faults);
            self.any_path(&mut entry.node);
        }
    }

    fn mount(&self, volume: &mut Node, faults: &mut Vec<Diagnostic>) {
        if volume.get("type").and_then(Node::as_text) != Some("bind") {
            return;
        }
        let span = volume.span;
        if let Some(source) = volume.get_mut("source") {
            self.any_path(source);
        } else {
            let fault = Diagnostic::missing(span, "the bind mount lacks `source`");
            faults.push(fault.hint("add `source:` with the path on this machine"));
        }
    }

    /// A volume of the local driver can stand for a directory.
    fn bound_volume(&self, volume: &mut Node) {
        if volume.get("driver").and_then(Node::as_text) != Some("local") {
            return;
        }
        let Some(options) = volume.get_mut("driver_opts") else {
            return;
        };
        if options.get("o").and_then(Node::as_text) == Some("bind")
            && let Some(device) = options.get_mut("device")
        {
            self.any_path(device);
        }
    }

    /// A build context may be on another machine, or another service's image.
    fn context(&self, node: &mut Node, faults: &mut Vec<Diagnostic>) {
        let Some(text) = node.as_text() else { return };
        let remote = [
            "https://",
            "http://",
            "git://",
            "ssh://",
            "github.com/",
            "git@",
            "service:",
        ];
        if !text.contains("://") && !remote.iter().any(|prefix| text.starts_with(prefix)) {
            self.own_path(node, faults);
        }
    }

    /// Resolves a path to what is read here, which a file from another machine has to bring along.
    ///
    /// Mounts are not among these: what containers get to see is what the file says, as it is for any.
    fn own_path(&self, node: &mut Node, faults: &mut Vec<Diagnostic>) {
        self.keep_inside(node, faults);
        self.path(node);
    }

    fn keep_inside(&self, node: &Node, faults: &mut Vec<Diagnostic>) {
        let Some(text) = node.as_text() else { return };
        let expanded = self.expand_home(text);
        let path = absolute(self.directory, Path::new(&expanded));
        if self.files.strays(node.span, &path, self.source) {
            faults.push(Diagnostic::astray(text, node.span));
        }
    }

    /// Resolves a path that stays empty when it is.
    fn path(&self, node: &mut Node) {
        if node.as_text() != Some("") {
            self.resolve(node);
        }
    }

    /// Resolves a path that may be one of Windows.
    fn any_path(&self, node: &mut Node) {
        if !node.as_text().is_some_and(is_windows_path) {
            self.resolve(node);
        }
    }

    fn resolve(&self, node: &mut Node) {
        let Some(text) = node.as_text() else { return };
        let expanded = self.expand_home(text);
        let absolute = expanded.starts_with('/');
        node.value = Value::Text(if absolute {
            expanded
        } else {
            join(self.base, &expanded)
        });
    }

    fn expand_home(&self, text: &str) -> String {
        match (text.strip_prefix('~'), self.home) {
            (Some(rest), Some(home)) => join(home, rest.trim_start_matches('/')),
            _ => text.to_owned(),
        }
    }

    fn follow_links(&self, node: &mut Node) {
        if let Some(text) = node.as_text() {
            let resolved = self.source.resolve_links(Path::new(text));
            node.value = Value::Text(resolved.to_string_lossy().into_owned());
        }
    }
}

fn is_windows_path(text: &str) -> bool {
    let bytes = text.as_bytes();
    let drive = bytes.first().is_some_and(u8::is_ascii_alphabetic) && bytes.get(1) == Some(&b':');
    (drive && matches!(bytes.get(2), Some(b'\\' | b'/'))) || text.starts_with("\\\\")
}

/// Joins two paths and removes `.`, `..` and double slashes.
pub(crate) fn join(base: &str, path: &str) -> String {
    let joined = match (base.is_empty(), path.is_empty()) {
        (true, _) => path.to_owned(),
        (false, true) => base.to_owned(),
        (false, false) => format!("{base}/{path}"),
    };
    crate::compose::shorthand::clean_path(&joined)
}

/// Makes a path absolute and removes `.` and `..`; `-` stays standard input.
pub(crate) fn absolute(directory: &Path, path: &Path) -> PathBuf {
    if path == Path::new("-") {
        return path.to_owned();
    }
    let text = path.to_string_lossy();
    if path.is_absolute() {
        return join("/", &text).into();
    }
    join(&directory.to_string_lossy(), &text).into()
}
