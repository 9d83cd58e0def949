//! Who the user is → the folder of the user's run directories: in memory, because secrets pass through
//! them, and where neither another user nor a container comes first.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::atomic::is_in_memory;

/// How many folders of others in the place of ours are passed over.
const SQUATTERS: usize = 100;

/// Returns the folder of the user's run directories; `session` is the user's own folder for run-time files.
pub fn run_base(session: Option<&Path>, user_id: u32) -> PathBuf {
    let own = if user_id == 0 {
        // On a machine whose /run is a disk, the one other folder in memory that only root writes to.
        [Some(PathBuf::from("/run")), Some(PathBuf::from("/dev"))]
    } else {
        let usual = PathBuf::from(format!("/run/user/{user_id}"));
        [session.map(Path::to_owned), Some(usual)]
    };
    let mut own = own.into_iter().flatten();
    match own.find(|dir| is_in_memory(dir) && is_own(dir)) {
        Some(dir) => dir.join("consort"),
        None => in_shared(Path::new("/dev/shm"), user_id),
    }
}

/// Returns a folder in one that everybody writes to: the one that is ours, or else a name that is free.
fn in_shared(dir: &Path, user_id: u32) -> PathBuf {
    let plain = dir.join(format!("consort-{user_id}"));
    let others = (1..SQUATTERS).map(|number| dir.join(format!("consort-{user_id}-{number}")));
    let mut free = None;
    for path in std::iter::once(plain.clone()).chain(others) {
        match std::fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() && is_private(&found) => return path,
            Ok(_) => {}
            Err(_) => free = free.or(Some(path)),
        }
    }
    free.unwrap_or(plain)
}

fn is_own(dir: &Path) -> bool {
    std::fs::metadata(dir).is_ok_and(|found| is_private(&found))
}

/// Says whether a folder is this process's user's and no other user writes to it.
///
/// The owner is compared with this process's own number: in a user namespace both are others than outside, and the
/// number that the user has outside is there that of the user's containers.
fn is_private(found: &std::fs::Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn make(dir: &Path, name: &str, mode: u32) {
        std::fs::create_dir(dir.join(name)).unwrap();
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(dir.join(name), permissions).unwrap();
    }

    #[test]
    fn who_takes_our_name_in_a_shared_folder_first_does_not_keep_us_out() {
        let dir = tempfile::tempdir().unwrap();
        let us = rustix::process::geteuid().as_raw();
        let name = |suffix: &str| format!("consort-{us}{suffix}");
        let chosen = || in_shared(dir.path(), us);
        assert_eq!(chosen(), dir.path().join(name("")));
        make(dir.path(), &name(""), 0o777);
        std::os::unix::fs::symlink("/", dir.path().join(name("-1"))).unwrap();
        assert_eq!(chosen(), dir.path().join(name("-2")));
        make(dir.path(), &name("-2"), 0o700);
        // Ours stays ours, also when the first name is free again.
        std::fs::remove_dir(dir.path().join(name(""))).unwrap();
        assert_eq!(chosen(), dir.path().join(name("-2")));
    }

    #[test]
    fn the_folder_of_a_session_is_used_only_if_it_is_the_users_own_and_in_memory() {
        let us = rustix::process::geteuid().as_raw();
        let stranger = us + 1;
        let base = run_base(Some(Path::new("/dev/shm")), stranger);
        assert_ne!(base, Path::new("/dev/shm/consort"));
    }
}
