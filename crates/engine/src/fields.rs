//! The fields of an object of any kind.

use std::borrow::Cow;
use std::hash::{BuildHasher as _, RandomState};

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::value::RawValue;

use super::decode::{Text, each_field};

/// The fields of an object, borrowed and still encoded, because most values are never used. Null has no fields.
///
/// At most [`MAX`](Self::MAX) are kept.
#[derive(Clone, Debug, Default)]
pub struct Fields<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The most fields that are kept. The API server accepts 256 KiB of annotations, so an object can only exceed this
    /// limit with keys that are too short to be Stork's.
    pub const MAX: usize = 20_000;

    /// The value as a string; `None` if it is absent or not a string.
    pub fn get(&self, key: &str) -> Option<Cow<'a, str>> {
        self.raw(key).and_then(text)
    }

    /// Each key with its value as it was sent, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(key, value)| (&**key, *value))
    }

    /// The value as it was sent.
    pub fn raw(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(name, _)| **name == *key).map(|(_, value)| *value)
    }

    /// Returns true if there are no fields.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns a key that occurs twice. The time grows with the square of their number.
    pub(super) fn duplicate(&self) -> Option<&str> {
        let is_earlier = |index: usize, key: &Text<'a>| self.0[..index].iter().any(|(earlier, _)| earlier == key);
        let is_duplicate = |(index, key): &(usize, &Text<'a>)| !key.is_empty() && is_earlier(*index, key);
        self.0.iter().map(|(key, _)| key).enumerate().find(is_duplicate).map(|(_, key)| &**key)
    }

    /// Keeps only the first `count` fields.
    pub fn truncate(&mut self, count: usize) {
        self.0.truncate(count);
        self.0.shrink_to_fit();
    }

    pub(super) fn push(&mut self, key: Text<'a>, value: &'a RawValue) {
        self.0.push((key, value));
    }
}

/// Detects keys that occur twice in an object. JSON parsers differ about which one counts. The empty key is exempt: no one
/// reads it, and the API server rejects it in maps of names.
///
/// Hashes are compared, because a million keys would take several times their text.
#[derive(Debug, Default)]
pub(super) struct SeenKeys {
    state: RandomState,
    hashes: Vec<u64>,
}

impl SeenKeys {
    pub(super) fn with_capacity(count: usize) -> Self {
        Self { state: RandomState::new(), hashes: Vec::with_capacity(count) }
    }

    pub(super) fn add(&mut self, key: &str) {
        if !key.is_empty() {
            self.hashes.push(self.state.hash_one(key));
        }
    }

    pub(super) fn have_duplicates(mut self) -> bool {
        self.hashes.sort_unstable();
        self.hashes.windows(2).any(|pair| pair[0] == pair[1])
    }
}

/// A value as a string, if it is one.
pub(super) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(value.get()).ok().map(Text::into_cow)
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (mut fields, mut seen) = (Fields::default(), SeenKeys::default());
        each_field(deserializer, |key, value| {
            seen.add(&key);
            if fields.len() < Self::MAX {
                fields.push(key, value);
            }
        })?;
        if seen.have_duplicates() {
            return Err(match fields.duplicate() {
                Some(key) => D::Error::custom(format_args!("duplicate field `{key}`")),
                None => D::Error::custom("duplicate field"),
            });
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strings_are_text() {
        let fields: Fields<'_> = serde_json::from_str(r#"{"a":"\u0061","b":{"c":1}}"#).unwrap();
        assert_eq!((fields.get("a").as_deref(), fields.get("b"), fields.get("c")), (Some("a"), None, None));
        assert_eq!(fields.raw("b").map(RawValue::get), Some(r#"{"c":1}"#));
        assert!(fields.iter().map(|(key, _)| key).eq(["a", "b"]));
        assert!(serde_json::from_str::<Fields<'_>>("null").unwrap().iter().next().is_none());
        assert!(serde_json::from_str::<Fields<'_>>("[]").is_err());
    }

    #[test]
    fn fields_past_the_limit_are_dropped() {
        let text = format!("{{{}\"last\":1}}", many());
        let fields: Fields<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!((fields.len(), fields.raw("last").is_some()), (Fields::MAX, false));
    }

    /// Returns the maximum number of fields.
    fn many() -> String {
        (0..Fields::MAX).map(|n| format!("\"{n}\":1,")).collect::<Vec<_>>().concat()
    }

    #[test]
    fn a_duplicate_key_is_rejected_at_any_index() {
        let error = |text: &str| serde_json::from_str::<Fields<'_>>(text).unwrap_err().to_string();
        assert!(error(r#"{"a":"","b":"","\u0061":""}"#).starts_with("duplicate field `a`"));
        assert!(error(&format!(r#"{{{}"last":1,"0":2}}"#, many())).starts_with("duplicate field"));
        assert!(error(&format!(r#"{{{}"last":1,"last":2}}"#, many())).starts_with("duplicate field"));
        assert_eq!(
            serde_json::from_str::<Fields<'_>>(r#"{"":1,"":2}"#).unwrap().len(),
            2,
            "no one reads the empty key"
        );
    }
}
