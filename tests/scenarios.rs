//! End to end: each test is one obligation of the built program, as a user would meet it.
//!
//! They need the images of `tests/images` (`tests/prepare` builds them) and run as root and as an
//! ordinary user. What a machine cannot run says why.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test starts programs, reads and writes files, and stops at the first surprise"
)]

mod support;

mod scenarios {
    mod addresses;
    mod attached;
    mod bad_input;
    mod build_steps;
    mod clients;
    mod connections;
    mod containers;
    mod crash;
    mod damage;
    mod examples;
    mod build;
    mod files;
    mod image_store;
    mod images;
    mod joining;
    mod joined;
    mod lifecycle;
    mod networks;
    mod orders;
    mod output;
    mod power;
    mod remote;
    mod routes;
    mod run;
    mod storage;
    mod sweep;
    mod tools;
}
