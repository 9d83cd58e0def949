//! Through which network a container leaves, and by which names and addresses it is known.

use crate::support::Sandbox;
use crate::support::machine::{self, needs};

#[test]
fn the_way_out_is_chosen_among_networks_that_have_one() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    stop_grace_period: 0s
    extra_hosts: ['machine:host-gateway']
    networks: {inner: {gw_priority: 99}, outer: {}}
networks: {inner: {internal: true}, outer: {ipam: {config: [{subnet: 10.211.41.0/24}]}}}
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    let routes = sandbox.sh("one", "ip route");
    assert!(routes.contains("default via 10.211.41.1 "), "{routes}");
    let hosts = sandbox.sh("one", "cat /etc/hosts");
    assert!(hosts.contains("10.211.41.1\tmachine"), "{hosts}");
}

#[test]
fn a_network_without_ipv4_leaves_the_ipv4_way_out_to_others() {
    needs!(machine::images(), machine::ipv6());
    let sandbox = Sandbox::new(
        "
services:
  one:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    stop_grace_period: 0s
    networks: {aaa: {gw_priority: 5}, zzz: {}}
networks:
  aaa: {enable_ipv4: false, enable_ipv6: true, ipam: {config: [{subnet: 'fd00:211:42::/64'}]}}
  zzz: {ipam: {config: [{subnet: 10.211.42.0/24}]}}
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    let routes = sandbox.sh("one", "ip route; ip -6 route");
    assert!(routes.contains("default via 10.211.42.1 "), "{routes}");
    assert!(routes.contains("default via fd00:211:42::1 "), "{routes}");
}

#[test]
fn an_address_has_the_name_of_its_container() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s, hostname: one.example.com}
  two: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    let address = sandbox.sh("two", "hostname -i");
    let told = sandbox.sh("one", &format!("nslookup {address}"));
    assert!(
        told.contains("name = project-two-1.project_default"),
        "{told}"
    );
    let own = sandbox.sh("one", "tail -n 1 /etc/hosts");
    assert!(own.ends_with("\tone.example.com one"), "{own}");
}
