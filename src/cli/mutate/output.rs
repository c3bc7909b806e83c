//! What `colocate mutate` prints: the text of each format, and the lines for people.

use serde_json::{Value, json};
use similar::TextDiff;

use crate::cli::paint::Paint;
use crate::engine::one_line;
use crate::manifest::{Mutated, Mutation, Source};

/// A file and what becomes of it.
pub(super) struct File<'t> {
    pub(super) source: &'t Source,
    pub(super) mutated: Mutated<'t, 't>,
}

impl File<'_> {
    pub(super) fn is_changed(&self) -> bool {
        *self.mutated.text != *self.source.text
    }
}

/// The files behind each other, with a `---` between two where the second does not begin with one.
pub(super) fn yaml(files: &[File<'_>]) -> String {
    let mut text = String::new();
    for file in files {
        let next = &*file.mutated.text;
        if !text.is_empty() && !next.is_empty() {
            if !text.ends_with('\n') {
                text.push('\n');
            }
            if !begins_a_document(next) {
                text.push_str("---\n");
            }
        }
        text.push_str(next);
    }
    text
}

/// Whether a text begins with a `---`, comments and directives before it aside.
fn begins_a_document(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}');
    let first = text.lines().find(|line| {
        let line = line.trim();
        !(line.is_empty() || line.starts_with('#') || line.starts_with('%'))
    });
    first.is_some_and(|line| line == "---" || line.starts_with("--- ") || line.starts_with("---\t"))
}

/// The changed objects as one List.
pub(super) fn json(files: &[File<'_>]) -> serde_json::Result<String> {
    let items: Vec<Value> = changed(files).map(|(_, object)| object.changed()).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    Ok(serde_json::to_string_pretty(&list)? + "\n")
}

/// A JSON patch a line for each changed object.
pub(super) fn patches(files: &[File<'_>]) -> serde_json::Result<String> {
    let mut lines = String::new();
    for (file, object) in changed(files) {
        let line = json!({
            "file": file.source.name,
            "document": object.object.document() + 1,
            "kind": object.object.kind(),
            "namespace": object.namespace,
            "name": object.name,
            "patch": object.patch(),
        });
        lines += &(serde_json::to_string(&line)? + "\n");
    }
    Ok(lines)
}

/// The differences of all files, as `patch -p1` reads them.
pub(super) fn diff(files: &[File<'_>], paint: Paint) -> String {
    let mut text = String::new();
    for File { source, mutated } in files {
        let name = source.path.as_ref().map_or("stdin", |_| source.name.trim_start_matches(['/', '.']));
        let differences = TextDiff::from_lines(&source.text, &mutated.text);
        let differences = differences.unified_diff().header(&format!("a/{name}"), &format!("b/{name}")).to_string();
        for line in differences.split_inclusive('\n') {
            let (body, end) = line.strip_suffix('\n').map_or((line, ""), |body| (body, "\n"));
            let painted = match body.as_bytes().first() {
                _ if body.starts_with("--- a/") || body.starts_with("+++ b/") => paint.bold(body),
                Some(b'+') => paint.green(body),
                Some(b'-') => paint.red(body),
                Some(b'@') => paint.cyan(body),
                _ => body.to_owned(),
            };
            text = text + &painted + end;
        }
    }
    text
}

fn changed<'f>(files: &'f [File<'f>]) -> impl Iterator<Item = (&'f File<'f>, &'f Mutation<'f>)> {
    let objects = files.iter().flat_map(|file| file.mutated.objects.iter().map(move |object| (file, object)));
    objects.filter(|(_, object)| object.is_changed())
}

/// What was found for a workload, what was decided, and why.
pub(super) fn explanation(source: &Source, mutation: &Mutation<'_>) -> String {
    let decision = &mutation.decision;
    let found = if decision.found.is_empty() { String::new() } else { format!("; {}", decision.found) };
    let why = decision.reason.explanation().trim_end_matches('.');
    let scheduler = decision.scheduler.as_deref().map(|name| format!(" -> {name}")).unwrap_or_default();
    let refusal = mutation.refusal.as_ref().map(|why| format!("; left as it is: {why}")).unwrap_or_default();
    line(source, mutation, &format!("{}{scheduler}{found}{refusal} ({why})", decision.reason))
}

/// What is left open about a workload.
pub(super) fn unresolved(source: &Source, mutation: &Mutation<'_>) -> String {
    let decision = &mutation.decision;
    match &mutation.refusal {
        Some(why) => line(source, mutation, &format!("left as it is: {why}")),
        None => line(source, mutation, &format!("{}: {}", decision.reason, decision.found)),
    }
}

/// The warnings that a person would see below `kubectl apply`; those of what is unresolved are said already.
pub(super) fn warnings<'m>(source: &'m Source, mutation: &'m Mutation<'_>) -> impl Iterator<Item = String> + 'm {
    let own = format!("colocate: {}: ", mutation.decision.reason);
    let warnings = mutation.decision.warnings.iter().map(AsRef::as_ref);
    let shown = warnings.filter(move |warning: &&str| !(mutation.is_unresolved() && warning.starts_with(&own)));
    shown.map(|warning| line(source, mutation, warning.trim_start_matches("colocate: ")))
}

/// No name is longer, and few explanations are.
const MAX_LINE: usize = 2_000;

fn line(source: &Source, mutation: &Mutation<'_>, text: &str) -> String {
    let Mutation { object, namespace, name, .. } = mutation;
    let (kind, line) = (object.kind(), object.position().line);
    one_line(&format!("{}:{line}: {kind} {namespace}/{name}: {text}", source.name), MAX_LINE) + "\n"
}
