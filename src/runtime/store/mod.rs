//! Files under the state directory: layout, locks, atomic writes, journal.
