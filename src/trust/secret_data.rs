//! The data of the Secret: a [`CaState`] in readable keys, in formats that other tools read too.
//!
//! | key | value |
//! |---|---|
//! | `ca.crt`, `ca.key` | the CA that signs leaves, and its private key |
//! | `next-ca.crt`, `next-ca.key` | the CA that signs leaves after the next switch |
//! | `old-ca.crt`, `old-ca.until` | the CA that signed leaves before the last switch, and when it leaves the bundle (RFC 3339) |
//!
//! A Secret without data is filled. A Secret whose data is not a valid state is never written.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::rotation::{CaState, OldCa};
use crate::tls::{Authority, Certificate, NotAnAuthority};

const CA_CERTIFICATE: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const NEXT_CERTIFICATE: &str = "next-ca.crt";
const NEXT_KEY: &str = "next-ca.key";
const OLD_CERTIFICATE: &str = "old-ca.crt";
const OLD_UNTIL: &str = "old-ca.until";

/// The keys that colocate writes.
const KEYS: [&str; 6] = [CA_CERTIFICATE, CA_KEY, NEXT_CERTIFICATE, NEXT_KEY, OLD_CERTIFICATE, OLD_UNTIL];

/// The keys of a Secret and their values.
pub(super) type SecretData = BTreeMap<String, Vec<u8>>;

/// A Secret whose data is not a valid state.
#[derive(Debug, thiserror::Error)]
#[error(
    "Secret {secret}: {problem}; colocate does not change it: fix it, or, for a new CA, scale colocate to zero, remove the data, and scale up again"
)]
pub(super) struct CorruptSecret {
    secret: String,
    problem: SecretProblem,
}

#[derive(Debug, thiserror::Error)]
enum SecretProblem {
    #[error("key `{missing}` is missing; the Secret has only {}", list(.found))]
    Missing { missing: &'static str, found: Vec<String> },
    #[error("key `{key}`: {reason}")]
    Authority { key: &'static str, reason: NotAnAuthority },
    #[error("keys `{0}` and `{1}` hold the same certificate")]
    Duplicate(&'static str, &'static str),
}

impl CaState {
    /// Reads the data of a Secret; `None` if it is empty. `secret` is the namespace and name, for errors.
    pub(super) fn from_data(data: &SecretData, secret: &str) -> Result<Option<Self>, CorruptSecret> {
        if data.is_empty() {
            return Ok(None);
        }
        let state = Self::decode(data);
        state.map(Some).map_err(|problem| CorruptSecret { secret: secret.to_owned(), problem })
    }

    fn decode(data: &SecretData) -> Result<Self, SecretProblem> {
        let current = authority(data, CA_CERTIFICATE, CA_KEY)?.ok_or_else(|| missing(CA_CERTIFICATE, data))?;
        let next = authority(data, NEXT_CERTIFICATE, NEXT_KEY)?;
        let old = old(data)?;
        let state = Self { current, next, old };
        let bundle = state.bundle();
        let duplicate = (1..bundle.len()).any(|index| bundle[..index].contains(&bundle[index]));
        if duplicate {
            let key = if state.next.is_some() { NEXT_CERTIFICATE } else { OLD_CERTIFICATE };
            return Err(SecretProblem::Duplicate(CA_CERTIFICATE, key));
        }
        Ok(state)
    }

    /// Writes the state into the data of a Secret. Keys that colocate does not know stay as they are.
    pub(super) fn write_to(&self, data: &mut SecretData) {
        data.retain(|key, _| !KEYS.contains(&key.as_str()));
        let mut put = |key: &str, value: String| data.insert(key.to_owned(), value.into_bytes());
        put(CA_CERTIFICATE, self.current.certificate_pem());
        put(CA_KEY, self.current.key_pem());
        if let Some(next) = &self.next {
            put(NEXT_CERTIFICATE, next.certificate_pem());
            put(NEXT_KEY, next.key_pem());
        }
        if let Some(old) = &self.old {
            put(OLD_CERTIFICATE, old.certificate.pem());
            put(OLD_UNTIL, old.until.to_string());
        }
    }
}

fn authority(
    data: &SecretData,
    certificate: &'static str,
    key: &'static str,
) -> Result<Option<Arc<Authority>>, SecretProblem> {
    let Some([pem, secret]) = pair(data, certificate, key)? else { return Ok(None) };
    let authority = Authority::from_pem(pem, secret).map_err(|reason| {
        let is_key = matches!(reason, NotAnAuthority::Key(_) | NotAnAuthority::Mismatch);
        SecretProblem::Authority { key: if is_key { key } else { certificate }, reason }
    })?;
    Ok(Some(Arc::new(authority)))
}

fn old(data: &SecretData) -> Result<Option<OldCa>, SecretProblem> {
    let Some([pem, until]) = pair(data, OLD_CERTIFICATE, OLD_UNTIL)? else { return Ok(None) };
    let key = OLD_CERTIFICATE;
    let certificate = Certificate::ca_from_pem(pem).map_err(|reason| SecretProblem::Authority { key, reason })?;
    // A time that cannot be read, such as one after the year 9999, must not stop the rotation. It counts as the last one,
    // which is shortened at once to the end of the leaves that the old CA can have signed.
    let until = std::str::from_utf8(until).ok().and_then(|text| text.trim().parse().ok());
    Ok(Some(OldCa { certificate, until: until.unwrap_or(Timestamp::MAX) }))
}

/// Returns the values of two keys that belong together; `None` if the Secret has neither.
fn pair<'d>(
    data: &'d SecretData,
    one: &'static str,
    other: &'static str,
) -> Result<Option<[&'d [u8]; 2]>, SecretProblem> {
    match (data.get(one), data.get(other)) {
        (Some(one), Some(other)) => Ok(Some([one, other])),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(missing(one, data)),
        (Some(_), None) => Err(missing(other, data)),
    }
}

fn missing(missing: &'static str, data: &SecretData) -> SecretProblem {
    SecretProblem::Missing { missing, found: data.keys().cloned().collect() }
}

fn list(keys: &[String]) -> impl fmt::Display {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use tokio::time::Instant;

    use super::*;
    use crate::process::clock::ClockReading;
    use crate::tls::Validity;
    use crate::trust::propagation::Propagation;
    use crate::trust::rotation::{Lifetimes, RotationStep};

    fn begin() -> Timestamp {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    /// Returns the states after each step of a rotation.
    fn states() -> [CaState; 3] {
        let lifetimes = Lifetimes::default();
        let first = CaState::first(begin(), &lifetimes).unwrap();
        let published = first.after(RotationStep::Publish, begin(), &lifetimes).unwrap();
        let switched = published.after(RotationStep::Switch, begin(), &lifetimes).unwrap();
        [first, published, switched]
    }

    fn data(state: &CaState) -> SecretData {
        let mut data = SecretData::new();
        state.write_to(&mut data);
        data
    }

    fn error(data: &SecretData) -> String {
        CaState::from_data(data, "storage/colocate-ca").unwrap_err().to_string()
    }

    #[test]
    fn written_states_are_read_back() {
        let keys = [vec!["ca.crt", "ca.key"], vec!["next-ca.crt", "next-ca.key"], vec!["old-ca.crt", "old-ca.until"]];
        for (index, state) in states().iter().enumerate() {
            let data = data(state);
            let mut expected = keys[0].clone();
            expected.extend(if index > 0 { keys[index].clone() } else { Vec::new() });
            assert_eq!(data.keys().collect::<Vec<_>>(), expected);
            let read = CaState::from_data(&data, "x").unwrap().unwrap();
            assert_eq!(read.bundle(), state.bundle());
            assert_eq!(read.current.key_pem(), state.current.key_pem());
            assert_eq!(read.next.map(|next| next.key_pem()), state.next.as_ref().map(|next| next.key_pem()));
            assert_eq!(read.old, state.old);
        }
    }

    #[test]
    fn an_empty_secret_has_no_state_and_unknown_keys_are_kept() {
        assert!(CaState::from_data(&SecretData::new(), "x").unwrap().is_none());
        let [first, published, switched] = states();
        let mut data = data(&published);
        data.insert("note".to_owned(), b"hands off".to_vec());
        switched.write_to(&mut data);
        assert_eq!(data.keys().collect::<Vec<_>>(), ["ca.crt", "ca.key", "note", "old-ca.crt", "old-ca.until"]);
        assert!(CaState::from_data(&data, "x").unwrap().is_some());
        first.write_to(&mut data);
        assert_eq!(data.keys().collect::<Vec<_>>(), ["ca.crt", "ca.key", "note"]);
    }

    #[test]
    fn an_until_that_is_not_a_time_counts_as_the_last_one() {
        let [.., switched] = states();
        let propagation = Propagation::new([]);
        let clocks = ClockReading { local: begin(), server: Some(begin()), at: Instant::now() };
        for (text, read) in [
            ("2026-11-30T13:00:01Z", "2026-11-30T13:00:01Z"),
            ("2026-11-30T14:00:01+01:00\n", "2026-11-30T13:00:01Z"),
            ("9999-12-31T23:59:59Z", "9999-12-30T22:00:00.999999999Z"),
            ("9999-12-31T23:59:59-12:00", "9999-12-30T22:00:00.999999999Z"),
            ("+010000-01-01T00:00:00Z", "9999-12-30T22:00:00.999999999Z"),
            ("10000-01-01T00:00:00Z", "9999-12-30T22:00:00.999999999Z"),
            ("soon", "9999-12-30T22:00:00.999999999Z"),
            ("", "9999-12-30T22:00:00.999999999Z"),
        ] {
            let mut data = data(&switched);
            data.insert("old-ca.until".to_owned(), text.as_bytes().to_vec());
            let state = CaState::from_data(&data, "x").unwrap().unwrap();
            let until = state.old.as_ref().unwrap().until;
            assert_eq!(until.to_string(), read, "{text}");
            let step = (until == Timestamp::MAX).then_some(RotationStep::Shorten);
            assert_eq!(state.step(&clocks, &propagation, &Lifetimes::default()), step, "{text}");
            let shortened = state.after(RotationStep::Shorten, begin(), &Lifetimes::default()).unwrap();
            assert_eq!(shortened.old, switched.old, "{text}");
        }
    }

    #[test]
    fn errors_name_the_secret_and_the_key() {
        let [first, published, switched] = states();
        let validity = Validity::new(begin(), SignedDuration::from_hours(1)).unwrap();
        let leaf = first.current.issue(&["a.example".parse().unwrap()], validity).unwrap();
        let leaf = leaf.certificate_pem();
        let with = |state: &CaState, key: &str, value: Option<&str>| {
            let mut data = data(state);
            match value {
                Some(value) => data.insert(key.to_owned(), value.as_bytes().to_vec()),
                None => data.remove(key),
            };
            data
        };
        let same = first.current.certificate_pem();
        for (data, part) in [
            (with(&first, "ca.crt", None), "key `ca.crt` is missing; the Secret has only `ca.key`"),
            (with(&first, "ca.key", None), "key `ca.key` is missing; the Secret has only `ca.crt`"),
            (with(&first, "ca.crt", Some("")), "key `ca.crt`: it is not a certificate in PEM form"),
            (with(&first, "ca.crt", Some(&leaf)), "key `ca.crt`: it is not a CA certificate"),
            (with(&first, "ca.key", Some("hello")), "key `ca.key`: it is not a usable private key in PEM form"),
            (
                with(&first, "ca.key", Some(&switched.current.key_pem())),
                "key `ca.key`: it is not the key of the certificate",
            ),
            (with(&published, "next-ca.key", None), "key `next-ca.key` is missing"),
            (
                with(&published, "next-ca.key", Some(&first.current.key_pem())),
                "key `next-ca.key`: it is not the key of the certificate",
            ),
            (with(&published, "next-ca.crt", Some("x")), "key `next-ca.crt`: it is not a certificate in PEM form"),
            (with(&switched, "old-ca.crt", Some("x")), "key `old-ca.crt`: it is not a certificate in PEM form"),
            (with(&switched, "old-ca.crt", Some(&leaf)), "key `old-ca.crt`: it is not a CA certificate"),
            (with(&switched, "old-ca.until", None), "key `old-ca.until` is missing"),
            (
                with(&switched, "old-ca.crt", Some(&switched.current.certificate_pem())),
                "keys `ca.crt` and `old-ca.crt` hold the same certificate",
            ),
            (
                [("tls.crt".to_owned(), same.into_bytes())].into(),
                "key `ca.crt` is missing; the Secret has only `tls.crt`",
            ),
        ] {
            let error = error(&data);
            assert!(error.starts_with("Secret storage/colocate-ca: "), "{error}");
            assert!(error.contains(part) && error.contains("colocate does not change it"), "{part}: {error}");
        }
    }
}
