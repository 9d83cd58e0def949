//! A volume's driver options into what is to be mounted, and that into a detached mount.
//!
//! The options are those of Docker's `local` driver: `type`, `device` and `o`, as `mount(8)` takes them.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::net::ToSocketAddrs as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::VolumeError;
use crate::runtime::kernel::KernelError;
use crate::runtime::kernel::mount::{self, Depth, FsContext, Restrictions};

/// The port of NFS, for a look-up that wants one.
const NFS_PORT: u16 = 2049;

/// What is mounted for a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipe {
    /// The volume's own directory.
    Data,
    /// Another directory of this machine.
    Bind {
        /// The directory.
        device: PathBuf,
        /// Whether mounts below it come along.
        depth: Depth,
        /// What is not allowed there.
        restrictions: Restrictions,
    },
    /// A filesystem of its own: on memory, of another machine, on a device.
    Filesystem {
        /// Its type, for example `tmpfs` or `nfs4`.
        kind: String,
        /// What it is made from.
        device: String,
        /// Its own options, in order.
        options: Vec<(String, Option<String>)>,
        /// What is not allowed there.
        restrictions: Restrictions,
    },
}

impl Recipe {
    /// Reads the options of a volume.
    pub fn of(name: &str, options: &BTreeMap<String, String>) -> Result<Self, VolumeError> {
        let refuse = |reason: String| VolumeError::BadOptions {
            name: name.to_owned(),
            reason,
        };
        if let Some(unknown) = options
            .keys()
            .find(|key| !["type", "o", "device"].contains(&key.as_str()))
        {
            let reason = format!("`{unknown}` is not one of `type`, `o` and `device`");
            return Err(refuse(reason));
        }
        let get = |key: &str| options.get(key).map(String::as_str).unwrap_or_default();
        let (kind, device) = (get("type"), get("device"));
        if options.is_empty() {
            return Ok(Self::Data);
        }
        let words = Words::read(get("o"));
        if let Some(depth) = words.bind {
            if !device.starts_with('/') {
                return Err(refuse(
                    "a bind needs an absolute path as `device`".to_owned(),
                ));
            }
            return Ok(Self::Bind {
                device: device.into(),
                depth,
                restrictions: words.restrictions,
            });
        }
        if kind.is_empty() || kind == "none" || device.is_empty() {
            let reason = "expected `type` and `device`, or `o: bind` and `device`".to_owned();
            return Err(refuse(reason));
        }
        Ok(Self::Filesystem {
            kind: kind.to_owned(),
            device: device.to_owned(),
            options: words.options,
            restrictions: words.restrictions,
        })
    }

    /// Makes the mount, attached nowhere; `data` is the volume's own directory.
    pub(super) fn mount(&self, name: &str, data: &Path) -> Result<OwnedFd, VolumeError> {
        let failed = |source| VolumeError::Mount {
            name: name.to_owned(),
            source,
        };
        match self {
            Self::Data => clone(data, Depth::One, Restrictions::empty()).map_err(failed),
            Self::Bind {
                device,
                depth,
                restrictions,
            } => {
                if !device.exists() {
                    let path = device.clone();
                    return Err(VolumeError::SourceMissing { path });
                }
                clone(device, *depth, *restrictions).map_err(failed)
            }
            Self::Filesystem {
                kind,
                device,
                options,
                restrictions,
            } => {
                let options = with_address(kind, device, options);
                filesystem(kind, device, &options, *restrictions).map_err(failed)
            }
        }
    }
}

/// The comma-separated words of `o`, sorted by who understands them.
struct Words {
    bind: Option<Depth>,
    restrictions: Restrictions,
    options: Vec<(String, Option<String>)>,
}

impl Words {
    fn read(text: &str) -> Self {
        let mut words = Self {
            bind: None,
            restrictions: Restrictions::empty(),
            options: Vec::new(),
        };
        for word in text.split(',').filter(|word| !word.is_empty()) {
            match word {
                "bind" => words.bind = Some(Depth::One),
                "rbind" => words.bind = Some(Depth::Tree),
                "ro" => words.restrictions |= Restrictions::MOUNT_ATTR_RDONLY,
                "nosuid" => words.restrictions |= Restrictions::MOUNT_ATTR_NOSUID,
                "nodev" => words.restrictions |= Restrictions::MOUNT_ATTR_NODEV,
                "noexec" => words.restrictions |= Restrictions::MOUNT_ATTR_NOEXEC,
                "noatime" => words.restrictions |= Restrictions::MOUNT_ATTR_NOATIME,
                "nodiratime" => words.restrictions |= Restrictions::MOUNT_ATTR_NODIRATIME,
                "strictatime" => words.restrictions |= Restrictions::MOUNT_ATTR_STRICTATIME,
                // What is so without being said.
                "rw" | "suid" | "dev" | "exec" | "atime" | "diratime" | "relatime" | "async"
                | "defaults" => {}
                word => {
                    let (key, value) = match word.split_once('=') {
                        Some((key, value)) => (key, Some(value.to_owned())),
                        None => (word, None),
                    };
                    words.options.push((key.to_owned(), value));
                }
            }
        }
        words
    }
}

/// The kernel's NFS takes an address, where people write a name.
fn with_address(
    kind: &str,
    device: &str,
    options: &[(String, Option<String>)],
) -> Vec<(String, Option<String>)> {
    let mut options = options.to_vec();
    if !matches!(kind, "nfs" | "nfs4") {
        return options;
    }
    let given = options.iter_mut().find(|(key, _)| key == "addr");
    let host = match &given {
        Some((_, Some(host))) => host.clone(),
        _ => device.split(":/").next().unwrap_or_default().to_owned(),
    };
    let found = (host.trim_matches(['[', ']']), NFS_PORT).to_socket_addrs();
    let Some(address) = found.ok().and_then(|mut addresses| addresses.next()) else {
        return options;
    };
    let address = Some(address.ip().to_string());
    match given {
        Some(entry) => entry.1 = address,
        None => options.push(("addr".to_owned(), address)),
    }
    options
}

/// Returns a detached copy of a directory of this machine.
pub(super) fn clone(
    path: &Path,
    depth: Depth,
    restrictions: Restrictions,
) -> Result<OwnedFd, KernelError> {
    let failed = |errno| KernelError::call_on("mount", &path.display())(errno);
    let text = text(path.as_os_str().as_bytes())?;
    let mounted = mount::clone_path(&text, depth).map_err(failed)?;
    if !restrictions.is_empty() {
        mount::restrict(&mounted, restrictions, Restrictions::empty(), depth).map_err(failed)?;
    }
    Ok(mounted)
}

fn filesystem(
    kind: &str,
    device: &str,
    options: &[(String, Option<String>)],
    restrictions: Restrictions,
) -> Result<OwnedFd, KernelError> {
    let failed = |errno: Errno| KernelError::call_on("mount a filesystem of type", kind)(errno);
    let context = FsContext::new(&text(kind.as_bytes())?).map_err(failed)?;
    context
        .string(c"source", &text(device.as_bytes())?)
        .map_err(failed)?;
    for (key, value) in options {
        let refused = |errno| KernelError::call_on("set mount option", key)(errno);
        let name = text(key.as_bytes())?;
        match value {
            Some(value) => context
                .string(&name, &text(value.as_bytes())?)
                .map_err(refused)?,
            None => context.flag(&name).map_err(refused)?,
        };
    }
    context.mount(restrictions).map_err(failed)
}

fn text(bytes: &[u8]) -> Result<CString, KernelError> {
    CString::new(bytes).map_err(|_| KernelError::NulByte {
        text: bytes.escape_ascii().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(options: &[(&str, &str)]) -> Result<Recipe, VolumeError> {
        let pairs = options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Recipe::of("v", &pairs.collect())
    }

    #[test]
    fn options_of_the_local_driver_are_understood() {
        assert_eq!(recipe(&[]).unwrap(), Recipe::Data);
        assert_eq!(
            recipe(&[("type", "none"), ("o", "bind,ro"), ("device", "/srv")]).unwrap(),
            Recipe::Bind {
                device: "/srv".into(),
                depth: Depth::One,
                restrictions: Restrictions::MOUNT_ATTR_RDONLY,
            }
        );
        assert_eq!(
            recipe(&[
                ("type", "tmpfs"),
                ("o", "size=1m,uid=7,nosuid,rw"),
                ("device", "tmpfs")
            ])
            .unwrap(),
            Recipe::Filesystem {
                kind: "tmpfs".to_owned(),
                device: "tmpfs".to_owned(),
                options: vec![
                    ("size".to_owned(), Some("1m".to_owned())),
                    ("uid".to_owned(), Some("7".to_owned())),
                ],
                restrictions: Restrictions::MOUNT_ATTR_NOSUID,
            }
        );
    }

    #[test]
    fn options_that_say_too_little_or_too_much_are_refused() {
        for options in [
            &[("type", "tmpfs")][..],
            &[("o", "bind")],
            &[("o", "bind"), ("device", "relative")],
            &[("type", "none"), ("device", "/x")],
            &[("type", "tmpfs"), ("device", "tmpfs"), ("sise", "1m")],
        ] {
            assert!(
                matches!(recipe(options), Err(VolumeError::BadOptions { .. })),
                "{options:?}"
            );
        }
    }

    #[test]
    fn an_nfs_address_is_given_as_a_number() {
        let options = with_address("nfs4", "127.0.0.1:/export", &[]);
        assert_eq!(options, [("addr".to_owned(), Some("127.0.0.1".to_owned()))]);
        let given = [("addr".to_owned(), Some("127.0.0.2".to_owned()))];
        assert_eq!(with_address("nfs", ":/export", &given), given);
        assert_eq!(with_address("tmpfs", "tmpfs", &[]), []);
    }
}
