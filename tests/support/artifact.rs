//! Artifacts that are no images, pushed to a registry over plain HTTP.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// One part of an artifact.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) media_type: &'static str,
    pub(crate) content: String,
    pub(crate) annotations: Value,
}

/// A Compose file, with what is noted about it.
pub(crate) fn compose(content: &str, annotations: Value) -> Part {
    Part {
        media_type: "application/vnd.docker.compose.file+yaml",
        content: content.to_owned(),
        annotations,
    }
}

/// A file of variables by its name.
pub(crate) fn env_file(name: &str, content: &str) -> Part {
    Part {
        media_type: "application/vnd.docker.compose.envfile",
        content: content.to_owned(),
        annotations: json!({"com.docker.compose.envfile": name}),
    }
}

/// Pushes a Compose project as `repository:tag`; returns its digest.
pub(crate) fn push(address: &str, repository: &str, tag: &str, parts: &[Part]) -> String {
    let empty = upload(address, repository, "{}");
    let layers: Vec<Value> = parts
        .iter()
        .map(|part| {
            let mut layer = upload(address, repository, &part.content);
            layer["mediaType"] = json!(part.media_type);
            layer["annotations"] = part.annotations.clone();
            layer
        })
        .collect();
    let mut config = empty;
    config["mediaType"] = json!("application/vnd.oci.empty.v1+json");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.docker.compose.project",
        "config": config,
        "layers": layers,
    })
    .to_string();
    let path = format!("/v2/{repository}/manifests/{tag}");
    let (status, _) = request(address, "PUT", &path, (OCI_MANIFEST, &manifest));
    assert_eq!(status, 201, "the manifest must be taken");
    digest(&manifest)
}

pub(crate) fn digest(content: &str) -> String {
    let hash = Sha256::digest(content.as_bytes());
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn upload(address: &str, repository: &str, content: &str) -> Value {
    let kind = "application/octet-stream";
    let path = format!("/v2/{repository}/blobs/uploads/");
    let (status, location) = request(address, "POST", &path, (kind, ""));
    assert_eq!(status, 202, "an upload must begin");
    let location = location
        .strip_prefix(&format!("http://{address}"))
        .map_or(location.clone(), str::to_owned);
    let digest = digest(content);
    let path = format!("{location}&digest={digest}");
    let (status, _) = request(address, "PUT", &path, (kind, content));
    assert_eq!(status, 201, "a blob must be taken");
    json!({"digest": digest, "size": content.len()})
}

/// Sends one request; returns the status and where the answer points.
fn request(address: &str, method: &str, path: &str, (kind, body): (&str, &str)) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the registry listens");
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
    .expect("the registry reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("the registry answers");
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let location = answer
        .lines()
        .find_map(|line| line.strip_prefix("Location: "))
        .unwrap_or_default();
    (status.expect("an answer has a status"), location.to_owned())
}
