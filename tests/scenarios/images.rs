//! Where images come from, and what happens when they do not.

use crate::support::Sandbox;
use crate::support::machine::{self, needs};
use crate::support::registry::{DebianRegistry, Fault, FaultyRegistry};

const FROM_HUB: &str = "
services:
  one: {image: 'busybox:latest', command: [sh, -c, 'echo it runs']}
";

fn mirrored(compose: &str, mirror: &str) -> Sandbox {
    Sandbox::new(compose).with_env("CONSORT_REGISTRY_MIRRORS", mirror)
}

#[test]
fn an_image_is_pulled_from_a_mirror_once() {
    needs!(machine::images());
    let registry = FaultyRegistry::start("busybox", Fault::None);
    let sandbox = mirrored(FROM_HUB, &registry.as_mirror());
    sandbox.consort(&["up"]).succeeds();
    assert_eq!(sandbox.logs("one"), "it runs\n");
    assert_eq!(registry.layer_requests(), 1);
    sandbox.consort(&["up", "--force-recreate"]).succeeds();
    assert_eq!(
        registry.layer_requests(),
        1,
        "a layer that is there is not fetched again"
    );
}

#[test]
fn images_come_from_debians_docker_registry() {
    needs!(machine::images(), machine::program("docker-registry"));
    let registry = DebianRegistry::start();
    let sandbox = mirrored(
        "
services:
  one: {image: 'alpine', command: [sh, -c, '. /etc/os-release; echo $$ID']}
",
        &registry.as_mirror(),
    );
    sandbox.consort(&["pull"]).succeeds();
    sandbox.consort(&["up"]).succeeds();
    assert_eq!(sandbox.logs("one"), "busybox\n");
}

#[test]
fn config_names_images_by_the_digests_of_their_registries() {
    needs!(machine::images(), machine::program("docker-registry"));
    let registry = DebianRegistry::start();
    let sandbox = mirrored(
        "
services:
  one: {image: 'busybox', command: [a]}
  two: {image: 'busybox:latest@sha256:0000000000000000000000000000000000000000000000000000000000000000'}
  three: {image: 'rootfs:/'}
  four: {build: .}
",
        &registry.as_mirror(),
    );
    let whole = sandbox
        .consort(&["config", "--resolve-image-digests"])
        .succeeds();
    let pinned = "docker.io/library/busybox:latest@sha256:";
    assert!(whole.contains(&format!("image: {pinned}")), "{whole}");
    assert!(
        whole.contains("image: docker.io/library/busybox@sha256:0000"),
        "{whole}"
    );
    assert!(
        whole.contains("image: rootfs:/") && whole.contains("command:"),
        "{whole}"
    );
    let lock = sandbox
        .consort(&["config", "--lock-image-digests"])
        .succeeds();
    let lines: Vec<&str> = lock.lines().collect();
    assert_eq!(lines.len(), 7, "{lock}");
    assert_eq!((lines[0], lines[1]), ("services:", "  one:"));
    assert!(
        lines[2].starts_with(&format!("    image: {pinned}")),
        "{lock}"
    );
    // The lock overrides the project that it was made of.
    sandbox.file("lock.yaml", &lock);
    let merged = sandbox
        .consort(&["-f", "lock.yaml", "config", "--images"])
        .succeeds();
    assert!(merged.contains(pinned), "{merged}");
}

#[test]
fn an_image_without_a_digest_anywhere_is_named_with_its_place() {
    needs!(machine::images(), machine::program("docker-registry"));
    let registry = DebianRegistry::start();
    let sandbox = mirrored(
        "services:\n  one:\n    image: nobody/has-this\n",
        &registry.as_mirror(),
    );
    let error = sandbox
        .consort(&["config", "--resolve-image-digests"])
        .fails_with(1);
    assert!(
        error.contains("nobody/has-this") && error.contains("compose.yaml:3:12"),
        "{error}"
    );
}

#[test]
fn a_registry_on_loopback_is_asked_in_plain_http() {
    needs!(machine::images(), machine::program("docker-registry"));
    let registry = DebianRegistry::start();
    let compose = FROM_HUB.replace(
        "busybox:",
        &format!("{}/library/busybox:", registry.address()),
    );
    let sandbox = Sandbox::new(&compose);
    sandbox.consort(&["up"]).succeeds();
    assert_eq!(sandbox.logs("one"), "it runs\n");
}

#[test]
fn every_local_form_of_an_image_runs() {
    needs!(machine::images());
    for image in [
        machine::oci("busybox"),
        format!(
            "oci-archive:{}/archives/busybox.oci-archive.tar",
            machine::image_cache().display()
        ),
        format!(
            "docker-archive:{}/archives/busybox.docker-archive.tar",
            machine::image_cache().display()
        ),
    ] {
        let sandbox = Sandbox::new(&FROM_HUB.replace("busybox:latest", &image));
        sandbox.consort(&["up"]).succeeds();
        assert_eq!(sandbox.logs("one"), "it runs\n", "{image}");
    }
}

#[test]
fn the_machines_own_root_is_an_image_and_stays_as_it_is() {
    let sandbox = Sandbox::new(
        "
services:
  one: {image: 'rootfs:/', command: [sh, -c, 'echo x >/consort-was-here; rm -f /etc/debian_version; ls /consort-was-here']}
",
    );
    sandbox.consort(&["up"]).succeeds();
    assert_eq!(sandbox.logs("one"), "/consort-was-here\n");
    assert!(!std::path::Path::new("/consort-was-here").exists());
}

#[test]
fn a_wrong_digest_is_refused_and_nothing_of_it_is_kept() {
    needs!(machine::images());
    let registry = FaultyRegistry::start("busybox", Fault::FlippedByte);
    let sandbox = mirrored(FROM_HUB, &registry.as_mirror());
    let error = sandbox.consort(&["up", "-d"]).fails_with(1);
    assert!(error.contains("digest"), "{error}");
    assert!(sandbox.ps().is_empty());
    let blobs = sandbox.path("state/images/blobs/sha256");
    assert_eq!(std::fs::read_dir(blobs).map_or(0, Iterator::count), 0);
}

#[test]
fn a_broken_download_is_resumed() {
    needs!(machine::images());
    for fault in [Fault::CutOnce, Fault::BusyOnce] {
        let registry = FaultyRegistry::start("busybox", fault);
        let sandbox = mirrored(FROM_HUB, &registry.as_mirror());
        sandbox.consort(&["up"]).succeeds();
        assert_eq!(sandbox.logs("one"), "it runs\n", "{fault:?}");
    }
}

#[test]
fn a_registry_that_is_always_busy_is_given_up() {
    needs!(machine::images());
    let registry = FaultyRegistry::start("busybox", Fault::AlwaysBusy);
    let sandbox = mirrored(FROM_HUB, &registry.as_mirror());
    let error = sandbox.consort(&["up", "-d"]).fails_with(1);
    assert!(
        error.contains("busybox") && error.contains(registry.address()),
        "{error}"
    );
}

#[test]
fn a_registry_that_is_down_is_named() {
    let sandbox = mirrored(FROM_HUB, "docker.io=http://127.0.0.1:9");
    let error = sandbox.consort(&["up", "-d"]).fails_with(1);
    assert!(
        error.contains("busybox") && error.contains("127.0.0.1:9"),
        "{error}"
    );
}

#[test]
fn an_image_that_is_not_there_is_said_to_be_missing() {
    needs!(machine::images(), machine::program("docker-registry"));
    let registry = DebianRegistry::start();
    let sandbox = mirrored(
        &FROM_HUB.replace("busybox:latest", "nosuchimage:1"),
        &registry.as_mirror(),
    );
    let error = sandbox.consort(&["up", "-d"]).fails_with(1);
    assert!(
        error.contains("nosuchimage:1") && error.contains(registry.address()),
        "{error}"
    );
}

#[test]
fn credentials_come_from_dockers_configuration() {
    needs!(machine::images());
    let registry = FaultyRegistry::start("busybox", Fault::Login);
    let compose = FROM_HUB.replace(
        "busybox:",
        &format!("{}/library/busybox:", registry.address()),
    );
    let sandbox = Sandbox::new(&compose);
    let error = sandbox.consort(&["up", "-d"]).fails_with(1);
    assert!(error.contains(registry.address()), "{error}");
    std::fs::create_dir(sandbox.path("home/.docker")).unwrap();
    let config = format!(
        "{{\"auths\": {{\"{}\": {{\"auth\": \"cGxheWVyOmMwbmNlcnQ=\"}}}}}}",
        registry.address()
    );
    std::fs::write(sandbox.path("home/.docker/config.json"), config).unwrap();
    sandbox.consort(&["up"]).succeeds();
    assert_eq!(sandbox.logs("one"), "it runs\n");
}

#[test]
fn pull_policy_never_pulls_nothing() {
    needs!(machine::images());
    let registry = FaultyRegistry::start("busybox", Fault::None);
    let sandbox = mirrored(
        "services: {one: {image: 'busybox:latest', command: ['true'], pull_policy: never}}",
        &registry.as_mirror(),
    );
    let error = sandbox.consort(&["up", "-d"]).fails_with(1);
    assert!(error.contains("busybox"), "{error}");
    assert_eq!(registry.layer_requests(), 0);
}

#[test]
fn eight_services_of_one_image_need_one_pull() {
    needs!(machine::images());
    let registry = FaultyRegistry::start("busybox", Fault::None);
    let services: String = (1..=8)
        .map(|n| format!("  s{n}: {{image: 'busybox:latest', command: ['true']}}\n"))
        .collect();
    let sandbox = mirrored(&format!("services:\n{services}"), &registry.as_mirror());
    sandbox.consort(&["up"]).succeeds();
    assert_eq!(registry.layer_requests(), 1);
}

#[test]
fn down_rmi_frees_what_only_the_image_needed_and_claims_no_folder() {
    needs!(machine::images());
    let registry = FaultyRegistry::start("busybox", Fault::None);
    let sandbox = mirrored(
        "
services:
  one: {image: 'busybox:latest', command: [sleep, '1000'], stop_grace_period: 0s}
  two: {image: 'rootfs:/', command: [sleep, '1000'], stop_grace_period: 0s}
",
        &registry.as_mirror(),
    );
    sandbox.consort(&["create"]).succeeds();
    let kept = |folder: &str| {
        let entries = std::fs::read_dir(sandbox.path(folder)).unwrap();
        entries
            .filter(|it| {
                !it.as_ref()
                    .unwrap()
                    .file_name()
                    .to_string_lossy()
                    .starts_with('.')
            })
            .count()
    };
    assert!(kept("state/layers") > 0 && kept("state/images/blobs/sha256") > 0);
    let other = sandbox.file("other.yaml", "services: {user: {image: busybox:latest}}\n");
    let other = ["-p", "other", "-f", other.to_str().unwrap()];
    sandbox
        .other_with(
            &[("CONSORT_REGISTRY_MIRRORS", &registry.as_mirror())],
            &[&other as &[&str], &["create"]].concat(),
        )
        .succeeds();
    let down = sandbox.consort(&["down", "--rmi", "all"]);
    assert!(
        down.ok() && down.stderr.contains("container `other-user-1`"),
        "{down}"
    );
    assert!(!down.stderr.contains("rootfs:"), "{down}");
    assert!(
        kept("state/layers") > 0,
        "another project's container needs it"
    );
    sandbox
        .other(&[&other as &[&str], &["down", "--rmi", "all"]].concat())
        .succeeds();
    assert_eq!(kept("state/layers"), 0);
    assert_eq!(kept("state/images/blobs/sha256"), 0);
}
