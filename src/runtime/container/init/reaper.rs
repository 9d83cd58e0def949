//! The small init of `init: true`: hands signals on, reaps orphans, leaves with the program's code.
//!
//! It is the container's first process itself, already confined as the program is; nothing is
//! executed for it, so it works in an image that holds no file at all.

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions};

use super::plan::InitPlan;
use super::report::{Act, Failure};
use super::setup::{INIT_NAME, report};
use crate::runtime::kernel::channel::Channel;
use crate::runtime::kernel::clone::{self, Parent};
use crate::runtime::kernel::process;

/// Makes the program's process and looks after it; returns only if there is none.
pub(super) fn run(plan: &InitPlan, channel: &Channel) -> Failure {
    match start(plan, channel) {
        Ok(program) => look_after(program),
        Err(errno) => Failure {
            act: Act::Reaper,
            index: 0,
            errno,
        },
    }
}

fn start(plan: &InitPlan, channel: &Channel) -> Result<Pid, Errno> {
    process::block_all_signals()?;
    let mut program = || {
        let failure = match process::reset_signals().and_then(|()| plan.finish.take_session()) {
            Ok(()) => plan.finish.execute(),
            Err(errno) => Failure {
                act: Act::Stdio,
                index: 1,
                errno,
            },
        };
        report(channel, failure);
        NOT_RUN
    };
    // The program, once it runs, can look at us.
    process::close_from_except(3, channel)?;
    let made = clone::fork(Parent::Maker, &mut program)?;
    // Our copies of the program's output and of the channel shall not outlive the program's.
    process::close_from(0)?;
    process::set_name(INIT_NAME)?;
    Ok(made)
}

/// What the program's process leaves with if it never became the program.
const NOT_RUN: i32 = 127;

fn look_after(program: Pid) -> ! {
    loop {
        match process::wait_for_signal() {
            Ok(SIGCHLD) | Err(_) => reap(program),
            // It may have ended just now; the next SIGCHLD tells.
            Ok(signal) => drop(process::send_signal(program, signal)),
        }
    }
}

/// Reaps whoever has ended; leaves when the program has.
fn reap(program: Pid) {
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid != program {
            continue;
        }
        if let Some(code) = status.exit_status() {
            process::exit_now(code);
        }
        if let Some(signal) = status.terminating_signal() {
            // The first process of a pid namespace cannot end itself by a signal.
            process::exit_now(128 + signal);
        }
    }
}

const SIGCHLD: i32 = 17;
