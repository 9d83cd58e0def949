//! What a container sees mounted, and what it may write to.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use consort::runtime::container::description::{
    DeviceRequest, MountRequest, MountSource, RootAccess,
};
use consort::runtime::kernel::mount::{
    FsContext, Propagation, Restrictions, attach, set_propagation_of_all,
};
use consort::runtime::kernel::namespace::{Namespaces, unshare};
use consort::runtime::kernel::sys;

use crate::needs_privileges;
use crate::sandbox::{Sandbox, chain, sh, write};

fn mount(source: MountSource, target: &str, access: RootAccess) -> MountRequest {
    MountRequest {
        source,
        target: target.into(),
        access,
        options: Vec::new(),
    }
}

#[test]
fn only_three_descriptors_are_open() {
    needs_privileges!();
    // The fourth is the directory that `ls` reads.
    assert_eq!(sh("ls /proc/self/fd | wc -l").trim(), "4");
}

#[test]
fn nothing_of_the_host_is_mounted() {
    needs_privileges!();
    let output = sh("cat /proc/self/mountinfo");
    for line in output.lines() {
        let target = line.split(' ').nth(4).unwrap();
        let ours = ["/", "/proc", "/sys", "/dev"];
        assert!(
            ours.contains(&target)
                || ours[1..]
                    .iter()
                    .any(|root| target.starts_with(&format!("{root}/"))),
            "{line}"
        );
        assert!(!line.contains("shared:"), "{line}");
    }
    assert!(output.contains(" /sys ro,"), "{output}");
    assert!(output.contains("/sys/fs/cgroup"), "{output}");
}

#[test]
fn dev_holds_what_programs_expect_and_no_more() {
    needs_privileges!();
    let output = sh(
        "cd /dev; ls -l; for d in null zero full random urandom tty ptmx; do \
        stat -c '%n %F %t:%T %a' -L $d; done; dd if=/dev/zero bs=16 count=1 2>/dev/null | wc -c; \
        echo x > /dev/null && echo written; stat -c '%a' /dev/shm",
    );
    for line in [
        "null character special file 1:3 666",
        "zero character special file 1:5 666",
        "full character special file 1:7 666",
        "random character special file 1:8 666",
        "urandom character special file 1:9 666",
        "tty character special file 5:0 666",
        "ptmx character special file 5:2 666",
        "16\n",
        "written",
        "\n1777\n",
        "fd -> /proc/self/fd",
        "stdin -> /proc/self/fd/0",
        "stderr -> /proc/self/fd/2",
    ] {
        assert!(output.contains(line), "{line:?} in {output}");
    }
    assert_eq!(
        sh("ls /dev").split_whitespace().collect::<Vec<_>>(),
        [
            "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin",
            "stdout", "tty", "urandom", "zero",
        ]
    );
}

#[test]
fn a_read_only_root_leaves_volumes_and_tmpfs_writable() {
    needs_privileges!();
    let volume = tempfile::tempdir().unwrap();
    let mut sandbox = Sandbox::new(
        "touch /x 2>/dev/null || echo refused; touch /data/x && echo data; touch /tmp/x && echo tmp; \
         touch /ro/x 2>/dev/null || echo ro; grep -E ' /(tmp|data|ro) ' /proc/self/mountinfo",
    );
    sandbox.description.root = RootAccess::ReadOnly;
    let path = volume.path().to_owned();
    sandbox.description.mounts = vec![
        mount(
            MountSource::Bind(path.clone()),
            "/data",
            RootAccess::ReadWrite,
        ),
        mount(MountSource::Bind(path), "/ro", RootAccess::ReadOnly),
        mount(
            MountSource::Tmpfs {
                size_bytes: Some(1 << 20),
                mode: None,
            },
            "/tmp",
            RootAccess::ReadWrite,
        ),
    ];
    let output = sandbox.run();
    for line in ["refused", "data", "tmp", "ro", "size=1024k"] {
        assert!(output.contains(line), "{line:?} in {output}");
    }
    assert!(volume.path().join("x").exists());
}

#[test]
fn what_is_mounted_below_a_read_only_bind_is_read_only_unless_it_shall_stay_as_it_is() {
    needs_privileges!();
    let below = || {
        unshare(Namespaces::NEWNS).unwrap();
        set_propagation_of_all(Propagation::Private).unwrap();
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let tmpfs = FsContext::new(c"tmpfs").unwrap();
        let tmpfs = tmpfs.mount(Restrictions::empty()).unwrap();
        attach(&tmpfs, fs::File::open(&inner).unwrap()).unwrap();
        let mut sandbox = Sandbox::new(
            "for at in a b; do for file in $at/x $at/inner/x; do \
             touch /$file 2>/dev/null && echo $file written; done; done",
        );
        let path = || outer.path().to_owned();
        sandbox.description.mounts = vec![
            mount(MountSource::Bind(path()), "/a", RootAccess::ReadOnly),
            mount(MountSource::BindAround(path()), "/b", RootAccess::ReadOnly),
        ];
        assert_eq!(sandbox.run(), "b/inner/x written\n");
    };
    std::thread::scope(|scope| scope.spawn(below).join().unwrap());
}

#[test]
fn a_device_in_a_shared_volume_changes_no_file_that_its_name_is_made_to_point_at() {
    needs_privileges!();
    if sys::in_user_namespace().unwrap() {
        eprintln!("skipped: nobody can make devices in a user namespace");
        return;
    }
    let (host, volume) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(host.path(), "canary", "x");
    let canary = host.path().join("canary");
    fs::set_permissions(&canary, fs::Permissions::from_mode(0o600)).unwrap();
    let mut sandbox = Sandbox::new("true");
    sandbox.description.mounts = vec![mount(
        MountSource::Bind(volume.path().to_owned()),
        "/shared",
        RootAccess::ReadWrite,
    )];
    sandbox.description.devices = vec![DeviceRequest {
        source: "/dev/null".into(),
        target: "/shared/device".into(),
        permissions: "rw".to_owned(),
    }];
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (link, name) = (volume.path().join("link"), volume.path().join("device"));
            while !done.load(Ordering::Relaxed) {
                // Either may fail while the device is being made: that is the race.
                drop(symlink(&canary, &link));
                drop(fs::rename(&link, &name));
            }
        });
        for _ in 0..60 {
            drop(sandbox.try_run());
        }
        done.store(true, Ordering::Relaxed);
    });
    let mode = fs::metadata(&canary).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o600, "a file of the host's has another mode now");
}

#[test]
fn mounts_nest_in_whichever_order_they_are_asked_for() {
    needs_privileges!();
    let (outer, inner) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(inner.path(), "here", "inner\n");
    let mut sandbox = Sandbox::new("cat /a/b/here");
    sandbox.description.mounts = vec![
        mount(
            MountSource::Bind(inner.path().to_owned()),
            "/a/b",
            RootAccess::ReadWrite,
        ),
        mount(
            MountSource::Bind(outer.path().to_owned()),
            "/a",
            RootAccess::ReadWrite,
        ),
    ];
    assert_eq!(sandbox.run(), "inner\n");
}

#[test]
fn links_of_the_image_never_lead_a_mount_outside() {
    needs_privileges!();
    let (canary, host) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(host.path(), "hosts", "127.0.0.1 localhost\n");
    let before = fs::read_dir(canary.path()).unwrap().count();
    let mut sandbox = Sandbox::new("cat /etc/hosts /etc/resolv.conf; ls /etc/dangling /w");
    let root = sandbox.dir.path().to_owned();
    symlink(
        canary.path().join("resolv.conf"),
        root.join("etc/resolv.conf"),
    )
    .unwrap();
    symlink("../../../../../../etc/hosts.image", root.join("etc/hosts")).unwrap();
    write(&root, "etc/hosts.image", "image\n");
    symlink(canary.path(), root.join("w")).unwrap();
    symlink("/nowhere/at/all", root.join("etc/dangling")).unwrap();
    let file = |target: &str| MountRequest {
        source: MountSource::Bind(host.path().join("hosts")),
        target: target.into(),
        access: RootAccess::ReadOnly,
        options: Vec::new(),
    };
    sandbox.description.mounts.extend([
        file("/etc/hosts"),
        file("/etc/resolv.conf"),
        file("/etc/dangling"),
    ]);
    let output = sandbox.run();
    assert_eq!(output.matches("localhost").count(), 2, "{output}");
    assert!(output.contains("/etc/dangling\n"), "{output}");
    assert_eq!(fs::read_dir(canary.path()).unwrap().count(), before);
}

#[test]
fn an_image_whose_dev_or_proc_is_a_link_does_no_harm() {
    needs_privileges!();
    for name in ["dev", "proc", "sys"] {
        let canary = tempfile::tempdir().unwrap();
        let mut sandbox = Sandbox::new("echo up");
        let root = sandbox.dir.path().to_owned();
        fs::remove_dir(root.join(name)).unwrap();
        symlink(canary.path(), root.join(name)).unwrap();
        // The same path exists in the image, so the link leads somewhere inside it.
        fs::create_dir_all(root.join(canary.path().strip_prefix("/").unwrap())).unwrap();
        drop(sandbox.try_run());
        assert_eq!(fs::read_dir(canary.path()).unwrap().count(), 0, "{name}");
    }
}

#[test]
fn nothing_can_be_mounted_over_proc() {
    needs_privileges!();
    let volume = tempfile::tempdir().unwrap();
    for target in [
        "/proc",
        "/proc/self",
        "/proc/sys/kernel",
        "/proc/./self/attr",
        "/x/../proc",
    ] {
        let mut sandbox = Sandbox::new("true");
        let source = MountSource::Bind(volume.path().to_owned());
        sandbox.description.mounts = vec![mount(source, target, RootAccess::ReadWrite)];
        let error = sandbox.try_run().unwrap_err();
        assert!(
            chain(&error).contains("mount's target"),
            "{target}: {}",
            chain(&error)
        );
    }
}

#[test]
fn a_missing_bind_source_is_named() {
    needs_privileges!();
    let mut sandbox = Sandbox::new("true");
    let source = MountSource::Bind("/no/such/directory".into());
    sandbox.description.mounts = vec![mount(source, "/data", RootAccess::ReadWrite)];
    let error = sandbox.try_run().unwrap_err();
    assert!(
        chain(&error).contains("/no/such/directory"),
        "{}",
        chain(&error)
    );
}

#[test]
fn a_working_directory_is_made_and_one_through_a_descriptor_is_refused() {
    needs_privileges!();
    let mut sandbox = Sandbox::new("pwd");
    sandbox.description.cwd = "/srv/new/place".into();
    assert_eq!(sandbox.run(), "/srv/new/place\n");
    for number in 0..12 {
        for base in ["/proc/self/fd", "/proc/thread-self/fd", "/proc/1/fd"] {
            let mut sandbox = Sandbox::new("pwd");
            sandbox.description.cwd = format!("{base}/{number}").into();
            let error = sandbox.try_run().unwrap_err();
            assert!(
                chain(&error).contains("working directory"),
                "{}",
                chain(&error)
            );
        }
    }
}
