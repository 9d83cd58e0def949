//! What a container's file, image and volumes want mounted into the mounts of its bundle.

use std::collections::BTreeMap;
use std::path::Path;

use super::kept::kept_file;
use crate::desired::{MountKind, VolumeMount};
use crate::engine::EngineError;
use crate::engine::embedded::describe;
use crate::engine::embedded::inner::Inner;
use crate::engine::embedded::not_supported;
use crate::engine::embedded::record::ContainerRecord;
use crate::engine::embedded::volume::{prepare_bind, same_path};
use crate::runtime::container::description::MountRequest;
use crate::runtime::monitor::bundle::BundleVolume;

impl Inner {
    /// Returns all mounts of a container, outer ones first, and which of them are volumes.
    pub(super) fn mounts(
        &self,
        record: &ContainerRecord,
        run_dir: &Path,
    ) -> Result<(Vec<MountRequest>, Vec<BundleVolume>), EngineError> {
        let (mut mounts, mut volumes) = (Vec::new(), Vec::new());
        for mount in &record.spec.mounts {
            if let Some(request) = describe::request(&mount.kind, &mount.target, mount.read_only) {
                prepare_bind(record, &mount.kind)?;
                mounts.push(request);
                continue;
            }
            let MountKind::Volume(wanted) = &mount.kind else {
                let what = format!("mount an image at `{}`", mount.target);
                return Err(not_supported(what));
            };
            let (request, volume) =
                self.volume_mount(record, wanted, &mount.target, mount.read_only)?;
            mounts.push(request);
            volumes.push(volume);
        }
        self.add_image_volumes(record, &mut mounts, &mut volumes)?;
        let names = self.folder(&self.network_owner(record)?);
        mounts.extend(own_files(record, (&names, run_dir), &mounts));
        // What is mounted inside another mount comes after it.
        mounts.sort_by_key(|request| request.target.components().count());
        Ok((mounts, volumes))
    }

    /// Mounts the volumes that the image asks for and the file says nothing about.
    fn add_image_volumes(
        &self,
        record: &ContainerRecord,
        mounts: &mut Vec<MountRequest>,
        volumes: &mut Vec<BundleVolume>,
    ) -> Result<(), EngineError> {
        let wanted = &record.spec.mounts;
        let is_mounted = |target: &str| wanted.iter().any(|mount| same_path(&mount.target, target));
        let own = record
            .volumes
            .iter()
            .filter(|volume| volume.anonymous && !is_mounted(&volume.target));
        let plain = VolumeMount {
            name: None,
            nocopy: false,
            subpath: None,
            labels: BTreeMap::new(),
        };
        for volume in own {
            let (request, volume) = self.volume_mount(record, &plain, &volume.target, false)?;
            mounts.push(request);
            volumes.push(volume);
        }
        Ok(())
    }
}

/// Returns the files that the engine itself puts into a container: secrets, configs, and the names that lie in
/// the folder of the container whose network it is in.
fn own_files(
    record: &ContainerRecord,
    (folder, run_dir): (&Path, &Path),
    mounts: &[MountRequest],
) -> Vec<MountRequest> {
    let own = [
        ("hosts", "/etc/hosts"),
        ("hostname", "/etc/hostname"),
        ("resolv.conf", "/etc/resolv.conf"),
    ];
    let is_free = |target: &str| !mounts.iter().any(|one| one.target == Path::new(target));
    let names = own.into_iter().filter(|(_, target)| is_free(target));
    let names =
        names.map(|(file, target)| describe::own_bind(folder.join(file), target, false, &[]));
    let files = record.spec.files.iter().enumerate().map(|(number, file)| {
        describe::own_bind(
            kept_file(run_dir, number),
            &file.target,
            true,
            &["nosuid", "nodev"],
        )
    });
    names.chain(files).collect()
}
