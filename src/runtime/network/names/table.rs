//! All records that one container may see, into addresses for a name and names for an address; pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::value::Cidr;

use super::NameRecord;

/// The records of one network that the container is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkNames {
    /// The network's name: `web.demo_default` is found as well as `web`.
    pub network: String,
    /// Its subnets: nobody outside knows names for their addresses.
    pub subnets: Vec<Cidr>,
    /// Who is in it.
    pub records: Vec<NameRecord>,
}

/// What one container may ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameTable {
    /// Its networks.
    pub networks: Vec<NetworkNames>,
    /// Names that only this container uses, each for a name that its networks know.
    pub links: BTreeMap<String, String>,
}

/// What is known about an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// The container that has it, with its network.
    Container(String),
    /// An address of ours that nobody has.
    Nobody,
    /// Not an address of the container's networks.
    Elsewhere,
}

impl NameTable {
    /// Returns the addresses for a name, or `None` when no network knows it.
    ///
    /// Only healthy containers count, unless none is: the last resort is better than no answer.
    pub fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        let name = name.to_ascii_lowercase();
        let target = self.links.get(&name).map_or(name.as_str(), String::as_str);
        let records: Vec<&NameRecord> = self
            .networks
            .iter()
            .flat_map(|network| {
                network
                    .records
                    .iter()
                    .filter(|record| network.has(record, target))
            })
            .collect();
        if records.is_empty() {
            return None;
        }
        let any_healthy = records.iter().any(|record| record.healthy);
        let chosen = records
            .iter()
            .filter(|record| record.healthy || !any_healthy);
        let mut addresses: Vec<IpAddr> = chosen.flat_map(|record| record.addresses()).collect();
        addresses.sort();
        addresses.dedup();
        Some(addresses)
    }

    /// Returns who has an address.
    pub fn owner(&self, address: IpAddr) -> Owner {
        let has = |record: &&NameRecord| record.addresses().any(|own| own == address);
        let found = self.networks.iter().find_map(|network| {
            let record = network.records.iter().find(has)?;
            Some(Owner::Container(format!(
                "{}.{}",
                record.container, network.network
            )))
        });
        let ours = || self.networks.iter().flat_map(|network| &network.subnets);
        found.unwrap_or_else(|| {
            if ours().any(|subnet| subnet.contains(address)) {
                Owner::Nobody
            } else {
                Owner::Elsewhere
            }
        })
    }
}

impl NetworkNames {
    fn has(&self, record: &NameRecord, name: &str) -> bool {
        let short = name
            .strip_suffix(&self.network.to_ascii_lowercase())
            .and_then(|rest| rest.strip_suffix('.'));
        let goes_by = |name: &str| {
            record.container.eq_ignore_ascii_case(name)
                || record
                    .names
                    .iter()
                    .any(|own| own.eq_ignore_ascii_case(name))
        };
        goes_by(name) || short.is_some_and(goes_by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(container: &str, name: &str, ip: &str, healthy: bool) -> NameRecord {
        NameRecord {
            container: container.to_owned(),
            names: vec![name.to_owned()],
            ipv4: Some(ip.parse().unwrap()),
            ipv6: None,
            healthy,
        }
    }

    fn table(records: Vec<NameRecord>) -> NameTable {
        let network = "demo_default".to_owned();
        let subnets = vec!["10.0.0.0/24".parse().unwrap()];
        let networks = vec![NetworkNames {
            network,
            subnets,
            records,
        }];
        let links = BTreeMap::from([("database".to_owned(), "db".to_owned())]);
        NameTable { networks, links }
    }

    fn ips(texts: &[&str]) -> Option<Vec<IpAddr>> {
        Some(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn a_service_is_all_of_its_healthy_replicas() {
        let table = table(vec![
            record("demo-db-1", "db", "10.0.0.2", true),
            record("demo-db-2", "db", "10.0.0.3", false),
            record("demo-db-3", "db", "10.0.0.4", true),
        ]);
        assert_eq!(table.addresses("db"), ips(&["10.0.0.2", "10.0.0.4"]));
        assert_eq!(
            table.addresses("DB.Demo_Default"),
            ips(&["10.0.0.2", "10.0.0.4"])
        );
        assert_eq!(table.addresses("database"), ips(&["10.0.0.2", "10.0.0.4"]));
        assert_eq!(table.addresses("demo-db-2"), ips(&["10.0.0.3"]));
        assert_eq!(table.addresses("db.other"), None);
        assert_eq!(table.addresses("d"), None);
    }

    #[test]
    fn when_none_is_healthy_all_are_answered() {
        let table = table(vec![record("demo-db-1", "db", "10.0.0.2", false)]);
        assert_eq!(table.addresses("db"), ips(&["10.0.0.2"]));
    }

    #[test]
    fn an_address_of_ours_is_never_asked_for_elsewhere() {
        let table = table(vec![record("demo-db-1", "db", "10.0.0.2", true)]);
        let owner = |text: &str| table.owner(text.parse().unwrap());
        assert_eq!(
            owner("10.0.0.2"),
            Owner::Container("demo-db-1.demo_default".to_owned())
        );
        assert_eq!(owner("10.0.0.9"), Owner::Nobody);
        assert_eq!(owner("10.0.1.9"), Owner::Elsewhere);
    }
}
