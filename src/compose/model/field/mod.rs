//! How one value of the model is read from the tree and printed again.
//!
//! Every type that a key can hold implements [`Field`]; the `record!` macro makes a struct of
//! fields out of one list, so that the struct, the reader and the printer cannot disagree.
//!
//! | file | types |
//! |---|---|
//! | [`single`] | booleans, numbers, texts, sizes, durations |
//! | [`texts`] | lists of texts, names with texts |
//! | [`many`] | records that may be missing, lists of records, names with records |
//! | [`mod@plain`] | anything, as plain data |
//!
//! **Invariant:** reading happens after the shape was checked and short forms were expanded, so a
//! reader meets one form only; what it still cannot read becomes a diagnostic.

mod plain;
mod single;
mod texts;
mod many;

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::compose::diagnostic::Diagnostic;
use crate::compose::tree::Node;
pub(crate) use many::{containers, named, print_named, read_named};
pub use plain::plain;

/// What a value is printed for: JSON and YAML differ in a few places, as Docker Compose's do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `config --format json`, and what hashes are taken of.
    Json,
    /// `config --format yaml`.
    Yaml,
}

/// A type of the model.
pub trait Field: Default {
    /// Reads the value from a checked node.
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self;
    /// Prints the value; nothing when it is left out.
    fn print(&self, form: Form) -> Option<Json>;
    /// Returns the JSON Schema of what is printed as JSON.
    fn schema() -> Json;
}

/// The keys that start with `x-`, kept as they were written.
pub type Extensions = BTreeMap<String, Json>;

macro_rules! record {
    (
        $(#[$meta:meta])*
        $name:ident { $( #[doc = $about:literal] $field:ident : $type:ty = $key:literal, )* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $name {
            $( #[doc = $about] pub $field: $type, )*
            /// The `x-*` keys.
            pub extensions: $crate::compose::model::Extensions,
        }

        impl $name {
            /// The keys, each with what it means.
            pub const KEYS: &'static [(&'static str, &'static str)] =
                &[$( ($key, $about), )*];
        }

        impl $crate::compose::model::Field for $name {
            fn read(
                node: &$crate::compose::tree::Node,
                faults: &mut Vec<$crate::compose::diagnostic::Diagnostic>,
            ) -> Self {
                Self {
                    $( $field: $crate::compose::model::field::child(node, $key, faults), )*
                    extensions: $crate::compose::model::field::extensions(node),
                }
            }

            fn print(&self, form: $crate::compose::model::Form) -> Option<serde_json::Value> {
                let mut out = serde_json::Map::new();
                // A field with an empty key is filled by the loader and never printed.
                $( if let Some(value) = $crate::compose::model::Field::print(&self.$field, form)
                    .filter(|_| !$key.is_empty())
                {
                    out.insert($key.to_owned(), value);
                } )*
                $crate::compose::model::field::print_extensions(&self.extensions, form, &mut out);
                Some(serde_json::Value::Object(out))
            }

            fn schema() -> serde_json::Value {
                $crate::compose::model::outline::record([
                    $( ($key, $about, <$type as $crate::compose::model::Field>::schema()), )*
                ])
            }
        }
    };
}
pub(crate) use record;

/// Reads the value of a key; what is not there is as if it were empty.
pub(crate) fn child<T: Field>(node: &Node, key: &str, faults: &mut Vec<Diagnostic>) -> T {
    node.get(key)
        .map_or_else(T::default, |child| T::read(child, faults))
}

/// Reads the `x-*` keys of a mapping.
pub(crate) fn extensions(node: &Node) -> Extensions {
    let keys = node.as_map().into_iter().flatten();
    keys.filter(|(key, _)| key.starts_with("x-"))
        .map(|(key, entry)| (key.clone(), plain(&entry.node)))
        .collect()
}

/// Prints the `x-*` keys; JSON leaves them out, as Docker Compose does below the top level.
pub(crate) fn print_extensions(
    extensions: &Extensions,
    form: Form,
    out: &mut serde_json::Map<String, Json>,
) {
    if form == Form::Yaml {
        out.extend(
            extensions
                .iter()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
    }
}
