//! A project into desired state: one exact spec per container, nothing left to decide.
//!
//! Reading order: [`expand()`] is the verb; [`DesiredState`] is what should exist; [`ContainerSpec`] is one container with
//! everything decided; the other files are its parts.
//!
//! **Invariant:** a spec is plain data that serialises completely, except for the bytes of secrets
//! and configs, which are represented by their digest alone. Engines store it beside what runs.

mod state;
mod container;
mod process;
mod network;
mod mount;
mod file;
mod limits;
mod build;
mod expand;
mod one_off;
mod before_start;
mod error;
mod hash;
pub mod label;

pub use build::{BuildContext, BuildNetwork, BuildSecret, BuildSpec, BuildWhen, Dockerfile};
pub use container::{ContainerSpec, ImageSpec, Joined, Namespaces, PullPolicy, Security};
pub use error::{DesiredError, DesiredErrors};
pub use expand::{Options, expand, external, outline};
pub use file::{Content, FileKind, InjectedFile};
pub use hash::{comparable, config_hash};
pub use limits::{BlockIo, BlockRate, BlockWeight, DeviceSpec, Limits, Ulimit};
pub use mount::{
    BindMount, ImageMount, MountKind, MountSpec, Propagation, RecursiveReadOnly, Relabel,
    TmpfsMount, VolumeMount, VolumeSpec,
};
pub use network::{
    EndpointSpec, HostName, IpamPool, IpamSpec, NetworkMode, NetworkSpec, PortRange, PortSpec,
    Protocol, ResolverSpec,
};
pub use one_off::{Aliases, Change, OneOff};
pub use process::{
    HealthProbe, Healthcheck, HookSpec, HookStage, Hooks, LogSpec, ProcessSpec, RestartPolicy,
    StopSpec,
};
pub use state::{Condition, Dependency, DesiredService, DesiredState, External, Notice, Places};
