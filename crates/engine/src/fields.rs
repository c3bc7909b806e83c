//! The fields of an object, whatever they are.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::json::Text;

/// The fields of an object, borrowed and still encoded: most values are never looked at. Null has none.
///
/// There are [`MOST`](Self::MOST) of them at the most; others are left out.
#[derive(Clone, Debug, Default)]
pub struct Fields<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The API server takes 256 KiB of annotations, which are fewer, unless their keys are too short to be one of Stork's;
    /// whoever sends more to this port, sends them to keep it busy.
    pub const MOST: usize = 20_000;

    /// The value as a string; `None` where there is none, or it is something else.
    pub fn get(&self, key: &str) -> Option<Cow<'a, str>> {
        self.raw(key).and_then(text)
    }

    /// Each key with its value as it was sent, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(key, value)| (&**key, *value))
    }

    /// The value as it was sent; of two with one key, the first.
    pub fn raw(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(name, _)| **name == *key).map(|(_, value)| *value)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Leaves out all but the first ones.
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
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object or null")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Fields::default())
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Fields::default();
                while let Some((key, value)) = map.next_entry()? {
                    if fields.len() < Fields::MOST {
                        fields.push(key, value);
                    }
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_any(FieldsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_fields_of_one_name_the_first_counts_and_only_strings_are_text() {
        let fields: Fields<'_> = serde_json::from_str(r#"{"a":"\u0061","b":{"c":1},"a":"x"}"#).unwrap();
        assert_eq!((fields.get("a").as_deref(), fields.get("b"), fields.get("c")), (Some("a"), None, None));
        assert_eq!(fields.raw("b").map(RawValue::get), Some(r#"{"c":1}"#));
        assert!(fields.iter().map(|(key, _)| key).eq(["a", "b", "a"]));
        assert!(serde_json::from_str::<Fields<'_>>("null").unwrap().iter().next().is_none());
        assert!(serde_json::from_str::<Fields<'_>>("[]").is_err());
    }

    #[test]
    fn very_many_are_left_out() {
        let text = format!("{{{}\"last\":1}}", r#""a":1,"#.repeat(Fields::MOST));
        let fields: Fields<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!((fields.len(), fields.raw("last").is_some()), (Fields::MOST, false));
    }
}
