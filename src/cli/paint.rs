//! Text for a terminal: optionally colored, and without control characters.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};

use clap::{Args, ValueEnum};

use crate::companion::Severity;
use crate::engine::one_line;

/// The longest line that is printed, in characters. Names are shorter, and so are most messages.
const MAX_LINE: usize = 2_000;

/// Returns text as one line of bounded length, without control characters.
pub(super) fn bounded(text: &str) -> String {
    one_line(text, MAX_LINE)
}

/// The option of commands that color text.
#[derive(Clone, Copy, Debug, Args)]
#[allow(clippy::doc_markdown)] // The text is help, where backticks would show.
pub(super) struct ColorOption {
    /// When to color the output; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto, hide_possible_values = true)]
    color: ColorChoice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ColorChoice {
    Auto,
    Always,
    Never,
}

/// Colors text, or leaves it plain.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Paint {
    on: bool,
}

/// A style of text, by its code for a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextStyle {
    Plain = 0,
    Bold = 1,
    Red = 31,
    Green = 32,
    Yellow = 33,
    Cyan = 36,
}

impl ColorOption {
    /// Returns true if text is colored. By default, this is the case on a terminal with colors, unless `NO_COLOR` (no-color.org) is
    /// set.
    pub(super) fn is_on(self, is_terminal: bool) -> bool {
        match self.color {
            ColorChoice::Auto => is_terminal && is_wanted(|name| std::env::var_os(name)),
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        }
    }

    /// The colors of text.
    pub(super) fn paint(self, is_terminal: bool) -> Paint {
        Paint { on: self.is_on(is_terminal) }
    }

    /// The colors of standard output.
    pub(super) fn for_stdout(self) -> Paint {
        self.paint(io::stdout().is_terminal())
    }
}

impl Paint {
    /// No colors.
    pub(super) const PLAIN: Self = Self { on: false };

    /// Returns text in this style.
    pub(super) fn text(self, style: TextStyle, text: &str) -> String {
        if self.on && style != TextStyle::Plain {
            format!("\x1b[{}m{text}\x1b[0m", style as u8)
        } else {
            text.to_owned()
        }
    }
}

impl From<Severity> for TextStyle {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Error => Self::Red,
            Severity::Warning => Self::Yellow,
            Severity::Info => Self::Cyan,
        }
    }
}

fn is_wanted(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let unwanted = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    !unwanted && variable("TERM").is_none_or(|terminal| terminal != "dumb")
}

#[cfg(test)]
impl Paint {
    pub(super) const COLOR: Self = Self { on: true };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn color_needs_a_capable_terminal_and_no_opt_out() {
        let wanted = |name: &str, value: &str| is_wanted(|asked| (asked == name).then(|| value.into()));
        assert!(wanted("TERM", "xterm") && wanted("NO_COLOR", "") && wanted("OTHER", "1"));
        assert!(!wanted("TERM", "dumb") && !wanted("NO_COLOR", "1"));
    }
}
