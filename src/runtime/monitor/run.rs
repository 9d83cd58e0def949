//! The life of one container, from its start to its last end: one loop over what can happen.
//!
//! **Invariant:** the state record is replaced before anyone is told of a change.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::bundle::Bundle;
use super::control::{Reply, Request};
use super::conversation::{Conversations, Said};
use super::events::{self, ContainerEvent};
use super::health::HealthMachine;
use super::launch::{self, Running};
use super::log::Stream;
use super::network::Network;
use super::output::Output;
use super::probe::{Probe, ProbeEnd};
use super::restart::{Ending, is_steady};
use super::state::{ContainerState, Health, ProbeResult, Status};
use super::waits::{Source, wait_for};
use super::{MonitorError, clock};
use crate::runtime::kernel::pidfd::Exit;
use crate::runtime::network::names;
use crate::runtime::store::Durability;

/// How long a container may take to be killed before we look again.
const KILL_AGAIN: Duration = Duration::from_millis(200);

/// Where the container is, as the loop sees it.
#[derive(Debug)]
enum Phase {
    /// Its first process runs.
    Running(Box<Running>),
    /// It will be started again then.
    Pausing { until: Instant },
    /// It has ended for good.
    Ended,
}

/// One container and everything that is kept of it while it lives.
#[derive(Debug)]
pub(super) struct Monitor {
    bundle: Bundle,
    state: ContainerState,
    output: Output,
    conversations: Conversations,
    phase: Phase,
    health: Option<HealthMachine>,
    probe: Option<Probe>,
    kill_at: Option<Instant>,
    started: Instant,
    short_runs: u32,
    network: Network,
}

impl Monitor {
    /// Starts the container for the first time.
    pub(super) fn start(bundle: Bundle) -> Result<Self, MonitorError> {
        let mut state = ContainerState::created(&bundle.boot_id);
        let mut network = Network::prepare(&bundle)?;
        state.ports = network.bound_ports();
        state.addresses.clone_from(&bundle.addresses);
        let output = Output::open(&bundle)?;
        let conversations = Conversations::open(&bundle.run_dir)?;
        let running = launch::start(&bundle, &mut network)?;
        let mut monitor = Self {
            bundle,
            state,
            output,
            conversations,
            phase: Phase::Ended,
            health: None,
            probe: None,
            kill_at: None,
            started: clock::now(),
            short_runs: 0,
            network,
        };
        monitor.began(running)?;
        Ok(monitor)
    }

    /// Takes over a container whose monitor is gone.
    pub(super) fn adopt(bundle: Bundle, state: ContainerState) -> Result<Self, MonitorError> {
        let network = Network::adopt(&bundle, &state)?;
        let output = Output::open(&bundle)?;
        let conversations = Conversations::open(&bundle.run_dir)?;
        let running = launch::adopt(&bundle, &state)?;
        let mut monitor = Self {
            bundle,
            state,
            output,
            conversations,
            phase: Phase::Ended,
            health: None,
            probe: None,
            kill_at: None,
            started: clock::now(),
            short_runs: 0,
            network,
        };
        match running {
            Some(running) => {
                monitor.health = monitor.new_health();
                monitor.phase = Phase::Running(Box::new(running));
                monitor.state.ports = monitor.network.bound_ports();
                monitor.publish_name()?;
                monitor.save(Durability::Cached)?;
                // It may have ended while nobody watched, and still be there for its reaper.
                if monitor.has_ended()? {
                    monitor.process_ended()?;
                }
            }
            None => monitor.ended(Exit::Unknown)?,
        }
        Ok(monitor)
    }

    /// Returns the limits that this machine could not enforce.
    pub(super) fn unenforced(&self) -> &[String] {
        &self.state.unenforced
    }

    fn new_health(&self) -> Option<HealthMachine> {
        self.bundle
            .health
            .clone()
            .map(|check| HealthMachine::new(check, clock::now()))
    }

    /// Runs until the container has ended for good.
    pub(super) fn run(mut self) -> Result<(), MonitorError> {
        while !matches!(self.phase, Phase::Ended) {
            for source in self.wait()? {
                self.handle(source)?;
            }
            self.do_what_is_due()?;
        }
        Ok(())
    }

    fn wait(&self) -> Result<Vec<Source>, MonitorError> {
        let mut watched = self.conversations.sources();
        watched.extend(self.output.sources());
        if let Phase::Running(running) = &self.phase {
            watched.extend(running.sources());
        }
        if let Some(probe) = &self.probe {
            watched.extend(probe.sources());
        }
        wait_for(&watched, self.next_deadline())
    }

    fn next_deadline(&self) -> Option<Instant> {
        let restart = match &self.phase {
            Phase::Pausing { until } => Some(*until),
            Phase::Running(_) | Phase::Ended => None,
        };
        let probe = match (&self.probe, &self.health) {
            (Some(probe), _) => Some(probe.deadline()),
            (None, Some(health)) if self.probes_now() => health.next_probe(),
            _ => None,
        };
        [restart, probe, self.kill_at].into_iter().flatten().min()
    }

    fn probes_now(&self) -> bool {
        matches!(self.phase, Phase::Running(_)) && self.state.status == Status::Running
    }

    fn handle(&mut self, source: Source) -> Result<(), MonitorError> {
        match source {
            Source::Control => self.conversations.accept()?,
            Source::Conversation(number) => match self.conversations.receive(number) {
                Some(Said::Request(request)) => self.answer(number, request)?,
                Some(Said::Keys(keys)) => self.type_keys(&keys),
                None => {}
            },
            Source::Output(stream) => drop(self.output.pump(stream)?),
            Source::Console => self.pump_console()?,
            Source::Process => self.process_ended()?,
            Source::Probe | Source::ProbeOutput => self.probe_moved()?,
        }
        Ok(())
    }

    fn type_keys(&mut self, keys: &[u8]) {
        if let Phase::Running(running) = &mut self.phase {
            running.write_console(keys);
        }
    }

    fn pump_console(&mut self) -> Result<(), MonitorError> {
        let Phase::Running(running) = &mut self.phase else {
            return Ok(());
        };
        let bytes = running.read_console();
        self.conversations.pass_on(&bytes);
        self.output.push(Stream::Stdout, &bytes)?;
        Ok(())
    }

    fn do_what_is_due(&mut self) -> Result<(), MonitorError> {
        let now = clock::now();
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_all()?;
            self.kill_at = Some(now + KILL_AGAIN);
        }
        if matches!(self.phase, Phase::Pausing { until } if until <= now) {
            self.start_again()?;
        }
        if self
            .probe
            .as_ref()
            .is_some_and(|probe| probe.deadline() <= now)
        {
            self.probe_timed_out()?;
        }
        let due = self.health.as_ref().and_then(HealthMachine::next_probe);
        if self.probe.is_none() && self.probes_now() && due.is_some_and(|at| at <= now) {
            self.start_probe()?;
        }
        Ok(())
    }

    fn answer(&mut self, number: usize, request: Request) -> Result<(), MonitorError> {
        let done = match request {
            Request::Stop { signal, grace_ms } => {
                self.conversations.waits_for_end(number);
                return self.stop(signal, grace_ms);
            }
            Request::Signal { signal } => self.signal(signal),
            Request::Pause => self.freeze(Status::Paused),
            Request::Unpause => self.freeze(Status::Running),
            Request::Resize { rows, columns } => self.resize(rows, columns),
            Request::Attach => return self.attach(number),
            Request::Reload => self.reload(),
        };
        let reply = match done {
            Ok(()) => Reply::Done,
            Err(error) => Reply::Failed {
                message: error.chain(),
            },
        };
        self.conversations.reply(number, &reply);
        Ok(())
    }

    fn attach(&mut self, number: usize) -> Result<(), MonitorError> {
        let has_terminal = matches!(&self.phase, Phase::Running(running) if running.has_console());
        let reply = if has_terminal {
            Reply::Done
        } else {
            Reply::Failed {
                message: MonitorError::NoTerminal.to_string(),
            }
        };
        self.conversations.reply(number, &reply);
        if has_terminal {
            self.conversations.attach(number);
        }
        Ok(())
    }

    fn stop(&mut self, signal: i32, grace_ms: Option<u64>) -> Result<(), MonitorError> {
        self.state.stop_wanted = true;
        self.save(Durability::Cached)?;
        if matches!(self.phase, Phase::Pausing { .. }) {
            self.state.status = Status::Exited;
            return self.end_for_good();
        }
        if self.state.status == Status::Paused {
            self.freeze(Status::Running)?;
        }
        if let Phase::Running(running) = &self.phase {
            running.signal(signal)?;
        }
        let deadline = grace_ms.map(|ms| clock::now() + Duration::from_millis(ms));
        self.kill_at = match (self.kill_at, deadline) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.event("kill", &[("signal", signal.to_string())])
    }

    fn signal(&mut self, signal: i32) -> Result<(), MonitorError> {
        if signal == libc_sigkill() || signal == self.bundle.stop_signal {
            self.state.stop_wanted = true;
            self.save(Durability::Cached)?;
        }
        if let Phase::Running(running) = &self.phase {
            running.signal(signal)?;
        }
        self.event("kill", &[("signal", signal.to_string())])
    }

    fn freeze(&mut self, wanted: Status) -> Result<(), MonitorError> {
        let Phase::Running(running) = &self.phase else {
            return Err(MonitorError::NotRunning);
        };
        if self.state.status == wanted {
            return Ok(());
        }
        let action = if wanted == Status::Paused {
            running.pause()?;
            "pause"
        } else {
            running.unpause()?;
            "unpause"
        };
        self.state.status = wanted;
        self.save(Durability::Cached)?;
        self.event(action, &[])
    }

    fn resize(&mut self, rows: u16, columns: u16) -> Result<(), MonitorError> {
        match &self.phase {
            Phase::Running(running) => running.resize(rows, columns),
            Phase::Pausing { .. } | Phase::Ended => Err(MonitorError::NotRunning),
        }
    }

    fn reload(&mut self) -> Result<(), MonitorError> {
        let new = Bundle::find(&self.bundle.run_dir)?;
        let Some(new) = new else {
            return Err(MonitorError::NoBundle {
                path: self.bundle.run_dir.clone(),
            });
        };
        if let Phase::Running(running) = &mut self.phase {
            self.state.unenforced = running.update(&new)?;
        }
        self.withdraw_names(|network| !new.names.contains_key(network))?;
        let changed = self.network.change(&self.bundle, &new);
        self.bundle.restart = new.restart;
        self.bundle.names = new.names;
        self.bundle.name = new.name;
        self.bundle.container = new.container;
        self.bundle.network = new.network;
        self.bundle.addresses.clone_from(&new.addresses);
        self.state.addresses = new.addresses;
        changed?;
        if matches!(self.phase, Phase::Running(_)) {
            self.publish_name()?;
        }
        self.save(Durability::Cached)
    }

    fn kill_all(&mut self) -> Result<(), MonitorError> {
        match &self.phase {
            Phase::Running(running) => running.kill_all(),
            Phase::Pausing { .. } | Phase::Ended => Ok(()),
        }
    }

    /// Records that the container runs.
    fn began(&mut self, running: Running) -> Result<(), MonitorError> {
        self.state.status = Status::Running;
        self.state.container = Some(running.record()?);
        self.state.exit_code = None;
        self.state.oom_killed = false;
        self.state.error = None;
        self.state.started_at = Some(clock::timestamp().to_string());
        self.state.finished_at = None;
        self.state.unenforced = running.unenforced().to_vec();
        self.health = self.new_health();
        self.state.health = self.health.as_ref().map(HealthMachine::health);
        self.state.failing_streak = 0;
        self.started = clock::now();
        self.phase = Phase::Running(Box::new(running));
        self.publish_name()?;
        self.save(Durability::Cached)?;
        self.event("start", &[])
    }

    fn start_again(&mut self) -> Result<(), MonitorError> {
        self.state.restart_count += 1;
        match launch::start(&self.bundle, &mut self.network) {
            Ok(running) => self.began(running),
            Err(error) => {
                self.state.error = Some(error.chain());
                self.after_run(Some(127))
            }
        }
    }

    fn has_ended(&self) -> Result<bool, MonitorError> {
        match &self.phase {
            Phase::Running(running) => running.has_ended(),
            Phase::Pausing { .. } | Phase::Ended => Ok(false),
        }
    }

    fn process_ended(&mut self) -> Result<(), MonitorError> {
        let Phase::Running(running) = &self.phase else {
            return Ok(());
        };
        match running.exit()? {
            Some(exit) => self.ended(exit),
            None => Ok(()),
        }
    }

    /// Records how the container's first process ended, and what comes after it.
    fn ended(&mut self, exit: Exit) -> Result<(), MonitorError> {
        self.pump_console()?;
        self.output.finish()?;
        let exit_code = match exit {
            Exit::Code(_) | Exit::Signal(_) => Some(exit.shell_code()),
            Exit::Unknown => None,
        };
        if let Phase::Running(running) = &self.phase {
            self.state.oom_killed = running.was_oom_killed();
            // What it left behind in its pid namespace is dying; what shares another's is not.
            running.kill_all()?;
            // A cgroup that was killed once is not used again: since Linux 6.10 a process that is
            // cloned into it counts as older than the kill, and dies at birth.
            running.clean_up();
        }
        if let Some(probe) = self.probe.take() {
            probe.kill();
        }
        self.health = None;
        self.withdraw_name()?;
        self.after_run(exit_code)
    }

    fn after_run(&mut self, exit_code: Option<i32>) -> Result<(), MonitorError> {
        let ran_for = clock::now().duration_since(self.started);
        let ending = Ending {
            exit_code,
            ran_for,
            restarts: self.state.restart_count,
            short_runs: self.short_runs,
        };
        self.short_runs = if is_steady(ran_for) {
            0
        } else {
            self.short_runs + 1
        };
        self.state.exit_code = exit_code;
        self.state.finished_at = Some(clock::timestamp().to_string());
        self.state.health = None;
        let shown = exit_code.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
        if self.state.oom_killed {
            self.event("oom", &[])?;
        }
        let pause = (!self.state.stop_wanted)
            .then(|| self.bundle.restart.pause_after(&ending))
            .flatten();
        if let Some(pause) = pause {
            self.phase = Phase::Pausing {
                until: clock::now() + pause,
            };
            self.state.status = Status::Restarting;
            self.save(Durability::Cached)?;
            return self.event("die", &[("exitCode", shown)]);
        }
        self.state.status = Status::Exited;
        self.settle()?;
        self.event("die", &[("exitCode", shown)])?;
        // Last: who hears of the end looks at the state next, and writes events of its own.
        self.conversations.ended(exit_code);
        Ok(())
    }

    fn end_for_good(&mut self) -> Result<(), MonitorError> {
        self.settle()?;
        self.conversations.ended(self.state.exit_code);
        Ok(())
    }

    /// Gives back what the container had, and writes down how it ended.
    fn settle(&mut self) -> Result<(), MonitorError> {
        if let Phase::Running(running) = &self.phase {
            running.clean_up();
        }
        self.phase = Phase::Ended;
        // Whoever hears of the end may want the same ports at once.
        self.network.close();
        self.state.ports.clear();
        self.withdraw_name()?;
        self.save(Durability::Cached)
    }

    fn start_probe(&mut self) -> Result<(), MonitorError> {
        let (Phase::Running(running), Some(health)) = (&self.phase, &mut self.health) else {
            return Ok(());
        };
        health.probe_started();
        match Probe::start(&self.bundle, running, health.check(), clock::now()) {
            Ok(probe) => self.probe = Some(probe),
            Err(error) => {
                let end = ProbeEnd {
                    exit_code: 126,
                    output: error.chain(),
                };
                self.probe_ended(end)?;
            }
        }
        Ok(())
    }

    fn probe_moved(&mut self) -> Result<(), MonitorError> {
        let Some(probe) = &mut self.probe else {
            return Ok(());
        };
        if let Some(end) = probe.read()? {
            self.probe = None;
            self.probe_ended(end)?;
        }
        Ok(())
    }

    fn probe_timed_out(&mut self) -> Result<(), MonitorError> {
        let Some(probe) = self.probe.take() else {
            return Ok(());
        };
        self.probe_ended(probe.give_up())
    }

    fn probe_ended(&mut self, end: ProbeEnd) -> Result<(), MonitorError> {
        let Some(health) = &mut self.health else {
            return Ok(());
        };
        health.probe_ended(end.exit_code == 0, clock::now());
        let (now, streak) = (health.health(), health.failing_streak());
        let before = self.state.health.replace(now);
        self.state.failing_streak = streak;
        self.state.last_probe = Some(ProbeResult {
            finished_at: clock::timestamp().to_string(),
            exit_code: end.exit_code,
            output: end.output,
        });
        if before != Some(now) {
            self.publish_name()?;
        }
        self.save(Durability::Cached)?;
        if before == Some(now) {
            return Ok(());
        }
        let action = match now {
            Health::Starting => return Ok(()),
            Health::Healthy => "health_status: healthy",
            Health::Unhealthy => "health_status: unhealthy",
        };
        self.event(action, &[])
    }

    fn save(&self, durability: Durability) -> Result<(), MonitorError> {
        Ok(self.state.write(&self.bundle.container_dir, durability)?)
    }

    fn publish_name(&self) -> Result<(), MonitorError> {
        let healthy = self
            .state
            .health
            .is_none_or(|health| health == Health::Healthy);
        for (network, record) in self.bundle.name_records(healthy) {
            names::write_record(&network, &self.bundle.id, &record)?;
        }
        Ok(())
    }

    fn withdraw_name(&self) -> Result<(), MonitorError> {
        self.withdraw_names(|_| true)
    }

    fn withdraw_names(&self, is_left: impl Fn(&Path) -> bool) -> Result<(), MonitorError> {
        let networks = self.bundle.names.keys();
        for network in networks.filter(|network| is_left(network)) {
            names::remove_record(network, &self.bundle.id)?;
        }
        Ok(())
    }

    fn event(&self, action: &str, more: &[(&str, String)]) -> Result<(), MonitorError> {
        let mut attributes = self.bundle.event_attributes.clone();
        attributes.insert("name".to_owned(), self.bundle.name.clone());
        let more: BTreeMap<String, String> = more
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect();
        attributes.extend(more);
        let time: Timestamp = clock::timestamp();
        let (id, action) = (self.bundle.id.clone(), action.to_owned());
        let event = ContainerEvent {
            time,
            id,
            action,
            attributes,
        };
        let path = self.bundle.events.clone();
        events::append(&path, &event).map_err(|source| MonitorError::Event { path, source })
    }
}

fn libc_sigkill() -> i32 {
    rustix::process::Signal::KILL.as_raw()
}
