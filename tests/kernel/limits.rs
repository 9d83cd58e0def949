//! What a container as a whole may use.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use consort::runtime::container::cgroup::{Hierarchies, Mode, Sought, leftovers};
use consort::runtime::container::description::Limits;
use consort::runtime::container::spec;
use consort::runtime::kernel::bpf::{DeviceAnswer, DeviceKind, DeviceRule, attach_device_rules};
use consort::runtime::kernel::clone::{CloneOptions, spawn};
use consort::runtime::kernel::namespace::Namespaces;
use consort::runtime::kernel::pidfd::{Exit, Pidfd};
use consort::runtime::kernel::sys;

use crate::needs_privileges;
use crate::sandbox::{Sandbox, captured, finish};

/// Says whether limits can be set here at all.
fn has_limits() -> bool {
    let hierarchies = Hierarchies::detect().unwrap();
    let writable = rustix::fs::access("/sys/fs/cgroup", rustix::fs::Access::WRITE_OK).is_ok();
    if hierarchies.mode() == Mode::None || !writable {
        eprintln!("skipped: no cgroups to write to");
    }
    hierarchies.mode() != Mode::None && writable
}

fn limited(script: &str) -> Sandbox {
    let mut sandbox = Sandbox::new(script);
    sandbox.description.limits = Limits {
        memory_bytes: Some(64 << 20),
        memory_and_swap_bytes: Some(64 << 20),
        pids: Some(20),
        cpu_quota_us: Some(50_000),
        cpu_period_us: Some(100_000),
        cpu_shares: Some(512),
        ..Limits::default()
    };
    sandbox
}

#[test]
fn limits_are_in_force_before_the_program_runs() {
    needs_privileges!();
    if !has_limits() {
        return;
    }
    let script = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory.max 2>/dev/null; \
        cat pids/pids.max pids.max 2>/dev/null; cat cpu/cpu.cfs_quota_us cpu/cpu.shares cpu.max 2>/dev/null; \
        cat pids/tasks cgroup.procs 2>/dev/null | grep -c .";
    let mut sandbox = limited(script);
    let (mut reader, stdio) = captured();
    let created = sandbox.create(stdio).unwrap();
    assert_eq!(created.unenforced(), []);
    let container = created.start().unwrap();
    let mut output = String::new();
    std::io::Read::read_to_string(&mut reader, &mut output).unwrap();
    finish(&container);
    assert!(output.starts_with("67108864\n20\n50000"), "{output}");
}

#[test]
fn a_program_that_takes_too_much_memory_is_ended_and_that_is_known() {
    needs_privileges!();
    if !has_limits() {
        return;
    }
    // The shell holds all of it in one string.
    let mut sandbox =
        limited("x=$(dd if=/dev/zero bs=1M count=100 2>/dev/null | tr '\\0' x); echo $?");
    sandbox.description.limits.memory_bytes = Some(16 << 20);
    sandbox.description.limits.memory_and_swap_bytes = Some(16 << 20);
    let (_reader, stdio) = captured();
    let container = sandbox.create(stdio).unwrap().start().unwrap();
    assert!(container.process().wait_until_ended(Some(20_000)).unwrap());
    assert!(container.cgroup().oom_kills().unwrap() > 0);
    assert_eq!(finish(&container), Exit::Signal(9));
}

#[test]
fn a_fork_bomb_stops_at_the_limit_and_goes_with_the_container() {
    needs_privileges!();
    if !has_limits() {
        return;
    }
    let mut sandbox = limited("b() { b | b & }; b; echo up; sleep 1000");
    let (mut reader, stdio) = captured();
    let container = sandbox.create(stdio).unwrap().start().unwrap();
    let mut byte = [0; 1];
    std::io::Read::read_exact(&mut reader, &mut byte).unwrap();
    assert!(container.stats().pids.unwrap() <= 20);
    assert!(container.kill_all(10_000).unwrap());
    assert_eq!(container.processes().unwrap(), Vec::<i32>::new());
    finish(&container);
}

#[test]
fn limits_can_be_changed_while_it_runs_and_use_is_counted() {
    needs_privileges!();
    if !has_limits() {
        return;
    }
    let mut sandbox = limited("echo up; sleep 1000");
    let (mut reader, stdio) = captured();
    let mut container = sandbox.create(stdio).unwrap().start().unwrap();
    let mut byte = [0; 1];
    std::io::Read::read_exact(&mut reader, &mut byte).unwrap();
    let stats = container.stats();
    assert_eq!(stats.memory_limit_bytes, Some(64 << 20));
    assert!(stats.memory_bytes.unwrap() > 0);
    assert!(stats.cpu_us.unwrap() > 0);
    let limits = Limits {
        memory_bytes: Some(128 << 20),
        memory_and_swap_bytes: Some(256 << 20),
        cpuset_cpus: Some("0".to_owned()),
        ..Limits::default()
    };
    let hierarchies = Hierarchies::detect().unwrap();
    let resources = spec::resources(&limits).unwrap();
    assert_eq!(
        container
            .cgroup_mut()
            .update(&hierarchies, &resources)
            .unwrap(),
        []
    );
    assert_eq!(container.stats().memory_limit_bytes, Some(128 << 20));
    let status = std::fs::read(format!("/proc/{}/status", container.process().pid())).unwrap();
    assert!(
        String::from_utf8(status)
            .unwrap()
            .contains("Cpus_allowed_list:\t0\n")
    );
    container.kill_all(5_000).unwrap();
    finish(&container);
}

#[test]
fn left_over_cgroups_are_found_by_name_and_nothing_else_is() {
    needs_privileges!();
    if !has_limits() {
        return;
    }
    let mut sandbox = limited("sleep 1000");
    let (_reader, stdio) = captured();
    let container = sandbox.create(stdio).unwrap().start().unwrap();
    let hierarchies = Hierarchies::detect().unwrap();
    let territory = sys::territory().unwrap();
    let of = |projects: &dyn Fn(&str) -> bool, names: &dyn Fn(&str) -> bool| {
        leftovers(&hierarchies, territory, Sought { projects, names })
    };
    let of_others = of(&|project| project != "tests", &|_| true);
    assert!(of_others.keys().all(|path| !path.starts_with("tests/")));
    let name = sandbox.name().to_owned();
    let of_other_names = of(&|project| project == "tests", &|own| own != name);
    assert!(!of_other_names.contains_key(&format!("tests/{name}")));
    let found = of(&|project| project == "tests", &|own| own == name);
    let ours = found.get(&format!("tests/{name}")).unwrap();
    assert_eq!(ours.processes().unwrap(), container.processes().unwrap());
    assert!(
        ours.remove().is_err(),
        "a cgroup with processes in it was removed"
    );
    container.kill_all(5_000).unwrap();
    finish(&container);
    assert_eq!(remains(&name), Vec::<PathBuf>::new());
}

fn remains(name: &str) -> Vec<PathBuf> {
    let mounts = std::fs::read_dir("/sys/fs/cgroup")
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    let dirs = mounts.chain([Path::new("/sys/fs/cgroup").to_owned()]);
    dirs.map(|dir| dir.join("consort/tests").join(name))
        .filter(|dir| dir.exists())
        .collect()
}

#[test]
fn device_rules_hold_in_a_v2_cgroup() {
    needs_privileges!();
    let base = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
    let Some(base) = base
        .into_iter()
        .find(|base| base.join("cgroup.procs").exists())
    else {
        eprintln!("skipped: no cgroup v2");
        return;
    };
    if sys::in_user_namespace().unwrap() {
        eprintln!("skipped: only the machine's root may load such a program");
        return;
    }
    let dir = base.join(format!("consort-test-{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    let rule = |answer, minor, write| DeviceRule {
        answer,
        kind: Some(DeviceKind::Character),
        major: Some(1),
        minor,
        read: true,
        write,
        make_node: true,
    };
    let rules = [
        rule(DeviceAnswer::Deny, None, true),
        rule(DeviceAnswer::Allow, Some(3), true),
        rule(DeviceAnswer::Allow, Some(5), false),
    ];
    let cgroup = std::fs::File::open(&dir).unwrap();
    let attached = attach_device_rules(cgroup.as_fd(), &rules);
    let open = |path: &std::ffi::CStr, flags| rustix::fs::open(path, flags, 0.into()).is_ok();
    let mut child = || {
        let read = rustix::fs::OFlags::RDONLY;
        let write = rustix::fs::OFlags::WRONLY;
        i32::from(open(c"/dev/null", read))
            | i32::from(open(c"/dev/null", write)) << 1
            | i32::from(open(c"/dev/zero", read)) << 2
            | i32::from(open(c"/dev/zero", write)) << 3
            | i32::from(open(c"/dev/full", read)) << 4
            | i32::from(open(c"/dev/tty0", read)) << 5
    };
    let options = CloneOptions {
        namespaces: Namespaces::empty(),
        cgroup: Some(cgroup.as_fd()),
    };
    let made = spawn(&options, &mut child).unwrap();
    let process = Pidfd::from_parts(made.pidfd, made.pid.as_raw_nonzero().get());
    assert!(process.wait_until_ended(Some(5_000)).unwrap());
    let exit = process.exit(0).unwrap();
    std::fs::remove_dir(&dir).unwrap();
    attached.unwrap();
    // The last rule that matches decides; what none speaks of is refused.
    assert_eq!(exit, Some(Exit::Code(0b00_0111)));
}
