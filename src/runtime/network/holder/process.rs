//! The process `consort [holder]`: sets everything up, reports once, serves, and leaves.

use std::ffi::{CStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::fs::{Mode, OFlags, open};
use serde::{Deserialize, Serialize};

use crate::runtime::kernel::process::{duplicate_to, set_name};
use crate::runtime::network::NetworkError;
use crate::runtime::store::{Durability, read_json, remove_tree, write_json};

use super::lock::lock_alone;
use super::namespaces::{NamespaceRecord, Namespaces};
use super::outside::Way;
use super::protocol::HolderState;
use super::server::Server;
use super::{Files, outside};

/// The name that the holder is started under.
pub const ARG0: &CStr = c"consort [holder]";

const STANDARD_OUTPUT: i32 = 1;

/// The one message to the command that started the holder.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StartReport {
    /// It answers on its socket.
    Ready,
    /// It could not begin.
    Failed {
        /// The chain of causes.
        reason: String,
    },
}

/// Runs the holder: `consort [holder] FOLDER`, with its report pipe as standard output.
///
/// The process must be single-threaded until here.
pub fn main(args: &[OsString]) -> ExitCode {
    let [folder] = args else {
        return ExitCode::from(2);
    };
    let folder = PathBuf::from(folder);
    match begin(&folder) {
        Ok((server, way)) => {
            tell(&StartReport::Ready);
            serve_until_unused(&folder, server, way)
        }
        Err(error) => {
            tell(&StartReport::Failed {
                reason: chain_of(&error),
            });
            ExitCode::FAILURE
        }
    }
}

fn begin(folder: &Path) -> Result<(Server, Option<Way>), NetworkError> {
    let act = "set up the holder";
    let failed = |source: std::io::Error| NetworkError::Holder { act, source };
    set_name(c"consort-holder").map_err(|error| failed(error.into()))?;
    let files = Files::new(folder);
    let record: Option<NamespaceRecord> =
        read_json(&files.record).map_err(|source| failed(std::io::Error::other(source)))?;
    let mut namespaces = match record.and_then(|record| Namespaces::find(&record)) {
        Some(found) => found,
        None => Namespaces::make()?,
    };
    let record = namespaces.record()?;
    write_json(&files.record, &record, Durability::Cached)
        .map_err(|source| failed(std::io::Error::other(source)))?;
    let (outside, way) = outside::open(&namespaces);
    namespaces.let_first_go();
    let state = HolderState {
        ids: namespaces.ids.clone(),
        outside,
    };
    let server = Server::new(&files.socket, namespaces, state).map_err(failed)?;
    Ok((server, way))
}

/// One thread answers; this one waits until nobody uses the namespaces any more.
fn serve_until_unused(folder: &Path, server: Server, way: Option<Way>) -> ExitCode {
    let files = Files::new(folder);
    let serving = std::thread::Builder::new()
        .name("consort-holder".to_owned())
        .stack_size(128 << 10)
        .spawn(move || server.run());
    let leaving = serving.and_then(|_thread| leave_when_alone(&files));
    // Held until the process is gone: who comes now waits, and then finds no socket.
    let Ok(_alone) = leaving else {
        return ExitCode::FAILURE;
    };
    let removed = remove_tree(&files.socket).and_then(|()| remove_tree(&files.record));
    drop(way);
    removed.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

/// Waits until nobody uses the namespaces; the lock that comes back keeps newcomers waiting.
///
/// A container whose monitor was killed has no share, but needs the namespaces all the same.
fn leave_when_alone(files: &Files) -> std::io::Result<File> {
    loop {
        let alone = lock_alone(&files.users_lock)?;
        let record: Option<NamespaceRecord> =
            read_json(&files.record).map_err(std::io::Error::other)?;
        let Some(resident) = record.and_then(|record| Namespaces::resident(&record)) else {
            return Ok(alone);
        };
        drop(alone);
        let _ended = resident
            .wait_until_ended(None)
            .map_err(std::io::Error::other)?;
    }
}

/// Reports, and lets the pipe go, so that the reader sees its end.
fn tell(report: &StartReport) {
    let text = serde_json::to_vec(report).unwrap_or_default();
    // A command that is gone does not hear it.
    let _written = rustix::io::write(rustix::stdio::stdout(), &text);
    let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    if let Ok(null) = null {
        let _replaced = duplicate_to(&null, STANDARD_OUTPUT);
    }
}

fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
