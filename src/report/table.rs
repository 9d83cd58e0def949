//! Rows of cells → columns, spaced as Docker's and Docker Compose's tables are.

use std::io;

use super::escape;
use super::output::Output;

/// How columns are spaced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spacing {
    min_width: usize,
    gap: usize,
}

impl Spacing {
    /// Of what Docker writes, and of whatever templates ask for.
    pub(super) const USUAL: Self = Self {
        min_width: 10,
        gap: 3,
    };
    /// Of lists of projects and images.
    pub(super) const WIDE: Self = Self {
        min_width: 20,
        gap: 3,
    };
    /// Of lists of processes.
    pub(super) const NARROW: Self = Self {
        min_width: 4,
        gap: 2,
    };
}

/// Writes a header and rows below each other in columns.
pub fn write(output: &mut Output, header: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    write_spaced(output, Spacing::USUAL, header, rows)
}

/// Writes a header and rows below each other in columns with a spacing of their own.
pub(super) fn write_spaced(
    output: &mut Output,
    spacing: Spacing,
    header: &[&str],
    rows: &[Vec<String>],
) -> io::Result<()> {
    let header: Vec<String> = header.iter().map(|&title| title.to_owned()).collect();
    write_columns(output, spacing, std::iter::once(&header).chain(rows))
}

/// Writes rows of cells in columns that fit the widest cell.
pub(super) fn write_rows<'rows>(
    output: &mut Output,
    rows: impl Iterator<Item = &'rows Vec<String>> + Clone,
) -> io::Result<()> {
    write_columns(output, Spacing::USUAL, rows)
}

fn write_columns<'rows>(
    output: &mut Output,
    spacing: Spacing,
    rows: impl Iterator<Item = &'rows Vec<String>> + Clone,
) -> io::Result<()> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows.clone() {
        for (index, cell) in row.iter().enumerate() {
            let width = (shown_width(cell) + spacing.gap).max(spacing.min_width);
            match widths.get_mut(index) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    for row in rows {
        output.line(&row_line(row, &widths))?;
    }
    Ok(())
}

fn row_line(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (index, cell) in row.iter().enumerate() {
        line.push_str(cell);
        if index + 1 < row.len() {
            let padding = widths[index].saturating_sub(shown_width(cell));
            line.extend(std::iter::repeat_n(' ', padding));
        }
    }
    line
}

fn shown_width(cell: &str) -> usize {
    escape::visible(cell).chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::output::memory::Memory;

    #[test]
    fn columns_fit_the_widest_cell_and_the_last_is_not_padded() {
        let memory = Memory::default();
        let rows = [vec![
            "demo-web-1".to_owned(),
            "web".to_owned(),
            "Up 3 minutes".to_owned(),
        ]];
        write(&mut memory.pipe(), &["NAME", "SERVICE", "STATUS"], &rows).unwrap();
        insta::assert_snapshot!(memory.text(), @r"
        NAME         SERVICE   STATUS
        demo-web-1   web       Up 3 minutes
        ");
    }
}
