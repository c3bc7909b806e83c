//! Severities of findings.

use std::fmt;

/// The severity of a finding. A greater one matters more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know, and never an admission warning.
    Info,
    /// The annotation may not do what was meant.
    Warning,
    /// The annotation does not do what was meant. Where findings are enforced, the object is denied.
    Error,
}

impl Severity {
    /// Every severity, the greatest first.
    pub const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Info];

    /// The word in configuration and output.
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
