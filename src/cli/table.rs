//! Columns for people.

use std::fmt;

use unicode_segmentation::UnicodeSegmentation;

/// Space between two columns.
const GAP: usize = 2;

/// Rows under a header. Cells must be single lines: pass what [`super::text::line`] or [`super::text::short`] made.
pub(super) struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// With a header.
    pub(super) fn new(header: [&str; COLUMNS]) -> Self {
        Table { rows: vec![header.map(str::to_owned)] }
    }

    /// Without one.
    pub(super) fn bare() -> Self {
        Table { rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells);
    }
}

fn width(cell: &str) -> usize {
    cell.graphemes(true).count()
}

impl<const COLUMNS: usize> fmt::Display for Table<COLUMNS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths = [0; COLUMNS];
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = width(cell).max(*widest);
            }
        }
        for row in &self.rows {
            let mut padding = 0;
            for (cell, widest) in row.iter().zip(widths) {
                // Written before the next cell that has ink, so that no line ends in blanks.
                if !cell.is_empty() {
                    write!(f, "{:padding$}{cell}", "")?;
                    padding = 0;
                }
                padding += widest - width(cell) + GAP;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::{line, short};
    use super::*;

    #[test]
    fn columns_align_and_lines_end_in_ink() {
        let mut table = Table::new(["WHO", "SINCE", "NAME"]);
        table.row(["@ana@peer.example".to_owned(), "3 days ago".to_owned(), String::new()]);
        table.row(["@b@c.d".to_owned(), String::new(), "é👍🏽x".to_owned()]);
        let want = "WHO                SINCE       NAME\n\
                    @ana@peer.example  3 days ago\n\
                    @b@c.d                         é👍🏽x\n";
        assert_eq!(table.to_string(), want);
    }

    #[test]
    fn hostile_names_stay_in_their_cell() {
        let mut table = Table::new(["STATE", "WHO", "NAME"]);
        let name =
            "\u{1b}]0;x\u{7}\u{1b}[1A\u{1b}[2Kapproved  @root@peer.example\r\napproved \u{202e}\u{2066}x";
        table.row(["pending".to_owned(), line("@a\u{202e}b@peer.example\n"), short(name, 20)]);
        let text = table.to_string();
        assert_eq!(text.lines().count(), 2, "{text:?}");
        assert!(!text.contains(['\u{1b}', '\r', '\u{7}', '\u{202e}', '\u{2066}']), "{text:?}");
        let second = text.lines().nth(1).unwrap();
        assert!(second.starts_with("pending  @ab@peer.example  ") && second.ends_with('…'), "{second}");
    }
}
