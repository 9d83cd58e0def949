//! A plan in words, one line per step.

use super::{Guard, Plan, Step};
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; 5]> = self.steps.iter().map(row).collect();
        let mut widths = [0; 5];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                line.push_str(&format!("{cell:width$}  "));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

fn row(step: &Step) -> [String; 5] {
    let subject = match step.action.object() {
        Some(object) => format!("{} {object}", step.action.subject()),
        None => step.action.subject(),
    };
    let cause = match &step.guard {
        Some(Guard::ImageChanged { pulled_by, .. }) => {
            format!("{}, if {pulled_by} brings another image", step.cause)
        }
        None => step.cause.to_string(),
    };
    [
        step.id.to_string(),
        step.action.verb().to_owned(),
        subject,
        cause,
        after(step),
    ]
}

fn after(step: &Step) -> String {
    if step.after.is_empty() {
        return String::new();
    }
    let ids: Vec<String> = step.after.iter().map(ToString::to_string).collect();
    format!("after {}", ids.join(" "))
}
