//! What a program finds inside: namespaces, files, limits, rights.

use crate::support::machine::{self, needs};
use crate::support::{Sandbox, until};

/// A service `one` that sleeps, with more keys.
fn service(keys: &str) -> Sandbox {
    let sandbox = Sandbox::new(&format!(
        "
services:
  one:
    image: ${{BUSYBOX}}
    command: [sleep, '1000']
    stop_grace_period: 0s
{keys}"
    ));
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox
}

#[test]
fn a_container_has_namespaces_of_its_own() {
    needs!(machine::images());
    let sandbox = service("");
    for kind in ["pid", "mnt", "net", "ipc", "uts", "cgroup"] {
        let outside = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        let inside = sandbox.sh("one", &format!("readlink /proc/self/ns/{kind}"));
        assert_ne!(inside, outside.to_string_lossy(), "{kind}");
    }
    assert_eq!(
        sandbox.sh("one", "cat /proc/1/cmdline | tr '\\0' ' '"),
        "sleep 1000"
    );
}

#[test]
fn what_is_written_to_the_own_files_of_etc_is_on_the_disk_of_the_state() {
    needs!(machine::images());
    let sandbox = service("");
    let id = sandbox.consort(&["ps", "-q"]).succeeds();
    let folder = sandbox
        .path("state/projects/project/containers")
        .join(id.trim());
    for name in ["hosts", "hostname", "resolv.conf"] {
        sandbox.sh("one", &format!("head -c 1000000 /dev/zero >/etc/{name}"));
        let stored = std::fs::metadata(folder.join(name)).unwrap();
        assert_eq!(stored.len(), 1_000_000, "{name}");
    }
    sandbox.consort(&["restart", "-t", "0"]).succeeds();
    assert_eq!(
        sandbox.sh("one", "grep -c localhost /etc/hosts; cat /etc/hostname"),
        format!("2\n{}", &id[..12])
    );
}

#[test]
fn dev_proc_and_sys_are_as_ordinary_images_expect_them() {
    needs!(machine::images());
    let sandbox = service("");
    let devices =
        "for d in null zero full random urandom tty; do test -c /dev/$d || echo no $d; done";
    assert_eq!(sandbox.sh("one", devices), "");
    assert_eq!(
        sandbox.sh("one", "echo x >/dev/null; head -c 3 /dev/zero | wc -c"),
        "3"
    );
    assert_eq!(
        sandbox.sh(
            "one",
            "for l in fd stdin stdout stderr; do readlink /dev/$l; done"
        ),
        "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2"
    );
    assert_eq!(
        sandbox.sh(
            "one",
            "test -e /dev/ptmx && test -d /dev/pts && test -d /dev/shm; echo $?"
        ),
        "0"
    );
    assert_eq!(sandbox.sh("one", "test -d /sys/class; echo $?"), "0");
}

#[test]
fn paths_that_reach_the_host_are_masked_or_read_only() {
    needs!(machine::images());
    let sandbox = service("");
    let masked = "for f in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug; do \
                  if [ -e $f ]; then head -c 1 $f 2>/dev/null; fi; done; ls /proc/acpi /sys/firmware 2>/dev/null";
    let seen = sandbox.sh("one", masked);
    assert!(
        seen.lines()
            .all(|line| line.is_empty() || line.ends_with(':')),
        "{seen}"
    );
    let writable = "for f in /proc/sysrq-trigger /proc/sys/kernel/hostname /sys/kernel/mm/transparent_hugepage/enabled; do \
                    if (echo x >$f) 2>/dev/null; then echo $f; fi; done";
    assert_eq!(sandbox.sh("one", writable), "");
}

#[test]
fn capabilities_are_dockers_default_and_can_be_changed() {
    needs!(machine::images());
    let bounding = "grep CapBnd /proc/self/status | cut -f2";
    let default = service("");
    assert_eq!(default.sh("one", bounding), "00000000a80425fb");
    drop(default);
    let changed = service("    cap_drop: [ALL]\n    cap_add: [NET_BIND_SERVICE]\n");
    assert_eq!(changed.sh("one", bounding), "0000000000000400");
}

#[test]
fn seccomp_and_no_new_privileges_are_on_as_asked() {
    needs!(machine::images());
    let plain = service("");
    assert_eq!(
        plain.sh("one", "grep -w Seccomp /proc/1/status | cut -f2"),
        "2"
    );
    assert_eq!(
        plain.sh("one", "grep -w NoNewPrivs /proc/1/status | cut -f2"),
        "0"
    );
    drop(plain);
    let strict = service("    security_opt: ['no-new-privileges:true', 'seccomp=unconfined']\n");
    assert_eq!(
        strict.sh("one", "grep -w Seccomp /proc/1/status | cut -f2"),
        "0"
    );
    assert_eq!(
        strict.sh("one", "grep -w NoNewPrivs /proc/1/status | cut -f2"),
        "1"
    );
}

#[test]
fn a_mount_is_refused_without_the_right_to() {
    needs!(machine::images());
    let sandbox = service("");
    assert_ne!(
        sandbox.sh("one", "mount -t tmpfs none /mnt 2>&1; echo $?"),
        "0"
    );
    assert_ne!(sandbox.sh("one", "unshare -m true 2>&1; echo $?"), "0");
}

#[test]
fn privileged_has_every_capability_and_no_filter() {
    needs!(machine::images());
    let sandbox = service("    privileged: true\n");
    assert_eq!(
        sandbox.sh("one", "grep -w Seccomp /proc/1/status | cut -f2"),
        "0"
    );
    assert_eq!(
        sandbox.sh(
            "one",
            "mkdir -p /m && mount -t tmpfs none /m && echo mounted"
        ),
        "mounted"
    );
}

#[test]
fn the_user_is_looked_up_in_the_image() {
    needs!(machine::images(), machine::id_ranges());
    let named = service("    user: www-data\n");
    assert_eq!(named.sh("one", "id -u; id -g; id -G"), "33\n33\n33");
    drop(named);
    let mixed = service("    user: 'operator:8'\n    group_add: [tty]\n");
    assert_eq!(mixed.sh("one", "id -u; id -g; id -G"), "37\n8\n8 5");
    drop(mixed);
    let number = service("    user: '12345'\n");
    assert_eq!(number.sh("one", "id -u; id -g"), "12345\n0");
}

#[test]
fn an_unknown_user_is_named() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "services: {one: {image: '${BUSYBOX}', command: [sleep, '1'], user: nosuchuser}}",
    );
    let error = sandbox.consort(&["up", "-d"]).fails_with(1);
    assert!(error.contains("nosuchuser"), "{error}");
}

#[test]
fn limits_are_those_of_the_file() {
    needs!(machine::images(), machine::cgroup_limits());
    let sandbox = service("    mem_limit: 64m\n    pids_limit: 77\n    cpus: 0.5\n");
    let read = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || true";
    assert_eq!(sandbox.sh("one", read), "67108864");
    // Where the kernel counts swap, there is as much of it as memory: alone on v2, as a sum on v1.
    let read = "cat /sys/fs/cgroup/memory.swap.max /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes 2>/dev/null || true";
    let swap = sandbox.sh("one", read);
    assert!(["67108864", "134217728", ""].contains(&&*swap), "{swap}");
    let read = "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null || true";
    assert_eq!(sandbox.sh("one", read), "77");
    let read = "cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || true";
    let quota = sandbox.sh("one", read);
    assert!(quota.starts_with("50000"), "{quota}");
}

#[test]
fn what_takes_more_memory_than_its_limit_is_killed() {
    needs!(machine::images(), machine::cgroup_limits());
    let sandbox = Sandbox::new(
        "
services:
  greedy:
    image: ${BUSYBOX}
    command: [sh, -c, 'exec tail /dev/zero']
    mem_limit: 16m
    memswap_limit: 16m
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    until("the end", || {
        (sandbox.field("greedy", "State")? == "exited").then_some(())
    });
    assert_eq!(sandbox.field("greedy", "ExitCode").as_deref(), Some("137"));
}

#[test]
fn a_fork_bomb_stays_below_its_limit() {
    needs!(machine::images(), machine::cgroup_limits());
    let sandbox = service("    pids_limit: 20\n");
    // The subshell dies of its first failed fork; counting needs none.
    let bomb = "(for n in $(seq 100); do sleep 5 & done) 2>/dev/null; set -- /proc/[0-9]*; echo $#";
    let count = sandbox.sh("one", bomb);
    assert!(
        (10..=20).contains(&count.parse::<u32>().unwrap()),
        "{count} processes"
    );
}

#[test]
fn ulimits_sysctls_hostname_and_folder_are_set() {
    needs!(machine::images());
    let sandbox = service(
        "    ulimits: {nofile: {soft: 512, hard: 1024}}
    sysctls: {net.ipv4.ip_unprivileged_port_start: 80}
    hostname: stage
    domainname: example.org
    working_dir: /var/spool
",
    );
    assert_eq!(sandbox.sh("one", "ulimit -n"), "512");
    assert_eq!(
        sandbox.sh("one", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"),
        "80"
    );
    assert_eq!(sandbox.sh("one", "hostname"), "stage");
    assert_eq!(sandbox.sh("one", "pwd"), "/var/spool");
}

#[test]
fn a_read_only_root_takes_no_writes_but_tmpfs_does() {
    needs!(machine::images());
    let sandbox = service("    read_only: true\n    tmpfs: ['/scratch:size=1m']\n");
    assert_ne!(
        sandbox.sh("one", "(echo x >/file) 2>/dev/null; echo $?"),
        "0"
    );
    assert_eq!(
        sandbox.sh("one", "echo x >/scratch/file; cat /scratch/file"),
        "x"
    );
    assert_ne!(
        sandbox.sh(
            "one",
            "head -c 2000000 /dev/zero >/scratch/big 2>/dev/null; echo $?"
        ),
        "0"
    );
}

#[test]
fn shm_size_is_the_size_of_dev_shm() {
    needs!(machine::images());
    let sandbox = service("    shm_size: 4m\n");
    assert_eq!(
        sandbox.sh("one", "df -k /dev/shm | tail -n 1 | awk '{print $2}'"),
        "4096"
    );
}

#[test]
fn init_reaps_what_others_leave() {
    needs!(machine::images());
    let sandbox = service("    init: true\n");
    sandbox.sh("one", "for n in 1 2 3 4 5; do (sleep 0.05 &) ; done");
    until("no zombie", || {
        let zombies = sandbox.sh(
            "one",
            "grep -l 'State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l",
        );
        (zombies == "0").then_some(())
    });
    assert_ne!(
        sandbox.sh("one", "cat /proc/1/cmdline | tr '\\0' ' '"),
        "sleep 1000"
    );
}

#[test]
fn command_and_entrypoint_follow_the_image() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  entry: {image: '${BUSYBOX}', entrypoint: [echo, from], command: [entrypoint]}
  words: {image: '${BUSYBOX}', command: echo 'two words' one}
  env: {image: '${BUSYBOX}', command: [sh, -c, 'echo $$PATH'], env_file: [vars.env]}
  vars: {image: '${BUSYBOX}', command: [sh, -c, 'echo $$A $$B'], env_file: [vars.env], environment: {B: three}}
",
    );
    sandbox.file("vars.env", "A=one\nB=two\n");
    sandbox.consort(&["up"]).succeeds();
    assert_eq!(sandbox.logs("entry"), "from entrypoint\n");
    assert_eq!(sandbox.logs("words"), "two words one\n");
    assert_eq!(sandbox.logs("vars"), "one three\n");
    assert!(sandbox.logs("env").contains("/usr/bin"));
}

#[test]
fn a_program_that_is_not_there_is_said_to_be_missing() {
    needs!(machine::images());
    let sandbox =
        Sandbox::new("services: {one: {image: '${BUSYBOX}', command: [no-such-program]}}");
    let error = sandbox.consort(&["up", "-d"]).fails_with(1);
    assert!(error.contains("no-such-program"), "{error}");
}

#[test]
fn a_terminal_is_there_where_one_is_asked_for() {
    needs!(machine::images());
    let sandbox = service("    tty: true\n");
    assert_eq!(sandbox.sh("one", "readlink /proc/1/fd/0"), "/dev/pts/0");
}

#[test]
fn a_device_of_the_host_is_there_as_asked() {
    needs!(machine::images(), machine::root());
    let sandbox = service("    devices: ['/dev/null:/dev/nothing:rw']\n");
    assert_eq!(
        sandbox.sh(
            "one",
            "test -c /dev/nothing && echo x >/dev/nothing; echo $?"
        ),
        "0"
    );
}

#[test]
fn pid_and_ipc_of_another_service_are_shared_on_request() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}
  two: {image: '${BUSYBOX}', command: [sleep, '2000'], pid: 'service:one', stop_grace_period: 0s}
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(
        sandbox.sh("two", "cat /proc/1/cmdline | tr '\\0' ' '"),
        "sleep 1000"
    );
}

const SLEEPER: &str =
    "services: {one: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}}";

#[test]
fn an_exec_that_is_killed_ends_with_its_program_and_leaves_no_pipe_open() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLEEPER);
    sandbox.consort(&["up", "-d"]).succeeds();
    let line = "sleep 1001 & echo begun; exec sleep 1002";
    let exec = sandbox.start(&["exec", "-T", "one", "sh", "-c", line]);
    until("the program", || exec.has_written("begun").then_some(()));
    exec.signal(rustix::process::Signal::TERM);
    let run = exec.wait();
    assert!(!run.ok(), "{run}");
    until("the end of the program", || {
        let left = sandbox.sh("one", "pgrep -f 'sleep 1002' | wc -l");
        (left.trim() == "0").then_some(())
    });
}

#[test]
fn an_exec_ends_with_its_program_whatever_that_leaves_behind() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLEEPER);
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(
        sandbox.sh("one", "sleep 1001 & yes | head -c 200000 | wc -c"),
        "200000"
    );
    let run = sandbox.consort(&["exec", "-T", "-w", "/no/such", "one", "true"]);
    let told = run.fails_with(127);
    assert!(told.contains("`/no/such`"), "{told}");
}

#[test]
fn a_terminal_is_named_unless_the_file_names_it() {
    needs!(machine::images(), machine::program("script"));
    let sandbox = Sandbox::new(SLEEPER);
    sandbox.consort(&["up", "-d"]).succeeds();
    for (more, expected) in [("", "TERM=xterm"), ("-e TERM=vt100", "TERM=vt100")] {
        let consort = crate::support::sandbox::binary();
        let mut command = std::process::Command::new("script");
        let line = format!(
            "{} exec {more} one sh -c 'echo TERM=$TERM'",
            consort.display()
        );
        command.args(["-qec", &line, "/dev/null"]);
        command.current_dir(sandbox.path("project"));
        command.env("CONSORT_STATE_DIR", sandbox.path("state"));
        command.env("XDG_RUNTIME_DIR", sandbox.path("runtime"));
        command.env("BUSYBOX", machine::oci("busybox"));
        let shown = crate::support::run::Running::start(command)
            .wait()
            .succeeds();
        assert!(shown.contains(expected), "{shown}");
    }
}

#[test]
fn labels_say_what_config_says_and_volumes_where_they_are() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one: {image: '${BUSYBOX}', command: [sleep, '1000'], volumes: ['data:/data'], environment: {A: '${A}'}, stop_grace_period: 0s}
volumes: {data: }
",
    );
    let file = sandbox.file("more.env", "A=b\n").display().to_string();
    sandbox
        .consort(&["--env-file", &file, "up", "-d"])
        .succeeds();
    let hash = sandbox.consort(&["--env-file", &file, "config", "--hash", "one"]);
    let hash = hash.succeeds();
    let labels = sandbox.field("one", "Labels").unwrap();
    let wanted = format!("config-hash={}", hash.trim().trim_start_matches("one "));
    assert!(labels.contains(&wanted), "{labels}\n{hash}");
    let wanted = format!("project.environment_file={file}");
    assert!(labels.contains(&wanted), "{labels}");
    let listed = sandbox.consort(&["volumes", "--format", "json"]).succeeds();
    let volume: serde_json::Value = serde_json::from_str(listed.trim()).unwrap();
    let labels = volume["Labels"].as_str().unwrap();
    assert!(
        labels.contains("com.docker.compose.config-hash="),
        "{labels}"
    );
    sandbox.sh("one", "touch /data/here");
    let place = std::path::Path::new(volume["Mountpoint"].as_str().unwrap());
    assert!(place.join("here").exists(), "{}", place.display());
}
