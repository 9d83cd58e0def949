//! What can go wrong between containers and the world.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::runtime::store::StoreError;
use crate::value::Cidr;

use super::publish::{PortHolder, Protocol};

/// A failed act on networks, ports or names.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The kernel did not say what is routed where.
    #[error("read the routes of this machine")]
    ReadRoutes {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Every range is in use.
    #[error("find a free subnet: {taken} are in use and overlap every range")]
    NoFreeSubnet {
        /// How many subnets were in the way.
        taken: usize,
    },
    /// A subnet has no room for a gateway and an endpoint.
    #[error("use subnet `{subnet}`: it has no room for a gateway and one container")]
    SubnetTooSmall {
        /// The subnet.
        subnet: Cidr,
    },
    /// A range is not part of its subnet.
    #[error("give out addresses of `{range}`: it is not part of subnet `{subnet}`")]
    RangeOutside {
        /// The range.
        range: Cidr,
        /// The subnet.
        subnet: Cidr,
    },
    /// An address is not one that an interface in this subnet can have.
    #[error("use {role} `{address}`: it is no host address of subnet `{subnet}`")]
    AddressOutside {
        /// What the address is for.
        role: &'static str,
        /// The address.
        address: IpAddr,
        /// The subnet.
        subnet: Cidr,
    },
    /// Somebody has the address.
    #[error("use address `{address}`: it is taken in subnet `{subnet}`")]
    AddressTaken {
        /// The address.
        address: IpAddr,
        /// The subnet.
        subnet: Cidr,
    },
    /// Every address is in use.
    #[error("find a free address in `{subnet}`: all are taken")]
    SubnetFull {
        /// The subnet.
        subnet: Cidr,
    },
    /// Text is not a hardware address of one interface.
    #[error(
        "use hardware address `{text}`: expected six hexadecimal bytes as in `02:42:ac:12:00:02`"
    )]
    BadMac {
        /// The text.
        text: String,
    },
    /// A name does not fit into the kernel's limits for links.
    #[error("use link name `{name}`: it needs 1 to 15 characters without spaces and slashes")]
    BadLinkName {
        /// The name.
        name: String,
    },
    /// A link with the name is there and is not ours.
    #[error("create bridge `{link}`: a link of this name belongs to somebody else")]
    ForeignLink {
        /// The link.
        link: String,
    },
    /// Something about a link did not work.
    #[error("{act} `{link}`")]
    Link {
        /// What was being done, as an imperative fragment.
        act: &'static str,
        /// The link.
        link: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A network namespace could not be made or entered.
    #[error("{act}")]
    Namespace {
        /// What was being done, as an imperative fragment.
        act: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The packet filter refused.
    #[error("{act}")]
    Filter {
        /// What was being done, as an imperative fragment.
        act: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A setting of the kernel could not be read or changed.
    #[error("set `{setting}`")]
    Setting {
        /// The file below `/proc/sys`.
        setting: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was changed of the machine could not be noted, to be changed back later.
    #[error("note which settings of this machine are changed")]
    Notes {
        /// Why.
        #[source]
        source: StoreError,
    },
    /// Somebody listens on the port.
    #[error("publish port {address}/{protocol}: {holder}")]
    PortTaken {
        /// The address with the port.
        address: SocketAddr,
        /// TCP or UDP.
        protocol: Protocol,
        /// Who listens there.
        holder: PortHolder,
    },
    /// The port is one that only root may open.
    #[error("publish port {address}/{protocol}: ports below {first_unprivileged} are root's here")]
    PortPrivileged {
        /// The address with the port.
        address: SocketAddr,
        /// TCP or UDP.
        protocol: Protocol,
        /// The first port that everybody may open.
        first_unprivileged: u16,
    },
    /// The host has no such address.
    #[error("publish port {address}/{protocol}: this machine has no such address")]
    NoSuchHostAddress {
        /// The address with the port.
        address: SocketAddr,
        /// TCP or UDP.
        protocol: Protocol,
    },
    /// A port could not be opened for another reason.
    #[error("publish port {address}/{protocol}")]
    Publish {
        /// The address with the port.
        address: SocketAddr,
        /// TCP or UDP.
        protocol: Protocol,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A range of host ports is not as long as that of the container, or backwards.
    #[error("publish ports {first}-{last}: the range is empty")]
    EmptyPortRange {
        /// The first port.
        first: u16,
        /// The last port.
        last: u16,
    },
    /// A socket of the name server or a published port did not work.
    #[error("{act}")]
    Serve {
        /// What was being done, as an imperative fragment.
        act: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A value would break the file that it goes into.
    #[error("write {what} `{value}` into `{file}`: {reason}")]
    BadHostsValue {
        /// What the value is.
        what: &'static str,
        /// The value, escaped.
        value: String,
        /// The file.
        file: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A record of names could not be written, read or removed.
    #[error("keep the names of `{container}`")]
    Record {
        /// The container.
        container: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The process that holds this user's namespaces did not do its part.
    #[error("{act}")]
    Holder {
        /// What was being done, as an imperative fragment.
        act: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program that maps ids or reaches out did not work.
    #[error("run `{program}`: {said}")]
    Program {
        /// The program.
        program: &'static str,
        /// What it said, or how it ended.
        said: String,
    },
}
