//! The smaller sections of a service.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::compose::diagnostic::Diagnostic;
use crate::compose::model::Extensions;
use crate::compose::model::field::{
    Field, Form, child, containers, extensions, named, print_extensions, record,
};
use crate::compose::model::outline;
use crate::compose::tree::Node;
use crate::value::{ByteSize, Duration};

/// Options that are passed on as they are.
pub type Options = BTreeMap<String, String>;

record! {
    /// How a container tells that it works.
    Healthcheck {
        /// The command, starting with `CMD`, `CMD-SHELL` or `NONE`.
        test: Vec<String> = "test",
        /// How long one probe may take.
        timeout: Option<Duration> = "timeout",
        /// The pause between probes.
        interval: Option<Duration> = "interval",
        /// How many failures in a row make it unhealthy.
        retries: Option<u64> = "retries",
        /// How long failures do not count.
        start_period: Option<Duration> = "start_period",
        /// The pause between probes during the start period.
        start_interval: Option<Duration> = "start_interval",
        /// Switches the image's probe off.
        disable: bool = "disable",
    }
}
containers!(Healthcheck);

record! {
    /// Where a container's output goes.
    Logging {
        /// The driver.
        driver: Option<String> = "driver",
        /// Options of the driver.
        options: Options = "options",
    }
}
containers!(Logging);

record! {
    /// A device of the host in the container.
    Device {
        /// The device on the host, or a CDI name.
        source: Option<String> = "source",
        /// The device in the container.
        target: Option<String> = "target",
        /// Some of `r`, `w`, `m`.
        permissions: Option<String> = "permissions",
    }
}
containers!(Device);

record! {
    /// Credentials of a Windows container.
    CredentialSpec {
        /// The config that holds them.
        config: Option<String> = "config",
        /// The file that holds them.
        file: Option<String> = "file",
        /// The registry key that holds them.
        registry: Option<String> = "registry",
    }
}
containers!(CredentialSpec);

record! {
    /// A service that a program outside provides.
    Provider {
        /// The program.
        kind: Option<String> = "type",
        /// Its options; each may be given several times.
        options: BTreeMap<String, Vec<String>> = "options",
    }
}
containers!(Provider);
named!(Vec<String>);

record! {
    /// How a service learns about a model.
    ServiceModel {
        /// The variable that holds the model's URL.
        endpoint_var: Option<String> = "endpoint_var",
        /// The variable that holds the model's name.
        model_var: Option<String> = "model_var",
    }
}
containers!(ServiceModel);
named!(Option<ServiceModel>);

record! {
    /// How a service takes part in a network.
    ServiceNetwork {
        /// Further names of the service in this network.
        aliases: Vec<String> = "aliases",
        /// Options of the driver for this endpoint.
        driver_opts: Options = "driver_opts",
        /// The network with the highest one has the default gateway.
        gw_priority: i64 = "gw_priority",
        /// The interface's name in the container.
        interface_name: Option<String> = "interface_name",
        /// A fixed IPv4 address.
        ipv4_address: Option<String> = "ipv4_address",
        /// A fixed IPv6 address.
        ipv6_address: Option<String> = "ipv6_address",
        /// Link-local addresses.
        link_local_ips: Vec<String> = "link_local_ips",
        /// A fixed hardware address.
        mac_address: Option<String> = "mac_address",
        /// The order of connecting, highest first.
        priority: i64 = "priority",
    }
}
containers!(ServiceNetwork);
named!(Option<ServiceNetwork>);

record! {
    /// The service that a service was made from; left only where it could not be followed.
    Extends {
        /// The file that holds it.
        file: Option<String> = "file",
        /// The service.
        service: Option<String> = "service",
    }
}
containers!(Extends);

/// A file of variables for the container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnvFile {
    /// The file.
    pub path: String,
    /// Whether it must exist.
    pub required: bool,
    /// How it is read: `raw` takes values as they are.
    pub format: Option<String>,
}
containers!(EnvFile);

impl Field for EnvFile {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        Self {
            path: child(node, "path", faults),
            required: child::<Option<bool>>(node, "required", faults).unwrap_or(true),
            format: child(node, "format", faults),
        }
    }

    fn schema() -> Json {
        let long = outline::record([
            ("path", "The file.", outline::text()),
            ("required", "Whether it must exist.", outline::flag()),
            ("format", "How it is read.", outline::text()),
        ]);
        json!({ "anyOf": [outline::text(), long] })
    }

    fn print(&self, form: Form) -> Option<Json> {
        if self.required {
            return Some(json!(self.path));
        }
        let mut out = serde_json::Map::new();
        out.insert("path".to_owned(), json!(self.path));
        out.insert("required".to_owned(), json!(false));
        out.extend(
            self.format
                .print(form)
                .map(|format| ("format".to_owned(), format)),
        );
        Some(Json::Object(out))
    }
}

/// What a dependent waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DependencyCondition {
    /// The dependency runs.
    #[default]
    Started,
    /// The dependency is healthy.
    Healthy,
    /// The dependency ended with exit code zero.
    CompletedSuccessfully,
}

impl DependencyCondition {
    /// Returns the name that Compose files use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "service_started",
            Self::Healthy => "service_healthy",
            Self::CompletedSuccessfully => "service_completed_successfully",
        }
    }
}

/// A service that must be there first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dependency {
    /// What to wait for.
    pub condition: DependencyCondition,
    /// Restarts the dependent when the dependency is replaced.
    pub restart: bool,
    /// Fails when the dependency is missing.
    pub required: bool,
    /// The `x-*` keys.
    pub extensions: Extensions,
}
named!(Dependency);

impl Field for Dependency {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        let condition = match node.get("condition").and_then(Node::as_text) {
            Some("service_healthy") => DependencyCondition::Healthy,
            Some("service_completed_successfully") => DependencyCondition::CompletedSuccessfully,
            _ => DependencyCondition::Started,
        };
        Self {
            condition,
            restart: child(node, "restart", faults),
            required: child::<Option<bool>>(node, "required", faults).unwrap_or(true),
            extensions: extensions(node),
        }
    }

    fn schema() -> Json {
        outline::record([
            ("condition", "What to wait for.", outline::text()),
            (
                "restart",
                "Restarts the dependent when the dependency is replaced.",
                outline::flag(),
            ),
            (
                "required",
                "Fails when the dependency is missing.",
                outline::flag(),
            ),
        ])
    }

    fn print(&self, form: Form) -> Option<Json> {
        let mut out = serde_json::Map::new();
        out.insert("condition".to_owned(), json!(self.condition.as_str()));
        if self.restart {
            out.insert("restart".to_owned(), json!(true));
        }
        out.insert("required".to_owned(), json!(self.required));
        print_extensions(&self.extensions, form, &mut out);
        Some(Json::Object(out))
    }
}

/// A resource limit of the processes in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ulimit {
    /// One value for both sides.
    Single(i64),
    /// Both sides.
    Range {
        /// What the process gets.
        soft: i64,
        /// What the process may raise it to.
        hard: i64,
    },
}
named!(Ulimit);

impl Default for Ulimit {
    fn default() -> Self {
        Self::Range { soft: 0, hard: 0 }
    }
}

impl Ulimit {
    /// Returns what the process gets.
    pub fn soft(self) -> i64 {
        match self {
            Self::Single(value) | Self::Range { soft: value, .. } => value,
        }
    }

    /// Returns what the process may raise it to.
    pub fn hard(self) -> i64 {
        match self {
            Self::Single(value) | Self::Range { hard: value, .. } => value,
        }
    }
}

impl Field for Ulimit {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        if node.as_map().is_none() {
            return match Field::read(node, faults) {
                0 => Self::default(),
                both => Self::Single(both),
            };
        }
        let mut side = |key| child(node, key, faults);
        Self::Range {
            soft: side("soft"),
            hard: side("hard"),
        }
    }

    fn schema() -> Json {
        let range = outline::record([
            ("soft", "What the process gets.", outline::whole()),
            (
                "hard",
                "What the process may raise it to.",
                outline::whole(),
            ),
        ]);
        json!({ "anyOf": [outline::whole(), range] })
    }

    fn print(&self, form: Form) -> Option<Json> {
        match (*self, form) {
            (Self::Single(both), _) => Some(json!(both)),
            (Self::Range { soft, hard }, Form::Yaml) => Some(json!({ "soft": soft, "hard": hard })),
            (Self::Range { soft, hard }, Form::Json) => {
                let mut out = serde_json::Map::new();
                out.extend(soft.print(form).map(|soft| ("soft".to_owned(), soft)));
                out.extend(hard.print(form).map(|hard| ("hard".to_owned(), hard)));
                Some(Json::Object(out))
            }
        }
    }
}

record! {
    /// Weights and rates of block devices.
    BlkioConfig {
        /// The share of block I/O.
        weight: u16 = "weight",
        /// The share on single devices.
        weight_device: Vec<WeightDevice> = "weight_device",
        /// Bytes read per second.
        device_read_bps: Vec<Throttle> = "device_read_bps",
        /// Reads per second.
        device_read_iops: Vec<Throttle> = "device_read_iops",
        /// Bytes written per second.
        device_write_bps: Vec<Throttle> = "device_write_bps",
        /// Writes per second.
        device_write_iops: Vec<Throttle> = "device_write_iops",
    }
}
containers!(BlkioConfig);

/// The share of block I/O on one device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WeightDevice {
    /// The device.
    pub path: String,
    /// The share.
    pub weight: u16,
}
containers!(WeightDevice);

impl Field for WeightDevice {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        Self {
            path: child(node, "path", faults),
            weight: child(node, "weight", faults),
        }
    }

    fn schema() -> Json {
        outline::record([
            ("Path", "The device.", outline::text()),
            ("Weight", "The share.", outline::whole()),
        ])
    }

    fn print(&self, form: Form) -> Option<Json> {
        Some(match form {
            Form::Json => json!({ "Path": self.path, "Weight": self.weight }),
            Form::Yaml => json!({ "path": self.path, "weight": self.weight }),
        })
    }
}

/// A rate limit on one device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Throttle {
    /// The device.
    pub path: String,
    /// Bytes or operations per second.
    pub rate: Option<ByteSize>,
}
containers!(Throttle);

impl Field for Throttle {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        Self {
            path: child(node, "path", faults),
            rate: child(node, "rate", faults),
        }
    }

    fn schema() -> Json {
        outline::record([
            ("Path", "The device.", outline::text()),
            ("Rate", "Bytes or operations per second.", outline::text()),
        ])
    }

    fn print(&self, form: Form) -> Option<Json> {
        let rate = self.rate.unwrap_or_default().to_string();
        Some(match form {
            Form::Json => json!({ "Path": self.path, "Rate": rate }),
            Form::Yaml => json!({ "path": self.path, "rate": rate }),
        })
    }
}
