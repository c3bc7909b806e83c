//! What was found in all files, each with its place.

use std::ops::Range;

use crate::cli::knowledge::Unseen;
use crate::companion::{FieldPath, Finding, Part, Rule, Severity, Unchecked};
use crate::manifest::{Manifest, ManifestObject, Position, Source, ValidatedManifest, ValidatedObject};

/// What was found and what could not be checked, in the order of the files and of the places in each.
pub(super) struct Outcome<'v> {
    pub(super) found: Vec<Found<'v>>,
    pub(super) gaps: Vec<Gap<'v>>,
    /// How many objects were looked at.
    pub(super) objects: usize,
    /// In how many files.
    pub(super) files: usize,
}

/// A finding and where it is.
pub(super) struct Found<'v> {
    pub(super) place: Place<'v>,
    pub(super) object: &'v ValidatedObject<'v>,
    pub(super) finding: &'v Finding,
}

/// Something that could not be checked.
pub(super) struct Gap<'v> {
    /// Where; nowhere, if it is about the cluster.
    pub(super) place: Option<Place<'v>>,
    /// The rule, if it is one alone.
    pub(super) rule: Option<Rule>,
    /// What, and why.
    pub(super) what: String,
}

/// Some bytes of a file.
pub(super) struct Place<'v> {
    source: &'v Source,
    manifest: &'v Manifest<'v>,
    range: Range<usize>,
}

impl<'v> Outcome<'v> {
    /// `odd` are the objects of each manifest that are not built as their kind.
    pub(super) fn new(
        sources: &'v [Source],
        manifests: &'v [Manifest<'v>],
        validated: &'v [ValidatedManifest<'v>],
        odd: &'v [Vec<(ManifestObject<'v>, String)>],
        unseen: &Unseen,
    ) -> Self {
        let mut outcome = Self { found: Vec::new(), gaps: Vec::new(), objects: 0, files: sources.len() };
        for note in &unseen.notes {
            outcome.gaps.push(Gap { place: None, rule: None, what: note.clone() });
        }
        for (((source, manifest), validated), odd) in sources.iter().zip(manifests).zip(validated).zip(odd) {
            let mut file = File { source, manifest, found: Vec::new(), gaps: Vec::new() };
            file.read(validated, odd);
            outcome.objects += validated.objects.len();
            outcome.found.append(&mut file.found);
            outcome.gaps.append(&mut file.gaps);
        }
        outcome
    }

    /// How many findings are of this severity.
    pub(super) fn count(&self, severity: Severity) -> usize {
        self.found.iter().filter(|found| found.finding.severity == severity).count()
    }

    pub(super) fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }
}

/// What was found in one file.
struct File<'v> {
    source: &'v Source,
    manifest: &'v Manifest<'v>,
    found: Vec<Found<'v>>,
    gaps: Vec<Gap<'v>>,
}

impl<'v> File<'v> {
    fn read(&mut self, validated: &'v ValidatedManifest<'v>, odd: &'v [(ManifestObject<'v>, String)]) {
        for validation in &validated.objects {
            match &validation.report {
                Ok(report) => {
                    report.findings.iter().for_each(|finding| self.found(validation, finding));
                    report.unchecked.iter().for_each(|unchecked| self.unchecked(validation, unchecked));
                    if report.cut {
                        self.gap(
                            &validation.object,
                            "there is more than is listed: mend this first, and validate again",
                        );
                    }
                }
                Err(why) => self.gap(&validation.object, &format!("not built as its kind: {why}")),
            }
        }
        for (object, why) in odd {
            let told = |other: &ValidatedObject<'_>| other.report.is_err() && is_same(&other.object, object);
            if !validated.objects.iter().any(told) {
                self.gap(object, &format!("not built as its kind: {why}"));
            }
        }
        for mark in &validated.templates {
            let what = "this looks like a Helm template: render it first, with `helm template`".to_owned();
            let place = self.place(mark.clone());
            self.gaps.push(Gap { place: Some(place), rule: None, what });
        }
        self.found.sort_by_key(|found| (found.place.range.start, found.finding.rule));
        self.gaps.sort_by_key(|gap| (gap.place.as_ref().map(|place| place.range.start), gap.rule));
    }

    fn found(&mut self, object: &'v ValidatedObject<'v>, finding: &'v Finding) {
        let place = self.place(self.manifest.place(&object.object, &finding.path, finding.part));
        self.found.push(Found { place, object, finding });
    }

    fn unchecked(&mut self, object: &ValidatedObject<'_>, unchecked: &Unchecked) {
        let Unchecked { rule, why, path, .. } = unchecked;
        let place = self.place(self.manifest.place(&object.object, path, Part::Key));
        self.gaps.push(Gap { place: Some(place), rule: Some(*rule), what: format!("{}: {why}; {path}", rule.title()) });
    }

    /// What is open about a whole object.
    fn gap(&mut self, object: &ManifestObject<'_>, what: &str) {
        let name = format!("{} {}", object.kind(), object.name());
        let start = self.manifest.place(object, &FieldPath::default(), Part::Value).start;
        let place = self.place(start..start);
        self.gaps.push(Gap { place: Some(place), rule: None, what: format!("{}: {what}", name.trim_end()) });
    }

    fn place(&self, range: Range<usize>) -> Place<'v> {
        Place { source: self.source, manifest: self.manifest, range }
    }
}

fn is_same(one: &ManifestObject<'_>, other: &ManifestObject<'_>) -> bool {
    (one.document(), one.path()) == (other.document(), other.path())
}

impl Place<'_> {
    /// The file as it was named; `standard input`.
    pub(super) fn name(&self) -> &str {
        &self.source.name
    }

    /// The file as it was named, without a `./`; none of standard input.
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

    /// The character behind the last one.
    pub(super) fn end(&self) -> Position {
        self.manifest.position(self.range.end)
    }

    /// Its line with carets below it.
    pub(super) fn excerpt(&self) -> String {
        self.manifest.excerpt(&self.range)
    }
}
