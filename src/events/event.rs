//! The JSON of an Event, in `events.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::occurrence::{Controller, Occurrence};
use crate::engine::dns::MAX_SUBDOMAIN;

/// The longest `note` that an API server accepts, in bytes.
const MAX_NOTE: usize = 1024;

/// The longest `reportingInstance` that an API server accepts, in bytes.
const MAX_INSTANCE: usize = 128;

/// The longest name of an object that leaves room for the suffix of an Event's name.
const MAX_PREFIX: usize = MAX_SUBDOMAIN - ".0123456789abcdef".len();

/// The occurrences that one Event stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    /// The number of occurrences, from 1 on.
    pub(super) total: u32,
    /// The time of the first one.
    pub(super) first: Timestamp,
    /// The time of the last one.
    pub(super) last: Timestamp,
}

/// Makes the name of an Event about that object. The suffix makes it unique.
pub(super) fn name(about: &str, suffix: u64) -> String {
    // Each part of a name ends with a letter or a digit.
    let prefix = truncated(about, MAX_PREFIX).trim_end_matches(['.', '-']);
    format!("{prefix}.{suffix:016x}")
}

/// Makes an Event of this name, which `instance` reports.
pub(super) fn event(name: &str, occurrence: &Occurrence, tally: Tally, instance: &str) -> Value {
    let Occurrence { controller, topic, text } = occurrence;
    let Controller { namespace, api_version, kind, name: about, uid } = controller;
    // The controller exists, so that the command can explain it.
    let link = format!("; see `colocate why` and {}", topic.section());
    let mut event = json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "eventTime": micro_time(tally.first),
        "type": "Warning",
        "reason": camel_case(topic.as_str()),
        "action": "Admit",
        "note": format!("{}{link}", truncated(text, MAX_NOTE - link.len())),
        "regarding": {"apiVersion": api_version, "kind": kind, "namespace": namespace, "name": about, "uid": uid},
        "reportingController": "colocate",
        "reportingInstance": truncated(instance, MAX_INSTANCE),
    });
    // The API server accepts no series of one.
    if tally.total > 1 {
        event["series"] = series(tally);
    }
    event
}

/// Makes the merge patch that updates the series of an Event, which has at least two occurrences.
pub(super) fn patch(tally: Tally) -> Value {
    json!({"series": series(tally)})
}

fn series(tally: Tally) -> Value {
    json!({"count": tally.total, "lastObservedTime": micro_time(tally.last)})
}

/// Formats a time as the API server parses it, which requires six digits after the point.
fn micro_time(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// Makes `ClaimMissing` of `claim-missing`.
fn camel_case(word: &str) -> String {
    let parts = word.split('-').map(|part| {
        let (first, rest) = part.split_at_checked(1).unwrap_or((part, ""));
        [first.to_ascii_uppercase().as_str(), rest].concat()
    });
    parts.collect()
}

/// Truncates a text to this number of bytes at most.
fn truncated(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Reason, dns};

    fn time(second: u8) -> Timestamp {
        format!("2026-11-30T12:00:{second:02}.5Z").parse().unwrap()
    }

    fn occurrence(text: &str) -> Occurrence {
        let [namespace, api_version, kind, name, uid] =
            ["shop", "apps/v1", "StatefulSet", "mysql", "5f0a"].map(str::to_owned);
        let controller = Controller { namespace, api_version, kind, name, uid };
        Occurrence { controller, topic: Reason::ClaimMissing.into(), text: text.to_owned() }
    }

    #[test]
    fn an_event_has_all_fields_that_the_api_server_requires() {
        let tally = Tally { total: 1, first: time(1), last: time(1) };
        let mut expected = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": "mysql.1", "namespace": "shop"},
            "eventTime": "2026-11-30T12:00:01.500000Z",
            "type": "Warning",
            "reason": "ClaimMissing",
            "action": "Admit",
            "note": "claim `data` does not exist; see `colocate why` and docs/reasons.md#reason-claim-missing",
            "regarding": {
                "apiVersion": "apps/v1", "kind": "StatefulSet", "namespace": "shop", "name": "mysql", "uid": "5f0a",
            },
            "reportingController": "colocate",
            "reportingInstance": "colocate-7d4",
        });
        let occurrence = occurrence("claim `data` does not exist");
        assert_eq!(event("mysql.1", &occurrence, tally, "colocate-7d4"), expected);
        let tally = Tally { total: 3, last: time(9), ..tally };
        expected["series"] = json!({"count": 3, "lastObservedTime": "2026-11-30T12:00:09.500000Z"});
        assert_eq!(event("mysql.1", &occurrence, tally, "colocate-7d4"), expected);
        assert_eq!(patch(tally), json!({"series": expected["series"]}));
    }

    #[test]
    fn long_fields_are_truncated_to_the_api_servers_limits() {
        let tally = Tally { total: 1, first: time(1), last: time(1) };
        let event = event("a", &occurrence(&"ä€".repeat(400)), tally, &"p".repeat(253));
        let note = event["note"].as_str().unwrap();
        assert_eq!(note.len(), 1023, "a character is not cut");
        assert!(note.ends_with("ä; see `colocate why` and docs/reasons.md#reason-claim-missing"), "{note}");
        assert_eq!(event["reportingInstance"].as_str().unwrap().len(), 128);
    }

    #[test]
    fn names_are_valid_and_end_with_their_suffix() {
        assert_eq!(name("mysql", 255), "mysql.00000000000000ff");
        // The 236 characters that fit end within the label, at its start, or after its hyphen.
        for length in 230..=253 {
            for about in ["a".repeat(length), format!("{}.b-{}", "a".repeat(length - 10), "c".repeat(7))] {
                let name = name(&about, u64::MAX);
                assert!(dns::is_subdomain(&name) && name.ends_with(".ffffffffffffffff"), "{about}: {name}");
            }
        }
    }

    #[test]
    fn reasons_are_in_camel_case() {
        for (word, reason) in [("claim-missing", "ClaimMissing"), ("off", "Off"), ("opt-out-invalid", "OptOutInvalid")]
        {
            assert_eq!(camel_case(word), reason);
        }
    }
}
