//! Subnets and addresses: whose they are, and who may have them next.

use crate::support::Sandbox;
use crate::support::machine::{self, needs};

const GUEST: &str = "
name: guest
services:
  one: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s, networks: [theirs]}
  two: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s, networks: [theirs]}
networks: {theirs: {external: true, name: project_default}}
";

fn owner(network: &str) -> String {
    format!(
        "
services:
  own: {{image: '${{BUSYBOX}}', command: [sleep, '1000'], stop_grace_period: 0s}}
networks: {{default: {{{network}}}}}
"
    )
}

#[test]
fn a_network_that_another_project_uses_stays_as_it_is() {
    needs!(machine::images());
    let sandbox = Sandbox::new(&owner(""));
    let guest = sandbox.file("guest.yaml", GUEST).display().to_string();
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.other(&["-f", &guest, "up", "-d"]).succeeds();
    let reaches = || {
        let line = "nslookup two | grep -q '^Name' && ip -o addr show eth0 | grep -q inet";
        let asked = sandbox.other(&["-f", &guest, "exec", "-T", "one", "sh", "-c", line]);
        drop(asked.succeeds());
    };
    sandbox.rewrite(&owner(
        "driver_opts: {com.docker.network.driver.mtu: '1400'}",
    ));
    let refused = sandbox.consort(&["up", "-d"]).fails_with(1);
    assert!(
        refused.contains("`guest-one-1` of project `guest`"),
        "{refused}"
    );
    reaches();
    sandbox.rewrite(&owner(""));
    let down = sandbox.consort(&["down", "-t", "0"]);
    assert!(down.stderr.contains("Resource is still in use"), "{down}");
    drop(down.succeeds());
    reaches();
    sandbox
        .other(&["-f", &guest, "restart", "-t", "0", "one"])
        .succeeds();
    reaches();
    sandbox.other(&["-f", &guest, "down", "-t", "0"]).succeeds();
}

#[test]
fn a_fixed_subnet_that_is_in_use_is_refused_with_both_places() {
    needs!(machine::images());
    let with_subnet = |subnet: &str| owner(&format!("ipam: {{config: [{{subnet: {subnet}}}]}}"));
    let sandbox = Sandbox::new(&with_subnet("10.211.43.0/24"));
    sandbox.consort(&["up", "-d"]).succeeds();
    let other = format!("name: second\n{}", with_subnet("10.211.43.128/25"));
    let other = sandbox.file("second.yaml", &other).display().to_string();
    let refused = sandbox.other(&["-f", &other, "up", "-d"]).fails_with(1);
    for part in [
        "`second_default`",
        "`project_default`",
        "second.yaml:",
        "compose.yaml:",
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    let of_the_machine = format!("name: third\n{}", with_subnet("127.0.0.0/24"));
    let third = sandbox.file("third.yaml", &of_the_machine);
    let third = third.display().to_string();
    let refused = sandbox.other(&["-f", &third, "up", "-d"]).fails_with(1);
    assert!(refused.contains("link `lo`"), "{refused}");
}

#[test]
fn two_networks_of_one_file_do_not_overlap() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s, networks: [a, b]}
networks:
  a: {ipam: {config: [{subnet: 10.211.44.0/24}]}}
  b: {ipam: {config: [{subnet: 10.211.44.0/26}]}}
",
    );
    let refused = sandbox.consort(&["up", "-d"]).fails_with(1);
    assert!(refused.contains("`project_a`"), "{refused}");
    assert!(refused.contains("`project_b`"), "{refused}");
}

fn fixed(one: &str, two: &str, rest: &str) -> String {
    format!(
        "
services:
  any: {{image: '${{BUSYBOX}}', command: [sleep, '1000'], stop_grace_period: 0s, scale: 2}}
  one: {{image: '${{BUSYBOX}}', command: [sleep, '1000'], stop_grace_period: 0s, depends_on: [any], networks: {{default: {{ipv4_address: {one}}}}}}}
  two: {{image: '${{BUSYBOX}}', command: [sleep, '1000'], stop_grace_period: 0s, depends_on: [any], networks: {{default: {{ipv4_address: {two}}}}}}}
  {rest}
networks: {{default: {{ipam: {{config: [{{subnet: 10.211.45.0/28}}]}}}}}}
"
    )
}

#[test]
fn fixed_addresses_are_kept_free_and_survive_a_new_container() {
    needs!(machine::images());
    let late = "late: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s, profiles: [late], networks: {default: {ipv4_address: 10.211.45.4}}}";
    let sandbox = Sandbox::new(&fixed("10.211.45.2", "10.211.45.3", late));
    let address = |service: &str| sandbox.sh(service, "hostname -i");
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox
        .consort(&["up", "-d", "--scale", "any=4"])
        .succeeds();
    sandbox
        .consort(&["--profile", "late", "up", "-d"])
        .succeeds();
    for _ in 0..2 {
        assert_eq!(address("one"), "10.211.45.2");
        assert_eq!(address("two"), "10.211.45.3");
        assert_eq!(address("late"), "10.211.45.4");
        let anew = ["--profile", "late", "up", "-d", "--force-recreate"];
        sandbox.consort(&anew).succeeds();
    }
    sandbox
        .consort(&["--profile", "late", "down", "-t", "0"])
        .succeeds();
}

#[test]
fn two_services_may_exchange_their_addresses() {
    needs!(machine::images());
    let sandbox = Sandbox::new(&fixed("10.211.45.2", "10.211.45.3", ""));
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.rewrite(&fixed("10.211.45.3", "10.211.45.2", ""));
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(sandbox.sh("one", "hostname -i"), "10.211.45.3");
    assert_eq!(sandbox.sh("two", "hostname -i"), "10.211.45.2");
}

#[test]
fn no_folder_is_made_in_the_place_of_a_socket() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "services: {one: {image: '${BUSYBOX}', command: [sleep, '1000'], volumes: ['./docker.sock:/var/run/docker.sock']}}",
    );
    let refused = sandbox.consort(&["up", "-d"]).fails_with(1);
    assert!(refused.contains("docker.sock"), "{refused}");
    assert!(!sandbox.path("project/docker.sock").exists());
}
