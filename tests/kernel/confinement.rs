//! What a container may not do, read from inside it.

use crate::needs_privileges;
use crate::sandbox::sh;

#[test]
fn capabilities_are_dockers_default_and_nothing_is_inherited() {
    needs_privileges!();
    let output = sh("grep -E '^Cap|NoNewPrivs|^Seccomp:' /proc/self/status");
    for line in [
        "CapInh:\t0000000000000000",
        "CapPrm:\t00000000a80425fb",
        "CapEff:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t0",
        "Seccomp:\t2",
    ] {
        assert!(output.contains(line), "{line} in {output}");
    }
}
