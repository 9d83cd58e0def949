//! Files under the state directory: their layout, locks, atomic writes and the journal.
//!
//! **Invariant:** a file becomes visible by one rename after its bytes are complete; a reader never
//! meets half a record. **Invariant:** liveness is a held `flock`, never a bare pid in a file.

mod atomic;
mod claim;
mod damaged;
mod error;
mod journal;
mod layout;
mod lock;
mod run_base;

pub use atomic::{
    Durability, Exclusive, is_in_memory, link_exclusively, make_dir, make_top_dir, open_append,
    read_bounded, read_json, read_link, remove_tree, write_atomic, write_json,
};
pub use claim::{is_same_file, lock_dir, lock_file, names_in, remove_abandoned};
pub use damaged::set_aside;
pub use error::StoreError;
pub use journal::{Entry, Fate, Journal, Pending};
pub use layout::{LAYOUT_VERSION, Layout};
pub use lock::{Contention, FileLock, LockHolder, Predecessor, retire};
pub use run_base::run_base;
