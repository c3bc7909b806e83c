//! The findings and gaps of a document, each with its place in the file.

use std::ops::Range;

use crate::cli::survey::unusable_text;
use crate::companion::{FieldPath, Finding, Part, Rule, Unchecked};
use crate::manifest::{
    DescriptionKind, Document, ManifestObject, Position, Source, TEMPLATE_ADVICE, Unusable, ValidatedDocument,
    ValidatedObject,
};

/// The result for a document, ordered by position.
pub(super) struct Outcome<'v> {
    pub(super) findings: Vec<PlacedFinding<'v>>,
    pub(super) gaps: Vec<Gap<'v>>,
    /// Lines about documents that no rule applies to.
    pub(super) remarks: Vec<Gap<'v>>,
    /// The objects that were checked.
    pub(super) objects: &'v [ValidatedObject<'v>],
}

/// A finding with its place.
pub(super) struct PlacedFinding<'v> {
    pub(super) range: SourceRange<'v>,
    pub(super) object: &'v ValidatedObject<'v>,
    pub(super) finding: &'v Finding,
    /// The reason of the comment that ignores it, if any.
    pub(super) ignored: Option<&'v str>,
}

/// Something that could not be checked.
pub(super) struct Gap<'v> {
    /// Its place; `None` if it is about the cluster or a whole file.
    pub(super) range: Option<SourceRange<'v>>,
    /// The object, if it is about one that was checked.
    pub(super) object: Option<&'v ValidatedObject<'v>>,
    /// The rule, if it is a single one.
    pub(super) rule: Option<Rule>,
    /// A description of what could not be checked, and why.
    pub(super) what: String,
}

/// A range of bytes in a file.
pub(super) struct SourceRange<'v> {
    pub(super) source: &'v Source,
    document: &'v Document<'v>,
    range: Range<usize>,
}

impl Gap<'_> {
    /// A gap that is not about a place in a checked file.
    pub(super) fn of_run(what: String) -> Self {
        Self { range: None, object: None, rule: None, what }
    }
}

impl<'v> Outcome<'v> {
    /// Collects the results. `unusable` has the objects that cannot be used as descriptions.
    pub(super) fn new(
        source: &'v Source,
        document: &'v Document<'v>,
        validated: &'v ValidatedDocument<'v>,
        unusable: impl IntoIterator<Item = &'v Unusable>,
    ) -> Self {
        let objects = &*validated.objects;
        let mut outcome = Self { findings: Vec::new(), gaps: Vec::new(), remarks: Vec::new(), objects };
        let at = |range| SourceRange { source, document, range };
        for object in &validated.objects {
            outcome.add(at, document, object);
        }
        for unusable in unusable {
            let is_reported =
                validated.objects.iter().any(|other| other.object.path == unusable.path && other.report.is_err());
            if !is_reported {
                let start = document.value_span(&unusable.path).unwrap_or_default().start;
                outcome.gaps.push(Gap {
                    range: Some(at(start..start)),
                    object: None,
                    rule: None,
                    what: unusable_text(unusable),
                });
            }
        }
        let undecided = validated.undecided.iter();
        outcome.gaps.extend(undecided.map(|found| Gap {
            range: Some(at(found.range.clone())),
            object: None,
            rule: None,
            what: found.what.clone(),
        }));
        let template = validated.template.iter().cloned();
        outcome.gaps.extend(template.map(|mark| Gap {
            range: Some(at(mark)),
            object: None,
            rule: None,
            what: TEMPLATE_ADVICE.to_owned(),
        }));
        outcome.add_duplicate(at, document, validated);
        outcome.findings.sort_by_key(|found| (found.range.range.start, found.finding.rule));
        outcome.gaps.sort_by_key(|gap| (gap.range.as_ref().map(|range| range.range.start), gap.rule));
        outcome
    }

    fn add(
        &mut self,
        at: impl Fn(Range<usize>) -> SourceRange<'v>,
        document: &Document<'_>,
        object: &'v ValidatedObject<'v>,
    ) {
        let gap = |what: &str| {
            let start = document.place(&object.object, &FieldPath::default(), Part::Value).start;
            Gap {
                range: Some(at(start..start)),
                object: Some(object),
                rule: None,
                what: format!("{}: {what}", object.object.title()),
            }
        };
        self.findings.extend(object.comments.iter().map(|about| PlacedFinding {
            range: at(about.range.clone()),
            object,
            finding: &about.finding,
            ignored: None,
        }));
        let report = match &object.report {
            Ok(report) => report,
            Err(why) => {
                self.gaps.push(gap(&format!("the object does not have the structure of its kind: {why}")));
                return;
            }
        };
        let ignored = object.ignored.iter().map(|ignored| (&ignored.finding, Some(&*ignored.reason)));
        let found = report.findings.iter().map(|finding| (finding, None)).chain(ignored);
        self.findings.extend(found.map(|(finding, ignored)| PlacedFinding {
            range: at(document.place(&object.object, &finding.path, finding.part)),
            object,
            finding,
            ignored,
        }));
        self.gaps.extend(report.unchecked.iter().map(|Unchecked { rule, why, path, .. }| Gap {
            range: Some(at(document.place(&object.object, path, Part::Key))),
            object: Some(object),
            rule: Some(*rule),
            what: format!("{}: {why} (at {path})", rule.title()),
        }));
        if report.cut {
            self.gaps.push(gap("it has more findings than are listed: fix these first, and validate again"));
        }
        if let Some(why) = &object.unknown_namespace {
            self.gaps.push(gap(&format!("{why}: assuming that it does not opt out")));
        }
    }

    /// Adds a line about a duplicate key. It is a gap if the document has an object that is checked or describes something.
    fn add_duplicate(
        &mut self,
        at: impl Fn(Range<usize>) -> SourceRange<'v>,
        document: &Document<'_>,
        validated: &ValidatedDocument<'_>,
    ) {
        let Some(error) = &document.duplicate else { return };
        let objects = document.objects();
        let described = objects.iter().find(|object| DescriptionKind::of(object).is_some());
        let object = validated.unchecked.first().or(described);
        let range = Some(at(error.offset..error.offset));
        match object.map(ManifestObject::title) {
            Some(name) => {
                self.gaps.push(Gap { range, object: None, rule: None, what: format!("{name}: {}", error.message) });
            }
            None => self.remarks.push(Gap { range, object: None, rule: None, what: error.message.clone() }),
        }
    }
}

impl SourceRange<'_> {
    /// Returns the file name as given, without a leading `./`; `None` for standard input.
    pub(super) fn file(&self) -> Option<&str> {
        self.source.path.as_ref()?;
        Some(file(&self.source.name))
    }

    pub(super) fn start(&self) -> Position {
        self.document.position(self.range.start)
    }

    /// Returns the position after the last character.
    pub(super) fn end(&self) -> Position {
        self.document.position(self.range.end)
    }

    /// Returns the line with carets below the range.
    pub(super) fn excerpt(&self) -> String {
        self.document.excerpt(&self.range)
    }
}

/// Returns a file name without a leading `./`.
pub(super) fn file(mut name: &str) -> &str {
    while let Some(rest) = name.strip_prefix("./") {
        name = rest.trim_start_matches('/');
    }
    name
}
