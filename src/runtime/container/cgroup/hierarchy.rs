//! Which cgroup hierarchies this machine has, and where in them we are.

use std::path::{Path, PathBuf};

use super::file;
use crate::runtime::container::error::ContainerError;

/// Which generations of cgroups are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// None that we can see.
    None,
    /// Controllers in v1 hierarchies only.
    V1,
    /// Controllers in v1 hierarchies, and a v2 hierarchy beside them.
    Hybrid,
    /// One v2 hierarchy.
    V2,
}

/// The mounted hierarchies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hierarchies {
    pub(super) v1: Vec<Hierarchy>,
    pub(super) v2: Option<Hierarchy>,
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// The controllers of a v1 hierarchy, comma-separated as the kernel names them; empty for v2.
    pub(super) controllers: String,
    /// Where it is mounted.
    pub(super) mount: PathBuf,
    /// The directory of our own cgroup in it.
    pub(super) own: PathBuf,
}

impl Hierarchies {
    /// Reads what is mounted in our mount namespace.
    pub fn detect() -> Result<Self, ContainerError> {
        let mounts = file::read(Path::new("/proc/self"), "mountinfo")?;
        let own = file::read(Path::new("/proc/self"), "cgroup")?;
        Ok(Self::parse(&mounts, &own))
    }

    fn parse(mounts: &str, own: &str) -> Self {
        let mut found = Self::default();
        for line in mounts.lines() {
            let Some((before, after)) = line.split_once(" - ") else {
                continue;
            };
            let fields: Vec<&str> = before.split(' ').collect();
            let (Some(root), Some(mount)) = (fields.get(3), fields.get(4)) else {
                continue;
            };
            let tail: Vec<&str> = after.split(' ').collect();
            let (Some(kind), Some(options)) = (tail.first(), tail.get(2)) else {
                continue;
            };
            let place = |controllers: &str| Hierarchy {
                controllers: controllers.to_owned(),
                mount: PathBuf::from(mount),
                own: own_directory(own, controllers, root, mount),
            };
            match *kind {
                "cgroup2" if found.v2.is_none() => found.v2 = Some(place("")),
                "cgroup" => found.add_v1(controllers_of(own, options).map(place)),
                _ => {}
            }
        }
        found
    }

    /// Keeps the first of several mounts of one hierarchy.
    fn add_v1(&mut self, place: Option<Hierarchy>) {
        let is_new = |place: &Hierarchy| {
            self.v1
                .iter()
                .all(|other| other.controllers != place.controllers)
        };
        let place = place.filter(is_new);
        self.v1.extend(place);
    }

    /// Says which generations there are.
    pub fn mode(&self) -> Mode {
        match (self.v1.is_empty(), &self.v2) {
            (true, None) => Mode::None,
            (true, Some(_)) => Mode::V2,
            (false, None) => Mode::V1,
            (false, Some(_)) => Mode::Hybrid,
        }
    }

    /// Returns the controllers of each v1 hierarchy as it is to be mounted in a container.
    pub(crate) fn v1_mounts(&self) -> impl ExactSizeIterator<Item = &str> + '_ {
        self.v1
            .iter()
            .map(|hierarchy| hierarchy.controllers.as_str())
    }

    /// Says whether there is a v2 hierarchy.
    pub(crate) fn has_v2(&self) -> bool {
        self.v2.is_some()
    }

    /// Returns the v1 hierarchy that has this controller.
    pub(super) fn v1_of(&self, controller: &str) -> Option<&Hierarchy> {
        self.v1.iter().find(|hierarchy| {
            hierarchy
                .controllers
                .split(',')
                .any(|one| one == controller)
        })
    }
}

/// Finds the line of `/proc/self/cgroup` whose controllers a mount with these options has.
fn controllers_of<'a>(own: &'a str, options: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let controllers = line.split(':').nth(1)?;
        let named = controllers.is_empty() || controllers.starts_with("name=");
        let all = || {
            controllers
                .split(',')
                .all(|one| options.split(',').any(|other| other == one))
        };
        (!named && all()).then_some(controllers)
    })
}

/// Returns our own directory below a mount that shows the hierarchy from `root` on.
fn own_directory(own: &str, controllers: &str, root: &str, mount: &str) -> PathBuf {
    let line = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        (fields.nth(1)? == controllers)
            .then(|| fields.next())
            .flatten()
    });
    let path = Path::new(line.unwrap_or("/"));
    match path.strip_prefix(root) {
        Ok(below) => Path::new(mount).join(below),
        // Outside of what the mount shows: as in a container that was given a part of it.
        Err(_) => PathBuf::from(mount),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n\
        23 1 8:1 / / rw - ext4 /dev/root rw\n";
    const OWN: &str = "9:name=systemd:/\n4:memory:/group/a:b\n1:cpu:/\n0::/\n";

    #[test]
    fn a_hybrid_machine_is_seen_as_one() {
        let found = Hierarchies::parse(HYBRID, OWN);
        assert_eq!(found.mode(), Mode::Hybrid);
        assert_eq!(found.v1_mounts().collect::<Vec<_>>(), ["cpu", "memory"]);
        let memory = found.v1_of("memory").unwrap();
        assert_eq!(memory.own, Path::new("/sys/fs/cgroup/memory/group/a:b"));
    }

    #[test]
    fn a_machine_with_v2_only_is_seen_as_one() {
        let mounts = "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = Hierarchies::parse(mounts, "0::/user.slice/user-1000.slice\n");
        assert_eq!(found.mode(), Mode::V2);
        let own = found.v2.unwrap().own;
        assert_eq!(own, Path::new("/sys/fs/cgroup/user.slice/user-1000.slice"));
    }

    #[test]
    fn controllers_that_are_mounted_together_stay_together() {
        let mounts = "33 32 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";
        let found = Hierarchies::parse(mounts, "4:cpu,cpuacct:/\n");
        assert_eq!(found.mode(), Mode::V1);
        assert!(found.v1_of("cpuacct").is_some());
    }
}
