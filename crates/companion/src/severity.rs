//! Severities of findings.

use std::fmt;

/// The severity of a finding, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// For information. Never an admission warning.
    Info,
    /// The annotation may not have the intended effect.
    Warning,
    /// The annotation does not have the intended effect. If findings are enforced, the object is denied.
    Error,
}

impl Severity {
    /// Every severity, the highest first.
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
