//! `events`: what happens to the project's containers, as it happens.

use clap::Args;
use futures_util::StreamExt as _;

use crate::cli::complete;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::format;
use crate::cli::invocation::Invocation;
use crate::cli::select;
use crate::engine::ContainerEvent;
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
}

/// Shows events until it is interrupted.
pub(in crate::cli) fn events(
    invocation: &Invocation,
    args: &EventsArgs,
) -> Result<ExitStatus, CommandError> {
    let (engine, target, observed) = invocation.look_and_stay(&args.services)?;
    select::check(&target, &observed, &args.services)?;
    let mut output = invocation.stdout();
    block_on(async {
        let mut events = engine.events(&target.name).await?;
        while let Some(event) = events.next().await {
            let event = event?;
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
        Ok(ExitStatus::Done)
    })
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
        event.kind.as_str(),
        attributes,
    )
}
