//! A plan → a list of steps with their reasons, as text for people and as JSON for programs.

use std::collections::BTreeMap;
use std::io;

use schemars::JsonSchema;
use serde::Serialize;

use super::output::{Output, Span, Style};
use crate::plan::{Action, Cause, Guard, Plan, Step, StepId};

/// Writes one line for each step: its number, what it does, why, and what it waits for.
pub fn write_plan(output: &mut Output, plan: &Plan) -> io::Result<()> {
    if plan.is_empty() {
        return output.line("Nothing to do.");
    }
    let rows: Vec<Row> = plan.steps.iter().map(Row::of).collect();
    let width = |of: fn(&Row) -> &String| {
        rows.iter()
            .map(|row| of(row).chars().count())
            .max()
            .unwrap_or(0)
    };
    let (number, verb) = (width(|row| &row.number), width(|row| &row.verb));
    let (subject, cause) = (width(|row| &row.subject), width(|row| &row.cause));
    for row in &rows {
        let Row {
            style,
            number: n,
            verb: v,
            subject: s,
            cause: c,
            rest,
        } = row;
        let act = format!("{n:<number$} {v:<verb$}  {s:<subject$}  ");
        let why = if rest.is_empty() {
            c.clone()
        } else {
            format!("{c:<cause$}  ")
        };
        let spans = [
            Span::new(*style, act),
            Span::plain(why),
            Span::new(Style::Dim, rest.clone()),
        ];
        output.spans(&spans)?;
    }
    output.line("")?;
    output.line(&summary(plan))
}

struct Row {
    style: Style,
    number: String,
    verb: String,
    subject: String,
    cause: String,
    rest: String,
}

impl Row {
    fn of(step: &Step) -> Self {
        let subject = match step.action.object() {
            Some(object) => format!("{} {object}", step.action.subject()),
            None => step.action.subject(),
        };
        let mut rest = Vec::new();
        if !step.after.is_empty() {
            let after: Vec<String> = step.after.iter().map(ToString::to_string).collect();
            rest.push(format!("after {}", after.join(" ")));
        }
        if let Some(Guard::ImageChanged { pulled_by, .. }) = &step.guard {
            rest.push(format!("unless {pulled_by} brings the same image"));
        }
        if let Some(group) = &step.group {
            rest.push(format!("[{group}]"));
        }
        Self {
            style: style_of(&step.action),
            number: step.id.to_string(),
            verb: step.action.verb().to_owned(),
            subject,
            cause: step.cause.to_string(),
            rest: rest.join("  "),
        }
    }
}

fn style_of(action: &Action) -> Style {
    let verb = action.verb();
    match verb.split(' ').next().unwrap_or(verb) {
        "create" | "start" | "pull" | "build" | "connect" => Style::Good,
        "stop" | "remove" | "kill" | "disconnect" => Style::Bad,
        _ => Style::Warning,
    }
}

/// Counts the steps by what they do: `3 steps: create container 1, start container 2.`
fn summary(plan: &Plan) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for step in &plan.steps {
        *counts.entry(step.action.verb()).or_default() += 1;
    }
    let parts: Vec<String> = counts
        .iter()
        .map(|(verb, count)| format!("{verb} {count}"))
        .collect();
    let noun = if plan.steps.len() == 1 {
        "step"
    } else {
        "steps"
    };
    format!("{} {noun}: {}.", plan.steps.len(), parts.join(", "))
}

/// A plan as programs read it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Plan")]
pub struct PlanDocument<'plan> {
    /// What is done, in an order that is possible.
    steps: Vec<StepDocument<'plan>>,
    /// What the user should know.
    warnings: Vec<String>,
}

/// A step as programs read it: what it does, but not the whole spec, which may hold secrets.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Step")]
struct StepDocument<'plan> {
    /// Its number, from one.
    id: StepId,
    /// What it does.
    action: &'static str,
    /// To what.
    subject: String,
    /// With what.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    /// Why, in words.
    reason: String,
    /// Why.
    cause: &'plan Cause,
    /// The steps that it waits for.
    after: &'plan [StepId],
    /// What it is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'plan str>,
    /// The condition without which it is passed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    guard: Option<&'plan Guard>,
}

impl<'plan> PlanDocument<'plan> {
    /// Returns the document of a plan.
    pub fn new(plan: &'plan Plan) -> Self {
        let steps = plan.steps.iter().map(|step| StepDocument {
            id: step.id,
            action: step.action.verb(),
            subject: step.action.subject(),
            object: step.action.object(),
            reason: step.cause.to_string(),
            cause: &step.cause,
            after: &step.after,
            group: step.group.as_deref(),
            guard: step.guard.as_ref(),
        });
        let warnings = plan.warnings.iter().map(ToString::to_string);
        Self {
            steps: steps.collect(),
            warnings: warnings.collect(),
        }
    }
}
