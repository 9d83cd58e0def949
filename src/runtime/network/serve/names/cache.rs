//! The records of a container's networks, read again when their folders changed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crate::runtime::network::names::{NameTable, NetworkNames, load};
use crate::runtime::network::serve::ServedNetwork;

/// Two changes this close together may carry the same time of change (a tick of the kernel's clock).
const TIME_GRAIN: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Cache {
    table: NameTable,
    folders: Vec<Folder>,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    changed: Option<SystemTime>,
    /// When it was read, until no later change can hide behind the same time of change.
    fresh_since: Option<Instant>,
}

impl Cache {
    pub(super) fn new(networks: Vec<ServedNetwork>, links: BTreeMap<String, String>) -> Self {
        let links = links
            .into_iter()
            .map(|(alias, name)| (alias.to_ascii_lowercase(), name));
        let mut table = NameTable {
            networks: Vec::new(),
            links: links.collect(),
        };
        let mut folders = Vec::new();
        for network in networks {
            folders.push(Folder {
                path: network.folder,
                changed: None,
                fresh_since: None,
            });
            table.networks.push(NetworkNames {
                network: network.name,
                subnets: network.subnets,
                records: Vec::new(),
            });
        }
        Self { table, folders }
    }

    /// Returns the table as the folders are now.
    pub(super) fn table(&mut self, now: Instant) -> &NameTable {
        for (folder, names) in self.folders.iter_mut().zip(&mut self.table.networks) {
            if folder.must_be_read(now) {
                names.records = load(&folder.path);
            }
        }
        &self.table
    }
}

impl Folder {
    fn must_be_read(&mut self, now: Instant) -> bool {
        let changed = std::fs::metadata(&self.path)
            .and_then(|data| data.modified())
            .ok();
        if changed != self.changed {
            self.changed = changed;
            self.fresh_since = Some(now);
            return true;
        }
        match self.fresh_since {
            Some(since) if now.duration_since(since) >= TIME_GRAIN => {
                self.fresh_since = None;
                true
            }
            Some(_) => true,
            None => false,
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test starts its clock somewhere"
)]
mod tests {
    use super::*;
    use crate::runtime::network::names::{NameRecord, remove_record, write_record};

    #[test]
    fn a_change_is_seen_by_the_next_question() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("net");
        let network = ServedNetwork {
            name: "net".to_owned(),
            folder: folder.clone(),
            subnets: Vec::new(),
        };
        let mut cache = Cache::new(vec![network], BTreeMap::new());
        let mut now = Instant::now();
        let mut has_web = |cache: &mut Cache| {
            now += Duration::from_millis(1);
            cache.table(now).addresses("web").is_some()
        };
        assert!(!has_web(&mut cache));
        let record = NameRecord {
            container: "web".to_owned(),
            names: Vec::new(),
            ipv4: Some([10, 0, 0, 2].into()),
            ipv6: None,
            healthy: true,
        };
        for _ in 0..20 {
            write_record(&folder, "a", &record).unwrap();
            assert!(has_web(&mut cache));
            remove_record(&folder, "a").unwrap();
            assert!(!has_web(&mut cache));
        }
    }
}
