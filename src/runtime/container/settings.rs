//! A `Process` of a `Spec` → settings that the kernel can be given, and what of it cannot be had.

use std::collections::BTreeSet;

use oci_spec::runtime::{Capabilities, Process, User};
use rustix::process::Resource;
use rustix::thread::CapabilitySet;

use super::cgroup::Unenforced;
use super::error::ContainerError;
use super::init::{ProcessSettings, RESOURCES, resource_number};
use super::seccomp::Seccomp;
use super::spec::capability_names;
use crate::runtime::kernel::{confine, sys};

/// Turns a process into settings; what is more than we have ourselves is cut down and
/// named.
pub(super) fn of(
    process: &Process,
    seccomp: &Seccomp,
) -> Result<(ProcessSettings, Vec<Unenforced>), ContainerError> {
    let mut missing = Vec::new();
    let bounding = capability_bits(process, &mut missing);
    let names: BTreeSet<String> = names_of(bounding);
    let filter = seccomp.compile(&names)?.map(|program| {
        let plain = program
            .iter()
            .map(|one| (one.code, one.jump_true, one.jump_false, one.operand));
        plain.collect()
    });
    let user = process.user();
    check_mapped(user)?;
    let settings = ProcessSettings {
        args: process.args().clone().unwrap_or_default(),
        env: process.env().clone().unwrap_or_default(),
        cwd: process.cwd().clone(),
        uid: user.uid(),
        gid: user.gid(),
        groups: groups(user, &mut missing),
        umask: user.umask(),
        capabilities: all_sets(process, bounding),
        no_new_privileges: process.no_new_privileges().unwrap_or(false),
        apparmor: apparmor(process.apparmor_profile().as_deref())?,
        oom_score_adj: oom_score(process.oom_score_adj(), &mut missing),
        rlimits: rlimits(process, &mut missing),
        filter,
        terminal: process.terminal().unwrap_or(false),
    };
    Ok((settings, missing))
}

/// Refuses ids that this user namespace does not have; the kernel would only say "invalid argument".
fn check_mapped(user: &User) -> Result<(), ContainerError> {
    let reason = "this user namespace does not have that id; subordinate ids in /etc/subuid and \
                  /etc/subgid would give it some";
    if !sys::maps_uid(user.uid()) {
        return Err(ContainerError::setting(
            "a user",
            &user.uid().to_string(),
            reason,
        ));
    }
    let groups = [user.gid()]
        .into_iter()
        .chain(user.additional_gids().iter().flatten().copied());
    for gid in groups {
        if !sys::maps_gid(gid) {
            return Err(ContainerError::setting("a group", &gid.to_string(), reason));
        }
    }
    Ok(())
}

fn groups(user: &User, missing: &mut Vec<Unenforced>) -> Option<Vec<u32>> {
    let wanted = user.additional_gids().as_deref().unwrap_or_default();
    if !sys::setgroups_denied() {
        return Some(wanted.to_vec());
    }
    if wanted.iter().any(|group| *group != user.gid()) {
        let why = "this user namespace has one group only";
        missing.push(Unenforced::new("supplementary groups", why));
    }
    None
}

/// Returns what the program may at most have: what is asked for and what we can hand on.
fn capability_bits(process: &Process, missing: &mut Vec<Unenforced>) -> CapabilitySet {
    let wanted = bits(
        process
            .capabilities()
            .as_ref()
            .and_then(|sets| sets.bounding().as_ref()),
    );
    let own = confine::own_bounding();
    // All of them means all that there are.
    let everything = wanted.bits().count_ones() as usize == capability_names().len();
    if !everything {
        for name in names_of(wanted.difference(own)) {
            let why = "this process does not have it to give";
            missing.push(Unenforced::new(format!("capability {name}"), why));
        }
    }
    wanted.intersection(own)
}

fn all_sets(process: &Process, bounding: CapabilitySet) -> [u64; 5] {
    let sets = process.capabilities().as_ref();
    let set = |wanted: Option<&Capabilities>| bits(wanted).intersection(bounding).bits();
    [
        bounding.bits(),
        set(sets.and_then(|sets| sets.effective().as_ref())),
        set(sets.and_then(|sets| sets.permitted().as_ref())),
        set(sets.and_then(|sets| sets.inheritable().as_ref())),
        set(sets.and_then(|sets| sets.ambient().as_ref())),
    ]
}

fn bits(names: Option<&Capabilities>) -> CapabilitySet {
    let names = names.into_iter().flatten().filter_map(|capability| {
        // The `Spec` writes them with or without the prefix.
        let name = capability.to_string();
        let bare = name.strip_prefix("CAP_").unwrap_or(&name);
        capability_names()
            .iter()
            .position(|known| known.strip_prefix("CAP_") == Some(bare))
    });
    names
        .map(|number| CapabilitySet::from_bits_retain(1 << number))
        .collect()
}

fn names_of(set: CapabilitySet) -> BTreeSet<String> {
    let numbered = capability_names().iter().enumerate();
    let found = numbered.filter(|(number, _)| set.bits() & (1 << number) != 0);
    found.map(|(_, name)| (*name).to_owned()).collect()
}

fn apparmor(profile: Option<&str>) -> Result<Option<String>, ContainerError> {
    let Some(profile) = profile.filter(|profile| !profile.is_empty()) else {
        return Ok(None);
    };
    let active = std::fs::read("/sys/module/apparmor/parameters/enabled")
        .is_ok_and(|text| text.starts_with(b"Y"));
    match (active, profile) {
        (true, profile) => Ok(Some(profile.to_owned())),
        (false, "unconfined") => Ok(None),
        (false, profile) => {
            let reason = "AppArmor is not active on this machine";
            Err(ContainerError::setting(
                "an AppArmor profile",
                profile,
                reason,
            ))
        }
    }
}

/// Only who may raise resource limits may lower the score below his own.
fn oom_score(wanted: Option<i32>, missing: &mut Vec<Unenforced>) -> Option<i32> {
    let wanted = wanted?;
    let text = std::fs::read("/proc/self/oom_score_adj").unwrap_or_default();
    let own: i32 = String::from_utf8_lossy(&text).trim().parse().unwrap_or(0);
    if wanted >= own || may_raise_limits() {
        return Some(wanted);
    }
    let why = format!("it cannot go below our own, {own}");
    missing.push(Unenforced::new(format!("oom_score_adj {wanted}"), why));
    Some(own)
}

fn may_raise_limits() -> bool {
    let in_user_namespace = sys::in_user_namespace().unwrap_or(true);
    !in_user_namespace && confine::own_bounding().contains(CapabilitySet::SYS_RESOURCE)
}

/// Cuts limits down to what we have where we may not raise them.
fn rlimits(process: &Process, missing: &mut Vec<Unenforced>) -> Vec<(usize, u64, u64)> {
    let may_raise = may_raise_limits();
    let limits = process.rlimits().iter().flatten().map(|limit| {
        let number = resource_number(limit.typ());
        let own = own_hard_limit(RESOURCES[number]);
        if may_raise || limit.hard() <= own {
            return (number, limit.soft(), limit.hard());
        }
        let why = format!("it cannot be raised above our own, {own}");
        missing.push(Unenforced::new(format!("ulimit {}", limit.typ()), why));
        (number, limit.soft().min(own), own)
    });
    limits.collect()
}

fn own_hard_limit(resource: Resource) -> u64 {
    rustix::process::getrlimit(resource)
        .maximum
        .unwrap_or(u64::MAX)
}
