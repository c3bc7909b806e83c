//! The output of `colocate mutate` in each format, written document by document.

use serde_json::json;

use super::diff::FileDiff;
use super::replacements::Replacements;
use crate::cli::destination::Destination;
use crate::cli::json_list::JsonList;
use crate::cli::paint::Paint;
use crate::manifest::{BYTE_ORDER_MARK, Document, Edit, MutatedDocument, MutatedObject, Source};

/// Writes the changes to the destination, or to the files.
pub(super) struct Output {
    format: Format,
    out: Destination,
    /// The number of files that were begun.
    files: usize,
}

/// The format of the output.
pub(super) enum Format {
    Nothing,
    /// The edited texts, joined. Has the separator before each file; empty if there is only one file.
    Yaml(Vec<String>),
    /// The changed objects as one List.
    Json(JsonList),
    /// The differences of all files, with the diff of the current one.
    Diff(Paint, Option<FileDiff>),
    /// A JSON patch for each changed object, one per line.
    Patches,
    /// No output: the files are changed in place.
    Replace(Box<Replacements>),
}

/// The beginning and end of a List of the changed objects.
const LIST: (&str, &str) = ("{\n  \"apiVersion\": \"v1\",\n  \"items\": ", ",\n  \"kind\": \"List\"\n}\n");

impl Output {
    pub(super) fn new(format: Format, out: Destination) -> Self {
        Self { format, out, files: 0 }
    }

    /// Begins a file.
    pub(super) fn begin(&mut self) -> anyhow::Result<()> {
        match &mut self.format {
            Format::Yaml(separators) => {
                if let Some(separator) = separators.get(self.files) {
                    self.out.write(separator)?;
                }
            }
            Format::Json(_) if self.files == 0 => self.out.write(LIST.0)?,
            Format::Diff(paint, file) => *file = Some(FileDiff::new(*paint)),
            _ => {}
        }
        self.files += 1;
        Ok(())
    }

    /// Writes the text of a file that has no documents, only comments.
    pub(super) fn without_documents(&mut self, text: &str) -> anyhow::Result<()> {
        if matches!(self.format, Format::Yaml(_)) { self.out.write(text) } else { Ok(()) }
    }

    /// Writes the next document of the file.
    pub(super) fn document(
        &mut self,
        source: &Source,
        document: &Document<'_>,
        mutated: &MutatedDocument<'_>,
    ) -> anyhow::Result<()> {
        match &mut self.format {
            Format::Nothing => {}
            Format::Yaml(_) => {
                // Only the first file may begin with a byte order mark.
                let inner = self.files > 1 && document.offset() == 0;
                for (index, piece) in document.edited(&mutated.edits).enumerate() {
                    let piece = if inner && index == 0 { piece.trim_start_matches(BYTE_ORDER_MARK) } else { piece };
                    self.out.write(piece)?;
                }
            }
            Format::Json(list) => {
                for object in mutated.objects.iter().filter(|object| object.is_changed()) {
                    self.out.write(&list.item(&object.changed())?)?;
                }
            }
            Format::Diff(_, file) => {
                let start = document.range.start;
                let edits = mutated.edits.iter().map(|Edit { range, replacement, .. }| {
                    (range.start - start..range.end - start, replacement.clone())
                });
                let hunks = file.as_mut().map(|file| file.add(source, document.text(), edits));
                self.out.write(&hunks.unwrap_or_default())?;
            }
            Format::Patches => {
                for object in mutated.objects.iter().filter(|object| object.is_changed()) {
                    self.out.write(&patch(source, document, object)?)?;
                }
            }
            Format::Replace(replacements) => replacements.document(source, document, &mutated.edits)?,
        }
        Ok(())
    }

    /// Ends the file.
    pub(super) fn end(&mut self, source: &Source) -> anyhow::Result<()> {
        match &mut self.format {
            Format::Diff(_, file) => {
                let hunks = file.take().map(|file| file.end(source));
                self.out.write(&hunks.unwrap_or_default())?;
            }
            Format::Replace(replacements) => replacements.end_file()?,
            _ => {}
        }
        Ok(())
    }

    /// Ends the output. Files are changed only now.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        match self.format {
            Format::Json(list) => {
                if self.files == 0 {
                    self.out.write(LIST.0)?;
                }
                self.out.write(&list.end())?;
                self.out.write(LIST.1)?;
            }
            Format::Replace(replacements) => replacements.commit()?,
            _ => {}
        }
        self.out.finish()
    }
}

fn patch(source: &Source, document: &Document<'_>, object: &MutatedObject<'_>) -> serde_json::Result<String> {
    let line = json!({
        "file": source.name,
        "document": document.index + 1,
        "kind": object.object.kind,
        "namespace": object.namespace,
        "name": object.name,
        "patch": object.patch(),
    });
    Ok(serde_json::to_string(&line)? + "\n")
}
