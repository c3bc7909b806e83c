//! Reviews that cases modify.

use std::sync::LazyLock;

use serde_json::Value;

use super::case::parse;

/// The reviews that cases start from.
static BASES: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
    let bases: serde_json::Map<_, _> = parse("bases.yaml", include_str!("bases.yaml"));
    bases.into_iter().collect()
});

/// A modifiable review.
#[derive(Clone, Debug)]
pub(crate) struct Document(Value);

/// Returns the review with this name in `bases.yaml`.
pub(crate) fn base(name: &str) -> Document {
    let base = BASES.iter().find(|(base, _)| base == name);
    Document(base.unwrap_or_else(|| panic!("bases.yaml has no `{name}`")).1.clone())
}

/// The order of the fields of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// The API server's order, in which the metadata of a request comes before its objects.
    #[default]
    ApiServer,
    /// The reverse order, at every level.
    Reversed,
}

impl Document {
    pub(crate) fn text(&self) -> String {
        self.text_in(Order::ApiServer)
    }

    pub(crate) fn text_in(&self, order: Order) -> String {
        encode(&self.0, order)
    }

    /// Sets the value at a JSON pointer, and creates missing objects on the path.
    pub(crate) fn put(&mut self, pointer: &str, value: Value) {
        let mut place = &mut self.0;
        for token in tokens(pointer) {
            place = if place.is_array() {
                place.pointer_mut(&format!("/{token}")).unwrap_or_else(|| panic!("{pointer} does not exist"))
            } else {
                if !place.is_object() {
                    *place = Value::Object(serde_json::Map::default());
                }
                place.as_object_mut().expect("the value is an object").entry(token).or_insert(Value::Null)
            };
        }
        *place = value;
    }

    /// Removes the field at a JSON pointer.
    pub(crate) fn take(&mut self, pointer: &str) {
        let (parent, field) = pointer.rsplit_once('/').expect("a JSON pointer contains a slash");
        let parent = self.0.pointer_mut(parent).and_then(Value::as_object_mut);
        let taken = parent.and_then(|parent| {
            parent.remove(&tokens(&format!("/{field}")).next().expect("the field name is one token"))
        });
        assert!(taken.is_some(), "{pointer} does not exist");
    }
}

fn tokens(pointer: &str) -> impl Iterator<Item = String> {
    pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~"))
}

fn encode(value: &Value, order: Order) -> String {
    const FIRST: [&str; 9] =
        ["kind", "apiVersion", "uid", "resource", "subResource", "name", "namespace", "operation", "metadata"];
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            let rank = |key: &str| FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len());
            entries.sort_by_key(|(key, _)| (rank(key), key.as_str()));
            if order == Order::Reversed {
                entries.reverse();
            }
            let entry = |(key, value): &(&String, &Value)| format!("{}:{}", Value::from(&***key), encode(value, order));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(|item| encode(item, order)).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}
