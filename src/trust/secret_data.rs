//! The form of a [`CaState`] in a Secret: readable keys, and nothing that is ours alone to read.
//!
//! | key | what it is |
//! |---|---|
//! | `ca.crt`, `ca.key` | the CA that leaves come from, and its private key |
//! | `next-ca.crt`, `next-ca.key` | the CA that they will come from |
//! | `old-ca.crt`, `old-ca.until` | the CA that they came from, and when it leaves the bundle (RFC 3339) |
//!
//! A Secret without data is empty and ours to fill. One that holds anything else than this is never written.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::rotation::{CaState, OldCa};
use crate::tls::{Authority, Certificate, NotACertificate, NotAnAuthority};

const CA_CERTIFICATE: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const NEXT_CERTIFICATE: &str = "next-ca.crt";
const NEXT_KEY: &str = "next-ca.key";
const OLD_CERTIFICATE: &str = "old-ca.crt";
const OLD_UNTIL: &str = "old-ca.until";

/// Every key that is ours.
const KEYS: [&str; 6] = [CA_CERTIFICATE, CA_KEY, NEXT_CERTIFICATE, NEXT_KEY, OLD_CERTIFICATE, OLD_UNTIL];

/// The keys of a Secret and their values, which are bytes.
pub type SecretData = BTreeMap<String, Vec<u8>>;

/// A Secret that holds no CA of ours. It is left as it is.
#[derive(Debug, thiserror::Error)]
#[error("Secret {secret}: {problem}; it is left as it is: mend it, or remove all of its data to have it filled anew")]
pub struct CorruptSecret {
    secret: String,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("it has no key `{missing}`, and has {}", list(.has))]
    Missing { missing: &'static str, has: Vec<String> },
    #[error("key `{key}`: {reason}")]
    Authority { key: &'static str, reason: NotAnAuthority },
    #[error("key `{key}`: {reason}")]
    Certificate { key: &'static str, reason: NotACertificate },
    #[error("key `{key}`: it is not a CA certificate: its basicConstraints do not say CA:TRUE")]
    NoAuthority { key: &'static str },
    #[error("key `{key}`: it is no time such as 2026-11-23T12:00:00Z")]
    Time { key: &'static str },
    #[error("keys `{0}` and `{1}` hold the same certificate")]
    Twice(&'static str, &'static str),
}

impl CaState {
    /// Reads what a Secret holds; `None` if that is nothing. `secret` is its namespace and name, for errors.
    ///
    /// # Errors
    /// [`CorruptSecret`], with the key that is wrong.
    pub fn from_data(data: &SecretData, secret: &str) -> Result<Option<Self>, CorruptSecret> {
        if data.is_empty() {
            return Ok(None);
        }
        let corrupt = |problem| CorruptSecret { secret: secret.to_owned(), problem };
        let read = || {
            let required = Authorities { data }.read(CA_CERTIFICATE, CA_KEY)?;
            let current = required.ok_or_else(|| missing(CA_CERTIFICATE, data))?;
            let next = Authorities { data }.read(NEXT_CERTIFICATE, NEXT_KEY)?;
            let old = old(data)?;
            let state = Self { current, next, old };
            let [current, others @ ..] = &state.bundle()[..] else { return Ok(state) };
            if others.contains(current) || matches!(others, [next, old] if next == old) {
                let key = if state.next.is_some() { NEXT_CERTIFICATE } else { OLD_CERTIFICATE };
                return Err(Problem::Twice(CA_CERTIFICATE, key));
            }
            Ok(state)
        };
        read().map(Some).map_err(corrupt)
    }

    /// Writes it into the data of a Secret. Keys that are not ours stay as they are.
    pub fn write_to(&self, data: &mut SecretData) {
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

struct Authorities<'d> {
    data: &'d SecretData,
}

impl Authorities<'_> {
    fn read(&self, certificate: &'static str, key: &'static str) -> Result<Option<Arc<Authority>>, Problem> {
        let Some((pem, secret)) = pair(self.data, certificate, key)? else { return Ok(None) };
        let authority = Authority::from_pem(pem, secret).map_err(|reason| {
            let of_key = matches!(reason, NotAnAuthority::Key(_) | NotAnAuthority::Mismatch);
            Problem::Authority { key: if of_key { key } else { certificate }, reason }
        })?;
        Ok(Some(Arc::new(authority)))
    }
}

fn old(data: &SecretData) -> Result<Option<OldCa>, Problem> {
    let Some((pem, until)) = pair(data, OLD_CERTIFICATE, OLD_UNTIL)? else { return Ok(None) };
    let key = OLD_CERTIFICATE;
    let certificate = Certificate::from_pem(pem).map_err(|reason| Problem::Certificate { key, reason })?;
    if !certificate.is_authority() {
        return Err(Problem::NoAuthority { key });
    }
    let until = std::str::from_utf8(until).ok().and_then(|text| text.trim().parse::<Timestamp>().ok());
    Ok(Some(OldCa { certificate, until: until.ok_or(Problem::Time { key: OLD_UNTIL })? }))
}

/// The values of two keys that go together.
type Pair<'d> = (&'d [u8], &'d [u8]);

/// Both, or neither.
fn pair<'d>(data: &'d SecretData, one: &'static str, other: &'static str) -> Result<Option<Pair<'d>>, Problem> {
    match (data.get(one), data.get(other)) {
        (Some(one), Some(other)) => Ok(Some((one, other))),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(missing(one, data)),
        (Some(_), None) => Err(missing(other, data)),
    }
}

fn missing(missing: &'static str, data: &SecretData) -> Problem {
    Problem::Missing { missing, has: data.keys().cloned().collect() }
}

fn list(keys: &[String]) -> impl fmt::Display {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::tls::Validity;
    use crate::trust::{Lifetimes, RotationStep};

    fn begin() -> Timestamp {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    /// At each point of a rotation.
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
    fn what_is_written_is_read_again() {
        let keys = [vec!["ca.crt", "ca.key"], vec!["next-ca.crt", "next-ca.key"], vec!["old-ca.crt", "old-ca.until"]];
        for (place, state) in states().iter().enumerate() {
            let data = data(state);
            let mut expected = keys[0].clone();
            expected.extend(if place > 0 { keys[place].clone() } else { Vec::new() });
            assert_eq!(data.keys().collect::<Vec<_>>(), expected);
            let read = CaState::from_data(&data, "x").unwrap().unwrap();
            assert_eq!(read.bundle(), state.bundle());
            assert_eq!(read.current.key_pem(), state.current.key_pem());
            assert_eq!(read.next.map(|next| next.key_pem()), state.next.as_ref().map(|next| next.key_pem()));
            assert_eq!(read.old, state.old);
        }
    }

    #[test]
    fn a_secret_without_data_is_empty_and_keys_of_others_stay() {
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
    fn a_corrupt_secret_is_refused_by_its_name_and_key() {
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
            (with(&first, "ca.crt", None), "it has no key `ca.crt`, and has `ca.key`"),
            (with(&first, "ca.key", None), "it has no key `ca.key`, and has `ca.crt`"),
            (with(&first, "ca.crt", Some("")), "key `ca.crt`: it is not a certificate in PEM form"),
            (with(&first, "ca.crt", Some(&leaf)), "key `ca.crt`: it is not a CA certificate"),
            (with(&first, "ca.key", Some("hello")), "key `ca.key`: it is not a usable private key in PEM form"),
            (with(&first, "ca.key", Some(&switched.current.key_pem())), "key `ca.key`: it is not the key of"),
            (with(&published, "next-ca.key", None), "it has no key `next-ca.key`"),
            (
                with(&published, "next-ca.key", Some(&first.current.key_pem())),
                "key `next-ca.key`: it is not the key of",
            ),
            (with(&published, "next-ca.crt", Some("x")), "key `next-ca.crt`: it is not a certificate in PEM form"),
            (with(&switched, "old-ca.crt", Some("x")), "key `old-ca.crt`: it is not a certificate in PEM form"),
            (with(&switched, "old-ca.crt", Some(&leaf)), "key `old-ca.crt`: it is not a CA certificate"),
            (with(&switched, "old-ca.until", Some("soon")), "key `old-ca.until`: it is no time"),
            (with(&switched, "old-ca.until", None), "it has no key `old-ca.until`"),
            (
                with(&switched, "old-ca.crt", Some(&switched.current.certificate_pem())),
                "keys `ca.crt` and `old-ca.crt` hold the same certificate",
            ),
            ([("tls.crt".to_owned(), same.into_bytes())].into(), "it has no key `ca.crt`, and has `tls.crt`"),
        ] {
            let error = error(&data);
            assert!(error.starts_with("Secret storage/colocate-ca: "), "{error}");
            assert!(error.contains(part) && error.contains("it is left as it is"), "{part}: {error}");
        }
    }
}
