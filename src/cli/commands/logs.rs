//! `logs`: what containers wrote, of several services merged in the order of time.

use std::collections::BTreeMap;
use std::time::SystemTime;

use clap::Args;

use crate::cli::complete;
use crate::cli::environment;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::follow::{self, Following, LogSink, Source};
use crate::cli::invocation::Invocation;
use crate::cli::{select, time};
use crate::engine::{Engine, LogQuery, Tail};
use crate::report::{LogStyle, Prefix, Timestamps};
use crate::value::ContainerName;

/// Show the output of containers
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field for each switch that can be typed"
)]
pub(in crate::cli) struct LogsArgs {
    /// Show only the output of these services
    #[arg(value_name = "SERVICE", add = complete::service())]
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
    #[arg(short = 'n', long, value_name = "LINES", default_value = "all", value_parser = parse_tail)]
    tail: Tail,

    /// Show the time of each line
    #[arg(short, long)]
    timestamps: bool,
}

/// Shows output.
pub(in crate::cli) fn logs(
    invocation: &Invocation,
    args: &LogsArgs,
) -> Result<ExitStatus, CommandError> {
    let query = query(args)?;
    let (engine, target, observed) = invocation.look_and_stay(&args.services)?;
    let mut containers = select::containers(&target, &observed, &args.services)?;
    containers.retain(|container| args.index.is_none_or(|number| container.number == number));
    let sources: Vec<Source> = containers.into_iter().map(Source::of).collect();
    let mut sink = LogSink::new(invocation, style(args), args.no_color.into(), &sources);
    block_on(async {
        let engine = engine.as_ref();
        let last_times = follow::write_history(engine, &sources, &query, &mut sink).await?;
        if args.follow {
            follow_on(engine, &sources, &query, &last_times, &mut sink).await?;
        }
        Ok(ExitStatus::Done)
    })
}

/// Shows what is written from now on, until every container is gone.
async fn follow_on(
    engine: &dyn Engine,
    sources: &[Source],
    query: &LogQuery,
    last_times: &BTreeMap<ContainerName, SystemTime>,
    sink: &mut LogSink,
) -> Result<(), CommandError> {
    let mut following = Following::new(engine);
    for source in sources {
        let after = last_times.get(&source.container).copied().or(query.since);
        following.add(source, after, query.until).await?;
    }
    while let Some((source, line)) = following.next().await {
        sink.write(&source, &line?)?;
    }
    Ok(())
}

fn query(args: &LogsArgs) -> Result<LogQuery, CommandError> {
    let now = environment::now();
    let moment = |text: &Option<String>| {
        let moment = text
            .as_deref()
            .map(|text| time::parse(text, now))
            .transpose();
        moment.map_err(|error| CommandError::room(ExitStatus::Usage, error))
    };
    Ok(LogQuery {
        tail: args.tail,
        since: moment(&args.since)?,
        until: moment(&args.until)?,
        follow: args.follow,
    })
}

fn style(args: &LogsArgs) -> LogStyle {
    LogStyle {
        prefix: if args.no_log_prefix {
            Prefix::Hidden
        } else {
            Prefix::Shown
        },
        timestamps: if args.timestamps {
            Timestamps::Shown
        } else {
            Timestamps::Hidden
        },
    }
}

fn parse_tail(text: &str) -> Result<Tail, String> {
    if text == "all" {
        return Ok(Tail::All);
    }
    let lines: i64 = text
        .parse()
        .map_err(|_| "expected a number of lines, or `all`".to_owned())?;
    // A negative number means all lines, as it does to Docker.
    Ok(usize::try_from(lines).map_or(Tail::All, Tail::Lines))
}
