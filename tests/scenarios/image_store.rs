//! `consort image`: what a name means, how it gets in and out, and that nothing in use is taken away.

use serde_json::Value;

use crate::support::Sandbox;
use crate::support::machine::{self, needs};

const NOTHING: &str = "services: {}\n";

fn archive(kind: &str) -> String {
    let cache = machine::image_cache();
    format!("{}/archives/busybox.{kind}.tar", cache.display())
}

fn ids(sandbox: &Sandbox) -> Vec<String> {
    let listed = sandbox
        .consort(&["image", "ls", "-q", "--no-trunc"])
        .succeeds();
    listed.lines().map(str::to_owned).collect()
}

#[test]
fn a_saved_image_is_loaded_as_the_same_image() {
    needs!(machine::images());
    let sandbox = Sandbox::new(NOTHING);
    let loaded = sandbox
        .consort(&["image", "load", "-q", "-i", &archive("docker-archive")])
        .succeeds();
    assert_eq!(loaded, "", "--quiet is quiet");
    let before = ids(&sandbox);
    assert_eq!(before.len(), 1);
    sandbox
        .consort(&["image", "tag", &before[0], "localhost:5000/team/app:1"])
        .succeeds();
    let file = sandbox.path("saved.tar");
    let file = file.to_str().unwrap();
    sandbox
        .consort(&["image", "save", "-o", file, "localhost:5000/team/app"])
        .succeeds();
    sandbox
        .consort(&["image", "rm", "-f", &before[0]])
        .succeeds();
    assert_eq!(ids(&sandbox), Vec::<String>::new());
    let loaded = sandbox.consort(&["image", "load", "-i", file]).succeeds();
    assert_eq!(loaded, "Loaded image: localhost:5000/team/app:1\n");
    assert_eq!(ids(&sandbox), before);
    let again = sandbox.path("again.tar");
    let name = "localhost:5000/team/app:1";
    sandbox
        .consort(&["image", "save", "-o", again.to_str().unwrap(), name])
        .succeeds();
    let bytes = |path| std::fs::read(path).unwrap();
    assert!(
        bytes(sandbox.path("saved.tar")) == bytes(again),
        "the same image gives the same bytes"
    );
}

#[test]
fn an_image_has_the_shape_that_docker_gives_it() {
    needs!(machine::images());
    let sandbox = Sandbox::new(NOTHING);
    sandbox
        .consort(&["image", "load", "-i", &archive("docker-archive")])
        .succeeds();
    let id = ids(&sandbox).remove(0);
    sandbox.consort(&["image", "tag", &id, "app:2"]).succeeds();
    let shown = sandbox.consort(&["image", "inspect", "app:2"]).succeeds();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown[0]["Id"], id.as_str());
    assert_eq!(shown[0]["RootFS"]["Type"], "layers");
    assert!(shown[0]["Config"].is_object());
    let field = sandbox
        .consort(&["image", "inspect", "-f", "{{.Os}}", "app:2"])
        .succeeds();
    assert_eq!(field, "linux\n");
    let row = sandbox
        .consort(&["image", "ls", "--format", "json", "app"])
        .succeeds();
    let row: Value = serde_json::from_str(&row).unwrap();
    assert_eq!(
        (&row["Repository"], &row["Tag"]),
        (&"app".into(), &"2".into())
    );
    let missing = sandbox
        .consort(&["image", "inspect", "no/such"])
        .fails_with(1);
    assert!(missing.contains("`no/such`"), "{missing}");
}

#[test]
fn an_image_that_a_container_was_made_from_is_not_removed() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one: {image: 'app:1', command: [sh, -c, 'exit 0']}
",
    );
    sandbox
        .consort(&["image", "load", "-i", &archive("docker-archive")])
        .succeeds();
    let id = ids(&sandbox).remove(0);
    sandbox.consort(&["image", "tag", &id, "app:1"]).succeeds();
    let names = sandbox
        .consort(&["image", "inspect", "-f", "{{join .RepoTags \" \"}}", &id])
        .succeeds();
    for name in names.split_whitespace().filter(|name| *name != "app:1") {
        sandbox.consort(&["image", "rm", name]).succeeds();
    }
    sandbox.consort(&["up"]).succeeds();
    let refused = sandbox.consort(&["image", "rm", "app:1"]).fails_with(1);
    assert!(refused.contains("was made from it"), "{refused}");
    sandbox.consort(&["image", "prune", "-af"]).succeeds();
    assert_eq!(ids(&sandbox), [id.as_str()], "prune leaves what is used");
    sandbox.consort(&["down"]).succeeds();
    let freed = sandbox.consort(&["image", "prune", "-af"]).succeeds();
    assert!(freed.contains(&format!("deleted: {id}")), "{freed}");
    assert!(!freed.contains("Total reclaimed space: 0B"), "{freed}");
}
