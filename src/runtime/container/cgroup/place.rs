//! Making, finding and removing the directories of a container's cgroups.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;
use rustix::fs::{Access, Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::hierarchy::{Hierarchies, Hierarchy};
use super::{MARK, Unenforced, file, limits};
use crate::runtime::container::error::ContainerError;
use crate::runtime::kernel::sys::Territory;

/// Which cgroup a container belongs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The directory above it: `consort/<project>`, or what the user asked for.
    pub parent: String,
    /// The container's own directory: its id.
    pub name: String,
}

impl Placement {
    /// Returns the path below the hierarchy's root; refuses one that would lead elsewhere.
    fn path(&self) -> Result<PathBuf, ContainerError> {
        let parent = self.parent.trim_matches('/');
        let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.starts_with("cgroup.");
        let printable = |text: &str| !text.chars().any(char::is_control);
        let good = parent.split('/').all(plain) && plain(&self.name) && !self.name.contains('/');
        if !good || !printable(parent) || !printable(&self.name) {
            let shown = format!("{}/{}", self.parent, self.name);
            return Err(ContainerError::setting(
                "a cgroup",
                &shown,
                "it is not a plain path",
            ));
        }
        Ok(Path::new(parent).join(&self.name))
    }
}

/// The cgroups of one container, as remembered between commands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cgroup {
    /// From the root of each v1 hierarchy.
    pub(super) path: PathBuf,
    /// Directories of v1 hierarchies, by controllers.
    pub(super) v1: BTreeMap<String, PathBuf>,
    /// The directory of the v2 hierarchy.
    pub(super) v2: Option<PathBuf>,
}

/// The v1 controllers that every container gets: to count, to limit and to keep devices away.
const V1_ALWAYS: [&str; 3] = ["memory", "pids", "devices"];
/// What is needed where no v2 hierarchy freezes and counts.
const V1_WITHOUT_V2: [&str; 2] = ["freezer", "cpuacct"];

impl Cgroup {
    /// Makes the directories and sets the limits; says which limits could not be had.
    pub(crate) fn create(
        placement: &Placement,
        hierarchies: &Hierarchies,
        resources: &LinuxResources,
        territory: Territory,
    ) -> Result<(Self, Vec<Unenforced>), ContainerError> {
        let path = placement.path()?;
        let mut cgroup = Self {
            path: path.clone(),
            ..Self::default()
        };
        if let Some(v2) = &hierarchies.v2 {
            let controllers = limits::v2_controllers(resources);
            cgroup.v2 = make_surely(|| make_v2(v2, &path, &controllers, territory))?;
        }
        for controller in v1_controllers(hierarchies, resources) {
            cgroup.add_v1(controller, hierarchies)?;
        }
        let unenforced = limits::apply(&cgroup, hierarchies, resources)?;
        Ok((cgroup, unenforced))
    }

    fn add_v1(
        &mut self,
        controller: &str,
        hierarchies: &Hierarchies,
    ) -> Result<(), ContainerError> {
        let Some(hierarchy) = hierarchies.v1_of(controller) else {
            return Ok(());
        };
        if self.v1.contains_key(&hierarchy.controllers) {
            return Ok(());
        }
        match make_surely(|| make_v1(hierarchy, &self.path)) {
            Ok(dir) => {
                self.v1.insert(hierarchy.controllers.clone(), dir);
                Ok(())
            }
            Err(error) if file::is_out_of_reach(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Changes the limits of a running container; says which ones could not be had.
    ///
    /// A controller that nothing was limited by before takes the container in.
    pub fn update(
        &mut self,
        hierarchies: &Hierarchies,
        resources: &LinuxResources,
    ) -> Result<Vec<Unenforced>, ContainerError> {
        let before: BTreeSet<PathBuf> = self.v1.values().cloned().collect();
        for controller in limits::v1_controllers(resources) {
            self.add_v1(controller, hierarchies)?;
        }
        let unenforced = limits::apply(self, hierarchies, resources)?;
        for dir in self.v1.values().filter(|dir| !before.contains(*dir)) {
            for pid in self.processes()? {
                match file::write(dir, "cgroup.procs", &pid.to_string()) {
                    // It has ended meanwhile (ESRCH).
                    Ok(()) | Err(ContainerError::Cgroup { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(unenforced)
    }

    /// Returns the directory that has this v1 controller.
    pub(super) fn v1_dir(&self, controller: &str) -> Option<&Path> {
        let has = |names: &str| names.split(',').any(|name| name == controller);
        self.v1
            .iter()
            .find(|(names, _)| has(names))
            .map(|(_, dir)| dir.as_path())
    }

    /// Says whether there is any cgroup at all.
    pub fn is_empty(&self) -> bool {
        self.v1.is_empty() && self.v2.is_none()
    }

    /// Opens the v2 directory, for a process to begin in.
    pub(crate) fn open_v2(&self) -> Result<Option<OwnedFd>, ContainerError> {
        let Some(dir) = &self.v2 else { return Ok(None) };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(dir, flags, Mode::empty()).map_err(|errno| {
            ContainerError::Cgroup {
                act: "open",
                path: dir.clone(),
                source: errno.into(),
            }
        })?;
        Ok(Some(fd))
    }

    /// Opens the v1 `tasks` files, for a single-threaded process to enter.
    pub(crate) fn open_tasks(&self) -> Result<Vec<OwnedFd>, ContainerError> {
        let open = |dir: &PathBuf| {
            let path = dir.join("tasks");
            rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map_err(
                |errno| ContainerError::Cgroup {
                    act: "open",
                    path,
                    source: errno.into(),
                },
            )
        };
        self.v1.values().map(open).collect()
    }

    /// Removes the directories, and those above that hold no other container.
    ///
    /// Fails while a process is left in them.
    pub fn remove(&self) -> Result<(), ContainerError> {
        for dir in self.directories() {
            remove_tree(dir)?;
            remove_empty_parents(dir);
        }
        Ok(())
    }

    /// Returns all directories.
    pub(super) fn directories(&self) -> impl Iterator<Item = &Path> {
        self.v1.values().chain(&self.v2).map(PathBuf::as_path)
    }
}

fn v1_controllers(hierarchies: &Hierarchies, resources: &LinuxResources) -> BTreeSet<&'static str> {
    let mut wanted: BTreeSet<&str> = V1_ALWAYS.into();
    if hierarchies.v2.is_none() {
        wanted.extend(V1_WITHOUT_V2);
    }
    wanted.extend(limits::v1_controllers(resources));
    wanted
}

/// Removes what a container made below its cgroup, then the cgroup.
fn remove_tree(dir: &Path) -> Result<(), ContainerError> {
    if let Ok(entries) = std::fs::read_dir(dir) {
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove_tree(&entry.path())?;
            }
        }
    }
    file::remove_dir(dir)
}

/// Removes the project's directory and ours when the last container has gone.
fn remove_empty_parents(dir: &Path) {
    for parent in dir.ancestors().skip(1) {
        let ours = parent.components().any(|part| part.as_os_str() == MARK);
        // The next one up cannot be empty if this one is not.
        if !ours || rustix::fs::rmdir(parent).is_err() {
            return;
        }
    }
}

/// How often a directory may go away while one below it is made.
const MAKE_LIMIT: usize = 64;

/// Begins again when a directory above went away meanwhile: a container of somebody else was the last in
/// it. Once our own directory is there, those above it cannot go.
fn make_surely<T>(make: impl Fn() -> Result<T, ContainerError>) -> Result<T, ContainerError> {
    for _ in 1..MAKE_LIMIT {
        match make() {
            Err(error) if file::is_gone(&error) => {}
            made => return made,
        }
    }
    make()
}

fn make_v1(hierarchy: &Hierarchy, path: &Path) -> Result<PathBuf, ContainerError> {
    let mut dir = hierarchy.mount.clone();
    let is_cpuset = hierarchy
        .controllers
        .split(',')
        .any(|name| name == "cpuset");
    for part in path {
        let above = dir.clone();
        dir.push(part);
        if file::make_dir(&dir)? && is_cpuset {
            // Nobody can enter while these are empty.
            for name in ["cpuset.cpus", "cpuset.mems"] {
                file::write(&dir, name, file::read(&above, name)?.trim())?;
            }
        }
    }
    Ok(dir)
}

/// Returns `None` where we may make none.
fn make_v2(
    hierarchy: &Hierarchy,
    path: &Path,
    controllers: &BTreeSet<&'static str>,
    territory: Territory,
) -> Result<Option<PathBuf>, ContainerError> {
    let base = if territory == Territory::UserNamespace {
        let Some(base) = delegated(hierarchy) else {
            return Ok(None);
        };
        base
    } else {
        hierarchy.mount.clone()
    };
    let mut dir = base;
    for part in path {
        enable(&dir, controllers)?;
        dir.push(part);
        match file::make_dir(&dir) {
            Ok(_) => {}
            Err(error) if file::is_gone(&error) => return Err(error),
            Err(error) if file::is_out_of_reach(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(dir))
}

/// Passes controllers on to the directories below; which ones did not go is seen when limits are set.
fn enable(dir: &Path, controllers: &BTreeSet<&'static str>) -> Result<(), ContainerError> {
    let available = file::read(dir, "cgroup.controllers")?;
    let enabled = file::read(dir, "cgroup.subtree_control")?;
    let has = |text: &str, name: &str| text.split_ascii_whitespace().any(|word| word == name);
    for name in controllers {
        if has(&available, name) && !has(&enabled, name) {
            match file::write(dir, "cgroup.subtree_control", &format!("+{name}")) {
                // A delegated cgroup that still holds processes (EBUSY), or one that is not ours.
                Ok(()) | Err(ContainerError::Cgroup { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Returns the topmost cgroup from ours upwards that we may both populate and divide.
fn delegated(hierarchy: &Hierarchy) -> Option<PathBuf> {
    let may_write = |path: PathBuf| rustix::fs::access(path, Access::WRITE_OK).is_ok();
    let mut found = None;
    for dir in hierarchy.own.ancestors() {
        let usable = may_write(dir.to_owned())
            && may_write(dir.join("cgroup.procs"))
            && may_write(dir.join("cgroup.subtree_control"));
        if !usable {
            break;
        }
        found = Some(dir.to_owned());
        if dir == hierarchy.mount {
            break;
        }
    }
    found
}

/// Which cgroups below our mark are looked for.
#[derive(Clone, Copy)]
#[expect(
    missing_debug_implementations,
    reason = "there is nothing to show of a closure"
)]
pub struct Sought<'a> {
    /// Says of a project whether its cgroups are.
    pub projects: &'a dyn Fn(&str) -> bool,
    /// Says of a cgroup's own name whether it is.
    pub names: &'a dyn Fn(&str) -> bool,
}

/// Finds cgroups below our mark, by their path there: `<project>/<name>`.
///
/// Who finds that a container of this name is no more may remove them.
pub fn leftovers(
    hierarchies: &Hierarchies,
    territory: Territory,
    sought: Sought<'_>,
) -> BTreeMap<String, Cgroup> {
    let mut found: BTreeMap<String, Cgroup> = BTreeMap::new();
    for hierarchy in &hierarchies.v1 {
        for (name, dir) in marked(&hierarchy.mount, sought) {
            found
                .entry(name)
                .or_default()
                .v1
                .insert(hierarchy.controllers.clone(), dir);
        }
    }
    if let Some(v2) = &hierarchies.v2 {
        let base = if territory == Territory::UserNamespace {
            delegated(v2)
        } else {
            Some(v2.mount.clone())
        };
        for (name, dir) in base.iter().flat_map(|base| marked(base, sought)) {
            found.entry(name).or_default().v2 = Some(dir);
        }
    }
    found
}

fn marked(base: &Path, sought: Sought<'_>) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for (project, dir) in directories_in(&base.join(MARK), sought.projects) {
        for (name, container) in directories_in(&dir, sought.names) {
            found.push((format!("{project}/{name}"), container));
        }
    }
    found
}

/// Returns the directories in a directory whose names are sought.
fn directories_in(dir: &Path, sought: &dyn Fn(&str) -> bool) -> Vec<(String, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let named = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let is_sought = sought(&name) && entry.file_type().is_ok_and(|kind| kind.is_dir());
        is_sought.then(|| (name, entry.path()))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_made_while_others_remove_those_above() {
        let base = tempfile::tempdir().unwrap();
        let hierarchy = Hierarchy {
            controllers: "pids".to_owned(),
            mount: base.path().to_owned(),
            own: base.path().to_owned(),
        };
        let run = |name: &'static str| {
            let path = Path::new(MARK).join("project").join(name);
            let hierarchy = &hierarchy;
            move || {
                for _ in 0..2_000 {
                    let dir = make_surely(|| make_v1(hierarchy, &path)).unwrap();
                    file::remove_dir(&dir).unwrap();
                    remove_empty_parents(&dir);
                }
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(run("one"));
            scope.spawn(run("other"));
        });
        assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_placement_never_leads_elsewhere() {
        let path = |parent: &str, name: &str| {
            Placement {
                parent: parent.to_owned(),
                name: name.to_owned(),
            }
            .path()
        };
        assert_eq!(
            path("consort/shop", "abc").unwrap(),
            Path::new("consort/shop/abc")
        );
        assert_eq!(
            path("/consort/shop/", "abc").unwrap(),
            Path::new("consort/shop/abc")
        );
        for (parent, name) in [
            ("consort/../..", "a"),
            ("consort", ".."),
            ("consort", "a/b"),
            ("consort", ""),
            ("", "a"),
            ("consort//x", "a"),
            ("consort", "a\n"),
            ("consort", "cgroup.procs"),
        ] {
            assert!(path(parent, name).is_err(), "{parent:?} {name:?}");
        }
    }
}
