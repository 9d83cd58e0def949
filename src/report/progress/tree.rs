//! Updates → a block of lines on a terminal that is drawn over itself: one line for each resource, with its time.

use std::io;
use std::time::{Duration, Instant};

use super::{Rehearsal, Status, Update};
use crate::report::human;
use crate::report::output::{Output, Size, Span, Style};

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const SPINNER_STEP: Duration = Duration::from_millis(100);
const METER: [char; 9] = ['⠀', '⡀', '⣀', '⣄', '⣤', '⣦', '⣶', '⣷', '⣿'];
const LONGEST_METER: usize = 12;

/// The block and where it was drawn last.
#[derive(Debug)]
pub(super) struct Tree {
    verb: String,
    rehearsal: Rehearsal,
    started: Instant,
    tasks: Vec<Task>,
    drawn_lines: usize,
}

#[derive(Debug)]
struct Task {
    update: Update,
    started: Instant,
    ended: Option<Instant>,
}

impl Tree {
    pub(super) fn new(verb: &str, rehearsal: Rehearsal, now: Instant) -> Self {
        Self {
            verb: verb.to_owned(),
            rehearsal,
            started: now,
            tasks: Vec::new(),
            drawn_lines: 0,
        }
    }

    /// Takes in a change.
    pub(super) fn apply(&mut self, update: Update, now: Instant) {
        let ended = (update.status != Status::Working).then_some(now);
        match self
            .tasks
            .iter_mut()
            .find(|task| task.update.id == update.id)
        {
            Some(task) => {
                task.ended = ended;
                task.update = update;
            }
            None => self.tasks.push(Task {
                update,
                started: now,
                ended,
            }),
        }
    }

    /// Draws the block over the last one.
    pub(super) fn draw(&mut self, output: &mut Output, now: Instant) -> io::Result<()> {
        if self.tasks.is_empty() {
            return Ok(());
        }
        let lines = self.frame(output.size(), now);
        let mut block = self.back_to_the_top();
        for line in &lines {
            block.push_str(&output.painted(line));
            block.push_str("\x1b[K\n");
        }
        if lines.len() < self.drawn_lines {
            block.push_str("\x1b[J");
        }
        self.drawn_lines = lines.len();
        output.bytes(block.as_bytes())?;
        output.flush()
    }

    /// Removes the block, so that something else can be written in its place.
    pub(super) fn clear(&mut self, output: &mut Output) -> io::Result<()> {
        if self.drawn_lines == 0 {
            return Ok(());
        }
        let block = format!("{}\x1b[J", self.back_to_the_top());
        self.drawn_lines = 0;
        output.bytes(block.as_bytes())
    }

    fn back_to_the_top(&self) -> String {
        match self.drawn_lines {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\r"),
        }
    }

    /// Returns the lines of the block for a terminal of this size.
    fn frame(&self, size: Size, now: Instant) -> Vec<Vec<Span>> {
        let roots: Vec<&Task> = self
            .tasks
            .iter()
            .filter(|task| task.update.parent.is_none())
            .collect();
        let done = roots.iter().filter(|task| task.ended.is_some()).count();
        let header = format!("[+] {} {done}/{}", self.verb, roots.len());
        let mut lines = vec![vec![Span::plain(header)]];

        // A block that is taller than the terminal cannot be drawn over itself.
        let room = size.height.saturating_sub(2).max(1);
        let shown = if roots.len() > room {
            most_urgent(&roots, room - 1)
        } else {
            roots.clone()
        };
        let columns = Columns::fit(&shown, self.rehearsal, size.width);
        lines.extend(shown.iter().map(|task| self.task_line(task, columns, now)));
        if shown.len() < roots.len() {
            let more = format!(" … {} more", roots.len() - shown.len());
            lines.push(vec![Span::new(Style::Dim, more)]);
        }
        lines
    }

    fn task_line(&self, task: &Task, columns: Columns, now: Instant) -> Vec<Span> {
        let Update {
            id,
            text,
            details,
            status,
            ..
        } = &task.update;
        let time = human::elapsed(task.ended.unwrap_or(now) - task.started);
        let said = clipped(&format!("{text} {details}"), columns.text);
        vec![
            Span::new(style_of(*status), format!(" {} ", self.mark(*status, now))),
            Span::new(Style::Note, self.rehearsal.prefix()),
            Span::plain(format!(
                "{:<width$}  ",
                clipped(id, columns.id),
                width = columns.id
            )),
            Span::new(
                style_of(*status),
                format!("{said:<width$}", width = columns.text),
            ),
            Span::plain(self.meter(id, columns.meter)),
            Span::new(Style::Dim, format!(" {time:>6}")),
        ]
    }

    fn mark(&self, status: Status, now: Instant) -> &'static str {
        match status {
            Status::Working => {
                let steps = (now - self.started).as_millis() / SPINNER_STEP.as_millis();
                SPINNER[usize::try_from(steps).unwrap_or(0) % SPINNER.len()]
            }
            Status::Done => "✔",
            Status::Warning => "!",
            Status::Error => "✘",
        }
    }

    /// Returns how far the parts of a resource are: one character for each, and the bytes of all.
    fn meter(&self, parent: &str, width: usize) -> String {
        let parts = self
            .tasks
            .iter()
            .filter(|task| task.update.parent.as_deref() == Some(parent));
        let amounts: Vec<_> = parts.filter_map(|task| task.update.amount).collect();
        if amounts.is_empty() || width == 0 {
            return " ".repeat(width);
        }
        let gauge: String = amounts
            .iter()
            .take(LONGEST_METER)
            .map(|amount| METER[usize::try_from(amount.percent()).unwrap_or(0) * 8 / 100])
            .collect();
        let current = amounts.iter().map(|amount| amount.current).sum();
        let total = amounts.iter().map(|amount| amount.total).sum();
        let text = format!(" {gauge} {} / {}", human::size(current), human::size(total));
        format!("{:<width$}", clipped(&text, width))
    }
}

/// How wide the parts of a line are.
#[derive(Clone, Copy, Debug)]
struct Columns {
    id: usize,
    text: usize,
    meter: usize,
}

impl Columns {
    const MARK: usize = 3;
    const GAP: usize = 2;
    const TIME: usize = 7;
    const METER: usize = 36;

    fn fit(tasks: &[&Task], rehearsal: Rehearsal, width: usize) -> Self {
        let widest = |of: &dyn Fn(&Update) -> usize| {
            tasks.iter().map(|task| of(&task.update)).max().unwrap_or(0)
        };
        let prefix = rehearsal.prefix().chars().count();
        let left = width.saturating_sub(Self::MARK + Self::GAP + Self::TIME + prefix);
        let text = widest(&|update| {
            let details = update.details.chars().count();
            update.text.chars().count() + if details > 0 { details + 1 } else { 0 }
        });
        let text = text.max("Recreated".len()).min(left / 2);
        let id = widest(&|update| update.id.chars().count()).min(left - text);
        let has_parts = tasks
            .iter()
            .any(|task| task.update.id.starts_with("Image "));
        let meter = if has_parts {
            Self::METER.min(left - id - text)
        } else {
            0
        };
        Self { id, text, meter }
    }
}

/// Returns the tasks that deserve the room there is: what failed, what is going on, what ended last.
fn most_urgent<'tasks>(tasks: &[&'tasks Task], room: usize) -> Vec<&'tasks Task> {
    let mut ranked: Vec<(usize, &Task)> = tasks.iter().copied().enumerate().collect();
    ranked.sort_by_key(|(_, task)| match task.update.status {
        Status::Error => (0, None),
        Status::Working => (1, None),
        Status::Warning | Status::Done => (2, task.ended.map(std::cmp::Reverse)),
    });
    ranked.truncate(room);
    ranked.sort_by_key(|(index, _)| *index);
    ranked.into_iter().map(|(_, task)| task).collect()
}

fn style_of(status: Status) -> Style {
    match status {
        Status::Working => Style::Note,
        Status::Done => Style::Good,
        Status::Warning => Style::Warning,
        Status::Error => Style::Bad,
    }
}

fn clipped(text: &str, width: usize) -> String {
    let text = text.trim_end();
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut clipped: String = text.chars().take(width.saturating_sub(1)).collect();
    clipped.push('…');
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::progress::Amount;

    fn text(tree: &Tree, size: Size, now: Instant) -> String {
        let lines = tree.frame(size, now).into_iter().map(|line| {
            let text: String = line.into_iter().map(|span| span.text).collect();
            text.trim_end().to_owned()
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn tree_at(now: Instant) -> Tree {
        Tree::new("up", Rehearsal::No, now)
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be had from the clock"
    )]
    fn each_resource_has_a_line_with_its_time() {
        let start = Instant::now();
        let mut tree = tree_at(start);
        tree.apply(
            Update::new("Network demo_default", Status::Working, "Creating"),
            start,
        );
        tree.apply(
            Update::new("Container demo-web-1", Status::Working, "Creating"),
            start,
        );
        let later = start + Duration::from_millis(1250);
        tree.apply(
            Update::new("Network demo_default", Status::Done, "Created"),
            later,
        );
        insta::assert_snapshot!(text(&tree, Size { width: 80, height: 24 }, later), @r"
        [+] up 1/2
         ✔ Network demo_default  Created     1.2s
         ⠹ Container demo-web-1  Creating    1.2s
        ");
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be had from the clock"
    )]
    fn an_image_shows_how_far_its_layers_are() {
        let start = Instant::now();
        let mut tree = tree_at(start);
        tree.apply(
            Update::new("Image redis:7", Status::Working, "Pulling"),
            start,
        );
        let mut layer = Update::new("layer 1", Status::Working, "Downloading");
        layer.parent = Some("Image redis:7".to_owned());
        layer.amount = Some(Amount {
            current: 5_000_000,
            total: 10_000_000,
        });
        tree.apply(layer, start);
        insta::assert_snapshot!(text(&tree, Size { width: 80, height: 24 }, start), @r"
        [+] up 0/1
         ⠋ Image redis:7  Pulling   ⣤ 5MB / 10MB                          0.0s
        ");
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be had from the clock"
    )]
    fn a_low_terminal_shows_what_goes_on_and_counts_the_rest() {
        let start = Instant::now();
        let mut tree = tree_at(start);
        for number in 1..=9 {
            let status = if number == 7 {
                Status::Working
            } else {
                Status::Done
            };
            tree.apply(
                Update::new(format!("Container c-{number}"), status, "Started"),
                start,
            );
        }
        insta::assert_snapshot!(text(&tree, Size { width: 40, height: 6 }, start), @r"
        [+] up 8/9
         ✔ Container c-1  Started     0.0s
         ✔ Container c-2  Started     0.0s
         ⠋ Container c-7  Started     0.0s
         … 6 more
        ");
    }
}
