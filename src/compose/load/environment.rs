//! Variables and labels from files into services.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::compose::budget::{Budget, TooMuch};
use crate::compose::diagnostic::{Diagnostic, Severity};
use crate::compose::env::{LineError, Lookup, parse_dotenv, parse_raw};
use crate::compose::load::files::not_text;
use crate::compose::model::{EnvFile, Project, Service};
use crate::compose::options::LoadOptions;
use crate::compose::source::{Files, Source};

/// Reads `env_file`s and `label_file`s; what the service itself says wins.
pub(super) fn resolve(
    project: &mut Project,
    options: &LoadOptions,
    source: &dyn Source,
    (files, faults): (&mut Files, &mut Vec<Diagnostic>),
) {
    let mut services = std::mem::take(&mut project.services);
    let mut reader = Reader {
        project,
        source,
        files,
        faults,
        texts: BTreeMap::new(),
        doubted: BTreeSet::new(),
        budget: Budget::default(),
        is_full: false,
    };
    for service in services.values_mut() {
        if reader.is_full {
            break;
        }
        if !options.switches.no_env_resolution {
            reader.environment(service);
        }
        if !options.switches.no_label_resolution {
            reader.labels(service);
        }
    }
    project.services = services;
}

/// What a missing file means.
#[derive(Clone, Copy, PartialEq)]
enum Missing {
    Refused,
    Ignored,
}

impl Missing {
    fn of(file: &EnvFile) -> Self {
        if file.required {
            Self::Refused
        } else {
            Self::Ignored
        }
    }
}

struct Reader<'a> {
    project: &'a Project,
    source: &'a dyn Source,
    files: &'a mut Files,
    faults: &'a mut Vec<Diagnostic>,
    texts: BTreeMap<String, Option<(u32, Arc<str>)>>,
    /// The files whose doubts were told.
    doubted: BTreeSet<u32>,
    budget: Budget,
    /// Whether the budget is used up.
    is_full: bool,
}

impl Reader<'_> {
    fn environment(&mut self, service: &mut Service) {
        let project = self.project;
        for (name, value) in &mut service.environment {
            if value.is_none() {
                *value = project.environment.get(name).cloned();
            }
        }
        let own = &service.environment;
        let lookup = |name: &str| {
            let from_project = project.environment.get(name).cloned();
            from_project.or_else(|| own.get(name).cloned().flatten())
        };
        let known = own
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
        let mut variables: BTreeMap<String, String> = known.collect();
        for (index, file) in service.env_file.iter().enumerate() {
            let path = format!("services.{}.env_file.{index}.path", service.name);
            let Some(text) = self.text(&file.path, &path, Missing::of(file)) else {
                continue;
            };
            self.parse(
                (file, index),
                &text,
                &mut variables,
                (&service.name, &lookup),
            );
            if !self.has_room(&variables, &path) {
                return;
            }
        }
        for (name, value) in variables {
            service.environment.entry(name).or_insert(Some(value));
        }
        service.env_file.clear();
    }

    fn parse(
        &mut self,
        (file, index): (&EnvFile, usize),
        (number, text): &(u32, Arc<str>),
        variables: &mut BTreeMap<String, String>,
        (service, lookup): (&str, Lookup<'_>),
    ) {
        let parsed = match file.format.as_deref() {
            None | Some(".env") => parse_dotenv(text, variables, lookup),
            Some("raw") => parse_raw(text, variables, lookup).map(|()| Vec::new()),
            Some(other) => {
                let message = format!("`{other}` is no format of a file of variables");
                let path = format!("services.{service}.env_file.{index}.format");
                let fault = Diagnostic::error(self.project.places.span(&path), message);
                self.faults
                    .push(fault.expected("expected `raw`, or no `format`"));
                return;
            }
        };
        self.tell(*number, parsed);
    }

    fn labels(&mut self, service: &mut Service) {
        let mut labels: BTreeMap<String, String> = BTreeMap::new();
        for (index, file) in service.label_file.iter().enumerate() {
            let path = format!("services.{}.label_file.{index}", service.name);
            let Some((number, text)) = self.text(file, &path, Missing::Refused) else {
                continue;
            };
            let earlier = labels.clone();
            let mut found = BTreeMap::new();
            let parsed = parse_dotenv(&text, &mut found, &|name| earlier.get(name).cloned());
            self.tell(number, parsed);
            labels.extend(found);
            if !self.has_room(&labels, &path) {
                return;
            }
        }
        for (name, value) in labels {
            service.labels.entry(name).or_insert(value);
        }
        service.label_file.clear();
    }

    /// Checks that what files bring to all services together has an end.
    fn has_room(&mut self, variables: &BTreeMap<String, String>, place: &str) -> bool {
        const BYTES_PER_VALUE: usize = 64;
        let bytes: usize = variables.iter().map(|(k, v)| k.len() + v.len()).sum();
        let taken = self
            .budget
            .values(variables.len() + bytes / BYTES_PER_VALUE);
        if let Err(TooMuch(message)) = taken {
            self.is_full = true;
            let span = self.project.places.span(place);
            self.faults.push(Diagnostic::error(span, message));
        }
        taken.is_ok()
    }

    fn tell(&mut self, file: u32, parsed: Result<Vec<LineError>, LineError>) {
        match parsed {
            Ok(doubts) if self.doubted.insert(file) => {
                tell_doubts(self.files, self.faults, file, doubts);
            }
            Ok(_) => {}
            Err(error) => self.faults.push(error.told(Severity::Error, file)),
        }
    }

    /// Reads a file once; `place` is the path of the value that names it.
    fn text(&mut self, file: &str, place: &str, missing: Missing) -> Option<(u32, Arc<str>)> {
        if let Some(known) = self.texts.get(file) {
            return known.clone();
        }
        let span = self.project.places.span(place);
        let path = Path::new(file);
        if self.files.strays(span, path, self.source) {
            self.faults.push(Diagnostic::astray(file, span));
            return None;
        }
        if !self.source.exists(path) {
            if missing == Missing::Refused {
                let message = format!("the file of variables `{file}` is not there");
                let fault = Diagnostic::error(span, message);
                self.faults
                    .push(fault.hint("make it, or write `required: false` beside its `path`"));
            }
            return None;
        }
        let bytes = self.files.read(path, self.source);
        let read = match bytes.map(String::from_utf8) {
            Ok(Ok(text)) => {
                let text: Arc<str> = text.into();
                Some((self.files.add(path, Arc::clone(&text), Some(span)), text))
            }
            Ok(Err(error)) => {
                let valid = error.utf8_error().valid_up_to();
                let asked = (path, Some(span));
                let fault = not_text(self.files, asked, error.as_bytes(), valid);
                self.faults.push(fault);
                None
            }
            Err(error) => {
                let message = format!("cannot read `{file}`: {error}");
                self.faults.push(Diagnostic::error(span, message));
                None
            }
        };
        self.texts.insert(file.to_owned(), read.clone());
        read
    }
}

/// Warns of what is doubtful in a file, unless that was said when the file was read before.
pub(super) fn tell_doubts(
    files: &Files,
    faults: &mut Vec<Diagnostic>,
    file: u32,
    doubts: Vec<LineError>,
) {
    for doubt in doubts {
        let told = doubt.told(Severity::Warning, file);
        let is_same = |fault: &Diagnostic| {
            fault.message == told.message && files.place(fault.span) == files.place(told.span)
        };
        if !faults.iter().any(is_same) {
            faults.push(told);
        }
    }
}
