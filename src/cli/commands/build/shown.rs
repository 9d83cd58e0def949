//! Events of a build into lines, as BuildKit's plain progress writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::cli::environment;
use crate::cli::error::CommandError;
use crate::cli::invocation::Invocation;
use crate::report::Output;
use crate::runtime::build::dockerfile::Mistake;
use crate::runtime::build::graph::Graph;
use crate::runtime::build::request::DockerfileText;
use crate::runtime::build::resolve::Warning;
use crate::runtime::build::{BuildError, BuildEvent, Events};
use crate::runtime::image::PullProgress;

/// What is shown of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Every step.
    Steps,
    /// Nothing but errors.
    Nothing,
}

/// Writes what happens; clones write to the same place.
#[derive(Clone)]
pub(super) struct Reporter(Arc<Mutex<State>>);

struct State {
    output: Output,
    shown: Shown,
    graph: Option<Arc<Graph>>,
    /// The number of a step, and when it began.
    numbers: BTreeMap<(usize, usize), (usize, Instant)>,
    pulled: BTreeSet<String>,
    next: usize,
    /// The beginning of a line whose end has not come yet.
    partial: BTreeMap<(usize, usize), Vec<u8>>,
}

/// The longest line of output that is held back for its end.
const PARTIAL_LIMIT_BYTES: usize = 64 << 10;

impl Reporter {
    pub(super) fn new(output: Output, shown: Shown) -> Self {
        Self(Arc::new(Mutex::new(State {
            output,
            shown,
            graph: None,
            numbers: BTreeMap::new(),
            pulled: BTreeSet::new(),
            next: 1,
            partial: BTreeMap::new(),
        })))
    }

    /// Tells which steps the events are about.
    pub(super) fn begin(&self, graph: &Arc<Graph>) {
        self.with(|state| state.graph = Some(Arc::clone(graph)));
    }

    /// Returns the function that is called with each event.
    pub(super) fn events(&self) -> Events {
        let this = self.clone();
        Arc::new(move |event| this.with(|state| state.take(event)))
    }

    /// Says whether steps are shown.
    pub(super) fn is_shown(&self) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.shown == Shown::Steps
    }

    fn with(&self, work: impl FnOnce(&mut State)) {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl State {
    fn take(&mut self, event: BuildEvent) {
        if self.shown == Shown::Nothing {
            return;
        }
        match event {
            BuildEvent::Pull { image, progress } => self.pull(&image, &progress),
            BuildEvent::StepStarted { stage, step } => {
                self.number(stage, step);
            }
            BuildEvent::StepCached { stage, step } => {
                let number = self.number(stage, step);
                self.line(&format!("#{number} CACHED\n"));
            }
            BuildEvent::StepOutput { stage, step, bytes } => self.text(stage, step, &bytes),
            BuildEvent::StepDone {
                stage,
                step,
                duration,
            } => {
                self.flush(stage, step);
                let number = self.number(stage, step);
                self.line(&format!("#{number} DONE {:.1}s\n", duration.as_secs_f64()));
            }
            BuildEvent::StepFailed { stage, step } => {
                self.flush(stage, step);
                let number = self.number(stage, step);
                self.line(&format!("#{number} ERROR\n"));
            }
        }
    }

    fn pull(&mut self, image: &str, progress: &PullProgress) {
        if self.pulled.insert(image.to_owned()) {
            self.line(&format!("pulling {image}"));
        }
        if let PullProgress::Retry { reason, attempt } = progress {
            self.line(&format!("pulling {image}: attempt {attempt}: {reason}"));
        }
    }

    /// Returns a step's number; a new one is introduced.
    fn number(&mut self, stage: usize, step: usize) -> usize {
        if let Some((number, _)) = self.numbers.get(&(stage, step)) {
            return *number;
        }
        let number = self.next;
        self.next += 1;
        self.numbers
            .insert((stage, step), (number, environment::instant()));
        let name = self
            .graph
            .as_deref()
            .map(|graph| step_name(graph, stage, step));
        self.line(&format!("#{number} {}", name.unwrap_or_default()));
        number
    }

    fn text(&mut self, stage: usize, step: usize, bytes: &[u8]) {
        let mut held = self.partial.remove(&(stage, step)).unwrap_or_default();
        held.extend_from_slice(bytes);
        while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            let rest = held.split_off(end + 1);
            self.output_line(stage, step, &held);
            held = rest;
        }
        if held.len() > PARTIAL_LIMIT_BYTES {
            self.output_line(stage, step, &held);
            held.clear();
        }
        self.partial.insert((stage, step), held);
    }

    fn flush(&mut self, stage: usize, step: usize) {
        let held = self.partial.remove(&(stage, step)).unwrap_or_default();
        if !held.is_empty() {
            self.output_line(stage, step, &held);
        }
    }

    fn output_line(&mut self, stage: usize, step: usize, line: &[u8]) {
        let number = self.number(stage, step);
        let since = self.numbers.get(&(stage, step)).map(|(_, began)| *began);
        let seconds = since.map_or(0.0, |began| (environment::instant() - began).as_secs_f64());
        let text = String::from_utf8_lossy(line);
        self.line(&format!(
            "#{number} {seconds:.3} {}",
            text.trim_end_matches(['\r', '\n'])
        ));
    }

    fn line(&mut self, text: &str) {
        // A build goes on when its output is closed.
        drop(self.output.line(text));
    }
}

/// `[base 2/5] RUN make`
fn step_name(graph: &Graph, stage: usize, step: usize) -> String {
    let Some(stage) = graph.stages.get(stage) else {
        return String::new();
    };
    let is_counted = |step: &&crate::runtime::build::graph::Step| step.operation.is_some();
    let count = stage.steps.iter().filter(is_counted).count() + 1;
    let number = stage.steps.iter().take(step + 1).filter(is_counted).count() + 1;
    let text = stage.steps.get(step).map_or("", |step| step.text.as_str());
    let text = text.lines().next().unwrap_or_default();
    format!("[{} {number}/{count}] {text}", stage.name)
}

/// Shows where in the Dockerfile a build failed, and returns the error.
pub(super) fn failed(
    invocation: &Invocation,
    dockerfile: &DockerfileText,
    error: BuildError,
) -> CommandError {
    let mut output = invocation.stderr();
    if let BuildError::Step { text, source, .. } = &error
        && let BuildError::RunFailed { output: said, .. } = source.as_ref()
        && !said.trim().is_empty()
    {
        drop(output.line("------"));
        drop(output.line(&format!(" > {}:", text.lines().next().unwrap_or_default())));
        for line in said.lines() {
            drop(output.line(line));
        }
        drop(output.line("------"));
    }
    let mut hint = None;
    if let Some(mistake) = error.mistake() {
        drop(
            output.bytes(
                mistake
                    .excerpt(&dockerfile.name, &dockerfile.text)
                    .as_bytes(),
            ),
        );
        hint = mistake.hint;
    }
    let error = CommandError::cannot("build the image", error);
    hint.into_iter().fold(error, CommandError::hint)
}

/// Shows the lint checks' findings at the end of a build.
pub(super) fn warnings(invocation: &Invocation, warnings: &[Warning]) -> Result<(), CommandError> {
    let count = match warnings.len() {
        0 => return Ok(()),
        1 => "1 warning found".to_owned(),
        count => format!("{count} warnings found"),
    };
    let mut output = invocation.stderr();
    output.line(&format!("\n {count} (use --check to expand):"))?;
    for warning in warnings {
        let (rule, line) = (warning.rule.name(), warning.lines.first);
        output.line(&format!(" - {rule}: {} (line {line})", warning.message))?;
    }
    Ok(())
}

/// Draws the lines of a finding.
pub(super) fn excerpt(dockerfile: &DockerfileText, warning: &Warning) -> String {
    let mistake = Mistake::new(warning.message.clone()).at(warning.lines);
    mistake.excerpt(&dockerfile.name, &dockerfile.text)
}
