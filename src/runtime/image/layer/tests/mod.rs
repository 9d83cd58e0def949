//! Layers that want more than they should: each is refused, or unpacked with nothing else touched.

mod cases;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use super::testing::{Fields, Tar};
use super::*;
use crate::runtime::image::ImageError;
use crate::runtime::kernel::rooted::Root;
use crate::value::Digest;

/// Stands for the directory that no layer may touch, in names and links.
const CANARY: &str = "@CANARY@";

enum Expect {
    /// It is refused, and the reason contains this.
    Refused(&'static str),
    /// It is unpacked to exactly this.
    Tree(&'static [&'static str]),
    /// It is unpacked to something; where exactly depends on this machine.
    Inside,
}

struct Case {
    law: &'static str,
    layer: fn(canary: &str) -> Vec<u8>,
    expect: Expect,
}

fn case(law: &'static str, layer: fn(&str) -> Vec<u8>, expect: Expect) -> Case {
    Case { law, layer, expect }
}

/// A directory with a tree that must not change and a root to unpack into.
struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let canary = dir.path().join("canary");
        fs::create_dir_all(canary.join("secret/inner")).unwrap();
        put(&canary.join("file"), b"canary");
        put(&canary.join("secret/file"), b"canary");
        symlink("file", canary.join("link")).unwrap();
        fs::set_permissions(canary.join("secret"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        Self { dir }
    }

    fn canary(&self) -> String {
        self.dir.path().join("canary").to_str().unwrap().to_owned()
    }

    fn unpack(&self, layer: &[u8], below: Below) -> Result<Outcome, ImageError> {
        let root = self.dir.path().join("root");
        let target = Target {
            tree: Root::open(&root).unwrap(),
            blob_file: None,
            privilege: Privilege::own(),
            below,
            kept_bytes: 0,
            place: root,
        };
        let expected = Expected {
            blob: Some((Digest::sha256_of(layer), layer.len() as u64)),
            diff_id: Digest::sha256_of(layer),
        };
        unpack(
            Box::new(std::io::Cursor::new(layer.to_vec())),
            target,
            &expected,
        )
    }

    fn tree(&self) -> Vec<String> {
        listing(&self.dir.path().join("root"), Privilege::own())
    }
}

fn put(path: &Path, bytes: &[u8]) {
    fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

/// Returns one line for each thing below `root`.
fn listing(root: &Path, privilege: Privilege) -> Vec<String> {
    let mut lines = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let shown = path.strip_prefix(root).unwrap().display().to_string();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let kind = metadata.file_type();
            lines.push(if kind.is_symlink() {
                let target = fs::read_link(&path).unwrap().display().to_string();
                let target = if target.contains("/canary") {
                    CANARY.to_owned()
                } else {
                    target
                };
                format!("{shown} -> {target}")
            } else if kind.is_dir() {
                pending.push(path.clone());
                let mark = if is_opaque(&path, privilege) {
                    " opaque"
                } else {
                    ""
                };
                format!("{shown}/{mark}")
            } else if kind.is_char_device() && metadata.rdev() == 0 {
                format!("{shown} whiteout")
            } else if kind.is_fifo() {
                format!("{shown} fifo")
            } else if kind.is_file() {
                let text = fs::read(&path).unwrap();
                format!("{shown} {}", text.escape_ascii())
            } else {
                format!("{shown} device")
            });
        }
    }
    lines.sort();
    lines
}

fn is_opaque(path: &Path, privilege: Privilege) -> bool {
    let mut value = [0; 1];
    let got = rustix::fs::lgetxattr(path, privilege.opaque_attribute(), &mut value);
    got == Ok(1) && value == *b"y"
}

/// Returns everything that can be told about a tree.
fn fingerprint(root: &Path) -> Vec<String> {
    let mut lines = listing(root, Privilege::own());
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let m = fs::symlink_metadata(&path).unwrap();
        let (mode, uid, links) = (m.mode(), m.uid(), m.nlink());
        let times = (m.mtime(), m.mtime_nsec());
        lines.push(format!(
            "{} {mode:o} {uid} {links} {times:?}",
            path.display()
        ));
        if m.is_dir() {
            pending.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    lines
}

fn fields(name: &str, typeflag: u8, size_bytes: usize) -> Fields {
    Fields::new(name.as_bytes(), typeflag, size_bytes)
}

fn check(case: &Case) {
    let fixture = Fixture::new();
    let before = fingerprint(Path::new(&fixture.canary()));
    let layer = (case.layer)(&fixture.canary());
    let result = fixture.unpack(&layer, Below::Layers);
    assert_eq!(
        fingerprint(Path::new(&fixture.canary())),
        before,
        "{}: canary",
        case.law
    );
    match (&case.expect, result) {
        (Expect::Refused(expected), Err(error)) => {
            let text = error.to_string();
            assert!(text.contains(expected), "{}: {text}", case.law);
        }
        (Expect::Refused(_), Ok(_)) => {
            panic!("{}: unpacked to {:?}", case.law, fixture.tree())
        }
        (Expect::Tree(expected), Ok(_)) => assert_eq!(fixture.tree(), *expected, "{}", case.law),
        (Expect::Inside, Ok(_)) => assert!(!fixture.tree().is_empty(), "{}", case.law),
        (Expect::Tree(_) | Expect::Inside, Err(error)) => panic!("{}: {error}", case.law),
    }
}

#[test]
fn hostile_names_stay_inside() {
    cases::names_and_paths().iter().for_each(check);
}

#[test]
fn hostile_links_stay_inside() {
    cases::links().iter().for_each(check);
}

#[test]
fn whiteouts_mean_what_the_image_specification_says() {
    cases::whiteouts_and_replacements().iter().for_each(check);
}

#[test]
fn ambiguous_or_broken_headers_are_refused() {
    cases::headers().iter().for_each(check);
}

#[test]
fn nothing_is_hidden_where_nothing_is_below() {
    let fixture = Fixture::new();
    let layer = Tar::new()
        .dir("a")
        .file("a/.wh.b", b"")
        .file("a/.wh..wh..opq", b"")
        .end();
    fixture.unpack(&layer, Below::Nothing).unwrap();
    assert_eq!(fixture.tree(), ["a/"]);
}

#[test]
fn owner_mode_time_and_attributes_are_kept() {
    let fixture = Fixture::new();
    let layer = Tar::new()
        .raw(
            &Fields {
                mode: b"0004755".to_vec(),
                uid: b"0000012".to_vec(),
                ..fields("a", b'0', 0)
            },
            b"",
        )
        .pax("mtime", b"1000.5")
        .pax("SCHILY.xattr.user.note", b"kept")
        .pax("SCHILY.xattr.trusted.overlay.redirect", b"/evil")
        .pax("SCHILY.xattr.user.overlay.opaque", b"y")
        .file("b", b"x")
        .raw(
            &Fields {
                mode: b"0001777".to_vec(),
                ..fields("d/", b'5', 0)
            },
            b"",
        )
        .file("d/x", b"")
        .end();
    let outcome = fixture.unpack(&layer, Below::Layers).unwrap();
    assert_eq!(outcome.unpacked.entries, 4);
    let stat = |path: &str| fs::metadata(fixture.dir.path().join("root").join(path)).unwrap();
    assert_eq!(stat("a").mode() & 0o7777, 0o4755);
    if Privilege::own() == Privilege::Full {
        assert_eq!(stat("a").uid(), 10);
    }
    assert_eq!(
        (stat("b").mtime(), stat("b").mtime_nsec()),
        (1000, 500_000_000)
    );
    assert_eq!(stat("d").mode() & 0o7777, 0o1777);
    assert_eq!(stat("d").mtime(), 0o1750);
    let mut names = [0; 256];
    let length = rustix::fs::listxattr(fixture.dir.path().join("root/b"), &mut names).unwrap();
    assert_eq!(&names[..length], b"user.note\0");
}

#[test]
fn a_wrong_digest_is_told_rather_than_the_nonsense_behind_it() {
    let fixture = Fixture::new();
    let layer = Tar::new().file("a", b"x").end();
    let run = |blob: &[u8], size_bytes: usize, diff_id: &[u8]| {
        let root = fixture.dir.path().join("root");
        let target = Target {
            tree: Root::open(&root).unwrap(),
            blob_file: None,
            privilege: Privilege::own(),
            below: Below::Layers,
            kept_bytes: 0,
            place: root,
        };
        let expected = Expected {
            blob: Some((Digest::sha256_of(blob), size_bytes as u64)),
            diff_id: Digest::sha256_of(diff_id),
        };
        let source = Box::new(std::io::Cursor::new(layer.clone()));
        unpack(source, target, &expected).unwrap_err()
    };
    let size = layer.len();
    assert!(matches!(
        run(b"other", size, &layer),
        ImageError::WrongDigest { .. }
    ));
    assert!(matches!(
        run(&layer, size, b"other"),
        ImageError::WrongDigest { .. }
    ));
    assert!(matches!(
        run(&layer, size - 1, &layer),
        ImageError::WrongSize { .. }
    ));
    assert!(matches!(
        run(&layer, size + 1, &layer),
        ImageError::WrongSize { .. }
    ));
}

#[test]
fn compressed_layers_are_inflated_and_broken_ones_refused() {
    let plain = Tar::new().file("a", &vec![b'x'; 100_000]).end();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    let run = |blob: &[u8]| {
        let fixture = Fixture::new();
        let root = fixture.dir.path().join("root");
        let target = Target {
            tree: Root::open(&root).unwrap(),
            blob_file: None,
            privilege: Privilege::own(),
            below: Below::Layers,
            kept_bytes: 0,
            place: root,
        };
        let expected = Expected {
            blob: Some((Digest::sha256_of(blob), blob.len() as u64)),
            diff_id: Digest::sha256_of(&plain),
        };
        unpack(
            Box::new(std::io::Cursor::new(blob.to_vec())),
            target,
            &expected,
        )
    };
    assert_eq!(run(&gzip).unwrap().compression, Compression::Gzip);
    assert_eq!(run(&zstd).unwrap().compression, Compression::Zstd);
    for broken in [&gzip, &zstd] {
        for cut in [5, broken.len() / 2, broken.len() - 1] {
            assert!(run(&broken[..cut]).is_err(), "cut at {cut}");
        }
        let mut flipped = broken.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x55;
        assert!(run(&flipped).is_err());
    }
    let two = [&gzip[..], &gzip[..]].concat();
    assert!(
        matches!(run(&two), Err(ImageError::WrongDigest { .. })),
        "two members are two archives"
    );
}

#[test]
fn a_zstd_window_beyond_128_mib_is_refused() {
    // Magic, a frame header with a window of 2^31 bytes, then an empty last block.
    let bomb = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
    let fixture = Fixture::new();
    let error = fixture.unpack(&bomb, Below::Layers).unwrap_err();
    assert!(matches!(error, ImageError::Unpack { .. }), "{error:?}");
}
