//! Why a monitor cannot do its work.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;

use crate::runtime::container::ContainerError;
use crate::runtime::image::ImageError;
use crate::runtime::kernel::KernelError;
use crate::runtime::network::NetworkError;
use crate::runtime::store::StoreError;
use crate::runtime::volume::VolumeError;

/// A failed act of a monitor; reads after "cannot".
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The container itself.
    #[error("run the container")]
    Container(#[source] ContainerError),
    /// Its root filesystem.
    #[error("assemble the root filesystem")]
    Root(#[source] ImageError),
    /// A volume of its.
    #[error("mount a volume")]
    Volume(#[source] VolumeError),
    /// It has no terminal.
    #[error("use the terminal of a container that has none")]
    NoTerminal,
    /// Its network.
    #[error("set the network up")]
    Network(#[source] NetworkError),
    /// A namespace, a mount or a process.
    #[error("{act}")]
    Kernel {
        /// What was being done.
        act: &'static str,
        /// What the kernel refused.
        #[source]
        source: KernelError,
    },
    /// A descriptor could not be kept.
    #[error("{act}")]
    Keep {
        /// What was being done.
        act: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A record.
    #[error("keep the container's records")]
    Store(#[source] StoreError),
    /// There is nothing to start from.
    #[error("find the bundle in `{path}`")]
    NoBundle {
        /// The run folder.
        path: PathBuf,
    },
    /// Another monitor watches this container.
    #[error("watch the container: another monitor does")]
    Watched,
    /// A container whose namespace is to be shared does not run.
    #[error("share a namespace of the container in `{path}`, which is not running")]
    SharedNotRunning {
        /// The other container's folder.
        path: PathBuf,
    },
    /// Output could not be read or kept.
    #[error("keep output in `{path}`")]
    Output {
        /// The container's folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An event could not be appended.
    #[error("append an event to `{path}`")]
    Event {
        /// The event file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The control socket could not be made or waited for.
    #[error("wait for something to happen")]
    Wait {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The container does not run.
    #[error("do that to a container that is not running")]
    NotRunning,
    /// The container runs, or will.
    #[error("forget a container that has not ended")]
    NotEnded,
}

impl From<ContainerError> for MonitorError {
    fn from(source: ContainerError) -> Self {
        Self::Container(source)
    }
}

impl From<NetworkError> for MonitorError {
    fn from(source: NetworkError) -> Self {
        Self::Network(source)
    }
}

impl From<StoreError> for MonitorError {
    fn from(source: StoreError) -> Self {
        Self::Store(source)
    }
}

impl MonitorError {
    /// Names what was being done when the kernel refused something.
    pub(super) fn kernel(act: &'static str) -> impl FnOnce(KernelError) -> Self {
        move |source| Self::Kernel { act, source }
    }

    /// Returns this error and its causes, one text each.
    pub(super) fn texts(&self) -> Vec<String> {
        let mut texts = vec![self.to_string()];
        let mut source = self.source();
        while let Some(error) = source {
            texts.push(error.to_string());
            source = error.source();
        }
        texts
    }

    /// Returns this error and its causes on one line.
    pub(super) fn chain(&self) -> String {
        self.texts().join(": ")
    }
}
