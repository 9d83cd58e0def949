//! What is mounted into a service's containers.

use std::collections::BTreeMap;

use crate::compose::model::field::{containers, record};
use crate::value::ByteSize;

record! {
    /// One mount of a service.
    ServiceVolume {
        /// `bind`, `volume`, `tmpfs`, `image`, `npipe` or `cluster`.
        kind: String = "type",
        /// The host path, the volume or the image.
        source: Option<String> = "source",
        /// Where it appears in the container.
        target: String = "target",
        /// Writing is refused.
        read_only: bool = "read_only",
        /// Consistency requirement (macOS).
        consistency: Option<String> = "consistency",
        /// Options of a bind mount.
        bind: Option<BindOptions> = "bind",
        /// Options of a volume.
        volume: Option<VolumeOptions> = "volume",
        /// Options of a tmpfs.
        tmpfs: Option<TmpfsOptions> = "tmpfs",
        /// Options of an image.
        image: Option<ImageOptions> = "image",
    }
}
containers!(ServiceVolume);

record! {
    /// Options of a bind mount.
    BindOptions {
        /// `z` shares the content among containers, `Z` keeps it private.
        selinux: Option<String> = "selinux",
        /// How mounts below it propagate.
        propagation: Option<String> = "propagation",
        /// Makes a missing directory on the host; it is made unless this says no.
        create_host_path: Option<bool> = "create_host_path",
        /// How mounts below it are bound.
        recursive: Option<String> = "recursive",
    }
}
containers!(BindOptions);

record! {
    /// Options of a volume.
    VolumeOptions {
        /// Labels of an anonymous volume.
        labels: BTreeMap<String, String> = "labels",
        /// Does not seed the volume from the image.
        nocopy: bool = "nocopy",
        /// The directory of the volume that is mounted.
        subpath: Option<String> = "subpath",
    }
}
containers!(VolumeOptions);

record! {
    /// Options of a tmpfs.
    TmpfsOptions {
        /// Its size.
        size: Option<ByteSize> = "size",
        /// The mode of its root.
        mode: u32 = "mode",
    }
}
containers!(TmpfsOptions);

record! {
    /// Options of an image mount.
    ImageOptions {
        /// The directory of the image that is mounted.
        subpath: Option<String> = "subpath",
    }
}
containers!(ImageOptions);
