//! An ordinary user's namespaces, played by an ordinary user: one process per role.
//!
//! Started by root, the test runs itself again as a user that has nothing, not even a name. Without
//! the standard harness, because entering a user namespace needs a process with one thread, and
//! because the holder is started from the program that asks for it, which is this one.

#![expect(
    clippy::disallowed_methods,
    reason = "a test waits by the clock and starts programs to look from outside"
)]

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use consort::runtime::kernel::netlink::{inside, own_netns};
use consort::runtime::network::NetworkError;
use consort::runtime::network::address::MacAddress;
use consort::runtime::network::bridge::{self, BridgeConfig, bridge_mark, bridge_name};
use consort::runtime::network::endpoint::{self, EndpointConfig, host_link_name};
use consort::runtime::network::holder::{self, HolderHandle, Outside};
use consort::runtime::network::nat::{self, Egress, Ground, Ipv6, NatNetwork};
use consort::runtime::network::publish::{
    HostPort, PortHolder, Protocol, PublishConfig, SocketFamily, bind,
};
use consort::runtime::network::serve::{NetThread, PortTarget, ServeConfig};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

#[path = "support/machine.rs"]
#[expect(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "other tests use the rest"
)]
mod machine;

const NOBODY: u32 = 54_321;
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    if words[0].as_encoded_bytes() == holder::ARG0.to_bytes() {
        return holder::main(&words[1..]);
    }
    match words.get(1).and_then(|word| word.to_str()) {
        Some("role") => play(words[2].to_str().unwrap(), Path::new(&words[3])),
        Some("--list") => println!("holder: test"),
        _ if rustix::process::geteuid().is_root() => return as_nobody(),
        _ => run_all(),
    }
    ExitCode::SUCCESS
}

/// Plays on a machine of its own: a network namespace with one uplink, and a TUN device for all.
fn as_nobody() -> ExitCode {
    let _world = make_machine();
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    // A copy: the build folder may be closed to others.
    let program = dir.path().join("holder-test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let status = Command::new(&program)
        .uid(NOBODY)
        .gid(NOBODY)
        .env("TMPDIR", dir.path())
        .current_dir("/")
        .status();
    if status.unwrap().success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Moves into fresh namespaces where 198.51.100.1 is a machine elsewhere that says hello.
fn make_machine() -> std::os::fd::OwnedFd {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    if std::fs::create_dir_all("/dev/net").is_ok() {
        mount(
            Some("tmpfs"),
            "/dev/net",
            Some("tmpfs"),
            MsFlags::empty(),
            none,
        )
        .unwrap();
        mknod(
            "/dev/net/tun",
            SFlag::S_IFCHR,
            Mode::empty(),
            makedev(10, 200),
        )
        .unwrap();
        let everybody = std::fs::Permissions::from_mode(0o666);
        std::fs::set_permissions("/dev/net/tun", everybody).unwrap();
    }
    endpoint::loopback_up(own_netns().unwrap()).unwrap();
    let uplink = BridgeConfig {
        link: "uplink".to_owned(),
        mark: bridge_mark("test", "test", "uplink"),
        gateway_v4: Some("198.51.100.2/24".parse().unwrap()),
        gateway_v6: None,
        mtu: None,
    };
    bridge::ensure(&uplink).unwrap();
    let world = endpoint::create_netns().unwrap();
    let address = "198.51.100.1".parse().unwrap();
    let elsewhere = EndpointConfig {
        ipv4: Some("198.51.100.1/24".parse().unwrap()),
        mac: MacAddress::of(address),
        default_gateways: Vec::new(),
        ..endpoint_of("uplink".to_owned(), address)
    };
    endpoint::attach(&world, &[elsewhere]).unwrap();
    let words = ["route", "add", "default", "via", "198.51.100.1"];
    assert!(Command::new("ip").args(words).status().unwrap().success());
    let listener = inside(&world, || TcpListener::bind(WORLD)).unwrap();
    std::thread::spawn(move || greet(&listener));
    world
}

const WORLD: &str = "198.51.100.1:8000";

fn greet(listener: &TcpListener) {
    while let Ok((mut stream, _)) = listener.accept() {
        stream.write_all(b"hello").unwrap();
    }
}

/// A test by its name; it gets a folder of its own.
type Test = (&'static str, fn(&Path));

fn run_all() {
    let tests: [Test; 6] = [
        ("packets_leave_where_a_program_carries_them", way_out),
        (
            "published_ports_are_the_hosts_and_go_with_their_process",
            published_ports,
        ),
        (
            "a_killed_holder_is_replaced_and_nothing_is_lost",
            killed_holder,
        ),
        ("the_holder_leaves_with_its_last_user", last_user),
        ("a_taken_or_privileged_port_is_explained", refused_ports),
        (
            "without_descriptors_the_holder_rests_and_answers_later",
            short_of_descriptors,
        ),
    ];
    for (name, test) in tests {
        let dir = tempfile::tempdir().unwrap();
        // Longer than an address of a socket may be.
        let folder = dir.path().join("a".repeat(120));
        test(&folder);
        until("the holder has left", || {
            !folder.join("holder.socket").exists()
        });
        println!("test {name} ... ok");
    }
}

fn way_out(folder: &Path) {
    let mut role = Role::start("world", folder);
    let outside = role.line();
    if let Some(reason) = outside.strip_prefix("none: ") {
        machine::skip(&format!("there is no way out: {reason}"));
    } else if TcpStream::connect_timeout(&WORLD.parse().unwrap(), PATIENCE).is_err() {
        machine::skip("started by an ordinary user there is nobody outside to talk to");
    } else {
        assert_eq!(role.line(), "hello");
    }
    role.end();
}

fn published_ports(folder: &Path) {
    let mut stack = Role::start("stack", folder);
    let port: u16 = stack.line().parse().unwrap();
    for ip in ["127.0.0.1", "::1"] {
        assert_eq!(hello(ip, port), "hello");
    }
    stack.end();
    let address = SocketAddr::new("127.0.0.1".parse().unwrap(), port);
    TcpStream::connect(address).unwrap_err();
}

fn killed_holder(folder: &Path) {
    let mut stack = Role::start("stack", folder);
    let port: u16 = stack.line().parse().unwrap();
    let before = netns_of(&holder::ensure(folder).unwrap());
    let old = holder_of(folder);
    rustix::process::kill_process(old, rustix::process::Signal::KILL).unwrap();
    until("the killed holder is gone", || {
        !Path::new(&format!("/proc/{old}")).exists() || is_zombie(old)
    });
    assert_eq!(hello("127.0.0.1", port), "hello");
    let handle = holder::ensure(folder).unwrap();
    assert_eq!(netns_of(&handle), before);
    assert_ne!(holder_of(folder), old);
    // A container that comes later reaches the one that was there.
    let mut late = Role::start("late", folder);
    assert_eq!(late.line(), "hello");
    late.end();
    stack.end();
}

fn last_user(folder: &Path) {
    let one = holder::ensure(folder).unwrap();
    let other = holder::ensure(folder).unwrap();
    assert_eq!(netns_of(&one), netns_of(&other));
    let pid = holder_of(folder);
    drop(one);
    assert!(folder.join("holder.socket").exists());
    other
        .client
        .open_socket(SocketFamily::V4, Protocol::Udp)
        .unwrap();
    drop(other);
    until("the holder is gone", || {
        is_zombie(pid) || !Path::new(&format!("/proc/{pid}")).exists()
    });
    // And the next one begins anew.
    drop(holder::ensure(folder).unwrap());
}

fn refused_ports(folder: &Path) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut role = Role::start(&format!("refused-{port}"), folder);
    assert_eq!(role.line(), std::process::id().to_string());
    let privileged = role.line();
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if first.trim() == "0" {
        assert_eq!(privileged, "none");
    } else {
        assert!(privileged.contains("ports below"), "{privileged}");
    }
    role.end();
}

fn short_of_descriptors(folder: &Path) {
    use rustix::process::{Resource, Rlimit, prlimit};
    let handle = holder::ensure(folder).unwrap();
    let pid = holder_of(folder);
    let usual = rustix::process::getrlimit(Resource::Nofile);
    let limit = |current| Rlimit { current, ..usual };
    let _usual = prlimit(Some(pid), Resource::Nofile, limit(Some(1))).unwrap();
    let ask = || handle.client.open_socket(SocketFamily::V4, Protocol::Udp);
    // The place for this peer may be there already; that for its socket is not.
    ask().unwrap_err();
    // Who asks the kernel again and again never leaves the processor of its own accord.
    let before = rests(pid);
    until("the holder rests between attempts", || {
        rests(pid) > before + 3
    });
    let _short = prlimit(Some(pid), Resource::Nofile, limit(usual.current)).unwrap();
    until("the holder answers", || ask().is_ok());
}

/// Returns how often the threads of a process have waited for something.
fn rests(pid: rustix::process::Pid) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let waits = threads.flatten().filter_map(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).ok()?;
        let count = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        count.trim().parse::<u64>().ok()
    });
    waits.sum()
}

/// Another process of the same user.
struct Role {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Role {
    fn start(name: &str, folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["role", name])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            input,
            output,
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

fn play(name: &str, folder: &Path) {
    let handle = holder::ensure(folder).unwrap();
    holder::join(&handle).unwrap();
    assert!(rustix::process::geteuid().is_root());
    match name.strip_prefix("refused-") {
        Some(port) => play_refused(&handle, port.parse().unwrap()),
        None if name == "world" => play_world(&handle),
        None if name == "stack" => play_stack(&handle),
        None => play_late(),
    }
}

const FIRST: &str = "10.98.0.2";

fn container(host: u8) -> std::os::fd::OwnedFd {
    let link = bridge_name("rootless");
    let bridge = BridgeConfig {
        link: link.clone(),
        mark: bridge_mark("test", "test", "rootless"),
        gateway_v4: Some("10.98.0.1/24".parse().unwrap()),
        gateway_v6: None,
        mtu: None,
    };
    bridge::ensure(&bridge).unwrap();
    let network = NatNetwork {
        link: link.clone(),
        egress: Egress::Masquerade,
        ipv6: Ipv6::Disabled,
    };
    nat::ensure(&[network], Ground::Own).unwrap();
    let ipv4: IpAddr = format!("10.98.0.{host}").parse().unwrap();
    let netns = endpoint::create_netns().unwrap();
    endpoint::attach(&netns, &[endpoint_of(link, ipv4)]).unwrap();
    netns
}

fn endpoint_of(bridge: String, ipv4: IpAddr) -> EndpointConfig {
    EndpointConfig {
        interface_name: "eth0".to_owned(),
        bridge,
        host_link: host_link_name().unwrap(),
        mark: "consort:test".to_owned(),
        ipv4: Some(format!("{ipv4}/24").parse().unwrap()),
        ipv6: None,
        mac: MacAddress::of(ipv4),
        mtu: None,
        default_gateways: vec!["10.98.0.1".parse().unwrap()],
    }
}

fn play_stack(handle: &HolderHandle) {
    let netns = container(2);
    let listener = inside(&netns, || TcpListener::bind("0.0.0.0:80")).unwrap();
    std::thread::spawn(move || greet(&listener));
    let wanted = PublishConfig {
        host_ip: None,
        host_port: HostPort::Any,
        container_port: 80,
        protocol: Protocol::Tcp,
    };
    let ports = bind(&[wanted], &handle.host_sockets()).unwrap();
    println!("{}", ports[0].host.port());
    let _thread = NetThread::spawn(ServeConfig {
        netns,
        ports,
        target: PortTarget {
            ipv4: Some(FIRST.parse().unwrap()),
            ipv6: None,
        },
        names: None,
        host: handle.host_sockets(),
    })
    .unwrap();
    wait_for_end();
}

fn play_world(handle: &HolderHandle) {
    match &handle.state.outside {
        Outside::None { reason } => println!("none: {reason}"),
        Outside::Program { name } => {
            println!("{name}");
            let netns = container(4);
            let connected = inside(&netns, || TcpStream::connect(WORLD));
            let mut text = String::new();
            if let Ok(mut stream) = connected {
                stream.read_to_string(&mut text).unwrap();
            }
            println!("{text}");
        }
    }
    wait_for_end();
}

fn play_late() {
    let netns = container(3);
    println!(
        "{}",
        inside(&netns, || Ok::<_, std::io::Error>(hello(FIRST, 80))).unwrap()
    );
    wait_for_end();
}

fn play_refused(handle: &HolderHandle, port: u16) {
    let wanted = |port| PublishConfig {
        host_ip: Some("127.0.0.1".parse().unwrap()),
        host_port: HostPort::Within {
            first: port,
            last: port,
        },
        container_port: 80,
        protocol: Protocol::Tcp,
    };
    let error = bind(&[wanted(port)], &handle.host_sockets()).unwrap_err();
    let NetworkError::PortTaken {
        holder: PortHolder::Process { pid, .. },
        ..
    } = error
    else {
        panic!("{error}")
    };
    println!("{pid}");
    match bind(&[wanted(81)], &handle.host_sockets()) {
        Err(error) => println!("{error}"),
        Ok(_) => println!("none"),
    }
    wait_for_end();
}

fn wait_for_end() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn hello(ip: &str, port: u16) -> String {
    let address = SocketAddr::new(ip.parse().unwrap(), port);
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn netns_of(handle: &HolderHandle) -> u64 {
    let file = std::fs::File::from(handle.netns.try_clone().unwrap());
    file.metadata().unwrap().ino()
}

/// Finds the holder by its name and folder, as a person would.
fn holder_of(folder: &Path) -> rustix::process::Pid {
    let words = [
        holder::ARG0.to_bytes(),
        b"\0",
        folder.as_os_str().as_encoded_bytes(),
    ]
    .concat();
    let mut found = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            line.starts_with(&words)
                .then(|| rustix::process::Pid::from_raw(pid).unwrap())
        });
    found.next().unwrap()
}

fn is_zombie(pid: rustix::process::Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.contains(") Z ")
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
