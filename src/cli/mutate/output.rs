//! The output of `colocate mutate`: the text of each format, and the lines on standard error.

use anyhow::bail;
use serde_json::{Value, json};

use crate::cli::paint::bounded;
use crate::manifest::{BYTE_ORDER_MARK, HELM_ADVICE, Manifest, MutatedManifest, MutatedObject, Position, Source};

/// A file and its mutated text.
pub(super) struct File<'t> {
    pub(super) source: &'t Source,
    pub(super) mutated: MutatedManifest<'t, 't>,
}

impl File<'_> {
    pub(super) fn is_changed(&self) -> bool {
        *self.mutated.text != *self.source.text
    }
}

/// Joins the files, with a `---` before each that does not begin with one.
///
/// # Errors
/// If joining the files would change their documents.
pub(super) fn yaml(files: &[File<'_>]) -> anyhow::Result<String> {
    if let [file] = files {
        return Ok(file.mutated.text.to_string());
    }
    let mut text = String::new();
    for file in files.iter().filter(|file| !file.mutated.text.is_empty()) {
        let next = file.mutated.text.trim_start_matches(BYTE_ORDER_MARK);
        if text.is_empty() {
            text.push_str(&file.mutated.text);
            continue;
        }
        if !text.ends_with(['\n', '\r']) {
            text.push('\n');
        }
        match first_line(next) {
            // A directive is recognized only after the end of a document.
            Some(line) if line.starts_with('%') => text.push_str("...\n"),
            Some(line) if is_marker(line) => {}
            _ => text.push_str("---\n"),
        }
        text.push_str(next);
    }
    let read = Manifest::parse(&text).ok();
    let read = read
        .as_ref()
        .map(|manifest| manifest.documents.iter().map(|document| &document.value).filter(|value| !value.is_null()));
    let each = files.iter().map(|file| Manifest::parse(&file.mutated.text)).collect::<Result<Vec<_>, _>>()?;
    let each = each
        .iter()
        .flat_map(|manifest| &manifest.documents)
        .map(|document| &document.value)
        .filter(|value| !value.is_null());
    if !read.is_some_and(|read| read.eq(each)) {
        bail!("these files cannot be joined into one YAML stream: mutate each file separately, or use -o json");
    }
    Ok(text)
}

/// Returns the first line that is neither blank nor a comment.
fn first_line(text: &str) -> Option<&str> {
    text.split(['\n', '\r']).find(|line| !line.trim().is_empty() && !line.starts_with('#'))
}

/// Returns true if a line begins a document.
fn is_marker(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

/// Renders the changed objects as one List.
pub(super) fn json(files: &[File<'_>]) -> serde_json::Result<String> {
    let items: Vec<Value> = changed(files).map(|(_, object)| object.changed()).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    Ok(serde_json::to_string_pretty(&list)? + "\n")
}

/// Renders a JSON patch for each changed object, one per line.
pub(super) fn patches(files: &[File<'_>]) -> serde_json::Result<String> {
    let mut lines = String::new();
    for (file, object) in changed(files) {
        let line = json!({
            "file": file.source.name,
            "document": object.object.document + 1,
            "kind": object.object.kind,
            "namespace": object.namespace,
            "name": object.name,
            "patch": object.patch(),
        });
        lines += &(serde_json::to_string(&line)? + "\n");
    }
    Ok(lines)
}

fn changed<'f>(files: &'f [File<'f>]) -> impl Iterator<Item = (&'f File<'f>, &'f MutatedObject<'f>)> {
    let objects = files.iter().flat_map(|file| file.mutated.objects.iter().map(move |object| (file, object)));
    objects.filter(|(_, object)| object.is_changed())
}

/// Describes what was found for a workload, what was decided, and why.
pub(super) fn explanation(source: &Source, mutation: &MutatedObject<'_>) -> String {
    let found = match &*mutation.claims {
        "" => String::new(),
        found => format!("; {found}"),
    };
    let why = mutation.reason.explanation().trim_end_matches('.');
    let scheduler = mutation.scheduler.as_deref().map(|name| format!(" -> {name}")).unwrap_or_default();
    let refusal = mutation.refusal.as_ref();
    let refusal = refusal.map(|why| format!("; left unchanged: {why}, at {}", why.position)).unwrap_or_default();
    line(source, mutation, &format!("{}{scheduler}{found}{refusal} ({why})", mutation.reason))
}

/// Describes what could not be resolved for a workload.
pub(super) fn unresolved(source: &Source, mutation: &MutatedObject<'_>) -> String {
    match &mutation.refusal {
        Some(why) => line_at(source, why.position, mutation, &format!("left unchanged: {why}")),
        None if mutation.claims.is_empty() => own_warnings(source, mutation),
        None => line(source, mutation, &format!("{}: {}", mutation.reason, mutation.claims)),
    }
}

/// Describes a Helm template, in which workloads cannot be recognized.
pub(super) fn template(source: &Source, position: Position) -> String {
    bounded(&format!("{}:{position}: left unchanged: {HELM_ADVICE}", source.name)) + "\n"
}

/// Renders the warnings that `kubectl apply` would print, except those about unresolved claims.
pub(super) fn warnings(source: &Source, mutation: &MutatedObject<'_>) -> String {
    warning_lines(source, mutation, |of_reason| !(of_reason && mutation.is_unresolved()))
}

/// Renders the warnings that explain why something is unresolved.
pub(super) fn own_warnings(source: &Source, mutation: &MutatedObject<'_>) -> String {
    warning_lines(source, mutation, |of_reason| of_reason)
}

/// Renders the warnings that `shown` accepts. Its argument is true for the warning of the decision's reason.
fn warning_lines(source: &Source, mutation: &MutatedObject<'_>, shown: impl Fn(bool) -> bool) -> String {
    let own = mutation.reason.as_str();
    let shown = mutation.warnings.iter().filter(|warning| shown(warning.word() == Some(own)));
    shown.map(|warning| line(source, mutation, &warning.to_string())).collect()
}

/// Renders a line about a workload.
pub(super) fn line(source: &Source, mutation: &MutatedObject<'_>, text: &str) -> String {
    line_at(source, mutation.object.position, mutation, text)
}

fn line_at(source: &Source, position: Position, mutation: &MutatedObject<'_>, text: &str) -> String {
    let MutatedObject { object, namespace, name, .. } = mutation;
    bounded(&format!("{}:{position}: {} {namespace}/{name}: {text}", source.name, object.kind)) + "\n"
}
