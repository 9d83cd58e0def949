//! A container's record into the bundle that its monitor starts from, and the files beside it.
//!
//! | file | what it adds |
//! |---|---|
//! | [`mounts`] | mounts: the file's, the image's, and those of the engine's own files |
//! | [`hosts`] | `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf` |
//! | [`kept`] | secrets and configs |
//! | [`network`] | interfaces, ports and names |
//! | [`health`] | the check that the file or the image asks for |
//! | [`output`] | how output is kept |

mod mounts;
mod hosts;
mod kept;
mod network;
mod health;
mod output;

use std::path::{Path, PathBuf};

use super::describe;
use super::events::event_attributes;
use super::holder::Holder;
use super::inner::Inner;
use super::record::ContainerRecord;
use crate::desired::{ContainerSpec, NetworkMode, RestartPolicy};
use crate::engine::EngineError;
use crate::runtime::container::cgroup;
use crate::runtime::monitor::bundle::{Bundle, Init, SharedNamespaces};
use crate::runtime::monitor::restart;
use crate::runtime::network::names::host_resolvers;
use crate::value::ContainerName;

impl Inner {
    /// Puts together all that a monitor needs to start a container.
    pub(super) fn assemble(&self, record: &ContainerRecord) -> Result<Bundle, EngineError> {
        let record = &self.with_current_leases(record)?;
        let spec = &record.spec;
        let hostname = self.hostname(record)?;
        let run_dir = self.layout.container_run(&record.id);
        let mut container = describe::describe(spec, &record.image_config, &hostname)?;
        let (mounts, volumes) = self.mounts(record, &run_dir)?;
        container.mounts = mounts;
        let (upstream, resolv) = host_resolvers(Path::new("/etc/resolv.conf"));
        let network = self.network_of(record, upstream)?;
        self.write_network_files(record, &hostname, &resolv)?;
        Ok(Bundle {
            id: record.id.clone(),
            name: record.name.to_string(),
            boot_id: self.boot_id.clone(),
            container_dir: self.folder(record),
            run_dir,
            events: self.layout.events(&spec.project),
            event_attributes: event_attributes(record),
            root: record.root.clone(),
            state_dir: self.layout.state_dir().to_owned(),
            volumes,
            user_files: kept::files_of_the_user(record, &self.layout.container_run(&record.id)),
            container,
            seccomp: describe::seccomp(&spec.security),
            cgroup_parent: cgroup_parent(spec),
            cgroup_name: format!("{}-{}", self.layout.installation(), record.id),
            network,
            holder: self.holder.as_ref().map(Holder::socket),
            shared: self.shared_namespaces(spec)?,
            addresses: network::addresses(record),
            names: self.name_records(record),
            init: if spec.process.init == Some(true) {
                Init::Yes
            } else {
                Init::No
            },
            keep_stdin: spec.process.stdin_open,
            health: health::health_check(
                spec.healthcheck.as_ref(),
                record.image_config.healthcheck.as_ref(),
            ),
            restart: restart_policy(spec.restart),
            log: output::log_options(&spec.logging)?,
            stop_signal: record.stop_signal(),
        })
    }

    fn shared_namespaces(&self, spec: &ContainerSpec) -> Result<SharedNamespaces, EngineError> {
        let network = match &spec.network {
            NetworkMode::Container(name) => Some(self.folder_of(name)?),
            NetworkMode::Service { container, .. } => Some(self.folder_of(container)?),
            NetworkMode::Endpoints(_) | NetworkMode::None | NetworkMode::Host => None,
        };
        Ok(SharedNamespaces {
            network,
            pid: self.folder_of_mode(spec.namespaces.pid.as_deref())?,
            ipc: self.folder_of_mode(spec.namespaces.ipc.as_deref())?,
        })
    }

    fn folder_of_mode(&self, mode: Option<&str>) -> Result<Option<PathBuf>, EngineError> {
        let Some(text) = mode.and_then(|mode| mode.strip_prefix("container:")) else {
            return Ok(None);
        };
        let name = text.parse::<ContainerName>();
        let name =
            name.map_err(|error| EngineError::act(format!("find container `{text}`"), error))?;
        self.folder_of(&name).map(Some)
    }

    fn folder_of(&self, name: &ContainerName) -> Result<PathBuf, EngineError> {
        Ok(self.folder(&self.get(name)?))
    }
}

/// Returns the cgroup below which a container's own is made.
fn cgroup_parent(spec: &ContainerSpec) -> String {
    let own = format!("{}/{}", cgroup::MARK, spec.project);
    spec.namespaces.cgroup_parent.clone().unwrap_or(own)
}

/// Returns the first twelve digits of an id, by which people know a container.
fn short_id(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn restart_policy(policy: RestartPolicy) -> restart::RestartPolicy {
    match policy {
        RestartPolicy::No => restart::RestartPolicy::No,
        RestartPolicy::Always => restart::RestartPolicy::Always,
        RestartPolicy::UnlessStopped => restart::RestartPolicy::UnlessStopped,
        RestartPolicy::OnFailure { max_retries } => {
            restart::RestartPolicy::OnFailure { max_retries }
        }
    }
}
