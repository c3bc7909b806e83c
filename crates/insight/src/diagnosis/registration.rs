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
    /// The oldest other object of colocate, and its creation.
    pub oldest: Option<Change>,
    /// The last changes of what decides whether it is called: of the configuration, and of the labels that its selectors read.
    pub changes: Vec<Change>,
    /// Whether API servers call colocate for the object now.
    pub called: Answer,
    /// The `failurePolicy` of the entry for the object.
    pub ignores_failures: bool,
    /// The configurations of other releases of colocate that API servers call for the object now, or may call.
    pub also_called: Vec<String>,
}

/// The last change of something, or its creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The thing, as in `zz-colocate`.
    pub what: String,
    /// The time.
    pub time: Timestamp,
}

/// Whether colocate was registered when an object was written.
pub(super) enum Registered {
    Yes,
    /// It came later.
    Later(String),
    /// The configuration of that time may have been deleted.
    NotKnown(String),
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
        matches!(self.called, Answer::No(_)) && self.also_called.is_empty()
    }

    /// Returns whether colocate was registered at this time. A configuration that was deleted and created again is as old as the
    /// new one.
    pub(super) fn at(&self, written: Timestamp) -> Registered {
        let Self { configuration, created, oldest, .. } = self;
        let Some(created) = created else {
            let text = format!(
                "there is no MutatingWebhookConfiguration {configuration} now, and whether there was one is not known"
            );
            return Registered::NotKnown(text);
        };
        if *created <= written {
            return Registered::Yes;
        }
        let later = format!("MutatingWebhookConfiguration {configuration} was created later, {created}");
        match oldest.as_ref().filter(|oldest| oldest.time < written) {
            Some(Change { what, time }) => Registered::NotKnown(format!(
                "{later}, but {what} has existed since {time}, so whether there was an earlier configuration is not known"
            )),
            None => Registered::Later(later),
        }
    }

    /// Returns why API servers do not call colocate for an object that was written at this time. Times have a resolution of one
    /// second, so what changed in the same second may have changed later.
    pub(super) fn exclusion(&self, written: Timestamp) -> Option<Exclusion> {
        let Self { configuration, created, changes, called, also_called, .. } = self;
        if !also_called.is_empty() {
            let others = also_called.join(", ");
            let text = format!("another release of colocate is called for it now, or may be: {others}");
            return Some(Exclusion::Later(vec![text]));
        }
        let (Some(created), Answer::No(why)) = (created, called) else { return None };
        let later: Vec<_> = changes.iter().filter(|change| change.time >= written).collect();
        if later.is_empty() && *created <= written {
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
