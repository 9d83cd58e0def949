//! One replica: what there is under its number, what is wanted, and so what is to be done.

use super::Up;
use crate::desired::{ContainerSpec, DesiredService};
use crate::observed::{Health, ObservedContainer, RunState};
use crate::plan::{Cause, FieldChange, Guard, Recreate, StepId, diff};
use crate::value::{ContainerName, ServiceName};

/// What becomes of a replica, for those who depend on it.
#[derive(Clone, Debug)]
pub(super) struct Fate {
    pub(super) service: ServiceName,
    /// Its final name.
    pub(super) container: ContainerName,
    /// The step after which it has started, when the plan starts it.
    pub(super) started: Option<StepId>,
    /// Under which condition the plan starts it.
    pub(super) guard: Option<Guard>,
    /// What it is now.
    pub(super) state: Option<RunState>,
    pub(super) health: Health,
    pub(super) exit_code: Option<i32>,
}

/// What is to be done about a replica.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It must be made again.
    Recreate { cause: Cause, guard: Option<Guard> },
    /// It can stay, with these changes in place.
    Keep { hot: Vec<FieldChange> },
}

impl Up<'_> {
    /// Decides what is to be done about a replica that is there.
    pub(super) fn verdict(
        &self,
        service: &DesiredService,
        spec: &ContainerSpec,
        there: &ObservedContainer,
    ) -> Verdict {
        let policy = self.recreate(&service.name);
        if matches!(there.state, RunState::Removing | RunState::Dead) {
            let cause = Cause::NotRunning {
                state: there.state,
                exit_code: there.exit_code,
            };
            return Verdict::Recreate { cause, guard: None };
        }
        let forced = match policy {
            Recreate::Never => return Verdict::Keep { hot: Vec::new() },
            Recreate::Force => Some(Cause::ForceRecreate),
            Recreate::Diverged => None,
        };
        let difference = difference(service, spec, there);
        if !difference.cold.is_empty() {
            let cause = Cause::Changed([difference.cold, difference.hot].concat());
            return Verdict::Recreate { cause, guard: None };
        }
        if let Some(cause) = forced.or_else(|| self.image_changed(spec, there)) {
            return Verdict::Recreate { cause, guard: None };
        }
        match self.images.guard(spec, &there.image_id) {
            Some(guard) => {
                let cause = match difference.hot {
                    hot if hot.is_empty() => Cause::ImageMayChange,
                    hot => {
                        return Verdict::Recreate {
                            cause: Cause::Changed(hot),
                            guard: None,
                        };
                    }
                };
                Verdict::Recreate {
                    cause,
                    guard: Some(guard),
                }
            }
            None => Verdict::Keep {
                hot: difference.hot,
            },
        }
    }

    fn image_changed(&self, spec: &ContainerSpec, there: &ObservedContainer) -> Option<Cause> {
        let image = self.observed.images.get(&spec.image.reference)?;
        let differs = !there.image_id.is_empty() && image.id != there.image_id;
        differs.then(|| Cause::ImageChanged {
            from: there.image_id.clone(),
            to: image.id.clone(),
        })
    }
}

fn difference(
    service: &DesiredService,
    spec: &ContainerSpec,
    there: &ObservedContainer,
) -> diff::Difference {
    let same_hash = spec.hash == there.hash && !spec.hash.is_empty();
    if same_hash && there.final_name == spec.name {
        return diff::Difference::default();
    }
    let wanted = serde_json::to_value(spec).unwrap_or_default();
    diff::compare(there.spec.to_value(), wanted, &service.places)
}
