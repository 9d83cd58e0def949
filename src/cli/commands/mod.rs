//! One file for each verb: its arguments and the one function that does it.

mod up;

use clap::Subcommand;

/// What consort is asked to do.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    Up(up::UpArgs),
}
