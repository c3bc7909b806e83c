//! Annotations: the keys that the engine reads, and how Stork reads their values.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::value::RawValue;

use super::decode::{Text, each_field};
use super::entries::KEPT;
use super::fields::{Fields, SeenKeys, text};

/// Written by `kubectl apply`: the manifest as its author wrote it.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Set by the kubelet on the API server's copy of a static pod. The pod itself runs, regardless of the copy.
pub(crate) const MIRROR_POD: &str = "kubernetes.io/config.mirror";

/// The annotation `stork.libopenstorage.org/disableHyperconvergence`: Stork scores every node the same.
pub const DISABLE_HYPERCONVERGENCE: &str = "stork.libopenstorage.org/disableHyperconvergence";

/// The annotation (and Namespace label) `stork.libopenstorage.org/disable-admission-controller`: Stork's own webhook
/// ignores the pod.
pub const DISABLE_ADMISSION_CONTROLLER: &str = "stork.libopenstorage.org/disable-admission-controller";

/// The label that opts a pod or a workload out.
pub(crate) const IGNORE_LABEL: &str = "colocate/ignore";

/// The labels of one object, which have the form of annotations.
pub(crate) type Labels<'a> = Annotations<'a>;

/// The annotations of one object, borrowed and still encoded: most values are never read, and the largest
/// (`last-applied-configuration`) is mostly escapes.
#[derive(Debug, Default)]
pub struct Annotations<'a> {
    first: Fields<'a>,
    rest: Option<Box<Packed>>,
}

impl<'a> Annotations<'a> {
    /// Returns true if there are no annotations.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Returns true if the key is present, with any value.
    pub fn contains(&self, key: &str) -> bool {
        self.raw(key).is_some()
    }

    /// The value as a string; `None` if the key is absent or its value is not a string (which only a custom resource can
    /// hold).
    pub fn get(&self, key: &str) -> Option<Cow<'a, str>> {
        match self.first.raw(key) {
            Some(value) => text(value),
            None => text(self.find_in_rest(key)?).map(|text| Cow::Owned(text.into_owned())),
        }
    }

    /// The value as it was sent: a JSON string with its quotes and escapes.
    pub fn raw(&self, key: &str) -> Option<&RawValue> {
        self.first.raw(key).or_else(|| self.find_in_rest(key))
    }

    /// Returns true if a key occurs twice.
    fn have_duplicates(&self) -> bool {
        match &self.rest {
            None => self.first.duplicate().is_some(),
            Some(rest) => {
                let mut seen = SeenKeys::with_capacity(self.first.len() + rest.len);
                self.first.iter().for_each(|(key, _)| seen.add(key));
                rest.each_field(|key, _| seen.add(&key));
                seen.have_duplicates()
            }
        }
    }

    fn find_in_rest(&self, key: &str) -> Option<&RawValue> {
        self.rest.as_ref().and_then(|rest| rest.find(key))
    }

    fn push(&mut self, key: Text<'a>, value: &'a RawValue) {
        if self.first.len() < KEPT {
            self.first.push(key, value);
        } else {
            self.rest.get_or_insert_default().push(&key, value);
        }
    }
}

/// Annotations after the first [`KEPT`], as the text of a JSON object without its closing brace. A decoded entry takes 40
/// bytes, but an annotation can be only five bytes of input.
#[derive(Debug, Default)]
struct Packed {
    text: Vec<u8>,
    /// The number of annotations.
    len: usize,
}

impl Packed {
    fn push(&mut self, key: &str, value: &RawValue) {
        self.text.push(if self.text.is_empty() { b'{' } else { b',' });
        // Writing a string into memory cannot fail.
        let _ = serde_json::to_writer(&mut self.text, key);
        self.text.push(b':');
        self.text.extend_from_slice(value.get().as_bytes());
        self.len += 1;
    }

    fn find(&self, key: &str) -> Option<&RawValue> {
        let mut found = None;
        self.each_field(|own, value| {
            if found.is_none() && *own == *key {
                found = Some(value);
            }
        });
        found
    }

    fn each_field<'s>(&'s self, each: impl FnMut(Text<'s>, &'s RawValue)) {
        // Ends with an error because the closing brace is missing.
        let _ = each_field(&mut serde_json::Deserializer::from_slice(&self.text), each);
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut annotations = Annotations::default();
        each_field(deserializer, |key, value| annotations.push(key, value))?;
        if annotations.have_duplicates() {
            return Err(D::Error::custom("duplicate key in annotations or labels"));
        }
        Ok(annotations)
    }
}

/// Parses a boolean as Stork does: with Go's `strconv.ParseBool`, which is case-sensitive. For `None`, Stork silently uses
/// the key's default.
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
    fn values_are_decoded_on_demand() {
        let annotations = read(r#"{"a":"plain","b":"a \"quoted\" word","c":true}"#);
        assert_eq!(annotations.get("a").as_deref(), Some("plain"));
        assert_eq!(annotations.get("b").as_deref(), Some(r#"a "quoted" word"#));
        assert_eq!(annotations.get("c"), None);
        assert!(annotations.contains("c"));
        assert!(!annotations.contains("d"));
    }

    #[test]
    fn packed_annotations_are_found() {
        for count in [KEPT - 1, KEPT, KEPT + 1, KEPT + 2, 3 * KEPT] {
            let entry = |n| format!(r#""k\u0065y/{n}" : "v\u0061lue \"{n}\"" "#);
            let text = format!("{{{}}}", (0..count).map(entry).collect::<Vec<_>>().join(","));
            let annotations = read(&text);
            for n in [0, KEPT - 1, KEPT, KEPT + 1, count - 1] {
                let value = (n < count).then(|| format!("value \"{n}\""));
                assert_eq!(annotations.get(&format!("key/{n}")).as_deref(), value.as_deref(), "{n} of {count}");
                assert_eq!(annotations.contains(&format!("key/{n}")), n < count);
            }
            assert!(!annotations.contains("key/") && !annotations.is_empty());
        }
    }

    #[test]
    fn a_duplicate_key_is_rejected_at_any_index() {
        for before in [0, KEPT - 2, KEPT - 1, KEPT, KEPT + 5] {
            for between in [0, 1, 2 * KEPT] {
                let others = |range: std::ops::Range<usize>| {
                    range.map(|n| format!(r#""x{n}":"","#)).collect::<Vec<_>>().concat()
                };
                let (before, between) = (others(0..before), others(before..before + between));
                let text = format!(r#"{{{before}"a":"first",{between}"\u0061":"second"}}"#);
                let error = serde_json::from_str::<Annotations<'_>>(&text).unwrap_err().to_string();
                assert!(error.starts_with("duplicate key in annotations or labels"), "{error}");
                let other = text.replace(r"\u0061", "b");
                assert_eq!(read(&other).get("b").as_deref(), Some("second"), "{other}");
            }
        }
        let empty = format!("{{{}}}", vec![r#""":"""#; 2 * KEPT].join(","));
        assert!(read(&empty).contains(""), "the empty key may occur twice");
    }

    #[test]
    fn null_is_empty_and_an_array_is_an_error() {
        assert!(!read("null").contains("a"));
        assert!(serde_json::from_str::<Annotations<'_>>("[]").is_err());
    }

    #[test]
    fn booleans_are_those_of_gos_parse_bool() {
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
