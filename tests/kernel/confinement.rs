//! What a container may and may not do, read from inside it.

use consort::runtime::container::description::{
    DeviceRequest, Masks, NewPrivileges, Privilege, Rlimit,
};
use consort::runtime::container::seccomp::Seccomp;
use consort::runtime::kernel::sys;

use crate::sandbox::{Sandbox, chain, sh};
use crate::{needs_ids, needs_privileges};

const STATUS: &str = "grep -E '^Cap|NoNewPrivs|^Seccomp:' /proc/self/status";

fn assert_lines(output: &str, lines: &[&str]) {
    for line in lines {
        assert!(output.contains(line), "{line:?} in {output}");
    }
}

#[test]
fn capabilities_are_dockers_default_and_nothing_is_inherited() {
    needs_privileges!();
    assert_lines(
        &sh(STATUS),
        &[
            "CapInh:\t0000000000000000",
            "CapPrm:\t00000000a80425fb",
            "CapEff:\t00000000a80425fb",
            "CapBnd:\t00000000a80425fb",
            "CapAmb:\t0000000000000000",
            "NoNewPrivs:\t0",
            "Seccomp:\t2",
        ],
    );
}

#[test]
fn another_user_has_no_capabilities_in_force() {
    needs_privileges!();
    needs_ids!();
    let mut sandbox = Sandbox::new(STATUS);
    sandbox.description.user = "app".to_owned();
    assert_lines(
        &sandbox.run(),
        &[
            "CapInh:\t0000000000000000",
            "CapPrm:\t0000000000000000",
            "CapEff:\t0000000000000000",
            "CapBnd:\t00000000a80425fb",
            "CapAmb:\t0000000000000000",
        ],
    );
}

#[test]
fn capabilities_can_be_added_and_dropped() {
    needs_privileges!();
    let mut sandbox = Sandbox::new(STATUS);
    sandbox.description.confinement.cap_drop = vec!["ALL".to_owned()];
    sandbox.description.confinement.cap_add = vec!["NET_ADMIN".to_owned()];
    assert_lines(
        &sandbox.run(),
        &["CapEff:\t0000000000001000", "CapBnd:\t0000000000001000"],
    );
}

#[test]
fn no_new_privileges_holds_where_asked_for() {
    needs_privileges!();
    needs_ids!();
    let mut sandbox = Sandbox::new(STATUS);
    sandbox.description.confinement.new_privileges = NewPrivileges::Forbidden;
    sandbox.description.user = "1000:1000".to_owned();
    assert_lines(&sandbox.run(), &["NoNewPrivs:\t1", "Seccomp:\t2"]);
}

#[test]
fn a_privileged_container_is_confined_by_its_namespaces_only() {
    needs_privileges!();
    let mut sandbox = Sandbox::new(
        "grep -E '^CapEff|^Seccomp:' /proc/self/status; mount -t tmpfs none /tmp && echo mounted; \
         grep -c . /proc/self/mountinfo; grep ' /sys ' /proc/self/mountinfo; ls /dev | wc -l",
    );
    sandbox.description.confinement.privilege = Privilege::Privileged;
    sandbox.seccomp = Seccomp::Unconfined;
    let output = sandbox.run();
    assert_lines(&output, &["Seccomp:\t0", "mounted", " /sys rw,"]);
    assert!(!output.contains("a80425fb"), "{output}");
}

#[test]
fn masked_paths_are_empty_and_read_only_paths_cannot_be_written() {
    needs_privileges!();
    let output = sh(
        "for f in acpi asound interrupts kcore keys latency_stats sched_debug scsi timer_list \
         timer_stats slabinfo vmallocinfo pagetypeinfo; do p=/proc/$f; \
         if [ -d $p ]; then [ -z \"$(ls -A $p)\" ] || echo OPEN $p; \
         elif [ -e $p ]; then [ \"$(stat -c %t:%T $p)\" = 1:3 ] || echo OPEN $p; fi; done; \
         [ -z \"$(ls -A /sys/firmware)\" ] || echo OPEN firmware; \
         for p in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/fs/cgroup/memory/tasks \
         /proc/sys/net/core/somaxconn; do (echo x > $p) 2>/dev/null && echo WRITTEN $p; done; echo end",
    );
    assert_eq!(output, "end\n");
}

#[test]
fn masks_can_be_taken_away() {
    needs_privileges!();
    let mut sandbox =
        Sandbox::new("stat -c %F /proc/timer_list; grep -c ' /proc/' /proc/self/mountinfo");
    sandbox.description.confinement.masks = Masks::None;
    assert!(sandbox.run().ends_with("\n0\n"));
}

#[test]
fn namespaces_and_mounts_cannot_be_made() {
    needs_privileges!();
    let output = sh(
        "unshare -U true 2>&1; unshare -m true 2>&1; mount -t tmpfs none /tmp 2>&1; \
         mount -o remount,rw /proc/sys 2>&1; hostname other 2>&1; echo end",
    );
    assert!(!output.contains("BROKEN"), "{output}");
    assert_eq!(
        output.matches("ermitted").count() + output.matches("denied").count(),
        5,
        "{output}"
    );
}

#[test]
fn devices_can_be_made_but_only_the_usual_ones_opened() {
    needs_privileges!();
    if sys::in_user_namespace().unwrap() {
        eprintln!("skipped: nobody can make devices in a user namespace");
        return;
    }
    // 8:0 is the first disk, 1:1 the machine's memory.
    let output = sh(
        "mknod /tmp/disk b 8 0; mknod /tmp/mem c 1 1; mknod /tmp/null c 1 3; \
         for d in disk mem; do (cat < /tmp/$d) >/dev/null 2>&1 && echo OPEN $d; done; \
         cat /tmp/null && echo null",
    );
    assert_eq!(output, "null\n");
}

#[test]
fn a_requested_device_is_there_with_its_permissions() {
    needs_privileges!();
    let mut sandbox = Sandbox::new(
        "stat -c '%F %t:%T' /dev/fuse-here; (exec 3</dev/fuse-here) && echo read; \
         (exec 3>/dev/fuse-here) 2>/dev/null || echo no write",
    );
    sandbox.description.devices = vec![DeviceRequest {
        source: "/dev/kmsg".into(),
        target: "/dev/fuse-here".into(),
        permissions: "r".to_owned(),
    }];
    assert_lines(&sandbox.run(), &["character special file 1:b", "no write"]);
    sandbox.description.devices[0].source = "/etc/passwd".into();
    assert!(sandbox.try_run().is_err());
}

#[test]
fn users_and_groups_are_exactly_those_asked_for() {
    needs_privileges!();
    needs_ids!();
    for (user, groups, expected) in [
        ("", vec![], "0:0:0"),
        ("app", vec![], "1000:1000:1000 77"),
        ("app:extra", vec![], "1000:77:77"),
        (
            "1234",
            vec!["extra".to_owned(), "5".to_owned()],
            "1234:0:0 5 77",
        ),
        ("0:7", vec![], "0:7:7"),
    ] {
        let mut sandbox = Sandbox::new("echo $(id -u):$(id -g):$(id -G)");
        sandbox.description.user = user.to_owned();
        sandbox.description.groups = groups;
        assert_eq!(sandbox.run().trim(), expected, "{user}");
    }
    let mut sandbox = Sandbox::new("true");
    sandbox.description.user = "4294967296".to_owned();
    assert!(sandbox.try_run().is_err());
}

#[test]
fn an_id_that_this_user_namespace_does_not_have_is_named() {
    needs_privileges!();
    let mut sandbox = Sandbox::new("true");
    sandbox.description.user = "2000000000".to_owned();
    match sandbox.try_run() {
        Ok(_) => assert!(sys::maps_uid(2_000_000_000)),
        Err(error) => assert!(error.to_string().contains("2000000000"), "{error}"),
    }
}

#[test]
fn a_passwd_file_that_is_no_file_is_refused_at_once() {
    needs_privileges!();
    let mut sandbox = Sandbox::new("true");
    let passwd = sandbox.dir.path().join("etc/passwd");
    std::fs::remove_file(&passwd).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &passwd, fifo, 0o644.into(), 0).unwrap();
    let error = sandbox.try_run().unwrap_err();
    assert!(
        chain(&error).contains("not a regular file"),
        "{}",
        chain(&error)
    );
}

#[test]
fn limits_of_each_process_hold_and_what_cannot_be_raised_is_said() {
    needs_privileges!();
    let mut sandbox = Sandbox::new("ulimit -n; ulimit -Hn; ulimit -c");
    let limits = &mut sandbox.description.rlimits;
    limits.insert(
        "nofile".to_owned(),
        Rlimit {
            soft: 100,
            hard: 200,
        },
    );
    limits.insert("core".to_owned(), Rlimit { soft: 0, hard: 0 });
    assert_eq!(sandbox.run(), "100\n200\n0\n");
}

#[test]
fn kernel_settings_go_to_the_containers_own_namespaces() {
    needs_privileges!();
    let before = std::fs::read("/proc/sys/kernel/msgmax").unwrap();
    let mut sandbox = Sandbox::new(
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax \
         /proc/sys/net/ipv4/ip_forward",
    );
    let settings = &mut sandbox.description.sysctls;
    settings.insert("kernel.msgmax".to_owned(), "4242".to_owned());
    settings.insert("net.ipv4.ip_forward".to_owned(), "1".to_owned());
    assert_eq!(sandbox.run(), "0\n4242\n1\n");
    assert_eq!(std::fs::read("/proc/sys/kernel/msgmax").unwrap(), before);
    let mut sandbox = Sandbox::new("true");
    sandbox
        .description
        .sysctls
        .insert("kernel.core_pattern".to_owned(), "|/x".to_owned());
    assert!(sandbox.try_run().is_err());
}

#[test]
fn the_environment_is_what_was_said_and_nothing_of_ours() {
    needs_privileges!();
    let mut sandbox = Sandbox::new("env | sort");
    sandbox.description.env = ["A=1", "A=2", "CARGO*", "HOME_ONLY", "PATH=/bin"]
        .map(str::to_owned)
        .into();
    let output = sandbox.run();
    let lines: Vec<&str> = output
        .lines()
        .filter(|line| !line.starts_with("SHLVL=") && !line.starts_with("PWD="))
        .collect();
    assert_eq!(lines, ["A=2", "HOME=/root", "HOSTNAME=box", "PATH=/bin"]);
}
