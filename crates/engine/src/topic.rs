//! Topics of warnings, and the section of the documentation about each.

use std::fmt;

use super::reason::Reason;

/// The page with a section for each reason and each warning, in the repository of colocate.
const PAGE: &str = "docs/reasons.md";

/// The topic of a warning, which has a word and a section in the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The reason for the decision.
    Reason(Reason),
    /// The value of an opt-out is not a boolean.
    OptOutInvalid,
    /// The pod has claims of two drivers with different schedulers.
    TwoDrivers,
    /// The object names a driver's scheduler, but has no claim of this driver.
    SchedulerWithoutClaim,
    /// The scheduler was set, but it is not running.
    SchedulerAway,
}

impl Topic {
    /// Every topic that is not a reason, in the order in which they are documented.
    pub const OTHERS: [Self; 4] =
        [Self::OptOutInvalid, Self::TwoDrivers, Self::SchedulerWithoutClaim, Self::SchedulerAway];

    /// The word. It is stable.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reason(reason) => reason.as_str(),
            Self::OptOutInvalid => "opt-out-invalid",
            Self::TwoDrivers => "two-drivers",
            Self::SchedulerWithoutClaim => "scheduler-without-claim",
            Self::SchedulerAway => "scheduler-away",
        }
    }

    /// Returns a link to the section about it, such as `docs/reasons.md#reason-claim-missing`.
    pub fn section(self) -> impl fmt::Display {
        let sort = if let Self::Reason(_) = self { "reason" } else { "warning" };
        fmt::from_fn(move |f| write!(f, "{PAGE}#{sort}-{}", self.as_str()))
    }
}

impl From<Reason> for Topic {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}
