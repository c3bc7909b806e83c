//! Audit logs of API servers: the objects that a webhook missed because it did not answer, and what colocate's and Stork's webhooks
//! did about the same objects.
//!
//! API servers annotate an event with the webhooks that they called for it. The round and the index in the key of an annotation
//! identify the call. The patches of webhooks are logged from level `Request` on, everything else from level `Metadata` on.

mod call;
mod comparison;
mod event;
mod missed_object;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use call::{Calls, STORK, calls, is_colocate};
use event::{Annotations, Event};
use jiff::Timestamp;

pub use comparison::{Compared, Comparison};
pub use missed_object::{Identity, MissedObject};

/// The largest number of missed objects that are kept: the earliest ones. At 700 bytes each, they take 7 MB.
const MAX_MISSED: usize = 10_000;

/// The longest text that is kept, in bytes. Names have at most 253, and names of service accounts 338.
const MAX_TEXT: usize = 512;

/// The largest number of webhooks whose calls are counted.
const MAX_WEBHOOKS: usize = 1_000;

/// Audit logs, read line by line. Its memory is bounded.
#[derive(Debug, Default)]
pub struct AuditLog {
    /// The namespace whose objects are counted; `None` for all.
    pub namespace: Option<String>,
    /// The number of events.
    pub events: u64,
    /// The time of the first event and of the last one, in any order of the lines.
    pub period: Option<[String; 2]>,
    /// The calls of each mutating webhook, by its configuration and its name.
    pub webhooks: BTreeMap<[String; 2], WebhookCalls>,
    /// The calls of webhooks that are not counted separately.
    pub more_calls: u64,
    /// The objects that colocate missed, by time.
    pub missed: BTreeSet<MissedObject>,
    /// Whether colocate missed later objects, too, which are not kept.
    pub more_missed: bool,
    /// The objects about which colocate's and Stork's webhook were both asked, or should have been, by the result.
    pub comparison: BTreeMap<Comparison, Compared>,
}

/// The calls of a webhook for objects that were admitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookCalls {
    /// The requests for which it was called.
    pub requests: u64,
    /// The requests that it changed.
    pub changed: u64,
    /// The requests that were admitted although it did not answer.
    pub failed_open: u64,
    /// The times of the first and the last of them.
    pub failures: Option<[String; 2]>,
}

/// A line that is not an event.
#[derive(Debug, thiserror::Error)]
pub enum AuditLineError {
    /// It is not JSON, or has another structure.
    #[error("{}", .0.to_string().replace(" at line 1 column ", " at column "))]
    Json(#[from] serde_json::Error),
    /// It is another object.
    #[error("it is not an event of audit.k8s.io/v1")]
    Other,
}

impl AuditLog {
    /// Creates a log of the objects in a namespace, or in all.
    pub fn new(namespace: Option<String>) -> Self {
        Self { namespace, ..Self::default() }
    }

    /// Adds a line. Requests that were rejected, dry runs, and stages other than the last are ignored.
    ///
    /// # Errors
    /// The line is not an event. It may be the rest of one, at the start or the end of a file that was cut.
    pub fn add(&mut self, line: &[u8]) -> Result<(), AuditLineError> {
        let event: Event<'_> = serde_json::from_slice(line)?;
        if *event.kind != *"Event" || !event.api_version.starts_with("audit.k8s.io/") {
            return Err(AuditLineError::Other);
        }
        self.events += 1;
        extend(&mut self.period, &event.stage_timestamp);
        if let Some(Annotations(annotations)) = &event.annotations
            && event.is_admitted()
            && self.namespace.as_deref().is_none_or(|namespace| event.namespace() == namespace)
        {
            let calls = calls(annotations);
            self.count(&event, &calls);
            self.compare(&event, annotations, &calls);
        }
        Ok(())
    }

    fn count(&mut self, event: &Event<'_>, calls: &BTreeMap<[String; 2], Calls>) {
        for (webhook, call) in calls {
            if self.webhooks.len() >= MAX_WEBHOOKS && !self.webhooks.contains_key(webhook) {
                self.more_calls += 1;
                continue;
            }
            let counts = self.webhooks.entry(webhook.clone()).or_default();
            counts.requests += 1;
            counts.changed += u64::from(call.changed);
            if !call.answered {
                counts.failed_open += 1;
                extend(&mut counts.failures, &event.stage_timestamp);
            }
        }
        // Two releases may be called for one object, or one under an earlier and a later name of its configuration.
        let own = || calls.iter().filter(|(webhook, _)| is_colocate(webhook)).map(|(_, call)| call);
        let is_missed = own().any(|call| !call.answered) && !own().any(|call| call.changed);
        if event.may_set_scheduler() && is_missed {
            // The last one that sets it decides.
            let setters = calls.iter().filter_map(|([_, webhook], call)| Some((call.set_at?, webhook)));
            let missed = event.missed(setters.max().map(|(_, webhook)| webhook.clone()));
            // The same file may be read twice, or a line may be in two rotated files. Those that are not kept cannot be counted
            // because the repeated ones among them are not known.
            self.missed.insert(missed);
            if self.missed.len() > MAX_MISSED {
                self.missed.pop_last();
                self.more_missed = true;
            }
        }
    }

    /// Returns true if Stork's webhook was called.
    pub fn has_stork(&self) -> bool {
        self.webhooks.keys().any(|[configuration, _]| configuration == STORK)
    }

    /// Returns true if colocate was called, or should have been.
    pub fn has_colocate(&self) -> bool {
        self.webhooks.keys().any(is_colocate)
    }

    /// The number of requests that were admitted although a webhook of colocate did not answer, including those that it need not
    /// answer.
    pub fn failed_open(&self) -> u64 {
        self.webhooks.iter().filter(|(webhook, _)| is_colocate(webhook)).map(|(_, calls)| calls.failed_open).sum()
    }

    /// The number of objects that colocate missed; the least one if [`more_missed`](Self::more_missed) is set.
    pub fn missed_total(&self) -> u64 {
        self.missed.len() as u64 + u64::from(self.more_missed)
    }
}

/// Extends a period by a time.
fn extend(period: &mut Option<[String; 2]>, text: &str) {
    let time = time(text);
    match period {
        None => *period = Some([time.to_string(), time.into_owned()]),
        Some([first, last]) => {
            if *time < **first {
                time.as_ref().clone_into(first);
            }
            if *time > **last {
                time.as_ref().clone_into(last);
            }
        }
    }
}

/// Returns a time in the form of API servers, so that the order of times is that of their texts. Programs that forward logs may
/// change the form.
fn time(text: &str) -> Cow<'_, str> {
    if text.len() == "2026-11-30T02:14:07.100000Z".len() && text.ends_with('Z') {
        return Cow::Borrowed(text);
    }
    text.parse::<Timestamp>().map_or_else(|_| Cow::Owned(kept(text)), |time| Cow::Owned(format!("{time:.6}")))
}

/// Copies a text of an event, and limits its length: a line can have 64 MiB.
fn kept(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}

#[cfg(test)]
mod tests;
