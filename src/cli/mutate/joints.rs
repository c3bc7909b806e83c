//! The separators by which several files become one stream.

use anyhow::bail;
use serde_json::Value;

use crate::cli::survey::Ends;
use crate::manifest::{BYTE_ORDER_MARK, Manifest, Syntax};

/// Finds the text to print before each file, and checks that joining the files changes none of their documents.
///
/// JSON files are joined with a line feed: kubectl before 1.37 reads only the values before the first `---`. If any file is
/// YAML, a `---` is put before each file that does not begin with one.
#[derive(Debug, Default)]
pub(super) struct Joints {
    files: Vec<Joint>,
    /// The last document of the files so far.
    last: Option<String>,
    /// The first file that cannot be joined into a YAML stream.
    broken: Option<String>,
    yaml: bool,
}

#[derive(Debug)]
struct Joint {
    yaml: String,
    json: &'static str,
}

impl Joints {
    /// Adds the next file; without ends if its text is empty.
    pub(super) fn add(&mut self, name: &str, ends: Option<Ends>) {
        let mut joint = Joint { yaml: String::new(), json: "" };
        if let Some(Ends { syntax, first, last, documents }) = ends {
            let is_json = syntax == Syntax::Json;
            self.yaml |= !is_json;
            let mut is_broken = is_json && documents > 1;
            if let Some(before) = self.last.replace(last) {
                joint = between(&before, &first);
                is_broken |= !separates(&before, &joint.yaml, &first);
            }
            if is_broken {
                self.broken.get_or_insert_with(|| name.to_owned());
            }
        }
        self.files.push(joint);
    }

    /// Returns the separator before each file.
    ///
    /// # Errors
    /// Joining the files would change their documents.
    pub(super) fn separators(self) -> anyhow::Result<Vec<String>> {
        if let Some(name) = self.broken.filter(|_| self.yaml) {
            bail!(
                "{name} cannot be joined with the other files into one YAML stream: mutate it separately, or use -o json"
            );
        }
        let separator = |joint: Joint| if self.yaml { joint.yaml } else { joint.json.to_owned() };
        Ok(self.files.into_iter().map(separator).collect())
    }
}

/// The separators between two documents.
fn between(before: &str, after: &str) -> Joint {
    let line_feed = if before.ends_with(['\n', '\r']) { "" } else { "\n" };
    let marker = match first_line(after.trim_start_matches(BYTE_ORDER_MARK)) {
        // A directive is recognized only after the end of a document.
        Some(line) if line.starts_with('%') => "...\n",
        Some(line) if is_marker(line) => "",
        _ => "---\n",
    };
    Joint { yaml: format!("{line_feed}{marker}"), json: line_feed }
}

/// Returns true if two documents keep their values when they are joined.
fn separates(before: &str, separator: &str, after: &str) -> bool {
    let after = after.trim_start_matches(BYTE_ORDER_MARK);
    let each = [before, after].map(values);
    let joined = values(&format!("{before}{separator}{after}"));
    match (each, joined) {
        ([Some(before), Some(after)], Some(joined)) => before.iter().chain(&after).eq(&joined),
        _ => false,
    }
}

/// The values of the documents that are not empty.
fn values(text: &str) -> Option<Vec<Value>> {
    let manifest = Manifest::new(text);
    let values = manifest.documents().map(|document| document.map(|document| document.value));
    let values = values.filter(|value| !matches!(value, Ok(Value::Null)));
    values.collect::<Result<_, _>>().ok()
}

/// Returns the first line that is neither blank nor a comment.
fn first_line(text: &str) -> Option<&str> {
    text.split(['\n', '\r']).find(|line| !line.trim().is_empty() && !line.starts_with('#'))
}

/// Returns true if a line begins a document.
fn is_marker(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}
