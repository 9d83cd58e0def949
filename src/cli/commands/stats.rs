//! `stats`: what containers use of the machine.

use std::time::Duration;

use clap::Args;
use futures_util::future::try_join_all;
use tokio::time::{Instant, MissedTickBehavior};

use crate::cli::complete;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::format::{self, Rows};
use crate::cli::invocation::{Invocation, Target};
use crate::cli::select;
use crate::engine::{Engine, EngineError, Stats};
use crate::observed::{ObservedContainer, ObservedState, Scope};
use crate::report::{Output, Redraw, Truncation, Usage, UsageRow, write_usage};

/// Between two readings; processor time is counted from one to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// Show what containers use of processor, memory, network and disk
#[derive(Debug, Args)]
pub(in crate::cli) struct StatsArgs {
    /// Show only this service
    #[arg(value_name = "SERVICE", add = complete::service())]
    service: Option<String>,

    /// Show stopped containers too
    #[arg(short, long)]
    all: bool,

    /// Write `table`, `json`, or a template such as `{{.Name}}`
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Show one reading and return
    #[arg(long)]
    no_stream: bool,

    /// Show long values in full
    #[arg(long)]
    no_trunc: bool,
}

/// Shows readings until it is interrupted.
pub(in crate::cli) fn stats(
    invocation: &Invocation,
    args: &StatsArgs,
) -> Result<ExitStatus, CommandError> {
    let services: Vec<String> = args.service.iter().cloned().collect();
    let rows_format = Rows::from_flag(args.format.as_deref())?;
    let target = invocation.target(&services)?;
    let engine = invocation.engine()?;
    let mut output = invocation.stdout();
    block_on(async {
        let mut beat = tokio::time::interval(INTERVAL);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before: Option<(Instant, Vec<Reading>)> = None;
        loop {
            let now = beat.tick().await;
            let observed = engine.observe(&Scope::project(target.name.clone())).await?;
            let readings = read(engine.as_ref(), args, &target, &observed).await?;
            if let Some((then, old)) = &before {
                let rows = rows(args, &readings, old, now - *then);
                write(args, &rows_format, &mut output, &rows)?;
                if args.no_stream {
                    return Ok(ExitStatus::Done);
                }
            }
            before = Some((now, readings));
        }
    })
}

/// A container and what was measured of it; nothing of one that does not run.
struct Reading {
    container: ObservedContainer,
    stats: Option<Stats>,
}

async fn read(
    engine: &dyn Engine,
    args: &StatsArgs,
    target: &Target,
    observed: &ObservedState,
) -> Result<Vec<Reading>, CommandError> {
    let services: Vec<String> = args.service.iter().cloned().collect();
    let mut containers = select::containers(target, observed, &services)?;
    containers.retain(|container| args.all || container.is_alive());
    let readings = containers.into_iter().map(|container| async {
        let stats = if container.is_alive() {
            match engine.stats(&container.name).await {
                // It ended in between.
                Err(EngineError::NotRunning { .. } | EngineError::ContainerNotFound { .. }) => None,
                stats => Some(stats?),
            }
        } else {
            None
        };
        Ok::<_, CommandError>(Reading {
            container: container.clone(),
            stats,
        })
    });
    try_join_all(readings).await
}

fn rows(args: &StatsArgs, now: &[Reading], before: &[Reading], passed: Duration) -> Vec<UsageRow> {
    let truncation = if args.no_trunc {
        Truncation::Full
    } else {
        Truncation::Short
    };
    now.iter()
        .map(|reading| {
            let id = &reading.container.id;
            let old = before
                .iter()
                .find(|old| old.container.id == *id)
                .and_then(|old| old.stats);
            let usage = reading
                .stats
                .map(|stats| usage(&stats, old.as_ref(), passed));
            UsageRow::new(&reading.container, usage, truncation)
        })
        .collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "two decimals of a ratio are shown"
)]
fn usage(now: &Stats, before: Option<&Stats>, passed: Duration) -> Usage {
    let used_nanos = now.cpu_nanos.map(|now| {
        let before = before.and_then(|before| before.cpu_nanos).unwrap_or(now);
        now.saturating_sub(before)
    });
    Usage {
        cpu_percent: used_nanos.map(|used| used as f64 * 100.0 / passed.as_nanos().max(1) as f64),
        memory_bytes: now.memory_bytes,
        memory_limit_bytes: now.memory_limit_bytes.unwrap_or_else(memory_of_the_machine),
        received_bytes: now.received_bytes,
        sent_bytes: now.sent_bytes,
        pids: now.pids,
    }
}

fn memory_of_the_machine() -> u64 {
    let machine = rustix::system::sysinfo();
    #[expect(
        clippy::useless_conversion,
        reason = "the fields are narrower on 32-bit machines"
    )]
    u64::from(machine.totalram).saturating_mul(u64::from(machine.mem_unit))
}

fn write(
    args: &StatsArgs,
    rows_format: &Rows,
    output: &mut Output,
    rows: &[UsageRow],
) -> Result<(), CommandError> {
    match rows_format {
        Rows::Json => format::write_rows(output, rows, None),
        Rows::Template(template) => format::write_rows(output, rows, Some(template)),
        Rows::Table => {
            let is_live = output.is_terminal() && !args.no_stream;
            let redraw = if is_live { Redraw::Over } else { Redraw::Below };
            Ok(write_usage(output, rows, redraw)?)
        }
    }
}
