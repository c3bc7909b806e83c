//! Lists with a bounded memory cost, however many entries the object has.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The number of entries of a list or map that are kept decoded. No pod that can start has more.
///
/// Later entries are kept as text and decoded on each use, so that an object takes little more memory than its text.
/// (950,000 volumes in 20 MiB took 470 MB.)
pub(super) const KEPT: usize = 256;

/// The entries of a list that can affect a decision.
#[derive(Debug)]
pub(crate) struct Entries<'a, T> {
    first: Vec<T>,
    rest: Vec<&'a RawValue>,
}

/// An entry of a list.
pub(crate) trait ListEntry: Sized {
    /// The name of the list in error messages.
    const LIST: &'static str;
    /// The serialized form of the entry.
    type Written;

    /// Reads it; `None` if it cannot affect a decision.
    fn read(written: Self::Written) -> Option<Self>;

    /// Returns true if all its fields are empty, so that it equals every other blank entry.
    fn is_blank(&self) -> bool;
}

/// An entry that was kept decoded, or that was decoded for this use.
#[derive(Debug)]
pub(crate) enum Item<'e, T> {
    Kept(&'e T),
    Read(T),
}

impl<T> Deref for Item<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Kept(entry) => entry,
            Self::Read(entry) => entry,
        }
    }
}

impl<T> Default for Entries<'_, T> {
    fn default() -> Self {
        Self { first: Vec::new(), rest: Vec::new() }
    }
}

impl<T> Entries<'_, T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.rest.is_empty()
    }
}

impl<'a, T: ListEntry<Written: Deserialize<'a>>> Entries<'a, T> {
    /// The entries in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Item<'_, T>> {
        // All of them were decoded without an error when the list was read.
        let rest = self.rest.iter().filter_map(|sent| read(sent).ok().flatten().map(Item::Read));
        self.first.iter().map(Item::Kept).chain(rest)
    }
}

fn read<'a, T: ListEntry<Written: Deserialize<'a>>>(sent: &'a RawValue) -> serde_json::Result<Option<T>> {
    serde_json::from_str(sent.get()).map(T::read)
}

impl<'de: 'a, 'a, T: ListEntry<Written: Deserialize<'de>>> Deserialize<'de> for Entries<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(PhantomData<T>);

        impl<'de, T: ListEntry<Written: Deserialize<'de>>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<'de, T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an array of {}", T::LIST)
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
                let mut entries = Entries::default();
                while entries.first.len() < KEPT {
                    let Some(written) = seq.next_element()? else { return Ok(entries) };
                    entries.first.extend(T::read(written));
                }
                let mut has_blank = false;
                while let Some(sent) = seq.next_element::<&'de RawValue>()? {
                    let Some(entry) = read::<T>(sent).map_err(S::Error::custom)? else { continue };
                    // `{},` is three bytes of input but a 16-byte reference, so at most one blank entry is kept.
                    if !entry.is_blank() || !std::mem::replace(&mut has_blank, true) {
                        entries.rest.push(sent);
                    }
                }
                Ok(entries)
            }
        }

        deserializer.deserialize_seq(EntriesVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Nullable;

    #[derive(Debug, PartialEq)]
    struct Word(String);

    impl ListEntry for Word {
        const LIST: &'static str = "words";
        type Written = Nullable<Written>;

        fn read(Nullable(written): Self::Written) -> Option<Self> {
            written.and_then(|written| written.word).map(Self)
        }

        fn is_blank(&self) -> bool {
            self.0.is_empty()
        }
    }

    #[derive(Deserialize)]
    struct Written {
        word: Option<String>,
    }

    fn list(words: impl Iterator<Item = String>) -> String {
        let words: Vec<_> = words.collect();
        format!("[{}]", words.join(","))
    }

    #[test]
    fn all_entries_are_returned_in_order() {
        for count in [0, 1, KEPT - 1, KEPT, KEPT + 1, 3 * KEPT] {
            let text = list(
                (0..count).flat_map(|n| [format!(r#"{{"word":"\u0061{n}"}}"#), "null".to_owned(), "{}".to_owned()]),
            );
            let entries: Entries<'_, Word> = serde_json::from_str(&text).unwrap();
            assert!(entries.iter().map(|word| word.0.clone()).eq((0..count).map(|n| format!("a{n}"))), "{count}");
            assert_eq!((entries.is_empty(), entries.first.len()), (count == 0, count.min(KEPT)));
        }
    }

    #[test]
    fn blank_entries_past_the_limit_are_kept_once() {
        let text = list((0..4 * KEPT).map(|n| format!(r#"{{"word":"{}"}}"#, if n % 2 == 0 { "" } else { "x" })));
        let entries: Entries<'_, Word> = serde_json::from_str(&text).unwrap();
        let blank = entries.iter().skip(KEPT).filter(|word| word.is_blank()).count();
        assert_eq!((blank, entries.iter().count()), (1, KEPT + 1 + 3 * KEPT / 2));
    }

    #[test]
    fn an_invalid_entry_is_an_error_at_any_index() {
        for index in [0, KEPT - 1, KEPT, KEPT + 1] {
            let text =
                list((0..KEPT + 2).map(|n| if n == index { "[]".to_owned() } else { r#"{"word":"x"}"#.to_owned() }));
            let error = serde_json::from_str::<Entries<'_, Word>>(&text).unwrap_err().to_string();
            assert!(error.contains("expected an object or null"), "{index}: {error}");
        }
        let error = serde_json::from_str::<Entries<'_, Word>>("{}").unwrap_err().to_string();
        assert!(error.contains("expected an array of words"), "{error}");
    }
}
