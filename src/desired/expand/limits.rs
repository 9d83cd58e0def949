//! Limits, devices and resource limits of processes.

use super::desk::Desk;
use crate::compose::model;
use crate::desired::{BlockIo, BlockRate, BlockWeight, DeviceSpec, Limits, Ulimit};
use crate::value::ByteSize;
use std::{collections::BTreeMap, path::PathBuf};

/// Zero and less mean no limit.
pub(super) fn bytes(size: Option<ByteSize>) -> Option<u64> {
    size.and_then(|size| u64::try_from(size.bytes()).ok())
        .filter(|bytes| *bytes > 0)
}

/// Values of the service itself win over those of `deploy`, which the loader has found equal.
pub(super) fn limits(desk: &mut Desk<'_>, model: &model::Service) -> Limits {
    let resources = model.deploy.as_ref().map(|deploy| &deploy.resources);
    let most = resources
        .and_then(|resources| resources.limits.clone())
        .unwrap_or_default();
    let promised = resources
        .and_then(|resources| resources.reservations.clone())
        .unwrap_or_default();
    if !promised.devices.is_empty() {
        desk.refuse_support(
            "deploy.resources.reservations.devices",
            "devices cannot be reserved",
        );
    }
    if promised.cpus > 0.0 {
        desk.notice(
            "deploy.resources.reservations.cpus",
            "processors are not reserved locally",
        );
    }
    let swappiness = model.mem_swappiness.map(ByteSize::bytes);
    Limits {
        cpu_nanos: cpu_nanos(model.cpus).or_else(|| cpu_nanos(most.cpus)),
        cpu_shares: positive(model.cpu_shares),
        cpu_quota_us: nonzero(model.cpu_quota),
        cpu_period_us: positive(model.cpu_period),
        cpu_rt_runtime_us: nonzero(model.cpu_rt_runtime),
        cpu_rt_period_us: positive(model.cpu_rt_period),
        cpuset: model.cpuset.clone(),
        memory_bytes: bytes(model.mem_limit).or_else(|| bytes(most.memory)),
        memory_reservation_bytes: bytes(model.mem_reservation).or_else(|| bytes(promised.memory)),
        memory_swap_bytes: model.memswap_limit.map(ByteSize::bytes).and_then(nonzero),
        memory_swappiness: swappiness.and_then(|percent| u8::try_from(percent).ok()),
        pids: nonzero(model.pids_limit).or_else(|| nonzero(most.pids)),
        oom_kill_disable: model.oom_kill_disable,
        oom_score_adj: i32::try_from(model.oom_score_adj)
            .ok()
            .filter(|score| *score != 0),
        block_io: block_io(model),
    }
}

/// A share of a processor in billionths, exact to a millionth.
fn cpu_nanos(cpus: f32) -> Option<u64> {
    let as_time = std::time::Duration::try_from_secs_f32(cpus).ok()?;
    let micros = u64::try_from((as_time.as_nanos() + 500) / 1_000).ok()?;
    (micros > 0).then(|| micros.saturating_mul(1_000))
}

fn positive(number: i64) -> Option<u64> {
    u64::try_from(number).ok().filter(|number| *number > 0)
}

fn nonzero(number: i64) -> Option<i64> {
    (number != 0).then_some(number)
}

fn block_io(model: &model::Service) -> BlockIo {
    let Some(config) = &model.blkio_config else {
        return BlockIo::default();
    };
    let rates = |list: &[model::Throttle]| {
        let rate = |throttle: &model::Throttle| {
            let path = PathBuf::from(&throttle.path);
            bytes(throttle.rate).map(|rate| BlockRate { path, rate })
        };
        list.iter().filter_map(rate).collect()
    };
    let weight = |device: &model::WeightDevice| BlockWeight {
        path: PathBuf::from(&device.path),
        weight: device.weight,
    };
    BlockIo {
        weight: (config.weight != 0).then_some(config.weight),
        weight_devices: config.weight_device.iter().map(weight).collect(),
        read_bps: rates(&config.device_read_bps),
        write_bps: rates(&config.device_write_bps),
        read_iops: rates(&config.device_read_iops),
        write_iops: rates(&config.device_write_iops),
    }
}

pub(super) fn ulimits(model: &model::Service) -> BTreeMap<String, Ulimit> {
    let limit = |(name, limit): (&String, &model::Ulimit)| {
        (
            name.clone(),
            Ulimit {
                soft: limit.soft(),
                hard: limit.hard(),
            },
        )
    };
    model.ulimits.iter().map(limit).collect()
}

pub(super) fn devices(desk: &mut Desk<'_>, model: &model::Service) -> Vec<DeviceSpec> {
    let mut devices = Vec::new();
    for device in &model.devices {
        let Some(source) = device.source.clone() else {
            desk.refuse_unknown("devices", "the `source` of a device".to_owned());
            continue;
        };
        if !source.starts_with('/') {
            desk.refuse_support("devices", "a device is a node below `/dev`, not a CDI name");
            continue;
        }
        let target = device.target.clone().unwrap_or_else(|| source.clone());
        let permissions = device
            .permissions
            .clone()
            .unwrap_or_else(|| "rwm".to_owned());
        devices.push(DeviceSpec {
            source,
            target,
            permissions,
        });
    }
    devices
}
