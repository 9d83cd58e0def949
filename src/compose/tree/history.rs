//! What happened on the way to a tree and left nothing in it: kept for `explain`.

use crate::compose::tree::{Node, Shadow, Span, Value};

/// What happened on the way to a tree.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// The values that were removed.
    pub(crate) removed: Vec<Removed>,
    /// The services that extend others.
    pub(crate) extended: Vec<Extended>,
}

/// A value that a `!reset` or `!override` removed.
#[derive(Debug, Clone)]
pub(crate) struct Removed {
    /// Its path from the root, with dots.
    pub(crate) path: String,
    /// Where the tag is.
    pub(crate) by: Span,
    /// What it was.
    pub(crate) was: Shadow,
}

/// A service that begins as another one.
#[derive(Debug, Clone)]
pub(crate) struct Extended {
    /// The service.
    pub(crate) service: String,
    /// Where it says so.
    pub(crate) at: Span,
    /// The other one.
    pub(crate) base: String,
    /// Where the other one begins.
    begin: Span,
    /// The last line of the other one.
    last_line: u32,
}

impl Extended {
    /// Remembers that `service` begins as `base`, whose own values are those of `node`.
    pub(crate) fn new(
        (service, at): (&str, Span),
        (base, begin): (&str, Span),
        node: &Node,
    ) -> Self {
        Self {
            service: service.to_owned(),
            at,
            base: base.to_owned(),
            begin,
            last_line: last_line(node, begin),
        }
    }

    /// Tells whether a place is in the other service.
    fn holds(&self, span: Span) -> bool {
        let lines = self.begin.line..=self.last_line;
        self.begin.file == span.file && lines.contains(&span.line)
    }
}

/// Returns the last line that a value of a file has something on.
fn last_line(node: &Node, begin: Span) -> u32 {
    let own = if node.span.file == begin.file {
        node.span.line
    } else {
        begin.line
    };
    let below = match &node.value {
        Value::List(list) => list.iter().map(|item| last_line(item, begin)).max(),
        Value::Map(map) => {
            let entries = map.values();
            entries.map(|entry| last_line(&entry.node, begin)).max()
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => None,
    };
    own.max(begin.line).max(below.unwrap_or_default())
}

/// How long a chain of services is followed.
const CHAIN_LIMIT: usize = 50;

impl History {
    /// Returns the `extends` that a value of a service came through, nearest first.
    pub(crate) fn way_to(&self, service: &str, span: Span) -> Vec<Span> {
        let mut way = Vec::new();
        let mut from: Option<&Extended> = None;
        while way.len() < CHAIN_LIMIT {
            let name = from.map_or(service, |step| step.base.as_str());
            let mut steps = self
                .extended
                .iter()
                .filter(|step| step.service == name && from.is_none_or(|from| from.holds(step.at)));
            let first = steps.clone().next();
            // Several files may say that one service extends another: the one that leads there counts.
            let Some(step) = steps.find(|step| step.holds(span)).or(first) else {
                break;
            };
            way.push(step.at);
            if step.holds(span) {
                return way;
            }
            from = Some(step);
        }
        Vec::new()
    }
}
