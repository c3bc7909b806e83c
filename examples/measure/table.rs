//! A Markdown table of targets and figures.

use std::fmt::{self, Write as _};

/// A table with a header.
#[derive(Debug)]
pub(crate) struct Table {
    columns: usize,
    text: String,
}

impl Table {
    pub(crate) fn new<const N: usize>(header: [&str; N]) -> Self {
        let text = format!("| {} |\n|{}\n", header.join(" | "), "---|".repeat(N));
        Self { columns: N, text }
    }

    /// Adds a row, with as many cells as the header has.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<_> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.columns, "{cells:?}");
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "| {} |", cells.join(" | "));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The result of a comparison with a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Missed,
}

impl Verdict {
    pub(crate) fn of(reached: bool) -> Self {
        if reached { Self::Pass } else { Self::Missed }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "PASS",
            Self::Missed => "**MISSED**",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new(["measurement", "target", ""]);
        table.row(["memory".into(), "10 MB".into(), Verdict::of(true).to_string()]);
        table.row(["time".into(), "1 s".into(), Verdict::of(false).to_string()]);
        assert_eq!(
            table.to_string(),
            "| measurement | target |  |\n|---|---|---|\n| memory | 10 MB | PASS |\n| time | 1 s | **MISSED** |\n"
        );
    }
}
