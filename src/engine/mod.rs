//! Who acts: one action into a changed machine, and what is there into observed state.
pub mod embedded;
