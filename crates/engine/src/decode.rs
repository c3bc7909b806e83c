//! JSON decoding without copies and without a tree.
//!
//! An `AdmissionReview` can be 17 MB, of which a decision needs a dozen strings. These strings are borrowed from the
//! request's own bytes; the rest is skipped at the speed of `serde::de::IgnoredAny`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A string that borrows from the request unless it contains an escape.
///
/// `Option<Cow<str>>` with `#[serde(borrow)]` always allocates (the attribute does not reach inside the option); a
/// newtype does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Text<'a> {
    /// The string itself, with the lifetime of the request.
    pub fn into_cow(self) -> Cow<'a, str> {
        self.0
    }

    /// Makes an owned copy.
    pub(crate) fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }
}

/// The longest name in Kubernetes, in bytes: a prefix of 253, a slash, and 63 more.
const LONGEST_NAME: usize = 317;

impl Text<'_> {
    /// Truncates names to just past the longest legal length, so that an oversized name cannot match a real object.
    pub(crate) fn to_name(&self) -> Self {
        let cut = |text: &str| text.floor_char_boundary(LONGEST_NAME + 4);
        Self(match &self.0 {
            Cow::Borrowed(text) => Cow::Borrowed(&text[..cut(text)]),
            Cow::Owned(text) => Cow::Owned(text[..cut(text)].to_owned()),
        })
    }

    /// The string, unless it is empty: absent, null and empty names are equivalent in the engine.
    pub fn non_empty(text: Option<&Self>) -> Option<&str> {
        text.map(|text| &**text).filter(|text| !text.is_empty())
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'a, T: Into<Cow<'a, str>>> From<T> for Text<'a> {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// Reads an object or null into an `Option`, and nothing else.
///
/// serde's derived structs also accept an array (fields by position), so `"spec": []` would pass as a pod spec, and a
/// patch of one of its fields would fail. For `#[serde(deserialize_with = "object")]`.
///
/// # Errors
///
/// The value is neither an object nor null, or not a `T`.
pub fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    NullableSeed(PhantomData).deserialize(deserializer)
}

/// Reads an object, or null as the default. For `#[serde(deserialize_with = "object_or_default")]`.
pub(crate) fn object_or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    object(deserializer).map(Option::unwrap_or_default)
}

/// An object or null, for list elements and top-level values, where `deserialize_with = "object"` cannot be used.
#[derive(Debug)]
pub(crate) struct Nullable<T>(pub(crate) Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Nullable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Self)
    }
}

/// Reads null, or an object with the given seed.
pub(crate) struct NullableSeed<S>(pub(crate) S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for NullableSeed<S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for NullableSeed<S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or null")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Self::Value, M::Error> {
        self.0.deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}

/// A reader of the fields of an object, which skips those that it does not know. [`FieldsSeed`] runs it.
pub(crate) trait ReadFields<'de>: Sized {
    /// The result.
    type Value;

    /// Writes what is expected, for a value of another type.
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or null")
    }

    /// Makes the error for an array in place of the object.
    fn array<E: Error>(self) -> E {
        E::invalid_type(Unexpected::Seq, &FieldsSeed(self))
    }

    /// Reads the value of a field that it knows.
    fn field<M: MapAccess<'de>>(&mut self, key: Text<'de>, map: &mut M) -> Result<Field, M::Error>;

    /// Returns the result after the last field.
    fn end<E: Error>(self) -> Result<Self::Value, E>;

    /// Returns the result for a null in place of the object.
    fn null<E: Error>(self) -> Result<Self::Value, E> {
        self.end()
    }
}

/// The result of offering a field to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// Its value was read.
    Read,
    /// Its value is to be skipped.
    Unknown,
}

/// Reads the fields of an object into the reader.
pub(crate) struct FieldsSeed<R>(pub(crate) R);

impl<'de, R: ReadFields<'de>> DeserializeSeed<'de> for FieldsSeed<R> {
    type Value = R::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, R: ReadFields<'de>> Visitor<'de> for FieldsSeed<R> {
    type Value = R::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        self.0.null()
    }

    fn visit_seq<S: SeqAccess<'de>>(self, _: S) -> Result<Self::Value, S::Error> {
        Err(self.0.array())
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<Self::Value, M::Error> {
        while let Some(key) = map.next_key()? {
            if self.0.field(key, &mut map)? == Field::Unknown {
                map.next_value::<IgnoredAny>()?;
            }
        }
        self.0.end()
    }
}

/// Calls `each` with each field of an object; null has no fields.
pub(crate) fn each_field<'de, D, F>(deserializer: D, each: F) -> Result<(), D::Error>
where
    D: Deserializer<'de>,
    F: FnMut(Text<'de>, &'de RawValue),
{
    struct Each<F>(F);

    impl<'de, F: FnMut(Text<'de>, &'de RawValue)> ReadFields<'de> for Each<F> {
        type Value = ();

        fn field<M: MapAccess<'de>>(&mut self, key: Text<'de>, map: &mut M) -> Result<Field, M::Error> {
            self.0(key, map.next_value()?);
            Ok(Field::Read)
        }

        fn end<E>(self) -> Result<(), E> {
            Ok(())
        }
    }

    FieldsSeed(Each(each)).deserialize(deserializer)
}

/// Calls `each` with each element of an array; null is an empty array.
///
/// # Errors
///
/// The value is neither an array nor null, or an element is not a `T`. The message names `expected`.
pub fn each_element<'de, D, T>(deserializer: D, expected: &'static str, each: impl FnMut(T)) -> Result<(), D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Elements<T, F>(&'static str, F, PhantomData<fn(T)>);

    impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Elements<T, F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }

        fn visit_seq<S: SeqAccess<'de>>(mut self, mut seq: S) -> Result<(), S::Error> {
            while let Some(element) = seq.next_element()? {
                self.1(element);
            }
            Ok(())
        }
    }

    deserializer.deserialize_any(Elements(expected, each, PhantomData))
}

/// Returns true if a field is present and not null, with any value. For `#[serde(deserialize_with = "present")]`.
///
/// # Errors
///
/// The value is not JSON.
pub fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::<IgnoredAny>::deserialize(deserializer).map(|value| value.is_some())
}

/// Fills the slot of a field. Fails if an earlier field of the same name already filled it.
pub(crate) fn set<T, E: Error>(slot: &mut Option<T>, field: &str, value: T) -> Result<(), E> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom(format_args!("duplicate field `{field}`"))),
    }
}

/// Returns true if `text` is a JSON document with a value other than null at `path` (object keys from the root).
///
/// Returns false for a document that does not parse.
pub(crate) fn names(text: &str, path: &[Cow<'_, str>]) -> bool {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    PathSearch { path, is_found: false }.deserialize(&mut deserializer).unwrap_or(false)
}

struct PathSearch<'p> {
    path: &'p [Cow<'p, str>],
    is_found: bool,
}

impl<'de> DeserializeSeed<'de> for PathSearch<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        if self.path.is_empty() { present(deserializer) } else { FieldsSeed(self).deserialize(deserializer) }
    }
}

impl<'de> ReadFields<'de> for PathSearch<'_> {
    type Value = bool;

    fn field<M: MapAccess<'de>>(&mut self, key: Text<'de>, map: &mut M) -> Result<Field, M::Error> {
        match self.path.split_first() {
            Some((first, rest)) if *key == **first => {
                self.is_found = map.next_value_seed(PathSearch { path: rest, is_found: false })?;
                Ok(Field::Read)
            }
            _ => Ok(Field::Unknown),
        }
    }

    fn end<E>(self) -> Result<bool, E> {
        Ok(self.is_found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Sample<'a> {
        #[serde(borrow, default)]
        name: Option<Text<'a>>,
        #[serde(default, deserialize_with = "present")]
        group: bool,
    }

    #[test]
    fn only_a_string_without_escapes_is_borrowed() {
        let plain: Sample<'_> = serde_json::from_str(r#"{"name":"data"}"#).unwrap();
        assert!(matches!(plain.name, Some(Text(Cow::Borrowed("data")))));
        let escaped: Sample<'_> = serde_json::from_str(r#"{"name":"d\u0061ta"}"#).unwrap();
        assert!(matches!(escaped.name, Some(Text(Cow::Owned(ref text))) if text == "data"));
    }

    #[test]
    fn oversized_names_are_truncated_past_the_longest_legal_length() {
        let name = "n".repeat(LONGEST_NAME);
        assert_eq!(*Text::from(&*name).to_name(), *name);
        for long in ["n".repeat(5_000), "ä".repeat(5_000), "😀".repeat(5_000)] {
            for text in [Text::from(&*long), Text::from(long.clone())] {
                let cut = text.to_name();
                assert!((LONGEST_NAME + 1..LONGEST_NAME + 5).contains(&cut.len()) && long.starts_with(&*cut), "{cut}");
            }
        }
    }

    #[test]
    fn an_array_is_not_accepted_as_an_object() {
        let read = |text: &'static str| serde_json::from_str::<Nullable<Sample<'_>>>(text);
        assert!(read(r#"{"name":"a"}"#).unwrap().0.is_some());
        assert!(read("null").unwrap().0.is_none());
        for wrong in [r#"["a", true]"#, "1", r#""text""#, "true"] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains("expected an object or null"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_null_field_is_not_present() {
        let group = |text: &str| serde_json::from_str::<Sample<'_>>(text).unwrap().group;
        assert!(group(r#"{"group":{}}"#));
        assert!(!group(r#"{"group":null}"#));
        assert!(!group("{}"));
    }

    #[test]
    fn a_path_is_followed_through_objects_only() {
        let path = ["spec", "schedulerName"].map(Cow::Borrowed);
        assert!(names(r#"{"a":1,"spec":{"x":[{}],"schedulerName":"default-scheduler"},"b":2}"#, &path));
        for text in [
            r#"{"spec":{"schedulerName":null}}"#,
            r#"{"spec":{}}"#,
            r#"{"spec":[]}"#,
            r#"{"schedulerName":"x"}"#,
            "not json",
            "",
        ] {
            assert!(!names(text, &path), "{text}");
        }
    }
}
