//! `events`: what happens to the project's containers, as it happens.

use std::time::SystemTime;

use clap::Args;
use futures_util::StreamExt as _;

use crate::cli::complete;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::format;
use crate::cli::invocation::Invocation;
use crate::cli::{environment, select, time};
use crate::engine::{ContainerEvent, EventsFrom};
use crate::report::{EventRow, write_event};

/// Show what happens to containers, as it happens
#[derive(Debug, Args)]
pub(in crate::cli) struct EventsArgs {
    /// Show only the events of these services
    #[arg(value_name = "SERVICE", add = complete::service())]
    services: Vec<String>,

    /// Write one JSON object on each line
    #[arg(long)]
    json: bool,

    /// Begin with what has happened since a time (`2026-01-02T13:23:37Z`) or for a duration (`42m`)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Return at a time (`2026-01-02T13:23:37Z`), or show what happened until then or until a duration ago (`42m`)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Shows events until it is interrupted.
pub(in crate::cli) fn events(
    invocation: &Invocation,
    args: &EventsArgs,
) -> Result<ExitStatus, CommandError> {
    let now = environment::now();
    let since = moment(args.since.as_deref(), now)?;
    let until = moment(args.until.as_deref(), now)?;
    let from = match since {
        Some(_) => EventsFrom::Oldest,
        None => EventsFrom::Now,
    };
    let (engine, target, observed) = invocation.look_and_stay(&args.services)?;
    select::check(&target, &observed, &args.services)?;
    let mut output = invocation.stdout();
    block_on(async {
        let mut events = engine.events(&target.name, from).await?;
        let time_is_up = reached(until, now);
        tokio::pin!(time_is_up);
        loop {
            // What has happened already is taken first, and only then is it time to go.
            let event = tokio::select! {
                biased;
                event = events.next() => event,
                () = &mut time_is_up => None,
            };
            let Some(event) = event.transpose()? else {
                return Ok(ExitStatus::Done);
            };
            if until.is_some_and(|until| event.time > until) {
                return Ok(ExitStatus::Done);
            }
            if since.is_some_and(|since| event.time < since) {
                continue;
            }
            if !args.services.is_empty() && !args.services.iter().any(|it| event.service == **it) {
                continue;
            }
            let row = row(event);
            if args.json {
                format::write_json(&mut output, &row)?;
            } else {
                write_event(&mut output, &row)?;
            }
        }
    })
}

fn moment(text: Option<&str>, now: SystemTime) -> Result<Option<SystemTime>, CommandError> {
    text.map(|text| time::parse(text, now))
        .transpose()
        .map_err(|error| CommandError::room(ExitStatus::Usage, error))
}

/// Returns at a moment; never without one.
async fn reached(moment: Option<SystemTime>, now: SystemTime) {
    match moment {
        Some(moment) => tokio::time::sleep(moment.duration_since(now).unwrap_or_default()).await,
        None => std::future::pending().await,
    }
}

fn row(event: ContainerEvent) -> EventRow {
    let mut attributes = event.attributes;
    // Labels of our own say nothing that is not said already.
    attributes.retain(|name, _| !name.starts_with(crate::desired::label::PREFIX));
    attributes.insert("name".to_owned(), event.container.to_string());
    EventRow::new(
        event.time,
        event.service.to_string(),
        event.id,
        event.kind.action(),
        attributes,
    )
}
