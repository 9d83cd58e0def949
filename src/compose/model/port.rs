//! The ports that a service publishes.

use crate::compose::model::field::{containers, record};

record! {
    /// One published port.
    Port {
        /// A name for people.
        name: Option<String> = "name",
        /// `ingress` or `host`.
        mode: Option<String> = "mode",
        /// The address on the host.
        host_ip: Option<String> = "host_ip",
        /// The port in the container.
        target: u32 = "target",
        /// The port, or a range of ports, on the host; any free one when missing.
        published: Option<String> = "published",
        /// `tcp`, `udp` or `sctp`.
        protocol: Option<String> = "protocol",
        /// What is spoken on it.
        app_protocol: Option<String> = "app_protocol",
    }
}
containers!(Port);
