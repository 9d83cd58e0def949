//! One run of consort: its surroundings and what stands before the verb, with what follows from both.

use std::num::NonZeroUsize;

use clap::ValueEnum;

use super::annotate::Annotations;
use super::args::{AnsiChoice, GlobalArgs, Progress as ProgressChoice};
use super::desire;
use super::engine;
use super::environment::{self, Environment};
use super::error::{self, CommandError, ExitStatus};
use super::event_loop::block_on;
use super::remote::Remotes;
use super::select;
use super::work::Work;
use crate::compose::model::Separator;
use crate::compose::source::{Disk, Source};
use crate::compose::{self, LoadOptions, Loaded, Project, Report, Severity, Switches};
use crate::desired::{self, DesiredState, External};
use crate::engine::embedded::Embedded;
use crate::engine::{Engine, LockHolder, LockWait};
use crate::observed::{ObservedState, Scope};
use crate::plan::{OrphanPolicy, Plan};
use crate::report::{Ansi, Output, Progress, ProgressStyle, Rehearsal};
use crate::value::{NameError, ProjectName};

/// One run of consort.
#[derive(Debug)]
pub(super) struct Invocation {
    /// What the process was started in.
    pub(super) environment: Environment,
    remotes: Remotes,
    global: GlobalArgs,
    command_line: String,
    ansi: Ansi,
    progress: ProgressChoice,
    /// How many steps may be done at the same time; nothing for no limit.
    pub(super) parallel: Option<NonZeroUsize>,
}

/// The project that a verb works on.
#[derive(Debug)]
pub(super) struct Target {
    /// Its name.
    pub(super) name: ProjectName,
    /// What its files say; nothing when only the name was given.
    pub(super) project: Option<Project>,
}

/// How a project is loaded whose containers are there: what they were made with does not matter any more, nor that a
/// file of it is gone.
pub(super) const WHO_IS_THERE: Switches = Switches {
    no_interpolate: false,
    no_normalize: false,
    no_path_resolution: false,
    no_consistency: false,
    no_env_resolution: true,
    no_label_resolution: true,
    all_resources: false,
    container_names: false,
};

impl Target {
    /// Tells whether a service's containers are meant where no service is named: those of services that are switched
    /// on, and without files all of them.
    pub(super) fn means(&self, service: &str) -> bool {
        self.project
            .as_ref()
            .is_none_or(|project| project.services.contains_key(service))
    }

    /// Returns what the files say others made; nothing without files.
    pub(super) fn external(&self) -> External {
        let project = self.project.as_ref();
        project.map(desired::external).unwrap_or_default()
    }

    /// Returns what the files want, where there are files.
    pub(super) fn desired(
        &self,
        source: &dyn Source,
    ) -> Result<Option<DesiredState>, CommandError> {
        self.project
            .as_ref()
            .map(|project| desire::expand(project, &[], source))
            .transpose()
    }
}

impl Invocation {
    /// Puts together what was typed and what the environment says.
    pub(super) fn new(
        environment: Environment,
        global: GlobalArgs,
        command_line: String,
    ) -> Result<Self, CommandError> {
        let mut environment = environment;
        let options = load_options(&environment, &global, &[], Switches::default());
        environment.take_settings(compose::variables(&options, &Disk));
        let ansi = ansi(&environment, &global)?;
        let progress = match global.progress {
            Some(progress) => progress,
            None => choice(&environment, "COMPOSE_PROGRESS")?.unwrap_or(ProgressChoice::Auto),
        };
        let has_no_control = global.no_ansi || global.ansi == Some(AnsiChoice::Never);
        if progress == ProgressChoice::Tty && has_no_control {
            return Err(CommandError::usage(
                "`--progress tty` needs the terminal control that `--ansi never` forbids",
            ));
        }
        let parallel = parallel(&environment, &global)?;
        Ok(Self {
            remotes: Remotes::new(&environment),
            environment,
            global,
            command_line,
            ansi,
            progress,
            parallel,
        })
    }

    /// Returns standard output.
    pub(super) fn stdout(&self) -> Output {
        Output::stdout(self.ansi)
    }

    /// Returns standard error.
    pub(super) fn stderr(&self) -> Output {
        Output::stderr(self.ansi)
    }

    /// Returns where it is said what is being done: standard error, unless `COMPOSE_STATUS_STDOUT` says otherwise.
    pub(super) fn status(&self) -> Output {
        if self.environment.says_yes("COMPOSE_STATUS_STDOUT") {
            self.stdout()
        } else {
            self.stderr()
        }
    }

    /// Returns standard output as a verb with `--no-color` wants it.
    pub(super) fn stdout_without_colours(&self, no_color: Flag) -> Output {
        if no_color.is_set() {
            Output::stdout(Ansi::Never)
        } else {
            self.stdout()
        }
    }

    /// Returns standard error as a verb with `--no-color` wants it.
    pub(super) fn stderr_without_colours(&self, no_color: Flag) -> Output {
        if no_color.is_set() {
            Output::stderr(Ansi::Never)
        } else {
            self.stderr()
        }
    }

    /// Tells the user something that is no reason to stop.
    pub(super) fn warn(&self, text: &str) -> Result<(), CommandError> {
        let mut output = self.stderr();
        match self.progress_style() {
            ProgressStyle::Json => error::warn_as_json(&mut output, text)?,
            ProgressStyle::Tree | ProgressStyle::Plain | ProgressStyle::Quiet => {
                error::warn(&mut output, text)?;
            }
        }
        Ok(())
    }

    /// Tells whether nothing may change.
    pub(super) fn rehearsal(&self) -> Rehearsal {
        if self.global.dry_run {
            Rehearsal::Yes
        } else {
            Rehearsal::No
        }
    }

    /// Refuses `--dry-run` for a verb whose effects nothing can foresee.
    pub(super) fn refuse_rehearsal(&self, verb: &str) -> Result<(), CommandError> {
        match self.rehearsal() {
            Rehearsal::No => Ok(()),
            Rehearsal::Yes => Err(CommandError::user(format!(
                "`{verb}` cannot be rehearsed with `--dry-run`"
            ))),
        }
    }

    /// Returns how progress is shown.
    pub(super) fn progress_style(&self) -> ProgressStyle {
        match self.progress {
            ProgressChoice::Auto if self.status().is_terminal() && self.ansi != Ansi::Never => {
                ProgressStyle::Tree
            }
            ProgressChoice::Auto | ProgressChoice::Plain => ProgressStyle::Plain,
            ProgressChoice::Tty => ProgressStyle::Tree,
            ProgressChoice::Json => ProgressStyle::Json,
            ProgressChoice::Quiet => ProgressStyle::Quiet,
        }
    }

    /// Returns a progress that names what is done with `verb`.
    pub(super) fn progress(&self, verb: &str) -> Progress {
        self.progress_in(self.progress_style(), verb)
    }

    /// Returns a progress in a style that the verb decides on.
    pub(super) fn progress_in(&self, style: ProgressStyle, verb: &str) -> Progress {
        let now = environment::instant();
        Progress::new(style, verb, self.rehearsal(), self.status(), now)
    }

    /// Returns what happens to containers of services that the files no longer have.
    pub(super) fn orphans(&self, remove: Flag) -> Result<OrphanPolicy, CommandError> {
        let removes = remove.is_set() || self.environment.says_yes("COMPOSE_REMOVE_ORPHANS");
        match (removes, self.environment.says_yes("COMPOSE_IGNORE_ORPHANS")) {
            (true, true) => Err(CommandError::usage(
                "`--remove-orphans` and `COMPOSE_IGNORE_ORPHANS` exclude each other",
            )),
            (true, false) => Ok(OrphanPolicy::Remove),
            (false, true) => Ok(OrphanPolicy::Ignore),
            (false, false) => Ok(OrphanPolicy::Warn),
        }
    }

    /// Loads the project, with the profiles of the named services.
    pub(super) fn load(&self, services: &[String]) -> Result<Project, CommandError> {
        self.load_with(services, Switches::default())
    }

    /// Loads the project without some of the stages.
    pub(super) fn load_with(
        &self,
        services: &[String],
        switches: Switches,
    ) -> Result<Project, CommandError> {
        let loaded = self.read(services, switches)?;
        show_warnings(self, &loaded.warnings)?;
        Ok(loaded.project)
    }

    /// Loads the project without a word about what is no mistake in it.
    fn read(&self, services: &[String], switches: Switches) -> Result<Loaded, CommandError> {
        compose::load(&self.load_options(services, switches), self.source())
            .map_err(|error| CommandError::compose(self, error))
    }

    /// Returns where files come from: this disk, and what they name on other machines.
    pub(super) fn source(&self) -> &dyn Source {
        &self.remotes
    }

    /// Returns what decides how the project is loaded.
    pub(super) fn load_options(&self, services: &[String], switches: Switches) -> LoadOptions {
        load_options(&self.environment, &self.global, services, switches)
    }

    /// Finds the project that a verb works on: by its files, or by its name alone where there are none.
    ///
    /// Warnings about the files are left to the verbs that make something of them, such as `up` and `config`.
    pub(super) fn target(&self, services: &[String]) -> Result<Target, CommandError> {
        if let Some(name) = &self.global.project_name
            && self.global.files.is_empty()
        {
            return Ok(Target {
                name: project_name(name)?,
                project: None,
            });
        }
        match self.read(services, WHO_IS_THERE) {
            Ok(Loaded { project, .. }) => Ok(Target {
                name: project_name(&project.name)?,
                project: Some(project),
            }),
            Err(error) => match self.environment.get("COMPOSE_PROJECT_NAME") {
                Some(name) => Ok(Target {
                    name: project_name(name)?,
                    project: None,
                }),
                None => Err(error),
            },
        }
    }

    /// Finds the project that a verb works on, and looks at what there is of it.
    pub(super) fn look(
        &self,
        services: &[String],
    ) -> Result<(Target, ObservedState), CommandError> {
        let (_, target, observed) = self.look_and_stay(services)?;
        Ok((target, observed))
    }

    /// Does the same and keeps the connection to the engine.
    pub(super) fn look_and_stay(
        &self,
        services: &[String],
    ) -> Result<(Box<dyn Engine>, Target, ObservedState), CommandError> {
        let target = self.target(services)?;
        let engine = self.engine()?;
        let scope = Scope::project(target.name.clone());
        let observed = block_on(async { Ok(engine.observe(&scope).await?) })?;
        for damage in &observed.damage {
            self.warn(&damage.to_string())?;
        }
        Ok((engine, target, observed))
    }

    /// Changes containers that are there, of the named services or of all that are switched on.
    pub(super) fn change(
        &self,
        verb: &'static str,
        services: &[String],
        planner: &dyn Fn(&Target, &ObservedState) -> Result<Plan, CommandError>,
    ) -> Result<ExitStatus, CommandError> {
        self.change_any(verb, services, &|target, observed| {
            if !services.is_empty() {
                return planner(target, observed);
            }
            let mut meant = observed.clone();
            meant
                .containers
                .retain(|_, container| target.means(&container.service));
            planner(target, &meant)
        })
    }

    /// Changes containers that are there, also those of services that the files do not have or switch off.
    pub(super) fn change_any(
        &self,
        verb: &'static str,
        services: &[String],
        planner: &dyn Fn(&Target, &ObservedState) -> Result<Plan, CommandError>,
    ) -> Result<ExitStatus, CommandError> {
        let target = self.target(services)?;
        let engine = self.engine()?;
        let work = Work::new(
            self,
            engine.as_ref(),
            Scope::project(target.name.clone()),
            verb,
        );
        block_on(work.carry_out(&|observed, _| {
            select::check(&target, observed, services)?;
            planner(&target, observed)
        }))?;
        Ok(ExitStatus::Done)
    }

    /// Connects to the engine.
    ///
    /// This comes before any thread: an ordinary user's process joins a user namespace here, which the kernel
    /// grants to single-threaded processes only.
    pub(super) fn engine(&self) -> Result<Box<dyn Engine>, CommandError> {
        engine::connect(&self.environment, self.global.state_dir.as_deref())
    }

    /// Opens the embedded engine, for what only it has; like [`Invocation::engine`] before any thread.
    pub(super) fn embedded(&self) -> Result<Embedded, CommandError> {
        engine::embedded(&self.environment, self.global.state_dir.as_deref())
    }

    /// Returns who we are to others who want to change the same project.
    pub(super) fn lock_holder(&self) -> LockHolder {
        LockHolder {
            pid: std::process::id(),
            command: self.command_line.clone(),
        }
    }

    /// Returns whether to wait for others who change the same project.
    pub(super) fn lock_wait(&self) -> LockWait {
        if self.global.no_wait {
            LockWait::Fail
        } else {
            LockWait::Wait
        }
    }
}

/// A switch that was typed, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    Set,
    Unset,
}

impl Flag {
    pub(super) fn is_set(self) -> bool {
        self == Self::Set
    }
}

impl From<bool> for Flag {
    fn from(set: bool) -> Self {
        if set { Self::Set } else { Self::Unset }
    }
}

/// Says what is worth saying about the files.
pub(super) fn show_warnings(
    invocation: &Invocation,
    warnings: &Report,
) -> Result<(), CommandError> {
    if warnings.diagnostics.is_empty() {
        return Ok(());
    }
    if invocation.progress_style() == ProgressStyle::Json {
        for sentence in error::sentences(warnings, Severity::Warning) {
            invocation.warn(&sentence)?;
        }
    } else {
        let mut output = invocation.stderr();
        let text = error::rendered(warnings, &output);
        output.bytes(text.as_bytes())?;
    }
    annotate_warnings(invocation, warnings)
}

/// Puts what is worth saying beside the lines of a change, where that is possible.
pub(super) fn annotate_warnings(
    invocation: &Invocation,
    warnings: &Report,
) -> Result<(), CommandError> {
    let annotations = Annotations::wanted_by(&invocation.environment).of_report(warnings);
    Ok(invocation.stderr().bytes(annotations.as_bytes())?)
}

fn load_options(
    environment: &Environment,
    global: &GlobalArgs,
    services: &[String],
    switches: Switches,
) -> LoadOptions {
    LoadOptions {
        cwd: environment.working_directory().to_owned(),
        environment: environment.variables().clone(),
        files: global.files.clone(),
        project_directory: global.project_directory.clone(),
        project_name: global.project_name.clone(),
        profiles: global.profiles.clone(),
        env_files: global.env_files.clone(),
        services: services.to_vec(),
        separator: if global.compatibility || environment.says_yes("COMPOSE_COMPATIBILITY") {
            Separator::Underscore
        } else {
            Separator::Dash
        },
        switches: Switches {
            all_resources: global.all_resources,
            ..switches
        },
    }
}

fn project_name(text: &str) -> Result<ProjectName, CommandError> {
    text.parse()
        .map_err(|error: NameError| CommandError::room(ExitStatus::Usage, error))
}

fn ansi(environment: &Environment, global: &GlobalArgs) -> Result<Ansi, CommandError> {
    if let Some(choice) = global.ansi {
        return Ok(choice.into());
    }
    if global.no_ansi {
        return Ok(Ansi::Never);
    }
    if let Some(choice) = choice::<AnsiChoice>(environment, "COMPOSE_ANSI")? {
        return Ok(choice.into());
    }
    let is_off = environment.get("NO_COLOR").is_some() || environment.get("TERM") == Some("dumb");
    Ok(if is_off { Ansi::Never } else { Ansi::Auto })
}

/// Reads a variable that takes the same words as a flag.
fn choice<T: ValueEnum>(environment: &Environment, name: &str) -> Result<Option<T>, CommandError> {
    let Some(text) = environment.get(name) else {
        return Ok(None);
    };
    let words = || {
        let values = T::value_variants()
            .iter()
            .filter_map(ValueEnum::to_possible_value);
        values
            .map(|value| format!("`{}`", value.get_name()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    T::from_str(text, true).map(Some).map_err(|_| {
        CommandError::usage(format!("`{name}` is `{text}`, expected one of {}", words()))
    })
}

fn parallel(
    environment: &Environment,
    global: &GlobalArgs,
) -> Result<Option<NonZeroUsize>, CommandError> {
    const NAME: &str = "COMPOSE_PARALLEL_LIMIT";
    let limit = match (global.parallel, environment.get(NAME)) {
        (Some(limit), _) => limit,
        (None, Some(text)) => text.parse().map_err(|_| {
            CommandError::usage(format!("`{NAME}` is `{text}`, expected a whole number"))
        })?,
        (None, None) => return Ok(None),
    };
    Ok(usize::try_from(limit).ok().and_then(NonZeroUsize::new))
}
