//! `values.yaml`, with the comment on each value.

use serde_json::Value;

use crate::chart::yaml;

/// A value with a comment above it.
#[derive(Debug)]
pub(crate) struct Documented {
    /// The keys that lead to it, joined with dots.
    pub(crate) path: String,
    pub(crate) default: Value,
    /// The comment, as one line.
    pub(crate) text: String,
}

impl Documented {
    /// Reads all values of a file, in their order.
    pub(crate) fn read(file: &str) -> Vec<Self> {
        let defaults = yaml(file);
        let (mut all, mut comment) = (Vec::new(), Vec::new());
        // The keys that enclose the line, each with its indentation.
        let mut above: Vec<(usize, &str)> = Vec::new();
        for line in file.lines() {
            let text = line.trim_start();
            if let Some(text) = text.strip_prefix("# ") {
                comment.push(text);
                continue;
            }
            if let Some(key) = key(text) {
                let indentation = line.len() - text.len();
                above.retain(|(outer, _)| *outer < indentation);
                above.push((indentation, key));
                let keys: Vec<_> = above.iter().map(|(_, key)| *key).collect();
                if !comment.is_empty() {
                    let default = keys.iter().fold(&defaults, |value, key| &value[*key]).clone();
                    all.push(Self { path: keys.join("."), default, text: comment.join(" ") });
                }
            }
            comment.clear();
        }
        all
    }
}

/// Returns the key at the beginning of a line of block YAML.
fn key(text: &str) -> Option<&str> {
    let (key, rest) = text.split_once(':')?;
    let is_key = !text.starts_with('-') && !key.contains(' ');
    (is_key && (rest.is_empty() || rest.starts_with(' '))).then_some(key)
}

#[test]
fn a_comment_belongs_to_the_value_below_it() {
    let file = "# One,\n# of two lines.\na: 1\n\n# Of nothing.\n\nb:\n  # Below.\n  c:\n  - x: 1\n  d: [e]\n# After.\nf:\n  g: {h: 1}\n";
    let read: Vec<_> =
        Documented::read(file).into_iter().map(|value| (value.path, value.default, value.text)).collect();
    let value = |path: &str, default, text: &str| (path.to_owned(), default, text.to_owned());
    let expected = [
        value("a", serde_json::json!(1), "One, of two lines."),
        value("b.c", serde_json::json!([{"x": 1}]), "Below."),
        value("f", serde_json::json!({"g": {"h": 1}}), "After."),
    ];
    assert_eq!(read, expected);
}
