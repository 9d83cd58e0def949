//! A hook before the start: a container of its own, like the one that is about to start, for one command.

use super::one_off::{Aliases, rename};
use super::{
    ContainerSpec, HealthProbe, Healthcheck, HookSpec, HookStage, Hooks, RestartPolicy, label,
};
use crate::value::{ContainerName, NameError};

impl HookSpec {
    /// Returns the container in which the hook runs before `of` starts: on its networks, with its volumes, secrets and
    /// configs, and with the entry point of the hook's own image.
    pub fn before_start(
        &self,
        of: &ContainerSpec,
        index: usize,
    ) -> Result<ContainerSpec, NameError> {
        let stage = HookStage::PreStart.as_str();
        let name: ContainerName = format!("{}-{stage}-{index}", of.name).parse()?;
        let mut spec = of.clone();
        let process = &mut spec.process;
        process.entrypoint = None;
        process.command.clone_from(&self.command);
        process.environment.extend(self.environment.clone());
        process.tty = false;
        process.stdin_open = false;
        if let Some(image) = &self.image {
            spec.image.reference.clone_from(image);
            // What the service says of its user and folder is meant for its own image.
            process.user = None;
            process.working_dir = None;
        }
        process.user = self.user.clone().or(process.user.take());
        process.working_dir = self.working_dir.clone().or(process.working_dir.take());
        spec.security.privileged |= self.privileged;
        spec.ports.clear();
        spec.expose.clear();
        spec.healthcheck = Some(Healthcheck {
            probe: Some(HealthProbe::Disabled),
            ..Healthcheck::default()
        });
        spec.restart = RestartPolicy::No;
        spec.hooks = Hooks::default();
        rename(&mut spec.network, &of.name, &name, Aliases::OwnName);
        spec.labels.insert(label::HOOK.to_owned(), stage.to_owned());
        spec.name = name;
        Ok(spec)
    }
}
