//! Containers whose networks change under them: in the file, behind consort's back, and in a crash.

use std::collections::BTreeMap;
use std::fs;

use crate::support::machine::{self, needs};
use crate::support::{Sandbox, until};

const PROJECT: &str = "
services:
  server:
    image: ${BUSYBOX}
    command: [sh, -c, \"while :; do echo hello | nc -l -p 7000; done\"]
    networks: {stage: {aliases: [scene]}}
    stop_grace_period: 0s
  client:
    image: ${BUSYBOX}
    command: [sleep, '1000']
    networks: [stage, other]
    stop_grace_period: 0s
networks:
  stage: {DETAIL}
  other:
";

fn project(detail: &str) -> String {
    PROJECT.replace("DETAIL", detail)
}

fn up(compose: &str) -> Sandbox {
    let sandbox = Sandbox::new(compose);
    sandbox.consort(&["up", "-d"]).succeeds();
    sandbox
}

/// Runs `up` and checks that another one would find nothing to do.
fn up_again(sandbox: &Sandbox) {
    let run = sandbox.consort(&["up", "-d"]);
    assert!(run.ok(), "{run}");
    let plan = sandbox.consort(&["plan"]);
    assert_eq!(
        plan.status.code(),
        Some(0),
        "a second plan is empty: {plan}"
    );
}

fn answers(sandbox: &Sandbox, name: &str) {
    until(name, || {
        let line = format!("nc -w 2 {name} 7000 </dev/null 2>/dev/null | grep -q .; echo $?");
        (sandbox.sh("client", &line) == "0").then_some(())
    });
}

fn ids(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let containers = sandbox.ps();
    containers
        .iter()
        .map(|one| (text(&one["Name"]), text(&one["ID"])))
        .collect()
}

fn count(sandbox: &Sandbox, service: &str, line: &str) -> String {
    sandbox.sh(service, &format!("{line} || true"))
}

#[test]
fn a_network_that_becomes_internal_keeps_its_containers() {
    needs!(machine::images());
    let sandbox = up(&project(""));
    answers(&sandbox, "server");
    let before = ids(&sandbox);
    sandbox.rewrite(&project("internal: true"));
    up_again(&sandbox);
    assert_eq!(ids(&sandbox), before, "no container is made again");
    for name in ["server", "scene", "project-server-1"] {
        answers(&sandbox, name);
    }
    assert_eq!(
        count(&sandbox, "server", "ip route | grep -c default"),
        "0",
        "no way out any more"
    );
    sandbox.rewrite(&project(""));
    up_again(&sandbox);
    assert_eq!(ids(&sandbox), before);
    assert_eq!(count(&sandbox, "server", "ip route | grep -c default"), "1");
}

#[test]
fn a_network_that_gets_another_subnet_gives_its_containers_new_addresses() {
    needs!(machine::images());
    let subnet = |number: u8| {
        project(&format!(
            "ipam: {{config: [{{subnet: 10.213.{number}.0/24}}]}}"
        ))
    };
    let sandbox = up(&subnet(91));
    answers(&sandbox, "server");
    let before = ids(&sandbox);
    sandbox.rewrite(&subnet(92));
    up_again(&sandbox);
    assert_eq!(ids(&sandbox), before, "no container is made again");
    for name in ["server", "scene"] {
        answers(&sandbox, name);
    }
    let inside = "ip -4 addr show | grep -c 'inet 10.213.92.'";
    assert_eq!(count(&sandbox, "server", inside), "1");
    let own = sandbox.sh("server", "grep -c '^10.213.92.' /etc/hosts");
    assert_eq!(own, "1", "it knows its own new address");
    let old = "ip -4 addr show | grep -c 'inet 10.213.91.'";
    assert_eq!(count(&sandbox, "client", old), "0");
}

#[test]
fn a_service_gains_a_network_and_loses_one() {
    needs!(machine::images());
    let sandbox = up(&project(""));
    let compose = project("").replace(
        "networks: {stage: {aliases: [scene]}}",
        "networks: [stage, other]",
    );
    sandbox.rewrite(&compose);
    up_again(&sandbox);
    let interfaces = "ls /sys/class/net | grep -vc lo";
    assert_eq!(count(&sandbox, "server", interfaces), "2");
    answers(&sandbox, "server");
    let alone = project("").replace("networks: {stage: {aliases: [scene]}}", "networks: [other]");
    sandbox.rewrite(&alone);
    up_again(&sandbox);
    assert_eq!(count(&sandbox, "server", interfaces), "1");
    answers(&sandbox, "server");
}

#[test]
fn a_running_container_joins_a_network_without_a_pause() {
    needs!(machine::images());
    let sandbox = up(&project("").replace("networks: [stage, other]", "networks: [other]"));
    let before = ids(&sandbox);
    let process = sandbox.sh("client", "readlink /proc/1/ns/net; cat /proc/1/stat");
    assert_eq!(
        count(&sandbox, "client", "nslookup server | grep -c ^Name"),
        "0"
    );
    sandbox.rewrite(&project(""));
    sandbox.consort(&["up", "-d", "--no-recreate"]).succeeds();
    assert_eq!(ids(&sandbox), before);
    for name in ["server", "scene"] {
        answers(&sandbox, name);
    }
    let after = sandbox.sh("client", "readlink /proc/1/ns/net; cat /proc/1/stat");
    let start = |text: &str| text.split_whitespace().nth(22).map(str::to_owned);
    assert_eq!(start(&process), start(&after), "it is the same process");
    assert_eq!(count(&sandbox, "client", "ip route | grep -c default"), "1");
    up_again(&sandbox);
    assert_eq!(ids(&sandbox), before);
    sandbox.consort(&["restart", "client"]).succeeds();
    answers(&sandbox, "server");
}

#[test]
fn a_running_container_follows_a_network_that_was_made_again_by_another_project() {
    needs!(machine::images());
    let sandbox = up("
services:
  server:
    image: ${BUSYBOX}
    command: [sh, -c, \"while :; do echo hello | nc -l -p 7000; done\"]
    networks: [stage]
    stop_grace_period: 0s
networks: {stage: {name: shared-stage}}
");
    let other = sandbox.file(
        "other.yaml",
        "
name: other
services:
  client: {image: '${BUSYBOX}', command: [sleep, '1000'], networks: [stage], stop_grace_period: 0s}
networks: {stage: {name: shared-stage, external: true}}
",
    );
    let other = other.display().to_string();
    let command = |args: &[&str]| {
        let mut all = vec!["--file", other.as_str()];
        all.extend(args);
        sandbox.other(&all)
    };
    command(&["up", "-d"]).succeeds();
    let reaches = "nc -w 2 server 7000 </dev/null 2>/dev/null | grep -q hello; echo $?";
    let asks = ["exec", "-T", "client", "sh", "-c", reaches];
    until("the server", || {
        (command(&asks).succeeds().trim() == "0").then_some(())
    });
    let id = ["ps", "--format", "{{.ID}} {{.State}}"];
    let before = command(&id).succeeds();
    sandbox.consort(&["down", "-t", "0"]).succeeds();
    sandbox.consort(&["up", "-d"]).succeeds();
    command(&["up", "-d"]).succeeds();
    assert_eq!(command(&id).succeeds(), before, "it went on running");
    until("the server again", || {
        (command(&asks).succeeds().trim() == "0").then_some(())
    });
    assert_eq!(command(&["plan"]).status.code(), Some(0));
    command(&["down", "-t", "0"]).succeeds();
}

/// The steps that a change of a network passes, each once.
fn moments(sandbox: &Sandbox, detail: &str) -> Vec<String> {
    let list = sandbox.path("points");
    fs::write(&list, "").unwrap();
    let armed = format!("list:{}", list.display());
    sandbox.rewrite(&project(detail));
    sandbox
        .consort_with(&[("CONSORT_FAIL", &armed)], &["up", "-d"])
        .succeeds();
    let mut counts = BTreeMap::<String, u32>::new();
    for name in fs::read_to_string(&list).unwrap().lines() {
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    let passes = counts.iter().flat_map(|(name, count)| {
        let all = 1..=(*count).min(2);
        all.map(move |nth| format!("{name}:{nth}"))
    });
    passes.collect()
}

#[test]
fn a_network_that_changes_while_up_is_aborted_anywhere_converges() {
    needs!(machine::images());
    let sandbox = up(&project(""));
    let moments = moments(&sandbox, "internal: true");
    let passed = |name: &str| moments.iter().any(|moment| moment.starts_with(name));
    assert!(
        passed("network.connect") && passed("network.disconnect"),
        "{moments:?}"
    );
    let mut before = ids(&sandbox);
    let details = ["", "internal: true"];
    for (moment, detail) in moments.iter().zip(details.iter().cycle()) {
        sandbox.rewrite(&project(detail));
        let armed = format!("{moment}:abort");
        drop(sandbox.consort_with(&[("CONSORT_FAIL", &armed)], &["up", "-d"]));
        let again = sandbox.consort(&["up", "-d"]);
        assert!(again.ok(), "after an abort at {moment}: {again}");
        let plan = sandbox.consort(&["plan"]);
        assert_eq!(
            plan.status.code(),
            Some(0),
            "after an abort at {moment}: {plan}"
        );
        assert_eq!(ids(&sandbox), before, "after an abort at {moment}");
        let ways_out = if detail.is_empty() { "1" } else { "0" };
        let found = count(&sandbox, "server", "ip route | grep -c default");
        assert_eq!(found, ways_out, "after an abort at {moment}");
        answers(&sandbox, "scene");
        before = ids(&sandbox);
    }
}

#[test]
fn a_running_container_that_joins_a_network_while_up_is_aborted_anywhere_converges() {
    needs!(machine::images());
    let apart = project("").replace("networks: [stage, other]", "networks: [other]");
    let sandbox = Sandbox::new(&apart);
    let points = [
        "network.connect",
        "network.connect.record",
        "network.connect.done",
        "journal.append",
    ];
    for moment in points {
        sandbox.rewrite(&apart);
        sandbox.consort(&["up", "-d"]).succeeds();
        sandbox.rewrite(&project(""));
        let join = ["up", "-d", "--no-recreate"];
        let armed = format!("{moment}:1:abort");
        let run = sandbox.consort_with(&[("CONSORT_FAIL", &armed)], &join);
        assert!(!run.ok(), "it was aborted at {moment}: {run}");
        sandbox.consort(&join).succeeds();
        answers(&sandbox, "server");
        assert_eq!(
            count(&sandbox, "client", "ls /sys/class/net | grep -vc lo"),
            "2"
        );
        sandbox.ends_clean();
    }
}
