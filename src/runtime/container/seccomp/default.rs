//! The built-in profile: what Docker allows by default, on the machine's own calling convention.
//!
//! Everything is refused but what stands here. Some calls come with a capability, some are judged by
//! their arguments.

use super::profile::{Argument, Entry, Profile, When};

/// What every container may call.
const ALWAYS: &str = "accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod \
    chown clock_adjtime clock_getres clock_gettime clock_nanosleep close close_range connect \
    copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old \
    epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit \
    exit_group faccessat faccessat2 fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat \
    fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr \
    fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv \
    futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 \
    getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid \
    getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt \
    gettid gettimeofday getuid getxattr getxattrat inotify_add_watch inotify_init inotify_init1 \
    inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit ioctl \
    ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self \
    lchown lgetxattr link linkat listen listmount listxattr listxattrat llistxattr lremovexattr \
    lseek lsetxattr lstat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore \
    mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap modify_ldt mprotect mq_getsetattr \
    mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv \
    msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat \
    openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect \
    poll ppoll prctl pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv \
    process_vm_writev pselect6 ptrace pwrite64 pwritev pwritev2 read readahead readlink \
    readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr removexattrat rename \
    renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask \
    rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo \
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam \
    sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam \
    sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop sendfile \
    sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid setfsuid \
    setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid \
    setrlimit setsid setsockopt setuid setxattr setxattrat shmat shmctl shmdt shmget shutdown \
    sigaltstack signalfd signalfd4 socketpair splice stat statfs statmount statx symlink \
    symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete \
    timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime \
    times tkill truncate umask uname unlink unlinkat uretprobe utime utimensat utimes vfork \
    vmsplice wait4 waitid write writev";

/// What comes with a capability.
const WITH_CAPABILITY: [(&str, &str); 14] = [
    ("CAP_BPF", "bpf"),
    ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    ("CAP_PERFMON", "perf_event_open"),
    ("CAP_SYSLOG", "syslog"),
    (
        "CAP_SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie \
         lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount \
         open_tree open_tree_attr perf_event_open quotactl quotactl_fd setdomainname \
         sethostname setns syslog umount2 unshare",
    ),
    ("CAP_SYS_BOOT", "reboot"),
    ("CAP_SYS_CHROOT", "chroot"),
    ("CAP_SYS_MODULE", "delete_module finit_module init_module"),
    (
        "CAP_SYS_NICE",
        "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    ),
    ("CAP_SYS_PACCT", "acct"),
    ("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
    ("CAP_SYS_RAWIO", "ioperm iopl"),
    ("CAP_SYS_TIME", "clock_settime settimeofday"),
    ("CAP_SYS_TTY_CONFIG", "vhangup"),
];

/// The address families that a container may open sockets of are those up to here, but for …
const LAST_FAMILY: u64 = 45;
/// … these: the kernel's cryptography and the hypervisor's channel, both ways out of containers
/// before, and families that no one has needed for decades.
const CLOSED_FAMILIES: [u64; 9] = [12, 19, 20, 23, 25, 34, 37, 38, 40];

/// Personas that change nothing but how `uname` and addresses look; the last one only asks.
const PERSONAS: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// The flags of `clone` that make namespaces.
const NAMESPACE_FLAGS: u64 = 0x7e02_0000;

const ENOSYS: u32 = 38;

/// Returns the profile.
pub(super) fn profile() -> Profile {
    let mut syscalls = vec![allow(ALWAYS)];
    for (capability, names) in WITH_CAPABILITY {
        let includes = When {
            caps: vec![capability.to_owned()],
            ..When::default()
        };
        syscalls.push(Entry {
            includes,
            ..allow(names)
        });
    }
    for family in open_families() {
        syscalls.push(when("socket", equal(family)));
    }
    for persona in PERSONAS {
        syscalls.push(when("personality", equal(persona)));
    }
    let without_admin = When {
        caps: vec!["CAP_SYS_ADMIN".to_owned()],
        ..When::default()
    };
    let no_namespaces = Argument {
        index: 0,
        value: NAMESPACE_FLAGS,
        value_two: 0,
        op: "SCMP_CMP_MASKED_EQ".to_owned(),
    };
    syscalls.push(Entry {
        excludes: without_admin.clone(),
        ..when("clone", no_namespaces)
    });
    // A filter cannot see the flags of `clone3`; told that there is none, programs use `clone`.
    syscalls.push(Entry {
        action: "SCMP_ACT_ERRNO".to_owned(),
        errno_ret: Some(ENOSYS),
        excludes: without_admin,
        ..allow("clone3")
    });
    Profile {
        default_action: "SCMP_ACT_ERRNO".to_owned(),
        default_errno_ret: Some(1),
        syscalls,
    }
}

fn open_families() -> impl Iterator<Item = u64> {
    (0..=LAST_FAMILY).filter(|family| !CLOSED_FAMILIES.contains(family))
}

fn allow(names: &str) -> Entry {
    Entry {
        names: names.split_ascii_whitespace().map(str::to_owned).collect(),
        name: None,
        action: "SCMP_ACT_ALLOW".to_owned(),
        errno_ret: None,
        args: None,
        includes: When::default(),
        excludes: When::default(),
    }
}

fn when(names: &str, argument: Argument) -> Entry {
    Entry {
        args: Some(vec![argument]),
        ..allow(names)
    }
}

/// Compares all 64 bits: the kernel looks at fewer, so anything in the others is refused.
fn equal(value: u64) -> Argument {
    Argument {
        index: 0,
        value,
        value_two: 0,
        op: "SCMP_CMP_EQ".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::compile::tests::{OWN, run};
    use super::super::numbers::NUMBERS;
    use super::*;

    const ALLOWED: u32 = 0x7fff_0000;
    const REFUSED: u32 = 0x0005_0001;
    const MISSING: u32 = 0x0005_0026;

    fn answer(capabilities: &[&str], name: &str, first: u64) -> u32 {
        let capabilities: BTreeSet<String> =
            capabilities.iter().map(|name| (*name).to_owned()).collect();
        let program = profile().compile(&capabilities).unwrap();
        let (_, number) = NUMBERS.iter().find(|(known, _)| *known == name).unwrap();
        run(&program, OWN, *number, [first, 0, 0, 0, 0, 0])
    }

    #[test]
    fn ordinary_calls_are_open_and_dangerous_ones_closed() {
        for name in ["read", "openat", "execve", "futex", "mknodat", "seccomp"] {
            assert_eq!(answer(&[], name, 0), ALLOWED, "{name}");
        }
        for name in [
            "mount",
            "bpf",
            "keyctl",
            "add_key",
            "unshare",
            "setns",
            "io_uring_setup",
            "userfaultfd",
            "reboot",
            "kexec_load",
            "pivot_root",
            "swapon",
            "init_module",
            "chroot",
        ] {
            assert_eq!(answer(&[], name, 0), REFUSED, "{name}");
        }
    }

    #[test]
    fn a_capability_opens_its_calls() {
        assert_eq!(answer(&["CAP_SYS_CHROOT"], "chroot", 0), ALLOWED);
        assert_eq!(answer(&["CAP_SYS_ADMIN"], "mount", 0), ALLOWED);
        assert_eq!(
            answer(&["CAP_SYS_ADMIN"], "clone", NAMESPACE_FLAGS),
            ALLOWED
        );
        assert_eq!(answer(&["CAP_SYS_ADMIN"], "clone3", 0), ALLOWED);
        assert_eq!(answer(&["CAP_SYS_ADMIN"], "io_uring_setup", 0), REFUSED);
    }

    #[test]
    fn clone_makes_threads_but_no_namespaces() {
        assert_eq!(answer(&[], "clone", 0x003d_0f00), ALLOWED);
        assert_eq!(answer(&[], "clone", 17), ALLOWED);
        assert_eq!(answer(&[], "clone", 0x1000_0011), REFUSED);
        assert_eq!(answer(&[], "clone3", 0), MISSING);
    }

    #[test]
    fn families_that_lead_out_are_closed_also_with_high_bits_set() {
        for family in [1, 2, 10, 16, 17] {
            assert_eq!(answer(&[], "socket", family), ALLOWED, "{family}");
        }
        for family in [38, 40, 46, 0x1_0000_0026, 0x1_0000_0002] {
            assert_eq!(answer(&[], "socket", family), REFUSED, "{family:#x}");
        }
    }

    #[test]
    fn personas_are_limited_to_harmless_ones() {
        assert_eq!(answer(&[], "personality", 0xffff_ffff), ALLOWED);
        assert_eq!(answer(&[], "personality", 0x0040_0000), REFUSED);
    }
}
