//! Values of a spec → how a Compose file writes them, for those that a spec keeps in another form.

use serde_json::Value;

/// The longest value that is shown.
const SHOWN_CHARS: usize = 60;
/// Billionths of a processor in one.
const NANOS: f64 = 1e9;

/// The old and the new text of what a Compose file writes as one value; nothing for all that is compared field by field.
pub(super) fn whole(path: &str, old: Option<&Value>, new: Option<&Value>) -> Option<Texts> {
    let word: fn(&Value) -> Option<String> = match path {
        "ports" => return Some(ports(old, new)),
        "restart" => restart,
        "healthcheck.probe" => probe,
        "limits.cpu_nanos" => cpus,
        "network"
            if [old, new]
                .into_iter()
                .flatten()
                .any(|it| !has_endpoints(it)) =>
        {
            mode
        }
        _ => return None,
    };
    let text = |value: Option<&Value>| value.and_then(|value| word(value).or_else(|| shown(value)));
    Some((text(old), text(new)))
}

/// The texts of an old and of a new value.
pub(super) type Texts = (Option<String>, Option<String>);

/// A value as data, cut where it is long; nothing for one that is not there.
pub(super) fn shown(value: &Value) -> Option<String> {
    (!value.is_null()).then(|| cut(&value.to_string()))
}

fn cut(text: &str) -> String {
    if text.chars().count() <= SHOWN_CHARS {
        return text.to_owned();
    }
    let start: String = text.chars().take(SHOWN_CHARS).collect();
    format!("{start}…")
}

/// The ports that only one side has.
fn ports(old: Option<&Value>, new: Option<&Value>) -> Texts {
    let texts = |value: Option<&Value>| -> Vec<String> {
        let items = value.and_then(Value::as_array).into_iter().flatten();
        items.filter_map(port).collect()
    };
    let (old, new) = (texts(old), texts(new));
    let only = |these: &[String], others: &[String]| {
        let only: Vec<&str> = these
            .iter()
            .filter(|port| !others.contains(port))
            .map(String::as_str)
            .collect();
        (!only.is_empty()).then(|| cut(&only.join(", ")))
    };
    (only(&old, &new), only(&new, &old))
}

/// `127.0.0.1:8080-8090:80/udp`
fn port(port: &Value) -> Option<String> {
    let target = port.get("target")?.as_u64()?;
    let published = port.get("published").filter(|range| !range.is_null());
    let end = |name: &str| published?.get(name)?.as_u64();
    let mut text = match (end("first"), end("last")) {
        (Some(first), Some(last)) if first == last => format!("{first}:{target}"),
        (Some(first), Some(last)) => format!("{first}-{last}:{target}"),
        _ => target.to_string(),
    };
    if let Some(address) = port.get("host_ip").and_then(Value::as_str) {
        let address = if address.contains(':') {
            format!("[{address}]")
        } else {
            address.to_owned()
        };
        let between = if published.is_some() { ":" } else { "::" };
        text = format!("{address}{between}{text}");
    }
    match port.get("protocol").and_then(Value::as_str) {
        None | Some("tcp") => {}
        Some(protocol) => text = format!("{text}/{protocol}"),
    }
    Some(text)
}

fn restart(policy: &Value) -> Option<String> {
    let retries = match policy {
        Value::String(name) => return Some(format!("{:?}", name.replace('_', "-"))),
        Value::Object(fields) => fields.get("on_failure")?.get("max_retries"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => return None,
    };
    Some(match retries.and_then(Value::as_u64) {
        Some(most) => format!("\"on-failure:{most}\""),
        None => "\"on-failure\"".to_owned(),
    })
}

fn probe(probe: &Value) -> Option<String> {
    match probe {
        Value::String(_) => Some("NONE".to_owned()),
        Value::Object(forms) => forms.values().next().and_then(shown),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

fn cpus(nanos: &Value) -> Option<String> {
    Some((nanos.as_f64()? / NANOS).to_string())
}

fn has_endpoints(mode: &Value) -> bool {
    mode.get("endpoints").is_some()
}

fn mode(mode: &Value) -> Option<String> {
    let text = match mode {
        Value::String(name) => name.clone(),
        Value::Object(fields) => match fields.iter().next()? {
            (kind, Value::String(name)) => format!("{kind}:{name}"),
            (kind, Value::Object(target)) => format!("{kind}:{}", target.get(kind)?.as_str()?),
            (_, Value::Array(endpoints)) => {
                let keys = endpoints
                    .iter()
                    .filter_map(|it| it.get("key").and_then(Value::as_str));
                return Some(cut(&format!(
                    "networks {}",
                    keys.collect::<Vec<_>>().join(", ")
                )));
            }
            _ => return None,
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => return None,
    };
    Some(format!("{text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(path: &str, old: &Value, new: &Value) -> (String, String) {
        let (old, new) = whole(path, Some(old), Some(new)).unwrap();
        (old.unwrap_or_default(), new.unwrap_or_default())
    }

    fn pair(old: &str, new: &str) -> (String, String) {
        (old.to_owned(), new.to_owned())
    }

    #[test]
    fn ports_are_written_as_in_a_file_and_only_those_that_differ() {
        let port = |published: Option<(u16, u16)>,
                    target: u16,
                    ip: Option<&str>,
                    protocol: &str| {
            let published = published.map(|(first, last)| json!({"first": first, "last": last}));
            json!({"host_ip": ip, "published": published, "target": target, "protocol": protocol})
        };
        let same = port(Some((1, 1)), 1, None, "tcp");
        let old = json!([same, port(Some((8080, 8080)), 80, None, "tcp")]);
        let new = json!([
            same,
            port(Some((9000, 9010)), 80, Some("::1"), "udp"),
            port(None, 443, Some("127.0.0.1"), "tcp")
        ]);
        assert_eq!(
            texts("ports", &old, &new),
            pair("8080:80", "[::1]:9000-9010:80/udp, 127.0.0.1::443")
        );
        assert_eq!(texts("ports", &json!([]), &json!([same])), pair("", "1:1"));
    }

    #[test]
    fn what_a_spec_keeps_in_another_form_is_written_as_in_a_file() {
        let retries = json!({"on_failure": {"max_retries": 3}});
        assert_eq!(
            texts("restart", &json!("unless_stopped"), &retries),
            pair("\"unless-stopped\"", "\"on-failure:3\"")
        );
        assert_eq!(
            texts(
                "healthcheck.probe",
                &json!({"shell": "true"}),
                &json!("disabled")
            ),
            pair("\"true\"", "NONE")
        );
        assert_eq!(
            texts(
                "limits.cpu_nanos",
                &json!(1_000_000_000),
                &json!(500_000_000)
            ),
            pair("1", "0.5")
        );
        let service = json!({"service": {"service": "db", "container": "demo-db-1"}});
        let networks = json!({"endpoints": [{"key": "back"}, {"key": "front"}]});
        assert_eq!(
            texts("network", &networks, &service),
            pair("networks back, front", "\"service:db\"")
        );
    }
}
