//! How many replicas run, with which resources, and how they are replaced.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::compose::diagnostic::Diagnostic;
use crate::compose::model::field::{Field, Form, child, containers, record};
use crate::compose::model::outline;
use crate::compose::tree::{Node, Value};
use crate::value::{ByteSize, Duration};

record! {
    /// The `deploy` section of a service.
    Deploy {
        /// `replicated`, `global` or one of the job modes.
        mode: Option<String> = "mode",
        /// How many containers run.
        replicas: Option<i64> = "replicas",
        /// Labels of the service, not of its containers.
        labels: BTreeMap<String, String> = "labels",
        /// How containers are replaced by newer ones.
        update_config: Option<UpdateConfig> = "update_config",
        /// How a failed replacement is taken back.
        rollback_config: Option<UpdateConfig> = "rollback_config",
        /// Limits and reservations.
        resources: Resources = "resources",
        /// When a container is started again.
        restart_policy: Option<RestartPolicy> = "restart_policy",
        /// Where replicas may run.
        placement: Placement = "placement",
        /// How replicas are reached: `vip` or `dnsrr`.
        endpoint_mode: Option<String> = "endpoint_mode",
    }
}
containers!(Deploy);

record! {
    /// How containers are replaced, or how that is taken back.
    UpdateConfig {
        /// How many at a time; zero means all.
        parallelism: Option<u64> = "parallelism",
        /// The pause between groups.
        delay: Option<Duration> = "delay",
        /// `continue`, `rollback` or `pause`.
        failure_action: Option<String> = "failure_action",
        /// How long a new container is watched for failure.
        monitor: Option<Duration> = "monitor",
        /// The share of failures that is tolerated.
        max_failure_ratio: f32 = "max_failure_ratio",
        /// `stop-first` or `start-first`.
        order: Option<String> = "order",
    }
}
containers!(UpdateConfig);

/// Limits and reservations of a service's containers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resources {
    /// What a container may use at most.
    pub limits: Option<Resource>,
    /// What a container is promised.
    pub reservations: Option<Resource>,
}

impl Field for Resources {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        let mut side = |key| node.get(key).and_then(|child| Field::read(child, faults));
        Self {
            limits: side("limits"),
            reservations: side("reservations"),
        }
    }

    fn schema() -> Json {
        outline::record([
            (
                "limits",
                "What a container may use at most.",
                Resource::schema(),
            ),
            (
                "reservations",
                "What a container is promised.",
                Resource::schema(),
            ),
        ])
    }

    fn print(&self, form: Form) -> Option<Json> {
        let mut out = serde_json::Map::new();
        for (key, side) in [
            ("limits", &self.limits),
            ("reservations", &self.reservations),
        ] {
            out.extend(side.print(form).map(|value| (key.to_owned(), value)));
        }
        (form == Form::Json || !out.is_empty()).then_some(Json::Object(out))
    }
}

record! {
    /// One side of the resources of a container.
    Resource {
        /// Processors, as a fraction.
        cpus: f32 = "cpus",
        /// Memory.
        memory: Option<ByteSize> = "memory",
        /// Processes.
        pids: i64 = "pids",
        /// Devices by driver and capability.
        devices: Vec<DeviceRequest> = "devices",
        /// Resources that the operator defines.
        generic_resources: Vec<GenericResource> = "generic_resources",
    }
}
containers!(Resource);

/// A request for devices by driver, capability, count or identity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceRequest {
    /// What the devices must be able to do.
    pub capabilities: Vec<String>,
    /// The driver that provides them.
    pub driver: Option<String>,
    /// How many; -1 for all, zero when not given.
    pub count: i64,
    /// Which ones.
    pub device_ids: Vec<String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}
containers!(DeviceRequest);

impl Field for DeviceRequest {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        let strings = |key| node.get(key).map(|n| Field::read(n, &mut Vec::new()));
        Self {
            capabilities: strings("capabilities").unwrap_or_default(),
            driver: child(node, "driver", faults),
            count: node.get("count").map_or(0, |n| device_count(n, faults)),
            device_ids: strings("device_ids").unwrap_or_default(),
            options: child(node, "options", faults),
        }
    }

    fn schema() -> Json {
        outline::record([
            (
                "capabilities",
                "What the devices must be able to do.",
                outline::list(outline::text()),
            ),
            ("driver", "The driver that provides them.", outline::text()),
            ("count", "How many; -1 for all.", outline::whole()),
            ("device_ids", "Which ones.", outline::list(outline::text())),
            (
                "options",
                "Options of the driver.",
                outline::named(outline::text()),
            ),
        ])
    }

    fn print(&self, form: Form) -> Option<Json> {
        let mut out = serde_json::Map::new();
        let mut put = |key: &str, value: Option<Json>| {
            out.extend(value.map(|value| (key.to_owned(), value)));
        };
        put("capabilities", self.capabilities.print(form));
        put("driver", self.driver.print(form));
        put("count", self.count.print(form));
        put("device_ids", self.device_ids.print(form));
        put("options", self.options.print(form));
        Some(Json::Object(out))
    }
}

fn device_count(node: &Node, faults: &mut Vec<Diagnostic>) -> i64 {
    match &node.value {
        Value::Text(text) if text.eq_ignore_ascii_case("all") => -1,
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Map(_) => Field::read(node, faults),
    }
}

record! {
    /// A resource that the operator defines.
    GenericResource {
        /// A counted one.
        discrete_resource_spec: Option<DiscreteResource> = "discrete_resource_spec",
    }
}
containers!(GenericResource);

/// A counted resource that the operator defines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiscreteResource {
    /// Its name.
    pub kind: String,
    /// How many.
    pub value: i64,
}
containers!(DiscreteResource);

impl Field for DiscreteResource {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        Self {
            kind: child(node, "kind", faults),
            value: child(node, "value", faults),
        }
    }

    fn schema() -> Json {
        outline::record([
            ("kind", "Its name.", outline::text()),
            ("value", "How many.", outline::whole()),
        ])
    }

    fn print(&self, _: Form) -> Option<Json> {
        Some(json!({ "kind": self.kind, "value": self.value }))
    }
}

record! {
    /// When a container is started again.
    RestartPolicy {
        /// `none`, `on-failure` or `any`.
        condition: Option<String> = "condition",
        /// The pause before it.
        delay: Option<Duration> = "delay",
        /// How often at most.
        max_attempts: Option<u64> = "max_attempts",
        /// How long it must run to count as started.
        window: Option<Duration> = "window",
    }
}
containers!(RestartPolicy);

/// Where replicas may run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Placement {
    /// What a node must be.
    pub constraints: Vec<String>,
    /// How replicas are spread.
    pub preferences: Vec<Preference>,
    /// How many replicas one node may have; zero for any number.
    pub max_replicas_per_node: u64,
}

impl Field for Placement {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        Self {
            constraints: child(node, "constraints", faults),
            preferences: child(node, "preferences", faults),
            max_replicas_per_node: child(node, "max_replicas_per_node", faults),
        }
    }

    fn schema() -> Json {
        outline::record([
            (
                "constraints",
                "What a node must be.",
                outline::list(outline::text()),
            ),
            (
                "preferences",
                "How replicas are spread.",
                Vec::<Preference>::schema(),
            ),
            (
                "max_replicas_per_node",
                "How many replicas one node may have.",
                outline::whole(),
            ),
        ])
    }

    fn print(&self, form: Form) -> Option<Json> {
        let mut out = serde_json::Map::new();
        let mut put = |key: &str, value: Option<Json>| {
            out.extend(value.map(|value| (key.to_owned(), value)));
        };
        put("constraints", self.constraints.print(form));
        put("preferences", self.preferences.print(form));
        put(
            "max_replicas_per_node",
            self.max_replicas_per_node.print(form),
        );
        (form == Form::Json || !out.is_empty()).then_some(Json::Object(out))
    }
}

record! {
    /// How replicas are spread.
    Preference {
        /// The label of nodes over whose values they are spread.
        spread: Option<String> = "spread",
    }
}
containers!(Preference);
