//! The project as data: every element of the Compose Specification, checked and in its long form.
//!
//! Names are the Compose keys; optional values are `None` where the file says nothing, so that
//! whoever reads the model decides about defaults of the engine.

mod build;
mod command;
mod deploy;
mod develop;
pub(crate) mod field;
pub(crate) mod outline;
mod file_object;
mod hosts;
mod mount;
mod network;
mod places;
mod port;
mod project;
mod resource;
mod service;

pub use build::{Build, SshKey, SshKeys};
pub use command::{Unfit, command_words};
pub use deploy::{
    Deploy, DeviceRequest, DiscreteResource, GenericResource, Placement, Preference, Resource,
    Resources, RestartPolicy, UpdateConfig,
};
pub use develop::{Develop, Hook, WatchRule};
pub use field::{Extensions, Field, Form, plain};
pub use file_object::{FileMode, FileObject, Grant};
pub use hosts::ExtraHosts;
pub use mount::{BindOptions, ImageOptions, ServiceVolume, TmpfsOptions, VolumeOptions};
pub use network::{Ipam, IpamPool, Model, Network, Volume};
pub use places::{Places, Shadowed};
pub use port::Port;
pub use project::{CONTAINER_LIMIT, NameFrom, Project, Separator, UnusedExternal};
pub use resource::{
    BlkioConfig, CredentialSpec, Dependency, DependencyCondition, Device, EnvFile, Extends,
    Healthcheck, Logging, Options, Provider, ServiceModel, ServiceNetwork, Throttle, Ulimit,
    WeightDevice,
};
pub use service::Service;
