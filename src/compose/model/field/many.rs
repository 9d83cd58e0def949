//! Records that may be missing, and lists and mappings of them.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{Field, Form};
use crate::compose::diagnostic::Diagnostic;
use crate::compose::tree::Node;

/// Implements [`Field`] for the containers of a record: optional, listed and named.
macro_rules! containers {
    ($($type:ty),* $(,)?) => { $(
        impl $crate::compose::model::Field for Option<$type> {
            fn read(
                node: &$crate::compose::tree::Node,
                faults: &mut Vec<$crate::compose::diagnostic::Diagnostic>,
            ) -> Self {
                (!node.is_null()).then(|| $crate::compose::model::Field::read(node, faults))
            }

            fn schema() -> serde_json::Value {
                <$type as $crate::compose::model::Field>::schema()
            }

            fn print(&self, form: $crate::compose::model::Form) -> Option<serde_json::Value> {
                self.as_ref().and_then(|inner| inner.print(form))
            }
        }

        impl $crate::compose::model::Field for Vec<$type> {
            fn read(
                node: &$crate::compose::tree::Node,
                faults: &mut Vec<$crate::compose::diagnostic::Diagnostic>,
            ) -> Self {
                let items = node.as_list().unwrap_or_default();
                items
                    .iter()
                    .map(|item| $crate::compose::model::Field::read(item, faults))
                    .collect()
            }

            fn schema() -> serde_json::Value {
                $crate::compose::model::outline::list(
                    <$type as $crate::compose::model::Field>::schema(),
                )
            }

            fn print(&self, form: $crate::compose::model::Form) -> Option<serde_json::Value> {
                let items = || self.iter().filter_map(|item| item.print(form)).collect();
                (!self.is_empty()).then(items)
            }
        }
    )* };
}
pub(crate) use containers;

/// Reads a mapping of names to records.
pub(crate) fn read_named<T: Field>(
    node: &Node,
    faults: &mut Vec<Diagnostic>,
) -> BTreeMap<String, T> {
    let entries = node.as_map().into_iter().flatten();
    entries
        .map(|(name, entry)| (name.clone(), T::read(&entry.node, faults)))
        .collect()
}

/// Prints a mapping of names to records; a record that prints as nothing is `null`.
pub(crate) fn print_named<T: Field>(map: &BTreeMap<String, T>, form: Form) -> Option<Json> {
    let value =
        |(name, item): (&String, &T)| (name.clone(), item.print(form).unwrap_or(Json::Null));
    (!map.is_empty()).then(|| Json::Object(map.iter().map(value).collect()))
}

/// Implements [`Field`] for mappings of names to a type.
macro_rules! named {
    ($($type:ty),* $(,)?) => { $(
        impl $crate::compose::model::Field for std::collections::BTreeMap<String, $type> {
            fn read(
                node: &$crate::compose::tree::Node,
                faults: &mut Vec<$crate::compose::diagnostic::Diagnostic>,
            ) -> Self {
                $crate::compose::model::field::read_named(node, faults)
            }

            fn schema() -> serde_json::Value {
                // A record that prints as nothing is null.
                let one = <$type as $crate::compose::model::Field>::schema();
                $crate::compose::model::outline::named($crate::compose::model::outline::or_null(one))
            }

            fn print(&self, form: $crate::compose::model::Form) -> Option<serde_json::Value> {
                $crate::compose::model::field::print_named(self, form)
            }
        }
    )* };
}
pub(crate) use named;
