//! What is there: plain data that every engine reports back.
//!
//! **Invariant:** nothing here is chosen or compared. Of several things that could be meant, all
//! are reported; choosing is planning.

mod state;
mod container;
mod resource;

pub use container::{
    Health, Join, ObservedContainer, ObservedEndpoint, ObservedPort, OneOff, RunState, StoredSpec,
};
pub use resource::{
    NetworkUser, ObservedImage, ObservedNetwork, ObservedVolume, Occupant, OccupiedSubnet,
};
pub use state::{Damage, ImageQuery, ObservedState, ProjectSummary, Refresh, Scope, Subnets};
