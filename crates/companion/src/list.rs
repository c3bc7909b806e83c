//! Lists of which only the first items of interest are kept, to bound memory.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};

/// Reads an array or null, and keeps the first `most` items that pass `is_one`, each with its index.
pub(super) fn some_of<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
    most: usize,
    is_one: impl Fn(&T) -> bool,
) -> Result<Vec<(usize, T)>, D::Error> {
    Choice { most, is_one, of: PhantomData }.deserialize(deserializer)
}

struct Choice<T, F> {
    most: usize,
    is_one: F,
    of: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, F: Fn(&T) -> bool> DeserializeSeed<'de> for Choice<T, F> {
    type Value = Vec<(usize, T)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>, F: Fn(&T) -> bool> Visitor<'de> for Choice<T, F> {
    type Value = Vec<(usize, T)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array or null")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
        let (mut kept, mut place) = (Vec::new(), 0);
        while let Some(item) = seq.next_element()? {
            if kept.len() < self.most && (self.is_one)(&item) {
                kept.push((place, item));
            }
            place += 1;
        }
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_those_that_are_of_use_are_kept_with_their_places() {
        let read = |text: &str| {
            some_of(&mut serde_json::Deserializer::from_str(text), 2, |number: &u32| *number > 5)
                .map_err(|e| e.to_string())
        };
        assert_eq!(read("[1,7,2,9,8]"), Ok(vec![(1, 7), (3, 9)]));
        assert_eq!((read("[]"), read("null")), (Ok(vec![]), Ok(vec![])));
        assert!(read("{}").unwrap_err().contains("expected an array or null"));
        assert!(read("[7,8,9,\"x\"]").is_err(), "what is not kept is read all the same");
    }
}
