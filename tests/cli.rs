//! The built program, driven as a script drives it: words in; exit code, standard output and standard error out.
//!
//! What needs containers is in `scenarios.rs`; everything here works on any machine.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test starts programs, reads and writes files, and stops at the first surprise"
)]

mod cli {
    mod sandbox;

    mod completion;
    mod config;
    mod errors;
    mod explain;
    mod help;
    mod plan;
    mod usage;
    mod version;
}
