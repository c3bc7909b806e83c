//! Annotations: the keys that the engine reads, and how Stork reads their values.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::json::Text;

/// Written by `kubectl apply`: the manifest as its author wrote it.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Set by the kubelet on the API server's copy of a static pod; the pod itself runs whatever the copy says.
pub(crate) const MIRROR_POD: &str = "kubernetes.io/config.mirror";

/// The annotation `stork.libopenstorage.org/disableHyperconvergence`: Stork scores every node the same.
pub const DISABLE_HYPERCONVERGENCE: &str = "stork.libopenstorage.org/disableHyperconvergence";

/// The annotation (and Namespace label) `stork.libopenstorage.org/disable-admission-controller`: Stork's own webhook
/// leaves the pod alone.
pub const DISABLE_ADMISSION_CONTROLLER: &str = "stork.libopenstorage.org/disable-admission-controller";

/// The annotations of one object, borrowed and still encoded: most values are never looked at, and the largest
/// (`last-applied-configuration`) is mostly escapes.
#[derive(Clone, Debug, Default)]
pub struct Annotations<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'a> Annotations<'a> {
    /// Whether the key is there, whatever its value.
    pub fn contains(&self, key: &str) -> bool {
        self.raw(key).is_some()
    }

    /// The value as a string; `None` where the key is absent or its value is no string (which only a custom resource
    /// can hold).
    pub fn get(&self, key: &str) -> Option<Cow<'a, str>> {
        serde_json::from_str::<Text<'a>>(self.raw(key)?.get()).ok().map(Text::into_cow)
    }

    /// Each key with its value as it was sent, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(key, value)| (&**key, *value))
    }

    /// The value as it was sent: a JSON string with its quotes and escapes.
    pub fn raw(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(name, _)| **name == *key).map(|(_, value)| *value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnnotationsVisitor;

        impl<'de> Visitor<'de> for AnnotationsVisitor {
            type Value = Annotations<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object or null")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Annotations::default())
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Annotations(entries))
            }
        }

        deserializer.deserialize_any(AnnotationsVisitor)
    }
}

/// A boolean as Stork reads it: Go's `strconv.ParseBool`, exactly, case and all. `None` is what Stork takes, in silence,
/// for the key's default.
pub fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Annotations<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn values_are_decoded_when_asked_for() {
        let annotations = read(r#"{"a":"plain","b":"a \"quoted\" word","c":true}"#);
        assert_eq!(annotations.get("a").as_deref(), Some("plain"));
        assert_eq!(annotations.get("b").as_deref(), Some(r#"a "quoted" word"#));
        assert_eq!(annotations.get("c"), None);
        assert!(annotations.contains("c"));
        assert!(!annotations.contains("d"));
    }

    #[test]
    fn null_is_no_annotations_and_an_array_is_an_error() {
        assert!(!read("null").contains("a"));
        assert!(serde_json::from_str::<Annotations<'_>>("[]").is_err());
    }

    #[test]
    fn booleans_are_gos_and_no_others() {
        for value in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(parse_bool(value), Some(true), "{value}");
        }
        for value in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(parse_bool(value), Some(false), "{value}");
        }
        for value in ["", "yes", "no", "on", "tRUE", " true", "true ", "2"] {
            assert_eq!(parse_bool(value), None, "{value}");
        }
    }
}
