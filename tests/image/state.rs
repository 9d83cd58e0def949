//! A state directory of its own for each test.

use std::fs;
use std::path::{Path, PathBuf};

use consort::runtime::image::{
    Credentials, ImageError, ImageRecord, PullOptions, PullProgress, RegistrySettings, RootSource,
    Store,
};
use consort::runtime::store::Layout;

/// A state directory with an image store in it.
pub(crate) struct State {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) layout: Layout,
}

impl State {
    pub(crate) fn new() -> Self {
        Self::within(tempfile::tempdir().unwrap())
    }

    pub(crate) fn within(dir: tempfile::TempDir) -> Self {
        let layout = Layout::new(&dir.path().join("state"), &dir.path().join("run"));
        layout.prepare().unwrap();
        Self {
            store: Store::open(&layout).unwrap(),
            layout,
            dir,
        }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    pub(crate) fn pull(&self, reference: &str) -> Result<ImageRecord, ImageError> {
        self.pull_with(reference, &options(""), &|_| {})
    }

    pub(crate) fn pull_with(
        &self,
        reference: &str,
        options: &PullOptions,
        progress: &(dyn Fn(PullProgress) + Sync),
    ) -> Result<ImageRecord, ImageError> {
        let reference = reference.parse().unwrap();
        runtime().block_on(self.store.pull(&reference, options, progress))
    }

    /// Asserts that nothing can be found and that nothing half-made is in sight.
    pub(crate) fn assert_clean(&self, context: &str) {
        assert!(
            self.store.list().unwrap().is_empty(),
            "{context}: an image is listed"
        );
        for folder in ["state/layers", "state/images/blobs/sha256"] {
            let names = names(&self.path(folder));
            assert!(names.is_empty(), "{context}: {folder} has {names:?}");
        }
    }
}

pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Returns options with mirrors as `CONSORT_REGISTRY_MIRRORS` would have them.
pub(crate) fn options(mirrors: &str) -> PullOptions {
    PullOptions {
        platform: Some("linux/amd64".parse().unwrap()),
        registries: RegistrySettings::from_list("the test", mirrors).unwrap(),
        credentials: Credentials::None,
    }
}

/// Returns the trees of an image's layers, topmost first.
pub(crate) fn trees(record: &ImageRecord) -> Vec<PathBuf> {
    match &record.root {
        RootSource::Layers(trees) => trees.clone(),
        RootSource::HostDir(dir) => panic!("{} is no layer", dir.display()),
    }
}
