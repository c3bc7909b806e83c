//! Runs the companion on manifests: returns the findings of each object with their ranges in the file.

use std::cell::LazyCell;
use std::collections::HashSet;
use std::ops::Range;

use super::document::{Manifest, ManifestObject};
use super::json_parser::without_position;
use super::known_objects::KnownObjects;
use super::missing_facts::MissingFacts;
use colocate_companion::{
    Facts, FieldPath, MountedClaim, Needs, Part, Severities, Subject, SubjectKind, ValidationReport,
};
use colocate_engine::{ClaimFacts, ClaimRef, Policy};

/// Checks manifests against the rules.
#[derive(Debug)]
pub struct ManifestValidator<'a> {
    /// The policy, with its opt-outs and kinds.
    pub policy: &'a Policy,
    /// The severity of each rule.
    pub severities: &'a Severities,
    /// The claims, classes, volumes, placement strategies and Namespaces that are known.
    pub known: &'a KnownObjects,
    /// The namespace of objects that name none.
    pub namespace: &'a str,
}

/// A manifest with its findings.
#[derive(Debug)]
pub struct ValidatedManifest<'m> {
    /// The objects whose kind has rules, in order.
    pub objects: Vec<ValidatedObject<'m>>,
    /// The ranges that make documents look like Helm templates. Such documents are skipped.
    pub templates: Vec<Range<usize>>,
}

/// An object with its findings.
#[derive(Debug)]
pub struct ValidatedObject<'m> {
    /// The object.
    pub object: ManifestObject<'m>,
    /// Its namespace; `None` for a cluster-scoped kind.
    pub namespace: Option<String>,
    /// Its name, or its `generateName` followed by `*`.
    pub name: String,
    /// The report, or an error if the object does not have the structure of its kind.
    pub report: Result<ValidationReport, String>,
}

/// The namespace, kind and name of an object.
type Identity<'m> = (&'m str, &'m str, &'m str);

impl<'a> ManifestValidator<'a> {
    /// Checks every object of the manifests, except those whose controller is also in the manifests and has the same
    /// findings.
    pub fn validate<'m>(&self, manifests: &'m [Manifest<'_>]) -> Vec<ValidatedManifest<'m>>
    where
        'a: 'm,
    {
        let mut validated = Vec::with_capacity(manifests.len());
        let objects: Vec<_> = manifests.iter().map(|manifest| self.objects(manifest)).collect();
        let identities: HashSet<_> = objects.iter().flatten().map(|(object, _)| self.identity(object)).collect();
        let templates = LazyCell::new(|| claim_templates(objects.iter().flatten()));
        for (manifest, objects) in manifests.iter().zip(&objects) {
            let checked = objects.iter().filter(|(object, _)| !self.has_controller_among(object, &identities));
            validated.push(ValidatedManifest {
                objects: checked.map(|(object, kind)| self.validate_object(object, *kind, || &**templates)).collect(),
                templates: manifest.template_marks().collect(),
            });
        }
        validated
    }

    /// Returns the unknown facts that the rules need.
    pub fn missing_facts(&self, manifests: &[Manifest<'_>]) -> MissingFacts {
        let mut missing = MissingFacts::default();
        for (object, kind) in manifests.iter().flat_map(|manifest| self.objects(manifest)) {
            let (json, namespace) = (object.value.to_string(), object.namespace_or(self.namespace));
            let Ok(subject) = Subject::parse(&json, kind) else { continue };
            if subject.is_silent(self.policy) {
                continue;
            }
            let needs = subject.needs(self.policy, self.severities, self.known.strategies.clone());
            if needs.contains(&Needs::Namespace) {
                missing.namespaces.insert(namespace.to_owned());
            }
            missing.strategies |= needs.contains(&Needs::Strategies);
            let parameters = needs.contains(&Needs::ClassParameters);
            if parameters || needs.contains(&Needs::Claims) {
                for claim in subject.claims() {
                    missing.add(&claim, &self.known.inventory, namespace);
                }
                missing.parameters |= parameters && missing.class_names;
            }
        }
        missing
    }

    fn validate_object<'m, 't>(
        &self,
        object: &ManifestObject<'m>,
        kind: SubjectKind<'_>,
        templates: impl Fn() -> &'t [ClaimFacts<'static>],
    ) -> ValidatedObject<'m> {
        let (json, namespace) = (object.value.to_string(), object.namespace_or(self.namespace));
        let report = Subject::parse(&json, kind).map(|subject| {
            let claims = subject.claims();
            let find = |claim| MountedClaim::find(claim, &self.known.inventory, namespace);
            let facts = Facts {
                claims: claims.iter().map(find).collect(),
                class_access: subject
                    .class_name()
                    .and_then(|name| self.known.inventory.access_of_class(name, templates())),
                strategies: self.known.strategies.clone(),
                namespace_opted_out: self.known.opted_out(namespace),
            };
            subject.check(self.policy, self.severities, &facts)
        });
        ValidatedObject {
            namespace: (!matches!(kind, SubjectKind::Class | SubjectKind::Namespace)).then(|| namespace.to_owned()),
            name: object.name(),
            report: report.map_err(|error| without_position(&error)),
            object: object.clone(),
        }
    }

    fn objects<'m>(&self, manifest: &'m Manifest<'_>) -> Vec<(ManifestObject<'m>, SubjectKind<'a>)> {
        let objects = manifest.objects().into_iter();
        let checked = objects.filter_map(|object| {
            let kind = SubjectKind::find_object(self.policy, object.api_version, object.kind)?;
            Some((object, kind))
        });
        checked.collect()
    }

    fn identity<'m>(&'m self, object: &ManifestObject<'m>) -> Identity<'m> {
        let name = object.value["metadata"]["name"].as_str().unwrap_or_default();
        (object.namespace_or(self.namespace), object.kind, name)
    }

    fn has_controller_among<'m>(&'m self, object: &ManifestObject<'m>, identities: &HashSet<Identity<'m>>) -> bool {
        let namespace = object.namespace_or(self.namespace);
        let owners = object.value["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        let mut controllers = owners.filter(|owner| owner["controller"] == true);
        controllers.any(|owner| {
            let field = |name: &str| owner[name].as_str().unwrap_or_default();
            identities.contains(&(namespace, field("kind"), field("name")))
        })
    }
}

impl Manifest<'_> {
    /// The range of the key or value of a finding. If it is not in the text, the range of the closest enclosing value.
    ///
    /// For a field that comes through an alias or a merge key, it is the range of the original.
    pub fn place(&self, object: &ManifestObject<'_>, path: &FieldPath, part: Part) -> Range<usize> {
        let document = &self.documents[object.document];
        let path = object.path.join(path);
        let key = (part == Part::Key).then(|| document.key_span(&path)).flatten();
        let around = || (0..=path.segments().len()).rev().find_map(|length| document.value_span(&path.prefix(length)));
        let place = key.or_else(around).unwrap_or_default();
        // The range of a block scalar includes the end of its last line.
        let end = self.text[place.clone()].trim_end_matches(['\n', '\r']).len();
        place.start..place.start + end
    }
}

/// The claim templates of workloads, and those of generic ephemeral volumes.
fn claim_templates<'m>(
    objects: impl Iterator<Item = &'m (ManifestObject<'m>, SubjectKind<'m>)>,
) -> Vec<ClaimFacts<'static>> {
    let mut templates = Vec::new();
    for (object, kind) in objects.filter(|(_, kind)| matches!(kind, SubjectKind::Workload(_))) {
        let json = object.value.to_string();
        let Ok(subject) = Subject::parse(&json, *kind) else { continue };
        templates.extend(subject.claims().into_iter().filter_map(|claim| match claim {
            ClaimRef::Template { claim, .. } => Some(claim.into_owned()),
            ClaimRef::Named(_) | ClaimRef::Inline { .. } => None,
        }));
    }
    templates
}

#[cfg(test)]
mod tests {
    use super::*;
    use colocate_companion::Rule;

    const POD_KEY: &str = "stork.libopenstorage.org/preferLocalNodeOnly";

    /// The rule of every finding, with the text at its range.
    fn found(text: &str) -> Vec<(Rule, String)> {
        let (manifests, policy) = ([Manifest::parse(text).unwrap()], Policy::default());
        let (severities, known) = (Severities::default(), KnownObjects::default());
        let validator =
            ManifestValidator { policy: &policy, severities: &severities, known: &known, namespace: "default" };
        let validated = validator.validate(&manifests);
        let objects = validated.iter().flat_map(|validated| &validated.objects);
        let found = objects.flat_map(|validation| {
            validation.report.as_ref().unwrap().findings.iter().map(|finding| {
                let place = manifests[0].place(&validation.object, &finding.path, finding.part);
                (finding.rule, text[place].to_owned())
            })
        });
        found.collect()
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
    }
}
