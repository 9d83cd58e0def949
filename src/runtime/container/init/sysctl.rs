//! Kernel settings of a container: only those that its own namespaces hold.

use std::ffi::CString;

use crate::runtime::container::error::ContainerError;

/// A setting to be written below `sys/` of the container's own procfs.
#[derive(Debug)]
pub(super) struct Sysctl {
    /// The key as the user wrote it.
    pub(super) key: String,
    /// From the root of procfs.
    pub(super) path: CString,
    /// What is written.
    pub(super) value: Vec<u8>,
}

/// Which namespaces are the container's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnNamespaces {
    pub(super) network: bool,
    pub(super) ipc: bool,
    pub(super) uts: bool,
}

/// The keys of the IPC namespace.
const IPC_KEYS: [&str; 9] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
    "kernel.shm_next_id",
];

/// Checks a setting; whatever is not surely the container's own is refused.
pub(super) fn check(key: &str, value: &str, own: OwnNamespaces) -> Result<Sysctl, ContainerError> {
    let refuse = |reason| Err(ContainerError::setting("a sysctl", key, reason));
    // As sysctl(8): if the first separator is a slash, dots belong to names (`net/ipv4/conf/eth0.1`).
    let slashed = match key.find(['.', '/']) {
        Some(place) if key[place..].starts_with('/') => key.to_owned(),
        _ => key.replace('/', "\0").replace('.', "/").replace('\0', "."),
    };
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    let parts_are_names = slashed
        .split('/')
        .all(|part| !matches!(part, "" | "." | ".."));
    if !key.bytes().all(known) || !parts_are_names {
        return refuse("a name such as `net.core.somaxconn` is expected");
    }
    if value
        .bytes()
        .any(|byte| byte.is_ascii_control() && byte != b'\t')
    {
        return refuse("its value holds a line break or another control character");
    }
    let dotted = slashed.replace('/', ".");
    if dotted.starts_with("net.") {
        if !own.network {
            return refuse("the container has no network namespace of its own");
        }
    } else if dotted.starts_with("fs.mqueue.") || IPC_KEYS.contains(&dotted.as_str()) {
        if !own.ipc {
            return refuse("the container has no IPC namespace of its own");
        }
    } else if dotted == "kernel.domainname" {
        if !own.uts {
            return refuse("the container has no UTS namespace of its own");
        }
    } else {
        return refuse("it is a setting of the whole machine");
    }
    let path = CString::new(format!("sys/{slashed}"))
        .map_err(|_| ContainerError::setting("a sysctl", key, "it holds a NUL byte"))?;
    Ok(Sysctl {
        key: key.to_owned(),
        path,
        value: value.as_bytes().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: OwnNamespaces = OwnNamespaces {
        network: true,
        ipc: true,
        uts: true,
    };
    const NONE: OwnNamespaces = OwnNamespaces {
        network: false,
        ipc: false,
        uts: false,
    };

    #[test]
    fn only_settings_of_the_containers_own_namespaces_pass() {
        assert_eq!(
            check("net.core.somaxconn", "1024", OWN)
                .unwrap()
                .path
                .as_c_str(),
            c"sys/net/core/somaxconn"
        );
        assert_eq!(
            check("net/ipv4/conf/eth0.1/rp_filter", "1", OWN)
                .unwrap()
                .path
                .as_c_str(),
            c"sys/net/ipv4/conf/eth0.1/rp_filter"
        );
        assert!(check("kernel.msgmax", "65536", OWN).is_ok());
        for key in ["net.core.somaxconn", "kernel.msgmax", "fs.mqueue.msg_max"] {
            assert!(check(key, "1", NONE).is_err(), "{key}");
        }
        for key in [
            "kernel.core_pattern",
            "vm.swappiness",
            "fs.file-max",
            "kernel.shm_foo",
        ] {
            assert!(check(key, "1", OWN).is_err(), "{key}");
        }
    }

    #[test]
    fn tricks_with_the_name_or_value_are_refused() {
        for key in [
            "net.core.somaxconn+kernel.core_pattern",
            "net/../kernel/core_pattern",
            "net..core",
            "net.core=x",
            "",
            "net",
            ".net.core",
            "net/./core",
            "net.core\n",
            "/net/core/x",
        ] {
            assert!(check(key, "1", OWN).is_err(), "{key:?}");
        }
        assert!(check("net.core.somaxconn", "1\nkernel.x=2", OWN).is_err());
    }
}
