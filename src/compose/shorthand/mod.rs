//! Short forms into long ones, so that every later stage meets one form only.

mod canonical;
mod ports;
mod volumes;

pub(crate) use canonical::{ParseErrors, canonical, clean_path};
pub use ports::{PortError, parse_port};
pub(crate) use volumes::volume_target;
pub use volumes::{VolumeError, parse_volume};
