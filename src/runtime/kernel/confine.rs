//! What a process gives up for good before it runs somebody else's program.
//!
//! **Invariant:** nothing here allocates; the child between `clone` and `execve` uses it.

use nix::libc;
use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::process::check;

/// One classic BPF instruction, as the kernel takes it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many instructions to skip if a comparison holds.
    pub jump_true: u8,
    /// How many instructions to skip if it does not.
    pub jump_false: u8,
    /// The constant or offset.
    pub operand: u32,
}

#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

/// Whether a system call filter tells the kernel's log about what it refuses.
const SECCOMP_SET_MODE_FILTER: libc::c_uint = 1;

/// Puts this thread and all it makes under a system call filter, for good.
pub fn load_filter(instructions: &[Instruction]) -> Result<(), Errno> {
    let length = u16::try_from(instructions.len()).map_err(|_| Errno::TOOBIG)?;
    let program = Program {
        length,
        instructions: instructions.as_ptr(),
    };
    // SAFETY: the program lives through the call and its length is that of the slice; the kernel
    // copies and checks it.
    check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    })?;
    Ok(())
}

/// Sets that say what a process may do and may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The most that any program run from here can ever get.
    pub bounding: CapabilitySet,
    /// What is in force.
    pub effective: CapabilitySet,
    /// What can be put in force.
    pub permitted: CapabilitySet,
    /// What a program with matching file capabilities keeps.
    pub inheritable: CapabilitySet,
    /// What any program keeps.
    pub ambient: CapabilitySet,
}

/// The highest capability number that a set can hold.
const LAST_CAPABILITY: u32 = 63;

/// Returns what this process could at most hand on: its own bounding set.
pub fn own_bounding() -> CapabilitySet {
    let mut found = CapabilitySet::empty();
    for number in 0..=LAST_CAPABILITY {
        let one = CapabilitySet::from_bits_retain(1 << number);
        // Asking for a number that the kernel does not know is the end of the list.
        match rustix::thread::capability_is_in_bounding_set(one) {
            Ok(true) => found |= one,
            Ok(false) => {}
            Err(_) => break,
        }
    }
    found
}

/// Takes everything outside `keep` out of the bounding set.
pub fn limit_bounding(current: CapabilitySet, keep: CapabilitySet) -> Result<(), Errno> {
    for one in current.difference(keep).iter() {
        rustix::thread::remove_capability_from_bounding_set(one)?;
    }
    Ok(())
}

/// Sets all but the bounding set, which [`limit_bounding`] has narrowed before.
pub fn set_capabilities(wanted: &Capabilities) -> Result<(), Errno> {
    rustix::thread::set_capabilities(
        None,
        rustix::thread::CapabilitySets {
            effective: wanted.effective,
            permitted: wanted.permitted,
            inheritable: wanted.inheritable,
        },
    )?;
    rustix::thread::clear_ambient_capability_set()?;
    for one in wanted.ambient.iter() {
        rustix::thread::configure_capability_in_ambient_set(one, true)?;
    }
    Ok(())
}

/// Gives up gaining privileges through `execve`, for good.
pub fn forbid_new_privileges() -> Result<(), Errno> {
    rustix::thread::set_no_new_privs(true)
}

/// Becomes a user and group with exactly these further groups; capabilities are kept.
pub fn become_user(
    uid: rustix::fs::Uid,
    gid: rustix::fs::Gid,
    groups: Option<&[rustix::fs::Gid]>,
) -> Result<(), Errno> {
    rustix::thread::set_keep_capabilities(true)?;
    if let Some(groups) = groups {
        rustix::thread::set_thread_groups(groups)?;
    }
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    rustix::thread::set_keep_capabilities(false)?;
    // Effective capabilities go when the user changes from root, whatever is kept.
    let now = rustix::thread::capabilities(None)?;
    rustix::thread::set_capabilities(
        None,
        rustix::thread::CapabilitySets {
            effective: now.permitted,
            ..now
        },
    )
}
