//! The first reading of all files: what cannot be read, and the objects that decisions depend on.
//!
//! Only the objects that decisions depend on are kept. The files are read again for the decisions, so that memory is bounded by the
//! largest document and these objects.

use std::collections::HashSet;

use super::console::Console;
use super::input::{Input, size};
use super::problem::Problem;
use crate::engine::{Policy, amount};
use crate::manifest::{
    Controllers, DescriptionKind, Document, FileId, FileRole, KnownObjects, Kustomizations, Manifest, ParseError,
    Position, Purpose, ReadError, Source, Syntax, Unusable,
};

/// The result of the first reading.
pub(super) struct Survey {
    /// The claims, classes, volumes, placement strategies and Namespaces.
    pub(super) known: KnownObjects,
    /// The objects that other objects may name as their controller.
    pub(super) controllers: Controllers,
    /// The number of each file of [`Input::sources`] in `known`.
    pub(super) files: Vec<FileId>,
    /// The objects in [`Input::sources`] that cannot be used as a description: each with the index of its file and document.
    pub(super) unusable: Vec<(usize, usize, Unusable)>,
    /// The objects in [`Input::described`] that cannot be used: each with its file.
    pub(super) skipped: Vec<Skipped>,
    /// Whether there is a document that is not empty, also in standard input if that is read.
    pub(super) has_documents: bool,
    /// The indices of the files in [`Input::sources`] that have errors.
    pub(super) failed: HashSet<usize>,
}

/// An object or document that is not used as a description.
pub(super) struct Skipped {
    pub(super) file: String,
    pub(super) position: Position,
    pub(super) what: String,
}

/// The ends of a file's text, by which it is joined with others.
pub(super) struct Ends {
    pub(super) syntax: Syntax,
    /// The text of the first and of the last document; the whole text if there is none.
    pub(super) first: String,
    pub(super) last: String,
    pub(super) documents: usize,
}

/// Called with each file and its ends; `None` if its text is empty.
pub(super) type AddEnds<'f> = &'f mut dyn FnMut(&Source, Option<Ends>);

/// The documents of a file that cannot be parsed. Only the first ones are kept.
struct Failures<'s> {
    source: &'s Source,
    first: Vec<Problem>,
    count: usize,
}

/// The most documents of a file that are reported as unparsable.
const MAX_FAILURES: usize = 100;

impl<'s> Failures<'s> {
    fn new(source: &'s Source) -> Self {
        Self { source, first: Vec::new(), count: 0 }
    }

    fn add(&mut self, error: &ParseError) {
        self.count += 1;
        if self.count <= MAX_FAILURES {
            self.first.push(Problem::of_document(self.source, error));
        }
    }

    /// Adds the failures to those of the run.
    fn end(self, problems: &mut Vec<Problem>) {
        problems.extend(self.first);
        if self.count > MAX_FAILURES {
            let more = self.count - MAX_FAILURES;
            problems.push(Problem::of_file(self.source, format!("{} cannot be parsed", amount(more, "more document"))));
        }
    }
}

impl Ends {
    /// The ends of a file that begins with this manifest, without its last document.
    fn beginning(manifest: &Manifest<'_>, first: Option<&str>) -> Self {
        let first = first.unwrap_or(manifest.text).to_owned();
        Self { syntax: manifest.syntax, first, last: String::new(), documents: 0 }
    }
}

impl Survey {
    /// Reads all files. Calls `ends` for each source, with `None` if its text is empty.
    pub(super) fn read(
        input: &mut Input,
        policy: &Policy,
        purpose: Purpose,
        namespace: &str,
        console: &mut Console,
        mut ends: Option<AddEnds<'_>>,
    ) -> Self {
        let mut survey = Self {
            known: KnownObjects::new(Kustomizations::read(
                input.described.iter().chain(&input.sources),
                policy,
                purpose,
            )),
            controllers: Controllers::default(),
            files: Vec::new(),
            unusable: Vec::new(),
            skipped: Vec::new(),
            has_documents: false,
            failed: HashSet::new(),
        };
        let mut is_stdin_empty = false;
        let label = &*policy.opt_out.namespace_label;
        console.start("reading", size(input.described.iter().chain(&input.sources)));
        for source in &input.described {
            let file = survey.known.add_file(&source.name, source.path.as_deref(), FileRole::Description);
            let mut failures = Failures::new(source);
            let read = each_document(source, |document| {
                console.advance(document.as_ref().map_or(0, |document| document.text().len()));
                match document {
                    Ok(document) => survey.add_described(source, file, &document, namespace, label),
                    Err(error) => failures.add(&error),
                }
            });
            failures.end(&mut input.problems);
            input.problems.extend(read.err().map(Problem::from));
        }
        for (index, source) in input.sources.iter().enumerate() {
            let file = survey.known.add_file(&source.name, source.path.as_deref(), FileRole::Input);
            survey.files.push(file);
            let mut failures = Failures::new(source);
            let mut is_empty = true;
            let mut joined = None;
            let read = each_chunk(source, |manifest| {
                let (mut first, mut last, mut documents) = (None, None, 0);
                for document in manifest.documents() {
                    let document = match document {
                        Ok(document) => document,
                        Err(error) => {
                            failures.add(&error);
                            continue;
                        }
                    };
                    console.advance(document.text().len());
                    is_empty &= document.value.is_null();
                    survey.controllers.add(file, &document, policy, namespace);
                    let unusable = survey.known.add(file, &document, namespace, label).into_iter();
                    if purpose == Purpose::Validate {
                        survey.known.add_claim_templates(file, &document, policy);
                    }
                    survey.unusable.extend(unusable.map(|unusable| (index, document.index, unusable)));
                    first = first.or(Some(document.text()));
                    last = Some(document.text());
                    documents += 1;
                }
                if ends.is_some() {
                    let joined = joined.get_or_insert_with(|| Ends::beginning(manifest, first));
                    last.unwrap_or(manifest.text).clone_into(&mut joined.last);
                    joined.documents += documents;
                }
            });
            if failures.count > 0 || read.is_err() {
                survey.failed.insert(index);
            }
            failures.end(&mut input.problems);
            if let Err(error) = read {
                input.problems.push(error.into());
                continue;
            }
            survey.has_documents |= !is_empty;
            is_stdin_empty |= is_empty && source.is_stdin();
            if let Some(ends) = &mut ends {
                ends(source, joined);
            }
        }
        console.clear();
        survey.has_documents &= !is_stdin_empty;
        survey
    }

    fn add_described(
        &mut self,
        source: &Source,
        file: FileId,
        document: &Document<'_>,
        namespace: &str,
        opt_out: &str,
    ) {
        let skipped = |position, what| Skipped { file: source.name.clone(), position, what };
        let describes = || document.objects().iter().any(|object| DescriptionKind::of(object).is_some());
        if let Some(error) = document.duplicate.as_ref().filter(|_| describes()) {
            self.skipped.push(skipped(error.position, error.message.clone()));
        }
        for unusable in self.known.add(file, document, namespace, opt_out) {
            self.skipped.push(skipped(unusable.position, unusable_text(&unusable)));
        }
    }
}

/// Describes why an object is not used: its kind and name, and the error.
pub(super) fn unusable_text(Unusable { kind, name, what, .. }: &Unusable) -> String {
    let object = format!("{kind} {name}");
    format!("{}: it cannot be used: {what}", object.trim_end())
}

/// Reads a file, and parses its documents one after the other.
pub(super) fn each_document(
    source: &Source,
    mut f: impl FnMut(Result<Document<'_>, ParseError>),
) -> Result<(), ReadError> {
    each_chunk(source, |manifest| manifest.documents().for_each(&mut f))
}

/// Reads a file, one chunk after the other.
fn each_chunk(source: &Source, mut f: impl FnMut(&Manifest<'_>)) -> Result<(), ReadError> {
    source.chunks()?.try_for_each(|chunk| {
        f(&chunk?.manifest());
        Ok(())
    })
}
