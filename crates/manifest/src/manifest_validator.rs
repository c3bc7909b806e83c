//! Runs the companion on manifests: returns the findings of each object with their ranges in the file.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use super::controllers::Controllers;
use super::document::{Document, ManifestObject};
use super::file_view::FileView;
use super::file_view::PossibleChange;
use super::ignore_comment::{Ignore, IgnoreComment};
use super::json_parser::without_position;
use super::known_objects::{FileId, KnownObjects, Purpose};
use super::missing_facts::MissingFacts;
use super::patches::{JSON_PATCH, PatchCheck, is_json_patch};
use super::sops::{self, EncryptedValues};
use super::undecided::Undecided;
use colocate_companion::{
    Facts, FieldPath, Finding, MountedClaim, Needs, Part, Rule, Severities, Subject, SubjectKind, ValidationReport,
};
use colocate_engine::Policy;

/// Checks manifests against the rules.
#[derive(Clone, Copy, Debug)]
pub struct ManifestValidator<'a> {
    /// The policy, with its opt-outs and kinds.
    pub policy: &'a Policy,
    /// The severity of each rule.
    pub severities: &'a Severities,
    /// The claims, classes, volumes, placement strategies and Namespaces that are known.
    pub known: &'a KnownObjects,
    /// The controllers in the manifests.
    pub controllers: &'a Controllers,
    /// The namespace of objects that name none.
    pub namespace: &'a str,
}

/// A document with its findings.
#[derive(Debug)]
pub struct ValidatedDocument<'d> {
    /// The objects whose kind has rules, in order. A document with a duplicate key or a template has none.
    pub objects: Vec<ValidatedObject<'d>>,
    /// The range that makes the document look like a template.
    pub template: Option<Range<usize>>,
    /// The objects that are not checked, because the document has a duplicate key.
    pub unchecked: Vec<ManifestObject<'d>>,
    /// Objects that are not checked, but have a pod template with claims or a key of Stork.
    pub undecided: Vec<Undecided>,
}

/// An object with its findings.
#[derive(Debug)]
pub struct ValidatedObject<'d> {
    /// The object.
    pub object: ManifestObject<'d>,
    /// Its namespace; `None` for a cluster-scoped kind.
    pub namespace: Option<String>,
    /// Its name, or its `generateName` followed by `*`.
    pub name: String,
    /// The report, or an error if the object does not have the structure of its kind.
    pub report: Result<ValidationReport, String>,
    /// The reason why it is not known whether the Namespace opts out, if rules depend on that.
    pub unknown_namespace: Option<String>,
    /// The findings that comments ignore. The report does not have them, nor the unchecked rules that comments ignore.
    pub ignored: Vec<IgnoredFinding>,
    /// The findings about comments.
    pub comments: Vec<CommentFinding>,
    /// The cause by which a kustomization may change it, if rules that are not checked may depend on it.
    change: Option<PossibleChange>,
    /// The facts that rules lack.
    needs: BTreeSet<Needs>,
    /// Whether rules apply to it, apart from those about comments.
    has_rules: bool,
    /// Whether it is skipped because its controller is checked.
    is_of_controller: bool,
}

/// A finding that a comment ignores.
#[derive(Debug)]
pub struct IgnoredFinding {
    /// The finding.
    pub finding: Finding,
    /// The reason that the comment gives.
    pub reason: String,
}

/// A finding about a comment.
#[derive(Debug)]
pub struct CommentFinding {
    /// The range of the comment.
    pub range: Range<usize>,
    /// The finding. Its path is that of the object.
    pub finding: Finding,
}

impl<'a> ManifestValidator<'a> {
    /// Checks every object of a document in `file`, except those whose controller is also in the manifests and has the same
    /// findings.
    pub fn validate<'d>(&self, file: FileId, document: &'d Document<'_>) -> ValidatedDocument<'d> {
        let template = document.template_mark();
        if document.duplicate.is_some() {
            let unchecked = self.objects(document).map(|(object, _)| object).collect();
            let undecided = document.undecided(self.policy);
            return ValidatedDocument { objects: Vec::new(), template, unchecked, undecided };
        }
        let is_encrypted = sops::is_encrypted(&document.value);
        let view = self.known.seen_from(file, Purpose::Validate);
        let checked = self.objects(document).filter(|(object, _)| {
            let namespace = object.namespace_or(self.namespace);
            !self.controllers.include_that_of(object, self.policy, &view, namespace)
        });
        let mut undecided = document.undecided(self.policy);
        let objects = checked.map(|(object, kind)| {
            let mut validated = self.validate_object(file, object, kind);
            if let (SubjectKind::Kustomization, Ok(report)) = (kind, &mut validated.report) {
                report.findings.extend(self.patches().kustomization(validated.object.value).findings);
            }
            undecided.extend(validated.change.take().map(|change| changed(document, &validated.object, &change)));
            if let (true, Ok(report)) = (is_encrypted, &mut validated.report) {
                report.findings.retain(|finding| !sops::is_quoted_in(&finding.message));
            }
            validated
        });
        let mut objects: Vec<_> = objects.chain(self.json_patch(document)).collect();
        if template.is_none() {
            self.apply_comments(&view, document, is_encrypted, &mut objects);
        }
        if is_encrypted {
            let objects = self.objects(document).map(|(object, _)| object);
            undecided.extend(objects.filter_map(|object| encrypted_values(document, &object)));
        }
        ValidatedDocument { objects, template, unchecked: Vec::new(), undecided }
    }

    /// Adds the unknown facts that the rules need for a document in `file`.
    pub fn add_missing_facts(&self, file: FileId, document: &Document<'_>, missing: &mut MissingFacts) {
        let view = self.known.seen_from(file, Purpose::Validate);
        for (object, kind) in self.objects(document).filter(|_| document.duplicate.is_none()) {
            let (json, own) = (object.value.to_string(), object.namespace_or(self.namespace));
            let Ok(subject) = Subject::parse(&json, kind) else { continue };
            if subject.is_silent(self.policy) {
                continue;
            }
            let needs = subject.needs(self.policy, self.severities, self.known.strategies.clone());
            if needs.contains(&Needs::Namespace) {
                missing.namespaces.extend(view.namespaces(own).iter().map(ToString::to_string));
            }
            missing.strategies |= needs.contains(&Needs::Strategies);
            let parameters = needs.contains(&Needs::ClassParameters);
            if parameters || needs.contains(&Needs::Claims) {
                for (namespace, view) in view.builds(own) {
                    for claim in subject.claims() {
                        missing.add(&claim, &view, &namespace);
                    }
                }
                missing.parameters |= parameters && missing.class_names;
            }
        }
    }

    fn validate_object<'d>(
        &self,
        file: FileId,
        object: ManifestObject<'d>,
        kind: SubjectKind<'_>,
    ) -> ValidatedObject<'d> {
        let view = self.known.seen_from(file, Purpose::Validate);
        let (json, own) = (object.value.to_string(), object.namespace_or(self.namespace));
        let (mut unknown_namespace, mut lacking) = (None, BTreeSet::new());
        let mut change = view.change(&object);
        let report = Subject::parse(&json, kind).map(|subject| {
            let opted_out = view.opted_out(own);
            let needs = || subject.needs(self.policy, self.severities, self.known.strategies.clone());
            unknown_namespace = opted_out.as_ref().err().filter(|_| needs().contains(&Needs::Namespace)).cloned();
            let claims = subject.claims();
            let find = |claim| MountedClaim::with_owner(claim, view.owner_for(&object, claim, own), &view, own);
            let facts = Facts {
                claims: claims.iter().map(find).collect(),
                class_access: subject.class_name().and_then(|name| view.access_of_class(name)),
                strategies: self.known.strategies.clone(),
                namespace_opted_out: opted_out.unwrap_or(false),
            };
            let report;
            (report, lacking) = subject.check_with_needs(self.policy, self.severities, &facts);
            if change.is_none() {
                return report;
            }
            let of_keys = subject.check_keys(self.policy, self.severities);
            let of_claims = [Needs::Claims, Needs::ClassParameters];
            // Without a claim, no rule needs one, but the kustomization may add the first one.
            if report == of_keys && !of_claims.iter().any(|need| needs().contains(need)) {
                change = None;
            }
            lacking.extend(change.iter().flat_map(|_| of_claims));
            of_keys
        });
        let namespace = (!kind.is_cluster_scoped()).then(|| view.namespaces(own)[0].to_string());
        let report = report.map_err(|error| without_position(&error));
        ValidatedObject { unknown_namespace, change, needs: lacking, ..ValidatedObject::new(object, namespace, report) }
    }

    fn objects<'d>(
        &self,
        document: &'d Document<'_>,
    ) -> impl Iterator<Item = (ManifestObject<'d>, SubjectKind<'a>)> + use<'a, 'd> {
        let validator = *self;
        let objects = document.objects().into_iter();
        objects.filter_map(move |object| {
            let kind = SubjectKind::find_object(validator.policy, object.api_version, object.kind)?;
            // Nearly all files have such objects, and nearly none of them has a key of Stork.
            let is_rare = matches!(kind, SubjectKind::Other(_) | SubjectKind::Kustomization);
            (!is_rare || !validator.is_silent(&object, kind)).then_some((object, kind))
        })
    }

    /// Returns true if no rule applies to an object.
    fn is_silent(&self, object: &ManifestObject<'_>, kind: SubjectKind<'_>) -> bool {
        let json = object.value.to_string();
        let has_patches =
            || kind == SubjectKind::Kustomization && self.patches().kustomization(object.value).worst().is_some();
        Subject::parse(&json, kind).is_ok_and(|subject| subject.is_silent(self.policy)) && !has_patches()
    }

    fn patches(&self) -> PatchCheck<'a> {
        PatchCheck { policy: self.policy, severities: self.severities }
    }

    /// Checks a document that is a JSON patch.
    fn json_patch<'d>(&self, document: &'d Document<'_>) -> Option<ValidatedObject<'d>> {
        let (value, path) = (&document.value, FieldPath::default());
        let report = is_json_patch(value).then(|| self.patches().json_patch(value, None))?;
        report.worst()?;
        let position = document.position(document.value_span(&path).unwrap_or_default().start);
        let object = ManifestObject { path, value, api_version: "", kind: JSON_PATCH, position };
        Some(ValidatedObject::new(object, None, Ok(report)))
    }

    /// Removes the findings that comments ignore, and adds findings about comments that are not valid or ignore nothing.
    ///
    /// No comment counts as unused in a document that `is_encrypted`, because its values are not known.
    fn apply_comments<'d>(
        &self,
        view: &FileView<'_>,
        document: &'d Document<'_>,
        is_encrypted: bool,
        validated: &mut Vec<ValidatedObject<'d>>,
    ) {
        let comments = IgnoreComment::all(document);
        if comments.is_empty() {
            return;
        }
        let objects = document.objects();
        let end = |object: &ManifestObject<'_>| document.value_span(&object.path).unwrap_or_default().end;
        let ends: Vec<_> = objects.iter().map(end).collect();
        let mut seen = HashMap::new();
        for comment in comments {
            let owner = comment.owner(document, &ends).map(|owner| &objects[owner]);
            let path = owner.map(|owner| owner.path.clone()).unwrap_or_default();
            let index = validated.iter().position(|other| other.object.path == path).unwrap_or_else(|| {
                validated.push(self.without_rules(view, document, owner.cloned()));
                validated.len() - 1
            });
            let object = &mut validated[index];
            let range = &comment.range;
            let about = |finding| CommentFinding { range: range.clone(), finding };
            object.comments.extend(comment.invalid(self.severities).map(about));
            let Ok(ignore) = &comment.ignore else { continue };
            for &rule in &ignore.rules {
                let is_repeated = *seen.entry((index, rule)).or_insert(range.start) != range.start;
                let may_apply = is_encrypted || object.may_break(rule) || self.severities.of(rule).is_none();
                if is_repeated || !object.ignore(rule, ignore) && !may_apply {
                    object.comments.extend(ignore.unused(rule, is_repeated, self.severities).map(about));
                }
            }
        }
        validated.retain(|object| object.has_rules || !object.comments.is_empty());
    }

    /// Makes the result for an object, or for a document without objects, to which only the rules about comments apply.
    fn without_rules<'d>(
        &self,
        view: &FileView<'_>,
        document: &'d Document<'_>,
        object: Option<ManifestObject<'d>>,
    ) -> ValidatedObject<'d> {
        let report = Ok(ValidationReport::default());
        let Some(object) = object else {
            let (value, path) = (&document.value, FieldPath::default());
            let position = document.position(document.range.start);
            let object = ManifestObject { path, value, api_version: "", kind: DOCUMENT, position };
            return ValidatedObject { has_rules: false, ..ValidatedObject::new(object, None, report) };
        };
        let kind = SubjectKind::find_object(self.policy, object.api_version, object.kind);
        let namespace = object.namespace_or(self.namespace).to_owned();
        let is_of_controller = self.controllers.include_that_of(&object, self.policy, view, &namespace);
        let namespace = (!kind.is_some_and(SubjectKind::is_cluster_scoped)).then_some(namespace);
        ValidatedObject { has_rules: false, is_of_controller, ..ValidatedObject::new(object, namespace, report) }
    }
}

impl<'d> ValidatedObject<'d> {
    fn new(object: ManifestObject<'d>, namespace: Option<String>, report: Result<ValidationReport, String>) -> Self {
        Self {
            namespace,
            name: object.name(),
            report,
            unknown_namespace: None,
            ignored: Vec::new(),
            comments: Vec::new(),
            change: None,
            needs: BTreeSet::new(),
            has_rules: true,
            is_of_controller: false,
            object,
        }
    }

    /// Ignores the findings of a rule, and what it could not check. Returns true if there is any.
    fn ignore(&mut self, rule: Rule, ignore: &Ignore) -> bool {
        let Ok(report) = &mut self.report else { return false };
        let before = report.unchecked.len();
        report.unchecked.retain(|open| open.rule != rule);
        let found = report.findings.extract_if(.., |finding| finding.rule == rule);
        self.ignored.extend(found.map(|finding| IgnoredFinding { finding, reason: ignore.reason.clone() }));
        // Another comment may ignore it too.
        report.unchecked.len() < before || self.ignored.iter().any(|ignored| ignored.finding.rule == rule)
    }

    /// Returns true if the object may have findings of a rule that are not known.
    fn may_break(&self, rule: Rule) -> bool {
        let is_open =
            |need: &Needs| self.needs.contains(need) || *need == Needs::Namespace && self.unknown_namespace.is_some();
        self.is_of_controller
            || self.report.as_ref().is_ok_and(|report| report.cut)
            || self.report.is_err()
            || rule.needs().iter().any(is_open)
    }
}

/// The kind in messages and results of a document that is not an object.
const DOCUMENT: &str = "document";

/// Names what a kustomization may change in an object that rules depend on.
fn changed(document: &Document<'_>, object: &ManifestObject<'_>, change: &PossibleChange) -> Undecided {
    let range = document.value_span(&object.path).unwrap_or(document.range.start..document.range.start);
    let PossibleChange { cause, advice } = change;
    let what = format!("{}: rules that may depend on {cause} are not checked: {advice}", object.title());
    Undecided { range, what }
}

/// Names the encrypted values of an object that rules may depend on.
fn encrypted_values(document: &Document<'_>, object: &ManifestObject<'_>) -> Option<Undecided> {
    let values = EncryptedValues::of(object.value);
    let what = format!(
        "{}: rules that may depend on {values} are not checked: validate the output of `sops decrypt`",
        object.title()
    );
    (values.count > 0).then(|| Undecided { range: document.place(object, &values.first, Part::Value), what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileRole, Manifest};
    use colocate_companion::Rule;

    const POD_KEY: &str = "stork.libopenstorage.org/preferLocalNodeOnly";

    /// The rule of every finding, with the text at its range.
    fn found(text: &str) -> Vec<(Rule, String)> {
        let (policy, severities, mut known) = (Policy::default(), Severities::default(), KnownObjects::default());
        let (file, manifest, mut controllers) =
            (known.add_file("-", None, FileRole::Input), Manifest::new(text), Controllers::default());
        let documents = manifest.parse().unwrap();
        for document in &documents {
            controllers.add(file, document, &policy, "default");
        }
        let validator = ManifestValidator {
            policy: &policy,
            severities: &severities,
            known: &known,
            controllers: &controllers,
            namespace: "default",
        };
        let mut found = Vec::new();
        for document in &documents {
            for validated in validator.validate(file, document).objects {
                found.extend(validated.report.unwrap().findings.iter().map(|finding| {
                    let place = document.place(&validated.object, &finding.path, finding.part);
                    (finding.rule, text[place].to_owned())
                }));
            }
        }
        found
    }

    #[test]
    fn a_finding_has_the_range_of_its_key_or_value() {
        let pod = |annotations: &str| {
            format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:{annotations}\n")
        };
        let of_value =
            |text: &str, value: &str| assert_eq!(found(text), [(Rule::NoBoolean, value.to_owned())], "{text}");
        of_value(&pod(&format!("\n    {POD_KEY}: \"yes\" # no")), "\"yes\"");
        of_value(&pod(&format!(" {{a: b, {POD_KEY}: 'yes'}}")), "'yes'");
        of_value(&pod(&format!(" {{a: b, '{POD_KEY}': !!str yes}}")), "yes");
        of_value(&pod(&format!("\n    ? {POD_KEY}\n    : \"yes\"")), "\"yes\"");
        of_value(&pod(&format!("\n    {POD_KEY}: |-\n      yes")), "yes");
        of_value(
            &format!(r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"annotations":{{"{POD_KEY}":"y\u0065s"}}}}}}"#),
            r#""y\u0065s""#,
        );
        let wrong = "stork.libopenstorage.org/preferlocalnodeonly";
        assert_eq!(found(&pod(&format!("\n    \"{wrong}\": true"))), [(Rule::Misspelled, format!("\"{wrong}\""))]);
    }

    #[test]
    fn a_finding_through_an_alias_has_the_range_of_the_original() {
        let pod = |annotations: &str| format!("kind: Pod, apiVersion: v1, metadata: {{annotations: {annotations}}}");
        let list =
            |first: &str, second: &str| format!("apiVersion: v1\nkind: List\nitems:\n- {{{first}}}\n- {{{second}}}\n");
        let yes = (Rule::NoBoolean, "\"yes\"".to_owned());
        let aliased = list(&pod(&format!("&a {{{POD_KEY}: \"yes\"}}")), &pod("*a"));
        assert_eq!(found(&aliased), [yes.clone(), yes.clone()]);
        let merged = list(&pod(&format!("&a {{{POD_KEY}: \"yes\"}}")), &pod("{<<: *a, b: c}"));
        assert_eq!(found(&merged), [yes.clone(), yes.clone()]);
        let value = list(&pod(&format!("{{{POD_KEY}: &a \"yes\"}}")), &pod(&format!("{{{POD_KEY}: *a}}")));
        assert_eq!(found(&value), [yes, (Rule::NoBoolean, "*a".to_owned())]);
    }

    #[test]
    fn an_encrypted_value_is_named_and_not_judged() {
        let pod = |rest: &str| {
            format!(
                "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n    {POD_KEY}: ENC[x]\n    \
                 stork.libopenstorage.org/preferLocal: ENC[y]\n{rest}"
            )
        };
        let sops = "sops:\n  mac: ENC[z]\n  lastmodified: \"2024-01-01T00:00:00Z\"\n";
        let unknown = (Rule::UnknownKey, "stork.libopenstorage.org/preferLocal".to_owned());
        assert_eq!(found(&pod(sops)), [unknown]);
        let text = pod(sops);
        let (policy, severities, mut known) = (Policy::default(), Severities::default(), KnownObjects::default());
        let (file, manifest, controllers) =
            (known.add_file("-", None, FileRole::Input), Manifest::new(&text), Controllers::default());
        let validator = ManifestValidator {
            policy: &policy,
            severities: &severities,
            known: &known,
            controllers: &controllers,
            namespace: "default",
        };
        let document = manifest.documents().next().unwrap().unwrap();
        let undecided = validator.validate(file, &document).undecided;
        assert_eq!(&text[undecided[0].range.clone()], "ENC[y]");
        let what = "Pod p: rules that may depend on 2 encrypted values, such as metadata.annotations[stork.libopenstorage.org/preferLocal] ";
        assert!(undecided.len() == 1 && undecided[0].what.starts_with(what), "{undecided:?}");
        // Without the metadata of SOPS, it is an ordinary value.
        assert!(found(&pod("")).iter().any(|(rule, _)| *rule == Rule::NoBoolean));
    }

    #[test]
    fn an_object_whose_controller_is_present_is_skipped() {
        let owner = "{apiVersion: apps/v1, kind: ReplicaSet, name: r, controller: true}";
        let annotations = format!("annotations: {{{POD_KEY}: \"yes\"}}");
        let pod =
            format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p, ownerReferences: [{owner}], {annotations}}}\n");
        let set = |name: &str| {
            let template = format!("template: {{metadata: {{{annotations}}}}}");
            format!("---\napiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {{name: {name}}}\nspec: {{{template}}}\n")
        };
        assert_eq!(found(&format!("{pod}{}", set("r"))).len(), 1);
        assert_eq!(found(&format!("{pod}{}", set("other"))).len(), 2);
        let not_its_controller = pod.replace("controller: true", "controller: false");
        assert_eq!(found(&format!("{not_its_controller}{}", set("r"))).len(), 2);
        let elsewhere = pod.replace("name: p,", "name: p, namespace: elsewhere,");
        assert_eq!(found(&format!("{elsewhere}{}", set("r"))).len(), 2);
        // Only the pod has a second key.
        let own_key =
            pod.replace("annotations: {", "annotations: {stork.libopenstorage.org/preferLocalNodeonly: \"true\", ");
        assert_eq!(found(&format!("{own_key}{}", set("r"))).len(), 3);
    }
}
