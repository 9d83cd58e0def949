//! Descriptors 0, 1 and 2: a terminal of the container's own, or files.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::runtime::kernel::mount::{self, Depth};
use crate::runtime::kernel::process;
use crate::runtime::kernel::rooted::Target;

/// Both ends of a terminal.
#[derive(Debug)]
pub(in crate::runtime::container) struct Terminal {
    /// For the monitor.
    pub(in crate::runtime::container) theirs: OwnedFd,
    ours: OwnedFd,
}

/// Makes a terminal in a devpts, never by a path that the container chose (CVE-2025-52565).
pub(in crate::runtime::container) fn make(
    terminals: BorrowedFd<'_>,
    (rows, columns): (u16, u16),
    owner: Uid,
) -> Result<Terminal, Errno> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let theirs = rustix::fs::openat(terminals, c"ptmx", flags, Mode::empty())?;
    if rustix::fs::fstatfs(&theirs)?.f_type != DEVPTS_MAGIC {
        return Err(Errno::NOTTY);
    }
    rustix::pty::unlockpt(&theirs)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = rustix::pty::ioctl_tiocgptpeer(&theirs, flags)?;
    let stat = rustix::fs::fstat(&ours)?;
    let is_terminal = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && rustix::fs::major(stat.st_rdev) == TERMINAL_MAJOR
        && rustix::fs::fstatfs(&ours)?.f_type == DEVPTS_MAGIC;
    if !is_terminal {
        return Err(Errno::NOTTY);
    }
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(&theirs, size)?;
    give_to_user(ours.as_fd(), owner)?;
    Ok(Terminal { theirs, ours })
}

const TERMINAL_MAJOR: u32 = 136;
const DEVPTS_MAGIC: i64 = 0x1cd1;

/// Lets the program's user open its own terminal or pipes again by name.
fn give_to_user(fd: BorrowedFd<'_>, owner: Uid) -> Result<(), Errno> {
    match rustix::fs::fchown(fd, Some(owner), None) {
        // A file of somebody outside of our user namespace, or one on a read-only filesystem: the
        // program can still use the descriptor itself.
        Ok(()) | Err(Errno::PERM | Errno::INVAL | Errno::ROFS) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Shows the terminal as /dev/console.
pub(super) fn show_console(
    root: BorrowedFd<'_>,
    console: &Target,
    terminal: &Terminal,
) -> Result<(), Errno> {
    let target = console.ensure(root)?;
    let copy = mount::clone_tree(&terminal.ours, c"", Depth::One)?;
    mount::attach(&copy, &target)
}

impl Terminal {
    /// Makes it descriptors 0, 1 and 2.
    pub(in crate::runtime::container) fn use_it(&self) -> Result<(), Errno> {
        for number in 0..3 {
            process::duplicate_to(&self.ours, number)?;
        }
        Ok(())
    }
}

/// Makes files, none of them numbered below 3, descriptors 0, 1 and 2.
pub(in crate::runtime::container) fn use_files(
    files: &[OwnedFd; 3],
    owner: Uid,
) -> Result<(), Errno> {
    for (number, file) in (0..).zip(files) {
        let stat = rustix::fs::fstat(file)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo {
            give_to_user(file.as_fd(), owner)?;
        }
        process::duplicate_to(file, number)?;
    }
    Ok(())
}
