//! One container's names in one network, as a file that its monitor writes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::runtime::network::NetworkError;
use crate::runtime::store::{Durability, make_dir, read_json, remove_tree, write_json};

/// The names under which one container is found in one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameRecord {
    /// The container's name, which a question about its address is answered with.
    pub container: String,
    /// Every name it goes by: container name, service, aliases, short id.
    pub names: Vec<String>,
    /// Its IPv4 address in this network.
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address in this network.
    pub ipv6: Option<Ipv6Addr>,
    /// Whether it may be sent work: no health check, or one that says so.
    pub healthy: bool,
}

impl NameRecord {
    /// Returns the addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.ipv4
            .map(IpAddr::V4)
            .into_iter()
            .chain(self.ipv6.map(IpAddr::V6))
    }
}

/// Writes or replaces the record of the container with this id in a network's folder.
pub fn write_record(
    folder: &Path,
    container_id: &str,
    record: &NameRecord,
) -> Result<(), NetworkError> {
    let path = folder.join(format!("{container_id}.json"));
    let failed = |source| NetworkError::Record {
        container: record.container.clone(),
        source,
    };
    match write_json(&path, record, Durability::Cached) {
        // The first container of a network makes the folder.
        Err(error) if is_missing_folder(&error) => make_dir(folder)
            .and_then(|()| write_json(&path, record, Durability::Cached))
            .map_err(failed),
        other => other.map_err(failed),
    }
}

fn is_missing_folder(error: &crate::runtime::store::StoreError) -> bool {
    use crate::runtime::store::StoreError;
    matches!(error, StoreError::Write { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

/// Removes the record; one that is not there is fine.
pub fn remove_record(folder: &Path, container_id: &str) -> Result<(), NetworkError> {
    remove_tree(&folder.join(format!("{container_id}.json"))).map_err(|source| {
        NetworkError::Record {
            container: container_id.to_owned(),
            source,
        }
    })
}

/// Reads every record of a network, in the order of their file names.
///
/// A record that cannot be read is left out: one broken file must not take all names away.
pub fn load(folder: &Path) -> Vec<NameRecord> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    paths.sort();
    paths
        .iter()
        .filter_map(|path| read_json(path).ok().flatten())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_there_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("names/demo_default");
        let record = NameRecord {
            container: "demo-web-1".to_owned(),
            names: vec!["web".to_owned()],
            ipv4: Some(Ipv4Addr::new(10, 0, 0, 2)),
            ipv6: None,
            healthy: true,
        };
        assert_eq!(load(&folder), []);
        write_record(&folder, "abc", &record).unwrap();
        crate::runtime::store::write_atomic(&folder.join("x.json"), b"{", Durability::Cached)
            .unwrap();
        assert_eq!(load(&folder), [record]);
        remove_record(&folder, "abc").unwrap();
        remove_record(&folder, "abc").unwrap();
        assert_eq!(load(&folder), []);
    }
}
