//! The files whose application is simulated.

use super::super::console::Console;
use super::super::input::{Input, size};
use super::super::problem::Problem;
use super::super::survey::each_document;
use crate::engine::Policy;
use crate::inspect::FileObject;
use crate::manifest::{Document, FileId, FileRole, KnownObjects, Kustomizations, Purpose, Source, TEMPLATE_ADVICE};

/// The objects of the files.
#[derive(Debug, Default)]
pub(in crate::cli) struct LaidFiles {
    pub(in crate::cli) objects: Vec<FileObject>,
    /// The parts that are not used, each with its place and the reason.
    pub(in crate::cli) skipped: Vec<String>,
    /// Whether there is a document that is not empty.
    pub(in crate::cli) has_documents: bool,
}

impl LaidFiles {
    /// Reads all files. `namespace` is the one of objects that name none, unless a kustomization gives them one. Paths that cannot be
    /// read are added to the problems of the input.
    pub(in crate::cli) fn read(input: &mut Input, namespace: &str, console: &mut Console) -> Self {
        let mut known = KnownObjects::new(Kustomizations::read(&input.sources, &Policy::default(), Purpose::Mutate));
        let mut laid = Self::default();
        console.start("reading", size(&input.sources));
        for source in &input.sources {
            let file = known.add_file(&source.name, source.path.as_deref(), FileRole::Input);
            let read = each_document(source, |document| match document {
                Ok(document) => {
                    console.advance(document.text().len());
                    laid.add(&known, file, source, &document, namespace);
                }
                Err(error) => input.problems.push(Problem::of_document(source, &error)),
            });
            input.problems.extend(read.err().map(Problem::from));
        }
        console.clear();
        laid
    }

    fn add(&mut self, known: &KnownObjects, file: FileId, source: &Source, document: &Document<'_>, namespace: &str) {
        self.has_documents |= !document.value.is_null();
        let place = |position| format!("{}:{position}", source.name);
        if let Some(mark) = document.template_mark() {
            self.skipped.push(format!("{}: skipped: {TEMPLATE_ADVICE}", place(document.position(mark.start))));
            return;
        }
        if let Some(error) = &document.duplicate {
            self.skipped.push(format!("{}: skipped: {}", place(error.position), error.message));
            return;
        }
        for object in document.objects() {
            let place = place(object.position);
            if let Some(values) = document.encrypted_values(&object) {
                let title = object.title();
                let why = format!("it has {values}: use the output of `sops decrypt`");
                self.skipped.push(format!("{place}: skipped: {title}: {why}"));
                continue;
            }
            for namespace in known.seen_from(file, Purpose::Mutate).namespaces(object.namespace_or(namespace)) {
                self.objects.push(FileObject {
                    place: place.clone(),
                    api_version: object.api_version.to_owned(),
                    kind: object.kind.to_owned(),
                    namespace: namespace.to_string(),
                    name: object.name(),
                    value: object.value.clone(),
                });
            }
        }
    }
}
