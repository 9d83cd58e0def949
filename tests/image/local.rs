//! Images that lie on this disk.

use std::fs;
use std::process::Command;

use consort::runtime::image::{ImageError, RootSource};
use serde_json::json;

use crate::built::{Built, INDEX, Layer, MANIFEST, descriptor, write_layout};
use crate::server::Server;
use crate::state::{State, names, options, trees};

fn read(path: &std::path::Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_layout_is_unpacked_and_found_again() {
    let state = State::new();
    let built = Built::small();
    let dir = state.path("layout");
    built.write_layout(&dir, "1");
    let name = format!("oci:{}:1", dir.display());
    let record = state.pull(&name).unwrap();
    assert_eq!(record.config.cmd, ["/bin/true"]);
    assert_eq!(record.config.volumes, ["/data"]);
    assert_eq!(record.size_bytes, 2 * 5 + 1 + 2);
    let trees = trees(&record);
    assert_eq!(read(&trees[0].join("etc/name")), "upper");
    assert_eq!(read(&trees[1].join("etc/name")), "lower");
    let found = state.store.find(&name.parse().unwrap()).unwrap();
    assert_eq!(found, Some(record.clone()));
    assert_eq!(state.store.list().unwrap(), [record]);
}

#[test]
fn an_unchanged_layout_is_not_read_again() {
    let state = State::new();
    let dir = state.path("layout");
    Built::small().write_layout(&dir, "1");
    let name = format!("oci:{}", dir.display());
    let first = state.pull(&name).unwrap();
    fs::remove_dir_all(dir.join("blobs")).unwrap();
    assert_eq!(state.pull(&name).unwrap(), first);
    Built::new(vec![Layer::of(&[("new", b"1")])]).write_layout(&dir, "1");
    let second = state.pull(&name).unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(read(&trees(&second)[0].join("new")), "1");
}

#[test]
fn the_right_one_of_several_is_chosen() {
    let state = State::new();
    let layer = |text: &[u8]| vec![Layer::of(&[("name", text)])];
    let images = [
        Built::for_platform(layer(b"amd"), "amd64"),
        Built::for_platform(layer(b"arm"), "arm64"),
        Built::new(layer(b"two")),
    ];
    let platform = |built: &Built, architecture: &str| {
        let mut entry = descriptor(MANIFEST, &built.manifest);
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entry
    };
    let inner = json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [platform(&images[0], "amd64"), platform(&images[1], "arm64")],
    })
    .to_string();
    let named = |mut entry: serde_json::Value, name: &str| {
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        entry
    };
    let dir = state.path("layout");
    let entries = [
        named(descriptor(INDEX, inner.as_bytes()), "one"),
        named(descriptor(MANIFEST, &images[2].manifest), "two"),
    ];
    write_layout(&dir, &images.each_ref(), &entries);
    let digest = consort::value::Digest::sha256_of(inner.as_bytes());
    fs::write(dir.join("blobs/sha256").join(digest.hex()), &inner).unwrap();
    let pull = |tag: &str| state.pull(&format!("oci:{}{tag}", dir.display()));
    assert_eq!(read(&trees(&pull(":one").unwrap())[0].join("name")), "amd");
    assert_eq!(read(&trees(&pull(":two").unwrap())[0].join("name")), "two");
    let error = pull("").unwrap_err().to_string();
    assert!(error.contains("one, two"), "{error}");
    let error = pull(":three").unwrap_err().to_string();
    assert!(error.contains("`three`"), "{error}");
}

#[test]
fn archives_give_the_same_image_as_their_layout() {
    let state = State::new();
    let built = Built::small();
    let dir = state.path("layout");
    built.write_layout(&dir, "1");
    let file = state.path("image.tar");
    let mut tar = tar::Builder::new(fs::File::create(&file).unwrap());
    tar.append_dir_all(".", &dir).unwrap();
    tar.into_inner().unwrap();
    let layout = state.pull(&format!("oci:{}", dir.display())).unwrap();
    let archive = state
        .pull(&format!("oci-archive:{}:1", file.display()))
        .unwrap();
    assert_eq!((archive.id, archive.root), (layout.id.clone(), layout.root));
    let compressed = state.path("image.tar.zst");
    fs::write(
        &compressed,
        zstd::encode_all(&fs::read(&file).unwrap()[..], 1).unwrap(),
    )
    .unwrap();
    let compressed = state
        .pull(&format!("oci-archive:{}", compressed.display()))
        .unwrap();
    assert_eq!(compressed.id, layout.id);
}

#[test]
fn what_docker_saves_is_read() {
    let state = State::new();
    let plain = {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o644);
        tar.append_data(&mut header, "hello", &b"world"[..])
            .unwrap();
        tar.into_inner().unwrap()
    };
    let built = Built::new(vec![Layer::packed(&plain), Layer::packed(&plain)]);
    let config = format!(
        "{}.json",
        consort::value::Digest::sha256_of(&built.config).hex()
    );
    let listing = json!([{
        "Config": config,
        "RepoTags": ["demo:1"],
        "Layers": ["a/layer.tar", "b/layer.tar"],
    }]);
    let file = state.path("saved.tar");
    let mut tar = tar::Builder::new(fs::File::create(&file).unwrap());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    add(&config, &built.config);
    add("a/layer.tar", &plain);
    add("manifest.json", listing.to_string().as_bytes());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "b/layer.tar", "../a/layer.tar")
        .unwrap();
    tar.into_inner().unwrap();
    let record = state
        .pull(&format!("docker-archive:{}:demo:1", file.display()))
        .unwrap();
    assert_eq!(record.id, consort::value::Digest::sha256_of(&built.config));
    assert_eq!(trees(&record).len(), 2);
    assert_eq!(read(&trees(&record)[0].join("hello")), "world");
    let error = state
        .pull(&format!("docker-archive:{}:demo:2", file.display()))
        .unwrap_err();
    assert!(error.to_string().contains("demo:1"), "{error}");
}

#[test]
fn archives_of_other_tools_are_read() {
    let state = State::new();
    let built = Built::small();
    built.write_layout(&state.path("layout"), "1");
    let from = format!("oci:{}:1", state.path("layout").display());
    for form in ["docker-archive", "oci-archive"] {
        let file = state.path(form);
        let to = format!("{form}:{}:demo:1", file.display());
        let copied = Command::new("skopeo")
            .args(["copy", "-q", &from, &to])
            .output();
        let Ok(copied) = copied else {
            println!("skipped: skopeo is not here");
            return;
        };
        assert!(
            copied.status.success(),
            "{}",
            String::from_utf8_lossy(&copied.stderr)
        );
        let record = state
            .pull(&format!("{form}:{}:demo:1", file.display()))
            .unwrap();
        assert_eq!(read(&trees(&record)[0].join("etc/name")), "upper");
    }
}

#[test]
fn other_tools_read_the_store() {
    let state = State::new();
    let server = Server::with_image(&Built::small(), |_| None);
    let mirrors = format!("docker.io=http://{}", server.address);
    state
        .pull_with("redis:7", &options(&mirrors), &|_| {})
        .unwrap();
    let name = "docker.io/library/redis:7";
    let from = format!("oci:{}:{name}", state.layout.images().display());
    let to = format!("oci:{}", state.path("copy").display());
    let copied = Command::new("skopeo")
        .args(["copy", "-q", &from, &to])
        .output();
    let Ok(copied) = copied else {
        println!("skipped: skopeo is not here");
        return;
    };
    let complaint = String::from_utf8_lossy(&copied.stderr);
    assert!(copied.status.success(), "{complaint}");
}

#[test]
fn places_without_an_image_are_refused_by_name() {
    let state = State::new();
    fs::create_dir(state.path("empty")).unwrap();
    fs::write(state.path("junk"), b"junk").unwrap();
    let empty = state.path("empty").display().to_string();
    let junk = state.path("junk").display().to_string();
    for name in [
        format!("rootfs:{empty}/missing"),
        format!("rootfs:{junk}"),
        format!("oci:{empty}"),
        format!("oci:{empty}/missing"),
        format!("oci-archive:{empty}"),
        format!("oci-archive:{junk}"),
        format!("oci-archive:{empty}/missing"),
        format!("docker-archive:{junk}"),
    ] {
        let error = state.pull(&name).unwrap_err();
        assert!(
            matches!(error, ImageError::RefuseLocal { .. }),
            "{name}: {error:?}"
        );
        assert!(error.to_string().contains(&empty) || error.to_string().contains(&junk));
    }
    state.assert_clean("places without an image");
}

#[test]
fn a_layout_with_wrong_content_is_refused() {
    let state = State::new();
    let built = Built::small();
    let dir = state.path("layout");
    built.write_layout(&dir, "1");
    for blob in built.blobs() {
        let path = dir
            .join("blobs/sha256")
            .join(consort::value::Digest::sha256_of(blob).hex());
        let mut wrong = blob.to_vec();
        let middle = wrong.len() / 2;
        wrong[middle] ^= 1;
        fs::write(&path, &wrong).unwrap();
        let error = state.pull(&format!("oci:{}", dir.display())).unwrap_err();
        assert!(matches!(error, ImageError::WrongDigest { .. }), "{error:?}");
        fs::write(&path, blob).unwrap();
        assert!(state.store.list().unwrap().is_empty());
    }
    state.pull(&format!("oci:{}", dir.display())).unwrap();
}

#[test]
fn links_in_a_layout_do_not_lead_out_of_it() {
    let state = State::new();
    let built = Built::small();
    let dir = state.path("layout");
    built.write_layout(&dir, "1");
    let outside = state.path("outside");
    let digest = consort::value::Digest::sha256_of(&built.config);
    let blob = dir.join("blobs/sha256").join(digest.hex());
    fs::rename(&blob, &outside).unwrap();
    std::os::unix::fs::symlink(&outside, &blob).unwrap();
    let error = state.pull(&format!("oci:{}", dir.display())).unwrap_err();
    assert!(matches!(error, ImageError::RefuseLocal { .. }), "{error:?}");
}

#[test]
fn a_root_filesystem_stays_where_it_is() {
    let state = State::new();
    let dir = state.path("rootfs");
    fs::create_dir(&dir).unwrap();
    let record = state.pull(&format!("rootfs:{}", dir.display())).unwrap();
    assert_eq!(record.root, RootSource::HostDir(dir));
    assert!(names(&state.path("state/layers")).is_empty());
}

#[test]
fn only_what_nothing_refers_to_is_pruned() {
    let state = State::new();
    let (one, two) = (state.path("one"), state.path("two"));
    Built::small().write_layout(&one, "1");
    let mut layers = Built::small().layers;
    layers.pop();
    layers.push(Layer::of(&[("other", b"x")]));
    Built::new(layers).write_layout(&two, "1");
    let first = state.pull(&format!("oci:{}", one.display())).unwrap();
    let second = state.pull(&format!("oci:{}", two.display())).unwrap();
    assert_eq!(names(&state.path("state/layers")).len(), 3);
    state.store.lease(&first, "container").unwrap();
    let error = state.store.remove(&first.reference).unwrap_err();
    assert!(error.to_string().contains("container"), "{error}");
    assert!(state.store.remove(&second.reference).unwrap());
    let pruned = state.store.prune(&|_| true, &Vec::new).unwrap();
    assert_eq!((pruned.layers, pruned.blobs), (1, 3));
    assert!(state.store.find(&first.reference).unwrap().is_some());
    state.store.release("container").unwrap();
    assert!(state.store.remove(&first.reference).unwrap());
    state.store.prune(&|_| true, &Vec::new).unwrap();
    state.assert_clean("after pruning");
}
