//! The questions that `config` answers, each with the stages that its answer needs.

use crate::compose::diagnostic::{ComposeError, Report};
use crate::compose::load::load;
use crate::compose::model::Project;
use crate::compose::options::LoadOptions;
use crate::compose::render::{self, Format, VariableUsage};
use crate::compose::source::Source;

/// What `config` is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The whole project.
    Project(Format),
    /// Only whether there are mistakes.
    Check,
    /// The names of the active services.
    Services,
    /// The keys of the volumes.
    Volumes,
    /// The keys of the networks.
    Networks,
    /// The artifacts of the models.
    Models,
    /// The profiles of all services.
    Profiles,
    /// The images of the active services.
    Images,
    /// The variables that the files use.
    Variables,
    /// The variables that interpolation sees.
    Environment,
    /// The hashes of some services: their names with commas, or `*` for all.
    Hash(String),
}

/// What `config` prints.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The text, as it goes to standard output.
    pub text: String,
    /// What is worth saying about the files.
    pub warnings: Report,
}

/// Answers a question about a project.
pub fn answer(
    options: &LoadOptions,
    source: &dyn Source,
    question: &Question,
) -> Result<Answer, ComposeError> {
    match question {
        Question::Project(format) if options.switches.no_interpolate => {
            let (text, warnings) = render::uninterpolated(options, source, *format)?;
            Ok(Answer { text, warnings })
        }
        Question::Variables => {
            let (variables, warnings) = render::variables(options, source)?;
            Ok(Answer {
                text: table(&variables),
                warnings,
            })
        }
        Question::Project(_)
        | Question::Check
        | Question::Services
        | Question::Volumes
        | Question::Networks
        | Question::Models
        | Question::Profiles
        | Question::Images
        | Question::Environment
        | Question::Hash(_) => {
            let mut options = options.clone();
            if !matches!(
                question,
                Question::Project(_) | Question::Check | Question::Environment
            ) {
                // Lists need no content of `env_file`s, which need not even be there.
                options.switches.no_env_resolution = true;
            }
            let loaded = load(&options, source)?;
            let text = text(&loaded.project, question);
            Ok(Answer {
                text,
                warnings: loaded.warnings,
            })
        }
    }
}

fn text(project: &Project, question: &Question) -> String {
    lines(match question {
        Question::Project(format) => return render::config(project, *format),
        Question::Check | Question::Variables => return String::new(),
        Question::Services => render::services(project),
        Question::Volumes => render::volumes(project),
        Question::Networks => render::networks(project),
        Question::Models => render::models(project),
        Question::Profiles => render::profiles(project),
        Question::Images => render::images(project),
        Question::Environment => render::environment(project),
        Question::Hash(wanted) => hashes(project, wanted),
    })
}

fn lines(lines: Vec<String>) -> String {
    lines.into_iter().map(|line| line + "\n").collect()
}

fn hashes(project: &Project, wanted: &str) -> Vec<String> {
    let wanted: Vec<&str> = wanted.split(',').map(str::trim).collect();
    let services = project.services.iter();
    services
        .filter(|(name, _)| wanted.contains(&"*") || wanted.contains(&name.as_str()))
        .map(|(name, service)| format!("{name} {}", render::service_hash(service)))
        .collect()
}

/// Lays variables out in columns.
fn table(variables: &[VariableUsage]) -> String {
    let heading = ["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"].map(str::to_owned);
    let mut rows = vec![heading];
    rows.extend(variables.iter().map(|variable| {
        [
            variable.name.clone(),
            variable.required.to_string(),
            variable.default_value.clone(),
            variable.alternate_value.clone(),
        ]
    }));
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
            + 3
    };
    let widths: Vec<usize> = (0..3).map(width).collect();
    let line = |row: &[String; 4]| {
        let mut line = String::new();
        for (text, width) in row.iter().zip(&widths) {
            line += &format!("{text:<width$}");
        }
        format!("{}{}", line, row[3]).trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
