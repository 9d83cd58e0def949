//! An [`Order`] into [`Request`]s: contexts are brought to folders, Dockerfile and ignore files read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::runtime::git::Git;
use crate::runtime::image::unpack_archive;
use crate::runtime::kernel::rooted::Root;
use crate::runtime::store::{self, Durability};
use crate::value::{GitSource, IgnorePatterns, Platform};

use super::BuildError;
use super::dockerfile::DOCKERFILE_LIMIT_BYTES;
use super::graph::ContextName;
use super::order::{ContextPlace, DockerfilePlace, NamedPlace, Order};
use super::request::{ContextFiles, ContextOwner, Contexts, DockerfileText, NamedContext, Request};

/// The usual names of a Dockerfile; the first one that is there is taken.
const USUAL_NAMES: [&str; 2] = ["Dockerfile", "dockerfile"];
/// What the names of scratch folders of builds begin with.
const SCRATCH_PREFIX: &str = "build-";
const IGNORE_FILE: &str = ".dockerignore";
const IGNORE_LIMIT_BYTES: u64 = 4 << 20;

/// Ready requests, and the folder that their contexts were brought to.
#[derive(Debug)]
pub struct Prepared {
    /// One for each platform.
    pub requests: Vec<Request>,
    scratch: PathBuf,
    /// Held while the folder is used: a free one was left by a build that was killed.
    lock: Option<File>,
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // What cannot be removed here lies in the store's folder for unfinished things.
        drop(store::remove_tree(&self.scratch));
        drop(self.lock.take());
    }
}

/// Brings an order's contexts here; `scratch` is the name of a folder that is not there yet.
pub fn prepare(order: &Order, scratch: PathBuf, git: &Git) -> Result<Prepared, BuildError> {
    let mut prepared = Prepared {
        requests: Vec::new(),
        scratch,
        lock: None,
    };
    let mut desk = Desk {
        scratch: &prepared.scratch,
        git,
        count: 0,
        lock: None,
    };
    let main = desk.main(&order.context)?;
    let (dockerfile, beside) = read_dockerfile(&order.dockerfile, main.as_ref())?;
    let main = match main {
        Some(main) => Some(with_ignore(main, beside.as_ref())?),
        None => None,
    };
    let mut named = BTreeMap::new();
    for (name, place) in &order.named {
        named.insert(name.clone(), desk.named(name, place)?);
    }
    let lock = desk.lock.take();
    let contexts = Contexts { main, named };
    let platforms = match order.platforms.as_slice() {
        [] => vec![Platform::host()],
        platforms => platforms.to_vec(),
    };
    prepared.requests = platforms
        .into_iter()
        .map(|platform| Request {
            dockerfile: dockerfile.clone(),
            target: order.target.clone(),
            args: order.args.clone(),
            labels: order.labels.clone(),
            platform,
            build_platform: Platform::host(),
            contexts: contexts.clone(),
            run: order.run.clone(),
            cache: order.cache.clone(),
            epoch: order.epoch,
        })
        .collect();
    prepared.lock = lock;
    Ok(prepared)
}

/// Brings contexts to folders of their own.
struct Desk<'a> {
    scratch: &'a Path,
    git: &'a Git,
    count: usize,
    lock: Option<File>,
}

impl Desk<'_> {
    fn main(&mut self, place: &ContextPlace) -> Result<Option<ContextFiles>, BuildError> {
        Ok(match place {
            ContextPlace::Nothing => None,
            ContextPlace::Folder(folder) => Some(local(folder)?),
            ContextPlace::Git(source) => Some(self.check_out(source)?),
            ContextPlace::Archive(bytes) => Some(self.unpack(bytes)?),
        })
    }

    fn named(
        &mut self,
        name: &ContextName,
        place: &NamedPlace,
    ) -> Result<NamedContext, BuildError> {
        let files = match place {
            NamedPlace::Image(image) => return Ok(NamedContext::Image(image.clone())),
            NamedPlace::Folder(folder) => local(folder),
            NamedPlace::Git(source) => self.check_out(source),
        };
        let files = files.map_err(|source| BuildError::NamedContext {
            name: name.0.clone(),
            source: Box::new(source),
        })?;
        Ok(NamedContext::Files(with_ignore(files, None)?))
    }

    fn folder(&mut self, kind: &str) -> Result<PathBuf, BuildError> {
        self.open_scratch()?;
        self.count += 1;
        Ok(self.scratch.join(format!("{kind}-{}", self.count)))
    }

    /// Makes the scratch folder, and removes those that builds left which were killed.
    fn open_scratch(&mut self) -> Result<(), BuildError> {
        if self.lock.is_some() {
            return Ok(());
        }
        let parent = self.scratch.parent().unwrap_or(self.scratch);
        for name in store::names_in(parent)? {
            if name.starts_with(SCRATCH_PREFIX) {
                store::remove_abandoned(&parent.join(name))?;
            }
        }
        store::make_dir(self.scratch)?;
        self.lock = store::lock_dir(self.scratch)?;
        Ok(())
    }

    fn check_out(&mut self, source: &GitSource) -> Result<ContextFiles, BuildError> {
        let commit = self.git.commit_of(source)?;
        let (repository, tree) = (self.folder("repository")?, self.folder("tree")?);
        self.git.check_out(source, &commit, (&repository, &tree))?;
        let below = source.path().unwrap_or_default();
        let root = open(&tree)?;
        let is_folder = root
            .stat_link(Path::new(below))
            .map_err(BuildError::kernel("look at the folder of the repository"))?
            .is_some_and(|stat| stat.st_mode & 0o170_000 == 0o040_000);
        if !below.is_empty() && !is_folder {
            return Err(BuildError::NotAFolder {
                path: PathBuf::from(source.to_string()),
            });
        }
        Ok(ContextFiles {
            folder: tree.join(below),
            ignore: IgnorePatterns::default(),
            owner: ContextOwner::Root,
        })
    }

    fn unpack(&mut self, bytes: &[u8]) -> Result<ContextFiles, BuildError> {
        let (file, folder) = (self.folder("archive.tar")?, self.folder("archive")?);
        store::make_dir(&folder)?;
        store::write_atomic(&file, bytes, Durability::Cached)?;
        let act = "unpack the build context";
        let file = File::open(&file).map_err(BuildError::io::<io::Error>(act))?;
        unpack_archive(&file, open(&folder)?, None).map_err(BuildError::io::<io::Error>(act))?;
        Ok(ContextFiles {
            folder,
            ignore: IgnorePatterns::default(),
            owner: ContextOwner::Kept,
        })
    }
}

fn local(folder: &Path) -> Result<ContextFiles, BuildError> {
    if !folder.is_dir() {
        return Err(BuildError::NotAFolder {
            path: folder.to_owned(),
        });
    }
    Ok(ContextFiles {
        folder: folder.to_owned(),
        ignore: IgnorePatterns::default(),
        owner: ContextOwner::Root,
    })
}

/// Reads the Dockerfile, and the ignore file that is named after it.
fn read_dockerfile(
    place: &DockerfilePlace,
    context: Option<&ContextFiles>,
) -> Result<(DockerfileText, Option<Ignore>), BuildError> {
    let missing = |name: &Path| BuildError::NoDockerfile {
        name: name.to_owned(),
    };
    let beside = |name: &Path| {
        let mut name = name.as_os_str().to_owned();
        name.push(IGNORE_FILE);
        PathBuf::from(name)
    };
    let named = match place {
        DockerfilePlace::Text(text) => {
            return Ok((shown(Path::new("Dockerfile"), text.as_bytes()), None));
        }
        DockerfilePlace::File(file) => {
            let bytes = store::read_bounded(file, DOCKERFILE_LIMIT_BYTES as u64);
            let bytes = bytes.map_err(|error| {
                if error.is_not_found() {
                    missing(file)
                } else {
                    error.into()
                }
            })?;
            let ignore = beside(file);
            let ignore = ignore.is_file().then_some(Ignore::File(ignore));
            return Ok((shown(file, &bytes), ignore));
        }
        DockerfilePlace::Usual => None,
        DockerfilePlace::InContext(name) => Some(name.as_path()),
    };
    let usual: Vec<&Path> = USUAL_NAMES.iter().map(Path::new).collect();
    let names = named.map_or(usual, |name| vec![name]);
    let context = context.ok_or_else(|| missing(names[0]))?;
    let root = open(&context.folder)?;
    for name in &names {
        if let Some(bytes) = read(&root, name, DOCKERFILE_LIMIT_BYTES as u64)? {
            return Ok((shown(name, &bytes), Some(Ignore::InContext(beside(name)))));
        }
    }
    Err(missing(names[0]))
}

fn shown(name: &Path, bytes: &[u8]) -> DockerfileText {
    DockerfileText {
        name: name.display().to_string(),
        text: String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// An ignore file that belongs to one Dockerfile.
enum Ignore {
    File(PathBuf),
    InContext(PathBuf),
}

/// Reads the ignore file of a context: the Dockerfile's own, else the usual one.
fn with_ignore(context: ContextFiles, own: Option<&Ignore>) -> Result<ContextFiles, BuildError> {
    let root = open(&context.folder)?;
    let usual = || read(&root, Path::new(IGNORE_FILE), IGNORE_LIMIT_BYTES);
    let (name, bytes) = match own {
        Some(Ignore::File(file)) => {
            let bytes = store::read_bounded(file, IGNORE_LIMIT_BYTES)?;
            (file.clone(), Some(bytes))
        }
        Some(Ignore::InContext(name)) => match read(&root, name, IGNORE_LIMIT_BYTES)? {
            Some(bytes) => (name.clone(), Some(bytes)),
            None => (PathBuf::from(IGNORE_FILE), usual()?),
        },
        None => (PathBuf::from(IGNORE_FILE), usual()?),
    };
    let text = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
    let ignore = IgnorePatterns::from_lines(&text)
        .map_err(|source| BuildError::Ignore { file: name, source })?;
    Ok(ContextFiles { ignore, ..context })
}

fn open(folder: &Path) -> Result<Root, BuildError> {
    let act = format!("open the build context `{}`", folder.display());
    Root::open(folder).map_err(BuildError::kernel(act))
}

fn read(root: &Root, name: &Path, limit_bytes: u64) -> Result<Option<Vec<u8>>, BuildError> {
    let bytes = root.read_bounded(name, limit_bytes);
    bytes.map_err(BuildError::kernel("read a file of the build context"))
}
