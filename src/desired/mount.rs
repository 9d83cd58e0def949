//! Volumes, and everything else that is mounted into a container.

use crate::value::{ImageRef, ProjectName, VolumeName};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// A volume as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// The name on this machine.
    pub name: VolumeName,
    /// The project that wants it.
    pub project: ProjectName,
    /// Its key in the file.
    pub key: String,
    /// Whether it must be there already and is never made, changed or removed.
    pub external: bool,
    /// The driver; `local` when nothing is said.
    pub driver: Option<String>,
    /// The driver's options, such as `type`, `o` and `device`.
    pub driver_opts: BTreeMap<String, String>,
    /// All labels, those of [`super::label`] included.
    pub labels: BTreeMap<String, String>,
}

/// One mount of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    /// Where it appears inside.
    pub target: String,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// What appears there.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    /// A file or directory of the host.
    Bind(BindMount),
    /// A volume.
    Volume(VolumeMount),
    /// Memory.
    Tmpfs(TmpfsMount),
    /// The content of an image.
    Image(ImageMount),
}

/// A file or directory of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindMount {
    /// The absolute path on the host.
    pub source: PathBuf,
    /// Whether a missing source becomes a directory; otherwise it is an error.
    pub create_host_path: bool,
    /// Whether later mounts travel; `rprivate` when nothing is said.
    pub propagation: Option<Propagation>,
    /// What happens to mounts below the source.
    pub recursive: RecursiveReadOnly,
    /// How `SELinux` relabels the source.
    pub relabel: Option<Relabel>,
}

/// Whether mounts made later travel between host and container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Propagation {
    /// Not at all, this mount alone.
    Private,
    /// Not at all.
    Rprivate,
    /// Both ways, this mount alone.
    Shared,
    /// Both ways.
    Rshared,
    /// Into the container, this mount alone.
    Slave,
    /// Into the container.
    Rslave,
}

/// What happens to mounts below a bind source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecursiveReadOnly {
    /// They come along, read-only where the kernel can when the mount is.
    #[default]
    Enabled,
    /// They do not come along.
    Disabled,
    /// They come along and stay writable.
    Writable,
    /// They come along and must be read-only when the mount is.
    ReadOnly,
}

/// How `SELinux` relabels a bind source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relabel {
    /// For all containers: `z`.
    Shared,
    /// For this container alone: `Z`.
    Private,
}

/// A named volume, or an anonymous one that belongs to the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeMount {
    /// The volume; an anonymous one when nothing is said.
    pub name: Option<VolumeName>,
    /// Whether an empty volume is not seeded from the image.
    pub nocopy: bool,
    /// The directory inside the volume that is mounted instead of its root.
    pub subpath: Option<String>,
    /// Labels of an anonymous volume.
    pub labels: BTreeMap<String, String>,
}

/// Memory that is mounted as a filesystem.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TmpfsMount {
    /// The size at most; half of the memory when nothing is said.
    pub size_bytes: Option<u64>,
    /// The mode of its root; `01777` when nothing is said.
    pub mode: Option<u32>,
    /// The owner of its root.
    pub uid: Option<u32>,
    /// The group of its root.
    pub gid: Option<u32>,
    /// Further mount options as written, such as `noexec`.
    pub options: Vec<String>,
}

/// The content of an image, read-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageMount {
    /// The image.
    pub reference: ImageRef,
    /// The directory inside the image that is mounted instead of its root.
    pub subpath: Option<String>,
}
