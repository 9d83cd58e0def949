//! The embedded engine: actions onto this machine's own kernel, through `runtime`.
