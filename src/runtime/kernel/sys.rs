//! Facts about this machine and where in it we are.

use super::error::KernelError;

/// Whose root we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Territory {
    /// The machine's.
    Machine,
    /// That of a user namespace which somebody set up.
    UserNamespace,
}

/// Says whose root we are, or would be.
pub fn territory() -> Result<Territory, KernelError> {
    Ok(if in_user_namespace()? {
        Territory::UserNamespace
    } else {
        Territory::Machine
    })
}

/// Says whether this process lives in a user namespace that somebody set up below the machine's own.
///
/// There, being uid 0 means little: no device nodes, no raising of limits, no writing of the
/// machine's cgroups.
pub fn in_user_namespace() -> Result<bool, KernelError> {
    let path = "/proc/self/uid_map";
    let map = std::fs::read(path).map_err(|source| KernelError::CallOn {
        act: "read",
        thing: path.to_owned(),
        source,
    })?;
    Ok(!is_whole_range(&map))
}

/// Says whether this user namespace has a user of this number.
pub fn maps_uid(uid: u32) -> bool {
    std::fs::read("/proc/self/uid_map").is_ok_and(|map| maps(&map, uid))
}

/// Says whether this user namespace has a group of this number.
pub fn maps_gid(gid: u32) -> bool {
    std::fs::read("/proc/self/gid_map").is_ok_and(|map| maps(&map, gid))
}

fn maps(map: &[u8], id: u32) -> bool {
    String::from_utf8_lossy(map).lines().any(|line| {
        let numbers: Vec<u64> = line
            .split_ascii_whitespace()
            .filter_map(|field| field.parse().ok())
            .collect();
        let [first, _, count] = numbers.as_slice() else {
            return false;
        };
        (*first..first + count).contains(&u64::from(id))
    })
}

/// Says whether `setgroups` was given up when the user namespace was set up with a single id.
pub fn setgroups_denied() -> bool {
    std::fs::read("/proc/self/setgroups").is_ok_and(|text| text.starts_with(b"deny"))
}

fn is_whole_range(map: &[u8]) -> bool {
    let fields = map
        .split(u8::is_ascii_whitespace)
        .filter(|field| !field.is_empty());
    fields.eq([b"0".as_slice(), b"0", b"4294967295"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_mapped_if_any_range_holds_it() {
        let map = b"         0       1001          1\n         1     100000      65536\n";
        assert!(maps(map, 0) && maps(map, 1) && maps(map, 65_536));
        assert!(!maps(map, 65_537) && !maps(b"0 1000 1\n", 1));
    }

    #[test]
    fn only_the_identity_map_of_all_ids_is_the_machines_own() {
        assert!(is_whole_range(b"         0          0 4294967295\n"));
        assert!(!is_whole_range(b"         0       1000          1\n"));
        assert!(!is_whole_range(b"0 1000 1\n1 100000 65536\n"));
    }
}
