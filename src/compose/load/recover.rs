//! A tree with mistakes → the tree without them, so that later stages find further mistakes in the same run.
//!
//! **Invariant:** what is set aside here is reported in the end; a project that lost something is never used.

use std::collections::BTreeSet;

use crate::compose::diagnostic::{About, Diagnostic, Severity};
use crate::compose::schema;
use crate::compose::tree::{Node, Span, Value};

/// How deep a value must lie so that the rest makes sense without it: below a service, not a service itself.
const DEPTH_MIN: usize = 3;

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
}

impl Aside {
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
        };
        cutter.cut(&mut rest, 0);
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
}

impl Cutter {
    /// Removes what has a mistake; returns whether anything was removed.
    fn cut(&mut self, node: &mut Node, depth: usize) -> bool {
        let mut removed = false;
        match &mut node.value {
            Value::Map(map) => map.retain(|_, entry| {
                let keeps = !self.goes([entry.key, entry.node.span], depth + 1);
                if keeps && self.cut(&mut entry.node, depth + 1) {
                    self.wounded.extend([entry.key, entry.node.span]);
                    removed = true;
                }
                removed |= !keeps;
                keeps
            }),
            Value::List(items) => items.retain_mut(|item| {
                let keeps = !self.goes([item.span, item.span], depth + 1);
                if keeps && self.cut(item, depth + 1) {
                    self.wounded.insert(item.span);
                    removed = true;
                }
                removed |= !keeps;
                keeps
            }),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
        }
        removed
    }

    fn goes(&mut self, spans: [Span; 2], depth: usize) -> bool {
        let found = spans
            .into_iter()
            .filter(|span| depth >= DEPTH_MIN && self.places.contains(span));
        let found: Vec<Span> = found.collect();
        self.cut.extend(&found);
        !found.is_empty()
    }
}
