//! A plan → a list of steps with their reasons, as text for people and as JSON for programs.

use std::collections::BTreeMap;
use std::io;

use schemars::JsonSchema;
use serde::Serialize;

use super::output::{Output, Span, Style};
use super::steps::recreated;
use crate::plan::{Action, Cause, Guard, Plan, Step, StepId};

/// A cause that is no wider stands beside its step in every terminal.
const SHORT_CAUSE: usize = 32;

/// Writes each step: its number, what it does, why, and what it waits for. Reasons that are several, or that do not fit
/// the terminal, stand below it.
pub fn write_plan(output: &mut Output, plan: &Plan) -> io::Result<()> {
    if plan.is_empty() {
        return output.line("Nothing to do.");
    }
    let mut rows: Vec<Row> = plan.steps.iter().map(Row::of).collect();
    if output.is_terminal() {
        let most = Columns::of(&rows).room_for_cause(output.size().width);
        for row in &mut rows {
            row.fit(most);
        }
    }
    let columns = Columns::of(&rows);
    for row in &rows {
        row.write(output, &columns)?;
    }
    output.line("")?;
    output.line(&summary(plan))
}

/// How wide the columns are.
struct Columns {
    number: usize,
    verb: usize,
    subject: usize,
    cause: usize,
    rest: usize,
}

impl Columns {
    fn of(rows: &[Row]) -> Self {
        let widest = |of: fn(&Row) -> &str| {
            let widths = rows.iter().map(|row| of(row).chars().count());
            widths.max().unwrap_or(0)
        };
        Self {
            number: widest(|row| &row.number),
            verb: widest(|row| &row.verb),
            subject: widest(|row| &row.subject),
            cause: widest(|row| &row.cause),
            rest: widest(|row| &row.rest),
        }
    }

    /// Returns how wide a cause may be for all columns to fit.
    fn room_for_cause(&self, width: usize) -> usize {
        let others = self.number + 1 + self.verb + 2 + self.subject + 2 + 2 + self.rest;
        width.saturating_sub(others)
    }
}

struct Row {
    style: Style,
    number: String,
    verb: String,
    subject: String,
    cause: String,
    rest: String,
    /// Causes that stand below the step, one a line.
    below: Vec<String>,
}

impl Row {
    fn of(step: &Step) -> Self {
        let subject = match (recreated(step), &step.action) {
            // The name that it has meanwhile is of no interest.
            (Some(container), Action::CreateContainer { .. } | Action::RenameContainer { .. }) => {
                container.to_owned()
            }
            (_, action) => match action.object() {
                Some(object) => format!("{} {object}", action.subject()),
                None => action.subject(),
            },
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
        let (mut cause, mut below) = (step.cause.to_string(), Vec::new());
        if let Cause::Changed(changes) = &step.cause
            && changes.len() > 1
        {
            cause = format!("{} changes", changes.len());
            below = changes.iter().map(ToString::to_string).collect();
        }
        Self {
            style: style_of(&step.action),
            number: step.id.to_string(),
            verb: step.action.verb().to_owned(),
            subject,
            cause,
            rest: rest.join("  "),
            below,
        }
    }

    /// Moves a cause that is wider than there is room below the step.
    fn fit(&mut self, room: usize) {
        if self.below.is_empty() && self.cause.chars().count() > room.max(SHORT_CAUSE) {
            self.below = vec![std::mem::take(&mut self.cause)];
        }
    }

    fn write(&self, output: &mut Output, columns: &Columns) -> io::Result<()> {
        let Columns {
            number,
            verb,
            subject,
            cause,
            ..
        } = *columns;
        let act = format!(
            "{:<number$} {:<verb$}  {:<subject$}  ",
            self.number, self.verb, self.subject
        );
        let why = if self.rest.is_empty() {
            self.cause.clone()
        } else {
            format!("{:<cause$}  ", self.cause)
        };
        output.spans(&[
            Span::new(self.style, act),
            Span::plain(why),
            Span::new(Style::Dim, self.rest.clone()),
        ])?;
        for line in &self.below {
            output.line(&format!("{:number$}   {line}", ""))?;
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::FieldChange;
    use crate::report::output::memory::Memory;

    fn change(field: &str) -> FieldChange {
        FieldChange {
            field: field.to_owned(),
            old: Some("\"a\"".to_owned()),
            new: Some("\"b\"".to_owned()),
            place: None,
        }
    }

    fn step(id: u32, action: Action, cause: Cause, after: &[u32]) -> Step {
        Step {
            id: StepId(id),
            action,
            cause,
            after: after.iter().map(|id| StepId(*id)).collect(),
            group: Some("recreate demo-web-1".to_owned()),
            guard: None,
        }
    }

    #[test]
    fn changes_stand_below_their_step_and_temporary_names_are_not_shown() {
        let rename = Action::RenameContainer {
            name: "0123456789ab_demo-web-1".parse().unwrap(),
            to: "demo-web-1".parse().unwrap(),
        };
        let stop = Action::StopContainer {
            name: "demo-web-1".parse().unwrap(),
            signal: None,
            grace: None,
        };
        let changed =
            |fields: &[&str]| Cause::Changed(fields.iter().map(|it| change(it)).collect());
        let plan = Plan {
            steps: vec![
                step(1, stop, changed(&["hostname", "environment.A"]), &[]),
                step(2, rename, changed(&["hostname"]), &[1]),
            ],
            warnings: Vec::new(),
        };
        let memory = Memory::default();
        write_plan(&mut memory.pipe(), &plan).unwrap();
        insta::assert_snapshot!(memory.text(), @r#"
        #1 stop container    demo-web-1  2 changes           [recreate demo-web-1]
             hostname "a" → "b"
             environment.A "a" → "b"
        #2 rename container  demo-web-1  hostname "a" → "b"  after #1  [recreate demo-web-1]

        2 steps: rename container 1, stop container 1.
        "#);
        let mut row = Row::of(&plan.steps[1]);
        row.fit(10);
        assert_eq!(
            (row.cause.as_str(), row.below.len()),
            ("hostname \"a\" → \"b\"", 0)
        );
        row.cause = "environment.A_RATHER_LONG_NAME \"a\" → \"b\"".to_owned();
        row.fit(10);
        assert_eq!((row.cause.as_str(), row.below.len()), ("", 1));
    }
}
