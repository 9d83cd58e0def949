//! What happens while a plan is walked → the lines that Docker Compose prints for it.

use crate::plan::{Action, Plan, Step, Until};
use crate::reconcile::{Event, Finished, SkipReason};

use super::human;
use super::output::{Span, Style};
use super::progress::{Amount, Status, Update};

/// The steps of a group with this prefix are one act to the user: a container is made again.
const RECREATE: &str = "recreate ";

/// What an event changes in what the user sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A resource is further than before.
    Update(Update),
    /// Lines to know beside it.
    Note(Vec<Vec<Span>>),
}

/// Returns what an event shows, if anything.
pub fn shown(event: &Event<'_>) -> Option<Shown> {
    match event {
        Event::StepStarted { step, .. } => begun(step).map(Shown::Update),
        Event::StepDone { step, .. } => done(step).map(Shown::Update),
        Event::StepProgress { step, update } => {
            let parent = subject(step);
            let mut shown = if update.part.is_empty() {
                Update::new(parent, Status::Working, capitalised(&update.doing))
            } else {
                let mut part =
                    Update::new(&update.part, Status::Working, capitalised(&update.doing));
                part.parent = Some(parent);
                part
            };
            let total = update.total.unwrap_or(0);
            shown.amount = Some(Amount {
                current: update.current,
                total,
            });
            Some(Shown::Update(shown))
        }
        Event::StepFailed { step, error, .. } => {
            let mut update = Update::new(subject(step), Status::Error, "Error");
            update.details = error.to_string();
            Some(Shown::Update(update))
        }
        Event::StepSkipped { step, because } => skipped(step, *because).map(Shown::Update),
        Event::Warning { notice, .. } => {
            let text = Span::plain(format!(": {notice}"));
            let line = vec![Span::new(Style::Warning, "warning"), text];
            Some(Shown::Note(vec![line]))
        }
        Event::Said { step, output } => {
            let from = step.action.object().unwrap_or_default();
            let prefix = format!("{} {from} | ", step.action.subject());
            let line = |line: &str| vec![Span::plain(format!("{prefix}{line}"))];
            Some(Shown::Note(output.lines().map(line).collect()))
        }
        Event::Finished(_) => None,
    }
}

/// Returns what would be done by a step, as a rehearsal shows it.
pub fn rehearsed(step: &Step) -> Vec<Update> {
    begun(step).into_iter().chain(done(step)).collect()
}

/// Says which chain of steps took the whole time, where it was long enough to matter.
pub fn critical_path(plan: &Plan, finished: &Finished) -> Option<Vec<Span>> {
    const WORTH_SAYING: std::time::Duration = std::time::Duration::from_secs(1);
    if finished.took < WORTH_SAYING || finished.critical_path.len() < 2 {
        return None;
    }
    let steps: Vec<String> = finished
        .critical_path
        .iter()
        .filter_map(|part| {
            let action = &plan.step(part.step)?.action;
            Some(format!(
                "{} {} {}",
                action.verb(),
                action.subject(),
                human::elapsed(part.took)
            ))
        })
        .collect();
    let total = format!("critical path {}: ", human::elapsed(finished.took));
    Some(vec![Span::new(Style::Dim, total + &steps.join(" → "))])
}

fn begun(step: &Step) -> Option<Update> {
    let text = match (recreated(step), &step.action) {
        (Some(_), Action::CreateContainer { .. }) => "Recreate",
        (Some(_), _) => return None,
        (None, action) => words(action).0,
    };
    Some(Update::new(subject(step), Status::Working, text))
}

fn done(step: &Step) -> Option<Update> {
    let text = match (recreated(step), &step.action) {
        (Some(_), Action::RenameContainer { .. }) => "Recreated",
        (Some(_), _) => return None,
        (None, action) => words(action).1,
    };
    Some(Update::new(subject(step), Status::Done, text))
}

fn skipped(step: &Step, because: SkipReason) -> Option<Update> {
    match because {
        SkipReason::Prerequisite(_) => Some(Update::new(subject(step), Status::Warning, "Skipped")),
        SkipReason::Guard => None,
        SkipReason::Cancelled => Some(Update::new(subject(step), Status::Warning, "Interrupted")),
    }
}

/// Returns the container that a step helps to make again.
pub(super) fn recreated(step: &Step) -> Option<&str> {
    step.group.as_deref()?.strip_prefix(RECREATE)
}

/// Says what a step works on: `Container demo-web-1`.
fn subject(step: &Step) -> String {
    if let Some(container) = recreated(step) {
        return format!("Container {container}");
    }
    let kind = match &step.action {
        Action::PullImage { .. } | Action::BuildImage(_) | Action::RemoveImage { .. } => "Image",
        Action::CreateNetwork(_) | Action::RemoveNetwork { .. } => "Network",
        Action::CreateVolume(_) | Action::RemoveVolume { .. } => "Volume",
        Action::CreateContainer { .. }
        | Action::StartContainer { .. }
        | Action::StopContainer { .. }
        | Action::KillContainer { .. }
        | Action::PauseContainer { .. }
        | Action::UnpauseContainer { .. }
        | Action::RemoveContainer { .. }
        | Action::RenameContainer { .. }
        | Action::UpdateContainer { .. }
        | Action::ConnectNetwork { .. }
        | Action::DisconnectNetwork { .. }
        | Action::WaitContainer { .. }
        | Action::RunHook { .. } => "Container",
    };
    format!("{kind} {}", step.action.subject())
}

/// Returns what is said of an act while it is done, and once it is.
fn words(action: &Action) -> (&'static str, &'static str) {
    match action {
        Action::PullImage { .. } => ("Pulling", "Pulled"),
        Action::BuildImage(_) => ("Building", "Built"),
        Action::CreateNetwork(_) | Action::CreateVolume(_) | Action::CreateContainer { .. } => {
            ("Creating", "Created")
        }
        Action::RemoveImage { .. }
        | Action::RemoveNetwork { .. }
        | Action::RemoveVolume { .. }
        | Action::RemoveContainer { .. } => ("Removing", "Removed"),
        Action::StartContainer { .. } => ("Starting", "Started"),
        Action::StopContainer { .. } => ("Stopping", "Stopped"),
        Action::KillContainer { .. } => ("Killing", "Killed"),
        Action::PauseContainer { .. } => ("Pausing", "Paused"),
        Action::UnpauseContainer { .. } => ("Unpausing", "Unpaused"),
        Action::RenameContainer { .. } => ("Renaming", "Renamed"),
        Action::UpdateContainer { .. } => ("Updating", "Updated"),
        Action::ConnectNetwork { .. } => ("Connecting", "Connected"),
        Action::DisconnectNetwork { .. } => ("Disconnecting", "Disconnected"),
        Action::RunHook { .. } => ("Running hook", "Hook done"),
        Action::WaitContainer {
            until: Until::CompletedSuccessfully,
            ..
        } => ("Waiting", "Exited"),
        Action::WaitContainer {
            until: Until::RunningOrHealthy | Until::Healthy,
            ..
        } => ("Waiting", "Healthy"),
        Action::WaitContainer {
            until: Until::Stopped,
            ..
        } => ("Stopping", "Stopped"),
    }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}
