//! The kernel's edge: the only room with `unsafe`, and with system calls that others would repeat.
