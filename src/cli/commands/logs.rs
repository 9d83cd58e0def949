//! `logs`: what containers wrote, of several services merged in the order of time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use clap::Args;
use futures_util::StreamExt as _;

use crate::cli::complete;
use crate::cli::environment;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::follow::{self, Following, LogSink, Source, Streams};
use crate::cli::invocation::{Invocation, Target};
use crate::cli::{select, time};
use crate::engine::{Engine, EventKind, EventStream, EventsFrom, LogLine, LogQuery, Tail};
use crate::observed::{ObservedContainer, ObservedState, Scope};
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
    if args.index.is_some() && args.services.len() != 1 {
        return Err(CommandError::usage("`--index` needs exactly one service"));
    }
    let target = invocation.target(&args.services)?;
    // Without any line of the past, what is shown begins here.
    let began = (args.tail == Tail::Lines(0)).then(environment::now);
    let engine = invocation.engine()?;
    block_on(async {
        let engine = engine.as_ref();
        let scope = Scope::project(target.name.clone());
        // The events are listened to before anybody looks, so that no end is missed.
        let events = if args.follow {
            Some(engine.events(&target.name, EventsFrom::Now).await?)
        } else {
            None
        };
        let observed = engine.observe(&scope).await?;
        let containers = chosen(args, &target, &observed)?;
        if let (Some(number), [service], []) = (args.index, &*args.services, &*containers) {
            return Err(select::no_such_replica(service, number));
        }
        let sources: Vec<Source> = containers.iter().map(|it| Source::of(it)).collect();
        let mut sink = LogSink::new(
            invocation,
            style(args),
            (Streams::Together, args.no_color.into()),
            sources.iter().map(|source| source.label.as_str()),
        );
        let last_times = follow::write_history(engine, &sources, &query, &mut sink).await?;
        if let Some(events) = events {
            let mut live = Live {
                args,
                engine,
                target: &target,
                scope,
                sink,
                last_times,
                since: began.max(query.since),
                until: query.until,
                running: BTreeSet::new(),
            };
            live.go_on(containers, events).await?;
        }
        Ok(ExitStatus::Done)
    })
}

/// Returns the containers whose output is wanted.
fn chosen<'state>(
    args: &LogsArgs,
    target: &Target,
    observed: &'state ObservedState,
) -> Result<Vec<&'state ObservedContainer>, CommandError> {
    let mut containers = select::meant(target, observed, &args.services)?;
    containers.retain(|container| args.index.is_none_or(|number| container.number == number));
    Ok(containers)
}

/// Output as it is written.
struct Live<'run> {
    args: &'run LogsArgs,
    engine: &'run dyn Engine,
    target: &'run Target,
    scope: Scope,
    sink: LogSink,
    last_times: BTreeMap<ContainerName, SystemTime>,
    /// From when on lines are shown of a container of which none was shown yet.
    since: Option<SystemTime>,
    until: Option<SystemTime>,
    /// The ids of the containers that run and of whose end nobody has told.
    running: BTreeSet<String>,
}

impl Live<'_> {
    /// Shows what is written from now on, also by containers that start later, until none runs any more.
    async fn go_on(
        &mut self,
        containers: Vec<&ObservedContainer>,
        mut events: EventStream,
    ) -> Result<(), CommandError> {
        let mut following = Following::new(self.engine);
        self.welcome(&containers, &mut following).await?;
        while !self.running.is_empty() {
            tokio::select! {
                biased;
                line = following.next() => match line {
                    Some((source, line)) => self.line(&source, &line?)?,
                    None => break,
                },
                Some(event) = events.next() => {
                    let event = event?;
                    let observed = self.engine.observe(&self.scope).await?;
                    let containers = chosen(self.args, self.target, &observed).unwrap_or_default();
                    self.welcome(&containers, &mut following).await?;
                    self.running.retain(|id| containers.iter().any(|it| it.id == *id));
                    let container = containers.into_iter().find(|it| it.id == event.id);
                    if let (EventKind::Die { exit_code }, Some(container)) = (event.kind, container) {
                        self.see_off(container, exit_code).await?;
                    }
                }
            }
        }
        let observed = self.engine.observe(&self.scope).await?;
        for container in chosen(self.args, self.target, &observed).unwrap_or_default() {
            if self.running.contains(&container.id) && !container.is_alive() {
                self.see_off(container, container.exit_code).await?;
            }
        }
        Ok(())
    }

    /// Shows a line, unless it has been shown already.
    fn line(&mut self, source: &Source, line: &LogLine) -> Result<(), CommandError> {
        let last = self.last_times.get(&source.container);
        if last.is_some_and(|last| line.time <= *last) {
            return Ok(());
        }
        self.last_times.insert(source.container.clone(), line.time);
        self.sink.write(source, line)
    }

    /// Shows what a container wrote at its end, and says that it ended.
    async fn see_off(
        &mut self,
        container: &ObservedContainer,
        exit_code: Option<i32>,
    ) -> Result<(), CommandError> {
        let source = Source::of(container);
        let times = (&mut self.last_times, self.since);
        let sources = std::slice::from_ref(&source);
        follow::write_rest(self.engine, sources, times, &mut self.sink).await?;
        if !container.is_alive() {
            self.running.remove(&container.id);
        }
        self.sink.exit(&source, exit_code, container.state)
    }

    /// Follows containers that are not followed yet.
    async fn welcome(
        &mut self,
        containers: &[&ObservedContainer],
        following: &mut Following<'_>,
    ) -> Result<(), CommandError> {
        for container in containers {
            let source = Source::of(container);
            let last = self.last_times.get(&source.container);
            let after = last.copied().or(self.since);
            following.add(&source, after, self.until).await?;
            if container.is_alive() {
                self.running.insert(container.id.clone());
            }
        }
        Ok(())
    }
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
