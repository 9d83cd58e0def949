//! Everything that this process has started, as far as the kernel remembers that.
//!
//! A process whose parent has ended belongs to the family by its session. One that has begun a session
//! of its own and has lost its parent before anyone looked cannot be told from a stranger.

use std::collections::BTreeMap;

use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::pidfd::{Pidfd, ProcessIdentity};

/// How often the processes are looked through; each time, all that are found are killed.
const MAX_ROUNDS: usize = 100;
/// `SIGKILL`
const KILL: i32 = 9;

/// Kills all that descends from this process, and reaps its children.
pub fn end_descendants() {
    let own_pid = i32::try_from(std::process::id()).unwrap_or_default();
    let Ok(head) = Pidfd::open(own_pid).and_then(|own| own.identity()) else {
        return;
    };
    let mut family = BTreeMap::from([(head.pid, head.start_ticks)]);
    for _ in 0..MAX_ROUNDS {
        let all = processes();
        grow(&mut family, &all);
        let alive = all.values().filter(|process| process.is_alive);
        let alive: Vec<_> = alive
            .filter(|process| process.identity != head && is_member(&family, process))
            .collect();
        if alive.is_empty() {
            break;
        }
        for process in alive {
            // One that has ended meanwhile is fine.
            if let Ok(handle) = Pidfd::open_verified(process.identity) {
                drop(handle.signal(KILL));
            }
        }
    }
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    while let Ok(Some(_)) = waitid(WaitId::All, options) {}
}

/// What `/proc/PID/stat` tells of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    identity: ProcessIdentity,
    is_alive: bool,
    parent: i32,
    session: i32,
}

fn is_member(family: &BTreeMap<i32, u64>, process: &Process) -> bool {
    family.get(&process.identity.pid) == Some(&process.identity.start_ticks)
}

/// Adds children and members of sessions until there are no more.
fn grow(family: &mut BTreeMap<i32, u64>, all: &BTreeMap<i32, Process>) {
    loop {
        // A number may have been used again by a stranger; a session keeps its number from that.
        let belongs = |number: i32| {
            family.contains_key(&number)
                && all.get(&number).is_none_or(|now| is_member(family, now))
        };
        let new: Vec<ProcessIdentity> = all
            .values()
            .filter(|process| belongs(process.parent) || belongs(process.session))
            .filter(|process| !is_member(family, process))
            .map(|process| process.identity)
            .collect();
        if new.is_empty() {
            return;
        }
        family.extend(new.iter().map(|new| (new.pid, new.start_ticks)));
    }
}

fn processes() -> BTreeMap<i32, Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let read = pids.filter_map(|pid| {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, parse(pid, &stat)?))
    });
    read.collect()
}

fn parse(pid: i32, stat: &[u8]) -> Option<Process> {
    // The second field is the name in parentheses and may hold anything, also parentheses.
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let text = std::str::from_utf8(stat.get(after_name..)?).ok()?;
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    // The third field is the first of these.
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Process {
        identity: ProcessIdentity {
            pid,
            start_ticks: field(22)?.parse().ok()?,
        },
        is_alive: !matches!(field(3)?, "Z" | "X"),
        parent: field(4)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, start_ticks: u64, parent: i32, session: i32) -> (i32, Process) {
        let identity = ProcessIdentity { pid, start_ticks };
        let process = Process {
            identity,
            is_alive: true,
            parent,
            session,
        };
        (pid, process)
    }

    #[test]
    fn children_and_orphans_of_its_sessions_belong_to_a_family_and_strangers_do_not() {
        let all = BTreeMap::from([
            process(1, 1, 0, 1),
            process(10, 50, 1, 10),
            process(11, 51, 10, 10),
            // It began a session of its own, and has an orphan in it.
            process(12, 52, 11, 12),
            process(13, 53, 1, 12),
            process(14, 54, 1, 10),
            process(20, 55, 1, 20),
        ]);
        let mut family = BTreeMap::from([(10, 50)]);
        grow(&mut family, &all);
        assert_eq!(family.into_keys().collect::<Vec<_>>(), [10, 11, 12, 13, 14]);
    }

    #[test]
    fn who_got_the_number_of_a_member_is_no_member() {
        let all = BTreeMap::from([process(10, 99, 1, 10), process(11, 100, 10, 10)]);
        let mut family = BTreeMap::from([(10, 50)]);
        grow(&mut family, &all);
        assert_eq!(family.into_keys().collect::<Vec<_>>(), [10]);
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_what_is_read() {
        let stat = b"7 (a) b) (c) Z 3 7 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 99 1";
        let (_, mut expected) = process(7, 4242, 3, 5);
        expected.is_alive = false;
        assert_eq!(parse(7, stat), Some(expected));
    }
}
