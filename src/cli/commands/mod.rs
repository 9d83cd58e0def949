//! One file for each verb: its arguments and the one function that does it.

mod up;
mod down;
mod create;
mod plan;
mod config;
mod explain;
mod ps;
mod logs;
mod run;
mod cp;
mod export;
mod exec;
mod attach;
mod start;
mod stop;
mod restart;
mod kill;
mod rm;
mod pause;
mod unpause;
mod scale;
mod wait;
mod build;
mod pull;
mod images;
mod image;
mod builder;
mod volumes;
mod ls;
mod port;
mod top;
mod stats;
mod events;
mod completion;
mod version;

use clap::Subcommand;

use super::error::{CommandError, ExitStatus};
use super::invocation::Invocation;

/// What consort is asked to do.
// The arguments of a verb are put together only when it is the one, or help is asked for.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum Verb {
    Up(up::UpArgs),
    Down(down::DownArgs),
    Create(create::CreateArgs),
    Plan(plan::PlanArgs),
    #[command(alias = "convert")]
    Config(config::ConfigArgs),
    Explain(explain::ExplainArgs),
    Ps(ps::PsArgs),
    Logs(logs::LogsArgs),
    Run(run::RunArgs),
    Exec(exec::ExecArgs),
    Cp(cp::CpArgs),
    Export(export::ExportArgs),
    Attach(attach::AttachArgs),
    Start(start::StartArgs),
    Stop(stop::StopArgs),
    Restart(restart::RestartArgs),
    Kill(kill::KillArgs),
    Rm(rm::RmArgs),
    Pause(pause::PauseArgs),
    Unpause(unpause::UnpauseArgs),
    Scale(scale::ScaleArgs),
    Wait(wait::WaitArgs),
    Build(Box<build::BuildArgs>),
    Pull(pull::PullArgs),
    Images(images::ImagesArgs),
    Image(image::ImageArgs),
    Builder(builder::BuilderArgs),
    Volumes(volumes::VolumesArgs),
    Ls(ls::LsArgs),
    Port(port::PortArgs),
    Top(top::TopArgs),
    Stats(stats::StatsArgs),
    Events(events::EventsArgs),
    Completion(completion::CompletionArgs),
    Version(version::VersionArgs),
}

impl Verb {
    /// Does what is asked.
    pub(super) fn run(&self, invocation: &Invocation) -> Result<ExitStatus, CommandError> {
        match self {
            Self::Up(args) => up::up(invocation, args),
            Self::Down(args) => down::down(invocation, args),
            Self::Create(args) => create::create(invocation, args),
            Self::Plan(args) => plan::plan(invocation, args),
            Self::Config(args) => config::config(invocation, args),
            Self::Explain(args) => explain::explain(invocation, args),
            Self::Ps(args) => ps::ps(invocation, args),
            Self::Logs(args) => logs::logs(invocation, args),
            Self::Run(args) => run::run(invocation, args),
            Self::Cp(args) => cp::cp(invocation, args),
            Self::Export(args) => export::export(invocation, args),
            Self::Exec(args) => exec::exec(invocation, args),
            Self::Attach(args) => attach::attach(invocation, args),
            Self::Start(args) => start::start(invocation, args),
            Self::Stop(args) => stop::stop(invocation, args),
            Self::Restart(args) => restart::restart(invocation, args),
            Self::Kill(args) => kill::kill(invocation, args),
            Self::Rm(args) => rm::rm(invocation, args),
            Self::Pause(args) => pause::pause(invocation, args),
            Self::Unpause(args) => unpause::unpause(invocation, args),
            Self::Scale(args) => scale::scale(invocation, args),
            Self::Wait(args) => wait::wait(invocation, args),
            Self::Build(args) => build::build(invocation, args),
            Self::Pull(args) => pull::pull(invocation, args),
            Self::Images(args) => images::images(invocation, args),
            Self::Image(args) => image::image(invocation, args),
            Self::Builder(args) => builder::builder(invocation, args),
            Self::Volumes(args) => volumes::volumes(invocation, args),
            Self::Ls(args) => ls::ls(invocation, args),
            Self::Port(args) => port::port(invocation, args),
            Self::Top(args) => top::top(invocation, args),
            Self::Stats(args) => stats::stats(invocation, args),
            Self::Events(args) => events::events(invocation, args),
            Self::Completion(args) => completion::completion(invocation, args),
            Self::Version(args) => version::version(invocation, args),
        }
    }
}
