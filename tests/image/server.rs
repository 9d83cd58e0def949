//! A tiny HTTP server that answers as a test wants, lies included.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use consort::value::Digest;

use crate::built::{Built, MANIFEST};

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
    /// How many requests came before it.
    pub(crate) number: usize,
}

impl Asked {
    /// Returns the first byte that is asked for.
    pub(crate) fn first_byte(&self) -> usize {
        let range = self.range.as_deref().unwrap_or("bytes=0-");
        range
            .trim_start_matches("bytes=")
            .trim_end_matches('-')
            .parse()
            .unwrap()
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The connection breaks after this many bytes of the body.
    pub(crate) break_at: Option<usize>,
}

impl Answer {
    pub(crate) fn new(status: u16, body: &[u8]) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_vec(),
            break_at: None,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn break_at(mut self, byte: usize) -> Self {
        self.break_at = Some(byte);
        self
    }
}

type Handler = dyn Fn(&Asked) -> Answer + Send + Sync;

/// A running server; it stops with the test's process.
pub(crate) struct Server {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) fn start(handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let handler: Arc<Handler> = Arc::new(handler);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, handler) = (Arc::clone(&log), Arc::clone(&handler));
                // A client that goes away in the middle is part of some tests.
                std::thread::spawn(move || drop(serve(stream, &log, &*handler)));
            }
        });
        Self { address, asked }
    }

    /// Serves one image honestly, except where `lie` has an answer of its own.
    pub(crate) fn with_image(
        image: &Built,
        lie: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let image = image.clone();
        Self::start(move |asked| lie(asked).unwrap_or_else(|| honest(&image, asked)))
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Returns a name of an image on this server.
    pub(crate) fn image(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }
}

/// Answers as a registry that has `image` under every name and tag.
pub(crate) fn honest(image: &Built, asked: &Asked) -> Answer {
    let Some((_, last)) = asked.path.rsplit_once('/') else {
        return Answer::new(404, b"");
    };
    if asked.path.contains("/manifests/") {
        let digest = image.digest().to_string();
        if last.starts_with("sha256:") && last != digest {
            return Answer::new(404, b"");
        }
        let answer = Answer::new(200, &image.manifest).header("Content-Type", MANIFEST);
        return answer.header("Docker-Content-Digest", &digest);
    }
    let blobs = image.blobs();
    let mut named = blobs
        .iter()
        .filter(|blob| Digest::sha256_of(blob).to_string() == last);
    match named.next() {
        Some(blob) => part(blob, asked),
        None => Answer::new(404, b""),
    }
}

/// Answers with a blob, or with the part of it that was asked for.
pub(crate) fn part(blob: &[u8], asked: &Asked) -> Answer {
    if asked.range.is_none() {
        return Answer::new(200, blob);
    }
    let from = asked.first_byte();
    let range = format!("bytes {from}-{}/{}", blob.len() - 1, blob.len());
    Answer::new(206, &blob[from..]).header("Content-Range", &range)
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Asked>>, handler: &Handler) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(());
    }
    let mut words = line.split_whitespace();
    let mut asked = Asked {
        method: words.next().unwrap_or_default().to_owned(),
        path: words.next().unwrap_or_default().to_owned(),
        ..Asked::default()
    };
    loop {
        let mut line = String::new();
        let _count = reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "range" => asked.range = Some(value.to_owned()),
            "authorization" => asked.authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    {
        let mut log = log.lock().unwrap();
        asked.number = log.len();
        log.push(asked.clone());
    }
    let answer = handler(&asked);
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", answer.status);
    if !answer
        .headers
        .iter()
        .any(|(name, _)| name == "Content-Length")
    {
        head.push_str(&format!("Content-Length: {}\r\n", answer.body.len()));
    }
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    if asked.method != "HEAD" {
        let end = answer
            .break_at
            .unwrap_or(answer.body.len())
            .min(answer.body.len());
        stream.write_all(&answer.body[..end])?;
    }
    stream.flush()
}
