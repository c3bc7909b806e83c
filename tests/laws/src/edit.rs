//! The law of edits: an edit of a manifest inserts one line or sets one value.

use colocate_manifest::Edit;

/// The texts that an edit may replace, in addition to an alias.
const OLD: [&str; 10] = [
    "",
    "~",
    "null",
    "''",
    "\"\"",
    "default-scheduler",
    "'default-scheduler'",
    "\"default-scheduler\"",
    "\"default\\u002dscheduler\"",
    "Null",
];

/// Applies edits that set `scheduler`, independently of the code under test. Panics if an edit is more than one line or value.
pub fn apply(text: &str, edits: &[Edit], scheduler: &str) -> String {
    let mut edits: Vec<_> = edits.iter().collect();
    edits.sort_by_key(|edit| edit.range.start);
    let mut edited = text.to_owned();
    for edit in edits.iter().rev() {
        let (old, new) = (&text[edit.range.clone()], &*edit.replacement);
        assert!(old.lines().count() <= 1 && new.matches(['\n', '\r']).count() <= 2, "{old:?} {new:?}");
        let inserted = new.contains("schedulerName") && new.contains(scheduler);
        let replaced = new.trim_matches(['\'', '"', ' ', ':']) == scheduler;
        let nothing = old.is_empty() && new.is_empty();
        assert!(if old.is_empty() { inserted || replaced || nothing } else { replaced }, "{old:?} {new:?}");
        assert!(OLD.contains(&old) || old.starts_with('*'), "{old:?}");
        edited.replace_range(edit.range.clone(), new);
    }
    edited
}
