//! An image's configuration blob into an [`ImageConfig`], believed only as far as it was checked.
//!
//! All of it was written by strangers. **Invariant:** every text is free of NUL, every list is bounded,
//! and a path that decides where something is mounted is absolute and has no `..`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::value::{Digest, Platform};

use super::ImageError;

/// The largest configuration that is read.
pub(super) const CONFIG_LIMIT_BYTES: u64 = 8 << 20;
/// The most entries of any list or map in it.
const ENTRIES_LIMIT: usize = 10_000;
/// The most volumes that an image may ask for: each becomes a directory and a mount of every container.
const VOLUMES_LIMIT: usize = 200;
/// The most layers that an image may have.
pub(super) const LAYERS_LIMIT: usize = 1_000;

/// What an image says about how to run it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// The arguments that a command line replaces.
    pub cmd: Vec<String>,
    /// The environment, in order; later entries win.
    pub env: Vec<(String, String)>,
    /// The working directory, as written.
    pub working_dir: Option<String>,
    /// `user[:group]`, as written.
    pub user: Option<String>,
    /// Paths inside the container that want a volume each.
    pub volumes: Vec<String>,
    /// Ports the program listens on, for example `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// The signal that asks the program to stop, as written.
    pub stop_signal: Option<String>,
    /// How to find out whether the program is well.
    pub healthcheck: Option<ImageHealthcheck>,
    /// Labels; never a source of control.
    pub labels: BTreeMap<String, String>,
    /// The shell for commands in shell form; empty means `/bin/sh -c`.
    pub shell: Vec<String>,
}

/// A health check that comes with an image; what is `None` was left to the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageHealthcheck {
    /// `NONE`, or `CMD` and arguments, or `CMD-SHELL` and a line.
    pub test: Vec<String>,
    /// Time between probes.
    pub interval: Option<Duration>,
    /// Time after which a probe has failed.
    pub timeout: Option<Duration>,
    /// Time during which failures do not count.
    pub start_period: Option<Duration>,
    /// Time between probes during the start period.
    pub start_interval: Option<Duration>,
    /// Failures in a row that make it unhealthy.
    pub retries: Option<u32>,
}

/// All that a configuration blob says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConfigBlob {
    pub(super) config: ImageConfig,
    pub(super) platform: Platform,
    pub(super) created: Option<String>,
    pub(super) diff_ids: Vec<Digest>,
}

/// Reads a configuration blob whose digest was already checked.
pub(super) fn parse(bytes: &[u8], digest: &Digest) -> Result<ConfigBlob, ImageError> {
    let raw: RawBlob = serde_json::from_slice(bytes).map_err(|source| ImageError::ParseConfig {
        digest: digest.clone(),
        source,
    })?;
    let refuse = |reason| ImageError::RefuseConfig {
        digest: digest.clone(),
        reason,
    };
    let diff_ids = raw.rootfs.unwrap_or_default().diff_ids.unwrap_or_default();
    if diff_ids.len() > LAYERS_LIMIT {
        return Err(refuse("it has more than 1,000 layers"));
    }
    let platform = checked_platform(&raw.os, &raw.architecture, raw.variant.as_deref());
    Ok(ConfigBlob {
        config: check(raw.config.unwrap_or_default()).map_err(refuse)?,
        platform: platform.map_err(refuse)?,
        created: raw
            .created
            .filter(|text| text.len() <= 64 && is_clean(text)),
        diff_ids,
    })
}

fn checked_platform(
    os: &str,
    architecture: &str,
    variant: Option<&str>,
) -> Result<Platform, &'static str> {
    let variant = variant.filter(|variant| !variant.is_empty());
    let text = match variant {
        Some(variant) => format!("{os}/{architecture}/{variant}"),
        None => format!("{os}/{architecture}"),
    };
    text.parse()
        .map_err(|_| "its `os`, `architecture` and `variant` are not a platform")
}

fn check(raw: RawConfig) -> Result<ImageConfig, &'static str> {
    Ok(ImageConfig {
        entrypoint: checked_list(raw.entrypoint)?,
        cmd: checked_list(raw.cmd)?,
        env: checked_env(&checked_list(raw.env)?),
        working_dir: checked_text(raw.working_dir)?,
        user: checked_text(raw.user)?,
        volumes: checked_volumes(raw.volumes)?,
        exposed_ports: checked_ports(raw.exposed_ports)?,
        stop_signal: checked_text(raw.stop_signal)?,
        healthcheck: raw.healthcheck.map(checked_healthcheck).transpose()?,
        labels: checked_labels(raw.labels)?,
        shell: checked_list(raw.shell)?,
    })
}

fn is_clean(text: &str) -> bool {
    !text.contains('\0')
}

fn checked_text(text: Option<String>) -> Result<Option<String>, &'static str> {
    let text = text.filter(|text| !text.is_empty());
    if text.as_deref().is_some_and(|text| !is_clean(text)) {
        return Err("a text in it contains NUL");
    }
    Ok(text)
}

fn checked_list(list: Option<Vec<String>>) -> Result<Vec<String>, &'static str> {
    let list = list.unwrap_or_default();
    if list.len() > ENTRIES_LIMIT {
        return Err("a list in it has more than 10,000 entries");
    }
    if !list.iter().all(|text| is_clean(text)) {
        return Err("a text in it contains NUL");
    }
    Ok(list)
}

/// An entry without `=` or without a name sets nothing: it never takes a value from the host.
fn checked_env(list: &[String]) -> Vec<(String, String)> {
    let pairs = list.iter().filter_map(|entry| entry.split_once('='));
    pairs
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn checked_volumes(map: Option<Keys>) -> Result<Vec<String>, &'static str> {
    let paths = checked_list(map.map(|Keys(names)| names))?;
    if paths.len() > VOLUMES_LIMIT {
        return Err("it asks for more than 200 volumes");
    }
    let is_mountable = |path: &String| {
        let mut parts = path
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".");
        parts.clone().next().is_some() && parts.all(|part| part != "..")
    };
    if !paths.iter().all(is_mountable) {
        return Err("a volume in it is not a path below `/` without `..`");
    }
    // `VOLUME data` is stored as it was written and means `/data`.
    let absolute = |path: String| {
        if path.starts_with('/') {
            return path;
        }
        format!("/{path}")
    };
    Ok(paths.into_iter().map(absolute).collect())
}

fn checked_ports(map: Option<Keys>) -> Result<Vec<String>, &'static str> {
    let ports = checked_list(map.map(|Keys(names)| names))?;
    let is_port = |text: &String| {
        let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let is_number = |text: &str| text.parse::<u16>().is_ok();
        is_number(first) && is_number(last) && matches!(protocol, "tcp" | "udp" | "sctp")
    };
    if ports.iter().all(is_port) {
        return Ok(ports);
    }
    Err("a port in it is not a number or a range with `/tcp`, `/udp` or `/sctp`")
}

fn checked_labels(
    labels: Option<BTreeMap<String, String>>,
) -> Result<BTreeMap<String, String>, &'static str> {
    let labels = labels.unwrap_or_default();
    if labels.len() > ENTRIES_LIMIT {
        return Err("it has more than 10,000 labels");
    }
    let is_clean_pair = |(name, value): (&String, &String)| is_clean(name) && is_clean(value);
    if labels.iter().all(is_clean_pair) {
        return Ok(labels);
    }
    Err("a label in it contains NUL")
}

fn checked_healthcheck(raw: RawHealthcheck) -> Result<ImageHealthcheck, &'static str> {
    let duration = |nanoseconds: Option<i64>| match nanoseconds.unwrap_or(0) {
        0 => Ok(None),
        nanoseconds => match u64::try_from(nanoseconds) {
            Ok(nanoseconds) => Ok(Some(Duration::from_nanos(nanoseconds))),
            Err(_) => Err("a time of its health check is negative"),
        },
    };
    let retries = match raw.retries.unwrap_or(0) {
        0 => None,
        retries => {
            Some(u32::try_from(retries).map_err(|_| "its health check's retries are not a count")?)
        }
    };
    Ok(ImageHealthcheck {
        test: checked_list(raw.test)?,
        interval: duration(raw.interval)?,
        timeout: duration(raw.timeout)?,
        start_period: duration(raw.start_period)?,
        start_interval: duration(raw.start_interval)?,
        retries,
    })
}

/// The keys of a map whose values say nothing.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, serde_json::Value>::deserialize(deserializer)?;
        Ok(Self(map.into_keys().collect()))
    }
}

#[derive(Deserialize)]
struct RawBlob {
    architecture: String,
    os: String,
    variant: Option<String>,
    created: Option<String>,
    config: Option<RawConfig>,
    rootfs: Option<RawRootfs>,
}

#[derive(Default, Deserialize)]
struct RawRootfs {
    diff_ids: Option<Vec<Digest>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawConfig {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
    volumes: Option<Keys>,
    exposed_ports: Option<Keys>,
    stop_signal: Option<String>,
    healthcheck: Option<RawHealthcheck>,
    labels: Option<BTreeMap<String, String>>,
    shell: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawHealthcheck {
    test: Option<Vec<String>>,
    interval: Option<i64>,
    timeout: Option<i64>,
    start_period: Option<i64>,
    start_interval: Option<i64>,
    retries: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(config: &str) -> Result<ImageConfig, String> {
        let text = format!(r#"{{"architecture":"amd64","os":"linux","config":{config}}}"#);
        let digest = Digest::sha256_of(text.as_bytes());
        let blob = parse(text.as_bytes(), &digest);
        blob.map(|blob| blob.config)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_docker_writes_is_read() {
        let config = parsed(
            r#"{"Entrypoint":["/e"],"Cmd":null,"Env":["A=1","B=x=y"],"WorkingDir":"/w","User":"",
                "Volumes":{"/data":{}},"ExposedPorts":{"80/tcp":{},"90-91/udp":{}},"Labels":null,
                "Healthcheck":{"Test":["CMD","x"],"Interval":1000000000,"Retries":3},"Hostname":""}"#,
        )
        .unwrap();
        assert_eq!(config.entrypoint, ["/e"]);
        assert_eq!(config.env[1], ("B".to_owned(), "x=y".to_owned()));
        assert_eq!(config.user, None);
        assert_eq!(config.exposed_ports, ["80/tcp", "90-91/udp"]);
        let healthcheck = config.healthcheck.unwrap();
        assert_eq!(healthcheck.interval, Some(Duration::from_secs(1)));
        assert_eq!(healthcheck.timeout, None);
        assert_eq!(healthcheck.retries, Some(3));
    }

    #[test]
    fn an_environment_entry_without_a_value_takes_nothing_from_the_host() {
        let config = parsed(r#"{"Env":["*","AWS*","PATH","=x","HOME="]}"#).unwrap();
        assert_eq!(config.env, [("HOME".to_owned(), String::new())]);
    }

    #[test]
    fn hostile_values_are_refused() {
        for config in [
            r#"{"Volumes":{"":{}}}"#,
            r#"{"Volumes":{"/":{}}}"#,
            r#"{"Volumes":{"//.":{}}}"#,
            r#"{"Volumes":{"/../../canary":{}}}"#,
            r#"{"Volumes":{"data/..":{}}}"#,
            r#"{"ExposedPorts":{"99999/tcp":{}}}"#,
            r#"{"ExposedPorts":{"80/icmp":{}}}"#,
            r#"{"User":"a\u0000b"}"#,
            r#"{"Cmd":["a\u0000b"]}"#,
            r#"{"Labels":{"a\u0000":"b"}}"#,
            r#"{"Healthcheck":{"Interval":-1}}"#,
            r#"{"Healthcheck":{"Retries":-1}}"#,
            r#"{"Cmd":"not a list"}"#,
            r#"{"User":"a","User":"b"}"#,
        ] {
            assert!(parsed(config).is_err(), "{config}");
        }
        let volumes: Vec<String> = (0..=VOLUMES_LIMIT)
            .map(|number| format!(r#""/v{number}":{{}}"#))
            .collect();
        let many = format!(r#"{{"Volumes":{{{}}}}}"#, volumes.join(","));
        assert!(parsed(&many).is_err());
        let many = format!(r#"{{"Cmd":[{}"x"]}}"#, r#""x","#.repeat(ENTRIES_LIMIT));
        assert!(parsed(&many).is_err());
    }
}
