//! Published ports.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, UdpSocket};
use std::process::Command;
use std::thread::spawn;

use consort::runtime::network::NetworkError;
use consort::runtime::network::publish::{
    HostPort, HostSockets, PortHolder, Protocol, PublishConfig, bind,
};
use consort::runtime::network::serve::{NetThread, PortTarget, ServeConfig};

use crate::host::{Container, Network, PATIENCE, connect, enter_new_host, loopback};
use crate::support::machine::{needs, program, root};

const BIG_BYTES: usize = 16 << 20;

fn publish(container: &Container, port: u16, protocol: Protocol) -> NetThread {
    publish_at(container, None, port, protocol)
}

fn publish_at(
    container: &Container,
    host_ip: Option<IpAddr>,
    port: u16,
    protocol: Protocol,
) -> NetThread {
    let host_port = HostPort::Within {
        first: port,
        last: port,
    };
    let wanted = PublishConfig {
        host_ip,
        host_port,
        container_port: 80,
        protocol,
    };
    let (IpAddr::V4(ipv4), IpAddr::V6(ipv6)) = (container.ipv4, container.ipv6) else {
        panic!()
    };
    let config = ServeConfig {
        netns: container.netns.try_clone().unwrap(),
        ports: bind(&[wanted], &HostSockets::Here).unwrap(),
        target: PortTarget {
            ipv4: Some(ipv4),
            ipv6: Some(ipv6),
        },
        names: None,
        host: HostSockets::Here,
    };
    NetThread::spawn(config).unwrap()
}

fn localhosts(port: u16) -> [SocketAddr; 2] {
    [
        loopback(port),
        SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port),
    ]
}

#[test]
fn bytes_and_ends_pass_in_both_directions() {
    needs!(root());
    enter_new_host();
    let container = Network::new(1).container();
    // Only IPv4 inside: clients of either family are served all the same.
    let listener = container.listen("0.0.0.0:80");
    let _thread = publish(&container, 8080, Protocol::Tcp);
    let server = spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            stream.read_to_end(&mut request).unwrap();
            // The client's end has arrived; its other direction is still open.
            request.reverse();
            stream.write_all(&request).unwrap();
        }
    });
    for address in localhosts(8080) {
        let mut stream = connect(address).unwrap();
        let sent: Vec<u8> = (0..BIG_BYTES).map(|n| (n % 251) as u8).collect();
        stream.write_all(&sent).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        received.reverse();
        assert!(received == sent, "{} bytes came back", received.len());
    }
    server.join().unwrap();
}

#[test]
fn a_slow_reader_slows_its_writer_and_nobody_else() {
    needs!(root());
    enter_new_host();
    let container = Network::new(1).container();
    let listener = container.listen("0.0.0.0:80");
    let _thread = publish(&container, 8080, Protocol::Tcp);
    spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            spawn(move || {
                let mut kind = [0];
                stream.read_exact(&mut kind).unwrap();
                let bytes = if kind[0] == b'b' { BIG_BYTES } else { 5 };
                drop(stream.write_all(&vec![7; bytes]));
            });
        }
    });
    let mut slow = connect(loopback(8080)).unwrap();
    slow.write_all(b"b").unwrap();
    for _ in 0..50 {
        let mut quick = connect(loopback(8080)).unwrap();
        quick.write_all(b"s").unwrap();
        let mut answer = Vec::new();
        quick.read_to_end(&mut answer).unwrap();
        assert_eq!(answer.len(), 5);
    }
    let mut everything = Vec::new();
    slow.read_to_end(&mut everything).unwrap();
    assert_eq!(everything.len(), BIG_BYTES);
}

#[test]
fn where_nobody_listens_the_connection_breaks_off() {
    needs!(root());
    enter_new_host();
    let container = Network::new(1).container();
    // On loopback alone is not published, as with Docker.
    let _private = container.listen("127.0.0.1:80");
    let _thread = publish(&container, 8080, Protocol::Tcp);
    for address in localhosts(8080) {
        // The reset may come before the connection has been looked at.
        let read = connect(address).and_then(|mut stream| stream.read_to_end(&mut Vec::new()));
        let error = read.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn datagrams_find_their_client_again() {
    needs!(root());
    enter_new_host();
    let container = Network::new(1).container();
    let server = container.run(|| UdpSocket::bind("0.0.0.0:80").unwrap());
    let _thread = publish(&container, 5353, Protocol::Udp);
    spawn(move || {
        let mut buffer = [0; 64 << 10];
        while let Ok((length, from)) = server.recv_from(&mut buffer) {
            buffer[..length].reverse();
            server.send_to(&buffer[..length], from).unwrap();
        }
    });
    // An address of the bridge: the answer must come from there, not from the nearest one.
    let gateway = SocketAddr::new("10.99.1.1".parse().unwrap(), 5353);
    for address in localhosts(5353).into_iter().chain([gateway]) {
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let clients = [(); 3].map(|()| UdpSocket::bind((any, 0)).unwrap());
        for (client, text) in clients.iter().zip([b"abc", b"def", b"ghi"]) {
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.connect(address).unwrap();
            client.send(text).unwrap();
        }
        for (client, text) in clients.iter().zip([b"cba", b"fed", b"ihg"]) {
            let mut buffer = [0; 16];
            let length = client.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], text);
        }
    }
}

#[test]
fn a_port_on_loopback_is_reached_from_this_machine_alone() {
    needs!(root());
    enter_new_host();
    let network = Network::new(1);
    let (container, neighbour) = (network.container(), network.container());
    let listener = container.listen("0.0.0.0:80");
    spawn(move || while listener.accept().is_ok() {});
    let localhost = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let _thread = publish_at(&container, localhost, 8080, Protocol::Tcp);
    connect(loopback(8080)).unwrap();
    assert!(neighbour.is_cut_off_from("10.99.1.1".parse().unwrap(), 8080));
}

#[test]
fn the_ports_go_with_the_thread() {
    needs!(root());
    enter_new_host();
    let container = Network::new(1).container();
    let listener = container.listen("0.0.0.0:80");
    spawn(move || while listener.accept().is_ok() {});
    let thread = publish(&container, 8080, Protocol::Tcp);
    connect(loopback(8080)).unwrap();
    drop(thread);
    connect(loopback(8080)).unwrap_err();
    drop(publish(&container, 8080, Protocol::Tcp));
}

#[test]
fn a_taken_port_is_explained_by_pid_and_command() {
    needs!(root(), program("python3"));
    enter_new_host();
    let script = "import socket,sys; s=socket.create_server(('0.0.0.0',8080)); \
                  print('ready',flush=True); sys.stdin.read()";
    let mut other = Command::new("python3")
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 5];
    other
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut ready)
        .unwrap();
    let wanted = |first, protocol| PublishConfig {
        host_ip: None,
        host_port: HostPort::Within { first, last: first },
        container_port: 80,
        protocol,
    };
    let both = [wanted(8081, Protocol::Tcp), wanted(8080, Protocol::Tcp)];
    let error = bind(&both, &HostSockets::Here).unwrap_err();
    let text = error.to_string();
    let NetworkError::PortTaken {
        holder: PortHolder::Process { pid, command },
        ..
    } = error
    else {
        panic!("{text}")
    };
    assert_eq!(pid, other.id());
    assert!(command.contains("python3 -c import socket"), "{command}");
    // The first port was given back when the second could not be had.
    bind(&[wanted(8081, Protocol::Tcp)], &HostSockets::Here).unwrap();
    drop(other.stdin.take());
    other.wait().unwrap();
}
