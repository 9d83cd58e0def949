//! Resources of an OCI `Spec` → values in the files of v1 and v2 cgroups.

use std::collections::BTreeSet;
use std::path::Path;

use oci_spec::runtime::{LinuxBlockIo, LinuxResources, LinuxThrottleDevice};

use super::{Cgroup, Hierarchies, Unenforced, devices, file};
use crate::runtime::container::error::ContainerError;

/// One value to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting {
    /// In the user's words.
    what: &'static str,
    controller: &'static str,
    v1: Option<(&'static str, String)>,
    v2: Option<(&'static str, String)>,
}

/// Writes all limits; says which ones could not be had, and fails on those that make no sense.
pub(super) fn apply(
    cgroup: &Cgroup,
    hierarchies: &Hierarchies,
    resources: &LinuxResources,
) -> Result<Vec<Unenforced>, ContainerError> {
    let mut unenforced = Vec::new();
    for setting in settings(resources) {
        if !write(cgroup, hierarchies, &setting)? {
            unenforced.push(Unenforced::new(setting.what, reason(cgroup)));
        }
    }
    for (name, value) in resources.unified().iter().flatten() {
        let written = cgroup
            .v2
            .as_deref()
            .map(|dir| file::write(dir, name, value));
        match written {
            Some(Ok(())) => {}
            Some(Err(error)) if !file::is_out_of_reach(&error) => return Err(error),
            Some(Err(_)) | None => unenforced.push(Unenforced::new(name, reason(cgroup))),
        }
    }
    let rules = resources.devices().as_deref().unwrap_or_default();
    if !devices::apply(cgroup, rules)? {
        unenforced.push(Unenforced::new("device rules", reason(cgroup)));
    }
    unenforced.dedup();
    Ok(unenforced)
}

fn reason(cgroup: &Cgroup) -> &'static str {
    if cgroup.is_empty() {
        "no cgroup is delegated to this user"
    } else {
        "the controller is not available here"
    }
}

/// Says whether the value could be written.
fn write(
    cgroup: &Cgroup,
    hierarchies: &Hierarchies,
    setting: &Setting,
) -> Result<bool, ContainerError> {
    let place = if hierarchies.v1_of(setting.controller).is_some() {
        cgroup.v1_dir(setting.controller).zip(setting.v1.as_ref())
    } else {
        cgroup.v2.as_deref().zip(setting.v2.as_ref())
    };
    let Some((dir, (name, value))) = place else {
        return Ok(false);
    };
    match write_value(dir, name, value) {
        Ok(()) => Ok(true),
        Err(error) if file::is_out_of_reach(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn write_value(dir: &Path, name: &str, value: &str) -> Result<(), ContainerError> {
    let first = file::write(dir, name, value);
    if first.is_ok() || name != MEMORY_V1 {
        return first;
    }
    // The sum with swap may not lie below: it is raised first when the limit rises past it.
    file::write(dir, MEMORY_AND_SWAP_V1, value)?;
    file::write(dir, name, value)
}

const MEMORY_V1: &str = "memory.limit_in_bytes";
const MEMORY_AND_SWAP_V1: &str = "memory.memsw.limit_in_bytes";

/// Returns the v1 controllers beyond the usual ones that these resources need.
pub(super) fn v1_controllers(resources: &LinuxResources) -> BTreeSet<&'static str> {
    settings(resources)
        .into_iter()
        .map(|setting| setting.controller)
        .collect()
}

/// Returns the v2 controllers that these resources need, and those that count.
pub(super) fn v2_controllers(resources: &LinuxResources) -> BTreeSet<&'static str> {
    let mut wanted: BTreeSet<&str> = ["memory", "pids", "cpu"].into();
    for setting in settings(resources) {
        wanted.insert(if setting.controller == "blkio" {
            "io"
        } else {
            setting.controller
        });
    }
    wanted
}

fn settings(resources: &LinuxResources) -> Vec<Setting> {
    let mut all = Vec::new();
    memory(resources, &mut all);
    cpu(resources, &mut all);
    if let Some(pids) = resources.pids() {
        let limit = if pids.limit() > 0 {
            pids.limit().to_string()
        } else {
            "max".to_owned()
        };
        all.push(both("pids limit", "pids", "pids.max", "pids.max", limit));
    }
    if let Some(block_io) = resources.block_io() {
        block(block_io, &mut all);
    }
    all
}

fn both(
    what: &'static str,
    controller: &'static str,
    v1: &'static str,
    v2: &'static str,
    value: String,
) -> Setting {
    Setting {
        what,
        controller,
        v1: Some((v1, value.clone())),
        v2: Some((v2, value)),
    }
}

fn v1_only(
    what: &'static str,
    controller: &'static str,
    name: &'static str,
    value: &dyn ToString,
) -> Setting {
    Setting {
        what,
        controller,
        v1: Some((name, value.to_string())),
        v2: None,
    }
}

fn memory(resources: &LinuxResources, all: &mut Vec<Setting>) {
    let Some(memory) = resources.memory() else {
        return;
    };
    let words = |bytes: i64| {
        if bytes < 0 {
            "max".to_owned()
        } else {
            bytes.to_string()
        }
    };
    if let Some(bytes) = memory.limit() {
        all.push(Setting {
            what: "memory limit",
            controller: "memory",
            v1: Some((MEMORY_V1, bytes.to_string())),
            v2: Some(("memory.max", words(bytes))),
        });
    }
    if let Some(bytes) = memory.reservation() {
        all.push(Setting {
            what: "memory reservation",
            controller: "memory",
            v1: Some(("memory.soft_limit_in_bytes", bytes.to_string())),
            v2: Some(("memory.low", words(bytes))),
        });
    }
    if let Some(sum) = memory.swap() {
        // v1 limits memory and swap together, v2 swap alone.
        let swap = match (sum, memory.limit()) {
            (..0, _) => "max".to_owned(),
            (sum, limit) => sum.saturating_sub(limit.unwrap_or(0)).max(0).to_string(),
        };
        all.push(Setting {
            what: "swap limit",
            controller: "memory",
            v1: Some((MEMORY_AND_SWAP_V1, sum.to_string())),
            v2: Some(("memory.swap.max", swap)),
        });
    }
    if let Some(swappiness) = memory.swappiness() {
        all.push(v1_only(
            "memory swappiness",
            "memory",
            "memory.swappiness",
            &swappiness,
        ));
    }
    if memory.disable_oom_killer() == Some(true) {
        all.push(v1_only(
            "oom_kill_disable",
            "memory",
            "memory.oom_control",
            &1,
        ));
    }
}

const DEFAULT_PERIOD_US: u64 = 100_000;

fn cpu(resources: &LinuxResources, all: &mut Vec<Setting>) {
    let Some(cpu) = resources.cpu() else { return };
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
        all.push(Setting {
            what: "cpu shares",
            controller: "cpu",
            v1: Some(("cpu.shares", shares.to_string())),
            v2: Some(("cpu.weight", weight_of_shares(shares).to_string())),
        });
    }
    let period = cpu.period().filter(|period| *period != 0);
    if let Some(period) = period {
        all.push(v1_period(period));
    }
    let quota = cpu.quota().filter(|quota| *quota != 0);
    if quota.is_some() || period.is_some() {
        let quota = quota.unwrap_or(-1);
        let words = if quota < 0 {
            "max".to_owned()
        } else {
            quota.to_string()
        };
        let period = period.unwrap_or(DEFAULT_PERIOD_US);
        all.push(Setting {
            what: "cpu limit",
            controller: "cpu",
            v1: Some(("cpu.cfs_quota_us", quota.to_string())),
            v2: Some(("cpu.max", format!("{words} {period}"))),
        });
    }
    if let Some(period) = cpu.realtime_period() {
        all.push(v1_only(
            "cpu real-time period",
            "cpu",
            "cpu.rt_period_us",
            &period,
        ));
    }
    if let Some(runtime) = cpu.realtime_runtime() {
        all.push(v1_only(
            "cpu real-time runtime",
            "cpu",
            "cpu.rt_runtime_us",
            &runtime,
        ));
    }
    if let Some(cpus) = cpu.cpus().as_ref().filter(|cpus| !cpus.is_empty()) {
        all.push(both(
            "cpuset",
            "cpuset",
            "cpuset.cpus",
            "cpuset.cpus",
            cpus.clone(),
        ));
    }
    if let Some(mems) = cpu.mems().as_ref().filter(|mems| !mems.is_empty()) {
        all.push(both(
            "cpuset memory",
            "cpuset",
            "cpuset.mems",
            "cpuset.mems",
            mems.clone(),
        ));
    }
}

/// On v2 the period goes into the same file as the quota.
fn v1_period(period: u64) -> Setting {
    let value = ("cpu.cfs_period_us", period.to_string());
    Setting {
        what: "cpu limit",
        controller: "cpu",
        v1: Some(value),
        v2: Some(("cpu.max", format!("max {period}"))),
    }
}

/// Maps 2..262144 (usually 1024) to 1..10000 (usually 100, here 39) as systemd and runc do.
fn weight_of_shares(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

fn block(block_io: &LinuxBlockIo, all: &mut Vec<Setting>) {
    if let Some(weight) = block_io.weight().filter(|weight| *weight != 0) {
        all.push(both(
            "blkio weight",
            "blkio",
            "blkio.bfq.weight",
            "io.bfq.weight",
            weight.to_string(),
        ));
    }
    for device in block_io.weight_device().iter().flatten() {
        let weight = device.weight().unwrap_or(0);
        let value = format!("{}:{} {weight}", device.major(), device.minor());
        all.push(both(
            "blkio weight",
            "blkio",
            "blkio.bfq.weight_device",
            "io.bfq.weight",
            value,
        ));
    }
    let throttles = [
        (
            "blkio.throttle.read_bps_device",
            "rbps",
            block_io.throttle_read_bps_device(),
        ),
        (
            "blkio.throttle.write_bps_device",
            "wbps",
            block_io.throttle_write_bps_device(),
        ),
        (
            "blkio.throttle.read_iops_device",
            "riops",
            block_io.throttle_read_iops_device(),
        ),
        (
            "blkio.throttle.write_iops_device",
            "wiops",
            block_io.throttle_write_iops_device(),
        ),
    ];
    for (v1, key, list) in throttles {
        all.extend(
            list.iter()
                .flatten()
                .map(|device| throttle(v1, key, device)),
        );
    }
}

fn throttle(v1: &'static str, key: &str, device: &LinuxThrottleDevice) -> Setting {
    let (major, minor, rate) = (device.major(), device.minor(), device.rate());
    Setting {
        what: "blkio rate",
        controller: "blkio",
        v1: Some((v1, format!("{major}:{minor} {rate}"))),
        v2: Some(("io.max", format!("{major}:{minor} {key}={rate}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::{LinuxCpu, LinuxMemory};

    #[test]
    fn swap_is_a_sum_on_v1_and_alone_on_v2() {
        let mut memory = LinuxMemory::default();
        memory.set_limit(Some(100)).set_swap(Some(250));
        let mut resources = LinuxResources::default();
        resources.set_memory(Some(memory));
        let all = settings(&resources);
        assert_eq!(all[1].v1, Some((MEMORY_AND_SWAP_V1, "250".to_owned())));
        assert_eq!(all[1].v2, Some(("memory.swap.max", "150".to_owned())));
    }

    #[test]
    fn quota_and_period_are_one_value_on_v2() {
        let mut cpu = LinuxCpu::default();
        cpu.set_quota(Some(50_000)).set_period(Some(200_000));
        let mut resources = LinuxResources::default();
        resources.set_cpu(Some(cpu));
        let all = settings(&resources);
        assert_eq!(
            all.last().unwrap().v2,
            Some(("cpu.max", "50000 200000".to_owned()))
        );
    }

    #[test]
    fn shares_keep_their_ends_as_weight() {
        assert_eq!(weight_of_shares(2), 1);
        assert_eq!(weight_of_shares(1024), 39);
        assert_eq!(weight_of_shares(262_144), 10_000);
    }
}
