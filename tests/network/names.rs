//! The name server inside a container.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use consort::runtime::network::names::{NameRecord, write_record};
use consort::runtime::network::publish::HostSockets;
use consort::runtime::network::serve::{
    NameServerPort, NamesConfig, NetThread, PortTarget, ServeConfig, ServedNetwork,
};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

use crate::host::{Container, Network, PATIENCE, cidr, enter_new_host};
use crate::support::machine::{needs, root};

fn config(folder: &Path, resolvers: Vec<SocketAddr>) -> NamesConfig {
    NamesConfig {
        networks: vec![ServedNetwork {
            name: "test_1".to_owned(),
            folder: folder.to_owned(),
            subnets: vec![cidr("10.99.1.0/24")],
        }],
        links: BTreeMap::new(),
        resolvers,
        listen: NameServerPort::Plain,
    }
}

fn serve(container: &Container, names: NamesConfig) -> NetThread {
    let config = ServeConfig {
        netns: container.netns.try_clone().unwrap(),
        ports: Vec::new(),
        target: PortTarget::default(),
        names: Some(names),
        host: HostSockets::Here,
    };
    NetThread::spawn(config).unwrap()
}

fn record(folder: &Path, id: &str, name: &str, ip: [u8; 4]) {
    let record = NameRecord {
        container: format!("test-{name}-{id}"),
        names: vec![name.to_owned()],
        ipv4: Some(ip.into()),
        ipv6: None,
        healthy: true,
    };
    write_record(folder, id, &record).unwrap();
}

fn question(name: &str) -> Vec<u8> {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message.to_vec().unwrap()
}

fn ips(message: &Message) -> Vec<IpAddr> {
    let ip = |data: &RData| match data {
        RData::A(a) => IpAddr::V4(a.0),
        other => panic!("{other:?}"),
    };
    message
        .answers
        .iter()
        .map(|record| ip(&record.data))
        .collect()
}

fn ask(container: &Container, name: &str) -> Message {
    container.run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send_to(&question(name), "127.0.0.11:53").unwrap();
        let mut buffer = [0; 4096];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(from, "127.0.0.11:53".parse().unwrap());
        Message::from_vec(&buffer[..length]).unwrap()
    })
}

fn ask_by_stream(container: &Container, name: &str) -> Message {
    container.run(|| {
        let mut stream = TcpStream::connect("127.0.0.11:53").unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let question = question(name);
        let length = u16::try_from(question.len()).unwrap().to_be_bytes();
        // In two pieces, as a slow client would.
        stream.write_all(&length).unwrap();
        stream.write_all(&question).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).unwrap();
        Message::from_vec(&answer).unwrap()
    })
}

/// A resolver of the machine's namespace that answers 192.0.2.7 to everything.
fn resolver(ip: &str) -> (SocketAddr, Receiver<u16>) {
    let datagrams = UdpSocket::bind(format!("{ip}:0")).unwrap();
    let address = datagrams.local_addr().unwrap();
    let streams = std::net::TcpListener::bind(address).unwrap();
    let (seen, asked) = channel();
    let seen_too = seen.clone();
    let answer = |bytes: &[u8]| {
        let question = Message::from_vec(bytes).unwrap();
        let mut answer = Message::response(question.metadata.id, OpCode::Query);
        let query = question.queries[0].clone();
        let data = RData::A(hickory_proto::rr::rdata::A([192, 0, 2, 7].into()));
        answer.add_answer(hickory_proto::rr::Record::from_rdata(
            query.name().clone(),
            60,
            data,
        ));
        answer.add_query(query);
        answer.to_vec().unwrap()
    };
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = datagrams.recv_from(&mut buffer) {
            datagrams.send_to(&answer(&buffer[..length]), from).unwrap();
            if seen.send(from.port()).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        while let Ok((mut stream, from)) = streams.accept() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut bytes).unwrap();
            let answer = answer(&bytes);
            let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
            stream
                .write_all(&[&length, answer.as_slice()].concat())
                .unwrap();
            if seen_too.send(from.port()).is_err() {
                return;
            }
        }
    });
    (address, asked)
}

#[test]
fn a_service_is_found_by_name_and_a_new_replica_at_once() {
    needs!(root());
    enter_new_host();
    let network = Network::new(1);
    let container = network.container();
    let dir = tempfile::tempdir().unwrap();
    let _thread = serve(&container, config(dir.path(), Vec::new()));
    assert_eq!(
        ask(&container, "db.").metadata.response_code,
        ResponseCode::NXDomain
    );
    record(dir.path(), "1", "db", [10, 99, 1, 9]);
    assert_eq!(
        ips(&ask(&container, "db.")),
        ["10.99.1.9".parse::<IpAddr>().unwrap()]
    );
    record(dir.path(), "2", "db", [10, 99, 1, 8]);
    assert_eq!(ips(&ask_by_stream(&container, "DB.test_1.")).len(), 2);
    let firsts: std::collections::BTreeSet<IpAddr> =
        (0..4).map(|_| ips(&ask(&container, "db."))[0]).collect();
    assert_eq!(firsts.len(), 2);
}

#[test]
fn other_names_are_asked_for_at_the_hosts_resolvers() {
    needs!(root());
    enter_new_host();
    let network = Network::new(1);
    let container = network.container();
    let dir = tempfile::tempdir().unwrap();
    // The first one does not exist: the second answers for it.
    let dead = "127.0.0.1:9".parse().unwrap();
    let (address, asked) = resolver("127.0.0.1");
    let _thread = serve(&container, config(dir.path(), vec![dead, address]));
    let message = ask(&container, "example.com.");
    assert_eq!(message.metadata.id, 4711);
    assert_eq!(ips(&message), ["192.0.2.7".parse::<IpAddr>().unwrap()]);
    let ports = [asked.recv().unwrap(), {
        ask(&container, "example.com.");
        asked.recv().unwrap()
    }];
    assert_ne!(ports[0], ports[1], "each question has a port of its own");
    let message = ask_by_stream(&container, "example.org.");
    assert_eq!(ips(&message), ["192.0.2.7".parse::<IpAddr>().unwrap()]);
}

#[test]
fn an_internal_container_asks_nobody_outside() {
    needs!(root());
    enter_new_host();
    let network = Network::new(1);
    let container = network.container();
    let dir = tempfile::tempdir().unwrap();
    let (_address, asked) = resolver("127.0.0.1");
    let thread = serve(&container, config(dir.path(), Vec::new()));
    let message = ask(&container, "secret.example.com.");
    assert_eq!(message.metadata.response_code, ResponseCode::NXDomain);
    assert!(asked.try_recv().is_err());
    drop(thread);
}

#[test]
fn a_change_of_networks_reaches_the_running_server() {
    needs!(root());
    enter_new_host();
    let network = Network::new(1);
    let container = network.container();
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    record(new.path(), "1", "db", [10, 99, 1, 9]);
    let thread = serve(&container, config(old.path(), Vec::new()));
    assert!(ask(&container, "db.").answers.is_empty());
    thread
        .update(PortTarget::default(), Some(config(new.path(), Vec::new())))
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while ask(&container, "db.").answers.is_empty() {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn a_thousand_idle_connections_delay_no_answer() {
    needs!(root());
    enter_new_host();
    let network = Network::new(1);
    let container = network.container();
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), "1", "db", [10, 99, 1, 9]);
    let _thread = serve(&container, config(dir.path(), Vec::new()));
    let idle: Vec<_> = container.run(|| {
        (0..300)
            .map(|_| TcpStream::connect("127.0.0.11:53").unwrap())
            .collect()
    });
    let begin = Instant::now();
    assert_eq!(ask(&container, "db.").answers.len(), 1);
    assert!(
        begin.elapsed() < Duration::from_millis(500),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(ask_by_stream(&container, "db.").answers.len(), 1);
    drop(idle);
}

#[test]
fn a_container_may_serve_port_53_itself() {
    needs!(root());
    enter_new_host();
    let network = Network::new(1);
    let container = network.container();
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), "1", "db", [10, 99, 1, 9]);
    let mut names = config(dir.path(), Vec::new());
    names.listen = NameServerPort::Redirected;
    // The second monitor of a container finds what the first one left.
    drop(serve(&container, names.clone()));
    let _thread = serve(&container, names);
    let _own_udp = container.run(|| UdpSocket::bind("0.0.0.0:53").unwrap());
    let _own_tcp = container.listen("0.0.0.0:53");
    assert_eq!(ask(&container, "db.").answers.len(), 1);
    assert_eq!(ask_by_stream(&container, "db.").answers.len(), 1);
}

#[test]
fn noise_neither_stops_nor_fills_the_server() {
    needs!(root());
    enter_new_host();
    let network = Network::new(1);
    let container = network.container();
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), "1", "db", [10, 99, 1, 9]);
    let thread = serve(&container, config(dir.path(), Vec::new()));
    container.run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let mut bytes = question("db.");
        for round in 0..20_000_u32 {
            let at = (round as usize * 7) % bytes.len();
            bytes[at] = bytes[at].wrapping_add(31);
            drop(socket.send_to(&bytes, "127.0.0.11:53"));
        }
    });
    // By stream, since the queue of datagrams is full of noise for a while.
    assert_eq!(ask_by_stream(&container, "db.").answers.len(), 1);
    assert!(!thread.has_ended());
}
