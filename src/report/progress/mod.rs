//! What is being done → a live tree on a terminal, plain lines in a pipe, JSON for a program, or nothing.

mod update;
mod lines;
mod tree;

use std::io;
use std::time::{Duration, Instant};

pub use update::{Amount, Status, Update};

use super::output::Output;
use tree::Tree;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressStyle {
    /// A block of lines that is drawn over itself.
    Tree,
    /// One line for each change.
    Plain,
    /// One JSON object for each change.
    Json,
    /// Not at all.
    Quiet,
}

/// Whether what is shown is only what would be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rehearsal {
    /// Nothing changes.
    Yes,
    /// It is done.
    No,
}

impl Rehearsal {
    /// Returns what stands before each line.
    fn prefix(self) -> &'static str {
        match self {
            Self::Yes => "DRY-RUN MODE - ",
            Self::No => "",
        }
    }
}

/// How often a tree is drawn again while nothing changes, and at most when much does.
const FRAME: Duration = Duration::from_millis(100);
const SHORTEST_FRAME: Duration = Duration::from_millis(30);

/// Shows changes as they come.
#[derive(Debug)]
pub struct Progress {
    output: Output,
    rehearsal: Rehearsal,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    Tree { tree: Tree, last_drawn: Instant },
    Plain,
    Json,
    Quiet,
}

impl Progress {
    /// Returns a progress that is shown on `output` and names what is done with `verb`.
    pub fn new(
        style: ProgressStyle,
        verb: &str,
        rehearsal: Rehearsal,
        output: Output,
        now: Instant,
    ) -> Self {
        let shape = match style {
            ProgressStyle::Tree => Shape::Tree {
                tree: Tree::new(verb, rehearsal, now),
                last_drawn: now,
            },
            ProgressStyle::Plain => Shape::Plain,
            ProgressStyle::Json => Shape::Json,
            ProgressStyle::Quiet => Shape::Quiet,
        };
        Self {
            output,
            rehearsal,
            shape,
        }
    }

    /// Takes in a change.
    pub fn update(&mut self, update: Update, now: Instant) -> io::Result<()> {
        match &mut self.shape {
            Shape::Quiet => Ok(()),
            Shape::Plain => lines::write_plain(&mut self.output, &update, self.rehearsal),
            Shape::Json => lines::write_json(&mut self.output, &update, self.rehearsal),
            Shape::Tree { tree, last_drawn } => {
                tree.apply(update, now);
                if now - *last_drawn < SHORTEST_FRAME {
                    return Ok(());
                }
                *last_drawn = now;
                tree.draw(&mut self.output, now)
            }
        }
    }

    /// Returns how often [`tick`](Self::tick) shall be called, if at all.
    pub fn period(&self) -> Option<Duration> {
        match self.shape {
            Shape::Tree { .. } => Some(FRAME),
            Shape::Plain | Shape::Json | Shape::Quiet => None,
        }
    }

    /// Shows that time passes.
    pub fn tick(&mut self, now: Instant) -> io::Result<()> {
        match &mut self.shape {
            Shape::Tree { tree, last_drawn } => {
                *last_drawn = now;
                tree.draw(&mut self.output, now)
            }
            Shape::Plain | Shape::Json | Shape::Quiet => Ok(()),
        }
    }

    /// Writes a line beside the changes, such as a warning.
    pub fn note(&mut self, spans: &[super::Span], now: Instant) -> io::Result<()> {
        match &mut self.shape {
            Shape::Quiet | Shape::Json => Ok(()),
            Shape::Plain => self.output.spans(spans),
            Shape::Tree { tree, .. } => {
                tree.clear(&mut self.output)?;
                self.output.spans(spans)?;
                tree.draw(&mut self.output, now)
            }
        }
    }

    /// Takes away what is drawn over itself, so that others can write there; the next tick draws it again.
    pub fn step_aside(&mut self) -> io::Result<()> {
        match &mut self.shape {
            Shape::Tree { tree, .. } => {
                tree.clear(&mut self.output)?;
                self.output.flush()
            }
            Shape::Plain | Shape::Json | Shape::Quiet => Ok(()),
        }
    }

    /// Shows the last state and leaves it there.
    pub fn finish(mut self, now: Instant) -> io::Result<Output> {
        self.tick(now)?;
        self.output.flush()?;
        Ok(self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::output::memory::Memory;

    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be had from the clock"
    )]
    fn shown(style: ProgressStyle, rehearsal: Rehearsal) -> String {
        let memory = Memory::default();
        let now = Instant::now();
        let mut progress = Progress::new(style, "up", rehearsal, memory.pipe(), now);
        progress
            .update(
                Update::new("Network demo_default", Status::Working, "Creating"),
                now,
            )
            .unwrap();
        let mut layer = Update::new("1a2b", Status::Working, "Downloading");
        layer.parent = Some("Image redis".to_owned());
        layer.amount = Some(Amount {
            current: 1,
            total: 4,
        });
        progress.update(layer, now).unwrap();
        let mut failed = Update::new("Container demo-web-1", Status::Error, "Error");
        failed.details = "no space left".to_owned();
        progress.update(failed, now).unwrap();
        drop(progress.finish(now).unwrap());
        memory.text()
    }

    #[test]
    fn plain_lines_say_each_change_and_leave_bytes_out() {
        insta::assert_snapshot!(shown(ProgressStyle::Plain, Rehearsal::No), @r"
         Network demo_default  Creating
         Container demo-web-1  Error no space left
        ");
        insta::assert_snapshot!(shown(ProgressStyle::Plain, Rehearsal::Yes), @r"
        DRY-RUN MODE -  Network demo_default  Creating
        DRY-RUN MODE -  Container demo-web-1  Error no space left
        ");
    }

    #[test]
    fn json_has_the_shape_of_docker_compose() {
        insta::assert_snapshot!(shown(ProgressStyle::Json, Rehearsal::No), @r#"
        {"id":"Network demo_default","status":"Working","text":"Creating"}
        {"id":"1a2b","parent_id":"Image redis","status":"Working","text":"Downloading","current":1,"total":4,"percent":25}
        {"id":"Container demo-web-1","status":"Error","text":"Error","details":"no space left"}
        "#);
    }

    #[test]
    fn quiet_says_nothing() {
        assert_eq!(shown(ProgressStyle::Quiet, Rehearsal::No), "");
    }
}
