//! Containers started, and monitors started for them.

use std::ffi::CString;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::holder::Holder;
use super::inner::Inner;
use super::record::ContainerRecord;
use crate::desired::InjectedFile;
use crate::engine::{EngineError, Performed, PortHolder};
use crate::runtime::kernel::failpoint;
use crate::runtime::kernel::reexec::{self, Session, Start};
use crate::runtime::monitor::{self, Mode, StartReport, pipes};
use crate::value::ContainerName;

/// What is shown of the command line of a process that has a port.
const SHOWN_COMMAND_CHARS: usize = 120;

impl Inner {
    /// Starts a container; one that runs is fine.
    pub(super) fn start_container(
        &self,
        name: &ContainerName,
        files: &[InjectedFile],
    ) -> Result<Performed, EngineError> {
        self.start_with(name, files, None)
    }

    /// Does the same in the foreground of a command, whose streams become the container's.
    pub(super) fn start_with(
        &self,
        name: &ContainerName,
        files: &[InjectedFile],
        foreground: Option<[OwnedFd; 3]>,
    ) -> Result<Performed, EngineError> {
        let record = self.get(name)?;
        let act = || format!("start container `{name}`");
        let state = self.state(&record)?;
        if state.has_process_or_pause() {
            return Ok(Performed::Done);
        }
        self.restore_anonymous_volumes(&record)?;
        self.keep_files(&record, files)?;
        self.check_files_are_kept(&record)?;
        let _held_until_it_runs = self.claim_fixed_addresses(&record)?;
        self.raise_networks(&record)?;
        let bundle = self.assemble(&record)?;
        pipes::make(&bundle.run_dir).map_err(|error| EngineError::act(act(), error))?;
        bundle
            .write()
            .map_err(|error| EngineError::act(act(), error))?;
        failpoint::hit("container.start").map_err(|error| EngineError::act(act(), error))?;
        let (mode, streams) = match foreground {
            Some(streams) => (Mode::StartInForeground, streams),
            None => (
                Mode::Start,
                no_streams().map_err(|error| EngineError::act(act(), error))?,
            ),
        };
        match self.spawn_monitor(&record, mode, streams)? {
            StartReport::Started { unenforced } => Ok(notice(&record, unenforced)),
            StartReport::Watched => self.await_other_start(&record, files),
            StartReport::Failed { chain, .. } => Err(EngineError::act(act(), Chain::new(chain))),
            StartReport::PortTaken {
                host_ip,
                port,
                protocol,
                holder,
            } => {
                let holder = holder
                    .map(|(pid, command)| self.port_holder(pid, &command))
                    .transpose()?;
                Err(EngineError::PortTaken {
                    host_ip,
                    port,
                    protocol,
                    holder,
                })
            }
        }
    }

    /// Waits for a start that a killed command began: its monitor goes on without it.
    fn await_other_start(
        &self,
        record: &ContainerRecord,
        files: &[InjectedFile],
    ) -> Result<Performed, EngineError> {
        let act = || format!("start container `{}`", record.name);
        let io = |error: rustix::io::Errno| EngineError::act(act(), std::io::Error::from(error));
        let changes = inotify::init(CreateFlags::CLOEXEC).map_err(io)?;
        let run_dir = self.layout.container_run(&record.id);
        // The state record is replaced when it runs; the lock file is closed when the monitor is gone.
        let flags = WatchFlags::MOVED_TO | WatchFlags::CLOSE_WRITE;
        for dir in [&self.folder(record), &run_dir] {
            let _watch = inotify::add_watch(&changes, dir, flags).map_err(io)?;
        }
        let mut events = [0_u8; 4096];
        while self.is_watched(&record.id) {
            if self.state(record)?.has_process_or_pause() {
                return Ok(Performed::Done);
            }
            let _count = rustix::io::read(&changes, &mut events).map_err(io)?;
        }
        self.start_container(&record.name, files)
    }

    /// Says whose port it is that one of our own monitors listens on.
    fn port_holder(&self, pid: u32, command: &str) -> Result<PortHolder, EngineError> {
        let run_dir = command.rsplit(' ').next().unwrap_or_default();
        let id = Path::new(run_dir)
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let mut records = self.project_names()?.into_iter();
        let record = records.find_map(|project| self.record(&project, id));
        let (container, project) = match record {
            Some(record) => (Some(record.name), Some(record.spec.project)),
            None => (None, None),
        };
        Ok(PortHolder {
            pid,
            command: command.chars().take(SHOWN_COMMAND_CHARS).collect(),
            container,
            project,
        })
    }

    /// Makes what the kernel has of a container's networks again, where it is gone: after a reboot,
    /// and for an ordinary user with the holder that had it.
    fn raise_networks(&self, record: &ContainerRecord) -> Result<(), EngineError> {
        let current = self.with_current_leases(record)?;
        for lease in &record.endpoints {
            if !current.endpoints.contains(lease) {
                return Err(EngineError::NetworkNotFound {
                    name: lease.network.clone(),
                });
            }
        }
        self.raise_current_networks(&current)
    }

    /// The same for those of its networks that are still the ones it was connected to.
    pub(super) fn raise_current_networks(
        &self,
        record: &ContainerRecord,
    ) -> Result<(), EngineError> {
        for lease in &record.endpoints {
            let network = self.find_network(&lease.network)?;
            let Some(network) = network.filter(|network| network.id == lease.network_id) else {
                continue;
            };
            let is_there = self.holder.is_none()
                && self.layout.names(&lease.network).exists()
                && Path::new("/sys/class/net").join(&network.link).exists();
            if !is_there {
                let lock = self.lock_addresses()?;
                let _raised = self.raise_network(&network, &lock)?;
            }
        }
        Ok(())
    }

    /// Starts a new monitor for a container whose last one is gone.
    pub(super) fn adopt(&self, record: &ContainerRecord) -> Result<(), EngineError> {
        self.raise_current_networks(record)?;
        let act = || format!("watch container `{}` again", record.name);
        let streams = no_streams().map_err(|error| EngineError::act(act(), error))?;
        match self.spawn_monitor(record, Mode::Adopt, streams)? {
            StartReport::Started { .. } | StartReport::Watched => Ok(()),
            StartReport::Failed { chain, .. } => Err(EngineError::act(act(), Chain::new(chain))),
            StartReport::PortTaken {
                host_ip,
                port,
                protocol,
                ..
            } => Err(EngineError::PortTaken {
                host_ip,
                port,
                protocol,
                holder: None,
            }),
        }
    }

    fn spawn_monitor(
        &self,
        record: &ContainerRecord,
        mode: Mode,
        stdio: [OwnedFd; 3],
    ) -> Result<StartReport, EngineError> {
        let act = || format!("start the monitor of container `{}`", record.name);
        let io = |error: std::io::Error| EngineError::act(act(), error);
        let (report, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|error| io(error.into()))?;
        let run_dir = self.layout.container_run(&record.id);
        let path = CString::new(run_dir.as_os_str().as_bytes())
            .map_err(|error| EngineError::act(act(), error))?;
        let start = Start {
            args: vec![monitor::ARG0.to_owned(), mode.word().to_owned(), path],
            env: Vec::new(),
            stdio,
            fds: self.passed_to_monitor(theirs).map_err(io)?,
            session: Session::New,
        };
        let _started = self.in_network(|| {
            reexec::start(&self.program, start).map_err(|error| EngineError::act(act(), error))
        })?;
        let mut text = Vec::new();
        let _count = File::from(report)
            .take(1 << 20)
            .read_to_end(&mut text)
            .map_err(io)?;
        if text.is_empty() {
            return Err(EngineError::act(
                act(),
                Chain::new(vec!["it ended before it was ready".to_owned()]),
            ));
        }
        serde_json::from_slice(&text).map_err(|error| EngineError::act(act(), error))
    }
}

impl Inner {
    /// Returns what a monitor is passed: its report pipe and, for an ordinary user, a share in the holder.
    fn passed_to_monitor(&self, report: OwnedFd) -> std::io::Result<Vec<OwnedFd>> {
        let lease = self.holder.as_ref().map(Holder::lease).transpose()?;
        Ok([Some(report), lease].into_iter().flatten().collect())
    }
}

/// Returns the streams of a monitor that no command listens to.
fn no_streams() -> std::io::Result<[OwnedFd; 3]> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    Ok([
        null.try_clone()?.into(),
        null.try_clone()?.into(),
        null.into(),
    ])
}

/// Says which limits that the file asks for this machine does not enforce.
///
/// Limits that every container gets and nobody asked for are worth no warning.
fn notice(record: &ContainerRecord, unenforced: Vec<String>) -> Performed {
    let spec = &record.spec;
    let is_ours = |text: &str| {
        (text.starts_with("pids limit") && spec.limits.pids.is_none())
            || (text.starts_with("device rules") && spec.device_cgroup_rules.is_empty())
    };
    let asked: Vec<String> = unenforced
        .into_iter()
        .filter(|text| !is_ours(text))
        .collect();
    if asked.is_empty() {
        return Performed::Done;
    }
    let notice = format!(
        "container `{}` runs without these limits: {}",
        record.name,
        asked.join(", ")
    );
    Performed::Warned { notice }
}

/// A chain of causes that another process told.
#[derive(Debug)]
struct Chain {
    text: String,
    source: Option<Box<Self>>,
}

impl Chain {
    fn new(texts: Vec<String>) -> Self {
        let mut chain = None;
        for text in texts.into_iter().rev() {
            chain = Some(Self {
                text,
                source: chain.map(Box::new),
            });
        }
        chain.unwrap_or_else(|| Self {
            text: "no reason was given".to_owned(),
            source: None,
        })
    }
}

impl std::fmt::Display for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Chain {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
