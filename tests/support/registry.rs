//! Registries to pull from: Debian's `docker-registry`, and a small one that can misbehave.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use super::machine;

/// Debian's docker-registry over the images of `tests/images`, for as long as this lives.
#[derive(Debug)]
pub(crate) struct DebianRegistry {
    server: Child,
    address: String,
    storage: PathBuf,
    /// Its settings, and its storage where that is its own.
    #[expect(dead_code, reason = "kept for as long as the registry runs")]
    folder: TempDir,
}

impl DebianRegistry {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Self::over(machine::image_cache().join("registry"), folder)
    }

    /// A registry of its own, with nothing in it.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Self::over(folder.path().join("storage"), folder)
    }

    fn over(storage: PathBuf, folder: TempDir) -> Self {
        let config = folder.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog:\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    \
             rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n",
            storage.display()
        );
        fs::write(&config, text).expect("the folder is ours");
        let mut server = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("docker-registry is installed");
        let mut log = BufReader::new(server.stderr.take().expect("stderr is a pipe")).lines();
        let address = log
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let start = line.find("listening on ")? + "listening on ".len();
                let rest = &line[start..];
                let end = rest.find(['"', ',', ' ']).unwrap_or(rest.len());
                Some(rest[..end].to_owned())
            })
            .expect("docker-registry says where it listens");
        thread::spawn(move || log.for_each(drop));
        Self {
            server,
            address,
            folder,
            storage,
        }
    }

    /// The file that holds a blob.
    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        let hash = digest.strip_prefix("sha256:").unwrap_or(digest);
        let blobs = self.storage.join("docker/registry/v2/blobs/sha256");
        blobs.join(&hash[..2]).join(hash).join("data")
    }

    /// The setting that makes `redis:7` be found here.
    pub(crate) fn as_mirror(&self) -> String {
        format!("docker.io=http://{}", self.address)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for DebianRegistry {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

/// What a [`FaultyRegistry`] does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: it serves what it has.
    None,
    /// One byte of every layer is another.
    FlippedByte,
    /// The connection ends in the middle of each layer, the first time.
    CutOnce,
    /// Every first request for a layer is answered with 503.
    BusyOnce,
    /// Everything is answered with 503.
    AlwaysBusy,
    /// Wants the user `player` with the password `c0ncert`.
    Login,
}

/// One image of `tests/images` over the distribution API, with one fault.
#[derive(Debug)]
pub(crate) struct FaultyRegistry {
    address: String,
    layer_requests: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Shelf {
    layout: PathBuf,
    manifest: Value,
    layers: Vec<String>,
    fault: Fault,
    asked: Arc<AtomicUsize>,
    seen: std::sync::Mutex<BTreeMap<String, usize>>,
}

impl FaultyRegistry {
    pub(crate) fn start(folder: &str, fault: Fault) -> Self {
        let layout = machine::image_cache().join("oci").join(folder);
        let index = read_json(&layout.join("index.json"));
        let manifest = index["manifests"][0].clone();
        let described = read_json(&blob(&layout, text(&manifest["digest"])));
        let layers = described["layers"]
            .as_array()
            .expect("a manifest has layers");
        let layers = layers
            .iter()
            .map(|layer| text(&layer["digest"]).to_owned())
            .collect();
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a listener has an address")
            .to_string();
        let layer_requests = Arc::new(AtomicUsize::new(0));
        let shelf = Arc::new(Shelf {
            layout,
            manifest,
            layers,
            fault,
            asked: Arc::clone(&layer_requests),
            seen: std::sync::Mutex::default(),
        });
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shelf = Arc::clone(&shelf);
                thread::spawn(move || drop(shelf.serve(stream)));
            }
        });
        Self {
            address,
            layer_requests,
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn as_mirror(&self) -> String {
        format!("docker.io=http://{}", self.address)
    }

    /// How often a layer was asked for.
    pub(crate) fn layer_requests(&self) -> usize {
        self.layer_requests.load(Ordering::SeqCst)
    }
}

impl Shelf {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        let mut head = BTreeMap::new();
        for line in lines.by_ref() {
            let line = line?;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            head.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut words = request.split(' ');
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        self.answer(stream, method, path, &head)
    }

    fn answer(
        &self,
        mut out: TcpStream,
        method: &str,
        path: &str,
        head: &BTreeMap<String, String>,
    ) -> std::io::Result<()> {
        // `player:c0ncert`
        let allowed = head
            .get("authorization")
            .is_some_and(|a| a == "Basic cGxheWVyOmMwbmNlcnQ=");
        if self.fault == Fault::Login && !allowed {
            let ask = "WWW-Authenticate: Basic realm=\"test\"\r\n";
            return respond(&mut out, "401 Unauthorized", ask, b"{\"errors\":[]}");
        }
        if self.fault == Fault::AlwaysBusy {
            return respond(&mut out, "503 Service Unavailable", "", b"");
        }
        if path.trim_end_matches('/') == "/v2" {
            return respond(&mut out, "200 OK", "", b"{}");
        }
        let Some((_, wanted)) = path.rsplit_once('/') else {
            return Ok(());
        };
        let is_manifest = path.contains("/manifests/");
        let digest = if is_manifest {
            text(&self.manifest["digest"])
        } else {
            wanted
        };
        let Ok(mut body) = fs::read(blob(&self.layout, digest)) else {
            return respond(&mut out, "404 Not Found", "", b"{\"errors\":[]}");
        };
        let kind = if is_manifest {
            text(&self.manifest["mediaType"])
        } else {
            "application/octet-stream"
        };
        let extra = format!("Content-Type: {kind}\r\nDocker-Content-Digest: {digest}\r\n");
        if method == "HEAD" {
            let size = body.len();
            return write!(
                out,
                "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n{extra}Connection: close\r\n\r\n"
            );
        }
        if self.layers.iter().any(|layer| layer == digest) {
            return self.layer(&mut out, digest, &mut body, head);
        }
        respond(&mut out, "200 OK", &extra, &body)
    }

    fn layer(
        &self,
        out: &mut TcpStream,
        digest: &str,
        body: &mut [u8],
        head: &BTreeMap<String, String>,
    ) -> std::io::Result<()> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let times = {
            let mut seen = self.seen.lock().expect("no holder panics");
            let times = seen.entry(digest.to_owned()).or_default();
            *times += 1;
            *times
        };
        let size = body.len();
        match self.fault {
            Fault::FlippedByte => body[size / 2] ^= 1,
            Fault::BusyOnce if times == 1 => {
                return respond(out, "503 Service Unavailable", "Retry-After: 0\r\n", b"");
            }
            Fault::CutOnce if times == 1 => {
                write!(
                    out,
                    "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nAccept-Ranges: bytes\r\n\r\n"
                )?;
                return out.write_all(&body[..size / 2]);
            }
            Fault::None | Fault::CutOnce | Fault::BusyOnce | Fault::AlwaysBusy | Fault::Login => {}
        }
        let range = head.get("range").and_then(|range| {
            range
                .strip_prefix("bytes=")?
                .split('-')
                .next()?
                .parse::<usize>()
                .ok()
        });
        match range {
            Some(start) if start < size => {
                let span = format!("Content-Range: bytes {start}-{}/{size}\r\n", size - 1);
                respond(out, "206 Partial Content", &span, &body[start..])
            }
            _ => respond(out, "200 OK", "Accept-Ranges: bytes\r\n", body),
        }
    }
}

fn respond(out: &mut TcpStream, status: &str, extra: &str, body: &[u8]) -> std::io::Result<()> {
    let size = body.len();
    write!(
        out,
        "HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{extra}Connection: close\r\n\r\n"
    )?;
    out.write_all(body)
}

fn blob(layout: &Path, digest: &str) -> PathBuf {
    let hash = digest.strip_prefix("sha256:").unwrap_or(digest);
    layout.join("blobs/sha256").join(hash)
}

fn read_json(path: &Path) -> Value {
    let bytes = fs::read(path).expect("the test images are complete");
    serde_json::from_slice(&bytes).expect("an image layout is JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text in an image layout")
}
