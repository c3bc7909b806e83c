//! Reading JSON without copying it, and without building a tree.
//!
//! An `AdmissionReview` can be 17 MB, of which a decision needs a dozen strings. What is needed is borrowed from the
//! request's own bytes; the rest is skipped at the speed of `serde::de::IgnoredAny`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// A string that borrows from the request unless it holds an escape.
///
/// `Option<Cow<str>>` with `#[serde(borrow)]` always allocates (the attribute does not reach inside the option); a
/// newtype does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    /// The string itself, borrowed for as long as the request.
    pub fn into_cow(self) -> Cow<'a, str> {
        self.0
    }
}

/// No name in Kubernetes has more bytes: 253 of a prefix, a slash, and 63 behind it.
const LONGEST_NAME: usize = 317;

impl Text<'_> {
    /// The string as a name: what is longer than any is cut to a length that none has, so that it stays nobody's.
    pub(crate) fn to_name(&self) -> Self {
        let cut = |text: &str| text.floor_char_boundary(LONGEST_NAME + 4);
        Self(match &self.0 {
            Cow::Borrowed(text) => Cow::Borrowed(&text[..cut(text)]),
            Cow::Owned(text) => Cow::Owned(text[..cut(text)].to_owned()),
        })
    }
}

impl Text<'_> {
    /// The string, if there is one that says something: absent, null and empty are the same to Kubernetes wherever the
    /// engine reads a name.
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

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl<'a> From<Cow<'a, str>> for Text<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self(text)
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// Reads an object or null into an `Option`, and nothing else.
///
/// serde's derived structs also accept an array (fields by position), which would let `"spec": []` pass for a pod spec
/// to which no patch of a field applies. For `#[serde(deserialize_with = "object")]`.
///
/// # Errors
///
/// What is read is neither of them, or not a `T`.
pub fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Seed(PhantomData).deserialize(deserializer)
}

/// An object or null, as an element or a value of its own: the type to [`object`]'s function.
#[derive(Debug)]
pub(crate) struct Nullable<T>(pub(crate) Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Nullable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Self)
    }
}

struct Seed<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Seed<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Seed<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or null")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Self::Value, M::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}

/// Whether a field is there and not null, whatever it holds. For `#[serde(deserialize_with = "present")]`.
///
/// # Errors
///
/// What is read is not JSON.
pub fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::<IgnoredAny>::deserialize(deserializer).map(|value| value.is_some())
}

/// Fills a field's slot, which a second field of the same name would fill again.
pub(crate) fn set<T, E: serde::de::Error>(slot: &mut Option<T>, field: &'static str, value: T) -> Result<(), E> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::duplicate_field(field)),
    }
}

/// Whether `text` is a JSON document that holds a value other than null at `path` (object keys from the root).
///
/// A document that does not parse holds nothing.
pub(crate) fn names(text: &str, path: &[Cow<'_, str>]) -> bool {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Names { path }.deserialize(&mut deserializer).unwrap_or(false)
}

struct Names<'p> {
    path: &'p [Cow<'p, str>],
}

impl<'de> DeserializeSeed<'de> for Names<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        match self.path {
            [] => present(deserializer),
            _ => deserializer.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for Names<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<bool, M::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match self.path.split_first() {
                Some((first, rest)) if *key == **first => found = map.next_value_seed(Names { path: rest })?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
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
    fn a_plain_string_is_borrowed_and_an_escaped_one_is_not() {
        let plain: Sample<'_> = serde_json::from_str(r#"{"name":"data"}"#).unwrap();
        assert!(matches!(plain.name, Some(Text(Cow::Borrowed("data")))));
        let escaped: Sample<'_> = serde_json::from_str(r#"{"name":"d\u0061ta"}"#).unwrap();
        assert!(matches!(escaped.name, Some(Text(Cow::Owned(ref text))) if text == "data"));
    }

    #[test]
    fn what_is_longer_than_any_name_is_cut_and_stays_longer() {
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
    fn an_object_is_an_object_or_null_and_never_an_array() {
        let read = |text: &'static str| serde_json::from_str::<Nullable<Sample<'_>>>(text);
        assert!(read(r#"{"name":"a"}"#).unwrap().0.is_some());
        assert!(read("null").unwrap().0.is_none());
        for wrong in [r#"["a", true]"#, "1", r#""text""#, "true"] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains("expected an object or null"), "{wrong}: {error}");
        }
    }

    #[test]
    fn present_means_there_and_not_null() {
        let group = |text: &str| serde_json::from_str::<Sample<'_>>(text).unwrap().group;
        assert!(group(r#"{"group":{}}"#));
        assert!(!group(r#"{"group":null}"#));
        assert!(!group("{}"));
    }

    #[test]
    fn a_path_names_a_value_only_where_every_step_is_an_object() {
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
