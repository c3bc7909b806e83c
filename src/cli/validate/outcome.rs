//! The findings and gaps of all files, each with its place in a file.

use std::ops::Range;

use crate::companion::{FieldPath, Finding, Part, Rule, Severity, Unchecked};
use crate::manifest::{HELM_ADVICE, Manifest, ManifestObject, Position, Source, ValidatedManifest, ValidatedObject};

/// The result of a run, ordered by file and position.
pub(super) struct Outcome<'v> {
    pub(super) findings: Vec<PlacedFinding<'v>>,
    pub(super) gaps: Vec<Gap<'v>>,
    /// The number of objects that were checked.
    pub(super) objects: usize,
    /// The number of files that were read.
    pub(super) files: usize,
}

/// A finding with its place.
pub(super) struct PlacedFinding<'v> {
    pub(super) range: SourceRange<'v>,
    pub(super) object: &'v ValidatedObject<'v>,
    pub(super) finding: &'v Finding,
}

/// Something that could not be checked.
pub(super) struct Gap<'v> {
    /// Its place; `None` if it is about the cluster.
    pub(super) range: Option<SourceRange<'v>>,
    /// The rule, if it is a single one.
    pub(super) rule: Option<Rule>,
    /// A description of what could not be checked, and why.
    pub(super) what: String,
}

/// A range of bytes in a file.
pub(super) struct SourceRange<'v> {
    /// The number of the file.
    index: usize,
    pub(super) source: &'v Source,
    manifest: &'v Manifest<'v>,
    range: Range<usize>,
}

impl<'v> Outcome<'v> {
    /// Collects the results. `unreadable` lists the objects of each manifest that do not have the structure of their kind,
    /// and `notes` what could not be read from a cluster.
    pub(super) fn new(
        sources: &'v [Source],
        manifests: &'v [Manifest<'v>],
        validated: &'v [ValidatedManifest<'v>],
        unreadable: &'v [Vec<(ManifestObject<'v>, String)>],
        notes: &[String],
    ) -> Self {
        let notes = notes.iter().map(|note| Gap { range: None, rule: None, what: note.clone() });
        let mut outcome = Self { findings: Vec::new(), gaps: notes.collect(), objects: 0, files: sources.len() };
        let files = sources.iter().zip(manifests).zip(validated).zip(unreadable).enumerate();
        for (index, (((source, manifest), validated), unreadable)) in files {
            let at = |range| SourceRange { index, source, manifest, range };
            outcome.add(at, manifest, validated, unreadable);
        }
        outcome.findings.sort_by_key(|found| (found.range.order(), found.finding.rule));
        outcome.gaps.sort_by_key(|gap| (gap.range.as_ref().map(SourceRange::order), gap.rule));
        outcome
    }

    fn add(
        &mut self,
        at: impl Fn(Range<usize>) -> SourceRange<'v>,
        manifest: &Manifest<'_>,
        validated: &'v ValidatedManifest<'v>,
        unreadable: &[(ManifestObject<'_>, String)],
    ) {
        let gap = |object: &ManifestObject<'_>, what: &str| {
            let start = manifest.place(object, &FieldPath::default(), Part::Value).start;
            let name = format!("{} {}", object.kind, object.name());
            Gap { range: Some(at(start..start)), rule: None, what: format!("{}: {what}", name.trim_end()) }
        };
        let wrong_structure = |object: &ManifestObject<'_>, why: &str| {
            gap(object, &format!("the object does not have the structure of its kind: {why}"))
        };
        self.objects += validated.objects.len();
        for object in &validated.objects {
            let report = match &object.report {
                Ok(report) => report,
                Err(why) => {
                    self.gaps.push(wrong_structure(&object.object, why));
                    continue;
                }
            };
            self.findings.extend(report.findings.iter().map(|finding| PlacedFinding {
                range: at(manifest.place(&object.object, &finding.path, finding.part)),
                object,
                finding,
            }));
            self.gaps.extend(report.unchecked.iter().map(|Unchecked { rule, why, path, .. }| Gap {
                range: Some(at(manifest.place(&object.object, path, Part::Key))),
                rule: Some(*rule),
                what: format!("{}: {why} (at {path})", rule.title()),
            }));
            if report.cut {
                let what = "it has more findings than are listed: fix these first, and validate again";
                self.gaps.push(gap(&object.object, what));
            }
        }
        for (object, why) in unreadable {
            let is_reported = validated.objects.iter().any(|other| {
                let same = (other.object.document, &other.object.path) == (object.document, &object.path);
                same && other.report.is_err()
            });
            if !is_reported {
                self.gaps.push(wrong_structure(object, why));
            }
        }
        let templates = validated.templates.iter();
        self.gaps.extend(templates.map(|mark| Gap {
            range: Some(at(mark.clone())),
            rule: None,
            what: HELM_ADVICE.to_owned(),
        }));
    }

    /// Returns the number of findings of this severity.
    pub(super) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|found| found.finding.severity == severity).count()
    }
}

impl SourceRange<'_> {
    /// Returns the file name as given, without a leading `./`; `None` for standard input.
    pub(super) fn file(&self) -> Option<&str> {
        self.source.path.as_ref()?;
        let mut name = &*self.source.name;
        while let Some(rest) = name.strip_prefix("./") {
            name = rest.trim_start_matches('/');
        }
        Some(name)
    }

    pub(super) fn start(&self) -> Position {
        self.manifest.position(self.range.start)
    }

    /// Returns the position after the last character.
    pub(super) fn end(&self) -> Position {
        self.manifest.position(self.range.end)
    }

    /// Returns the line with carets below the range.
    pub(super) fn excerpt(&self) -> String {
        self.manifest.excerpt(&self.range)
    }

    fn order(&self) -> (usize, usize) {
        (self.index, self.range.start)
    }
}
