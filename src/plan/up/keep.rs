//! A container stays in its place: changed where it stands, connected where it is not, started.

use super::{Up, start::Way};
use crate::desired::{ContainerSpec, DesiredService, EndpointSpec};
use crate::observed::{ObservedContainer, RunState};
use crate::plan::{Action, Cause, FieldChange, Guard, StartMode, StepId, Until};

impl<'a> Up<'a> {
    /// Leaves a container in its place, changed where that can be done in place; returns the step
    /// after which it has started, and under which condition, when the plan starts it.
    pub(super) fn keep(
        &mut self,
        service: &DesiredService,
        spec: &'a ContainerSpec,
        (there, renamed): (&ObservedContainer, Option<StepId>),
        hot: Vec<FieldChange>,
    ) -> (Option<StepId>, Option<Guard>) {
        let mut before_start: Vec<StepId> = renamed.into_iter().collect();
        if !hot.is_empty() {
            let action = Action::UpdateContainer {
                name: there.name.clone(),
                spec: Box::new(spec.clone()),
            };
            before_start.push(self.sketch.add(action, Cause::Changed(hot), renamed));
        }
        before_start.extend(self.plug(spec, there, renamed));
        let guard = self.restart_with_dependencies(service, there);
        before_start.extend(self.rejoin(there));
        if let Some(stopped) = self.stops.of(&there.name) {
            before_start.push(stopped);
            let way = Way {
                spec,
                before_start,
                guard: guard.clone(),
                group: None,
                is_new: false,
            };
            return (self.start(service, way, Cause::Follows(stopped)), guard);
        }
        if there.is_stopping && self.options.start == StartMode::Start {
            let stopped = self.wait_until_stopped(there, renamed);
            before_start.push(stopped);
            let way = Way {
                spec,
                before_start,
                guard: None,
                group: None,
                is_new: false,
            };
            return (self.start(service, way, Cause::Follows(stopped)), None);
        }
        let idle = Cause::NotRunning {
            state: there.state,
            exit_code: there.exit_code,
        };
        let started = match there.state {
            RunState::Running | RunState::Restarting => None,
            RunState::Exited if there.exit_code == Some(0) && self.is_one_shot(&service.name) => {
                None
            }
            RunState::Paused => {
                let action = Action::UnpauseContainer {
                    name: there.name.clone(),
                };
                Some(self.sketch.add(action, idle, before_start))
            }
            RunState::Created | RunState::Exited | RunState::Removing | RunState::Dead => {
                let way = Way {
                    spec,
                    before_start,
                    guard: None,
                    group: None,
                    is_new: there.state == RunState::Created,
                };
                self.start(service, way, idle)
            }
        };
        (started, None)
    }

    /// Waits for the end of a container that an earlier command is stopping.
    fn wait_until_stopped(&mut self, there: &ObservedContainer, renamed: Option<StepId>) -> StepId {
        let action = Action::WaitContainer {
            name: there.name.clone(),
            until: Until::Stopped,
            required: true,
            timeout: None,
        };
        self.sketch.add(action, Cause::Stopping, renamed)
    }

    /// Connects a container to networks that it should be on and is not, or that are made again.
    fn plug(
        &mut self,
        spec: &ContainerSpec,
        there: &ObservedContainer,
        renamed: Option<StepId>,
    ) -> Vec<StepId> {
        let plugs = self.unplugged.remove(&there.name).unwrap_or_default();
        let mut steps = Vec::new();
        for endpoint in spec.network.endpoints() {
            let network = endpoint.network.clone();
            let step = match plugs.get(&network) {
                Some(made) => Some(self.connect(
                    there,
                    endpoint,
                    Cause::NetworkRecreated { network },
                    renamed.into_iter().chain([*made]),
                )),
                None => self.reconnect(there, endpoint, renamed),
            };
            steps.extend(step);
        }
        steps
    }

    /// A network that was made again behind our back has another id than the endpoint remembers.
    fn reconnect(
        &mut self,
        there: &ObservedContainer,
        endpoint: &EndpointSpec,
        renamed: Option<StepId>,
    ) -> Option<StepId> {
        let network = endpoint.network.clone();
        let cause = Cause::NotConnected {
            network: network.clone(),
        };
        let made = self.networks.get(&network).copied();
        let Some(plugged) = there.endpoints.get(&network) else {
            return Some(self.connect(there, endpoint, cause, made.into_iter().chain(renamed)));
        };
        let current = self.observed.networks.get(&network);
        let is_stale = current.is_none_or(|current| current.id != plugged.network_id);
        if !is_stale || plugged.network_id.is_empty() {
            return None;
        }
        let action = Action::DisconnectNetwork {
            container: there.name.clone(),
            network,
        };
        let unplugged = self.sketch.add(action, cause.clone(), renamed);
        Some(self.connect(there, endpoint, cause, made.into_iter().chain([unplugged])))
    }

    fn connect(
        &mut self,
        there: &ObservedContainer,
        endpoint: &EndpointSpec,
        cause: Cause,
        after: impl IntoIterator<Item = StepId>,
    ) -> StepId {
        let container = there.name.clone();
        let action = Action::ConnectNetwork {
            container,
            endpoint: Box::new(endpoint.clone()),
        };
        self.sketch.add(action, cause, after)
    }
}
