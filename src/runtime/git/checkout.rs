//! One commit → its files in a folder, and nothing else: neither history nor `.git`.

use std::ffi::OsStr;
use std::path::Path;

use super::{Git, GitError};
use crate::runtime::store;
use crate::value::GitSource;

impl Git {
    /// Puts the files of a commit into the new folder `tree`; `scratch` holds the repository meanwhile.
    ///
    /// Both must be names of nothing yet, below a folder that is there.
    pub fn check_out(
        &self,
        source: &GitSource,
        commit: &str,
        (scratch, tree): (&Path, &Path),
    ) -> Result<(), GitError> {
        store::make_dir(scratch)?;
        store::make_dir(tree)?;
        let url = source.shown_url();
        let format = match commit.len() {
            64 => "--object-format=sha256",
            _ => "--object-format=sha1",
        };
        let init = ["init", "--quiet", "--bare", format, "."];
        self.run(scratch, "make a repository", &init.map(OsStr::new))?;
        let act = format!("fetch `{commit}` from `{url}`");
        let repository = [OsStr::new("--git-dir"), scratch.as_os_str()];
        let fetch = [
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--no-recurse-submodules",
            "--",
            source.url(),
            commit,
        ];
        let words = [&repository[..], &fetch.map(OsStr::new)].concat();
        self.run(scratch, &act, &words)?;
        let act = format!("check out `{commit}` of `{url}`");
        let place = [OsStr::new("--work-tree"), tree.as_os_str()];
        let checkout = ["checkout", "--quiet", "--force", "--detach", commit];
        let words = [&repository[..], &place, &checkout.map(OsStr::new)].concat();
        self.run(tree, &act, &words)?;
        Ok(store::remove_tree(scratch)?)
    }
}
