//! `cp` and `export`: files of containers, running or not.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Stdio;

use crate::support::Sandbox;
use crate::support::machine::{self, needs};

const PROJECT: &str = "
services:
  web:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    scale: 2
    stop_grace_period: 0s
    volumes: ['data:/data']
volumes: {data: {}}
";

#[test]
fn files_and_folders_pass_both_ways_with_their_modes() {
    needs!(machine::images());
    let sandbox = Sandbox::new(PROJECT);
    drop(sandbox.consort(&["up", "-d"]).succeeds());
    sandbox.file("dir/sub/file", "content\n");
    let file = sandbox.path("project/dir/sub/file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    drop(sandbox.consort(&["cp", "dir", "web:/new"]).succeeds());
    for index in ["1", "2"] {
        let cat = [
            "exec",
            "-T",
            "--index",
            index,
            "web",
            "sh",
            "-c",
            "cat /new/sub/file; stat -c %a /new/sub/file",
        ];
        assert_eq!(
            sandbox.consort(&cat).succeeds(),
            "content\n640\n",
            "replica {index}"
        );
    }
    drop(sandbox.consort(&["cp", "web:/new/.", "back"]).succeeds());
    let back = sandbox.path("project/back/sub/file");
    assert_eq!(fs::read_to_string(&back).unwrap(), "content\n");
    assert_eq!(
        fs::metadata(&back).unwrap().permissions().mode() & 0o777,
        0o640
    );
    drop(
        sandbox
            .consort(&["cp", "dir/sub/file", "web:/data/in-volume"])
            .succeeds(),
    );
    assert_eq!(sandbox.sh("web", "cat /data/in-volume"), "content");
}

#[test]
fn a_container_that_does_not_run_has_files_too() {
    needs!(machine::images());
    let sandbox = Sandbox::new(PROJECT);
    sandbox.file("file", "content\n");
    drop(sandbox.consort(&["create"]).succeeds());
    drop(sandbox.consort(&["cp", "file", "web:/early"]).succeeds());
    drop(
        sandbox
            .consort(&["cp", "file", "web:/data/early"])
            .succeeds(),
    );
    drop(sandbox.consort(&["start"]).succeeds());
    assert_eq!(
        sandbox.sh("web", "cat /early /data/early"),
        "content\ncontent"
    );
    drop(sandbox.consort(&["stop"]).succeeds());
    drop(sandbox.consort(&["cp", "web:/early", "late"]).succeeds());
    assert_eq!(
        fs::read_to_string(sandbox.path("project/late")).unwrap(),
        "content\n"
    );
}

#[test]
fn a_link_in_a_container_leads_cp_nowhere_on_the_host() {
    needs!(machine::images());
    let sandbox = Sandbox::new(PROJECT);
    let outside = sandbox.file("outside/secret", "untouched\n");
    sandbox.file("file", "from the host\n");
    drop(sandbox.consort(&["up", "-d"]).succeeds());
    let folder = outside.parent().unwrap().display().to_string();
    sandbox.sh(
        "web",
        &format!("ln -s {folder} /trap; ln -s {folder}/secret /bait"),
    );
    let refused = sandbox.consort(&["cp", "--index", "1", "file", "web:/trap/secret"]);
    assert!(!refused.ok(), "{refused}");
    let refused = sandbox.consort(&["cp", "-L", "web:/bait", "got"]);
    assert!(!refused.ok(), "{refused}");
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched\n");
    symlink("file", sandbox.path("project/link")).unwrap();
    drop(
        sandbox
            .consort(&["cp", "--index", "1", "link", "web:/link"])
            .succeeds(),
    );
    assert_eq!(sandbox.sh("web", "readlink /link"), "file");
}

#[test]
fn archives_go_through_pipes_and_export_has_the_containers_own_files() {
    needs!(machine::images());
    let sandbox = Sandbox::new(PROJECT);
    drop(sandbox.consort(&["up", "-d"]).succeeds());
    sandbox.sh(
        "web",
        "mkdir -p /d/sub && echo deep > /d/sub/file && echo in > /data/only-in-volume",
    );
    let mut pack = sandbox.command();
    let packed = pack.args(["cp", "web:/d", "-"]).output().unwrap();
    assert!(packed.status.success());
    let mut archive = tar::Archive::new(packed.stdout.as_slice());
    let names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(names, ["d/", "d/sub/", "d/sub/file"]);
    let mut unpack = sandbox.command();
    let mut child = unpack
        .args(["cp", "-", "web:/tmp"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &packed.stdout).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(sandbox.sh("web", "cat /tmp/d/sub/file"), "deep");
    drop(
        sandbox
            .consort(&["export", "-o", "all.tar", "web"])
            .succeeds(),
    );
    let file = fs::File::open(sandbox.path("project/all.tar")).unwrap();
    let mut archive = tar::Archive::new(file);
    let names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    let has = |name: &str| {
        names
            .iter()
            .any(|other| other.trim_end_matches('/') == name)
    };
    assert!(has("d/sub/file") && has("proc") && has("data"), "{names:?}");
    assert!(
        !has("data/only-in-volume")
            && !names
                .iter()
                .any(|name| name.starts_with("proc/") && name != "proc/"),
        "{names:?}"
    );
}

#[test]
fn what_cannot_be_copied_is_named() {
    needs!(machine::images());
    let sandbox = Sandbox::new(PROJECT);
    sandbox.file("file", "content\n");
    drop(sandbox.consort(&["up", "-d"]).succeeds());
    let says = |args: &[&str], words: &[&str]| {
        let run = sandbox.consort(args);
        assert!(
            !run.ok() && words.iter().all(|word| run.stderr.contains(word)),
            "{run}"
        );
    };
    says(&["cp", "file", "other"], &["SERVICE:PATH"]);
    says(&["cp", "web:/a", "web:/b"], &["between services"]);
    says(&["cp", "file", "nosuch:/b"], &["nosuch"]);
    says(&["cp", "nosuch", "web:/b"], &["nosuch"]);
    says(&["cp", "web:/nosuch", "x"], &["/nosuch"]);
    says(&["cp", "file", "web:/no/such"], &["/no"]);
    says(&["cp", "--index", "9", "file", "web:/x"], &["9", "web"]);
}
