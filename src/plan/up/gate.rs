//! What must be true before a container starts: gates of its dependencies.

use super::{Up, replica::Fate};
use crate::desired::{Condition, Dependency, DesiredService};
use crate::observed::{Health, RunState};
use crate::plan::{Action, Cause, Dependencies, StepId, Until, Warning};
use crate::value::{ContainerName, Duration, ServiceName};

/// A wait that several steps share: for whom, for what, and whether it may fail.
pub(super) type WaitKey = (ContainerName, &'static str, bool);

impl Up<'_> {
    /// The steps after which the dependencies of a service are as it needs them.
    pub(super) fn gates(&mut self, service: &DesiredService) -> Vec<StepId> {
        if self.options.dependencies == Dependencies::Skip {
            return Vec::new();
        }
        let mut gates = Vec::new();
        for (name, needs) in &service.dependencies {
            let Some(fates) = self.fates.get(name).cloned() else {
                self.unavailable(service, name, needs);
                continue;
            };
            for fate in &fates {
                gates.extend(self.gate(service, (name, needs), fate));
            }
        }
        gates
    }

    /// Dependencies that are required are there, or the file would not have loaded.
    fn unavailable(
        &mut self,
        service: &DesiredService,
        dependency: &ServiceName,
        needs: &Dependency,
    ) {
        if self.desired.services.contains_key(dependency) {
            return;
        }
        self.sketch.warn(Warning::DependencyUnavailable {
            service: service.name.clone(),
            dependency: dependency.clone(),
            place: needs.place.clone(),
        });
    }

    fn gate(
        &mut self,
        service: &DesiredService,
        (name, needs): (&ServiceName, &Dependency),
        fate: &Fate,
    ) -> Option<StepId> {
        let (until, holds) = match needs.condition {
            Condition::ServiceStarted => return fate.started,
            Condition::ServiceHealthy => (Until::Healthy, is_healthy(fate)),
            Condition::ServiceCompletedSuccessfully => {
                (Until::CompletedSuccessfully, is_done(fate))
            }
        };
        if is_untouched(fate) && holds {
            return None;
        }
        debug_assert!(
            name == &fate.service,
            "the fate is that of a replica of the dependency"
        );
        let cause = Cause::NeededBy {
            service: service.name.clone(),
            condition: needs.condition,
            place: needs.place.clone(),
        };
        let wait = self.wait(fate, until, (cause, needs.required), None);
        self.guarded(wait, fate.guard.as_ref().filter(|_| holds));
        Some(wait)
    }

    fn wait(
        &mut self,
        fate: &Fate,
        until: Until,
        (cause, required): (Cause, bool),
        timeout: Option<Duration>,
    ) -> StepId {
        let key = (fate.container.clone(), until.as_str(), required);
        if let Some(step) = self.waits.get(&key) {
            return *step;
        }
        let name = fate.container.clone();
        let action = Action::WaitContainer {
            name,
            until,
            required,
            timeout,
        };
        let step = self.sketch.add(action, cause, fate.started);
        self.waits.insert(key, step);
        step
    }

    /// Waits at the end until a replica is ready.
    pub(super) fn wait_until_ready(&mut self, fate: &Fate, timeout: Option<Duration>) {
        let (until, holds) = if self.is_one_shot(&fate.service) {
            (Until::CompletedSuccessfully, is_done(fate))
        } else {
            let ready = match fate.health {
                Health::None | Health::Healthy => fate.state == Some(RunState::Running),
                Health::Starting | Health::Unhealthy => false,
            };
            (Until::RunningOrHealthy, ready)
        };
        if !(is_untouched(fate) && holds) {
            let wait = self.wait(fate, until, (Cause::Requested, true), timeout);
            self.guarded(wait, fate.guard.as_ref().filter(|_| holds));
        }
    }
}

fn is_untouched(fate: &Fate) -> bool {
    fate.started.is_none()
}

fn is_healthy(fate: &Fate) -> bool {
    fate.state == Some(RunState::Running) && fate.health == Health::Healthy
}

/// Whether it ran to the end with exit code 0.
fn is_done(fate: &Fate) -> bool {
    fate.state == Some(RunState::Exited) && fate.exit_code == Some(0)
}
