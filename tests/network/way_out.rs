//! The way out, isolation, and internal networks.

use std::net::{IpAddr, SocketAddrV4};
use std::process::Command;
use std::thread::spawn;

use consort::runtime::network::bridge::{self, BridgeConfig};
use consort::runtime::network::endpoint;
use consort::runtime::network::nat::{self, Egress, Ground, Ipv6, LedPort, NatNetwork};

use crate::host::{Container, Network, PATIENCE, cidr, enter_new_host};
use crate::support::machine::{needs, program, root};

/// A machine elsewhere: 198.51.100.2 and 2001:db8::2, behind a link that is none of ours.
fn world() -> Container {
    let bridge = BridgeConfig {
        link: "uplink".to_owned(),
        mark: "consort:test/uplink".to_owned(),
        gateway_v4: Some(cidr("198.51.100.1/24")),
        gateway_v6: Some(cidr("2001:db8::1/64")),
        mtu: None,
    };
    bridge::ensure(&bridge).unwrap();
    let mut endpoint = Network::new(200).endpoint("eth0");
    endpoint.bridge = bridge.link;
    endpoint.ipv4 = Some(cidr("198.51.100.2/24"));
    endpoint.ipv6 = Some(cidr("2001:db8::2/64"));
    // It knows the way to the containers; that alone must not help it.
    endpoint.default_gateways = vec![
        "198.51.100.1".parse().unwrap(),
        "2001:db8::1".parse().unwrap(),
    ];
    let netns = endpoint::create_netns().unwrap();
    endpoint::attach(&netns, std::slice::from_ref(&endpoint)).unwrap();
    let (ipv4, ipv6) = (
        endpoint.ipv4.unwrap().address(),
        endpoint.ipv6.unwrap().address(),
    );
    Container { netns, ipv4, ipv6 }
}

pub(crate) fn nat_of(network: &Network, egress: Egress) -> NatNetwork {
    NatNetwork {
        link: network.bridge.link.clone(),
        egress,
        ipv6: Ipv6::Enabled,
    }
}

fn accept_all(container: &Container, address: &str) -> std::sync::mpsc::Receiver<IpAddr> {
    let listener = container.listen(address);
    let (seen, peers) = std::sync::mpsc::channel();
    spawn(move || {
        while let Ok((_, peer)) = listener.accept() {
            if seen.send(peer.ip()).is_err() {
                return;
            }
        }
    });
    peers
}

fn ruleset() -> String {
    let output = Command::new("nft")
        .args(["list", "ruleset"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_container_leaves_with_the_address_of_the_machine() {
    needs!(root());
    enter_new_host();
    let world = world();
    let network = Network::new(1);
    let container = network.container();
    let peers = accept_all(&world, "0.0.0.0:80");
    let peers_v6 = accept_all(&world, "[::]:81");
    assert!(container.is_cut_off_from(world.ipv4, 80));
    let report = nat::ensure(&[nat_of(&network, Egress::Masquerade)], Ground::Own).unwrap();
    assert!(
        report
            .changed_settings
            .contains(&"net.ipv4.ip_forward = 1".to_owned()),
        "{report:?}"
    );
    assert_eq!((&report.no_way_out, &report.dropped_by), (&None, &None));
    container.connect(world.ipv4, 80).unwrap();
    assert_eq!(
        peers.recv().unwrap(),
        "198.51.100.1".parse::<IpAddr>().unwrap()
    );
    container.connect(world.ipv6, 81).unwrap();
    assert_eq!(
        peers_v6.recv().unwrap(),
        "2001:db8::1".parse::<IpAddr>().unwrap()
    );
    let again = nat::ensure(&[nat_of(&network, Egress::Masquerade)], Ground::Own).unwrap();
    assert_eq!(again.changed_settings, [""; 0]);
}

#[test]
fn from_outside_only_published_ports_answer() {
    needs!(root());
    enter_new_host();
    let world = world();
    let network = Network::new(1);
    let container = network.container();
    let _peers = accept_all(&container, "0.0.0.0:80");
    nat::ensure(&[nat_of(&network, Egress::Masquerade)], Ground::Own).unwrap();
    assert!(world.is_cut_off_from(container.ipv4, 80));
}

#[test]
fn networks_do_not_reach_each_other() {
    needs!(root());
    enter_new_host();
    let (one, other) = (Network::new(1), Network::new(2));
    let (from, to) = (one.container(), other.container());
    let _peers = accept_all(&to, "0.0.0.0:80");
    nat::ensure(
        &[
            nat_of(&one, Egress::Masquerade),
            nat_of(&other, Egress::Masquerade),
        ],
        Ground::Own,
    )
    .unwrap();
    assert!(from.is_cut_off_from(to.ipv4, 80));
    let neighbour = other.container();
    assert!(neighbour.reaches(to.ipv4, 80));
}

#[test]
fn nothing_leaves_an_internal_network() {
    needs!(root());
    enter_new_host();
    let world = world();
    let (inner, outer) = (Network::new(1), Network::new(2));
    let (inside, outside) = (inner.container(), outer.container());
    let _peers = accept_all(&world, "0.0.0.0:80");
    nat::ensure(
        &[
            nat_of(&inner, Egress::Internal),
            nat_of(&outer, Egress::Masquerade),
        ],
        Ground::Own,
    )
    .unwrap();
    assert!(outside.reaches(world.ipv4, 80));
    assert!(inside.is_cut_off_from(world.ipv4, 80));
}

#[test]
fn a_table_that_somebody_flushed_is_put_right() {
    needs!(root(), program("nft"));
    enter_new_host();
    let world = world();
    let network = Network::new(1);
    let container = network.container();
    let _peers = accept_all(&world, "0.0.0.0:80");
    let networks = [nat_of(&network, Egress::Masquerade)];
    let notes = tempfile::tempdir().unwrap();
    let ground = Ground::Machine {
        notes: notes.path(),
    };
    nat::ensure(&networks, ground).unwrap();
    let whole = ruleset();
    for command in [
        vec!["flush", "ruleset"],
        vec!["flush", "chain", "inet", "consort", "forward"],
    ] {
        assert!(
            Command::new("nft")
                .args(&command)
                .status()
                .unwrap()
                .success()
        );
        assert_ne!(ruleset(), whole);
        nat::ensure(&networks, ground).unwrap();
        assert_eq!(ruleset(), whole);
        assert!(container.reaches(world.ipv4, 80));
    }
}

#[test]
fn the_table_goes_with_the_last_network() {
    needs!(root(), program("nft"));
    enter_new_host();
    let (one, other, dead) = (Network::new(1), Network::new(2), Network::new(3));
    let all = [&one, &other, &dead].map(|network| nat_of(network, Egress::Internal));
    nat::ensure(&all, Ground::Own).unwrap();
    // Somebody removed this bridge and died before telling the table.
    bridge::remove(&dead.bridge.link).unwrap();
    drop(nat::remove(&one.bridge.link, Ground::Own).unwrap());
    let rules = ruleset();
    assert!(
        rules.contains(&other.bridge.link) && !rules.contains(&one.bridge.link),
        "{rules}"
    );
    assert!(!rules.contains(&dead.bridge.link), "{rules}");
    drop(nat::remove(&other.bridge.link, Ground::Own).unwrap());
    assert_eq!(ruleset(), "");
    drop(nat::remove(&other.bridge.link, Ground::Own).unwrap());
}

#[test]
fn a_foreign_rule_that_drops_everything_is_named() {
    needs!(root(), program("nft"));
    enter_new_host();
    let rules = "add table ip filter; add chain ip filter FORWARD \
                 { type filter hook forward priority 0; policy drop; }";
    assert!(Command::new("nft").arg(rules).status().unwrap().success());
    let network = Network::new(1);
    let report = nat::ensure(&[nat_of(&network, Egress::Masquerade)], Ground::Own).unwrap();
    assert_eq!(report.dropped_by.as_deref(), Some("ip filter FORWARD"));
}

/// A machine with two links that are none of ours, and somebody behind each.
struct BetweenOthers {
    notes: tempfile::TempDir,
    network: Network,
    here: Container,
    there: Container,
}

impl BetweenOthers {
    fn new() -> Self {
        enter_new_host();
        let (here, there) = (Network::of_others(101), Network::of_others(102));
        let there = there.container();
        accept_for_ever(&there);
        Self {
            notes: tempfile::tempdir().unwrap(),
            network: Network::new(1),
            here: here.container(),
            there,
        }
    }

    fn ground(&self) -> Ground<'_> {
        Ground::Machine {
            notes: self.notes.path(),
        }
    }

    fn ensure(&self) -> Vec<String> {
        let networks = [nat_of(&self.network, Egress::Masquerade)];
        let report = nat::ensure(&networks, self.ground()).unwrap();
        report.changed_settings
    }

    fn remove(&self) {
        drop(nat::remove(&self.network.bridge.link, self.ground()).unwrap());
    }

    fn is_closed(&self) -> bool {
        let ways = [self.there.ipv4, self.there.ipv6];
        ways.iter().all(|ip| self.here.is_cut_off_from(*ip, 80))
    }

    fn is_open(&self) -> bool {
        let ways = [self.there.ipv4, self.there.ipv6];
        ways.iter().all(|ip| self.here.reaches(*ip, 80))
    }

    fn notes_nothing(&self) -> bool {
        std::fs::read_dir(self.notes.path())
            .unwrap()
            .next()
            .is_none()
    }
}

fn accept_for_ever(container: &Container) {
    let listener = container.listen("[::]:80");
    spawn(move || for _stream in listener.incoming() {});
}

const SWITCHES: [&str; 2] = ["ipv4/ip_forward", "ipv6/conf/all/forwarding"];

fn setting(name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/sys/net/{name}")).unwrap();
    text.trim().to_owned()
}

fn set(name: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/{name}"), value).unwrap();
}

#[test]
fn the_machine_is_nobody_elses_router_and_is_left_as_it_was() {
    needs!(root(), program("nft"));
    let host = BetweenOthers::new();
    set("ipv6/conf/lan101/accept_ra", "1");
    assert!(host.is_closed());
    let changed = host.ensure();
    for expected in [
        "net.ipv4.ip_forward = 1",
        "net.ipv6.conf.all.forwarding = 1",
        "net.ipv6.conf.lan101.accept_ra = 2",
    ] {
        assert!(changed.contains(&expected.to_owned()), "{changed:?}");
    }
    let container = host.network.container();
    for ip in [host.there.ipv4, host.there.ipv6] {
        assert!(container.reaches(ip, 80));
    }
    assert!(host.is_closed());
    // Whoever removed the last table was not the last to need it.
    let emptied = Command::new("nft").args(["flush", "ruleset"]).status();
    assert!(emptied.unwrap().success());
    assert_eq!(host.ensure(), [""; 0]);
    assert!(host.is_closed());
    host.remove();
    assert_eq!(SWITCHES.map(setting), ["0", "0"]);
    assert_eq!(setting("ipv6/conf/lan101/accept_ra"), "1");
    assert!(host.is_closed() && host.notes_nothing());
    assert_eq!(ruleset(), "");
}

#[test]
fn a_machine_that_was_a_router_stays_one() {
    needs!(root());
    let host = BetweenOthers::new();
    for switch in SWITCHES {
        set(switch, "1");
    }
    assert!(host.is_open());
    assert_eq!(host.ensure(), [""; 0]);
    assert!(host.is_open());
    host.remove();
    assert_eq!(SWITCHES.map(setting), ["1", "1"]);
    assert!(host.is_open() && host.notes_nothing());
}

#[test]
fn a_link_that_passed_packets_on_by_itself_does_so_before_during_and_after() {
    needs!(root());
    let host = BetweenOthers::new();
    for link in ["lan101", "lan102"] {
        set(&format!("ipv4/conf/{link}/forwarding"), "1");
    }
    let ip = host.there.ipv4;
    assert!(host.here.reaches(ip, 80));
    let _changed = host.ensure();
    assert!(host.here.reaches(ip, 80));
    host.remove();
    assert_eq!(setting("ipv4/ip_forward"), "0");
    assert!(host.here.reaches(ip, 80));
}

#[test]
fn what_came_later_and_counts_on_the_switch_keeps_it() {
    needs!(root(), program("nft"), program("ip"));
    let host = BetweenOthers::new();
    let _changed = host.ensure();
    let later = Network::of_others(103);
    let newcomer = later.container();
    assert!(newcomer.reaches(host.there.ipv4, 80));
    host.remove();
    assert_eq!(SWITCHES.map(setting), ["1", "1"]);
    assert!(newcomer.reaches(host.there.ipv4, 80));
    assert!(host.is_closed());
    let link = later.bridge.link.as_str();
    let gone = Command::new("ip").args(["link", "delete", link]).status();
    assert!(gone.unwrap().success());
    assert_eq!(host.ensure(), [""; 0]);
    host.remove();
    assert_eq!(SWITCHES.map(setting), ["0", "0"]);
    assert_eq!(ruleset(), "");
}

#[test]
fn only_the_last_network_takes_the_way_out_with_it() {
    needs!(root());
    let host = BetweenOthers::new();
    let _changed = host.ensure();
    let other = Network::new(2);
    let networks = [nat_of(&other, Egress::Masquerade)];
    let report = nat::ensure(&networks, host.ground()).unwrap();
    assert_eq!(report.changed_settings, [""; 0]);
    host.remove();
    let container = other.container();
    assert!(container.reaches(host.there.ipv4, 80));
    assert!(host.is_closed());
    bridge::remove(&host.network.bridge.link).unwrap();
    drop(nat::remove(&other.bridge.link, host.ground()).unwrap());
    assert_eq!(SWITCHES.map(setting), ["0", "0"]);
}

#[test]
fn a_port_that_the_kernel_leads_keeps_the_clients_address_and_goes_with_its_container() {
    needs!(root(), program("nft"));
    enter_new_host();
    let world = world();
    let network = Network::new(1);
    let container = network.container();
    let ground = Ground::Own;
    nat::ensure(&[nat_of(&network, Egress::Masquerade)], ground).unwrap();
    let peers = accept_all(&container, "0.0.0.0:80");
    let IpAddr::V4(own) = container.ipv4 else {
        panic!()
    };
    let led = |host: &str| LedPort {
        host: host.parse().unwrap(),
        target: SocketAddrV4::new(own, 80),
    };
    let machine: IpAddr = "198.51.100.1".parse().unwrap();
    let seen = |port| {
        drop(world.connect(machine, port).unwrap());
        peers.recv_timeout(PATIENCE).unwrap()
    };
    drop(nat::lead_ports("one", &[led("0.0.0.0:8080"), led("198.51.100.1:8081")]).unwrap());
    drop(nat::lead_ports("two", &[led("0.0.0.0:8082")]).unwrap());
    for port in [8080, 8081, 8082] {
        assert_eq!(seen(port), world.ipv4, "{port}");
    }
    // A network that comes later changes nothing, and neither does one that was killed before.
    let other = Network::new(2);
    nat::ensure(&[nat_of(&other, Egress::Masquerade)], ground).unwrap();
    drop(nat::lead_ports("three", &[led("0.0.0.0:8082")]).unwrap());
    drop(nat::lead_ports("two", &[]).unwrap());
    for port in [8080, 8082] {
        assert_eq!(seen(port), world.ipv4, "{port}");
    }
    drop(nat::lead_ports("one", &[]).unwrap());
    assert!(world.is_cut_off_from(machine, 8080));
    assert_eq!(seen(8082), world.ipv4);
    // Only what was led gets in.
    assert!(world.is_cut_off_from(container.ipv4, 80));
    drop(nat::remove(&network.bridge.link, ground).unwrap());
    drop(nat::remove(&other.bridge.link, ground).unwrap());
    assert!(!ruleset().contains("consort"), "{}", ruleset());
}
