//! Processes as the kernel shows them: our own boot and a container's processes and use.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::inner::Inner;
use super::record::ContainerRecord;
use crate::engine::{EngineError, ProcessRow, Stats};
use crate::runtime::container::Container;
use crate::runtime::store::read_bounded;
use crate::value::ContainerName;

/// The longest file of `/proc` that is read.
const PROC_LIMIT_BYTES: u64 = 1 << 20;

/// Returns the id of the boot that the machine is in.
pub(super) fn boot_id() -> Result<String, EngineError> {
    let text = read_proc("/proc/sys/kernel/random/boot_id")?;
    Ok(text.trim().to_owned())
}

fn read_proc(path: impl AsRef<Path>) -> Result<String, EngineError> {
    let path = path.as_ref();
    let bytes = read_bounded(path, PROC_LIMIT_BYTES)
        .map_err(|error| EngineError::act(format!("read `{}`", path.display()), error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Inner {
    /// Returns the container that runs, as the runtime knows it.
    pub(super) fn running(&self, record: &ContainerRecord) -> Result<Container, EngineError> {
        let state = self.known_state(record)?;
        let found = Self::process_of(record, &state)?;
        found.ok_or_else(|| EngineError::NotRunning {
            name: record.name.clone(),
        })
    }

    /// Lists a container's processes.
    pub(super) fn top(&self, name: &ContainerName) -> Result<Vec<ProcessRow>, EngineError> {
        let record = self.get(name)?;
        let container = self.running(&record)?;
        let pids = container.processes().map_err(|error| {
            EngineError::act(format!("list the processes of container `{name}`"), error)
        })?;
        let booted = booted()?;
        // A process that ended meanwhile is left out.
        Ok(pids
            .into_iter()
            .filter_map(|pid| row(pid, booted).ok().flatten())
            .collect())
    }

    /// Measures what a container uses now.
    pub(super) fn stats(&self, name: &ContainerName) -> Result<Stats, EngineError> {
        let record = self.get(name)?;
        let container = self.running(&record)?;
        let used = container.stats();
        let (received_bytes, sent_bytes) = traffic(container.process().pid());
        Ok(Stats {
            cpu_nanos: used.cpu_us.map(|us| us.saturating_mul(1000)),
            memory_bytes: used.memory_bytes,
            memory_limit_bytes: used.memory_limit_bytes,
            received_bytes,
            sent_bytes,
            pids: used.pids,
        })
    }
}

/// Returns when the machine booted.
fn booted() -> Result<SystemTime, EngineError> {
    let text = read_proc("/proc/stat")?;
    let line = text.lines().find_map(|line| line.strip_prefix("btime "));
    let seconds = line.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

fn row(pid: i32, booted: SystemTime) -> Result<Option<ProcessRow>, EngineError> {
    let dir = Path::new("/proc").join(pid.to_string());
    let stat = read_proc(dir.join("stat"))?;
    // The name may contain anything; what follows its last parenthesis does not.
    let Some((_, after)) = stat.rsplit_once(')') else {
        return Ok(None);
    };
    let fields: Vec<&str> = after.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok());
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let milliseconds = |value: u64| value.saturating_mul(1000) / ticks;
    let cpu = number(11).unwrap_or_default() + number(12).unwrap_or_default();
    let started = booted + Duration::from_millis(milliseconds(number(19).unwrap_or_default()));
    Ok(Some(ProcessRow {
        user: owner(&read_proc(dir.join("status"))?),
        pid: u32::try_from(pid).unwrap_or_default(),
        parent_pid: number(1)
            .and_then(|value| u32::try_from(value).ok())
            .unwrap_or_default(),
        started,
        cpu_ms: milliseconds(cpu),
        tty: terminal(number(4).unwrap_or_default()),
        command: command(&dir, &stat)?,
    }))
}

fn owner(status: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let uid = line
        .and_then(|ids| ids.split_ascii_whitespace().nth(1))
        .unwrap_or("?");
    if uid == "0" {
        "root".to_owned()
    } else {
        uid.to_owned()
    }
}

/// Names a controlling terminal by its device number, see `tty_nr` in `proc_pid_stat(5)`.
fn terminal(number: u64) -> String {
    let (major, minor) = (
        (number >> 8) & 0xfff,
        (number & 0xff) | ((number >> 12) & 0xfff00),
    );
    if (136..=143).contains(&major) {
        return format!("pts/{}", minor + (major - 136) * 256);
    }
    "?".to_owned()
}

fn command(dir: &Path, stat: &str) -> Result<String, EngineError> {
    let line = read_proc(dir.join("cmdline"))?;
    let words: Vec<&str> = line.split('\0').filter(|word| !word.is_empty()).collect();
    if !words.is_empty() {
        return Ok(words.join(" "));
    }
    let name = stat
        .split_once('(')
        .and_then(|(_, rest)| rest.rsplit_once(')'));
    Ok(name.map_or_else(String::new, |(name, _)| format!("[{name}]")))
}

/// Returns bytes received and sent on all interfaces but loopback, of the process's network.
fn traffic(pid: i32) -> (u64, u64) {
    let text = read_proc(format!("/proc/{pid}/net/dev")).unwrap_or_default();
    let mut total = (0, 0);
    for line in text.lines().skip(2) {
        let Some((name, counters)) = line.split_once(':') else {
            continue;
        };
        if name.trim() == "lo" {
            continue;
        }
        let counters: Vec<u64> = counters
            .split_ascii_whitespace()
            .filter_map(|text| text.parse().ok())
            .collect();
        total.0 += counters.first().copied().unwrap_or_default();
        total.1 += counters.get(8).copied().unwrap_or_default();
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_named_as_ps_names_it() {
        assert_eq!(terminal(0), "?");
        assert_eq!(terminal(136 << 8 | 3), "pts/3");
    }

    #[test]
    fn we_are_a_process_with_a_command() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let row = row(pid, booted().unwrap()).unwrap().unwrap();
        assert!(row.command.contains("consort"), "{row:?}");
        assert!(row.started <= SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40));
    }
}
