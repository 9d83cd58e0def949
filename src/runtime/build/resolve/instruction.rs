//! The instructions that change the configuration, one function each.

use crate::runtime::build::dockerfile::Mistake;
use crate::runtime::build::dockerfile::ast::{
    Arg, Command, Delimiter, Healthcheck, Instruction, Kind, Lines, Pair,
};
use crate::runtime::build::document::HealthcheckConfig;
use crate::runtime::build::graph::{CopyInstruction, Operation};
use crate::value::Signal;

use super::expose;
use super::lint::Rule;
use super::quote::{plain_list, quoted, quoted_list};
use super::secret::is_secret;
use super::stage::{Interpreter, Outcome};
use super::state::joined;

impl Interpreter<'_> {
    pub(super) fn dispatch(&mut self, instruction: &Instruction) -> Result<Outcome, Mistake> {
        let lines = instruction.lines;
        match &instruction.kind {
            Kind::Add(copy) => self.copy(copy, CopyInstruction::Add, lines),
            Kind::Copy(copy) => self.copy(copy, CopyInstruction::Copy, lines),
            Kind::Run(run) => self.run(run, lines),
            Kind::Arg(args) => self.arg(args, lines),
            Kind::Env(pairs) => self.env(pairs, instruction),
            Kind::Label(pairs) => self.label(pairs, instruction),
            Kind::Cmd(command) => Ok(self.cmd(command, instruction)),
            Kind::Entrypoint(command) => Ok(self.entrypoint(command, instruction)),
            Kind::Healthcheck(check) => Ok(self.healthcheck(check, instruction)),
            Kind::Expose(words) => self.expose(words, lines),
            Kind::Volume(paths) => self.volume(paths, lines),
            Kind::Workdir(path) => self.workdir(path, lines),
            Kind::User(user) => self.user(user, lines),
            Kind::StopSignal(signal) => self.stop_signal(signal, lines),
            Kind::Shell(words) => {
                self.state.document.config.shell.clone_from(words);
                Ok(Outcome::config(format!("SHELL {}", plain_list(words))))
            }
            Kind::Maintainer(name) => {
                self.state.document.author.clone_from(name);
                Ok(Outcome::config(format!("MAINTAINER {name}")))
            }
            Kind::Onbuild(trigger) => {
                self.state.document.config.on_build.push(trigger.clone());
                Ok(Outcome {
                    history: None,
                    operation: None,
                })
            }
        }
    }

    fn arg(&mut self, args: &[Arg], lines: Lines) -> Result<Outcome, Mistake> {
        let mut shown = Vec::new();
        for arg in args {
            self.report_secret("ARG", &arg.name, lines);
            let given = self.request.args.get(&arg.name).cloned();
            let value = match (given, &arg.default) {
                (Some(given), _) => Some(given),
                (None, Some(default)) => Some(self.expand(default, lines)?),
                (None, None) => self.global(&arg.name),
            };
            if let Some(value) = &value {
                self.state.scope.set(&arg.name, value);
            }
            shown.push(match &value {
                Some(value) => format!("{}={value}", arg.name),
                None => arg.name.clone(),
            });
            self.state.args.push((arg.name.clone(), value));
        }
        Ok(Outcome::config(format!("ARG {}", shown.join(" "))))
    }

    fn global(&self, name: &str) -> Option<String> {
        use crate::runtime::build::dockerfile::Variables as _;
        self.globals.scope.value(name).map(str::to_owned)
    }

    fn report_secret(&mut self, keyword: &str, name: &str, lines: Lines) {
        if is_secret(name) {
            let message = format!(
                "Do not use ARG or ENV instructions for sensitive data ({keyword} {name:?})"
            );
            self.lint.warn(Rule::SecretsUsedInArgOrEnv, lines, message);
        }
    }

    /// Expands pairs by the variables that were set before the instruction.
    fn pairs(
        &mut self,
        pairs: &[Pair],
        instruction: &Instruction,
    ) -> Result<Vec<(String, String)>, Mistake> {
        let mut expanded = Vec::new();
        for pair in pairs {
            if pair.delimiter == Delimiter::Space {
                let word = &instruction.keyword;
                let message = format!(
                    "\"{word} key=value\" should be used instead of legacy \"{word} key value\" format"
                );
                self.lint
                    .warn(Rule::LegacyKeyValueFormat, instruction.lines, message);
            }
            let name = self.expand(&pair.name, instruction.lines)?;
            let value = self.expand(&pair.value, instruction.lines)?;
            expanded.push((name, value));
        }
        Ok(expanded)
    }

    fn env(&mut self, pairs: &[Pair], instruction: &Instruction) -> Result<Outcome, Mistake> {
        let pairs = self.pairs(pairs, instruction)?;
        let mut history = "ENV".to_owned();
        for (name, value) in &pairs {
            self.report_secret("ENV", name, instruction.lines);
            history.push_str(&format!(" {name}={value}"));
            self.state.set_env(name, value);
        }
        Ok(Outcome::config(history))
    }

    fn label(&mut self, pairs: &[Pair], instruction: &Instruction) -> Result<Outcome, Mistake> {
        let pairs = self.pairs(pairs, instruction)?;
        let mut history = "LABEL".to_owned();
        for (name, value) in pairs {
            history.push_str(&format!(" {name}={value}"));
            self.state.document.config.labels.insert(name, value);
        }
        Ok(Outcome::config(history))
    }

    /// The words of a `CMD` or an `ENTRYPOINT`.
    fn command(&mut self, command: &Command, instruction: &Instruction) -> Vec<String> {
        match command {
            Command::Exec(words) => words.clone(),
            Command::Shell(line) => {
                if self.state.document.config.shell.is_empty() {
                    let message = format!(
                        "JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
                        instruction.keyword
                    );
                    self.lint
                        .warn(Rule::JSONArgsRecommended, instruction.lines, message);
                }
                let mut words = self.state.shell();
                words.push(line.clone());
                words
            }
        }
    }

    fn report_repeated(&mut self, earlier: Option<Lines>, instruction: &Instruction) {
        if let Some(lines) = earlier {
            let message = format!(
                "Multiple {} instructions should not be used in the same stage because only the last one will be used",
                instruction.keyword
            );
            self.lint
                .warn(Rule::MultipleInstructionsDisallowed, lines, message);
        }
    }

    fn cmd(&mut self, command: &Command, instruction: &Instruction) -> Outcome {
        let earlier = self.state.seen.cmd.replace(instruction.lines);
        self.report_repeated(earlier, instruction);
        let words = self.command(command, instruction);
        let history = format!("CMD {}", quoted_list(&words));
        let config = &mut self.state.document.config;
        config.cmd = words;
        config.args_escaped = true;
        Outcome::config(history)
    }

    fn entrypoint(&mut self, command: &Command, instruction: &Instruction) -> Outcome {
        let earlier = self.state.seen.entrypoint.replace(instruction.lines);
        self.report_repeated(earlier, instruction);
        let words = self.command(command, instruction);
        let history = format!("ENTRYPOINT {}", quoted_list(&words));
        let config = &mut self.state.document.config;
        config.entrypoint = words;
        // A command that was meant for the base's entry point is none for this one.
        if self.state.seen.cmd.is_none() {
            config.cmd.clear();
        }
        Outcome::config(history)
    }

    fn healthcheck(&mut self, check: &Healthcheck, instruction: &Instruction) -> Outcome {
        let earlier = self.state.seen.healthcheck.replace(instruction.lines);
        self.report_repeated(earlier, instruction);
        let config = healthcheck_config(check);
        let history = healthcheck_history(&config);
        self.state.document.config.healthcheck = Some(config);
        Outcome::config(history)
    }

    fn expose(&mut self, written: &[String], lines: Lines) -> Result<Outcome, Mistake> {
        let mut ports = Vec::new();
        for word in written {
            for word in self.words(word, lines)? {
                let exposed = expose::read(&word)?;
                if exposed.names_host {
                    let message = format!(
                        "EXPOSE instruction should not define an IP address or host-port mapping, found '{word}'"
                    );
                    self.lint.warn(Rule::ExposeInvalidFormat, lines, message);
                }
                if exposed.has_odd_case {
                    let message = format!(
                        "Defined protocol '{word}' in EXPOSE instruction should be lowercase"
                    );
                    self.lint.warn(Rule::ExposeProtoCasing, lines, message);
                }
                ports.extend(exposed.ports);
            }
        }
        let history = format!("EXPOSE {}", plain_list(&ports));
        insert_all(&mut self.state.document.config.exposed_ports, ports);
        Ok(Outcome::config(history))
    }

    fn volume(&mut self, written: &[String], lines: Lines) -> Result<Outcome, Mistake> {
        let mut paths = Vec::new();
        for path in written {
            paths.push(self.expand(path, lines)?);
        }
        if paths.iter().any(String::is_empty) {
            return Err(Mistake::new("VOLUME specified can not be an empty string"));
        }
        let history = format!("VOLUME {}", plain_list(&paths));
        insert_all(&mut self.state.document.config.volumes, paths);
        Ok(Outcome::config(history))
    }

    fn workdir(&mut self, written: &str, lines: Lines) -> Result<Outcome, Mistake> {
        let path = self.expand(written, lines)?;
        if path.is_empty() {
            return Err(Mistake::new("cannot normalize nothing"));
        }
        let is_absolute = path.starts_with('/');
        if !self.state.has_workdir && !is_absolute {
            let message = format!(
                "Relative workdir {path:?} can have unexpected results if the base image changes"
            );
            self.lint.warn(Rule::WorkdirRelativePath, lines, message);
        }
        self.state.has_workdir = true;
        let config = &mut self.state.document.config;
        let stored = if is_absolute {
            path
        } else {
            joined(&format!("/{}", config.working_dir), &path)
        };
        config.working_dir.clone_from(&stored);
        self.state.folder = joined("/", &stored);
        let history = format!("WORKDIR {stored}");
        if stored == "/" {
            return Ok(Outcome::config(history));
        }
        let operation = Operation::Workdir {
            path: self.state.folder.clone(),
            user: self.state.user.clone(),
        };
        Ok(Outcome::files(history, operation))
    }

    fn user(&mut self, written: &str, lines: Lines) -> Result<Outcome, Mistake> {
        let user = self.expand(written, lines)?;
        self.state.document.config.user.clone_from(&user);
        self.state.user.clone_from(&user);
        Ok(Outcome::config(format!("USER {user}")))
    }

    fn stop_signal(&mut self, written: &str, lines: Lines) -> Result<Outcome, Mistake> {
        let signal = self.expand(written, lines)?;
        if signal.parse::<Signal>().is_err() {
            return Err(Mistake::new(format!("invalid signal: {signal}")));
        }
        let history = format!("STOPSIGNAL {signal}");
        self.state.document.config.stop_signal = signal;
        Ok(Outcome::config(history))
    }
}

fn insert_all(set: &mut Vec<String>, new: Vec<String>) {
    for entry in new {
        if !set.contains(&entry) {
            set.push(entry);
        }
    }
}

fn healthcheck_config(check: &Healthcheck) -> HealthcheckConfig {
    let Healthcheck::Probe {
        command,
        interval,
        timeout,
        start_period,
        start_interval,
        retries,
    } = check
    else {
        return HealthcheckConfig {
            test: vec!["NONE".to_owned()],
            ..HealthcheckConfig::default()
        };
    };
    let test = match command {
        Command::Exec(words) => [vec!["CMD".to_owned()], words.clone()].concat(),
        Command::Shell(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
    };
    let nanoseconds = |time: &Option<std::time::Duration>| {
        let nanoseconds = time.unwrap_or_default().as_nanos();
        i64::try_from(nanoseconds).unwrap_or(i64::MAX)
    };
    HealthcheckConfig {
        test,
        interval: nanoseconds(interval),
        timeout: nanoseconds(timeout),
        start_period: nanoseconds(start_period),
        start_interval: nanoseconds(start_interval),
        retries: i64::from(retries.unwrap_or(0)),
    }
}

/// Go's `%q` of the record, as Docker writes it.
fn healthcheck_history(config: &HealthcheckConfig) -> String {
    let times = [
        config.interval,
        config.timeout,
        config.start_period,
        config.start_interval,
    ];
    let times: Vec<String> = times
        .iter()
        .map(|time| quoted(&go_duration(*time)))
        .collect();
    let retries = u32::try_from(config.retries).ok().and_then(char::from_u32);
    let retries = match retries {
        Some(c) if c.is_control() => format!("'\\x{:02x}'", u32::from(c)),
        Some(c) => format!("'{c}'"),
        None => "'\u{fffd}'".to_owned(),
    };
    let test = quoted_list(&config.test);
    format!("HEALTHCHECK &{{{test} {} {retries}}}", times.join(" "))
}

/// A duration as Go prints it: `1h2m3.5s`.
fn go_duration(nanoseconds: i64) -> String {
    let second = 1_000_000_000;
    let fraction = |value: i64, unit: i64| {
        let digits = unit.to_string().len() - 1;
        let text = format!("{}.{:0digits$}", value / unit, value % unit);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match nanoseconds {
        0 => "0s".to_owned(),
        n if n < second => format!("{}ms", fraction(n, 1_000_000)),
        n => {
            let (minutes, rest) = (n / (60 * second), n % (60 * second));
            let seconds = fraction(rest, second);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}
