//! `consort build`: what its steps do to files, what they may see, what is done again and what stays behind.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::support::machine::{self, needs};
use crate::support::{Sandbox, until};

const NOTHING: &str = "services: {}\n";

/// Makes a sandbox that has a small image called `base:1`.
fn with_base() -> Sandbox {
    let sandbox = Sandbox::new(NOTHING);
    let archive = format!(
        "{}/archives/busybox.docker-archive.tar",
        machine::image_cache().display()
    );
    sandbox
        .consort(&["image", "load", "-q", "-i", &archive])
        .succeeds();
    let listed = sandbox
        .consort(&["image", "ls", "-q", "--no-trunc"])
        .succeeds();
    let id = listed.lines().next().unwrap();
    sandbox.consort(&["image", "tag", id, "base:1"]).succeeds();
    sandbox
}

/// Builds a context that has this Dockerfile; returns what was written.
fn build(sandbox: &Sandbox, dockerfile: &str, more: &[&str]) -> String {
    let run = building(sandbox, dockerfile, more);
    let shown = format!("{run:?}");
    let _out = run.succeeds();
    shown
}

fn building(sandbox: &Sandbox, dockerfile: &str, more: &[&str]) -> crate::support::run::Run {
    let _file = sandbox.file("ctx/Dockerfile", dockerfile);
    let context = sandbox.path("project/ctx");
    let mut args = vec!["build", "--progress", "plain", "-t", "app:1"];
    args.extend(more);
    args.push(context.to_str().unwrap());
    sandbox.other(&args)
}

/// Returns a file of an image that was exported as plain files.
fn exported(sandbox: &Sandbox, dockerfile: &str, more: &[&str], file: &str) -> String {
    let out = sandbox.path("out");
    drop(std::fs::remove_dir_all(&out));
    let output = format!("type=local,dest={}", out.display());
    let _file = sandbox.file("ctx/Dockerfile", dockerfile);
    let context = sandbox.path("project/ctx");
    let mut args = vec!["build", "-o", &output];
    args.extend(more);
    args.push(context.to_str().unwrap());
    let _told = sandbox.other(&args).succeeds();
    std::fs::read_to_string(out.join(file)).unwrap()
}

fn id(sandbox: &Sandbox, name: &str) -> String {
    sandbox
        .consort(&["image", "inspect", "-f", "{{.Id}}", name])
        .succeeds()
}

#[test]
fn a_project_of_several_stages_is_built_and_runs() {
    needs!(machine::images());
    let sandbox = with_base();
    let _source = sandbox.file("ctx/src/greeting", "hello from a build\n");
    let _junk = sandbox.file("ctx/node_modules/junk", "x");
    let _ignore = sandbox.file("ctx/.dockerignore", "node_modules\n");
    let dockerfile = "\
FROM base:1 AS compile
WORKDIR /made
COPY . .
ARG WHO=nobody
RUN test ! -e node_modules && sed s/build/$WHO/ src/greeting > product
FROM base:1
COPY --from=compile --chmod=0640 --chown=7:8 /made/product /srv/
ENV FILE=/srv/product
CMD cat $FILE && ls -ln $FILE
";
    let _shown = build(&sandbox, dockerfile, &["--build-arg", "WHO=you"]);
    sandbox.rewrite("services: {one: {image: 'app:1', pull_policy: never}}\n");
    sandbox.consort(&["up"]).succeeds();
    let logs = sandbox.logs("one");
    assert!(logs.starts_with("hello from a you\n"), "{logs}");
    assert!(logs.contains("-rw-r-----"), "{logs}");
    if machine::id_ranges().is_ok() {
        assert!(logs.contains(" 7 ") && logs.contains(" 8 "), "{logs}");
    }
}

#[test]
fn only_what_changed_is_done_again() {
    needs!(machine::images());
    let sandbox = with_base();
    let source = sandbox.file("ctx/a", "one");
    let dockerfile = "\
FROM base:1
RUN cat /proc/sys/kernel/random/uuid > /first
COPY a /a
RUN cat /proc/sys/kernel/random/uuid > /second
";
    let first = |sandbox: &Sandbox| exported(sandbox, dockerfile, &[], "first");
    let second = |sandbox: &Sandbox| exported(sandbox, dockerfile, &[], "second");
    let (one, two) = (first(&sandbox), second(&sandbox));
    let file = std::fs::File::options().write(true).open(&source).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    assert_eq!(second(&sandbox), two, "a file's time is not its content");
    std::fs::write(&source, "two").unwrap();
    assert_eq!(first(&sandbox), one, "what comes before the change stays");
    assert_ne!(second(&sandbox), two, "what comes after it does not");
    assert_ne!(
        exported(&sandbox, dockerfile, &["--no-cache"], "first"),
        one
    );
    let _shown = build(&sandbox, dockerfile, &[]);
    let before = id(&sandbox, "app:1");
    let _shown = build(&sandbox, dockerfile, &[]);
    assert_eq!(
        id(&sandbox, "app:1"),
        before,
        "nothing to do is the same image"
    );
}

#[test]
fn a_secret_is_in_no_layer_no_history_and_no_record() {
    needs!(machine::images());
    let sandbox = with_base();
    const SECRET: &str = "correct-horse-battery-staple";
    let secret = sandbox.file("secret", SECRET);
    let given = format!("id=token,src={}", secret.display());
    let dockerfile = "\
FROM base:1
RUN --mount=type=secret,id=token test \"$(cat /run/secrets/token | wc -c)\" = 28 && test ! -w /run/secrets/token || test $(id -u) = 0
RUN test ! -e /run/secrets
";
    let _shown = build(&sandbox, dockerfile, &["--secret", &given]);
    std::fs::remove_file(&secret).unwrap();
    let saved = sandbox.path("saved.tar");
    let saved = saved.to_str().unwrap();
    sandbox
        .consort(&["image", "save", "-o", saved, "app:1"])
        .succeeds();
    let state = sandbox.path("state");
    let found = std::process::Command::new("grep")
        .args(["-rl", SECRET, saved, state.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    let missing = building(&sandbox, dockerfile, &["--no-cache"]);
    let shown = format!("{missing:?}");
    assert!(missing.ok(), "an optional secret may be missing: {shown}");
}

#[test]
fn a_failing_command_is_shown_with_its_line_and_what_it_said() {
    needs!(machine::images());
    let sandbox = with_base();
    let dockerfile = "FROM base:1\nRUN echo fine\nRUN echo the reason; exit 9\n";
    let told = building(&sandbox, dockerfile, &[]).fails_with(1);
    assert!(told.contains("Dockerfile:3"), "{told}");
    assert!(told.contains("the reason") && told.contains('9'), "{told}");
    let listed = sandbox.consort(&["image", "ls", "-q", "app"]).succeeds();
    assert_eq!(listed, "", "a failed build leaves no image");
}

#[test]
fn a_command_cannot_see_the_machine_that_it_is_built_on() {
    needs!(machine::images());
    let sandbox = with_base();
    let marker = sandbox.file("marker", "here");
    let dockerfile = format!(
        "FROM base:1\n\
         RUN test ! -e {} && test \"$(hostname)\" = buildkitsandbox && ! mount -t tmpfs none /mnt\n\
         RUN --network=none test \"$(ls /sys/class/net | tr -d '\\n')\" = lo\n",
        marker.display()
    );
    let _shown = build(&sandbox, &dockerfile, &[]);
}

#[test]
fn a_build_that_is_killed_leaves_no_command_and_the_next_one_is_right() {
    needs!(machine::images());
    let sandbox = with_base();
    let dockerfile = "\
FROM base:1
RUN echo made > /made
RUN echo begun && sleep 61873
";
    let _file = sandbox.file("ctx/Dockerfile", dockerfile);
    let context = sandbox.path("project/ctx");
    let context = context.to_str().unwrap();
    let running = sandbox.start(&["build", "--progress", "plain", "-t", "app:1", context]);
    until("the command runs", || {
        running.has_written("begun").then_some(())
    });
    let sleeping = || {
        let listed = std::process::Command::new("pgrep")
            .args(["-f", "sleep 61873"])
            .output();
        !listed.unwrap().stdout.is_empty()
    };
    until("the command sleeps", || sleeping().then_some(()));
    running.signal(rustix::process::Signal::KILL);
    let _end = running.wait();
    until("the command has ended", || (!sleeping()).then_some(()));
    let fixed = dockerfile.replace("sleep 61873", "cat /made");
    let _shown = build(&sandbox, &fixed, &[]);
    let drafts = std::fs::read_dir(sandbox.path("state/layers")).unwrap();
    let drafts = drafts.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with(".ingest")
    });
    assert_eq!(
        drafts.count(),
        0,
        "what the killed build had begun is removed"
    );
}

#[test]
fn what_is_mounted_for_a_command_leaves_no_trace_in_the_image() {
    needs!(machine::images());
    let sandbox = with_base();
    let _data = sandbox.file("ctx/data", "of the context");
    let script = sandbox.file("ctx/script", "#!/bin/sh\n");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let dockerfile = "\
FROM base:1
RUN --mount=target=/ctx,rw --mount=type=cache,target=/var/cache/x --mount=type=tmpfs,target=/scratch \\
    cat /ctx/data && echo new > /ctx/data && echo kept > /var/cache/x/y && echo gone > /scratch/z
RUN --mount=type=cache,target=/var/cache/x cat /var/cache/x/y > /kept
RUN test ! -e /ctx && test ! -e /scratch && test ! -e /var/cache/x
";
    assert_eq!(exported(&sandbox, dockerfile, &[], "kept"), "kept\n");
    let data = std::fs::read_to_string(sandbox.path("project/ctx/data")).unwrap();
    assert_eq!(
        data, "of the context",
        "what is written to a mount is thrown away"
    );
}

#[test]
fn the_build_cache_is_kept_until_it_is_pruned_and_then_gone() {
    needs!(machine::images());
    let sandbox = with_base();
    let dockerfile = "\
FROM base:1
RUN --mount=type=cache,target=/c cat /proc/sys/kernel/random/uuid > /id && echo x >> /c/count
";
    let first = exported(&sandbox, dockerfile, &[], "id");
    sandbox.consort(&["image", "prune", "-f"]).succeeds();
    assert_eq!(exported(&sandbox, dockerfile, &[], "id"), first);
    sandbox.consort(&["builder", "prune", "-f"]).succeeds();
    assert_ne!(exported(&sandbox, dockerfile, &[], "id"), first);
    let caches = std::fs::read_dir(sandbox.path("state/images/caches")).unwrap();
    let counts = caches.map(|cache| cache.unwrap().path().join("data/count"));
    let texts: Vec<String> = counts
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    assert_eq!(texts, ["x\n"], "the command's cache began anew");
}

#[test]
fn two_builds_of_one_source_date_are_one_image() {
    needs!(machine::images());
    let sandbox = with_base();
    let _data = sandbox.file("ctx/data", "x");
    let dockerfile = "FROM base:1\nWORKDIR /made/for/it\nCOPY data new/folder/\nENV A=b\n";
    let epoch = ["--build-arg", "SOURCE_DATE_EPOCH=1700000000"];
    let _shown = build(&sandbox, dockerfile, &epoch);
    let first = id(&sandbox, "app:1");
    // A second has passed at the latest when the time in whole seconds is another one.
    let started = std::time::SystemTime::now();
    until("the next second", || {
        (started.elapsed().unwrap() > Duration::from_secs(1)).then_some(())
    });
    let _shown = build(
        &sandbox,
        dockerfile,
        &[&epoch[..], &["--no-cache"]].concat(),
    );
    assert_eq!(id(&sandbox, "app:1"), first);
}
