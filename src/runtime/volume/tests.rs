//! Volumes in a state directory of their own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use super::*;
use crate::runtime::kernel::rooted::Root;
use crate::runtime::store::{self, Durability};

fn record(name: &str) -> VolumeRecord {
    VolumeRecord {
        name: name.to_owned(),
        driver: "local".to_owned(),
        options: BTreeMap::new(),
        labels: BTreeMap::from([("a".to_owned(), "b\nc".to_owned())]),
        owner: None,
        created: None,
    }
}

struct Fixture {
    dir: tempfile::TempDir,
    volumes: VolumeStore,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let volumes = VolumeStore::open(&dir.path().join("volumes")).unwrap();
    Fixture { dir, volumes }
}

impl Fixture {
    fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        store::write_atomic(&path, text.as_bytes(), Durability::Cached).unwrap();
    }

    fn root(&self, path: &str) -> Root {
        let path = self.dir.path().join(path);
        fs::create_dir_all(&path).unwrap();
        Root::open(&path).unwrap()
    }

    fn seed(&self, name: &str, image: &Root, path: &str) -> Seeded {
        let data = Root::open(&self.volumes.data_dir(name)).unwrap();
        self.volumes
            .seed(name, &data, image, Path::new(path))
            .unwrap()
    }

    fn has(&self, name: &str, path: &str) -> bool {
        fs::symlink_metadata(self.volumes.data_dir(name).join(path)).is_ok()
    }
}

#[test]
fn a_volume_is_made_once_listed_and_removed() {
    let all = fixture();
    assert_eq!(all.volumes.create(&record("b")).unwrap(), Created::New);
    assert_eq!(all.volumes.create(&record("a")).unwrap(), Created::New);
    assert_eq!(all.volumes.create(&record("a")).unwrap(), Created::Existing);
    let names: Vec<String> = all
        .volumes
        .list()
        .unwrap()
        .into_iter()
        .map(|(name, record)| {
            assert!(record.is_ok());
            name
        })
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(all.volumes.find("a").unwrap().unwrap(), record("a"));
    let used = all.volumes.remove("a", &["web".to_owned()]).unwrap_err();
    assert_eq!(used.to_string(), "remove volume `a`: used by web");
    assert!(all.volumes.remove("a", &[]).unwrap());
    assert!(!all.volumes.remove("a", &[]).unwrap());
    assert_eq!(
        fs::read_dir(all.dir.path().join("volumes"))
            .unwrap()
            .count(),
        1
    );
}

#[test]
fn volumes_of_a_container_are_found_beside_one_that_cannot_be_read() {
    let all = fixture();
    let of = |name: &str, owner: Option<&str>| VolumeRecord {
        owner: owner.map(str::to_owned),
        ..record(name)
    };
    for (name, owner) in [("a", Some("one")), ("b", Some("two")), ("c", None)] {
        all.volumes.create(&of(name, owner)).unwrap();
    }
    all.write("volumes/damaged/volume.json", "{");
    assert_eq!(all.volumes.owned_by("one").unwrap(), [of("a", Some("one"))]);
    assert_eq!(all.volumes.owned_by("three").unwrap(), []);
}

#[test]
fn a_volume_with_other_options_is_not_taken_for_this_one() {
    let all = fixture();
    all.volumes.create(&record("a")).unwrap();
    let mut other = record("a");
    other.options.insert("type".to_owned(), "tmpfs".to_owned());
    other
        .options
        .insert("device".to_owned(), "tmpfs".to_owned());
    assert!(matches!(
        all.volumes.create(&other),
        Err(VolumeError::Different { .. })
    ));
    other.driver = "rexray".to_owned();
    assert!(matches!(
        all.volumes.create(&other),
        Err(VolumeError::UnknownDriver { .. })
    ));
}

#[test]
fn names_that_could_be_paths_are_refused() {
    let all = fixture();
    for name in [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        ".new-a",
        "a\n",
        "a\0",
        &"a".repeat(300),
    ] {
        assert!(
            matches!(all.volumes.find(name), Err(VolumeError::BadName { .. })),
            "{name:?}"
        );
        assert!(matches!(
            all.volumes.create(&record(name)),
            Err(VolumeError::BadName { .. })
        ));
        assert!(matches!(
            all.volumes.remove(name, &[]),
            Err(VolumeError::BadName { .. })
        ));
    }
    let (one, two) = (anonymous_name().unwrap(), anonymous_name().unwrap());
    assert!(one != two && one.len() == 64);
    assert_eq!(all.volumes.create(&record(&one)).unwrap(), Created::New);
}

#[test]
fn what_a_killed_process_left_is_collected() {
    let all = fixture();
    fs::create_dir_all(all.dir.path().join("volumes/.new-a/_data")).unwrap();
    fs::create_dir_all(all.dir.path().join("volumes/.dead-1/_data/x")).unwrap();
    assert!(all.volumes.list().unwrap().is_empty());
    all.volumes.create(&record("a")).unwrap();
    assert_eq!(
        fs::read_dir(all.dir.path().join("volumes"))
            .unwrap()
            .count(),
        1
    );
    let mode = fs::metadata(all.volumes.data_dir("a")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o755);
    let above = fs::metadata(all.dir.path().join("volumes/a"))
        .unwrap()
        .mode();
    assert_eq!(above & 0o777, 0o700);
}

#[test]
fn a_new_volume_gets_what_the_image_has_there_and_only_once() {
    let all = fixture();
    all.volumes.create(&record("v")).unwrap();
    all.write("image/data/sub/file", "text");
    symlink("/etc/passwd", all.dir.path().join("image/data/link")).unwrap();
    fs::set_permissions(
        all.dir.path().join("image/data"),
        fs::Permissions::from_mode(0o1770),
    )
    .unwrap();
    let image = all.root("image");
    assert_eq!(all.seed("v", &image, "/data"), Seeded::Now);
    assert!(all.has("v", "sub/file") && all.has("v", "link"));
    let data = all.volumes.data_dir("v");
    assert_eq!(
        fs::read_link(data.join("link")).unwrap(),
        Path::new("/etc/passwd")
    );
    assert_eq!(fs::metadata(&data).unwrap().mode() & 0o7777, 0o1770);
    fs::remove_file(data.join("sub/file")).unwrap();
    assert_eq!(all.seed("v", &image, "/data"), Seeded::Not);
    assert!(!all.has("v", "sub/file"));
}

#[test]
fn data_of_a_used_volume_are_never_touched() {
    let all = fixture();
    all.volumes.create(&record("v")).unwrap();
    all.write("image/data/file", "image");
    all.write("volumes/v/_data/file", "user");
    let image = all.root("image");
    assert_eq!(all.seed("v", &image, "/data"), Seeded::Not);
    let kept = store::read_bounded(&all.volumes.data_dir("v").join("file"), 99).unwrap();
    assert_eq!(kept, b"user");
    all.volumes.create(&record("w")).unwrap();
    all.volumes.mark_used("w").unwrap();
    assert_eq!(all.seed("w", &image, "/data"), Seeded::Not);
    assert!(!all.has("w", "file"));
}

#[test]
fn an_interrupted_copy_is_made_again() {
    let all = fixture();
    all.volumes.create(&record("v")).unwrap();
    all.write("image/data/file", "whole");
    all.write("volumes/v/_data/file", "ha");
    all.write("volumes/v/_data/old/other", "x");
    all.write("volumes/v/seeded", "begun\n");
    assert_eq!(all.seed("v", &all.root("image"), "/data"), Seeded::Now);
    let data = all.volumes.data_dir("v");
    assert_eq!(
        store::read_bounded(&data.join("file"), 99).unwrap(),
        b"whole"
    );
    assert!(!all.has("v", "old"));
}

#[test]
fn seeding_follows_links_inside_the_image_only() {
    let all = fixture();
    let canary = all.dir.path().join("canary");
    fs::create_dir(&canary).unwrap();
    all.write("canary/secret", "x");
    let image = all.root("image");
    symlink(&canary, all.dir.path().join("image/out")).unwrap();
    symlink("../../../../..", all.dir.path().join("image/up")).unwrap();
    symlink("/real", all.dir.path().join("image/in")).unwrap();
    all.write("image/real/file", "x");
    for (name, path) in [
        ("v1", "/out"),
        ("v2", "/up/canary"),
        ("v3", "/missing"),
        ("v4", "/real/file"),
    ] {
        all.volumes.create(&record(name)).unwrap();
        assert_eq!(all.seed(name, &image, path), Seeded::Not, "{path}");
        assert_eq!(fs::read_dir(all.volumes.data_dir(name)).unwrap().count(), 0);
    }
    all.volumes.create(&record("v5")).unwrap();
    assert_eq!(all.seed("v5", &image, "/in"), Seeded::Now);
    assert!(all.has("v5", "file"));
}

#[test]
fn a_missing_bind_source_is_made_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b");
    let refused = prepare_bind(&path, Missing::Refuse).unwrap_err();
    assert!(matches!(refused, VolumeError::SourceMissing { .. }));
    let socket = dir.path().join("docker.sock");
    let refused = prepare_bind(&socket, Missing::Create).unwrap_err();
    assert!(matches!(refused, VolumeError::SocketMissing { .. }));
    assert!(!socket.exists(), "no folder takes a socket's place");
    assert_eq!(prepare_bind(&path, Missing::Create).unwrap(), Created::New);
    assert_eq!(
        prepare_bind(&path, Missing::Refuse).unwrap(),
        Created::Existing
    );
}
