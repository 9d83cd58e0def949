//! A merged tree into a settled one: defaults, checks of single values, absolute paths, implicit
//! values.

mod defaults;
mod normalize;
mod paths;
mod validate;

pub(crate) use defaults::set_defaults;
pub(crate) use normalize::normalize;
pub(crate) use paths::{Resolver, absolute, join, resolve_paths};
pub(crate) use validate::validate;
