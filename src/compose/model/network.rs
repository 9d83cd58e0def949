//! The networks, volumes and models of a project.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::compose::diagnostic::Diagnostic;
use crate::compose::model::field::{
    Field, Form, child, containers, extensions, named, print_extensions, record,
};
use crate::compose::model::outline;
use crate::compose::model::{Extensions, Options};
use crate::compose::tree::Node;

record! {
    /// A network of the project.
    Network {
        /// Its real name.
        name: Option<String> = "name",
        /// Its driver.
        driver: Option<String> = "driver",
        /// Options of the driver.
        driver_opts: Options = "driver_opts",
        /// Its address ranges.
        ipam: Ipam = "ipam",
        /// Managed by somebody else.
        external: bool = "external",
        /// Without a way to the outside.
        internal: bool = "internal",
        /// Other containers may join it.
        attachable: bool = "attachable",
        /// Its labels.
        labels: Options = "labels",
        /// Whether it has IPv4 addresses.
        enable_ipv4: Option<bool> = "enable_ipv4",
        /// Whether it has IPv6 addresses.
        enable_ipv6: Option<bool> = "enable_ipv6",
    }
}
named!(Network);

/// The address ranges of a network.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ipam {
    /// The address manager.
    pub driver: Option<String>,
    /// The ranges.
    pub config: Vec<IpamPool>,
    /// Options of the address manager.
    pub options: BTreeMap<String, String>,
    /// The `x-*` keys.
    pub extensions: Extensions,
}

impl Field for Ipam {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        Self {
            driver: child(node, "driver", faults),
            config: child(node, "config", faults),
            options: child(node, "options", faults),
            extensions: extensions(node),
        }
    }

    fn schema() -> Json {
        outline::record([
            (
                "driver",
                "The driver that manages addresses.",
                outline::text(),
            ),
            ("config", "The ranges.", Vec::<IpamPool>::schema()),
            (
                "options",
                "Options of the address manager.",
                outline::named(outline::text()),
            ),
        ])
    }

    fn print(&self, form: Form) -> Option<Json> {
        let mut out = serde_json::Map::new();
        let mut put = |key: &str, value: Option<Json>| {
            out.extend(value.map(|value| (key.to_owned(), value)));
        };
        put("driver", self.driver.print(form));
        put("config", self.config.print(form));
        put("options", self.options.print(form));
        print_extensions(&self.extensions, form, &mut out);
        (form == Form::Json || !out.is_empty()).then_some(Json::Object(out))
    }
}

record! {
    /// One address range of a network.
    IpamPool {
        /// The subnet.
        subnet: Option<String> = "subnet",
        /// The gateway.
        gateway: Option<String> = "gateway",
        /// The part of the subnet that containers get addresses from.
        ip_range: Option<String> = "ip_range",
        /// Addresses that are taken, by name.
        aux_addresses: BTreeMap<String, String> = "aux_addresses",
    }
}
containers!(IpamPool);

record! {
    /// A volume of the project.
    Volume {
        /// Its real name.
        name: Option<String> = "name",
        /// Its driver.
        driver: Option<String> = "driver",
        /// Options of the driver.
        driver_opts: Options = "driver_opts",
        /// Managed by somebody else.
        external: bool = "external",
        /// Its labels.
        labels: Options = "labels",
    }
}
named!(Volume);

record! {
    /// A model that services use.
    Model {
        /// Its real name.
        name: Option<String> = "name",
        /// The artifact that holds it.
        model: Option<String> = "model",
        /// The number of tokens of its context.
        context_size: i64 = "context_size",
        /// Flags of the engine that runs it.
        runtime_flags: Vec<String> = "runtime_flags",
    }
}
named!(Model);
