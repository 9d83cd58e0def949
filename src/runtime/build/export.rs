//! A built image to where it is wanted: a name in the store, an archive, plain files.

use std::io::{self, Write};
use std::path::Path;

use super::BuildError;
use super::execute::Built;
use super::files::{Folders, Placement, Tree, View, place, select};
use super::workshop::Workshop;
use crate::runtime::image::{Match, Saved, pack_files};
use crate::runtime::kernel::rooted::{Mounts, Root};
use crate::value::{Digest, ImageRef, RegistryRef};

/// What an archive of a built image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archive {
    /// An OCI image layout, which `docker load` reads too.
    Image,
    /// The files of the image.
    Files,
}

impl Workshop {
    /// Keeps an image in the store, under names or without any; returns its id.
    pub fn keep(&self, built: &Built, names: &[RegistryRef]) -> Result<Digest, BuildError> {
        Ok(self
            .store
            .put_image(built.config.clone(), built.layers(), names)?)
    }

    /// Writes an image as an archive; `names` are those that it shall be loaded under.
    pub fn archive(
        &self,
        built: &Built,
        archive: Archive,
        names: &[RegistryRef],
        sink: &mut dyn Write,
    ) -> Result<(), BuildError> {
        match archive {
            Archive::Image => self.image_archive(built, names, sink),
            Archive::Files => {
                let tree = Tree::of_layers(&self.store.trees(built.layers())?)?;
                let packed = pack_files(&tree.root, Mounts::Entered, sink);
                packed.map_err(BuildError::io("write the files of the image"))
            }
        }
    }

    fn image_archive(
        &self,
        built: &Built,
        names: &[RegistryRef],
        sink: &mut dyn Write,
    ) -> Result<(), BuildError> {
        let known = self.store.images()?.into_iter();
        let was_known = known.map(|image| image.id).any(|id| id == built.id);
        let id = self.keep(built, &[])?;
        let image = self.store.lookup(&id.to_string())?.image;
        let saved = Saved {
            image: &image,
            names: names.iter().cloned().map(ImageRef::Registry).collect(),
        };
        let written = self.store.save(&[saved], sink);
        if !was_known {
            // It was only kept to be written.
            let _removed = self.store.untag(&Match { image, name: None })?;
        }
        Ok(written?)
    }

    /// Writes the files of an image into a folder, which is made where it is missing.
    pub fn files(&self, built: &Built, folder: &Path) -> Result<(), BuildError> {
        let act = || format!("write the files of the image into `{}`", folder.display());
        std::fs::create_dir_all(folder).map_err(BuildError::io::<io::Error>(act()))?;
        let target = Root::open(folder).map_err(BuildError::kernel(act()))?;
        let tree = Tree::of_layers(&self.store.trees(built.layers())?)?;
        let placement = Placement {
            target: &target,
            owner: None,
            mode: None,
            time: 0,
            folders: Folders::Overwritten,
        };
        for selection in select(&tree, "/", &View::everything())? {
            place(&tree, &selection, "/", &placement)?;
        }
        Ok(())
    }
}
