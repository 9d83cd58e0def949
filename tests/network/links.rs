//! Bridges and endpoints.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use consort::runtime::network::NetworkError;
use consort::runtime::network::bridge::{self, BridgeConfig, Ensured};
use consort::runtime::network::endpoint::{self, EndpointConfig};
use consort::runtime::network::nat::{self, Egress, Ground};
use consort::runtime::network::rewire;

use crate::host::{Container, Network, cidr, enter_new_host};
use crate::support::machine::{needs, root};
use crate::way_out::nat_of;

#[test]
fn two_containers_of_one_network_talk() {
    needs!(root());
    enter_new_host();
    let network = Network::new(1);
    let (one, other) = (network.container(), network.container());
    for (bind, ip) in [("0.0.0.0:80", one.ipv4), ("[::]:81", one.ipv6)] {
        let listener = one.listen(bind);
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, peer) = listener.accept().unwrap();
            stream.write_all(b"hello").unwrap();
            peer.ip()
        });
        let mut stream = other.connect(ip, port).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        let seen = server.join().unwrap();
        assert!(seen == other.ipv4 || seen == other.ipv6, "{seen}");
    }
}

#[test]
fn a_bridge_is_found_by_its_mark_and_leaves_nothing() {
    needs!(root());
    enter_new_host();
    let network = Network::new(2);
    assert_eq!(bridge::ensure(&network.bridge).unwrap(), Ensured::Found);
    let marked = bridge::list_marked().unwrap();
    assert_eq!(marked.len(), 1);
    assert_eq!(
        (&marked[0].link, &marked[0].mark),
        (&network.bridge.link, &network.bridge.mark)
    );
    let other_gateway = BridgeConfig {
        gateway_v4: Some(cidr("10.99.77.1/24")),
        ..network.bridge.clone()
    };
    bridge::ensure(&other_gateway).unwrap();
    let gateways = bridge::gateways(&network.bridge.link).unwrap();
    assert!(
        gateways.contains(&"10.99.77.1".parse().unwrap()),
        "{gateways:?}"
    );
    assert!(
        !gateways.contains(&"10.99.2.1".parse().unwrap()),
        "{gateways:?}"
    );
    bridge::remove(&network.bridge.link).unwrap();
    bridge::remove(&network.bridge.link).unwrap();
    assert_eq!(bridge::list_marked().unwrap(), []);
}

#[test]
fn a_removed_bridge_is_out_of_sight_at_once_and_its_subnet_free() {
    needs!(root());
    enter_new_host();
    for _ in 0..3 {
        let network = Network::new(4);
        let networks = [nat_of(&network, Egress::Masquerade)];
        nat::ensure(&networks, Ground::Own).unwrap();
        let settling = nat::remove(&network.bridge.link, Ground::Own).unwrap();
        bridge::remove_from_sight(&network.bridge.link, settling).unwrap();
        assert_eq!(bridge::list_marked().unwrap(), []);
        assert!(bridge::gateways(&network.bridge.link).unwrap().is_empty());
    }
}

#[test]
fn a_bridge_of_somebody_else_is_left_alone() {
    needs!(root());
    enter_new_host();
    let network = Network::new(3);
    let foreign = BridgeConfig {
        mark: "consort:other/net".to_owned(),
        ..network.bridge.clone()
    };
    let error = bridge::ensure(&foreign).unwrap_err();
    assert!(matches!(error, NetworkError::ForeignLink { .. }), "{error}");
    let error = bridge::remove("lo").unwrap_err();
    assert!(matches!(error, NetworkError::ForeignLink { .. }), "{error}");
}

#[test]
fn a_network_comes_and_goes_while_the_container_runs() {
    needs!(root());
    enter_new_host();
    let (front, back) = (Network::new(4), Network::new(5));
    let db = back.container();
    let listener = db.listen("0.0.0.0:5432");
    let mark = "consort:test/web";
    let marked = |endpoint: EndpointConfig, ways_out: &[&str]| EndpointConfig {
        mark: mark.to_owned(),
        default_gateways: ways_out.iter().map(|ip| ip.parse().unwrap()).collect(),
        ..endpoint
    };
    let first = marked(front.endpoint("eth0"), &["10.99.4.1", "fd99:4::1"]);
    let second = marked(back.endpoint("eth1"), &[]);
    let netns = endpoint::create_netns().unwrap();
    endpoint::attach(&netns, std::slice::from_ref(&first)).unwrap();
    let web = Container::around(netns, &first);
    assert!(web.is_cut_off_from(db.ipv4, 5432));
    // Each twice: what is as it should be stays as it is.
    for _ in 0..2 {
        rewire(&web.netns, mark, &[first.clone(), second.clone()]).unwrap();
        let names = endpoint::interface_names(&web.netns).unwrap();
        assert_eq!(names, ["eth0", "eth1"]);
        assert_eq!(web.ways_out(), ["eth0 10.99.4.1"]);
    }
    assert!(web.reaches(db.ipv4, 5432));
    let stream = web.connect(db.ipv4, 5432).unwrap();
    let quiet = marked(first.clone(), &[]);
    let loud = marked(second, &["10.99.5.1", "fd99:5::1"]);
    rewire(&web.netns, mark, &[quiet, loud.clone()]).unwrap();
    assert_eq!(web.ways_out(), ["eth1 10.99.5.1"]);
    for _ in 0..2 {
        rewire(&web.netns, mark, std::slice::from_ref(&loud)).unwrap();
        assert_eq!(endpoint::interface_names(&web.netns).unwrap(), ["eth1"]);
    }
    listener.accept().unwrap();
    let mut open = listener.accept().unwrap().0;
    open.write_all(b"still here").unwrap();
    drop(open);
    let mut text = String::new();
    (&stream).read_to_string(&mut text).unwrap();
    assert_eq!(text, "still here", "an interface that stays is not touched");
    rewire(&web.netns, mark, &[]).unwrap();
    assert_eq!(endpoint::interface_names(&web.netns).unwrap(), [""; 0]);
    let others = endpoint::interface_names(&db.netns).unwrap();
    assert_eq!(others, ["eth0"], "others on the network stay on it");
}

#[test]
fn of_two_interfaces_none_stays_when_one_fails() {
    needs!(root());
    enter_new_host();
    let network = Network::new(6);
    let netns = endpoint::create_netns().unwrap();
    let twice = [network.endpoint("eth0"), network.endpoint("eth0")];
    let error = endpoint::attach(&netns, &twice).unwrap_err();
    assert!(
        error.to_string().contains("create interface `eth0`"),
        "{error}"
    );
    assert_eq!(endpoint::interface_names(&netns).unwrap(), [""; 0]);
    let lost = [EndpointConfig {
        bridge: "cs-missing".to_owned(),
        ..network.endpoint("eth0")
    }];
    let error = endpoint::attach(&netns, &lost).unwrap_err();
    assert!(
        error.to_string().contains("find bridge `cs-missing`"),
        "{error}"
    );
}

#[test]
fn a_container_without_ipv6_has_not_even_a_link_local_address() {
    needs!(root());
    enter_new_host();
    let network = Network::new(7);
    let netns = endpoint::create_netns().unwrap();
    let only_v4 = EndpointConfig {
        ipv6: None,
        default_gateways: Vec::new(),
        ..network.endpoint("eth0")
    };
    endpoint::attach(&netns, &[only_v4]).unwrap();
    let addresses = consort::runtime::kernel::netlink::inside(&netns, || {
        std::fs::read_to_string("/proc/thread-self/net/if_inet6")
    });
    let addresses = addresses.unwrap();
    assert!(!addresses.contains("eth0"), "{addresses}");
    drop(TcpStream::connect("127.0.0.1:1"));
}
