//! The environment a program begins with.

use std::collections::BTreeMap;

use crate::runtime::container::description::{Description, Terminal};
use crate::runtime::container::users::Identity;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns the described environment with the usual variables where it does not say otherwise.
///
/// An entry without `=` is left out: nothing is ever taken from the host's environment by name.
pub(super) fn of(description: &Description, identity: &Identity) -> Vec<String> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut env: Vec<String> = Vec::new();
    for entry in &description.env {
        let Some((name, _)) = entry.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            continue;
        };
        if let Some(place) = places.get(name) {
            env[*place].clone_from(entry);
        } else {
            places.insert(name, env.len());
            env.push(entry.clone());
        }
    }
    let mut default = |name: &str, value: &str| {
        if !places.contains_key(name) {
            env.push(format!("{name}={value}"));
        }
    };
    default("PATH", DEFAULT_PATH);
    if let Some(hostname) = &description.hostname {
        default("HOSTNAME", hostname);
    }
    if description.terminal == Terminal::Yes {
        default("TERM", "xterm");
    }
    default("HOME", &identity.home);
    env
}
