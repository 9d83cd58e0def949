//! A project into desired state: one exact spec per container, nothing left to decide.
