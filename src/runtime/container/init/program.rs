//! A process that is set up and confined → one more that becomes the program, in the pid namespace of its
//! maker's children.
//!
//! **Invariant:** where others already live in that pid namespace, the maker has given up everything that
//! the program shall not have before the new process appears there.

use super::finish::FinishPlan;
use super::report::{Act, Failure, Message};
use super::setup::{ABANDONED, report};
use crate::runtime::kernel::channel::Channel;
use crate::runtime::kernel::clone::{self, Parent};

/// Makes the program's process, a child of our parent, and tells our parent its number.
pub(in crate::runtime::container) fn make(
    finish: &FinishPlan,
    channel: &Channel,
) -> Result<(), Failure> {
    make_with(channel, &mut || match finish.take_session() {
        Ok(()) => finish.execute(),
        Err(errno) => Failure::of(Act::Stdio, 1)(errno),
    })
}

/// As [`make`], where the new process does `become_it`, which returns only why it failed.
pub(super) fn make_with(
    channel: &Channel,
    become_it: &mut dyn FnMut() -> Failure,
) -> Result<(), Failure> {
    let made = clone::fork(Parent::MakersParent, &mut || {
        report(channel, become_it());
        ABANDONED
    });
    let made = made.map_err(Failure::of(Act::Program, 0))?;
    Message::Made(made.as_raw_nonzero().get())
        .write(channel)
        .map_err(Failure::of(Act::Begin, 0))
}
