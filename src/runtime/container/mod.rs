//! One OCI container: its processes, mounts, limits and confinement.
