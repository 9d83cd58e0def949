//! What differs between the spec that something was made with and the one that is wanted.
//!
//! Specs are compared as data, so that one stored by an older version is compared as well: a value
//! that one side does not have is equal to an empty one on the other.

use super::FieldChange;
use super::wording::{shown, whole};
use crate::desired::{Places, comparable};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Parts of names of variables whose values are not shown.
const SECRET_WORDS: [&str; 7] = [
    "PASSWORD",
    "PASSWD",
    "SECRET",
    "TOKEN",
    "KEY",
    "CREDENTIAL",
    "PASSPHRASE",
];
/// What can be changed while a container runs.
const HOT: [&str; 15] = [
    "restart",
    "labels",
    "stop",
    "hooks.pre_stop",
    "limits.cpu_nanos",
    "limits.cpu_shares",
    "limits.cpu_quota_us",
    "limits.cpu_period_us",
    "limits.cpuset",
    "limits.memory_bytes",
    "limits.memory_reservation_bytes",
    "limits.memory_swap_bytes",
    "limits.pids",
    "network.endpoints.*.aliases",
    "resolver.links",
];
/// How paths of a spec are called in a Compose file; the first that fits counts.
const NAMES: [(&str, &str); 49] = [
    ("name", "container_name"),
    ("process.", ""),
    ("image.reference", "image"),
    ("image.platform", "platform"),
    ("stop.signal", "stop_signal"),
    ("stop.grace", "stop_grace_period"),
    ("network.endpoints.", "networks."),
    ("network", "network_mode"),
    ("resolver.servers", "dns"),
    ("resolver.search", "dns_search"),
    ("resolver.options", "dns_opt"),
    ("resolver.hosts", "extra_hosts"),
    ("resolver.links", "links"),
    ("namespaces.userns", "userns_mode"),
    ("namespaces.", ""),
    ("mounts.", "volumes."),
    ("files.", ""),
    ("security.options", "security_opt"),
    ("security.", ""),
    ("shm_size_bytes", "shm_size"),
    ("limits.cpu_nanos", "cpus"),
    ("limits.cpu_shares", "cpu_shares"),
    ("limits.cpu_quota_us", "cpu_quota"),
    ("limits.cpu_period_us", "cpu_period"),
    ("limits.cpu_rt_runtime_us", "cpu_rt_runtime"),
    ("limits.cpu_rt_period_us", "cpu_rt_period"),
    ("limits.memory_bytes", "mem_limit"),
    ("limits.memory_reservation_bytes", "mem_reservation"),
    ("limits.memory_swap_bytes", "memswap_limit"),
    ("limits.memory_swappiness", "mem_swappiness"),
    ("limits.pids", "pids_limit"),
    ("limits.block_io.", "blkio_config."),
    ("limits.", ""),
    ("hooks.", ""),
    ("healthcheck.probe", "healthcheck.test"),
    ("healthcheck", "healthcheck"),
    ("restart", "restart"),
    ("ports", "ports"),
    ("expose", "expose"),
    ("logging", "logging"),
    ("labels", "labels"),
    ("annotations", "annotations"),
    ("ulimits", "ulimits"),
    ("sysctls", "sysctls"),
    ("devices", "devices"),
    ("device_cgroup_rules", "device_cgroup_rules"),
    ("runtime", "runtime"),
    ("hostname", "hostname"),
    ("domainname", "domainname"),
];

/// The differences between two specs.
#[derive(Debug, Default)]
pub(super) struct Difference {
    /// Those that need the thing to be made again.
    pub(super) cold: Vec<FieldChange>,
    /// Those that can be changed in place.
    pub(super) hot: Vec<FieldChange>,
}

/// Compares a stored spec with a wanted one.
pub(super) fn compare(old: Value, new: Value, places: &Places) -> Difference {
    let (old, new) = (comparable(old), comparable(new));
    let mut changes = Vec::new();
    differ("", Some(&old), Some(&new), &mut changes);
    let mut difference = Difference::default();
    for (path, old, new) in changes {
        let change = change(&path, (old.as_deref(), new.as_deref()), places);
        let side = if is_hot(&path) {
            &mut difference.hot
        } else {
            &mut difference.cold
        };
        if !side.contains(&change) {
            side.push(change);
        }
    }
    difference
}

/// A path, and the texts of its values; an empty text for a whole item that is there.
type Raw = (String, Option<String>, Option<String>);

fn differ(path: &str, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Raw>) {
    if is_same(old, new) {
        return;
    }
    if let Some((old, new)) = whole(path, old, new) {
        changes.push((path.to_owned(), old, new));
        return;
    }
    let (old_parts, new_parts) = (parts(old), parts(new));
    if old_parts.is_empty() && new_parts.is_empty() {
        changes.push((path.to_owned(), old.and_then(shown), new.and_then(shown)));
        return;
    }
    let keys: BTreeSet<&String> = old_parts.keys().chain(new_parts.keys()).collect();
    for key in keys {
        let below = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        match (old_parts.get(key), new_parts.get(key)) {
            (Some(item), None) if key_of(item).is_some() => {
                changes.push((below, Some(String::new()), None));
            }
            (None, Some(item)) if key_of(item).is_some() => {
                changes.push((below, None, Some(String::new())));
            }
            (old, new) => differ(&below, old.copied(), new.copied(), changes),
        }
    }
}

/// What a value consists of: the fields of an object, or the items of a list that have a key of
/// their own.
fn parts(value: Option<&Value>) -> BTreeMap<String, &Value> {
    match value {
        Some(Value::Object(fields)) => fields
            .iter()
            .map(|(key, value)| (key.clone(), value))
            .collect(),
        Some(Value::Array(items)) => {
            let keyed: Option<BTreeMap<String, &Value>> = items
                .iter()
                .map(|item| Some((key_of(item)?, item)))
                .collect();
            keyed.unwrap_or_default()
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => {
            BTreeMap::new()
        }
    }
}

/// What tells an item of a list from the others: a file by kind and key, an endpoint by its
/// network's key, a mount by its target.
fn key_of(item: &Value) -> Option<String> {
    let text = |field: &str| item.get(field).and_then(Value::as_str);
    match (text("kind"), text("key"), item.get("kind"), text("target")) {
        (Some(kind), Some(key), _, _) => Some(format!("{kind}s.{key}")),
        (None, Some(key), _, _) => Some(key.to_owned()),
        (None, None, Some(_), Some(target)) => Some(target.to_owned()),
        _ => None,
    }
}

fn is_same(old: Option<&Value>, new: Option<&Value>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => old == new,
        (Some(one), None) | (None, Some(one)) => is_empty(one),
        (None, None) => true,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Bool(true) | Value::String(_) => false,
    }
}

fn is_hot(path: &str) -> bool {
    HOT.iter().any(|hot| match hot.split_once('*') {
        Some((start, end)) => path.starts_with(start) && path.ends_with(end),
        None => path
            .strip_prefix(hot)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
    })
}

fn change(path: &str, (old, new): (Option<&str>, Option<&str>), places: &Places) -> FieldChange {
    let field = name_of(path);
    let place = places.find(&field).cloned();
    if path.ends_with(".digest") {
        let field = field.trim_end_matches(".digest").to_owned();
        return FieldChange {
            field,
            old: None,
            new: None,
            place,
        };
    }
    let text = |value: Option<&str>| value.filter(|_| !is_secret(path)).map(ToOwned::to_owned);
    FieldChange {
        field,
        old: text(old),
        new: text(new),
        place,
    }
}

fn name_of(path: &str) -> String {
    // A mount's fields stand below its target, whatever is mounted there.
    if let Some(rest) = path.strip_prefix("mounts.")
        && let Some((target, rest)) = rest.rsplit_once(".kind.")
        && let Some((_, field)) = rest.split_once('.')
    {
        return format!("volumes.{target}.{field}");
    }
    for (prefix, name) in NAMES {
        match path.strip_prefix(prefix) {
            Some(rest) if prefix.ends_with('.') || rest.is_empty() || rest.starts_with('.') => {
                return format!("{name}{rest}");
            }
            _ => {}
        }
    }
    path.to_owned()
}

fn is_secret(path: &str) -> bool {
    let Some((_, variable)) = path.rsplit_once("environment.") else {
        return false;
    };
    let variable = variable.to_ascii_uppercase();
    SECRET_WORDS.iter().any(|word| variable.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changes(old: &Value, new: &Value) -> (Vec<String>, Vec<String>) {
        let difference = compare(old.clone(), new.clone(), &Places::default());
        let texts = |changes: Vec<FieldChange>| changes.iter().map(ToString::to_string).collect();
        (texts(difference.cold), texts(difference.hot))
    }

    #[test]
    fn a_changed_variable_is_named_with_both_values() {
        let old = json!({"process": {"environment": {"LOG_LEVEL": "info"}}});
        let new = json!({"process": {"environment": {"LOG_LEVEL": "debug"}}});
        assert_eq!(
            changes(&old, &new).0,
            [r#"environment.LOG_LEVEL "info" → "debug""#]
        );
    }

    #[test]
    fn a_secret_variable_is_named_without_its_values() {
        let old = json!({"process": {"environment": {"DB_PASSWORD": "a"}}});
        let new = json!({"process": {"environment": {"DB_PASSWORD": "b"}}});
        assert_eq!(changes(&old, &new).0, ["environment.DB_PASSWORD changed"]);
    }

    #[test]
    fn the_content_of_a_secret_is_its_digest_and_that_is_not_shown() {
        let file =
            |digest: &str| json!({"files": [{"kind": "secret", "key": "pw", "digest": digest}]});
        assert_eq!(
            changes(&file("sha256:a"), &file("sha256:b")).0,
            ["secrets.pw changed"]
        );
    }

    #[test]
    fn a_mount_that_is_new_is_one_change() {
        let mount = json!({"target": "/data", "read_only": false, "kind": {"tmpfs": {"mode": 1}}});
        let (old, new) = (json!({"mounts": []}), json!({"mounts": [mount]}));
        assert_eq!(changes(&old, &new).0, ["volumes./data added"]);
        assert_eq!(changes(&new, &old).0, ["volumes./data removed"]);
    }

    #[test]
    fn a_limit_and_an_alias_change_in_place() {
        let spec = |bytes: u64, alias: &str| {
            json!({
                "limits": {"memory_bytes": bytes},
                "network": {"endpoints": [{"key": "default", "aliases": [alias]}]},
            })
        };
        let (cold, hot) = changes(&spec(1, "a"), &spec(2, "b"));
        assert_eq!(cold, Vec::<String>::new());
        assert_eq!(
            hot,
            [
                "mem_limit 1 → 2",
                r#"networks.default.aliases ["a"] → ["b"]"#
            ]
        );
    }

    #[test]
    fn a_field_that_an_older_spec_does_not_have_is_equal_to_an_empty_one() {
        let new = json!({"process": {"tty": false, "group_add": [], "command": null}});
        assert_eq!(
            changes(&json!({"process": {}}), &new),
            (Vec::new(), Vec::new())
        );
        let cleared = json!({"process": {"command": []}});
        let kept = json!({"process": {"command": null}});
        assert_eq!(changes(&kept, &cleared).0, ["command [] added"]);
    }

    #[test]
    fn what_says_only_where_the_project_is_does_not_count() {
        let labels = |dir: &str| json!({"labels": {"com.docker.compose.project.working_dir": dir}});
        assert_eq!(
            changes(&labels("/a"), &labels("/b")),
            (Vec::new(), Vec::new())
        );
    }
}
