//! Ground: directed graphs, their cycles and walks; knows no domain.

mod dag;

pub use dag::{Cycle, Dag};
