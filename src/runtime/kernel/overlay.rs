//! Layers into one directory tree, as a detached mount; on each kernel in the way that it knows.
//!
//! | Linux | how layers are named |
//! |---|---|
//! | 6.13 | descriptors, one by one |
//! | 6.7 | paths of descriptors, one by one |
//! | 5.12 | one text with the paths of all, of 255 bytes in a context, or of a page in `mount(2)` |

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::error::KernelError;
use super::mount::{self, Depth, FsContext, Propagation, Restrictions};
use super::namespace::{self, Namespaces};
use super::thread;

/// The longest option that a context takes, in bytes.
const OPTION_BYTES: usize = 255;

/// What an overlay is made of.
#[derive(Debug, Clone)]
pub struct Overlay {
    /// Read-only directories, the topmost first.
    pub lowers: Vec<PathBuf>,
    /// Where changes go, and an empty directory beside it; without, the overlay is read-only.
    pub upper: Option<OverlayUpper>,
    /// Marks are kept in `user.*` attributes, which is all that a user namespace may write.
    pub in_user_namespace: bool,
    /// Never synced, and of no use after a crash: for what is thrown away anyway.
    pub volatile: bool,
}

/// The writable part of an overlay; both directories are on one filesystem.
#[derive(Debug, Clone)]
pub struct OverlayUpper {
    /// Holds what differs from the lower directories.
    pub upper: PathBuf,
    /// The kernel's own scratch directory.
    pub work: PathBuf,
}

/// An overlay whose directories are open, so that neither `:` nor the length of a path matters.
struct Opened<'a> {
    overlay: &'a Overlay,
    lowers: Vec<OwnedFd>,
    upper: Option<(OwnedFd, OwnedFd)>,
}

/// Makes an overlay and returns it as a detached mount.
pub fn mount(overlay: &Overlay) -> Result<OwnedFd, KernelError> {
    let opened = Opened::new(overlay)?;
    let context = FsContext::new(c"overlay").map_err(KernelError::call("make an overlay"))?;
    match opened.add_each(&context) {
        Ok(()) => {}
        // Before Linux 6.7 the layers are one text.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => {
            let lowers = opened.joined_lowers();
            if lowers.as_bytes().len() > OPTION_BYTES {
                return opened.mount_in_private();
            }
            let set = context.string(c"lowerdir", &lowers);
            set.map_err(KernelError::call("use all layers of an overlay"))?;
        }
        Err(errno) => return Err(KernelError::call("use the layers of an overlay")(errno)),
    }
    opened
        .configure(&context)
        .map_err(KernelError::call("configure an overlay"))?;
    context
        .mount(Restrictions::empty())
        .map_err(KernelError::call("mount an overlay"))
}

impl<'a> Opened<'a> {
    fn new(overlay: &'a Overlay) -> Result<Self, KernelError> {
        let lowers = overlay.lowers.iter().map(|path| open(path));
        let upper = match &overlay.upper {
            Some(OverlayUpper { upper, work }) => Some((open(upper)?, open(work)?)),
            None => None,
        };
        Ok(Self {
            overlay,
            lowers: lowers.collect::<Result<_, _>>()?,
            upper,
        })
    }

    fn add_each(&self, context: &FsContext) -> Result<(), Errno> {
        let key = c"lowerdir+";
        self.lowers
            .iter()
            .try_for_each(|lower| match context.file(key, lower) {
                Ok(_) => Ok(()),
                Err(Errno::INVAL | Errno::BADF) => set_layer_path(context, key, lower),
                // Before Linux 6.5 a context takes no descriptors, and every name of an option.
                Err(errno) => Err(errno),
            })
    }

    fn configure(&self, context: &FsContext) -> Result<(), Errno> {
        if let Some((upper, work)) = &self.upper {
            set_layer(context, c"upperdir", upper)?;
            set_layer(context, c"workdir", work)?;
        }
        // Layers come from images: a redirect in one would show what lies elsewhere in the store.
        context.string(c"redirect_dir", c"nofollow")?;
        context.string(c"metacopy", c"off")?;
        if self.overlay.in_user_namespace {
            context.flag(c"userxattr")?;
        }
        if self.overlay.volatile {
            context.flag(c"volatile")?;
        }
        Ok(())
    }

    fn joined_lowers(&self) -> CString {
        let links: Vec<String> = self.lowers.iter().map(link_of).collect();
        CString::new(links.join(":")).unwrap_or_default()
    }

    /// Mounts in the old way, in a mount namespace of one thread: nobody sees it being attached.
    fn mount_in_private(&self) -> Result<OwnedFd, KernelError> {
        let act = "mount an overlay of many layers";
        let attached = || {
            namespace::unshare(Namespaces::NEWNS)?;
            mount::set_propagation_of_all(Propagation::Private).map_err(KernelError::call(act))?;
            // All that is needed of it are the links, and those are followed before it is covered.
            let covered = c"/proc";
            let options = self.options();
            let flags = rustix::mount::MountFlags::empty();
            rustix::mount::mount(c"overlay", covered, c"overlay", flags, options.as_c_str())
                .map_err(KernelError::call(act))?;
            mount::clone_path(covered, Depth::One).map_err(KernelError::call(act))
        };
        let done = thread::apart(attached);
        done.map_err(|source| KernelError::Call { act, source })?
    }

    fn options(&self) -> CString {
        let lowers = self.joined_lowers();
        let mut text = format!("lowerdir={}", lowers.to_string_lossy());
        if let Some((upper, work)) = &self.upper {
            text += &format!(",upperdir={},workdir={}", link_of(upper), link_of(work));
        }
        text += ",redirect_dir=nofollow,metacopy=off";
        if self.overlay.in_user_namespace {
            text += ",userxattr";
        }
        if self.overlay.volatile {
            text += ",volatile";
        }
        CString::new(text).unwrap_or_default()
    }
}

fn open(path: &Path) -> Result<OwnedFd, KernelError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(KernelError::call_on("open layer", &path.display()))
}

fn link_of(layer: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", layer.as_raw_fd())
}

/// Hands a layer over by its descriptor, or by its path to a kernel that wants one.
fn set_layer(context: &FsContext, key: &CStr, layer: &OwnedFd) -> Result<(), Errno> {
    match context.file(key, layer) {
        Ok(_) => Ok(()),
        Err(Errno::INVAL | Errno::BADF | Errno::OPNOTSUPP) => set_layer_path(context, key, layer),
        Err(errno) => Err(errno),
    }
}

fn set_layer_path(context: &FsContext, key: &CStr, layer: &OwnedFd) -> Result<(), Errno> {
    let link = CString::new(link_of(layer)).unwrap_or_default();
    context.string(key, &link).map(|_| ())
}
