//! What is in `schemas/` is what the code says; `CONSORT_UPDATE_CASES=1` writes it anew. And what people
//! write, and what consort writes, is what the schemas say.
#![expect(
    clippy::disallowed_methods,
    reason = "reads and updates the published schemas, and asks variables where things are"
)]

#[expect(dead_code, unused_imports, reason = "the scenarios use all of it")]
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use consort::compose::diagnostic::DiagnosticDocument;
use consort::compose::explain::ExplanationDocument;
use consort::compose::{self, render};
use consort::report::{ContainerRow, EventRow, PlanDocument};
use rustix::process::Signal;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize as _;
use serde_json::{Value as Json, json};
use support::{Sandbox, machine, machine::needs};

/// Returns the schema of what a type writes.
fn schema_of<T: JsonSchema>() -> Json {
    schema_for!(T).to_value()
}

/// The published schemas, by the names of their files.
fn schemas() -> Vec<(&'static str, &'static str, Json)> {
    let config = render::config_schema();
    vec![
        ("compose", "Compose file", compose::json_schema()),
        ("config", "consort config --format json", config),
        (
            "check",
            "consort config --check --format json",
            schema_of::<Vec<DiagnosticDocument>>(),
        ),
        (
            "explain",
            "consort explain --format json",
            schema_of::<Vec<ExplanationDocument>>(),
        ),
        (
            "plan",
            "consort plan --format json",
            schema_of::<PlanDocument<'static>>(),
        ),
        (
            "ps",
            "one line of consort ps --format json",
            schema_of::<ContainerRow>(),
        ),
        (
            "events",
            "one line of consort events --json",
            schema_of::<EventRow>(),
        ),
    ]
}

fn published(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join(format!("schemas/{name}.schema.json"))
}

#[test]
fn the_published_schemas_are_the_ones_of_the_types() {
    for (name, title, mut schema) in schemas() {
        schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
        schema["title"] = json!(title);
        let mut current = serde_json::to_string_pretty(&schema).unwrap();
        current.push('\n');
        if std::env::var("CONSORT_UPDATE_CASES").is_ok() {
            fs::write(published(name), &current).unwrap();
        }
        let found = fs::read_to_string(published(name)).unwrap_or_default();
        assert!(
            found == current,
            "`schemas/{name}.schema.json` is out of date"
        );
    }
}

/// Checks values against a published schema.
struct Checker {
    name: &'static str,
    validator: jsonschema::Validator,
}

impl Checker {
    fn of(name: &'static str) -> Self {
        let schema: Json =
            serde_json::from_str(&fs::read_to_string(published(name)).unwrap()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        Self { name, validator }
    }

    /// Returns what is wrong with a value.
    fn faults(&self, value: &Json) -> Vec<String> {
        let errors = self.validator.iter_errors(value);
        errors
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }

    fn accepts(&self, text: &str) {
        let value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let faults = self.faults(&value);
        assert!(faults.is_empty(), "{}: {faults:#?}\n{text}", self.name);
    }
}

const EVERYTHING: &str = r#"
x-common: {a: 1}
services:
  web:
    image: 'rootfs:/'
    command: [sleep, '60']
    environment: {LEVEL: '${LEVEL:-info}', UNSET: }
    ports: ['127.0.0.1:0:80', '9000-9001:90-91/udp']
    volumes: ['data:/data', './src:/src:ro', {type: tmpfs, target: /tmp, tmpfs: {size: 1m, mode: 0755}}]
    depends_on: {db: {condition: service_started, restart: true}}
    networks: {default: {aliases: [a]}, back: }
    deploy: {resources: {limits: {cpus: 0.5, memory: 64m}}}
    healthcheck: {test: [CMD, 'true'], interval: 1m30s}
    ulimits: {nofile: 1024, nproc: {soft: 1, hard: 2}}
    blkio_config: {weight: 10, device_read_bps: [{path: /dev/null, rate: 1mb}]}
    extra_hosts: ['a=1.2.3.4']
    secrets: [key]
    configs: [{source: conf, target: /c, mode: 0440}]
    logging: {driver: local, options: {max-size: 1m}}
    labels: {a: b}
  db:
    image: 'rootfs:/'
    command: sleep 60
    build: {context: ., args: {A: 1}, ssh: [default]}
    develop: {watch: [{path: src, action: sync, target: /src}]}
networks:
  back: {ipam: {config: [{subnet: 10.9.0.0/16}]}, internal: true}
volumes: {data: {labels: [x=y]}}
secrets: {key: {environment: HOME}}
configs: {conf: {content: hello}}
"#;

#[test]
fn what_config_and_explain_write_is_what_their_schemas_say() {
    let sandbox = Sandbox::new(EVERYTHING);
    for (name, words) in [
        ("config", &["config", "--format", "json"][..]),
        (
            "compose",
            &["config", "--format", "json", "--no-interpolate"],
        ),
        ("explain", &["explain", "--format", "json"]),
        ("check", &["config", "--check", "--format", "json"]),
    ] {
        Checker::of(name).accepts(&sandbox.consort(words).succeeds());
    }
}

#[test]
fn what_a_check_finds_is_what_its_schema_says() {
    let sandbox =
        Sandbox::new("version: '3'\nservices:\n  web: {imagee: x}\n  db: {image: x, ports: [a]}\n");
    let run = sandbox.consort(&["config", "--check", "--format", "json"]);
    assert_eq!(run.status.code(), Some(3));
    assert_ne!(run.stdout, "[]\n");
    Checker::of("check").accepts(&run.stdout);
    // The sandbox takes the project down, and reads its file for that.
    sandbox.rewrite("services: {web: {image: x}}");
}

const SLEEPERS: &str = "
services:
  one: {image: '${BUSYBOX}', command: [sleep, '60'], ports: ['127.0.0.1::80'], depends_on: [two]}
  two: {image: '${BUSYBOX}', command: [sleep, '60'], volumes: ['data:/data']}
volumes: {data: }
";

#[test]
fn what_plan_ps_and_events_write_is_what_their_schemas_say() {
    needs!(machine::images());
    let sandbox = Sandbox::new(SLEEPERS);
    let plan = || {
        let run = sandbox.consort(&["plan", "--remove-orphans", "--format", "json"]);
        assert_eq!(run.status.code(), Some(2), "{run}");
        Checker::of("plan").accepts(&run.stdout);
    };
    plan();
    sandbox.consort(&["up", "-d"]).succeeds();
    let events = sandbox.start(&["events", "--json"]);
    sandbox.rewrite(
        &SLEEPERS
            .replace("  two:", "  three:")
            .replace("[two]", "[three]"),
    );
    plan();
    let ps = sandbox.consort(&["ps", "--format", "json"]).succeeds();
    assert_eq!(ps.lines().count(), 2);
    ps.lines().for_each(|line| Checker::of("ps").accepts(line));
    sandbox.consort(&["stop", "-t", "0"]).succeeds();
    plan();
    events.signal(Signal::INT);
    let told = events.wait().stdout;
    assert!(told.lines().count() > 1, "{told}");
    told.lines()
        .for_each(|line| Checker::of("events").accepts(line));
    sandbox
        .consort(&["down", "-v", "--remove-orphans", "-t", "0"])
        .succeeds();
    sandbox.ends_clean();
}

/// Returns the folder of files with the answers of Docker Compose: it is beside the project, if it is there at all.
fn corpus() -> PathBuf {
    let named = std::env::var("CONSORT_TEST_CORPUS").map(PathBuf::from);
    named.unwrap_or_else(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"))
}

fn is_there(corpus: &Path) -> Result<(), String> {
    let index = corpus.join("cases.json");
    let missing = || format!("there are no Compose files at `{}`", corpus.display());
    index.is_file().then_some(()).ok_or_else(missing)
}

/// Returns the Compose files of the cases that Docker Compose accepts, each once: of several that are merged the
/// first, since the others need not have every key that must be there.
fn accepted(corpus: &Path) -> Vec<PathBuf> {
    let read = |path: &str| -> Option<Json> {
        serde_json::from_str(&fs::read_to_string(corpus.join(path)).ok()?).ok()
    };
    let cases = read("cases.json").unwrap();
    let mut files: Vec<PathBuf> = Vec::new();
    for case in cases["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let answer = read(&format!("oracle/{id}.json")).unwrap_or_default();
        if answer["variants"]["base"]["rc"] != 0 {
            continue;
        }
        let folder = corpus.join("corpus").join(case["dir"].as_str().unwrap());
        let named = case["files"].as_array().into_iter().flatten();
        let named = named.filter_map(Json::as_str).filter(|file| *file != "-");
        files.extend(named.take(1).map(|file| folder.join(file)));
    }
    files.sort();
    files.dedup();
    files
}

/// Reads the documents of a YAML file as they are written: variables stay, merge keys are followed.
fn documents(text: &str) -> Vec<Json> {
    let documents = serde_yaml::Deserializer::from_str(text);
    documents
        .filter_map(|document| {
            let mut value = serde_yaml::Value::deserialize(document).ok()?;
            // What `<<` brings may have one of its own.
            for _ in 0..4 {
                value.apply_merge().ok()?;
            }
            serde_json::to_value(untagged(value)).ok()
        })
        .collect()
}

/// Drops `!reset` and `!override`, which tell what a value does and not what it is.
fn untagged(value: serde_yaml::Value) -> serde_yaml::Value {
    use serde_yaml::Value;
    match value {
        Value::Tagged(tagged) => untagged(tagged.value),
        Value::Sequence(items) => items.into_iter().map(untagged).collect(),
        Value::Mapping(map) => Value::Mapping(
            map.into_iter()
                .map(|(key, value)| (untagged(key), untagged(value)))
                .collect(),
        ),
        scalar => scalar,
    }
}

#[test]
fn every_file_that_docker_compose_accepts_validates_before_interpolation() {
    let corpus = corpus();
    needs!(is_there(&corpus));
    let checker = Checker::of("compose");
    let files = accepted(&corpus);
    assert!(files.len() > 500, "only {} files", files.len());
    let mut wrong = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap_or_default();
        for document in documents(&text) {
            let faults = checker.faults(&document);
            if !faults.is_empty() {
                wrong.push(format!("{}\n  {}", file.display(), faults.join("\n  ")));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        files.len(),
        wrong.join("\n")
    );
}
