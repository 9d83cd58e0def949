//! Reading whole small files of a root, whatever somebody put in their place.

use std::io::Read as _;
use std::path::Path;

use rustix::fs::OFlags;

use super::root::{EntryKind, Root};
use crate::runtime::kernel::error::KernelError;

impl Root {
    /// Returns the bytes of a regular file of at most `limit_bytes`, or `None` if there is none.
    ///
    /// Pipes, devices and directories are refused without being opened for reading.
    pub fn read_bounded(
        &self,
        path: &Path,
        limit_bytes: u64,
    ) -> Result<Option<Vec<u8>>, KernelError> {
        let Some(found) = self.find(path, OFlags::PATH)? else {
            return Ok(None);
        };
        let shown = path.display();
        let stat = rustix::fs::fstat(&found).map_err(KernelError::call_on("look at", &shown))?;
        refuse_unless_regular(path, EntryKind::of(&stat))?;
        // Opened anew by name, since a descriptor without read access cannot be upgraded without
        // /proc: NONBLOCK and the second look make a swap in between harmless.
        let file = self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let stat = rustix::fs::fstat(&file).map_err(KernelError::call_on("look at", &shown))?;
        refuse_unless_regular(path, EntryKind::of(&stat))?;
        let mut bytes = Vec::new();
        std::fs::File::from(file)
            .take(limit_bytes + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| KernelError::CallOn {
                act: "read",
                thing: shown.to_string(),
                source,
            })?;
        if bytes.len() as u64 > limit_bytes {
            return Err(KernelError::TooLarge {
                path: shown.to_string(),
                limit_bytes,
            });
        }
        Ok(Some(bytes))
    }
}

fn refuse_unless_regular(path: &Path, kind: EntryKind) -> Result<(), KernelError> {
    if kind == EntryKind::Regular {
        return Ok(());
    }
    Err(KernelError::WrongKind {
        path: path.display().to_string(),
        found: kind.name(),
        expected: EntryKind::Regular.name(),
    })
}
