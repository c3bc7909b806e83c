//! Patches, which can have keys of Stork without the object that they change: JSON patches (RFC 6902), and patches in a
//! kustomization.
//!
//! A patch is turned into an object that has only the fields of the patch. The rules about keys and values then apply to it. Other
//! rules need the whole object.

use serde_json::{Map, Value};

use super::document::Manifest;
use colocate_companion::{FieldPath, Part, Rule, Severities, Subject, SubjectKind, ValidationReport};
use colocate_engine::Policy;

/// The kind in messages and results of a document that is a JSON patch.
pub(super) const JSON_PATCH: &str = "JSON patch";

/// The versions of the kinds that a kustomization's `target` can name without a group and a version.
const VERSIONS: [&str; 5] = ["apps/v1", "v1", "batch/v1", "storage.k8s.io/v1", "networking.k8s.io/v1"];

/// The deepest field that an operation of a JSON patch is checked for: deeper than any field that a rule is about.
const MAX_DEPTH: usize = 64;

/// Checks the keys in patches.
#[derive(Clone, Copy, Debug)]
pub(super) struct PatchCheck<'a> {
    pub(super) policy: &'a Policy,
    pub(super) severities: &'a Severities,
}

/// Returns true if a value is a JSON patch with at least one operation.
pub(super) fn is_json_patch(value: &Value) -> bool {
    let is_operation = |item: &Value| item["op"].is_string() && item["path"].as_str().is_some_and(is_pointer);
    value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(is_operation))
}

fn is_pointer(path: &str) -> bool {
    path.is_empty() || path.starts_with('/')
}

impl<'a> PatchCheck<'a> {
    /// Checks the operations of a JSON patch. `target` is the kind of the objects that it is for, if that is known.
    pub(super) fn json_patch(&self, patch: &Value, target: Option<SubjectKind<'a>>) -> ValidationReport {
        let mut all = ValidationReport::default();
        for (index, operation) in patch.as_array().into_iter().flatten().enumerate() {
            if !matches!(operation["op"].as_str(), Some("add" | "replace")) {
                continue;
            }
            let pointer = operation["path"].as_str().unwrap_or_default();
            let keys: Vec<String> =
                pointer.split('/').skip(1).map(|key| key.replace("~1", "/").replace("~0", "~")).collect();
            if keys.len() > MAX_DEPTH {
                continue;
            }
            let object = keys.iter().rev().fold(operation["value"].clone(), |value, key| nest(key, value));
            let here = FieldPath::default().index(index).field("path");
            let mut report = self.partial(&object, target, &keys);
            for finding in &mut report.findings {
                // The slash in the key ended a field of the path.
                if finding.rule == Rule::Misspelled && keys.iter().any(|key| key == "stork.libopenstorage.org") {
                    "write the slash in the key as ~1".clone_into(&mut finding.remedy);
                }
            }
            add(&mut all, report, &here);
        }
        all
    }

    /// Checks the patches that are written in a kustomization, and not in files of their own.
    pub(super) fn kustomization(&self, object: &Value) -> ValidationReport {
        let mut all = ValidationReport::default();
        for field in ["patches", "patchesJson6902", "patchesStrategicMerge"] {
            for (index, item) in object[field].as_array().into_iter().flatten().enumerate() {
                let here = FieldPath::of([field]).index(index);
                let (text, here) = match item {
                    Value::String(text) => (Some(text.as_str()), here),
                    item => (item["patch"].as_str(), here.field("patch")),
                };
                // A path of a file is a string too, but not a patch.
                let Some(text) = text else { continue };
                let patch = Manifest::new(text);
                let Ok(documents) = patch.parse() else { continue };
                let target = self.target(&item["target"]);
                for document in &documents {
                    let report = if is_json_patch(&document.value) {
                        self.json_patch(&document.value, target)
                    } else {
                        self.partial(&document.value, target, &[])
                    };
                    add(&mut all, report, &here);
                }
            }
        }
        all
    }

    /// Checks an object with some of its fields. `keys` is the path of the operation that adds them, if there is one.
    fn partial(&self, object: &Value, target: Option<SubjectKind<'a>>, keys: &[String]) -> ValidationReport {
        let own = |field: &str| object[field].as_str();
        let kind = own("apiVersion").zip(own("kind"));
        let kind = kind.and_then(|(version, kind)| SubjectKind::find_object(self.policy, version, kind)).or(target);
        let json = object.to_string();
        let check = |kind| {
            let subject = Subject::parse(&json, kind).ok()?;
            Some(subject.check_keys(self.policy, self.severities))
        };
        let find = |version, name| SubjectKind::find_object(self.policy, version, name);
        let report = match kind {
            Some(kind) => check(kind),
            None if object.is_object() => match keys.first().zip(keys.get(1)).map(|(one, two)| (&**one, &**two)) {
                Some(("spec", "jobTemplate")) => find("batch/v1", "CronJob").and_then(check),
                Some(("spec", "volumeClaimTemplates")) => find("apps/v1", "StatefulSet").and_then(check),
                Some(("spec", _)) => find("apps/v1", "Deployment").and_then(check),
                _ if object["parameters"].is_object() => check(SubjectKind::Class),
                // The kind is not known. If a key is one for claims, check the patch as that of a claim, otherwise as that of a
                // pod.
                _ => find("v1", "Pod").and_then(check).map(|of_pod| match check(SubjectKind::Claim) {
                    Some(of_claim) if of_pod.findings.iter().any(|found| found.rule == Rule::StorageKeyOnPod) => {
                        of_claim
                    }
                    _ => of_pod,
                }),
            },
            None => None,
        };
        report.unwrap_or_default()
    }

    /// The kind of the objects that a patch in a kustomization is for. Of several, the first one counts.
    fn target(&self, target: &Value) -> Option<SubjectKind<'a>> {
        let field = |name: &str| target[name].as_str().filter(|text| !text.is_empty());
        let kind = field("kind")?.split('|').next()?.trim_matches(['(', ')', '^', '$']);
        let version = field("version").map(|version| match field("group") {
            Some(group) => format!("{group}/{version}"),
            None => version.to_owned(),
        });
        let versions = version.as_deref().into_iter().chain(VERSIONS);
        versions.into_iter().find_map(|version| SubjectKind::find_object(self.policy, version, kind))
    }
}

/// An object with one field, or a list with one item if the key is an index.
fn nest(key: &str, value: Value) -> Value {
    let is_index = key == "-" || !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit());
    if is_index { Value::Array(vec![value]) } else { Value::Object(Map::from_iter([(key.to_owned(), value)])) }
}

/// Adds the findings in a patch, all at the place of the patch.
fn add(all: &mut ValidationReport, patch: ValidationReport, here: &FieldPath) {
    all.cut |= patch.cut;
    all.findings.extend(patch.findings.into_iter().map(|mut finding| {
        if !finding.message.starts_with(IN_PATCH) {
            finding.message = format!("{IN_PATCH}{}: {}", finding.path, finding.message);
        }
        finding.path = here.clone();
        finding.part = Part::Value;
        finding
    }));
}

/// The start of a message about a patch, before the path in the patched object.
const IN_PATCH: &str = "in this patch, at ";

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL_ONLY: &str = "stork.libopenstorage.org/preferLocalNodeOnly";
    const ESCAPED: &str = "stork.libopenstorage.org~1preferLocalNodeOnly";

    /// The rule, the path and the remedy of each finding.
    fn found(check: impl Fn(PatchCheck<'_>) -> ValidationReport) -> Vec<(Rule, String, String)> {
        let (policy, severities) = (Policy::default(), Severities::default());
        let report = check(PatchCheck { policy: &policy, severities: &severities });
        let findings = report.findings.into_iter();
        findings.map(|finding| (finding.rule, finding.path.to_string(), finding.remedy)).collect()
    }

    fn in_json_patch(pointer: &str, value: &str) -> Vec<(Rule, String, String)> {
        let text = format!("- {{op: test, path: /a, value: b}}\n- {{op: add, path: \"{pointer}\", value: {value}}}\n");
        let manifest = Manifest::new(&text);
        let documents = manifest.parse().unwrap();
        let patch = &documents[0].value;
        assert!(is_json_patch(patch));
        found(|check| check.json_patch(patch, None))
    }

    #[test]
    fn the_operations_of_a_json_patch_are_checked() {
        let template = "/spec/template/metadata/annotations";
        for (path, value) in [
            (format!("{template}/{ESCAPED}"), "\"true\""),
            (format!("/metadata/annotations/{ESCAPED}"), "\"true\""),
            ("/metadata/annotations/stork.libopenstorage.org~1preferRemoteNode".to_owned(), "\"false\""),
            ("/parameters/stork.libopenstorage.org~1preferRemoteNode".to_owned(), "\"false\""),
            ("/spec/template/spec/volumes/-".to_owned(), "{name: v}"),
            ("/spec/replicas".to_owned(), "3"),
            (String::new(), "1"),
            ("/a".repeat(100_000), "1"),
        ] {
            assert_eq!(in_json_patch(&path, value), [], "{path}");
        }
        let right = "move it to spec.template.metadata.annotations";
        for (path, value, rule, remedy) in [
            (format!("{template}/{ESCAPED}"), "\"yes\"", Rule::NoBoolean, "use \"true\" or \"false\""),
            (format!("{template}/{ESCAPED}s"), "\"true\"", Rule::Misspelled, &*format!("did you mean {LOCAL_ONLY}?")),
            (format!("{template}/{LOCAL_ONLY}"), "\"true\"", Rule::Misspelled, "write the slash in the key as ~1"),
            (format!("/spec/annotations/{ESCAPED}"), "\"true\"", Rule::Misplaced, right),
            ("/spec/template/annotations".to_owned(), &*format!("{{{LOCAL_ONLY}: \"true\"}}"), Rule::Misplaced, right),
            (
                "/spec/volumeClaimTemplates/0/metadata/annotations".to_owned(),
                &*format!("{{{LOCAL_ONLY}: \"true\"}}"),
                Rule::PodKeyOnStorage,
                right,
            ),
        ] {
            let expected = (rule, "[1].path".to_owned(), remedy.to_owned());
            assert_eq!(in_json_patch(&path, value), [expected], "{path}");
        }
    }

    #[test]
    fn the_patches_in_a_kustomization_are_checked() {
        let text = format!(
            "patches:\n- path: a.yaml\n- target: {{kind: Deployment}}\n  patch: |-\n    - op: add\n      path: \
             /metadata/annotations/{ESCAPED}\n      value: \"true\"\n- patch: |-\n    apiVersion: apps/v1\n    kind: StatefulSet\n    \
             metadata: {{name: a}}\n    spec: {{template: {{metadata: {{annotations: {{{LOCAL_ONLY}: \"on\"}}}}}}}}\n\
             patchesStrategicMerge:\n- b.yaml\n- |-\n  apiVersion: v1\n  kind: Service\n  metadata: {{annotations: {{{LOCAL_ONLY}: \"true\"}}}}\n"
        );
        let manifest = Manifest::new(&text);
        let documents = manifest.parse().unwrap();
        let found = found(|check| check.kustomization(&documents[0].value));
        let found: Vec<_> = found.iter().map(|(rule, path, _)| (*rule, path.as_str())).collect();
        assert_eq!(
            found,
            [
                (Rule::OnWorkload, "patches[1].patch"),
                (Rule::NoBoolean, "patches[2].patch"),
                (Rule::Misplaced, "patchesStrategicMerge[1]"),
            ]
        );
    }
}
