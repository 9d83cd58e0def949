//! Networks: bridges, endpoints, addresses, the way out, published ports and names.
//!
//! A network is one bridge; a container's interface is one veth pair between its own namespace and
//! the bridge. As root the bridges live in the host's network namespace and leave it by NAT. As an
//! ordinary user they live in the namespace of that user's [`holder`].
//!
//! | file | turns what into what |
//! |---|---|
//! | [`address`] | pools and leases into subnets and addresses; pure |
//! | [`bridge`] | a network into a bridge with our mark |
//! | [`endpoint`] | a container into a namespace with interfaces |
//! | `rewire` | the interfaces of a container that runs into those it should have |
//! | [`nat`] | networks into one packet filter table |
//! | [`publish`] | wanted ports into listening sockets of the host |
//! | [`names`] | who runs under which name, as records, and the answers made of them |
//! | [`files`] | `/etc/hosts`, `/etc/resolv.conf` and `/etc/hostname` of a container |
//! | [`serve`] | the one thread that lives in the container's namespace: names and ports |
//! | [`holder`] | an ordinary user's namespaces, and sockets outside of them |

mod error;
mod links;
mod settings;
mod rewire;
pub mod address;
pub mod bridge;
pub mod endpoint;
pub mod nat;
pub mod publish;
pub mod names;
pub mod files;
pub mod serve;
pub mod holder;

pub use error::NetworkError;
pub use rewire::rewire;
