//! A power cut, or a full disk, leaves files empty, cut off or with other bytes: no command may fail for that.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Sandbox;
use crate::support::machine::{self, needs};
use crate::support::run::Run;

/// Small, and yet with a file of each kind.
const PROJECT: &str = "
services:
  db:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    volumes: ['data:/data', '/scratch']
    secrets: [key]
    healthcheck: {test: [CMD, 'true'], interval: 1h}
    stop_grace_period: 0s
  web:
    image: ${BUSYBOX}
    command: [sh, -c, 'echo hello; exec sleep 1000']
    ports: ['127.0.0.1::80']
    networks: [default, back]
    stop_grace_period: 0s
networks: {back: {internal: true}}
volumes: {data: }
secrets: {key: {environment: KEY}}
";

/// Another project, on the same state directory.
const OTHER: &str = "
services:
  one: {image: '${BUSYBOX}', command: [sleep, '1000'], volumes: ['stuff:/data'], stop_grace_period: 0s}
volumes: {stuff: }
";

const UP: &[&str] = &["up", "-d"];
const DOWN: &[&str] = &["down", "-v", "-t", "0"];

/// What becomes of a file's bytes.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Empty,
    Half,
    Garbage,
}

impl Damage {
    fn apply(self, path: &Path) {
        if fs::symlink_metadata(path).unwrap().is_symlink() {
            fs::remove_file(path).unwrap();
            match self {
                Self::Empty => {}
                Self::Half => std::os::unix::fs::symlink("../projects/no", path).unwrap(),
                Self::Garbage => fs::write(path, "garbage").unwrap(),
            }
            return;
        }
        let bytes = fs::read(path).unwrap();
        let damaged = match self {
            Self::Empty => Vec::new(),
            Self::Half => bytes[..bytes.len() / 2].to_vec(),
            Self::Garbage => vec![0xa5; bytes.len().max(16)],
        };
        fs::write(path, damaged).unwrap();
    }
}

/// A sandbox with two projects in it.
struct World {
    sandbox: Sandbox,
    other: PathBuf,
}

impl World {
    fn new() -> Self {
        let sandbox = Sandbox::new(PROJECT).with_env("KEY", "k3y");
        let other = sandbox.file("other.yaml", OTHER);
        Self { sandbox, other }
    }

    fn other(&self, args: &[&str]) -> Run {
        let file = self.other.to_str().unwrap();
        let words = ["-p", "other", "-f", file];
        self.sandbox.other(&[&words, args].concat())
    }

    /// Returns a file of each kind: its path with ids replaced, and a path to it.
    fn files(&self) -> BTreeMap<String, PathBuf> {
        let mut found = BTreeMap::new();
        for (name, dir) in [
            ("state", self.sandbox.path("state")),
            ("run", self.run_dir()),
        ] {
            collect(name, &dir, &mut found);
        }
        found
    }

    fn run_dir(&self) -> PathBuf {
        let found = self.sandbox.leftovers(&[]);
        let mut paths = found.lines().filter_map(|line| line.strip_prefix("file"));
        let bundle = paths.find(|path| path.ends_with("/bundle.json"));
        let bundle = Path::new(
            bundle
                .unwrap_or_else(|| panic!("a bundle in {found}"))
                .trim(),
        );
        bundle.ancestors().nth(3).unwrap().to_owned()
    }

    fn running(&self) -> usize {
        let found = self.sandbox.consort(&["ps", "-a", "--format", "json"]);
        found
            .stdout
            .lines()
            .filter(|one| one.contains("\"State\":\"running\""))
            .count()
    }
}

/// Adds the files below `dir`, but for what belongs to containers and images themselves.
fn collect(kind: &str, dir: &Path, found: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let is_hex = name.len() >= 64 && name.bytes().take(64).all(|it| it.is_ascii_hexdigit());
        let is_name = kind.ends_with("/names");
        let shown = match &name {
            name if is_hex => format!("ID{}", &name[64..]),
            _ if is_name => "NAME".to_owned(),
            name => name.clone(),
        };
        let kind = format!("{kind}/{shown}");
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            if !["_data", "upper", "work", "fs"].contains(&name.as_str()) {
                collect(&kind, &path, found);
            }
        } else if metadata.is_symlink() || (metadata.is_file() && can_be_written(&path)) {
            found.insert(kind, path);
        }
    }
}

/// Whether the test may damage a file: a secret of an ordinary user belongs to the container's user.
fn can_be_written(path: &Path) -> bool {
    let opened = fs::OpenOptions::new().read(true).write(true).open(path);
    opened.is_ok()
}

/// The files of the project under test; those of the other one are of the same kinds.
fn kinds(world: &World) -> Vec<String> {
    let is_others = |kind: &str| {
        let others = ["/other", "project_back"];
        others.iter().any(|other| kind.contains(other))
    };
    let kinds = world.files().into_keys();
    kinds.filter(|kind| !is_others(kind)).collect()
}

/// Kinds that are kept with the reason when they cannot be read.
const KEPT: &[&str] = &["record.json", "network.json", "volume.json", "index.json"];

fn no_file_keeps_any_command_from_working(damage: Damage) {
    let world = World::new();
    let (sandbox, damaged) = (&world.sandbox, world.sandbox.path("state/damaged"));
    sandbox.consort(UP).succeeds();
    world.other(UP).succeeds();
    let kinds = kinds(&world);
    assert!(kinds.len() > 20, "{kinds:?}");
    for kind in &kinds {
        let what = format!("{damage:?} {kind}");
        let works = |run: Run| assert!(run.ok(), "{what}: {run}");
        works(sandbox.consort(UP));
        let Some(path) = world.files().remove(kind) else {
            panic!("{what}: it is not there");
        };
        damage.apply(&path);
        works(sandbox.consort(&["ps"]));
        works(world.other(&["up", "-d", "--force-recreate", "-t", "0"]));
        works(sandbox.consort(UP));
        assert_eq!(world.running(), 2, "{what}");
        works(sandbox.consort(&["exec", "-T", "web", "true"]));
        if KEPT.iter().any(|kept| kind.ends_with(kept)) {
            let kept = fs::read_dir(&damaged).into_iter().flatten();
            let reasons =
                kept.map(|folder| fs::read_to_string(folder.unwrap().path().join("reason")));
            let reasons: Vec<String> = reasons.map(Result::unwrap).collect();
            let name = path.to_str().unwrap();
            assert!(
                reasons.iter().any(|it| it.starts_with(name)),
                "{what}: {reasons:?}"
            );
        }
        if let Some(path) = world.files().get(kind) {
            damage.apply(path);
        }
        works(sandbox.consort(DOWN));
        assert!(sandbox.ps().is_empty(), "{what}");
    }
    world.other(DOWN).succeeds();
    let left = sandbox.leftovers(&["--volumes"]);
    assert_eq!(left, "");
}

#[test]
fn an_empty_file_keeps_no_command_from_working() {
    needs!(machine::images());
    no_file_keeps_any_command_from_working(Damage::Empty);
}

#[test]
fn half_a_file_keeps_no_command_from_working() {
    needs!(machine::images());
    no_file_keeps_any_command_from_working(Damage::Half);
}

#[test]
fn a_file_of_other_bytes_keeps_no_command_from_working() {
    needs!(machine::images());
    no_file_keeps_any_command_from_working(Damage::Garbage);
}
