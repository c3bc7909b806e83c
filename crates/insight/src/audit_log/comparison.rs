//! The comparison of colocate with Stork's webhook: what each of them did about the same object.

use std::collections::BTreeMap;

use colocate_engine::{Reason, Text};

use super::AuditLog;
use super::call::{Calls, STORK, is_colocate};
use super::event::Event;
use super::kept;

/// The effects of colocate's and of Stork's webhook on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Comparison {
    /// Stork's webhook set the scheduler, and colocate would have.
    Both,
    /// Stork's webhook set the scheduler, and colocate would not have.
    OnlyStork,
    /// colocate set the scheduler, or would in `mode: inject`, and Stork's webhook did not.
    OnlyColocate,
    /// Stork's webhook set the scheduler, and colocate did not answer or was not called.
    WithoutColocate,
    /// colocate set the scheduler, or would in `mode: inject`, and Stork's webhook did not answer.
    WithoutStork,
    /// Stork's webhook changed the object, and the log has no patch that shows what.
    Unknown,
}

/// The objects with one result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Their number.
    pub objects: u64,
    /// The reasons of colocate, and their numbers.
    pub reasons: BTreeMap<&'static str, u64>,
    /// One of the objects: its resource, its namespace and its name.
    pub example: [String; 3],
}

/// A decision of colocate, as far as it is in the annotations of its webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Decision {
    /// Whether colocate sets the scheduler, or would.
    would_set: bool,
    /// Whether the object named the scheduler before.
    was_set: bool,
    reason: Option<&'static str>,
}

impl Comparison {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::OnlyStork => "only-stork",
            Self::OnlyColocate => "only-colocate",
            Self::WithoutColocate => "without-colocate",
            Self::WithoutStork => "without-stork",
            Self::Unknown => "unknown",
        }
    }

    /// The result, as a sentence.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Both => "Stork's webhook set the scheduler, and colocate would have",
            Self::OnlyStork => {
                "Stork's webhook set the scheduler, and colocate would not have: this is lost if Stork's webhook is switched off"
            }
            Self::OnlyColocate => {
                "colocate sets the scheduler, and Stork's webhook did not: this is lost if colocate is switched off"
            }
            Self::WithoutColocate => "Stork's webhook set the scheduler, and colocate did not answer or was not called",
            Self::WithoutStork => "colocate sets the scheduler, and Stork's webhook did not answer",
            Self::Unknown => {
                "Stork's webhook changed the object, and the log has no patch that shows what: use the audit level Request"
            }
        }
    }
}

impl AuditLog {
    pub(super) fn compare(
        &mut self,
        event: &Event<'_>,
        annotations: &BTreeMap<Text<'_>, Text<'_>>,
        calls: &BTreeMap<[String; 2], Calls>,
    ) {
        let stork = calls.iter().find(|([configuration, _], _)| configuration == STORK).map(|(_, call)| call);
        let answered = calls.iter().filter(|(webhook, call)| call.answered && is_colocate(webhook));
        let decision = answered.map(|([_, webhook], _)| Decision::read(annotations, webhook)).max();
        let would_set = decision.is_some_and(|decision| decision.would_set);
        let comparison = match stork {
            Some(Calls { set_at: Some(_), .. }) => match decision {
                None => Comparison::WithoutColocate,
                Some(_) if would_set => Comparison::Both,
                Some(_) => Comparison::OnlyStork,
            },
            // Without its patch, a change may be one of tolerations.
            Some(Calls { changed: true, has_patch: false, .. }) => Comparison::Unknown,
            _ if !would_set || decision.is_some_and(|decision| decision.was_set) => return,
            Some(Calls { answered: false, .. }) => Comparison::WithoutStork,
            // Stork's webhook does not run in this cluster, as far as the log shows, if it is never called.
            _ => Comparison::OnlyColocate,
        };
        let compared = self.comparison.entry(comparison).or_insert_with(|| {
            let [resource, namespace, name] = [event.resource(), kept(event.namespace()), event.name()];
            Compared { example: [resource, namespace, name], ..Compared::default() }
        });
        compared.objects += 1;
        if let Some(Decision { reason: Some(reason), .. }) = decision {
            *compared.reasons.entry(reason).or_default() += 1;
        }
    }
}

impl Decision {
    fn read(annotations: &BTreeMap<Text<'_>, Text<'_>>, webhook: &str) -> Self {
        let get = |field: &str| annotations.get(&Text::from(format!("{webhook}/{field}")));
        let word = get("reason").map(|word| &**word);
        let reason = Reason::ALL.iter().copied().find(|reason| Some(reason.as_str()) == word);
        let was_set = reason == Some(Reason::AlreadySet);
        let would_set = match reason {
            Some(
                Reason::Injected | Reason::InjectedMissing | Reason::Kept | Reason::WouldInject | Reason::WouldKeep,
            ) => true,
            // The claims are listed with their drivers.
            Some(Reason::AlreadySet) => get("claims").is_some_and(|claims| claims.contains(", driver ")),
            _ => false,
        };
        Self { would_set, was_set, reason: reason.map(Reason::as_str) }
    }
}
