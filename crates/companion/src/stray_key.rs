//! Keys that may be meant for Stork, anywhere in an object.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::field_path::FieldPath;
use super::key::is_candidate;
use colocate_engine::Text;

/// A key that may be meant for Stork, and the object that has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StrayKey {
    /// The path of the object that has the key.
    pub(super) parent: FieldPath,
    pub(super) name: String,
}

/// The maximum number of keys that are returned. It is greater than `MAX_FINDINGS`.
const MAX_KEYS: usize = 256;

/// The most items of a list that are read. Other readers of lists, such as the one for claim templates, have a limit, too.
const MAX_ITEMS: usize = 1024;

/// The deepest level that is searched: deeper than any field of a built-in kind, and far from the parser's own limit.
const MAX_DEPTH: usize = 64;

/// Finds the keys of all objects in `json` that may be meant for Stork, except in `status` and `metadata.managedFields`, which
/// repeat keys of other fields.
///
/// The search ends at a value that cannot be represented, such as 1e999. Elsewhere, such a value is skipped without being read, so
/// it is not an error here either.
pub(super) fn find(json: &str) -> Vec<StrayKey> {
    let mut search = Search { path: Vec::new(), found: Vec::new() };
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let _ = Level(&mut search).deserialize(&mut deserializer);
    search.found
}

/// A search in progress.
struct Search<'a> {
    /// The path to the current value.
    path: Vec<Step<'a>>,
    found: Vec<StrayKey>,
}

/// One step of a path, which is only copied if a key is found.
enum Step<'a> {
    Field(Text<'a>),
    Index(usize),
}

impl Search<'_> {
    fn add(&mut self, name: &str) {
        if self.found.len() == MAX_KEYS {
            return;
        }
        let parent = self.path.iter().fold(FieldPath::default(), |path, step| match step {
            // As in other paths, a name that is not an identifier is shown in brackets.
            Step::Field(name) if name.contains(['.', '/']) => path.key(name),
            Step::Field(name) => path.field(name),
            Step::Index(index) => path.index(*index),
        });
        self.found.push(StrayKey { parent, name: name.to_owned() });
    }

    /// Returns true if the field repeats keys of other fields.
    fn is_copy(&self, field: &str) -> bool {
        match self.path[..] {
            [] => field == "status",
            [Step::Field(ref parent)] => **parent == *"metadata" && field == "managedFields",
            _ => false,
        }
    }
}

/// A value at the current path.
struct Level<'s, 'a>(&'s mut Search<'a>);

impl<'de> DeserializeSeed<'de> for Level<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if is_candidate(&key) {
                self.0.add(&key);
            }
            if self.0.is_copy(&key) || self.0.path.len() == MAX_DEPTH {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            self.0.path.push(Step::Field(key));
            map.next_value_seed(Level(self.0))?;
            self.0.path.pop();
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for index in 0.. {
            let more = if index < MAX_ITEMS && self.0.path.len() < MAX_DEPTH {
                self.0.path.push(Step::Index(index));
                let more = items.next_element_seed(Level(self.0))?.is_some();
                self.0.path.pop();
                more
            } else {
                items.next_element::<IgnoredAny>()?.is_some()
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_at_any_depth_except_in_copies() {
        const KEY: &str = "stork.libopenstorage.org/preferLocalNodeOnly";
        let found = |json: &str| -> Vec<String> {
            let keys = find(&json.replace("KEY", KEY));
            keys.iter().map(|stray| format!("{}:{}", stray.parent, stray.name.replace(KEY, "KEY"))).collect()
        };
        assert_eq!(
            found(r#"{"KEY":1,"a":[null,{"b":{"KEY":{"c":2.5}}}],"d":[true,-1,"KEY"]}"#),
            [":KEY", "a[1].b:KEY"]
        );
        let copies = r#"{"status":{"KEY":1},"metadata":{"managedFields":[{"f:KEY":{}}],"status":{"KEY":1}}}"#;
        assert_eq!(found(copies), ["metadata.status:KEY"]);
        let nested = r#"{"annotations":{"stork.libopenstorage.org":{"preferLocalNodeOnly":"true"}}}"#;
        assert_eq!(
            found(nested),
            ["annotations:stork.libopenstorage.org", "annotations[stork.libopenstorage.org]:preferLocalNodeOnly"]
        );
        let many = format!("[{}{{}}]", r#"{"KEY":1},"#.repeat(MAX_ITEMS + 1));
        assert_eq!(found(&many).len(), MAX_KEYS);
        let odd = r#"{"KEY":1,"a":1e999,"b":"\ud800"}"#;
        assert_eq!(found(odd), [":KEY"]);
        for deep in [r#"{"a":"#, "["] {
            let close = if deep == "[" { "]" } else { "}" };
            let deep = format!(r#"{{"a":{}1{},"b":{{"KEY":1}}}}"#, deep.repeat(1_000), close.repeat(1_000));
            assert_eq!(found(&deep), ["b:KEY"]);
        }
    }
}
