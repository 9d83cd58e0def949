//! A container starts, once its dependencies are as it needs them, between its hooks.

use super::Up;
use crate::desired::{ContainerSpec, DesiredService, HookSpec, HookStage};
use crate::plan::{Action, Cause, Guard, Occasion, RunStart, StartMode, StepId};
use crate::value::ContainerName;

/// A replica on its way: the steps that it has come through.
pub(super) struct Way<'a> {
    pub(super) spec: &'a ContainerSpec,
    /// The steps after which it can start.
    pub(super) before_start: Vec<StepId>,
    pub(super) guard: Option<Guard>,
    pub(super) group: Option<String>,
    /// Whether it is a new container, or one that has never started.
    pub(super) is_new: bool,
}

impl<'a> Up<'a> {
    /// Starts a container once its dependencies are as it needs them; returns the step after which
    /// it has started, its hooks included.
    pub(super) fn start(
        &mut self,
        service: &DesiredService,
        way: Way<'a>,
        cause: Cause,
    ) -> Option<StepId> {
        if self.options.start == StartMode::CreateOnly {
            return None;
        }
        let gates = self.gates(service);
        let one_off = self.one_off.filter(|run| run.service == service.name);
        if one_off.is_some() {
            // It is made after them as well.
            for made in way.before_start.clone() {
                self.after(made, gates.iter().copied());
            }
        }
        let mut before = way.before_start;
        before.extend(gates);
        let hooks = &way.spec.hooks;
        if way.is_new {
            let first = service.replicas.first().map(|spec| spec.number);
            let for_all = first != Some(way.spec.number);
            let meant = hooks.pre_start.iter().enumerate();
            let meant = meant.filter(|(_, hook)| hook.per_replica || !for_all);
            let steps = self.hooks((&way.spec.name, HookStage::PreStart), meant, &mut before);
            for step in steps {
                self.guarded(step, way.guard.as_ref());
            }
        }
        if one_off.is_some_and(|run| run.start == RunStart::ByCaller) {
            return None;
        }
        let action = Action::StartContainer {
            name: way.spec.name.clone(),
            files: way.spec.files.clone(),
            occasion: Occasion::Start,
        };
        let started = self.sketch.add(action, cause, before);
        self.starts.push((way.spec, started));
        self.guarded(started, way.guard.as_ref());
        if let Some(group) = &way.group {
            self.sketch.group(started, group);
        }
        let mut last = vec![started];
        let first_hook = self.hooks(
            (&way.spec.name, HookStage::PostStart),
            hooks.post_start.iter().enumerate(),
            &mut last,
        );
        for step in first_hook {
            self.guarded(step, way.guard.as_ref());
        }
        last.first().copied()
    }

    /// Adds hooks one after the other; `before` becomes the last one.
    fn hooks(
        &mut self,
        (container, stage): (&ContainerName, HookStage),
        hooks: impl Iterator<Item = (usize, &'a HookSpec)>,
        before: &mut Vec<StepId>,
    ) -> Vec<StepId> {
        let mut steps = Vec::new();
        for (index, hook) in hooks {
            let action = Action::RunHook {
                container: container.clone(),
                stage,
                index,
                hook: Box::new(hook.clone()),
            };
            let step = self
                .sketch
                .add(action, Cause::Hook { stage }, before.drain(..));
            before.push(step);
            steps.push(step);
        }
        steps
    }
}
