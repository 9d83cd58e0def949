//! Names: who runs under which name, and the answers to questions about them.
//!
//! ```text
//! <run>/names/<network>/<container-id>.json     one record each, replaced whole
//! ```
//!
//! **Invariant:** a name is answered only to containers that share a network with its owner.
//! **Invariant:** a container whose networks are all internal never causes a packet to leave the host.

mod answer;
mod record;
mod table;
mod upstream;

pub(in crate::runtime::network) use answer::server_failure;
pub use answer::{Answer, Outside, Question, Transport, decide};
pub use record::{NameRecord, load, remove_record, write_record};
pub use table::{NameTable, NetworkNames};
pub use upstream::{ResolvConf, host_resolvers, parse_resolv_conf};
