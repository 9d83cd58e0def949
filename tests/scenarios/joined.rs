//! Containers that are in the network of another container or of the machine.

use crate::support::checks::{free_port, tcp_read};
use crate::support::machine::{self, needs};
use crate::support::{Sandbox, until};

#[test]
fn whoever_joins_a_network_has_its_names() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  parent: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s, hostname: stage, extra_hosts: ['db.local:10.1.2.3']}
  child: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s, network_mode: 'service:parent'}
  grandchild: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s, network_mode: 'service:child'}
  web: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    let line = "hostname; cat /etc/hostname /etc/hosts /etc/resolv.conf; nslookup -type=a web";
    let of_parent = sandbox.sh("parent", line);
    assert!(of_parent.contains("10.1.2.3\tdb.local"), "{of_parent}");
    assert!(of_parent.starts_with("stage\nstage\n"), "{of_parent}");
    for service in ["child", "grandchild"] {
        assert_eq!(sandbox.sh(service, line), of_parent, "{service}");
    }
}

#[test]
fn the_machines_network_comes_with_the_machines_names() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s, network_mode: host, extra_hosts: ['db.local:10.1.2.3']}
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    assert_eq!(sandbox.sh("one", "hostname"), name);
    let hosts = sandbox.sh("one", "cat /etc/hosts");
    let own = std::fs::read_to_string("/etc/hosts").unwrap();
    assert!(hosts.starts_with(own.trim_end()), "{hosts}");
    assert!(hosts.ends_with("10.1.2.3\tdb.local"), "{hosts}");
}

#[test]
fn network_mode_bridge_is_the_projects_own_network() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s, network_mode: bridge}
  two: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s, network_mode: default}
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(sandbox.sh("one", "ip route | grep -c default"), "1");
    drop(sandbox.sh("one", "nslookup -type=a two | grep '^Name'"));
}

fn with_parent(variable: &str, port: u16) -> String {
    let serve = "while :; do echo hello | nc -l -p 7000; done";
    format!(
        "
services:
  parent: {{image: '${{BUSYBOX}}', command: [sleep, '1000'], stop_grace_period: 0s, environment: {{V: '{variable}'}}, ports: ['127.0.0.1:{port}:7000']}}
  child: {{image: '${{BUSYBOX}}', command: [sh, -c, '{serve}'], stop_grace_period: 0s, network_mode: 'service:parent', ipc: 'service:parent'}}
"
    )
}

#[test]
fn up_brings_along_what_is_left_in_a_network_that_is_gone() {
    needs!(machine::images());
    let port = free_port();
    let sandbox = Sandbox::new(&with_parent("1", port));
    sandbox.consort(&["up", "-d"]).succeeds();
    let together = |what: &str| {
        let address = format!("127.0.0.1:{port}");
        until(what, || tcp_read(&address));
        let line = "for kind in net ipc; do readlink /proc/self/ns/$kind; done";
        assert_eq!(
            sandbox.sh("parent", line),
            sandbox.sh("child", line),
            "{what}"
        );
        let planned = sandbox.consort(&["plan"]).succeeds();
        assert!(planned.contains("Nothing to do"), "{what}: {planned}");
    };
    together("the first time");
    let alone = ["up", "-d", "--force-recreate", "--no-deps", "parent"];
    sandbox.consort(&alone).succeeds();
    together("made again");
    sandbox.rewrite(&with_parent("2", port));
    sandbox.consort(&["up", "-d"]).succeeds();
    together("changed");
    for away in [
        ["stop", "parent"].as_slice(),
        &["kill", "parent"],
        &["rm", "-fs", "parent"],
    ] {
        sandbox.consort(away).succeeds();
        sandbox.consort(&["up", "-d"]).succeeds();
        together(away[0]);
    }
    sandbox.consort(&["stop", "parent"]).succeeds();
    sandbox.consort(&["start", "parent"]).succeeds();
    sandbox.consort(&["up", "-d"]).succeeds();
    together("stopped and started");
}

#[test]
fn the_hint_about_a_taken_port_names_the_container_and_what_frees_it() {
    needs!(machine::images());
    let port = free_port();
    let service = |name: &str| {
        format!(
            "services: {{{name}: {{image: '${{BUSYBOX}}', command: [sleep, '1000'], stop_grace_period: 0s, ports: ['127.0.0.1:{port}:7000']}}}}"
        )
    };
    let sandbox = Sandbox::new(&service("old"));
    sandbox.consort(&["up", "-d"]).succeeds();
    let other = sandbox.file("other.yaml", &format!("name: other\n{}", service("it")));
    let other = other.display().to_string();
    let refused = sandbox.other(&["-f", &other, "up", "-d"]).fails_with(1);
    let holder = "container `project-old-1` of project `project`";
    assert!(refused.contains(holder), "{refused}");
    assert!(!refused.contains("--remove-orphans"), "{refused}");
    sandbox.other(&["-f", &other, "down"]).succeeds();
    sandbox.rewrite(&service("new"));
    let refused = sandbox.consort(&["up", "-d"]).fails_with(1);
    assert!(refused.contains(holder), "{refused}");
    let hint = refused.lines().any(|line| {
        line.contains("hint")
            && line.contains("`project-old-1`")
            && line.contains("--remove-orphans")
    });
    assert!(hint, "{refused}");
    sandbox
        .consort(&["up", "-d", "--remove-orphans"])
        .succeeds();
}
