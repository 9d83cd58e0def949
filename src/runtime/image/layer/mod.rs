//! One layer: its compressed bytes into a checked directory tree.

mod decode;
mod tar;
