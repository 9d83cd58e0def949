//! Whose files a step reads → trees, and what is fetched from elsewhere before any step.

use std::collections::BTreeMap;
use std::io::Read as _;

use super::job::Job;
use crate::runtime::build::BuildError;
use crate::runtime::build::files::{Tree, TreeOwner, View};
use crate::runtime::build::graph::{CopySource, Graph, Operation, Source};
use crate::runtime::build::request::{ContextFiles, ContextOwner, NamedContext};
use crate::runtime::image::Draft;
use crate::runtime::image::registry::{Download, download};
use crate::value::{Algorithm, Digest, GitSource, Hasher};

/// The largest file that `ADD` downloads.
const DOWNLOAD_LIMIT_BYTES: u64 = 4 << 30;

/// Files that were downloaded, by their URLs.
pub(super) type Downloads = BTreeMap<String, Download>;

/// Downloads every file that a graph names by a URL.
pub(super) async fn fetch(graph: &Graph) -> Result<Downloads, BuildError> {
    let mut downloads = Downloads::new();
    for step in graph.stages.iter().flat_map(|stage| &stage.steps) {
        let Some(Operation::Copy(copy)) = &step.operation else {
            continue;
        };
        for source in &copy.sources {
            let CopySource::Http { url, checksum, .. } = source else {
                continue;
            };
            if !downloads.contains_key(url) {
                let download = fetch_one(url).await.map_err(|error| BuildError::Step {
                    line: step.line,
                    text: step.text.clone(),
                    source: Box::new(error),
                })?;
                drop(downloads.insert(url.clone(), download));
            }
            if let (Some(expected), Some(download)) = (checksum, downloads.get(url)) {
                check(url, expected, download).map_err(|error| BuildError::Step {
                    line: step.line,
                    text: step.text.clone(),
                    source: Box::new(error),
                })?;
            }
        }
    }
    Ok(downloads)
}

fn check(url: &str, expected: &Digest, download: &Download) -> Result<(), BuildError> {
    let got = match expected.algorithm() {
        Algorithm::Sha256 => download.digest.clone(),
        other @ Algorithm::Sha512 => {
            let mut hasher = Hasher::new(other);
            hasher.update(&download.bytes);
            hasher.finish()
        }
    };
    if got == *expected {
        return Ok(());
    }
    Err(BuildError::WrongChecksum {
        url: url.to_owned(),
        expected: expected.clone(),
        got,
    })
}

async fn fetch_one(url: &str) -> Result<Download, BuildError> {
    let downloaded = download(url, DOWNLOAD_LIMIT_BYTES).await;
    downloaded.map_err(|error| BuildError::Download {
        url: url.to_owned(),
        source: Box::new(error),
    })
}

/// Reads `Wed, 21 Oct 2015 07:28:00 GMT` into seconds since 1970.
pub(super) fn http_time(text: &str) -> Option<i64> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(time.timestamp().as_second())
}

/// Opens whose files a step reads.
pub(super) fn open(job: &Job, source: &Source) -> Result<Tree, BuildError> {
    let contexts = &job.request.contexts;
    match source {
        Source::Context => match &contexts.main {
            Some(files) => of_context(files),
            None => Tree::of_layers(&[]),
        },
        Source::Named(name) => match contexts.named.get(name) {
            Some(NamedContext::Files(files)) => of_context(files),
            Some(NamedContext::Image(_)) | None => Err(BuildError::refused(
                format!("open the context `{}`", name.0),
                "there is no folder of that name",
            )),
        },
        Source::Stage(id) => {
            let stage = job.stage(id.0)?;
            Tree::of_layers(&job.workshop.store.trees(&stage.diff_ids)?)
        }
        Source::Image(image) => {
            let layers = &image.document.rootfs.diff_ids;
            Tree::of_layers(&job.workshop.store.trees(layers)?)
        }
        Source::Empty => Tree::of_layers(&[]),
    }
}

pub(super) fn of_context(files: &ContextFiles) -> Result<Tree, BuildError> {
    let owner = match files.owner {
        ContextOwner::Root => TreeOwner::Root,
        ContextOwner::Kept => TreeOwner::Kept,
    };
    Tree::of_folder(&files.folder, View::without(files.ignore.clone()), owner)
}

/// Reads a secret; nothing where the caller has none of that name.
pub(super) fn secret(job: &Job, id: &str) -> Result<Option<Vec<u8>>, BuildError> {
    use crate::runtime::build::request::SecretSource;
    /// As large as `BuildKit` takes one.
    const LIMIT_BYTES: u64 = 500 << 10;
    let Some(source) = job.request.run.secrets.get(id) else {
        return Ok(None);
    };
    match source {
        SecretSource::Value(text) => Ok(Some(text.clone().into_bytes())),
        SecretSource::File(path) => {
            let act = || format!("read the secret `{id}` from `{}`", path.display());
            let file = std::fs::File::open(path).map_err(BuildError::io(act()))?;
            let mut bytes = Vec::new();
            let _count = file
                .take(LIMIT_BYTES + 1)
                .read_to_end(&mut bytes)
                .map_err(BuildError::io(act()))?;
            if bytes.len() as u64 > LIMIT_BYTES {
                return Err(BuildError::refused(act(), "it has more than 500 KiB"));
            }
            Ok(Some(bytes))
        }
    }
}

/// The files of a commit.
#[derive(Debug)]
pub(super) struct Repository {
    pub(super) tree: Tree,
    /// Where they are, until the step is done.
    pub(super) draft: Draft,
}

/// Fetches the files of the commit that a source means.
pub(super) fn repository(
    job: &Job,
    source: &GitSource,
    checksum: Option<&str>,
) -> Result<Repository, BuildError> {
    let act = || format!("add the repository `{}`", source.shown_url());
    let Some(git) = &job.workshop.git else {
        return Err(BuildError::refused(
            act(),
            "no `git` was given to the build",
        ));
    };
    let commit = git.commit_of(source)?;
    if let Some(checksum) = checksum
        && !commit.starts_with(checksum)
    {
        let reason = format!("it leads to commit `{commit}`, expected `{checksum}`");
        return Err(BuildError::refused(act(), reason));
    }
    let draft = job.workshop.store.draft(&[], &job.unique())?;
    let scratch = draft.scratch()?;
    let tree = scratch.join("tree");
    git.check_out(source, &commit, (&scratch.join("repository"), &tree))?;
    Ok(Repository {
        tree: Tree::of_folder(&tree, View::everything(), TreeOwner::Root)?,
        draft,
    })
}
