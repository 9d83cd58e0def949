//! Volumes, binds, tmpfs, secrets and configs.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::support::Sandbox;
use crate::support::machine::{self, needs};

fn up(compose: &str) -> Sandbox {
    let sandbox = Sandbox::new(compose);
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox
}

#[test]
fn a_new_volume_is_seeded_from_the_image_once() {
    needs!(machine::images());
    let sandbox = up("
services:
  one:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    volumes: ['spool:/etc']
    stop_grace_period: 0s
volumes: {spool: }
");
    assert_eq!(sandbox.sh("one", "grep -c ^root: /etc/passwd"), "1");
    sandbox.sh("one", "rm /etc/passwd; echo mine >/etc/mine");
    sandbox
        .consort(&["up", "-d", "--force-recreate"])
        .succeeds();
    assert_eq!(
        sandbox.sh("one", "test -e /etc/passwd; echo $?; cat /etc/mine"),
        "1\nmine"
    );
}

#[test]
fn nocopy_leaves_a_new_volume_empty() {
    needs!(machine::images());
    let sandbox = up(
        "
services:
  one: {image: '${BUSYBOX}', command: [sleep, '1000'], volumes: ['empty:/var/spool:nocopy'], stop_grace_period: 0s}
volumes: {empty: }
",
    );
    assert_eq!(sandbox.sh("one", "ls -A /var/spool"), "");
}

#[test]
fn a_bind_shows_the_hosts_files_both_ways() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    volumes: ['./data:/data', './data:/readonly:ro']
    stop_grace_period: 0s
",
    );
    let file = sandbox.file("data/from-host", "host\n");
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(sandbox.sh("one", "cat /data/from-host"), "host");
    sandbox.sh("one", "echo container >/data/from-container");
    let written = file.with_file_name("from-container");
    assert_eq!(fs::read_to_string(&written).unwrap(), "container\n");
    let owner = fs::metadata(&written).unwrap().uid();
    assert_eq!(
        owner,
        rustix::process::geteuid().as_raw(),
        "the container's root is who ran consort"
    );
    assert_ne!(
        sandbox.sh("one", "(echo x >/readonly/no) 2>/dev/null; echo $?"),
        "0"
    );
}

#[test]
fn the_short_form_of_a_bind_makes_the_folder() {
    needs!(machine::images());
    let sandbox = up(
        "services: {one: {image: '${BUSYBOX}', command: [sleep, '1000'], volumes: ['./fresh:/data'], stop_grace_period: 0s}}",
    );
    assert!(sandbox.path("project/fresh").is_dir());
}

#[test]
fn an_anonymous_volume_goes_with_its_container() {
    needs!(machine::images());
    let sandbox = up(
        "services: {one: {image: '${BUSYBOX}', command: [sleep, '1000'], volumes: ['/data'], stop_grace_period: 0s}}",
    );
    sandbox.sh("one", "echo x >/data/x");
    sandbox.consort(&["down", "-v", "-t", "0"]).succeeds();
    assert_eq!(sandbox.leftovers(&["--volumes"]), "");
}

#[test]
fn an_anonymous_volume_goes_with_a_container_that_could_not_be_made() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
x-service: &service
  image: ${BUSYBOX}
  command: [sleep, '1000']
  volumes: ['/data']
  networks: {default: {ipv4_address: 10.213.95.7}}
  stop_grace_period: 0s
services: {one: *service, two: *service}
networks: {default: {ipam: {config: [{subnet: 10.213.95.0/24}]}}}
",
    );
    for _ in 0..2 {
        let error = sandbox.consort(&["up", "-d"]).fails_with(1);
        assert!(error.contains("10.213.95.7"), "{error}");
    }
    sandbox.ends_clean();
}

#[test]
fn services_share_a_named_volume() {
    needs!(machine::images());
    let sandbox = up(
        "
services:
  one: {image: '${BUSYBOX}', command: [sleep, '1000'], volumes: ['shared:/a'], stop_grace_period: 0s}
  two: {image: '${BUSYBOX}', command: [sleep, '1000'], volumes: ['shared:/b'], stop_grace_period: 0s}
volumes: {shared: }
",
    );
    sandbox.sh("one", "echo hello >/a/file");
    assert_eq!(sandbox.sh("two", "cat /b/file"), "hello");
}

#[test]
fn secrets_and_configs_arrive_with_owner_and_mode() {
    needs!(machine::images(), machine::id_ranges());
    let sandbox = Sandbox::new(
        "
services:
  one:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    read_only: true
    secrets:
      - plain
      - {source: from_env, target: /etc/key, uid: '33', gid: '33', mode: 0o440}
    configs:
      - {source: inline, target: /etc/app.conf, mode: 0o400}
    stop_grace_period: 0s
secrets:
  plain: {file: ./plain.txt}
  from_env: {environment: KEY}
configs:
  inline: {content: 'level=${LEVEL:-info}'}
",
    )
    .with_env("KEY", "k3y-0f-the-stage");
    sandbox.file("plain.txt", "s3cret");
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(sandbox.sh("one", "cat /run/secrets/plain"), "s3cret");
    assert_eq!(
        sandbox.sh("one", "stat -c '%u %g %a' /etc/key; cat /etc/key"),
        "33 33 440\nk3y-0f-the-stage"
    );
    assert_eq!(
        sandbox.sh("one", "stat -c '%a' /etc/app.conf; cat /etc/app.conf"),
        "400\nlevel=info"
    );
}

#[test]
fn a_secret_is_on_no_disk_and_in_no_output() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one: {image: '${BUSYBOX}', command: [sleep, '1000'], secrets: [key], stop_grace_period: 0s}
secrets: {key: {environment: KEY}}
",
    )
    .with_env("KEY", "canary-9f3ac1");
    let up = sandbox.consort(&["up", "-d"]);
    assert!(up.ok(), "{up}");
    assert!(!format!("{up}").contains("canary-9f3ac1"), "{up}");
    let found = std::process::Command::new("grep")
        .args(["-rl", "canary-9f3ac1"])
        .arg(sandbox.path("state"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    assert_eq!(sandbox.sh("one", "cat /run/secrets/key"), "canary-9f3ac1");
}

#[test]
fn a_changed_config_recreates_the_service() {
    needs!(machine::images());
    let compose = |text: &str| {
        format!(
            "
services:
  one: {{image: '${{BUSYBOX}}', command: [sleep, '1000'], configs: [conf], stop_grace_period: 0s}}
configs: {{conf: {{content: {text}}}}}
"
        )
    };
    let sandbox = up(&compose("before"));
    sandbox.rewrite(&compose("after"));
    sandbox.consort(&["up", "-d"]).succeeds();
    assert_eq!(sandbox.sh("one", "cat /conf"), "after");
}

#[test]
fn an_external_volume_must_exist() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one: {image: '${BUSYBOX}', command: [sleep, '1000'], volumes: ['theirs:/data']}
volumes: {theirs: {external: true}}
",
    );
    let error = sandbox.consort(&["up", "-d"]).fails_with(1);
    assert!(error.contains("theirs"), "{error}");
}

#[test]
fn a_tmpfs_volume_forgets() {
    needs!(machine::images());
    let sandbox = up("
services:
  one:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    volumes: [{type: tmpfs, target: /cache, tmpfs: {size: 1m, mode: 0o700}}]
    stop_grace_period: 0s
");
    assert_eq!(
        sandbox.sh("one", "stat -c %a /cache; echo x >/cache/x; ls /cache"),
        "700\nx"
    );
    sandbox.consort(&["restart", "-t", "0"]).succeeds();
    assert_eq!(sandbox.sh("one", "ls /cache"), "");
}

#[test]
fn a_volume_that_is_external_is_never_removed() {
    needs!(machine::images());
    let service = "image: '${BUSYBOX}', command: [sleep, '1000'], stop_grace_period: 0s";
    let owner = format!(
        "
name: owner
services: {{one: {{{service}, volumes: ['data:/data']}}}}
volumes: {{data: {{name: everybodys}}}}
networks: {{default: {{name: everybodys}}}}
"
    );
    let external = format!(
        "
services: {{one: {{{service}, volumes: ['data:/data']}}}}
volumes: {{data: {{external: true, name: everybodys}}}}
networks: {{default: {{external: true, name: everybodys}}}}
"
    );
    let sandbox = up(&owner);
    sandbox.sh("one", "echo kept >/data/file");
    for name in ["owner", "other"] {
        // Containers use it, then none does, then no service that is switched on.
        let unused = external.replace("volumes: ['data:/data']", "profiles: [never]");
        for file in [&external, &external, &unused] {
            sandbox.rewrite(&format!("name: {name}\n{file}"));
            let all = ["down", "--volumes", "--remove-orphans"];
            drop(sandbox.consort(&all).succeeds());
        }
        sandbox.rewrite(&format!("name: {name}\n{external}"));
        drop(
            sandbox
                .consort(&["up", "-d", "-V", "--force-recreate"])
                .succeeds(),
        );
        drop(sandbox.consort(&["rm", "-fsv"]).succeeds());
        drop(sandbox.consort(&["up", "-d"]).succeeds());
        assert_eq!(sandbox.sh("one", "cat /data/file"), "kept", "{name}");
        drop(sandbox.consort(&["down", "--volumes"]).succeeds());
    }
    sandbox.rewrite(&owner);
    drop(sandbox.consort(&["up", "-d"]).succeeds());
    assert_eq!(sandbox.sh("one", "cat /data/file"), "kept");
}

#[test]
fn down_with_volumes_leaves_nothing_of_a_project_also_after_a_down_without() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  one:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    volumes: ['named:/named', '/anonymous']
    stop_grace_period: 0s
volumes: {named: }
",
    );
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox.consort(&["down"]).succeeds();
    let listed = sandbox.consort(&["volumes", "-q"]).succeeds();
    assert_eq!(
        listed, "project_named\n",
        "those without a name are not listed"
    );
    let project = sandbox.path("state/projects/project");
    let left: Vec<_> = fs::read_dir(&project)
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    assert_eq!(left, ["events"]);
    sandbox.consort(&["down", "-v"]).succeeds();
    assert!(!project.exists());
    assert_eq!(
        fs::read_dir(sandbox.path("state/volumes")).unwrap().count(),
        0
    );
}

#[test]
fn secrets_and_configs_belong_to_the_user_and_cannot_be_written() {
    needs!(machine::images(), machine::id_ranges());
    let sandbox = up(
        "
services:
  number:
    image: ${BUSYBOX}
    user: '1000:1001'
    read_only: true
    command: [sleep, '1000']
    stop_grace_period: 0s
    secrets: [plain, {source: plain, target: given, uid: '33', gid: '34', mode: 0o640}]
    configs: [{source: text, target: /text, gid: '35', mode: 0o777}]
  name: {image: '${BUSYBOX}', user: nobody, command: [sleep, '1000'], stop_grace_period: 0s, secrets: [plain]}
secrets: {plain: {file: compose.yaml}}
configs: {text: {content: hello}}
",
    );
    let stat = "stat -c '%a %u:%g' /run/secrets/plain";
    let all = format!("{stat} /run/secrets/given /text");
    assert_eq!(
        sandbox.sh("number", &all),
        "444 1000:1001\n440 33:34\n555 1000:35"
    );
    let ids = sandbox.sh("name", "echo $(id -u):$(id -g)");
    assert_eq!(sandbox.sh("name", stat), format!("444 {ids}"));
}

#[test]
fn a_mount_that_cannot_be_says_which_is_the_file_and_which_the_folder() {
    needs!(machine::images());
    let sandbox = Sandbox::new(
        "
services:
  folder: {image: '${BUSYBOX}', command: ['true'], volumes: ['./folder:/etc/passwd']}
  file: {image: '${BUSYBOX}', command: ['true'], volumes: ['./file:/etc']}
  link: {image: '${BUSYBOX}', command: ['true'], volumes: ['./link:/x']}
",
    );
    fs::create_dir(sandbox.path("project/folder")).unwrap();
    sandbox.file("file", "content");
    std::os::unix::fs::symlink("/no/such", sandbox.path("project/link")).unwrap();
    let says = |service: &str, words: &[&str]| {
        let error = sandbox.consort(&["up", "-d", service]).fails_with(1);
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    says(
        "folder",
        &["the folder", "at `/etc/passwd`, where a file is"],
    );
    says("file", &["the file", "at `/etc`, where a folder is"]);
    says("link", &["is a link to `/no/such`"]);
}
