//! The fields of an object of any kind.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::Deserializer;
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

    /// The value as it was sent. If a key occurs twice, the first one wins.
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

    /// Returns true if a key other than the empty one occurs twice. The time grows with the square of their number.
    pub(super) fn have_duplicates(&self) -> bool {
        let is_earlier = |index: usize, key: &Text<'a>| self.0[..index].iter().any(|(earlier, _)| earlier == key);
        self.0.iter().enumerate().any(|(index, (key, _))| !key.is_empty() && is_earlier(index, key))
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

/// A value as a string, if it is one.
pub(super) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(value.get()).ok().map(Text::into_cow)
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Fields::default();
        each_field(deserializer, |key, value| {
            if fields.len() < Self::MAX {
                fields.push(key, value);
            }
        })?;
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_duplicate_wins_and_only_strings_are_text() {
        let fields: Fields<'_> = serde_json::from_str(r#"{"a":"\u0061","b":{"c":1},"a":"x"}"#).unwrap();
        assert_eq!((fields.get("a").as_deref(), fields.get("b"), fields.get("c")), (Some("a"), None, None));
        assert_eq!(fields.raw("b").map(RawValue::get), Some(r#"{"c":1}"#));
        assert!(fields.iter().map(|(key, _)| key).eq(["a", "b", "a"]));
        assert!(serde_json::from_str::<Fields<'_>>("null").unwrap().iter().next().is_none());
        assert!(serde_json::from_str::<Fields<'_>>("[]").is_err());
    }

    #[test]
    fn fields_past_the_limit_are_dropped() {
        let text = format!("{{{}\"last\":1}}", r#""a":1,"#.repeat(Fields::MAX));
        let fields: Fields<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!((fields.len(), fields.raw("last").is_some()), (Fields::MAX, false));
    }
}
