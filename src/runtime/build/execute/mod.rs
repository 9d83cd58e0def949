//! A graph into an image: stages side by side, each step from the cache or done.
//!
//! | file | what it does |
//! |---|---|
//! | `stage` | walks the steps of one stage |
//! | `key` | what decides the result of a step, as a cache key |
//! | `copy` | `COPY`, `ADD` and `WORKDIR` on a mounted draft |
//! | `run` | `RUN` as a container of the runtime |
//! | `mounts` | what `--mount` puts into that container |
//! | `traces` | places that were only made to be mounted on, taken away again |

mod job;
mod traces;
mod sources;
mod copy;
mod mounts;
mod output;
mod run;
mod stage;

use std::sync::Arc;

use super::BuildError;
use super::document::ImageDocument;
use super::graph::Graph;
use super::request::Request;
use super::workshop::Workshop;
use crate::runtime::kernel::thread;
use crate::value::Digest;
use job::Job;

/// The project name of builds in the cgroups of the machine; no project can be called so.
const CGROUP: &str = "_build";
/// How long the end of processes that were sent SIGKILL is waited for.
const KILL_TIMEOUT_MS: u64 = 10_000;

/// An image that was built; it has no name yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Its configuration.
    pub document: ImageDocument,
    /// Its configuration's bytes, whose digest is its id.
    pub config: Vec<u8>,
    /// Its id.
    pub id: Digest,
}

impl Built {
    /// Returns the digests of its layers' plain bytes, the lowest first.
    pub fn layers(&self) -> &[Digest] {
        &self.document.rootfs.diff_ids
    }
}

/// Builds the target of a graph.
pub async fn execute(
    workshop: &Workshop,
    graph: &Arc<Graph>,
    request: &Arc<Request>,
) -> Result<Built, BuildError> {
    let downloads = sources::fetch(graph).await?;
    let job = Job::new(workshop, graph, request, downloads)?;
    let done = thread::beside(move || stage::run_all(&job)).await;
    done.map_err(BuildError::io("build on a thread of its own"))?
}
