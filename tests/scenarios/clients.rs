//! Whom a service sees as the client behind a published port.

use std::net::UdpSocket;

use crate::support::checks::{free_port, tcp_read, udp_ask};
use crate::support::{Sandbox, until};

const SERVER: &str = "use IO::Socket::INET;
my $datagrams = IO::Socket::INET->new(LocalPort => 7000, Proto => 'udp') or die $@;
if (!fork) {
    while (defined(my $peer = $datagrams->recv(my $text, 512))) { $datagrams->send($datagrams->peerhost, 0, $peer) }
    exit;
}
my $streams = IO::Socket::INET->new(LocalPort => 7000, Listen => 5, ReuseAddr => 1) or die $@;
while (my $peer = $streams->accept) { print $peer $peer->peerhost; close $peer }
";

fn server(address: &str, port: u16) -> Sandbox {
    let sandbox = Sandbox::new(&format!(
        "
services:
  server:
    image: rootfs:/
    command: [perl, /app/server.pl]
    volumes: ['./server.pl:/app/server.pl:ro']
    ports: ['{address}{port}:7000', '{address}{port}:7000/udp']
    stop_grace_period: 0s
"
    ));
    sandbox.file("server.pl", SERVER);
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox
}

/// Returns a port that is free for both protocols.
fn free_twice() -> u16 {
    until("a port that is free for TCP and UDP", || {
        let port = free_port();
        UdpSocket::bind(("127.0.0.1", port)).ok().map(|_| port)
    })
}

#[test]
fn the_machine_itself_is_seen_as_the_gateway_by_loopback() {
    let port = free_twice();
    let sandbox = server("127.0.0.1:", port);
    let route = sandbox.sh("server", "ip route show default || cat /proc/net/route");
    let gateway = route.split(' ').nth(2).unwrap_or_default().to_owned();
    let address = format!("127.0.0.1:{port}");
    assert_eq!(until("an answer", || tcp_read(&address)), gateway);
    assert_eq!(until("an answer", || udp_ask(&address, "?")), gateway);
}
