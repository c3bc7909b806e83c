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
    /// The last changes of the configuration.
    pub changes: Vec<Change>,
    /// The last changes of what decides whether it is called now: labels that its selectors read, and opt-outs.
    pub inputs: Vec<Change>,
    /// If it is not called now: for each of its webhooks, the parts that exclude the object.
    pub grounds: Vec<Vec<Ground>>,
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

/// A part of a webhook that excludes an object now, and whether it did so earlier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ground {
    /// It depends on nothing that can have changed without a change of the configuration.
    Fixed,
    /// The last change of the fields that it depends on was at that time.
    Changed(Change),
    /// It may have changed without a trace, for this reason: the time of an entry in `managedFields` is that of the last field that
    /// was added or changed, and not that of a removal.
    Untraced(String),
}

/// The state of the registration of colocate when an object was written.
pub(super) enum Registered {
    Yes,
    /// It came later.
    Later(String),
    /// The configuration of that time may have been deleted.
    NotKnown(String),
}

/// The facts about calls of colocate for an object when it was written.
pub(super) enum Exclusion {
    /// API servers did not call it, for this reason.
    Certain(String),
    /// Whether they called it is not known.
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

    /// Returns why API servers did not call colocate for an object that was written at this time, or why that is not known; `None`
    /// if nothing shows that it was excluded. Times have a resolution of one second, so what changed in the same second may have
    /// changed later.
    pub(super) fn exclusion(&self, written: Timestamp) -> Option<Exclusion> {
        let Self { configuration, changes, inputs, called, also_called, .. } = self;
        let created = self.created?;
        if !also_called.is_empty() {
            let others = also_called.join(", ");
            let text = format!("another release of colocate is called for it now, or may be: {others}");
            return Some(Exclusion::Later(vec![text]));
        }
        let later = |changes: &[Change]| -> Vec<_> {
            let later = changes.iter().filter(|change| change.time >= written);
            later.map(|Change { what, time }| format!("{what} changed at {time}")).collect()
        };
        let mut evidence = later(changes);
        if let Answer::No(why) = called {
            evidence.extend(self.open_grounds(written));
            if evidence.is_empty() && created <= written {
                return Some(Exclusion::Certain(format!("{configuration}: {why}")));
            }
            evidence.insert(
                0,
                format!("it would not be sent now ({configuration}: {why}), which may have changed since then"),
            );
            return Some(Exclusion::Later(evidence));
        }
        evidence.extend(later(inputs));
        let unknown =
            |change: String| format!("{change}, so whether the object was sent to colocate before is not known");
        Some(Exclusion::Later(evidence.into_iter().map(unknown).collect())).filter(|found| !found.is_empty())
    }

    /// Describes what may have changed since this time, for webhooks without a part that certainly excluded the object then.
    fn open_grounds(&self, written: Timestamp) -> Vec<String> {
        let describe = |ground: &Ground| match ground {
            Ground::Fixed => None,
            Ground::Changed(Change { time, .. }) if *time < written => None,
            Ground::Changed(Change { what, time }) => Some(format!("{what} changed at {time}")),
            Ground::Untraced(why) => Some(why.clone()),
        };
        let mut open = Vec::new();
        for grounds in &self.grounds {
            let doubts: Option<Vec<_>> = grounds.iter().map(describe).collect();
            for doubt in doubts.into_iter().flatten() {
                if !open.contains(&doubt) {
                    open.push(doubt);
                }
            }
        }
        open
    }
}

impl Exclusion {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Later(evidence) if evidence.is_empty())
    }

    pub(super) fn into_evidence(self) -> Vec<String> {
        match self {
            Self::Certain(why) => vec![why],
            Self::Later(evidence) => evidence,
        }
    }
}
