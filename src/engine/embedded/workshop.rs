//! What builds on this machine work with: the store, registries, and a network for each command.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::inner::Inner;
use crate::runtime::build::{Events, StepNetwork, Workshop};
use crate::runtime::network::endpoint;
use crate::runtime::network::files;
use crate::runtime::network::names::host_resolvers;

impl Inner {
    /// Returns the surroundings of a build.
    pub(super) fn workshop(this: &Arc<Self>, events: Events) -> Workshop {
        Workshop {
            store: this.store.clone(),
            state_dir: this.layout.state_dir().to_owned(),
            installation: this.layout.installation().to_owned(),
            registries: this.registries.clone(),
            credentials: this.credentials.clone(),
            network: Arc::new(step_network),
            events,
        }
    }
}

fn step_network() -> io::Result<StepNetwork> {
    let (_, conf) = host_resolvers(Path::new("/etc/resolv.conf"));
    let text = files::resolv_conf(&conf.nameservers, &conf.search, &conf.options);
    Ok(StepNetwork {
        namespace: endpoint::create_netns().map_err(io::Error::other)?,
        resolv_conf: text.map_err(io::Error::other)?,
        keep: Box::new(()),
    })
}
