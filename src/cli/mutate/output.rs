//! The output of `colocate mutate` in each format, written document by document.

use std::io::{self, BufWriter, Stdout, Write};
use std::ops::Range;

use serde_json::json;

use super::diff;
use super::replacements::Replacements;
use crate::cli::json_list::JsonList;
use crate::cli::paint::Paint;
use crate::manifest::{BYTE_ORDER_MARK, Document, Edit, Manifest, MutatedDocument, MutatedObject, Source};

/// Writes the changes to standard output, or to the files.
pub(super) struct Output {
    format: Format,
    out: Pipe,
    /// The number of files that were begun.
    files: usize,
    /// The edits of the current file.
    edits: Vec<(Range<usize>, String)>,
}

enum Format {
    Nothing,
    /// The texts, with a separator before each.
    Yaml(Vec<String>),
    Json(JsonList),
    Diff(Paint),
    Patches,
    Replace(Box<Replacements>),
}

/// Standard output. If the reader closes it, as `head` does, the rest is dropped; the exit code still reports the result.
struct Pipe {
    out: BufWriter<Stdout>,
    closed: bool,
}

/// The beginning and end of a List of the changed objects.
const LIST: (&str, &str) = ("{\n  \"apiVersion\": \"v1\",\n  \"items\": ", ",\n  \"kind\": \"List\"\n}\n");

impl Output {
    pub(super) fn nothing() -> Self {
        Self::new(Format::Nothing)
    }

    /// Prints the texts with the edits made. `separators` has the text before each file; none if there is only one file.
    pub(super) fn yaml(separators: Vec<String>) -> Self {
        Self::new(Format::Yaml(separators))
    }

    /// Prints the changed objects as one List.
    pub(super) fn json() -> Self {
        Self::new(Format::Json(JsonList::new(1)))
    }

    /// Prints the differences of all files.
    pub(super) fn diff(paint: Paint) -> Self {
        Self::new(Format::Diff(paint))
    }

    /// Prints a JSON patch for each changed object, one per line.
    pub(super) fn patches() -> Self {
        Self::new(Format::Patches)
    }

    /// Changes the files in place.
    pub(super) fn replace(replacements: Replacements) -> Self {
        Self::new(Format::Replace(Box::new(replacements)))
    }

    fn new(format: Format) -> Self {
        let out = Pipe { out: BufWriter::new(io::stdout()), closed: false };
        Self { format, out, files: 0, edits: Vec::new() }
    }

    /// Begins a file.
    pub(super) fn begin(&mut self, manifest: &Manifest<'_>) -> io::Result<()> {
        match &self.format {
            Format::Yaml(separators) => {
                if let Some(separator) = separators.get(self.files) {
                    self.out.write(separator)?;
                }
                if manifest.documents().next().is_none() {
                    self.out.write(manifest.text)?;
                }
            }
            Format::Json(_) if self.files == 0 => self.out.write(LIST.0)?,
            _ => {}
        }
        self.files += 1;
        Ok(())
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
                let inner = self.files > 1 && document.range.start == 0;
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
            Format::Diff(_) => {
                let edits =
                    mutated.edits.iter().map(|Edit { range, replacement, .. }| (range.clone(), replacement.clone()));
                self.edits.extend(edits);
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
    pub(super) fn end(&mut self, source: &Source, manifest: &Manifest<'_>) -> anyhow::Result<()> {
        match &mut self.format {
            Format::Diff(paint) => {
                let edits = std::mem::take(&mut self.edits);
                if !edits.is_empty() {
                    self.out.write(&diff::of(source, manifest.text, &edits, *paint))?;
                }
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
        Ok(self.out.flush()?)
    }
}

impl Pipe {
    fn write(&mut self, text: &str) -> io::Result<()> {
        let written = if self.closed { Ok(()) } else { self.out.write_all(text.as_bytes()) };
        self.unless_closed(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = if self.closed { Ok(()) } else { self.out.flush() };
        self.unless_closed(flushed)
    }

    fn unless_closed(&mut self, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            result => result,
        }
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
