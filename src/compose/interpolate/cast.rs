//! The types that some keys ask for: a string there becomes a number or a boolean.

use crate::compose::diagnostic::Diagnostic;
use crate::compose::tree::{LIST, Node, Value};

/// What a key asks for.
#[derive(Clone, Copy)]
enum Kind {
    Whole,
    Number,
    Boolean,
}

/// Returns what the key at a path asks for; most ask for nothing, as in Docker Compose.
fn kind_of(path: &[&str]) -> Option<Kind> {
    match path {
        ["services", _, key] => of_service(key),
        ["services", _, part, key] => match (*part, *key) {
            ("deploy", "replicas") | ("healthcheck", "retries") | ("ulimits", _) => {
                Some(Kind::Whole)
            }
            ("healthcheck", "disable") => Some(Kind::Boolean),
            _ => None,
        },
        ["services", _, part, of, key] => match (*part, *of, *key) {
            ("deploy", "update_config" | "rollback_config", "parallelism")
            | ("deploy", "restart_policy", "max_attempts")
            | ("deploy", "placement", "max_replicas_per_node")
            | ("ports", LIST, "target")
            | ("ulimits", _, "hard" | "soft") => Some(Kind::Whole),
            ("deploy", "update_config" | "rollback_config", "max_failure_ratio") => {
                Some(Kind::Number)
            }
            ("depends_on", _, "required" | "restart") | ("volumes", LIST, "read_only") => {
                Some(Kind::Boolean)
            }
            _ => None,
        },
        ["services", _, "volumes", LIST, "volume", "nocopy"] => Some(Kind::Boolean),
        [
            "networks",
            _,
            "internal" | "attachable" | "enable_ipv4" | "enable_ipv6",
        ]
        | [
            "networks" | "volumes" | "secrets" | "configs",
            _,
            "external",
        ] => Some(Kind::Boolean),
        _ => None,
    }
}

fn of_service(key: &str) -> Option<Kind> {
    match key {
        "cpu_count" | "cpu_period" | "cpu_quota" | "cpu_rt_period" | "cpu_rt_runtime"
        | "cpu_shares" | "oom_score_adj" | "pids_limit" | "scale" => Some(Kind::Whole),
        "cpu_percent" | "cpus" => Some(Kind::Number),
        "init" | "oom_kill_disable" | "privileged" | "read_only" | "stdin_open" | "tty" => {
            Some(Kind::Boolean)
        }
        _ => None,
    }
}

/// Converts a string where its key asks for it.
pub(super) fn apply(path: &[&str], node: &mut Node, faults: &mut Vec<Diagnostic>) {
    let (Some(kind), Value::Text(text)) = (kind_of(path), &node.value) else {
        return;
    };
    let converted = match kind {
        Kind::Whole => text
            .parse::<i64>()
            .ok()
            .map(|number| Value::Int(number.into())),
        Kind::Number => text.parse::<f64>().ok().map(Value::Float),
        Kind::Boolean => boolean(text, node, faults),
    };
    if let Some(value) = converted {
        node.value = value;
        return;
    }
    let key = path.last().copied().unwrap_or_default();
    let expected = match kind {
        Kind::Whole => "expected a whole number here",
        Kind::Number => "expected a number here",
        Kind::Boolean => "expected `true` or `false` here",
    };
    let fault = Diagnostic::error(node.span, format!("`{key}` cannot be `{text}`"));
    faults.push(fault.expected(expected));
}

/// Reads a boolean; the spellings of YAML 1.1 are accepted with a warning.
fn boolean(text: &str, node: &Node, faults: &mut Vec<Diagnostic>) -> Option<Value> {
    let (flag, plain) = match text.to_ascii_lowercase().as_str() {
        "true" => (true, true),
        "false" => (false, true),
        "y" | "yes" | "on" => (true, false),
        "n" | "no" | "off" => (false, false),
        _ => return None,
    };
    if !plain {
        let message = format!("`{text}` is no boolean of YAML 1.2");
        faults.push(Diagnostic::warning(node.span, message).hint(format!("write `{flag}`")));
    }
    Some(Value::Bool(flag))
}
