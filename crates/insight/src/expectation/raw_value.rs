//! Values in a JSON text: found by their path, and replaced in place.

use std::collections::BTreeMap;

use colocate_engine::Text;
use serde_json::value::RawValue;

/// Finds the value at a path of keys; `None` if a key or an object on the path is absent.
pub(super) fn find<'a>(text: &'a str, path: &[&str]) -> Result<Option<&'a RawValue>, serde_json::Error> {
    let Some((key, rest)) = path.split_first() else { return serde_json::from_str(text).map(Some) };
    let fields: Option<BTreeMap<Text<'_>, &RawValue>> = serde_json::from_str(text)?;
    match fields.and_then(|fields| fields.get(&Text::from(*key)).copied()) {
        Some(value) => find(value.get(), rest),
        None => Ok(None),
    }
}

/// Replaces values of `text` with null, which the engine reads as absent. They must be parts of `text`.
pub(super) fn without<'a>(text: &str, values: impl IntoIterator<Item = &'a RawValue>) -> String {
    let mut out = String::with_capacity(text.len());
    let start = |value: &&RawValue| value.get().as_ptr().addr() - text.as_ptr().addr();
    let mut values: Vec<_> = values.into_iter().map(|value| (start(&value), value.get().len())).collect();
    values.sort_unstable();
    let mut end = 0;
    for (start, length) in values {
        out.push_str(&text[end..start]);
        out.push_str("null");
        end = start + length;
    }
    out.push_str(&text[end..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_replaced_in_place() {
        let text = r#"{"a": {"b": "x","c":"\u0062"}, "d": 1}"#;
        let b = find(text, &["a", "b"]).unwrap();
        let c = find(text, &["a", "c"]).unwrap();
        assert_eq!(without(text, c.into_iter().chain(b)), r#"{"a": {"b": null,"c":null}, "d": 1}"#);
        assert_eq!(without(text, None), text);
        assert!(find(text, &["a", "z"]).unwrap().is_none() && find(r#"{"a":null}"#, &["a", "b"]).unwrap().is_none());
    }
}
