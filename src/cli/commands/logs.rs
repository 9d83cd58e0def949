//! `logs`: what containers wrote, of several services merged in the order of time.

use clap::Args;

/// Show the output of containers
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one field for each switch that can be typed")]
pub(in crate::cli) struct LogsArgs {
    /// Show only the output of these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Go on showing output as it is written
    #[arg(short, long)]
    follow: bool,

    /// Show only the replica with this number
    #[arg(long, value_name = "NUMBER")]
    index: Option<u32>,

    /// Show output without colours
    #[arg(long)]
    no_color: bool,

    /// Show output without the names of the containers
    #[arg(long)]
    no_log_prefix: bool,

    /// Show only lines since a time (`2026-01-02T13:23:37Z`) or for a duration (`42m`)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Show only lines until a time (`2026-01-02T13:23:37Z`) or a duration ago (`42m`)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// Show only so many lines from the end of each container's output
    #[arg(short = 'n', long, value_name = "LINES", default_value = "all")]
    tail: Tail,

    /// Show the time of each line
    #[arg(short, long)]
    timestamps: bool,
}
