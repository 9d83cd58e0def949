//! Hooks before the start: each runs to its end in a container of its own, which goes when it has succeeded.

use std::io;
use std::thread;

use rustix::pipe::{PipeFlags, pipe_with};

use super::exec::{heard, hook_ended};
use super::{Embedded, describe};
use crate::desired::HookSpec;
use crate::engine::{AttachRequest, EngineError, Performed, Stdio};
use crate::plan::AnonymousVolumes;
use crate::value::ContainerName;

impl Embedded {
    /// Runs a hook before a container starts; an exit code other than 0 is a failure, whose container stays.
    pub(super) async fn run_before_start(
        &self,
        container: &ContainerName,
        index: usize,
        hook: &HookSpec,
    ) -> Result<Performed, EngineError> {
        let act = || format!("run hook {index} before the start of container `{container}`");
        let record = self.inner.get(container)?;
        let spec = hook.before_start(&record.spec, index);
        let spec = spec.map_err(|error| EngineError::act(act(), error))?;
        let (name, files) = (spec.name.clone(), record.spec.files.clone());
        let (made, inherit) = (spec.clone(), container.clone());
        self.blocking(move |inner| {
            // One that failed before, or that a killed command left.
            let _removed = inner.remove_container(&made.name, AnonymousVolumes::Keep)?;
            inner.create_container(&made, &made.name, Some(&inherit))
        })
        .await?;
        let (output, theirs) = pipe_with(PipeFlags::CLOEXEC)
            .map_err(|error| EngineError::act(act(), io::Error::from(error)))?;
        let errors = theirs.try_clone();
        let errors = errors.map_err(|error| EngineError::act(act(), error))?;
        let said = thread::Builder::new().spawn(move || heard(output));
        let said = said.map_err(|error| EngineError::act(act(), error))?;
        let request = AttachRequest {
            stdio: Stdio {
                stdin: None,
                stdout: Some(theirs),
                stderr: Some(errors),
            },
            terminal: None,
            detach_keys: Vec::new(),
        };
        let ended = self.run_in_foreground(&name, files, request).await?;
        let exit_code = ended.await?.unwrap_or_default();
        let said = said.join().ok().and_then(Result::ok).unwrap_or_default();
        if exit_code == 0 {
            self.blocking(move |inner| inner.remove_hook(&name)).await?;
        }
        let image = self.inner.get(container)?.image_config;
        hook_ended(container, &describe::args(&spec, &image), exit_code, said)
    }
}
