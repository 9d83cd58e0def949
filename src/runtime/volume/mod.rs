//! Volumes: named, anonymous, bind and tmpfs.
