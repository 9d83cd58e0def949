//! The types that some keys ask for: a string there becomes a number or a boolean.

use crate::compose::diagnostic::Diagnostic;
use crate::compose::tree::{Node, Pattern, Value};

/// What a key asks for.
#[derive(Clone, Copy)]
enum Kind {
    Whole,
    Number,
    Boolean,
}

/// The keys that are converted; nothing else is, as in Docker Compose.
const CASTS: &[(Pattern, Kind)] = &[
    (Pattern("services.*.cpu_count"), Kind::Whole),
    (Pattern("services.*.cpu_percent"), Kind::Number),
    (Pattern("services.*.cpu_period"), Kind::Whole),
    (Pattern("services.*.cpu_quota"), Kind::Whole),
    (Pattern("services.*.cpu_rt_period"), Kind::Whole),
    (Pattern("services.*.cpu_rt_runtime"), Kind::Whole),
    (Pattern("services.*.cpus"), Kind::Number),
    (Pattern("services.*.cpu_shares"), Kind::Whole),
    (Pattern("services.*.depends_on.*.required"), Kind::Boolean),
    (Pattern("services.*.depends_on.*.restart"), Kind::Boolean),
    (Pattern("services.*.init"), Kind::Boolean),
    (Pattern("services.*.deploy.replicas"), Kind::Whole),
    (
        Pattern("services.*.deploy.update_config.parallelism"),
        Kind::Whole,
    ),
    (
        Pattern("services.*.deploy.update_config.max_failure_ratio"),
        Kind::Number,
    ),
    (
        Pattern("services.*.deploy.rollback_config.parallelism"),
        Kind::Whole,
    ),
    (
        Pattern("services.*.deploy.rollback_config.max_failure_ratio"),
        Kind::Number,
    ),
    (
        Pattern("services.*.deploy.restart_policy.max_attempts"),
        Kind::Whole,
    ),
    (
        Pattern("services.*.deploy.placement.max_replicas_per_node"),
        Kind::Whole,
    ),
    (Pattern("services.*.healthcheck.retries"), Kind::Whole),
    (Pattern("services.*.healthcheck.disable"), Kind::Boolean),
    (Pattern("services.*.oom_kill_disable"), Kind::Boolean),
    (Pattern("services.*.oom_score_adj"), Kind::Whole),
    (Pattern("services.*.pids_limit"), Kind::Whole),
    (Pattern("services.*.ports.[].target"), Kind::Whole),
    (Pattern("services.*.privileged"), Kind::Boolean),
    (Pattern("services.*.read_only"), Kind::Boolean),
    (Pattern("services.*.scale"), Kind::Whole),
    (Pattern("services.*.stdin_open"), Kind::Boolean),
    (Pattern("services.*.tty"), Kind::Boolean),
    (Pattern("services.*.ulimits.*"), Kind::Whole),
    (Pattern("services.*.ulimits.*.hard"), Kind::Whole),
    (Pattern("services.*.ulimits.*.soft"), Kind::Whole),
    (Pattern("services.*.volumes.[].read_only"), Kind::Boolean),
    (
        Pattern("services.*.volumes.[].volume.nocopy"),
        Kind::Boolean,
    ),
    (Pattern("networks.*.external"), Kind::Boolean),
    (Pattern("networks.*.internal"), Kind::Boolean),
    (Pattern("networks.*.attachable"), Kind::Boolean),
    (Pattern("networks.*.enable_ipv4"), Kind::Boolean),
    (Pattern("networks.*.enable_ipv6"), Kind::Boolean),
    (Pattern("volumes.*.external"), Kind::Boolean),
    (Pattern("secrets.*.external"), Kind::Boolean),
    (Pattern("configs.*.external"), Kind::Boolean),
];

/// The last keys of [`CASTS`] decide quickly about most values.
fn is_candidate(path: &[String]) -> bool {
    (3..=6).contains(&path.len())
        && matches!(
            path[0].as_str(),
            "services" | "networks" | "volumes" | "secrets" | "configs"
        )
}

/// Converts a string where its key asks for it.
pub(super) fn apply(path: &[String], node: &mut Node, faults: &mut Vec<Diagnostic>) {
    if !is_candidate(path) {
        return;
    }
    let Some((_, kind)) = CASTS.iter().find(|(pattern, _)| pattern.matches(path)) else {
        return;
    };
    let Value::Text(text) = &node.value else {
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
    let key = path.last().map_or("", String::as_str);
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
