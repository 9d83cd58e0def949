//! What a container sees mounted.

use crate::needs_privileges;
use crate::sandbox::sh;

#[test]
fn only_three_descriptors_are_open() {
    needs_privileges!();
    // The fourth is the directory that `ls` reads.
    assert_eq!(sh("ls /proc/self/fd | wc -l").trim(), "4");
}
