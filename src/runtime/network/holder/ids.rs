//! Which ids exist in the user namespace: this user as root, and the user's subordinate ids.

use std::io;
use std::path::Path;

use rustix::process::{getegid, geteuid};

use crate::runtime::network::NetworkError;
use crate::runtime::store::read_bounded;

use super::programs::run_to_end;
use super::protocol::IdMapping;

const TABLE_LIMIT_BYTES: u64 = 4 << 20;

/// A run of subordinate ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u32,
    count: u32,
}

/// Maps ids in the user namespace of a process that this user made.
pub(super) fn map_ids(pid: i32) -> Result<IdMapping, NetworkError> {
    match map_ranges(pid) {
        Ok(count) => Ok(IdMapping::Range { count }),
        Err(reason) => {
            map_single(pid)?;
            Ok(IdMapping::Single { reason })
        }
    }
}

/// Returns which ids exist in the user namespace of a process.
pub(super) fn current_ids(pid: i32) -> IdMapping {
    let map = read_text(&format!("/proc/{pid}/uid_map"));
    let counts = map
        .lines()
        .filter_map(|line| line.split_ascii_whitespace().nth(2)?.parse().ok());
    let all: u32 = counts.fold(0, u32::saturating_add);
    match all {
        0 | 1 => IdMapping::Single {
            reason: "the namespace was set up with one".to_owned(),
        },
        more => IdMapping::Range { count: more - 1 },
    }
}

fn map_ranges(pid: i32) -> Result<u32, String> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let name = user_name(&read_text("/etc/passwd"), uid);
    let ranges = |file: &str| {
        let found = ranges_of(&read_text(file), name.as_deref(), uid);
        if found.is_empty() {
            Err(format!("`{file}` has no ids for this user"))
        } else {
            Ok(found)
        }
    };
    let (uids, gids) = (ranges("/etc/subuid")?, ranges("/etc/subgid")?);
    // Groups first: with one map written and the other refused, the smaller harm is done.
    run_to_end("newgidmap", &map_arguments(pid, gid, &gids)).map_err(|error| chain(&error))?;
    run_to_end("newuidmap", &map_arguments(pid, uid, &uids)).map_err(|error| chain(&error))?;
    Ok(uids
        .iter()
        .map(|range| range.count)
        .fold(0, u32::saturating_add))
}

fn chain(error: &NetworkError) -> String {
    error.to_string()
}

/// What everybody may do: one id, and no change of groups inside.
fn map_single(pid: i32) -> Result<(), NetworkError> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let act = "map this user's id into the new namespace";
    let write = |file: &str, text: String| {
        let path = format!("/proc/{pid}/{file}");
        let written = std::fs::OpenOptions::new().write(true).open(path);
        let written = written.and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()));
        written.map_err(|source| NetworkError::Holder { act, source })
    };
    write("setgroups", "deny".to_owned())?;
    write("gid_map", format!("0 {gid} 1"))?;
    write("uid_map", format!("0 {uid} 1"))
}

fn map_arguments(pid: i32, own: u32, ranges: &[Range]) -> Vec<String> {
    let mut words = vec![
        pid.to_string(),
        "0".to_owned(),
        own.to_string(),
        "1".to_owned(),
    ];
    let mut inside = 1_u32;
    for range in ranges {
        words.extend([inside, range.first, range.count].map(|number| number.to_string()));
        inside = inside.saturating_add(range.count);
    }
    words
}

/// Reads `/etc/subuid` or `/etc/subgid`: the runs of a user, by name or number.
fn ranges_of(table: &str, name: Option<&str>, uid: u32) -> Vec<Range> {
    let number = uid.to_string();
    let rows = table.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let own = Some(owner) == name || owner == number;
        (own && count > 0).then_some(Range { first, count })
    });
    rows.collect()
}

fn user_name(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let found: u32 = fields.nth(1)?.parse().ok()?;
        (found == uid).then(|| name.to_owned())
    })
}

fn read_text(path: &str) -> String {
    let bytes = read_bounded(Path::new(path), TABLE_LIMIT_BYTES).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_the_ranges_under_their_name_and_number() {
        let table = "root:1:2\nada:100000:65536\n# x\n1000:300000:10\nada:x:1\nada:9:0\n";
        let name = user_name("root:x:0:0::/:/bin/sh\nada:x:1000:1000::/:/bin/sh\n", 1000);
        assert_eq!(name.as_deref(), Some("ada"));
        let ranges = ranges_of(table, name.as_deref(), 1000);
        let expected = [(100_000, 65536), (300_000, 10)];
        assert_eq!(
            ranges,
            expected.map(|(first, count)| Range { first, count })
        );
        assert_eq!(
            map_arguments(7, 1000, &ranges).join(" "),
            "7 0 1000 1 1 100000 65536 65537 300000 10"
        );
    }
}
