//! Severities of findings.

use std::fmt;

/// How much a finding matters. Those that matter more are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know; never an admission warning.
    Info,
    /// It may well not do what was meant.
    Warning,
    /// It does not do what was meant; where findings are enforced, it is denied.
    Error,
}

impl Severity {
    /// Every severity, from the one that matters most.
    pub const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Info];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
