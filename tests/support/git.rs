//! Git repositories and who serves them: `git daemon` on loopback.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::checks::{free_port, until};

/// One repository, served for as long as this lives.
#[derive(Debug)]
pub(crate) struct GitServer {
    server: Child,
    folder: TempDir,
    port: u16,
}

impl GitServer {
    /// Serves a repository `shop` with these files on its branch `main`; one that begins with `-> ` is a
    /// symbolic link.
    pub(crate) fn start(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let work = folder.path().join("work");
        fs::create_dir(&work).expect("the folder is ours");
        git(&work, &["init", "--quiet", "--initial-branch=main", "."]);
        let port = free_port();
        // By itself: `git daemon` would be its parent, and leave it running.
        let programs = git(&work, &["--exec-path"]);
        let server = Command::new(Path::new(&programs).join("git-daemon"))
            .args(["--reuseaddr", "--export-all", "--listen=127.0.0.1"])
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", folder.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("git is installed");
        let this = Self {
            server,
            folder,
            port,
        };
        this.commit(files);
        until("git daemon listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port))
                .ok()
                .map(drop)
        });
        this
    }

    /// Adds files and makes a commit of them; returns its id.
    pub(crate) fn commit(&self, files: &[(&str, &str)]) -> String {
        let work = self.folder.path().join("work");
        for (name, text) in files {
            let path = work.join(name);
            let parent = path.parent().expect("a file has a parent");
            fs::create_dir_all(parent).expect("the folder is ours");
            match text.strip_prefix("-> ") {
                Some(target) => symlink(target, &path).expect("the folder is ours"),
                None => fs::write(&path, text).expect("the folder is ours"),
            }
        }
        git(&work, &["add", "."]);
        git(
            &work,
            &["commit", "--quiet", "--allow-empty", "--message=x"],
        );
        let bare = self.folder.path().join("shop.git");
        if !bare.exists() {
            git(
                self.folder.path(),
                &["clone", "--quiet", "--bare", "work", "shop.git"],
            );
        }
        git(&work, &["push", "--quiet", "--tags", "../shop.git", "main"]);
        git(&work, &["rev-parse", "HEAD"])
    }

    /// Makes an annotated tag of the last commit.
    pub(crate) fn tag(&self, name: &str) {
        let work = self.folder.path().join("work");
        git(&work, &["tag", "--annotate", "--message=x", name]);
        git(&work, &["push", "--quiet", "--tags", "../shop.git"]);
    }

    /// The address, with what comes after it.
    pub(crate) fn url(&self, rest: &str) -> String {
        format!("git://127.0.0.1:{}/shop.git{rest}", self.port)
    }

    /// Stops serving.
    pub(crate) fn stop(&mut self) {
        // The daemon's children go with it: each serves one request.
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn git(folder: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=player",
            "-c",
            "user.email=player@example.com",
        ])
        .args(words)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git is installed");
    assert!(output.status.success(), "git {words:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
