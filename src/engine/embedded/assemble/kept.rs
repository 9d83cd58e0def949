//! Secrets and configs onto files beside a container's bundle, which are mounted into it.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use crate::desired::InjectedFile;
use crate::engine::EngineError;
use crate::engine::embedded::inner::Inner;
use crate::engine::embedded::record::ContainerRecord;
use crate::runtime::monitor::bundle::UserFile;
use crate::runtime::store::{Durability, make_dir, write_atomic};

impl Inner {
    /// Writes secrets and configs into the run folder, which is on memory; mounted read-only.
    pub(in crate::engine::embedded) fn keep_files(
        &self,
        record: &ContainerRecord,
        wanted: &[InjectedFile],
    ) -> Result<(), EngineError> {
        let run_dir = self.layout.container_run(&record.id);
        let dir = run_dir.join("files");
        let act = |error| {
            EngineError::act(
                format!("make the run folder of container `{}`", record.name),
                error,
            )
        };
        make_dir(&dir).map_err(act)?;
        for (number, file) in wanted.iter().enumerate() {
            let Some(content) = &file.content else {
                continue;
            };
            let path = kept_file(&run_dir, number);
            let failed = |error: std::io::Error| {
                EngineError::act(
                    format!("write `{}` of container `{}`", file.target, record.name),
                    error,
                )
            };
            write_atomic(&path, content.bytes(), Durability::Cached).map_err(act)?;
            let mode = std::fs::Permissions::from_mode(file.mode & 0o7777);
            std::fs::set_permissions(&path, mode).map_err(failed)?;
            // Who is not named is known when the container's user is.
            chown(&path, file.uid, file.gid).map_err(failed)?;
        }
        Ok(())
    }

    /// Refuses to start a container whose secrets and configs went with the memory they were in.
    pub(in crate::engine::embedded) fn check_files_are_kept(
        &self,
        record: &ContainerRecord,
    ) -> Result<(), EngineError> {
        let run_dir = self.layout.container_run(&record.id);
        let mut files = record.spec.files.iter().enumerate();
        let Some((_, lost)) = files.find(|(number, _)| !kept_file(&run_dir, *number).exists())
        else {
            return Ok(());
        };
        let act = format!(
            "give container `{}` its file `{}`",
            record.name, lost.target
        );
        Err(EngineError::act(
            act,
            "its content was kept on memory only and is gone; `up` brings it back",
        ))
    }
}

/// Returns the files that belong to the container's user, or its group, because the file names no other owner.
pub(super) fn files_of_the_user(record: &ContainerRecord, run_dir: &Path) -> Vec<UserFile> {
    let files = record.spec.files.iter().enumerate();
    files
        .filter(|(_, file)| file.uid.is_none() || file.gid.is_none())
        .map(|(number, file)| UserFile {
            path: kept_file(run_dir, number),
            uid: file.uid,
            gid: file.gid,
        })
        .collect()
}

pub(super) fn kept_file(run_dir: &Path, number: usize) -> PathBuf {
    run_dir.join("files").join(number.to_string())
}
