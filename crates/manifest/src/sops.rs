//! Documents that are encrypted with [SOPS](https://getsops.io): some of their values, with a checksum over all of them.

use std::fmt;

use serde_json::Value;

use colocate_companion::FieldPath;

/// The start of each encrypted value.
const MARK: &str = "ENC[";

/// The fields whose values neither decisions nor rules depend on.
const IRRELEVANT: [&str; 5] = ["containers", "data", "ephemeralContainers", "initContainers", "stringData"];

/// Returns true if a document is encrypted. Its root then has the metadata of SOPS.
pub(super) fn is_encrypted(document: &Value) -> bool {
    let metadata = &document["sops"];
    metadata["mac"].is_string() && metadata["lastmodified"].is_string()
}

/// Returns true if a text, such as a message, quotes an encrypted value.
pub(super) fn is_quoted_in(text: &str) -> bool {
    text.contains(MARK)
}

/// The encrypted values of an object that rules may depend on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct EncryptedValues {
    pub(super) count: usize,
    /// The path of the first one.
    pub(super) first: FieldPath,
}

impl fmt::Display for EncryptedValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => write!(f, "an encrypted value ({})", self.first),
            count => write!(f, "{count} encrypted values, such as {}", self.first),
        }
    }
}

impl EncryptedValues {
    pub(super) fn of(object: &Value) -> Self {
        let mut values = Self::default();
        values.visit(object, &FieldPath::default());
        values
    }

    fn visit(&mut self, value: &Value, path: &FieldPath) {
        match value {
            Value::String(text) if text.starts_with(MARK) => {
                if self.count == 0 {
                    self.first = path.clone();
                }
                self.count += 1;
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, item)| self.visit(item, &path.index(index)));
            }
            Value::Object(fields) => {
                let is_metadata = |name: &str| path.segments().is_empty() && name == "sops";
                let relevant =
                    fields.iter().filter(|(name, _)| !IRRELEVANT.contains(&name.as_str()) && !is_metadata(name));
                relevant.for_each(|(name, value)| {
                    let is_key = name.contains(['.', '/']);
                    self.visit(value, &if is_key { path.key(name) } else { path.field(name) });
                });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn encrypted_values_are_counted_where_they_matter() {
        let object = json!({
            "metadata": { "annotations": { "a": "ENC[AES256_GCM,data:x]", "b": "x" } },
            "spec": { "containers": [{ "env": [{ "value": "ENC[x]" }] }], "volumes": [{ "name": "ENC[x]" }] },
            "sops": { "mac": "ENC[x]", "lastmodified": "2024-01-01T00:00:00Z" },
        });
        assert!(is_encrypted(&object) && !is_encrypted(&json!({ "sops": { "mac": "ENC[x]" } })));
        let values = EncryptedValues::of(&object);
        assert_eq!((values.count, values.first.to_string()), (2, "metadata.annotations.a".to_owned()));
        assert_eq!(values.to_string(), "2 encrypted values, such as metadata.annotations.a");
        let one = EncryptedValues::of(&json!({ "metadata": { "name": "ENC[x]" } }));
        assert_eq!(one.to_string(), "an encrypted value (metadata.name)");
        assert!(is_quoted_in("`ENC[x]` is not a boolean") && !is_quoted_in("`x` is not"));
        assert_eq!(EncryptedValues::of(&json!({ "data": { "a": "ENC[x]" } })), EncryptedValues::default());
    }
}
