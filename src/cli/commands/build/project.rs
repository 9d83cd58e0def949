//! The images of a Compose project's services.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{BuildArgs, build_args, lint};
use crate::cli::desire;
use crate::cli::error::{CommandError, ExitStatus};
use crate::cli::event_loop::block_on;
use crate::cli::invocation::{Flag, Invocation};
use crate::cli::work::Work;
use crate::desired::{BuildSpec, DesiredState};
use crate::plan::{self, BuildOptions, Dependencies};
use crate::report::ProgressStyle;
use crate::value::ServiceName;

/// Builds the images of services.
pub(super) fn build(invocation: &Invocation, args: &BuildArgs) -> Result<ExitStatus, CommandError> {
    let mut desired = desire::state(invocation, &args.words, &[])?;
    let variables = build_args(invocation, &args.variables)?;
    let agents = agents(invocation, &args.ssh);
    for spec in specs(&mut desired) {
        spec.no_cache |= args.no_cache;
        spec.pull |= args.pull;
        spec.args.extend(variables.clone());
        spec.ssh.extend(agents.clone());
    }
    let options = BuildOptions {
        services: desire::services(&args.words)?,
        dependencies: if args.with_dependencies {
            Dependencies::Include
        } else {
            Dependencies::Skip
        },
    };
    if args.check || args.print {
        let print = Flag::from(args.print);
        return look(invocation, &mut desired, &options.services, print);
    }
    let plan = plan::build(&desired, &options)?;
    if plan.is_empty() {
        invocation.warn("no service has an image to build")?;
        return Ok(ExitStatus::Done);
    }
    let engine = invocation.engine()?;
    let scope = desire::scope(&desired, None);
    let mut work = Work::new(invocation, engine.as_ref(), scope, "build");
    if args.quiet || args.progress.as_deref() == Some("quiet") {
        work.style = ProgressStyle::Quiet;
    }
    block_on(work.carry_out(&|_, _| Ok(plan::build(&desired, &options)?)))?;
    Ok(ExitStatus::Done)
}

fn specs(desired: &mut DesiredState) -> impl Iterator<Item = &mut BuildSpec> {
    let services = desired.services.values_mut();
    services.filter_map(|service| service.build.as_deref_mut())
}

/// Reads `default`, `ID` and `ID=PATH`.
fn agents(invocation: &Invocation, written: &[String]) -> BTreeMap<String, Option<PathBuf>> {
    let here = invocation.environment.working_directory();
    let agent = |text: &String| match text.split_once('=') {
        Some((id, path)) => (id.to_owned(), Some(here.join(path))),
        None => (text.clone(), None),
    };
    written.iter().map(agent).collect()
}

/// Shows the steps of the builds of services, or runs the lint checks for their Dockerfiles.
fn look(
    invocation: &Invocation,
    desired: &mut DesiredState,
    services: &BTreeSet<ServiceName>,
    print: Flag,
) -> Result<ExitStatus, CommandError> {
    desired
        .services
        .retain(|name, _| services.is_empty() || services.contains(name));
    let engine = invocation.embedded()?;
    let workshop = engine.workshop(std::sync::Arc::new(|_| {}));
    block_on(async {
        let mut status = ExitStatus::Done;
        for spec in specs(desired) {
            let prepared = engine.prepare_build(spec).await?;
            for request in &prepared.requests {
                let checked = if print.is_set() {
                    lint::print(invocation, request, &workshop).await?
                } else {
                    lint::check(invocation, request, &workshop).await?
                };
                if checked != ExitStatus::Done {
                    status = checked;
                }
            }
        }
        Ok(status)
    })
}
