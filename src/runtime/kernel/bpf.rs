//! Device rules of a cgroup v2, as a program that the kernel asks at each `open` and `mknod`.
//!
//! The program compares kind, access and number with each rule from the last to the first: as on v1,
//! a later rule undoes an earlier one.

use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use nix::libc;
use rustix::io::Errno;

use super::process::check;

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceAnswer {
    /// The access is allowed.
    Allow,
    /// The access is refused.
    Deny,
}

/// A kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// A block device.
    Block,
    /// A character device.
    Character,
}

/// A rule about devices; `None` is any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRule {
    /// What it says.
    pub answer: DeviceAnswer,
    /// About which kind.
    pub kind: Option<DeviceKind>,
    /// About which major number.
    pub major: Option<u32>,
    /// About which minor number.
    pub minor: Option<u32>,
    /// About reading.
    pub read: bool,
    /// About writing.
    pub write: bool,
    /// About making a node.
    pub make_node: bool,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Op {
    code: u8,
    /// Destination register in the low half, source register in the high one.
    registers: u8,
    offset: i16,
    immediate: i32,
}

const fn op(code: u8, registers: u8, offset: i16, immediate: i32) -> Op {
    Op {
        code,
        registers,
        offset,
        immediate,
    }
}

/// `r<dst> = *(u32 *)(r1 + offset)`
const fn load(destination: u8, offset: i16) -> Op {
    op(0x61, 0x10 | destination, offset, 0)
}

const fn and(register: u8, immediate: i32) -> Op {
    op(0x54, register, 0, immediate)
}

const fn shift_right(register: u8, immediate: i32) -> Op {
    op(0x74, register, 0, immediate)
}

const fn copy(destination: u8, source: u8) -> Op {
    op(0xbc, (source << 4) | destination, 0, 0)
}

const fn set(register: u8, immediate: i32) -> Op {
    op(0xb4, register, 0, immediate)
}

/// Jumps to the next rule if the register is not this number.
const fn skip_unless(register: u8, immediate: i32) -> Op {
    op(0x56, register, 0, immediate)
}

/// Jumps to the next rule if the register is not equal to the other.
const fn skip_unless_same(register: u8, other: u8) -> Op {
    op(0x5e, (other << 4) | register, 0, 0)
}

const EXIT: Op = op(0x95, 0, 0, 0);

const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

fn is_skip(op: Op) -> bool {
    matches!(op.code, 0x56 | 0x5e)
}

fn compile(rules: &[DeviceRule]) -> Vec<Op> {
    let mut program = vec![
        load(KIND, 0),
        and(KIND, 0xffff),
        load(ACCESS, 0),
        shift_right(ACCESS, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
    ];
    for rule in rules.iter().rev() {
        let mut block = conditions(rule);
        let always = block.is_empty();
        block.push(set(0, i32::from(rule.answer == DeviceAnswer::Allow)));
        block.push(EXIT);
        let length = block.len();
        for (index, op) in block.iter_mut().enumerate() {
            if is_skip(*op) {
                op.offset = i16::try_from(length - index - 1).unwrap_or(i16::MAX);
            }
        }
        program.extend(block);
        if always {
            // The kernel refuses a program with a part that nothing reaches.
            return program;
        }
    }
    program.extend([set(0, 0), EXIT]);
    program
}

fn conditions(rule: &DeviceRule) -> Vec<Op> {
    let mut block = Vec::new();
    match rule.kind {
        Some(DeviceKind::Block) => block.push(skip_unless(KIND, 1)),
        Some(DeviceKind::Character) => block.push(skip_unless(KIND, 2)),
        None => {}
    }
    let bits = i32::from(rule.make_node) | i32::from(rule.read) << 1 | i32::from(rule.write) << 2;
    if bits != 0b111 {
        // Every access that is asked for must be among those of the rule.
        block.extend([
            copy(SCRATCH, ACCESS),
            and(SCRATCH, bits),
            skip_unless_same(SCRATCH, ACCESS),
        ]);
    }
    let number = |number: u32| i32::from_ne_bytes(number.to_ne_bytes());
    block.extend(rule.major.map(|major| skip_unless(MAJOR, number(major))));
    block.extend(rule.minor.map(|minor| skip_unless(MINOR, number(minor))));
    block
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
/// Programs of cgroups above and below are asked as well.
const BPF_F_ALLOW_MULTI: u32 = 2;

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
struct LoadAttributes {
    program_type: u32,
    op_count: u32,
    ops: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The beginning of `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
struct AttachAttributes {
    target: RawFd,
    program: RawFd,
    attach_type: u32,
    flags: u32,
}

/// Puts the rules in force for everything in a v2 cgroup; what no rule speaks of is refused.
pub fn attach_device_rules(cgroup: BorrowedFd<'_>, rules: &[DeviceRule]) -> Result<(), Errno> {
    // A cgroup directory opened with O_PATH is not enough for bpf(2).
    let cgroup = rustix::fs::openat(
        cgroup,
        c".",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    let program = load_program(&compile(rules))?;
    let attributes = AttachAttributes {
        target: cgroup.as_raw_fd(),
        program: program.as_raw_fd(),
        attach_type: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: the attributes live through the call and their size is passed; both descriptors are open.
    check(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_ATTACH,
            &raw const attributes,
            size_of::<AttachAttributes>(),
        )
    })?;
    Ok(())
}

fn load_program(program: &[Op]) -> Result<OwnedFd, Errno> {
    let license = c"Apache-2.0";
    let attributes = LoadAttributes {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        op_count: u32::try_from(program.len()).map_err(|_| Errno::TOOBIG)?,
        ops: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    // SAFETY: program and licence live through the call, their lengths are right, and the kernel
    // checks the program before it takes it.
    let fd = check(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_LOAD,
            &raw const attributes,
            size_of::<LoadAttributes>(),
        )
    })?;
    let fd = RawFd::try_from(fd).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel has just made this descriptor for us and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: DeviceRule = DeviceRule {
        answer: DeviceAnswer::Deny,
        kind: None,
        major: None,
        minor: None,
        read: true,
        write: true,
        make_node: true,
    };

    /// Follows the program as the kernel's verifier does.
    fn reached(program: &[Op]) -> Vec<bool> {
        let mut reached = vec![false; program.len()];
        let mut next = vec![0];
        while let Some(index) = next.pop() {
            if std::mem::replace(&mut reached[index], true) || program[index] == EXIT {
                continue;
            }
            next.push(index + 1);
            if is_skip(program[index]) {
                next.push(index + 1 + usize::try_from(program[index].offset).unwrap());
            }
        }
        reached
    }

    #[test]
    fn every_part_of_a_program_is_reached() {
        let null = DeviceRule {
            answer: DeviceAnswer::Allow,
            kind: Some(DeviceKind::Character),
            major: Some(1),
            minor: Some(3),
            ..ANY
        };
        let nodes = DeviceRule {
            answer: DeviceAnswer::Allow,
            read: false,
            write: false,
            ..ANY
        };
        for rules in [
            vec![],
            vec![ANY],
            vec![null],
            vec![ANY, null, nodes],
            vec![null, ANY, nodes],
        ] {
            let program = compile(&rules);
            assert!(
                reached(&program).iter().all(|is| *is),
                "{rules:?}: {program:?}"
            );
        }
    }
}
