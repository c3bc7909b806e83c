//! The law of annotations: how they are parsed, and which pods they opt out, for any content.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use colocate_engine::{
    Annotations, DISABLE_ADMISSION_CONTROLLER, DISABLE_HYPERCONVERGENCE, Decision, Evidence, Examination, Owner,
    Policy, Presence, Reason, Review, Topic, examine, parse_bool,
};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The annotation of a mirror pod, which stands for a static pod.
const MIRROR_POD: &str = "kubernetes.io/config.mirror";

/// Asserts that annotations are parsed as by an independent parser. Text that is not JSON is tried as the value of an annotation.
pub fn hold(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    assert_eq!(parse_bool(text), go_bool(text), "{text:?}");
    let Ok(raw) = serde_json::from_str::<&RawValue>(text) else { return };
    let read = serde_json::from_str::<Annotations<'_>>(text);
    let Ok(Entries(entries)) = serde_json::from_str(text) else {
        assert!(
            read.is_err() && decide(raw, |_| ()).is_none(),
            "annotations that are not an object, or that have a duplicate key, were accepted"
        );
        return;
    };
    let annotations = read.unwrap_or_else(|error| panic!("{error}: {text}"));
    for (key, value) in &entries {
        assert!(annotations.contains(key));
        assert_eq!(annotations.raw(key).map(RawValue::get), Some(value.get()));
        assert_eq!(annotations.get(key).as_deref(), string(value).as_deref());
    }
    assert!(!annotations.contains("missing key") || entries.contains_key("missing key"));
    decide(raw, |decision| opt_out(&entries, decision))
        .unwrap_or_else(|| panic!("a review with these annotations was rejected: {text}"));
}

/// Asserts that the decision about a pod with a claim of the driver follows from its annotations.
fn opt_out(entries: &BTreeMap<String, &RawValue>, decision: &Decision<'_>) {
    let keys = [DISABLE_HYPERCONVERGENCE, DISABLE_ADMISSION_CONTROLLER];
    let values =
        || keys.iter().filter_map(|key| entries.get(*key)).map(|value| string(value).and_then(|text| go_bool(&text)));
    let reason = if entries.contains_key(MIRROR_POD) {
        Reason::MirrorPod
    } else if values().any(|value| value == Some(true)) {
        Reason::OptedOut
    } else {
        Reason::Injected
    };
    assert_eq!(decision.reason, reason, "{entries:?}");
    assert_eq!(decision.patch.is_some(), reason == Reason::Injected);
    let warnings = decision.warnings.iter().filter(|warning| warning.topic() == Some(Topic::OptOutInvalid)).count();
    assert_eq!(warnings, usize::from(values().any(|value| value.is_none())), "{:?}", decision.warnings);
}

/// Makes the decision for a pod with these annotations and a claim of the driver. Returns `None` if the review is rejected.
fn decide<T>(annotations: &RawValue, then: impl FnOnce(&Decision<'_>) -> T) -> Option<T> {
    let body = format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"1",
        "kind":{{"group":"","version":"v1","kind":"Pod"}},"operation":"CREATE","object":{{"metadata":{{
        "annotations":{annotations}}},"spec":{{"volumes":[{{"persistentVolumeClaim":{{"claimName":"a"}}}}]}}}}}}}}"#
    );
    let policy = Policy::default();
    let review = Review::parse(body.as_bytes(), &policy.workloads).ok()?;
    let owner = Owner::Provisioner {
        class: None,
        provisioner: "pxd.portworx.com".into(),
        evidence: Evidence::Class.into(),
        unread_volume: None,
    };
    let decision = match examine(&policy, &review.request) {
        Examination::Decided(decision) => decision,
        Examination::Resolve(pending) => {
            let owners = pending.look_up(|_| owner.clone());
            pending.decide(owners, |_| Presence::Unknown)
        }
    };
    Some(then(&decision))
}

/// Go's `strconv.ParseBool`, implemented independently of colocate: a digit, a letter, or a word in lower case, in upper case or
/// capitalized.
fn go_bool(text: &str) -> Option<bool> {
    [(true, "1", "true"), (false, "0", "false")].into_iter().find_map(|(value, digit, word)| {
        let (first, rest) = word.split_at(1);
        let capital = first.to_uppercase();
        let forms = [digit, first, &*capital, word, &*word.to_uppercase(), &*(capital.clone() + rest)];
        forms.contains(&text).then_some(value)
    })
}

fn string(value: &RawValue) -> Option<String> {
    match serde_json::from_str(value.get()) {
        Ok(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// The entries of an object without duplicate keys, except the empty one; empty for `null`.
struct Entries<'a>(BTreeMap<String, &'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object or null")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Entries(BTreeMap::new()))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut entries = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, _>()? {
                    match entries.entry(key) {
                        Entry::Occupied(entry) if !entry.key().is_empty() => {
                            return Err(M::Error::custom("duplicate key"));
                        }
                        entry => {
                            entry.or_insert(value);
                        }
                    }
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_any(EntriesVisitor)
    }
}
