//! Looking from outside: waiting for something to become true, asking a port, reading the machine.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

/// How long something may take that nobody tells us of.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `look` finds something, and returns it; `what` names it where it never comes.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never came to be: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Returns the body that `http://HOST:PORT/PATH` answers with, if it answers with 200.
pub(crate) fn http_get(address: &str, path: &str) -> Option<String> {
    let answer = http(address, &format!("GET {path} HTTP/1.0\r\n\r\n"))?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.lines().next()?;
    status.contains(" 200 ").then(|| body.to_owned())
}

/// Returns the body of the answer to a POST, whatever its status.
pub(crate) fn http_post(address: &str, path: &str, body: &str) -> Option<String> {
    let size = body.len();
    let request = format!("POST {path} HTTP/1.0\r\nContent-Length: {size}\r\n\r\n{body}");
    let answer = http(address, &request)?;
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}

fn http(address: &str, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Returns everything that a TCP server says before it hangs up.
pub(crate) fn tcp_read(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    (!answer.is_empty()).then_some(answer)
}

/// Returns the answer to one datagram.
pub(crate) fn udp_ask(address: &str, question: &str) -> Option<String> {
    let local = if address.starts_with('[') {
        "[::1]:0"
    } else {
        "127.0.0.1:0"
    };
    let socket = UdpSocket::bind(local).ok()?;
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .ok()?;
    socket.send_to(question.as_bytes(), address).ok()?;
    let mut buffer = [0; 512];
    let (size, _) = socket.recv_from(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..size]).into_owned())
}

/// Returns a port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener
        .local_addr()
        .expect("a listener has an address")
        .port()
}
