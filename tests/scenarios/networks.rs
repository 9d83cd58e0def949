//! Who reaches whom, and by which name.

use std::collections::BTreeSet;
use std::net::{TcpStream, UdpSocket};

use crate::support::checks::{free_port, tcp_read, udp_ask};
use crate::support::machine::{self, needs};
use crate::support::run::Running;
use crate::support::{Sandbox, until};

/// Whether `service` can fetch a line from NAME:PORT.
fn reaches(sandbox: &Sandbox, service: &str, name: &str, port: u16) -> bool {
    let line = format!("nc -w 2 {name} {port} </dev/null 2>/dev/null | grep -q .; echo $?");
    sandbox.sh(service, &line) == "0"
}

const SERVER: &str = "[sh, -c, \"while :; do echo hello from $$(hostname) | nc -l -p 7000; done\"]";

fn with_server(rest: &str) -> Sandbox {
    let sandbox = Sandbox::new(&rest.replace("SERVER", SERVER));
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox
}

#[test]
fn services_find_each_other_by_name_and_alias() {
    needs!(machine::images());
    let sandbox = with_server(
        "
services:
  server:
    image: ${BUSYBOX}
    command: SERVER
    stop_grace_period: 0s
    networks: {default: {aliases: [stage]}}
  client: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}
",
    );
    for name in ["server", "stage", "project-server-1"] {
        until(name, || {
            reaches(&sandbox, "client", name, 7000).then_some(())
        });
    }
    assert_ne!(
        sandbox.sh("client", "nslookup nobody.invalid >/dev/null 2>&1; echo $?"),
        "0"
    );
}

#[test]
fn a_name_stands_for_every_replica() {
    needs!(machine::images());
    let sandbox = with_server(
        "
services:
  server: {image: '${BUSYBOX}', command: SERVER, scale: 3, stop_grace_period: 0s}
  client: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}
",
    );
    let addresses = sandbox.sh(
        "client",
        "nslookup server | grep -A 100 '^Name' | grep -c '^Address.*\\.'",
    );
    assert_eq!(addresses, "3");
}

#[test]
fn networks_keep_services_apart() {
    needs!(machine::images());
    let sandbox = with_server(
        "
services:
  server: {image: '${BUSYBOX}', command: SERVER, networks: [back], stop_grace_period: 0s}
  both: {image: '${BUSYBOX}', command: [sleep, '1000'], networks: [front, back], stop_grace_period: 0s}
  outside: {image: '${BUSYBOX}', command: [sleep, '1000'], networks: [front], stop_grace_period: 0s}
networks: {front: , back: }
",
    );
    until("the way from both", || {
        reaches(&sandbox, "both", "server", 7000).then_some(())
    });
    assert_eq!(sandbox.sh("both", "ls /sys/class/net | grep -vc lo"), "2");
    assert!(
        !reaches(&sandbox, "outside", "server", 7000),
        "the name must not be known"
    );
    let address = sandbox.sh("server", "hostname -i");
    let address = address.split(' ').next().unwrap();
    assert!(
        !reaches(&sandbox, "outside", address, 7000),
        "the address must not be reachable"
    );
}

#[test]
fn an_internal_network_has_no_way_out() {
    needs!(machine::images());
    let sandbox = with_server(
        "
services:
  inside: {image: '${BUSYBOX}', command: [sleep, '1000'], networks: [closed], stop_grace_period: 0s}
  usual: {image: '${BUSYBOX}', command: [sleep, '1000'], networks: [open], stop_grace_period: 0s}
networks: {closed: {internal: true}, open: }
",
    );
    assert_eq!(
        sandbox.sh("inside", "ip route | grep -c default || true"),
        "0"
    );
    assert_eq!(
        sandbox.sh("usual", "ip route | grep -c default || true"),
        "1"
    );
}

#[test]
fn a_published_port_answers_on_the_host() {
    needs!(machine::images());
    let port = free_port();
    let sandbox = with_server(&format!(
        "
services:
  server:
    image: ${{BUSYBOX}}
    command: SERVER
    hostname: stage
    ports: ['127.0.0.1:{port}:7000']
    stop_grace_period: 0s
"
    ));
    let address = format!("127.0.0.1:{port}");
    let heard = until("an answer", || tcp_read(&address));
    assert_eq!(heard, "hello from stage\n");
    let told = sandbox.consort(&["port", "server", "7000"]).succeeds();
    assert_eq!(told.trim(), address);
    sandbox.consort(&["stop", "-t", "0"]).succeeds();
    assert_eq!(
        tcp_read(&address),
        None,
        "a stopped container publishes nothing"
    );
}

#[test]
fn a_port_without_a_number_gets_a_free_one() {
    needs!(machine::images());
    let sandbox = with_server(
        "services: {server: {image: '${BUSYBOX}', command: SERVER, ports: ['7000'], stop_grace_period: 0s}}",
    );
    let told = sandbox.consort(&["port", "server", "7000"]).succeeds();
    let port = told.trim().rsplit(':').next().unwrap().to_owned();
    until("an answer", || tcp_read(&format!("127.0.0.1:{port}")));
}

#[test]
fn a_published_port_answers_on_ipv6_too() {
    needs!(machine::images(), machine::ipv6());
    let port = free_port();
    let _sandbox = with_server(&format!(
        "services: {{server: {{image: '${{BUSYBOX}}', command: SERVER, ports: ['{port}:7000'], stop_grace_period: 0s}}}}",
    ));
    until("an answer by IPv4", || {
        tcp_read(&format!("127.0.0.1:{port}"))
    });
    until("an answer by IPv6", || tcp_read(&format!("[::1]:{port}")));
}

#[test]
fn a_udp_port_is_published() {
    let port = free_port();
    let sandbox = Sandbox::new(&format!(
        "
services:
  echo:
    image: rootfs:/
    command: [perl, /app/echo.pl]
    volumes: ['./echo.pl:/app/echo.pl:ro']
    ports: ['127.0.0.1:{port}:7000/udp']
    stop_grace_period: 0s
"
    ));
    sandbox.file(
        "echo.pl",
        "use IO::Socket::INET;
my $socket = IO::Socket::INET->new(LocalPort => 7000, Proto => 'udp') or die $@;
while (defined(my $peer = $socket->recv(my $text, 512))) { $socket->send($text, 0, $peer) }
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    let address = format!("127.0.0.1:{port}");
    for question in ["ping", "pong"] {
        let heard = until("an answer", || udp_ask(&address, question));
        assert_eq!(heard, question);
    }
}

#[test]
fn whoever_reaches_a_published_port_cannot_use_up_what_the_monitor_needs() {
    needs!(machine::images());
    let (datagrams, idle, greeting) = (free_port(), free_port(), free_port());
    let sandbox = Sandbox::new(&format!(
        "
services:
  web:
    image: ${{BUSYBOX}}
    command: [sh, -c, 'nc -ll -p 7000 -e cat & nc -ll -p 7001 -e echo hello & exec sleep 1000']
    ports:
      - '127.0.0.1:{datagrams}:7000/udp'
      - '127.0.0.1:{idle}:7000'
      - '127.0.0.1:{greeting}:7001'
    stop_grace_period: 0s
    healthcheck: {{test: 'echo >>/probes', interval: 100ms}}
"
    ));
    let descriptors = "200";
    let line = "ulimit -n $0 && exec \"$@\"";
    let consort = sandbox.command();
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", line, descriptors]);
    limited.arg(consort.get_program()).args(consort.get_args());
    limited.args(["up", "-d"]).env_clear();
    let env = consort.get_envs();
    limited.envs(env.filter_map(|(name, value)| Some((name, value?))));
    limited.current_dir(sandbox.path("project"));
    Running::start(limited).wait().succeeds();
    let monitors = sandbox.own_processes("[monitor]");
    let greeted = || until("a greeting", || tcp_read(&format!("127.0.0.1:{greeting}")));
    assert_eq!(greeted(), "hello\n");
    let probes = || sandbox.sh("web", "wc -l </probes");
    let clients: Vec<UdpSocket> = (0..250)
        .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    let peers: Vec<TcpStream> = (0..250)
        .map(|_| TcpStream::connect(("127.0.0.1", idle)).unwrap())
        .collect();
    for _ in 0..5 {
        for client in &clients {
            client.send_to(b"hello", ("127.0.0.1", datagrams)).unwrap();
        }
        // Each probe needs descriptors, and so does the record of what it said.
        let before = probes();
        until("further probes", || (probes() != before).then_some(()));
    }
    assert_eq!(sandbox.own_processes("[monitor]"), monitors);
    assert_eq!(sandbox.field("web", "Health").as_deref(), Some("healthy"));
    let limits = sandbox.sh("web", "grep 'Max open files' /proc/1/limits");
    assert!(
        limits.split_whitespace().any(|word| word == descriptors),
        "{limits}"
    );
    drop((clients, peers));
    assert_eq!(greeted(), "hello\n");
}

#[test]
fn a_monitor_may_have_more_descriptors_than_its_caller_and_its_container_may_not() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  plain: {image: '${BUSYBOX}', command: [sh, -c, 'ulimit -n; exec sleep 1000'], stop_grace_period: 0s}
  own: {image: '${BUSYBOX}', command: [sh, -c, 'ulimit -n; exec sleep 1000'], ulimits: {nofile: 99}, stop_grace_period: 0s}
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    let ours = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let limit = |text: String| (!text.is_empty()).then_some(text);
    let plain = until("a line", || limit(sandbox.logs("plain")));
    assert_eq!(plain.trim().parse().ok(), ours.current);
    assert_eq!(until("a line", || limit(sandbox.logs("own"))), "99\n");
    for monitor in sandbox.own_processes("[monitor]") {
        let limits = std::fs::read_to_string(format!("/proc/{monitor}/limits")).unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"));
        let mut words = line.unwrap().split_whitespace().skip(3);
        assert_eq!(words.next(), words.next(), "{limits}");
    }
}

#[test]
fn many_bytes_pass_a_published_port_whole() {
    needs!(machine::images());
    let port = free_port();
    let _sandbox = with_server(&format!(
        "
services:
  source:
    image: ${{BUSYBOX}}
    command: [sh, -c, 'while :; do yes 0123456789abcde | head -c 20000000 | nc -l -p 7000; done']
    ports: ['127.0.0.1:{port}:7000']
    stop_grace_period: 0s
"
    ));
    let heard = until("an answer", || tcp_read(&format!("127.0.0.1:{port}")));
    assert_eq!(heard.len(), 20_000_000);
    assert!(
        heard
            .as_bytes()
            .chunks(16)
            .all(|line| line == b"0123456789abcde\n")
    );
}

#[test]
fn network_mode_none_has_loopback_only() {
    needs!(machine::images());
    let sandbox = with_server(
        "services: {one: {image: '${BUSYBOX}', command: [sleep, '1000'], network_mode: none, stop_grace_period: 0s}}",
    );
    assert_eq!(sandbox.sh("one", "ls /sys/class/net"), "lo");
    assert_eq!(
        sandbox.sh("one", "ip -4 addr show lo | grep -c 127.0.0.1"),
        "1"
    );
}

#[test]
fn network_mode_host_is_the_hosts() {
    needs!(machine::images());
    let sandbox = with_server(
        "services: {one: {image: '${BUSYBOX}', command: [sleep, '1000'], network_mode: host, stop_grace_period: 0s}}",
    );
    let outside = std::fs::read_link("/proc/self/ns/net").unwrap();
    if machine::is_root() {
        assert_eq!(
            sandbox.sh("one", "readlink /proc/self/ns/net"),
            outside.to_string_lossy()
        );
    }
}

#[test]
fn network_mode_service_shares_ports_and_loopback() {
    needs!(machine::images());
    let sandbox = with_server(
        "
services:
  server: {image: '${BUSYBOX}', command: SERVER, stop_grace_period: 0s}
  beside: {image: '${BUSYBOX}', command: [sleep, '1000'], network_mode: 'service:server', stop_grace_period: 0s}
",
    );
    until("the server on loopback", || {
        reaches(&sandbox, "beside", "127.0.0.1", 7000).then_some(())
    });
}

#[test]
fn a_static_address_is_the_one_that_was_asked_for() {
    needs!(machine::images());
    let sandbox = with_server(
        "
services:
  one:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    networks: {fixed: {ipv4_address: 10.213.77.42}}
    stop_grace_period: 0s
networks: {fixed: {ipam: {config: [{subnet: 10.213.77.0/24}]}}}
",
    );
    let inside = sandbox.sh("one", "ip -4 addr show | grep -c 'inet 10.213.77.42/24'");
    assert_eq!(inside, "1");
}

#[test]
fn extra_hosts_and_resolver_settings_are_written() {
    needs!(machine::images());
    let sandbox = with_server(
        "
services:
  one:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    extra_hosts: ['elsewhere:192.0.2.7']
    dns_search: [example.org]
    stop_grace_period: 0s
",
    );
    assert_eq!(
        sandbox.sh("one", "grep elsewhere /etc/hosts | awk '{print $1}'"),
        "192.0.2.7"
    );
    let resolver = sandbox.sh("one", "cat /etc/resolv.conf");
    assert!(
        resolver.contains("nameserver 127.0.0.11") && resolver.contains("example.org"),
        "{resolver}"
    );
    assert_eq!(
        sandbox.sh("one", "ping -c 1 -w 2 $(hostname) >/dev/null; echo $?"),
        "0"
    );
}

#[test]
fn a_container_reaches_the_hosts_own_address_as_its_way_out() {
    needs!(machine::images(), machine::root());
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            drop(std::io::Write::write_all(&mut &stream, b"host\n"));
        }
    });
    let sandbox = with_server(
        "services: {one: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}}",
    );
    let gateway = sandbox.sh("one", "ip route | awk '/default/ {print $3}'");
    until("the host", || {
        reaches(&sandbox, "one", &gateway, port).then_some(())
    });
}

#[test]
fn an_address_is_free_again_after_down() {
    needs!(machine::images());
    let sandbox = with_server(
        "services: {one: {image: '${BUSYBOX}', command: [sleep, '1000'], scale: 3, stop_grace_period: 0s}}",
    );
    let hosts = || -> BTreeSet<String> {
        let address = "ip -4 -o addr show eth0 | sed 's/.*inet [0-9.]*\\.//; s:/.*::'";
        ["1", "2", "3"]
            .iter()
            .map(|index| {
                let args = ["exec", "-T", "--index", index, "one", "sh", "-c", address];
                sandbox.consort(&args).succeeds().trim().to_owned()
            })
            .collect()
    };
    let first = hosts();
    assert_eq!(first.len(), 3, "{first:?}");
    for _ in 0..3 {
        sandbox.consort(&["down", "-t", "0"]).succeeds();
        sandbox.consort(&["up", "-d"]).succeeds();
    }
    assert_eq!(hosts(), first);
}

#[test]
fn a_link_is_a_name_for_the_linking_container_alone() {
    needs!(machine::images());
    let project = |link: &str| {
        "
services:
  db: {image: '${BUSYBOX}', command: SERVER, scale: 2, stop_grace_period: 0s}
  web: {image: '${BUSYBOX}', command: [sleep, '1000'], links: ['LINK'], stop_grace_period: 0s}
  client: {image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s}
"
        .replace("LINK", link)
        .replace("SERVER", SERVER)
    };
    let sandbox = Sandbox::new(&project("db:database"));
    let run = sandbox.consort(&["up", "-d"]);
    assert!(run.ok() && !run.stderr.contains("links"), "{run}");
    let addresses = |service: &str, name: &str| {
        let line = format!("nslookup {name} | grep -A 100 '^Name' | grep '^Address' | sort");
        sandbox.sh(service, &line)
    };
    for name in ["database", "Database", "db"] {
        until(name, || reaches(&sandbox, "web", name, 7000).then_some(()));
    }
    assert_eq!(addresses("web", "database"), addresses("web", "db"));
    assert_eq!(addresses("web", "database").lines().count(), 2);
    assert_eq!(
        addresses("client", "database"),
        "",
        "no other container knows it"
    );
    assert_eq!(addresses("client", "db").lines().count(), 2);
    let id = sandbox.field("web", "ID");
    sandbox.rewrite(&project("db:store"));
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(sandbox.field("web", "ID"), id, "a link changes in place");
    assert_eq!(addresses("web", "store"), addresses("web", "db"));
    assert_eq!(addresses("web", "database"), "", "and the old name is gone");
    let plan = sandbox.consort(&["plan"]);
    assert_eq!(plan.status.code(), Some(0), "{plan}");
}

#[test]
fn ports_that_two_services_exchange_change_hands_in_one_up() {
    needs!(machine::images());
    let (one, other) = (free_port(), free_port());
    let project = |api: u16, web: u16| {
        format!(
            "
services:
  api: {{image: '${{BUSYBOX}}', command: SERVER, hostname: api, ports: ['127.0.0.1:{api}:7000'], stop_grace_period: 0s}}
  web:
    image: ${{BUSYBOX}}
    command: SERVER
    hostname: web
    ports: ['127.0.0.1:{web}:7000']
    depends_on: [api]
    stop_grace_period: 0s
"
        )
        .replace("SERVER", SERVER)
    };
    let sandbox = Sandbox::new(&project(one, other));
    for (api, web) in [(one, other), (other, one), (one, other), (other, one)] {
        sandbox.rewrite(&project(api, web));
        sandbox.consort(&["up", "-d"]).succeeds();
        for (port, name) in [(api, "api"), (web, "web")] {
            let heard = until("an answer", || tcp_read(&format!("127.0.0.1:{port}")));
            assert_eq!(heard, format!("hello from {name}\n"));
        }
    }
}

#[test]
fn a_machine_passes_packets_on_for_as_long_as_there_are_networks_and_that_is_told() {
    needs!(machine::images(), machine::root(), machine::program("ip"));
    const SWITCH: &str = "/proc/sys/net/ipv4/ip_forward";
    // A machine of this test's own: it goes with the test's thread.
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
    let loopback = ["link", "set", "lo", "up"];
    let ip = std::process::Command::new("ip").args(loopback).status();
    assert!(ip.unwrap().success());
    std::fs::write(SWITCH, "0").unwrap();
    let read = || std::fs::read_to_string(SWITCH).unwrap();
    let sandbox = Sandbox::new(
        "
services:
  one: {image: '${BUSYBOX}', command: [sleep, '1000'], networks: [inner], stop_grace_period: 0s}
networks: {inner: {internal: true}, outer: {}}
",
    );
    let quiet = sandbox.consort(&["up", "-d"]);
    assert!(
        quiet.ok() && !quiet.stderr.contains("ip_forward"),
        "{quiet}"
    );
    assert_eq!(read(), "0\n", "an internal network needs no switch");
    let compose = "
services:
  one: {image: '${BUSYBOX}', command: [sleep, '1000'], networks: [inner, outer], stop_grace_period: 0s}
networks: {inner: {internal: true}, outer: {}}
";
    sandbox.rewrite(compose);
    let told = sandbox.consort(&["up", "-d"]);
    assert!(told.ok(), "{told}");
    assert!(told.stderr.contains("net.ipv4.ip_forward = 1"), "{told}");
    assert_eq!(read(), "1\n");
    sandbox.consort(&["down"]).succeeds();
    assert_eq!(read(), "0\n");
}
