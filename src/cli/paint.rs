//! Text for a terminal: coloured if that is wanted, and without control characters.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};

use crate::companion::Severity;
use crate::engine::one_line;

/// The longest line that is printed, in characters. Names are shorter, and so are most messages.
const MAX_LINE: usize = 2_000;

/// Returns text as one line of bounded length, without control characters.
pub(super) fn bounded(text: &str) -> String {
    one_line(text, MAX_LINE)
}

/// Colours text, or leaves it plain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    on: bool,
}

impl Paint {
    /// Colours text if standard output is a terminal with colours, unless `NO_COLOR` (no-color.org) is set.
    pub(super) fn for_stdout() -> Self {
        Self { on: io::stdout().is_terminal() && is_wanted(|name| std::env::var_os(name)) }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(super) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(super) fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub(super) fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }

    /// Colours text by the severity of a finding.
    pub(super) fn severity(self, severity: Severity, text: &str) -> String {
        match severity {
            Severity::Error => self.red(text),
            Severity::Warning => self.yellow(text),
            Severity::Info => self.cyan(text),
        }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn is_wanted(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let unwanted = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    !unwanted && variable("TERM").is_none_or(|terminal| terminal != "dumb")
}

#[cfg(test)]
impl Paint {
    pub(super) const PLAIN: Self = Self { on: false };
    pub(super) const COLOUR: Self = Self { on: true };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_may_have_no_colour_and_a_person_may_not_want_it() {
        let wanted = |name: &str, value: &str| is_wanted(|asked| (asked == name).then(|| value.into()));
        assert!(wanted("TERM", "xterm") && wanted("NO_COLOR", "") && wanted("OTHER", "1"));
        assert!(!wanted("TERM", "dumb") && !wanted("NO_COLOR", "1"));
    }
}
