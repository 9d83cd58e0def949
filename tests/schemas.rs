//! What is in `schemas/` is what the code says; `CONSORT_UPDATE_CASES=1` writes it anew. And what people
//! write, and what consort writes, is what the schemas say.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and updates the published schemas, starts programs, and holds what YAML gives"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use consort::compose::diagnostic::DiagnosticDocument;
use consort::compose::explain::ExplanationDocument;
use consort::compose::{self, render};
use consort::report::{ContainerRow, EventRow, PlanDocument};
use schemars::{JsonSchema, schema_for};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

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
        assert!(found == current, "`schemas/{name}.schema.json` is out of date");
    }
}

/// Checks values against a published schema.
struct Checker {
    name: &'static str,
    validator: jsonschema::Validator,
}

impl Checker {
    fn of(name: &'static str) -> Self {
        let schema: Json = serde_json::from_str(&fs::read_to_string(published(name)).unwrap()).unwrap();
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

/// Runs consort in a folder with a project; returns the exit code and standard output.
fn consort(folder: &TempDir, words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_consort"))
        .args(words)
        .current_dir(folder.path())
        .env_clear()
        .env("HOME", folder.path())
        .env("CONSORT_STATE_DIR", folder.path().join("state"))
        .env("XDG_RUNTIME_DIR", folder.path().join("run"))
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn folder(compose: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("compose.yaml"), compose).unwrap();
    folder
}

#[test]
fn what_config_and_explain_write_is_what_their_schemas_say() {
    let folder = folder(EVERYTHING);
    for (name, words) in [
        ("config", &["config", "--format", "json"][..]),
        ("compose", &["config", "--format", "json", "--no-interpolate"]),
        ("explain", &["explain", "--format", "json"]),
        ("check", &["config", "--check", "--format", "json"]),
    ] {
        let (code, text) = consort(&folder, words);
        assert_eq!(code, Some(0), "{words:?}");
        Checker::of(name).accepts(&text);
    }
}

#[test]
fn what_a_check_finds_is_what_its_schema_says() {
    let folder = folder("version: '3'\nservices:\n  web: {imagee: x}\n  db: {image: x, ports: [a]}\n");
    let (code, text) = consort(&folder, &["config", "--check", "--format", "json"]);
    assert_eq!(code, Some(3));
    assert_ne!(text, "[]\n");
    Checker::of("check").accepts(&text);
}

#[test]
fn what_plan_writes_is_what_its_schema_says() {
    let folder = folder(
        "services:\n  web: {image: 'rootfs:/', command: [sleep, '1'], depends_on: [db]}\n  db: {image: 'busybox', volumes: ['d:/d']}\nvolumes: {d: }\n",
    );
    let (code, text) = consort(&folder, &["plan", "--format", "json"]);
    assert_eq!(code, Some(2));
    Checker::of("plan").accepts(&text);
}
