//! A real registry on loopback, filled by another tool.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use consort::runtime::image::{ImageError, LayerState, PullProgress};
use serde_json::json;

use crate::built::{Built, INDEX, Layer, MANIFEST, descriptor, write_layout};
use crate::server::Server;
use crate::state::{State, options, runtime, trees};

/// A registry of its own; ended when dropped.
struct Registry {
    child: Child,
    address: String,
    dir: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It is a test's own child: if it is gone already, all the better.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Registry {
    /// Starts one; `None`, with the reason printed, where it cannot be had.
    fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let address = format!("127.0.0.1:{port}");
        let config = json!({
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": dir.path().join("data")}},
            "http": {"addr": address},
        });
        let path = dir.path().join("config.yml");
        fs::write(&path, config.to_string()).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let has_skopeo = Command::new("skopeo").arg("--version").output().is_ok();
        let (Ok(child), true) = (child, has_skopeo) else {
            println!("skipped: docker-registry or skopeo is not here");
            return None;
        };
        let registry = Self {
            child,
            address,
            dir,
        };
        for _ in 0..200 {
            if std::net::TcpStream::connect(&registry.address).is_ok() {
                return Some(registry);
            }
            std::thread::sleep(std::time::Duration::from_millis(25));
        }
        panic!("the registry does not come up");
    }

    fn push(&self, name: &str, write: impl FnOnce(&std::path::Path)) {
        let layout = self.dir.path().join(name.replace(['/', ':'], "_"));
        write(&layout);
        let pushed = Command::new("skopeo")
            .args([
                "copy",
                "-q",
                "--all",
                "--preserve-digests",
                "--dest-tls-verify=false",
            ])
            .arg(format!("oci:{}:1", layout.display()))
            .arg(format!("docker://{}/{name}", self.address))
            .output()
            .unwrap();
        assert!(
            pushed.status.success(),
            "{}",
            String::from_utf8_lossy(&pushed.stderr)
        );
    }
}

#[test]
fn an_image_is_pulled_once_and_then_known() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let built = Built::small();
    registry.push("lib/demo:7", |dir| built.write_layout(dir, "1"));
    let state = State::new();
    let name = format!("{}/lib/demo:7", registry.address);
    let seen = Mutex::new(Vec::new());
    let progress = |step| seen.lock().unwrap().push(step);
    let record = state.pull_with(&name, &options(""), &progress).unwrap();
    assert_eq!(record.repo_digest, Some(built.digest()));
    assert_eq!(
        fs::read_to_string(trees(&record)[0].join("etc/name")).unwrap(),
        "upper"
    );
    let done = |step: &PullProgress| {
        matches!(
            step,
            PullProgress::Layer {
                state: LayerState::Done,
                ..
            }
        )
    };
    assert_eq!(
        seen.lock()
            .unwrap()
            .iter()
            .filter(|step| done(step))
            .count(),
        2
    );
    seen.lock().unwrap().clear();
    assert_eq!(
        state.pull_with(&name, &options(""), &progress).unwrap(),
        record
    );
    let present = |step: &PullProgress| {
        matches!(
            step,
            PullProgress::Layer {
                state: LayerState::Present,
                ..
            }
        )
    };
    assert_eq!(
        seen.lock()
            .unwrap()
            .iter()
            .filter(|step| present(step))
            .count(),
        2
    );
    let reference = name.parse().unwrap();
    let digest = runtime()
        .block_on(state.store.digest_of(&reference, &options("")))
        .unwrap();
    assert_eq!(digest, record.repo_digest);
    let pinned = format!("{}/lib/demo@{}", registry.address, built.digest());
    assert_eq!(
        state
            .store
            .find(&pinned.parse().unwrap())
            .unwrap()
            .unwrap()
            .id,
        record.id
    );
    let elsewhere = format!("{}/lib/other@{}", registry.address, built.digest());
    assert!(
        state
            .store
            .find(&elsewhere.parse().unwrap())
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_short_name_is_found_at_a_mirror() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let built = Built::small();
    registry.push("library/redis:7", |dir| built.write_layout(dir, "1"));
    let state = State::new();
    let mirrors = format!("docker.io=http://{}", registry.address);
    let record = state
        .pull_with("redis:7", &options(&mirrors), &|_| {})
        .unwrap();
    assert_eq!(record.reference.to_string(), "redis:7");
    assert!(
        state
            .store
            .find(&"docker.io/library/redis:7".parse().unwrap())
            .unwrap()
            .is_some()
    );
}

#[test]
fn the_image_for_this_platform_is_pulled() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let layer = |text: &[u8]| vec![Layer::of(&[("name", text)])];
    let images = [
        Built::for_platform(layer(b"arm"), "arm64"),
        Built::for_platform(layer(b"amd"), "amd64"),
    ];
    registry.push("multi:1", |dir| {
        let entry = |built: &Built, architecture: &str| {
            let mut entry = descriptor(MANIFEST, &built.manifest);
            entry["platform"] = json!({"os": "linux", "architecture": architecture});
            entry
        };
        let inner = json!({
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [entry(&images[0], "arm64"), entry(&images[1], "amd64")],
        })
        .to_string();
        let mut outer = descriptor(INDEX, inner.as_bytes());
        outer["annotations"] = json!({"org.opencontainers.image.ref.name": "1"});
        write_layout(dir, &images.each_ref(), &[outer]);
        let digest = consort::value::Digest::sha256_of(inner.as_bytes());
        fs::write(dir.join("blobs/sha256").join(digest.hex()), &inner).unwrap();
    });
    let state = State::new();
    let name = format!("{}/multi:1", registry.address);
    let record = state.pull(&name).unwrap();
    assert_eq!(
        fs::read_to_string(trees(&record)[0].join("name")).unwrap(),
        "amd"
    );
    let mut wanted = options("");
    wanted.platform = Some("linux/riscv64".parse().unwrap());
    let error = state.pull_with(&name, &wanted, &|_| {}).unwrap_err();
    assert!(matches!(error, ImageError::NoPlatform { .. }), "{error:?}");
    assert!(error.to_string().contains("linux/arm64"), "{error}");
}

#[test]
fn several_pulls_of_one_image_at_once_all_succeed() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let mut layers = Built::large(400_000).layers;
    layers.push(layers[0].clone());
    layers.extend(Built::small().layers);
    registry.push("lib/demo:7", |dir| {
        Built::new(layers).write_layout(dir, "1");
    });
    let state = State::new();
    let name = format!("{}/lib/demo:7", registry.address);
    std::thread::scope(|scope| {
        let pulls: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| state.pull(&name).unwrap()))
            .collect();
        let mut records = pulls.into_iter().map(|pull| pull.join().unwrap());
        let first = records.next().unwrap();
        assert!(records.all(|record| record == first));
    });
    assert_eq!(
        crate::state::names(&state.path("state/images/ingest")),
        Vec::<String>::new()
    );
}

#[test]
fn an_image_that_is_nowhere_names_the_places_that_were_asked() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let state = State::new();
    let mirror = Server::start(|_| crate::server::Answer::new(404, b""));
    let mirrors = format!("{}=http://{}", registry.address, mirror.address);
    let name = format!("{}/lib/none:1", registry.address);
    let error = state
        .pull_with(&name, &options(&mirrors), &|_| {})
        .unwrap_err();
    let ImageError::NotFound { asked, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*asked, [mirror.address.clone(), registry.address.clone()]);
    state.assert_clean("not found");
}

#[test]
fn a_registry_that_is_down_is_an_error_of_its_own() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let state = State::new();
    let error = state.pull(&format!("127.0.0.1:{port}/a:1")).unwrap_err();
    let ImageError::Unreachable { registry, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*registry, format!("127.0.0.1:{port}"));
    state.assert_clean("unreachable");
}
