//! A tree with mistakes → the tree without them, so that later stages find further mistakes in the same run.
//!
//! **Invariant:** what is set aside here is reported in the end; a project that lost something is never used.

use std::collections::BTreeSet;

use crate::compose::budget::is_about_limits;
use crate::compose::diagnostic::{About, Diagnostic, Severity};
use crate::compose::schema;
use crate::compose::tree::{LIST, Node, Span, Value};

/// The keys of a file below which things have names that others refer to.
const NAMED: [&str; 6] = [
    "services", "networks", "volumes", "secrets", "configs", "models",
];

/// Names that a project lacks because of a mistake that is told already: nothing is said of who refers to them.
#[derive(Debug, Clone, Default)]
pub(super) struct Lost {
    names: BTreeSet<String>,
    /// Whether there is no telling which names: a whole file is missing.
    everything: bool,
}

impl Lost {
    /// Tells whether a name may be missing because of another mistake.
    pub(super) fn has(&self, name: &str) -> bool {
        self.everything || self.names.contains(name)
    }

    /// Loses what a name stands for, or a part of it.
    pub(super) fn name(&mut self, name: &str) {
        self.names.insert(name.to_owned());
    }

    /// Loses what a file would have brought.
    pub(super) fn everything(&mut self) {
        self.everything = true;
    }

    /// Loses a value that is cut out of a project at a way of keys.
    fn at(&mut self, way: &[&str], node: &Node) {
        match (way, &node.value) {
            (["include", ..], _) => self.everything(),
            // A variable was meant to choose the name.
            ([_, name], _) if name.contains('$') => self.everything(),
            ([section, name], _) if NAMED.contains(section) => self.name(name),
            // The names of a section, whatever that should be called.
            ([_], Value::Map(map)) => map.keys().for_each(|name| self.name(name)),
            ([section], _) if NAMED.contains(section) => self.everything(),
            _ => {}
        }
    }
}

/// What is asked of a tree after something was cut out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RestMust {
    /// It goes on to the checker.
    BeChecked,
    /// The checker has seen it already and must have nothing against what is left.
    FitTheSchema,
}

/// Mistakes that were set aside, and the places that only lack what they took along.
#[derive(Debug, Clone, Default)]
pub(super) struct Aside {
    faults: Vec<Diagnostic>,
    wounded: BTreeSet<Span>,
    pub(super) lost: Lost,
}

impl Aside {
    /// Sets the errors from `from` on aside: what they are about is left out, or harmless.
    pub(super) fn keep(&mut self, faults: &mut Vec<Diagnostic>, from: usize) {
        let found = faults.split_off(from);
        // What is too much stops the load.
        let stops = found.iter().any(|fault| is_about_limits(&fault.message));
        if stops {
            return faults.extend(found);
        }
        let is_error = |fault: &Diagnostic| fault.severity == Severity::Error;
        let (mut errors, warnings): (Vec<_>, Vec<_>) = found.into_iter().partition(is_error);
        faults.extend(warnings);
        self.drop_echoes(&mut errors);
        self.wounded.extend(errors.iter().map(|fault| fault.span));
        self.faults.extend(errors);
    }

    /// Tells whether nothing was set aside.
    pub(super) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// Tells whether a mistake at this place was set aside.
    pub(super) fn tells_of(&self, span: Span) -> bool {
        self.faults.iter().any(|fault| fault.span == span)
    }

    /// Sets the mistakes from `from` on aside if the tree makes sense without what they are in.
    pub(super) fn take(
        &mut self,
        tree: &mut Node,
        faults: &mut Vec<Diagnostic>,
        from: usize,
        rest_must: RestMust,
    ) -> bool {
        let is_error = |fault: &Diagnostic| fault.severity == Severity::Error;
        let mut found = faults.split_off(from);
        // What lacks something mostly lacks what was cut out of it.
        found.retain(|fault| fault.about == About::Written || !self.wounded.contains(&fault.span));
        let (errors, warnings): (Vec<_>, Vec<_>) = found.into_iter().partition(is_error);
        faults.extend(warnings);
        if errors.is_empty() {
            return true;
        }
        let mut rest = tree.clone();
        let mut cutter = Cutter {
            places: errors.iter().map(|fault| fault.span).collect(),
            cut: BTreeSet::new(),
            wounded: BTreeSet::new(),
            lost: Lost::default(),
        };
        cutter.cut(&mut rest, &mut Vec::new());
        let makes_sense = match rest_must {
            RestMust::BeChecked => errors.iter().all(|fault| cutter.cut.contains(&fault.span)),
            RestMust::FitTheSchema => {
                let mut again = Vec::new();
                schema::check(&rest, &schema::PROJECT, "", &mut again);
                again.is_empty()
            }
        };
        if !makes_sense {
            faults.extend(errors);
            return false;
        }
        *tree = rest;
        self.faults.extend(errors);
        self.wounded.extend(cutter.wounded);
        self.wounded.extend(cutter.cut);
        self.lost.names.extend(cutter.lost.names);
        self.lost.everything |= cutter.lost.everything;
        true
    }

    /// Drops mistakes that only follow from those that were set aside.
    pub(super) fn drop_echoes(&self, faults: &mut Vec<Diagnostic>) {
        faults.retain(|fault| {
            fault.severity == Severity::Warning || !self.wounded.contains(&fault.span)
        });
    }

    /// Returns all mistakes, those of later stages after the first ones.
    pub(super) fn join(mut self, mut later: Vec<Diagnostic>) -> Vec<Diagnostic> {
        self.drop_echoes(&mut later);
        self.faults.extend(later);
        self.faults
    }
}

struct Cutter {
    places: BTreeSet<Span>,
    cut: BTreeSet<Span>,
    wounded: BTreeSet<Span>,
    lost: Lost,
}

impl Cutter {
    /// Removes what has a mistake below `way`; returns whether anything was removed.
    fn cut(&mut self, node: &mut Node, way: &mut Vec<String>) -> bool {
        let mut removed = false;
        match &mut node.value {
            Value::Map(map) => map.retain(|key, entry| {
                way.push(key.clone());
                let keeps = !self.goes([entry.key, entry.node.span], way, &entry.node);
                if keeps && self.cut(&mut entry.node, way) {
                    self.wounded.extend([entry.key, entry.node.span]);
                    removed = true;
                }
                removed |= !keeps;
                way.pop();
                keeps
            }),
            Value::List(items) => items.retain_mut(|item| {
                way.push(LIST.to_owned());
                let keeps = !self.goes([item.span, item.span], way, item);
                if keeps && self.cut(item, way) {
                    self.wounded.insert(item.span);
                    removed = true;
                }
                removed |= !keeps;
                way.pop();
                keeps
            }),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
        }
        removed
    }

    fn goes(&mut self, spans: [Span; 2], way: &[String], node: &Node) -> bool {
        let found = spans.into_iter().filter(|span| self.places.contains(span));
        let found: Vec<Span> = found.collect();
        self.cut.extend(&found);
        if !found.is_empty() {
            let way: Vec<&str> = way.iter().map(String::as_str).collect();
            self.lost.at(&way, node);
        }
        !found.is_empty()
    }
}
