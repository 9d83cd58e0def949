//! Which stages are needed, in which order, and what they start from.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::runtime::build::BuildError;
use crate::runtime::build::dockerfile::ast::{Dockerfile, Instruction, Kind};
use crate::runtime::build::dockerfile::{self, Mistake, suggestion};
use crate::runtime::build::graph::{
    Base, BaseImage, ContextName, Graph, Images, Source, Stage, StageId,
};
use crate::runtime::build::request::{NamedContext, Request};
use crate::value::{ImageRef, Platform};

use super::Reach;
use super::base::{self, BaseName, From};
use super::lint::Lint;
use super::mount;
use super::scope::Globals;
use super::stage::{Interpreter, Sources};
use super::state::State;

/// The most triggers that an image may bring along.
const TRIGGERS_LIMIT: usize = 1_000;

/// Resolves the target and what it needs.
pub(super) async fn graph(
    dockerfile: &Dockerfile,
    request: &Request,
    images: &dyn Images,
    (lint, reach): (&mut Lint, Reach),
) -> Result<Graph, BuildError> {
    let globals = Globals::read(dockerfile, request)?;
    let froms = base::read_all(dockerfile, &globals, lint)?;
    let mut walk = Walk {
        dockerfile,
        request,
        images,
        globals,
        froms,
        names: BTreeMap::new(),
        found: BTreeMap::new(),
        finished: BTreeMap::new(),
        states: Vec::new(),
        graph: Graph { stages: Vec::new() },
    };
    for (index, stage) in dockerfile.stages.iter().enumerate() {
        if let Some(name) = &stage.name {
            walk.names.insert(name.to_lowercase(), index);
        }
    }
    walk.check_from_words()?;
    let target = walk.target()?;
    if reach == Reach::All {
        for index in 0..dockerfile.stages.len() {
            walk.stage(index, lint).await?;
        }
    }
    walk.stage(target, lint).await?;
    Ok(walk.graph)
}

struct Walk<'a> {
    dockerfile: &'a Dockerfile,
    request: &'a Request,
    images: &'a dyn Images,
    globals: Globals,
    froms: Vec<From>,
    /// Stages by lower-case name; of several, the last one.
    names: BTreeMap<String, usize>,
    found: BTreeMap<(String, String), Arc<BaseImage>>,
    finished: BTreeMap<usize, StageId>,
    states: Vec<State>,
    graph: Graph,
}

/// What a name stands for.
enum Meaning {
    Nothing,
    Stage(usize),
    Context(ContextName),
    Image(ImageRef, String),
}

impl Walk<'_> {
    fn target(&self) -> Result<usize, Mistake> {
        let Some(name) = self
            .request
            .target
            .as_deref()
            .filter(|name| !name.is_empty())
        else {
            return Ok(self.dockerfile.stages.len() - 1);
        };
        self.names
            .get(&name.to_lowercase())
            .copied()
            .ok_or_else(|| {
                let meant = suggestion(name, self.names.keys().map(String::as_str));
                Mistake::new(format!("target stage {name:?} could not be found"))
                    .with_hint(meant.map(|meant| format!("did you mean {meant}?")))
            })
    }

    /// Names of `--from` and `from=` have no variables, also in stages that are not needed.
    fn check_from_words(&self) -> Result<(), Mistake> {
        for stage in &self.dockerfile.stages {
            for instruction in &stage.instructions {
                from_words(instruction).map_err(|m| m.at(instruction.lines))?;
            }
        }
        Ok(())
    }

    /// Finishes a stage after all that it needs.
    async fn stage(&mut self, target: usize, lint: &mut Lint) -> Result<(), BuildError> {
        let mut open = vec![target];
        while let Some(index) = open.last().copied() {
            if self.finished.contains_key(&index) {
                open.pop();
                continue;
            }
            let missing = self.next_missing(index).await?;
            let Some(next) = missing else {
                self.finish(index, lint).await?;
                open.pop();
                continue;
            };
            if open.contains(&next) {
                let name = self.shown_name(next);
                let message = format!("circular dependency detected on stage: {name}");
                let lines = self.dockerfile.stages[next].lines;
                return Err(Mistake::new(message).at(lines).into());
            }
            open.push(next);
        }
        Ok(())
    }

    /// Returns a stage that must be finished before this one.
    async fn next_missing(&mut self, index: usize) -> Result<Option<usize>, BuildError> {
        if self.replacement(index).is_some() {
            return Ok(None);
        }
        let base = self.base_meaning(index)?;
        if let Meaning::Stage(stage) = base
            && !self.finished.contains_key(&stage)
        {
            return Ok(Some(stage));
        }
        let triggers = self.triggers(index).await?;
        let own = &self.dockerfile.stages[index].instructions;
        for instruction in triggers.iter().chain(own) {
            for name in from_words(instruction)? {
                if let Meaning::Stage(stage) = self.meaning(&name)?
                    && !self.finished.contains_key(&stage)
                {
                    return Ok(Some(stage));
                }
            }
        }
        Ok(None)
    }

    fn shown_name(&self, index: usize) -> String {
        let name = self.dockerfile.stages[index].name.as_deref();
        name.map_or_else(|| format!("stage-{index}"), str::to_lowercase)
    }

    /// The named context that takes the place of a whole stage.
    fn replacement(&self, index: usize) -> Option<ContextName> {
        let name = self.dockerfile.stages[index].name.as_deref()?;
        self.context_named(&name.to_lowercase())
    }

    fn context_named(&self, name: &str) -> Option<ContextName> {
        let key = ContextName::of(name);
        self.request
            .contexts
            .named
            .contains_key(&key)
            .then_some(key)
    }

    fn base_meaning(&self, index: usize) -> Result<Meaning, Mistake> {
        match &self.froms[index].base {
            BaseName::Scratch => Ok(Meaning::Nothing),
            BaseName::Stage(stage) => Ok(Meaning::Stage(*stage)),
            BaseName::Other(name) => self
                .named(name)
                .map_err(|mistake| mistake.at(self.dockerfile.stages[index].lines)),
        }
    }

    /// A name of `--from`.
    fn meaning(&self, name: &str) -> Result<Meaning, Mistake> {
        if let Ok(number) = name.parse::<usize>() {
            return if number < self.dockerfile.stages.len() {
                Ok(Meaning::Stage(number))
            } else {
                Err(Mistake::new(format!("invalid stage index {number}")))
            };
        }
        match self.names.get(&name.to_lowercase()) {
            Some(stage) => Ok(Meaning::Stage(*stage)),
            None if name == "scratch" => Ok(Meaning::Nothing),
            None => self.named(name),
        }
    }

    /// A context or an image.
    fn named(&self, name: &str) -> Result<Meaning, Mistake> {
        if let Some(context) = self.context_named(name) {
            return Ok(match self.request.contexts.named.get(&context) {
                Some(NamedContext::Image(image)) if is_scratch(image) => Meaning::Nothing,
                Some(NamedContext::Image(image)) => Meaning::Image(image.clone(), name.to_owned()),
                Some(NamedContext::Files(_)) | None => Meaning::Context(context),
            });
        }
        let image = name.parse::<ImageRef>().map_err(|error| {
            Mistake::new(format!("failed to parse stage name {name:?}: {error}"))
        })?;
        if let ImageRef::Local(_) = image {
            let message = format!("{name:?} names a place on this machine");
            let hint = "a Dockerfile names images in registries, stages and named contexts";
            return Err(Mistake::new(message).with_hint(Some(hint.to_owned())));
        }
        Ok(Meaning::Image(image, name.to_owned()))
    }

    async fn image(
        &mut self,
        image: &ImageRef,
        name: &str,
        platform: &Platform,
    ) -> Result<Arc<BaseImage>, BuildError> {
        let key = (name.to_owned(), platform.to_string());
        if let Some(found) = self.found.get(&key) {
            return Ok(found.clone());
        }
        let found = self.images.find(image, platform).await?;
        self.found.insert(key, found.clone());
        Ok(found)
    }

    /// The platform of a stage that does not start from another one.
    fn platform(&self, index: usize) -> Platform {
        let asked = self.froms[index].platform.clone();
        asked.unwrap_or_else(|| self.request.platform.clone())
    }

    /// The ONBUILD triggers of a stage's base, as instructions of its FROM.
    async fn triggers(&mut self, index: usize) -> Result<Vec<Instruction>, BuildError> {
        let lines = self.dockerfile.stages[index].lines;
        let texts = match self.base_meaning(index)? {
            Meaning::Nothing | Meaning::Context(_) => return Ok(Vec::new()),
            Meaning::Stage(stage) => match self.finished.get(&stage) {
                Some(id) => self.states[id.0].document.config.on_build.clone(),
                None => Vec::new(),
            },
            Meaning::Image(image, name) => {
                let platform = self.platform(index);
                let image = self.image(&image, &name, &platform).await?;
                image.document.config.on_build.clone()
            }
        };
        if texts.len() > TRIGGERS_LIMIT {
            let message = "the base image has more than 1,000 ONBUILD triggers";
            return Err(Mistake::new(message).at(lines).into());
        }
        let mut triggers = Vec::new();
        for text in &texts {
            let read = dockerfile::parse_trigger(text).map_err(|mistake| {
                let mut mistake = mistake;
                mistake.lines = Some(lines);
                mistake.message = format!("ONBUILD {text:?} of the base: {}", mistake.message);
                mistake
            })?;
            triggers.extend(
                read.into_iter()
                    .map(|trigger| Instruction { lines, ..trigger }),
            );
        }
        Ok(triggers)
    }

    async fn finish(&mut self, index: usize, lint: &mut Lint) -> Result<(), BuildError> {
        let (base, mut state) = self.start(index).await?;
        let written = &self.dockerfile.stages[index];
        let is_replaced = self.replacement(index).is_some();
        let triggers = if is_replaced {
            Vec::new()
        } else {
            self.triggers(index).await?
        };
        let own = if is_replaced {
            &[]
        } else {
            written.instructions.as_slice()
        };
        let mut sources = Sources::new();
        for instruction in triggers.iter().chain(own) {
            self.add_sources(instruction, &mut sources).await?;
        }
        state.document.config.on_build.clear();
        let mut interpreter = Interpreter {
            escape: self.dockerfile.directives.escape.character(),
            globals: &self.globals,
            request: self.request,
            sources: &sources,
            lint,
            state,
            steps: Vec::new(),
        };
        for instruction in triggers.iter().chain(own) {
            interpreter.add(instruction)?;
        }
        let (state, steps) = (interpreter.state, interpreter.steps);
        let mut image = state.document.clone();
        let labels = self.request.labels.clone();
        image.config.labels.extend(labels);
        self.finished
            .insert(index, StageId(self.graph.stages.len()));
        self.graph.stages.push(Stage {
            name: self.shown_name(index),
            platform: state.platform.clone(),
            base,
            steps,
            image,
        });
        self.states.push(state);
        Ok(())
    }

    async fn start(&mut self, index: usize) -> Result<(Base, State), BuildError> {
        let platform = self.platform(index);
        let meaning = match self.replacement(index) {
            Some(context) => self.named(&context.0)?,
            None => self.base_meaning(index)?,
        };
        Ok(match meaning {
            Meaning::Nothing => (Base::Scratch, State::scratch(&platform)),
            Meaning::Context(name) => (Base::Context(name), State::scratch(&platform)),
            Meaning::Stage(stage) => {
                let id = self.finished[&stage];
                (Base::Stage(id), State::after(&self.states[id.0]))
            }
            Meaning::Image(image, name) => {
                let image = self.image(&image, &name, &platform).await?;
                let state = State::image(&image, &platform);
                (Base::Image(image), state)
            }
        })
    }

    async fn add_sources(
        &mut self,
        instruction: &Instruction,
        sources: &mut Sources,
    ) -> Result<(), BuildError> {
        for name in from_words(instruction)? {
            if sources.contains_key(&name) {
                continue;
            }
            let meaning = self.meaning(&name).map_err(|m| m.at(instruction.lines))?;
            let source = match meaning {
                Meaning::Nothing => Source::Empty,
                Meaning::Stage(stage) => Source::Stage(self.finished[&stage]),
                Meaning::Context(name) => Source::Named(name),
                Meaning::Image(image, shown) => {
                    let platform = self.request.platform.clone();
                    Source::Image(self.image(&image, &shown, &platform).await?)
                }
            };
            sources.insert(name, source);
        }
        Ok(())
    }
}

/// `docker-image://scratch` is no image.
fn is_scratch(image: &ImageRef) -> bool {
    matches!(image, ImageRef::Registry(name) if name.familiar_name() == "scratch")
}

/// The names of `--from` and `from=` in an instruction, without the empty one.
fn from_words(instruction: &Instruction) -> Result<Vec<String>, Mistake> {
    match &instruction.kind {
        Kind::Copy(copy) => {
            let from = copy.from.as_deref().filter(|from| !from.is_empty());
            if from.is_some_and(|from| from.contains('$')) {
                return Err(Mistake::new(
                    "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround",
                ));
            }
            Ok(from.into_iter().map(str::to_owned).collect())
        }
        Kind::Run(run) => {
            let mut names = Vec::new();
            for text in &run.mounts {
                names.extend(mount::from_of(text)?.filter(|name| !name.is_empty()));
            }
            Ok(names)
        }
        Kind::Add(_)
        | Kind::Arg(_)
        | Kind::Cmd(_)
        | Kind::Entrypoint(_)
        | Kind::Env(_)
        | Kind::Expose(_)
        | Kind::Healthcheck(_)
        | Kind::Label(_)
        | Kind::Maintainer(_)
        | Kind::Onbuild(_)
        | Kind::Shell(_)
        | Kind::StopSignal(_)
        | Kind::User(_)
        | Kind::Volume(_)
        | Kind::Workdir(_) => Ok(Vec::new()),
    }
}
