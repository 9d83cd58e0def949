//! Where the values of a project were written, what they shadow, and what filled them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::Serialize;

use crate::compose::source::Files;
use crate::compose::tree::{
    History, Node, Removed, Shadow, Span, Trace, Value, VariableOrigin, VariableUse,
};
use crate::value::Place;

/// Answers where a value came from, for dotted paths such as `services.web.environment.LOG_LEVEL`.
#[derive(Debug, Clone, Default)]
pub struct Places {
    root: Node,
    files: Files,
    origins: BTreeMap<String, PathBuf>,
    history: History,
    long_lists: OnceLock<LongLists>,
}

/// For each long list, by its path: the place of the last `KEY=value` of each key.
type LongLists = BTreeMap<String, BTreeMap<String, usize>>;

/// A list that has more elements is not searched from its end each time.
const LONG_LIST: usize = 64;

/// A value that lost against a later one.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Shadowed {
    /// Where it was written.
    pub place: Place,
    /// What it was; null for a list, a mapping, or a line of a file of variables.
    pub value: Option<String>,
}

impl Places {
    /// Keeps the tree that the project was read from.
    pub(crate) fn new(
        root: Node,
        files: Files,
        origins: BTreeMap<String, PathBuf>,
        history: History,
    ) -> Self {
        Self {
            root,
            files,
            origins,
            history,
            long_lists: OnceLock::new(),
        }
    }

    /// Returns the span of a value, or one without a line.
    pub(crate) fn span(&self, path: &str) -> Span {
        self.node(path).map(|node| node.span).unwrap_or_default()
    }

    /// Returns the span of the key that holds a value, or one without a line.
    pub(crate) fn key_span(&self, path: &str) -> Span {
        let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
        let map = self.node(parent).and_then(Node::as_map);
        map.and_then(|map| map.get(key))
            .map_or_else(|| self.span(path), |entry| entry.key)
    }

    /// Returns the places of what is below a path, if there is something.
    pub(crate) fn below(&self, path: &str) -> Option<Below<'_>> {
        Some(Below {
            places: self,
            node: self.node(path)?,
            path: format!("{path}."),
            start: path.len() + 1,
        })
    }

    /// Returns where the value at a path was written.
    pub fn get(&self, path: &str) -> Option<Place> {
        self.files.place(self.node(path)?.span)
    }

    /// Returns what the value at a path replaced, latest first.
    pub fn shadowed(&self, path: &str) -> Vec<Shadowed> {
        let shadows = self.trace(path).map(|trace| trace.shadowed.as_slice());
        let key = path.rsplit('.').next().unwrap_or_default();
        let shadows = shadows.unwrap_or_default().iter();
        shadows
            .filter_map(|shadow| self.told(shadow, key))
            .collect()
    }

    /// Says for people what a value that lost was, and where.
    fn told(&self, shadow: &Shadow, key: &str) -> Option<Shadowed> {
        let value = match &shadow.value {
            Value::List(_) | Value::Map(_) => None,
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {
                Some(value_of_pair(&shadow.value.to_plain(), key))
            }
        };
        Some(Shadowed {
            place: self.files.place(shadow.span)?,
            value,
        })
    }

    /// Returns what `!reset` and `!override` removed at a path and below: the path, the place of the tag, what it was.
    pub(crate) fn removed(&self, path: &str) -> Vec<(&str, Span, Shadowed)> {
        let is_below = |removed: &&Removed| {
            let rest = removed.path.strip_prefix(path);
            rest.is_some_and(|rest| path.is_empty() || rest.is_empty() || rest.starts_with('.'))
        };
        let found = self.history.removed.iter().filter(is_below);
        found
            .filter_map(|it| Some((it.path.as_str(), it.by, self.told(&it.was, "")?)))
            .collect()
    }

    /// Returns the places of the `extends` that the value at a path of a service came through, nearest first.
    pub(crate) fn through(&self, service: &str, path: &str) -> Vec<Place> {
        let steps = self.history.way_to(service, self.span(path)).into_iter();
        steps.filter_map(|span| self.files.place(span)).collect()
    }

    /// Returns where a variable that is set came from.
    pub(crate) fn origin(&self, name: &str) -> VariableOrigin {
        let file = self.origins.get(name).cloned();
        file.map_or(VariableOrigin::Shell, VariableOrigin::EnvFile)
    }

    /// Returns the variables that filled the value at a path.
    pub(crate) fn variables(&self, path: &str) -> Vec<VariableUse> {
        let uses = self.trace(path).map(|trace| trace.variables.as_slice());
        let mut uses = uses.unwrap_or_default().to_vec();
        for used in &mut uses {
            if let (VariableOrigin::Shell, Some(file)) =
                (&used.origin, self.origins.get(&used.name))
            {
                used.origin = VariableOrigin::EnvFile(file.clone());
            }
        }
        uses
    }

    /// Returns whether the value at a path was written nowhere and follows from another one.
    pub(crate) fn is_implied(&self, path: &str) -> bool {
        let own = self.node(path).and_then(|node| node.trace.as_deref());
        own.is_some_and(|trace| trace.implied)
    }

    /// Returns where the file of the value at a path was asked for, and so on.
    pub(crate) fn way(&self, path: &str) -> Vec<Place> {
        self.way_of(self.span(path))
    }

    /// Returns where the file of a span was asked for, and so on.
    pub(crate) fn way_of(&self, span: Span) -> Vec<Place> {
        let way = self.files.way(span).into_iter();
        way.filter_map(|span| self.files.place(span)).collect()
    }

    /// Learns about files that were read after the tree was made.
    pub(crate) fn know(&mut self, files: Files) {
        self.files = files;
    }

    /// Returns what happened to the value at a path; a part of a short form has the trail of the whole.
    pub(crate) fn trace(&self, path: &str) -> Option<&Trace> {
        let node = self.node(path)?;
        if node.trace.is_some() {
            return node.trace.as_deref();
        }
        let (parent, _) = path.rsplit_once('.')?;
        let whole = self.node(parent).filter(|whole| whole.span == node.span);
        whole.and_then(|whole| whole.trace.as_deref())
    }

    /// Returns the files that were read.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Finds a node. Keys may contain dots, so every key that fits the rest is tried.
    pub(crate) fn node(&self, path: &str) -> Option<&Node> {
        self.find(&self.root, path, 0)
    }

    /// Finds what `path` means from its byte `start` on, which is where `node` is.
    fn find<'a>(&'a self, node: &'a Node, path: &str, start: usize) -> Option<&'a Node> {
        let rest = path.get(start..).unwrap_or_default();
        if rest.is_empty() || rest == "." {
            return Some(node);
        }
        match &node.value {
            Value::Map(map) => {
                let dots = rest.match_indices('.').map(|(index, _)| index);
                dots.chain([rest.len()]).find_map(|end| {
                    let entry = map.get(&rest[..end])?;
                    self.find(&entry.node, path, start + end + 1)
                })
            }
            Value::List(list) => {
                let (index, _) = rest.split_once('.').unwrap_or((rest, ""));
                if let Ok(number) = index.parse::<usize>() {
                    return self.find(list.get(number)?, path, start + index.len() + 1);
                }
                // A list of `KEY=value` is as good as a mapping; the last one with a key wins.
                if list.len() <= LONG_LIST {
                    return list.iter().rev().find(|item| key_of_pair(item) == rest);
                }
                let own = path.get(..start.saturating_sub(1)).unwrap_or_default();
                let lists = self.long_lists.get_or_init(|| long_lists(&self.root));
                list.get(*lists.get(own)?.get(rest)?)
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => None,
        }
    }
}

/// The places of one part of a project, for paths that start there.
#[derive(Debug)]
pub(crate) struct Below<'a> {
    places: &'a Places,
    node: &'a Node,
    /// The path that was asked for last, from the root.
    path: String,
    /// Where in it the part ends.
    start: usize,
}

impl Below<'_> {
    /// Returns whether the part has a value of this key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.node.get(key).is_some()
    }

    /// Returns where the value at a path was written.
    pub(crate) fn get(&mut self, path: &str) -> Option<Place> {
        self.path.truncate(self.start);
        self.path.push_str(path);
        let node = self.places.find(self.node, &self.path, self.start)?;
        self.places.files.place(node.span)
    }
}

fn long_lists(root: &Node) -> LongLists {
    let mut found = LongLists::new();
    let mut open = vec![(String::new(), root)];
    while let Some((path, node)) = open.pop() {
        let below = |key: &str| match path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        };
        match &node.value {
            Value::Map(map) => {
                open.extend(map.iter().map(|(key, entry)| (below(key), &entry.node)));
            }
            Value::List(list) => {
                let numbered = list.iter().enumerate();
                if list.len() > LONG_LIST {
                    let keys =
                        numbered.map(|(number, item)| (key_of_pair(item).to_owned(), number));
                    found.insert(path, keys.collect());
                } else {
                    open.extend(numbered.map(|(number, item)| (below(&number.to_string()), item)));
                }
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
        }
    }
    found
}

fn key_of_pair(item: &Node) -> &str {
    let text = item.as_text().unwrap_or_default();
    text.split('=').next().unwrap_or_default()
}

/// Returns the value of `KEY=value`, or the text itself.
fn value_of_pair(text: &str, key: &str) -> String {
    let value = text
        .strip_prefix(key)
        .and_then(|rest| rest.strip_prefix('='));
    value.unwrap_or(text).to_owned()
}
