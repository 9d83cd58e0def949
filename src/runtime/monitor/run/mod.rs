//! The life of one container, from its start to its last end: one loop over what can happen.
//!
//! | file | what it does |
//! |---|---|
//! | [`answer`] | what a command asks for |
//! | [`course`] | begins a run, and ends it or begins the next |
//! | [`probes`] | probes health |
//! | [`tell`] | writes the state record, names and events |
//!
//! **Invariant:** the state record is replaced before anyone is told of a change, unless that cannot be
//! done: then the change is made all the same, and recorded as soon as possible.

mod answer;
mod course;
mod probes;
mod tell;

use std::time::{Duration, Instant};

use super::bundle::Bundle;
use super::caller::{CallerStreams, Viewers};
use super::console::Keyboard;
use super::conversation::{Conversations, Heard, Said};
use super::health::HealthMachine;
use super::launch::{self, Input, Running};
use super::log::Stream;
use super::network::{Bound, Network};
use super::output::Output;
use super::probe::Probe;
use super::state::ContainerState;
use super::waits::{Source, wait_for};
use super::{MonitorError, clock};
use crate::runtime::kernel::pidfd::Exit;
use tell::Owed;

/// How long a container may take to be killed before we look again.
const KILL_AGAIN: Duration = Duration::from_millis(200);
/// How long a port that somebody else took while nobody watched is left to him before we ask again.
const BIND_AGAIN: Duration = Duration::from_secs(5);

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
    owed: Owed,
    /// When to look again whether the ports that were taken are free.
    bind_again: Option<Instant>,
    /// Whether nobody will ask for its record any more.
    is_forgotten: bool,
}

impl Monitor {
    /// Starts the container for the first time, with the streams of the command that runs it in the foreground.
    pub(super) fn start(
        bundle: Bundle,
        caller: Option<CallerStreams>,
    ) -> Result<Self, MonitorError> {
        let (input, viewers) = match caller {
            Some(caller) => (Input::Caller(caller.stdin), caller.viewers),
            None => (Input::Kept, Viewers::default()),
        };
        let mut state = ContainerState::created(&bundle.boot_id);
        let network = Network::prepare(&bundle)?;
        state.ports = network.bound_ports();
        state.addresses.clone_from(&bundle.addresses);
        let mut monitor = Self::new(bundle, state, network, viewers)?;
        let running = launch::start(&monitor.bundle, &mut monitor.network, input)?;
        monitor.began(running)?;
        // What nobody could find again is not left running.
        if let Err(error) = monitor.pay() {
            drop(monitor.kill_all());
            if let Phase::Running(running) = &monitor.phase {
                running.clean_up();
            }
            return Err(error);
        }
        Ok(monitor)
    }

    /// Takes over a container whose monitor is gone.
    pub(super) fn adopt(bundle: Bundle, state: ContainerState) -> Result<Self, MonitorError> {
        let network = Network::adopt(&bundle, &state)?;
        let mut monitor = Self::new(bundle, state, network, Viewers::default())?;
        match launch::adopt(&monitor.bundle, &monitor.state)? {
            Some(running) => {
                monitor.health = monitor.new_health();
                monitor.phase = Phase::Running(Box::new(running));
                monitor.state.ports = monitor.network.bound_ports();
                monitor.bind_later();
                monitor.tell_names();
                monitor.save();
                monitor.go_on_stopping();
                // It may have ended while nobody watched, and still be there for its reaper.
                if monitor.has_ended()? {
                    monitor.process_ended()?;
                }
            }
            None => monitor.ended(Exit::Unknown),
        }
        Ok(monitor)
    }

    /// Takes up a stop that its last monitor began, and may have died before it sent the signal.
    fn go_on_stopping(&mut self) {
        let Some(order) = &self.state.stopping else {
            return;
        };
        self.kill_at = order.kill_at.as_deref().map(clock::instant_of);
        if let Phase::Running(running) = &self.phase {
            // One that cannot be sent a signal has ended, or is killed when the time is up.
            drop(running.signal(order.signal));
        }
    }

    fn new(
        bundle: Bundle,
        state: ContainerState,
        network: Network,
        viewers: Viewers,
    ) -> Result<Self, MonitorError> {
        let output = Output::open(&bundle, viewers)?;
        let conversations = Conversations::open(&bundle.run_dir)?;
        Ok(Self {
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
            owed: Owed::default(),
            bind_again: None,
            is_forgotten: false,
        })
    }

    /// Returns the limits that this machine could not enforce.
    pub(super) fn unenforced(&self) -> &[String] {
        &self.state.unenforced
    }

    /// Runs until the container has ended for good, and its record says so.
    pub(super) fn run(mut self) -> Result<(), MonitorError> {
        while !self.is_done() {
            for source in self.wait()? {
                self.handle(source)?;
            }
            self.do_what_is_due()?;
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        let is_recorded = !self.owed.state() || !self.bundle.container_dir.exists();
        let is_settled = is_recorded && self.output.is_delivered();
        matches!(self.phase, Phase::Ended) && (is_settled || self.is_forgotten)
    }

    fn wait(&self) -> Result<Vec<Source>, MonitorError> {
        let mut watched = self.conversations.sources(self.keyboard());
        watched.extend(self.output.sources());
        if let Phase::Running(running) = &self.phase {
            watched.extend(running.sources());
        }
        if self.output.is_held_up(Stream::Stdout) {
            watched.retain(|watched| watched.source != Source::Console);
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
        let others = [self.kill_at, self.owed.again(), self.bind_again];
        let all = [restart, probe].into_iter().chain(others);
        all.flatten().min()
    }

    fn handle(&mut self, source: Source) -> Result<(), MonitorError> {
        match source {
            Source::Control => {
                if self.conversations.accept()? == Heard::Nobody {
                    self.owe();
                }
            }
            Source::Conversation(number) => match self.conversations.receive(number) {
                Some(Said::Request(request)) => self.answer(number, request),
                Some(Said::Keys(keys)) => self.type_keys(&keys),
                None => {}
            },
            Source::Output(stream) => drop(self.output.pump(stream)?),
            Source::Console => self.pump_console(),
            Source::Process => self.process_ended()?,
            Source::Probe | Source::ProbeOutput => self.probe_moved(),
        }
        Ok(())
    }

    fn keyboard(&self) -> Keyboard {
        match &self.phase {
            Phase::Running(running) => running.keyboard(),
            Phase::Pausing { .. } | Phase::Ended => Keyboard::Ready,
        }
    }

    fn type_keys(&mut self, keys: &[u8]) {
        if let Phase::Running(running) = &mut self.phase {
            running.write_console(keys);
        }
    }

    fn pump_console(&mut self) {
        let Phase::Running(running) = &mut self.phase else {
            return;
        };
        let bytes = running.read_console();
        self.conversations.pass_on(&bytes);
        self.output.push(Stream::Stdout, &bytes);
    }

    fn do_what_is_due(&mut self) -> Result<(), MonitorError> {
        let now = clock::now();
        if self.kill_at.is_some_and(|at| at <= now) {
            // If it did not work, it is tried again just as if it had worked and somebody were left.
            drop(self.kill_all());
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
            self.probe_timed_out();
        }
        let due = self.health.as_ref().and_then(HealthMachine::next_probe);
        if self.probe.is_none() && self.probes_now() && due.is_some_and(|at| at <= now) {
            self.start_probe();
        }
        if self.owed.again().is_some_and(|at| at <= now) {
            self.try_again();
        }
        if self.bind_again.is_some_and(|at| at <= now) {
            self.bind_missing_ports();
        }
        Ok(())
    }

    /// Plans another look at the ports that are still to be opened.
    fn bind_later(&mut self) {
        let misses = self.network.misses_ports();
        self.bind_again = misses.then(|| clock::now() + BIND_AGAIN);
    }

    fn bind_missing_ports(&mut self) {
        if self.network.bind_missing(&self.bundle) == Bound::More {
            self.state.ports = self.network.bound_ports();
            self.save();
        }
        self.bind_later();
    }

    fn kill_all(&mut self) -> Result<(), MonitorError> {
        self.probe = None;
        match &self.phase {
            Phase::Running(running) => running.kill_all(),
            Phase::Pausing { .. } | Phase::Ended => Ok(()),
        }
    }

    fn has_ended(&self) -> Result<bool, MonitorError> {
        match &self.phase {
            Phase::Running(running) => running.has_ended(),
            Phase::Pausing { .. } | Phase::Ended => Ok(false),
        }
    }
}
