//! The registration of colocate as a webhook, and whether it includes an object.

use jiff::Timestamp;

use crate::answer::Answer;

/// The registration of colocate as a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The name of the configuration.
    pub configuration: String,
    /// Its creation; `None` if there is no such configuration.
    pub created: Option<Timestamp>,
    /// The last changes of what decides whether it is called: of the configuration, and of the labels that its selectors read.
    pub changes: Vec<Change>,
    /// Whether API servers call colocate for the object now.
    pub called: Answer,
    /// The `failurePolicy` of the entry for the object.
    pub ignores_failures: bool,
}

/// The last change of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The thing, as in `zz-colocate`.
    pub what: String,
    /// The time.
    pub time: Timestamp,
}

/// Why API servers do not call colocate for an object now.
pub(super) enum Exclusion {
    /// This has not changed since the object was written.
    Certain(String),
    /// They may have called it when the object was written.
    Later(Vec<String>),
}

impl Registration {
    /// Returns true if API servers do not call colocate for the object now.
    pub fn excludes(&self) -> bool {
        matches!(self.called, Answer::No(_))
    }

    /// Returns why API servers do not call colocate for an object that was written at this time. Times have a resolution of one
    /// second, so what changed in the same second may have changed later.
    pub(super) fn exclusion(&self, written: Timestamp) -> Option<Exclusion> {
        let Self { configuration, changes, called, .. } = self;
        let Answer::No(why) = called else { return None };
        let later: Vec<_> = changes.iter().filter(|change| change.time >= written).collect();
        if later.is_empty() {
            return Some(Exclusion::Certain(format!("{configuration}: {why}")));
        }
        let now = format!("it would not be sent now ({configuration}: {why}), which may have changed since then");
        let changes = later.into_iter().map(|Change { what, time }| format!("{what} changed at {time}"));
        Some(Exclusion::Later(std::iter::once(now).chain(changes).collect()))
    }
}

impl Exclusion {
    pub(super) fn into_evidence(self) -> Vec<String> {
        match self {
            Self::Certain(why) => vec![why],
            Self::Later(evidence) => evidence,
        }
    }
}
