//! Limits of a container as the OCI `Spec` says them.

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources, LinuxThrottleDevice,
    LinuxThrottleDeviceBuilder, LinuxWeightDevice, LinuxWeightDeviceBuilder,
};
use std::path::Path;

use crate::runtime::container::description::{DeviceRate, DeviceWeight, Limits};
use crate::runtime::container::error::ContainerError;

/// Turns limits into resources, also for a running container; devices are not among them.
pub fn resources(limits: &Limits) -> Result<LinuxResources, ContainerError> {
    let mut memory = LinuxMemory::default();
    memory
        .set_limit(limits.memory_bytes)
        .set_reservation(limits.memory_reservation_bytes)
        .set_swap(limits.memory_and_swap_bytes)
        .set_swappiness(limits.swappiness)
        .set_disable_oom_killer(limits.oom_kill_disable.then_some(true));
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(limits.cpu_shares)
        .set_quota(limits.cpu_quota_us)
        .set_period(limits.cpu_period_us)
        .set_realtime_runtime(limits.cpu_realtime_runtime_us)
        .set_realtime_period(limits.cpu_realtime_period_us)
        .set_cpus(limits.cpuset_cpus.clone())
        .set_mems(limits.cpuset_mems.clone());
    let mut resources = LinuxResources::default();
    resources
        .set_memory(Some(memory))
        .set_cpu(Some(cpu))
        .set_pids(limits.pids.map(|limit| {
            let mut pids = LinuxPids::default();
            pids.set_limit(limit);
            pids
        }))
        .set_block_io(Some(block_io(limits)?));
    Ok(resources)
}

fn block_io(limits: &Limits) -> Result<LinuxBlockIo, ContainerError> {
    let weights: Result<Vec<_>, _> = limits.blkio_weight_device.iter().map(weight).collect();
    let rates = |list: &[DeviceRate]| list.iter().map(rate).collect::<Result<Vec<_>, _>>();
    let mut block_io = LinuxBlockIo::default();
    block_io
        .set_weight(limits.blkio_weight)
        .set_weight_device(Some(weights?))
        .set_throttle_read_bps_device(Some(rates(&limits.blkio_read_bps)?))
        .set_throttle_write_bps_device(Some(rates(&limits.blkio_write_bps)?))
        .set_throttle_read_iops_device(Some(rates(&limits.blkio_read_iops)?))
        .set_throttle_write_iops_device(Some(rates(&limits.blkio_write_iops)?));
    Ok(block_io)
}

fn weight(entry: &DeviceWeight) -> Result<LinuxWeightDevice, ContainerError> {
    let (major, minor) = device_number(&entry.path)?;
    LinuxWeightDeviceBuilder::default()
        .major(major)
        .minor(minor)
        .weight(entry.weight)
        .build()
        .map_err(|_| incomplete(&entry.path))
}

fn rate(entry: &DeviceRate) -> Result<LinuxThrottleDevice, ContainerError> {
    let (major, minor) = device_number(&entry.path)?;
    LinuxThrottleDeviceBuilder::default()
        .major(major)
        .minor(minor)
        .rate(entry.rate)
        .build()
        .map_err(|_| incomplete(&entry.path))
}

fn incomplete(path: &Path) -> ContainerError {
    ContainerError::setting(
        "a device limit",
        &path.display().to_string(),
        "it is incomplete",
    )
}

fn device_number(path: &Path) -> Result<(i64, i64), ContainerError> {
    let stat = rustix::fs::stat(path).map_err(|errno| ContainerError::HostFile {
        act: "limit device",
        path: path.to_owned(),
        source: errno.into(),
    })?;
    Ok((
        rustix::fs::major(stat.st_rdev).into(),
        rustix::fs::minor(stat.st_rdev).into(),
    ))
}
