//! Patches of kustomizations, as far as decisions depend on what they change.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::description::DescriptionKind;
use super::document::{Document, Manifest};
use super::patches::is_json_patch;
use super::position::Position;
use super::source::Source;
use super::workload_patch::WorkloadChange;

/// The fields of a kustomization that have patches, in the order in which kustomize applies them.
const FIELDS: [&str; 3] = ["patchesStrategicMerge", "patches", "patchesJson6902"];

/// The namespace of an object that names none, as kustomize compares it.
pub(super) const DEFAULT_NAMESPACE: &str = "default";

/// A patch in a kustomization.
#[derive(Debug)]
pub(super) struct KustomizePatch {
    /// The file that has the text of the patch.
    pub(super) file: Arc<str>,
    /// Its position there.
    pub(super) position: Position,
    target: Target,
    /// `None` if it is for other kinds than those that describe objects.
    change: Option<Change>,
    /// Its effect on workloads; `None` if it is not for workloads, or does not affect decisions.
    pub(super) of_workload: Option<WorkloadChange>,
}

#[derive(Debug)]
enum Change {
    /// An object with some fields: a strategic merge patch.
    Merge(Value),
    /// A JSON patch (RFC 6902).
    Operations(json_patch::Patch),
    /// A JSON patch with an invalid operation. The text is the error.
    Invalid(String),
}

/// An object that patches may be for.
#[derive(Debug)]
pub(super) struct PatchedObject<'o> {
    pub(super) group: &'o str,
    pub(super) version: &'o str,
    pub(super) kind: &'o str,
    /// The names that it has on the way to the patch.
    pub(super) names: Vec<String>,
    /// The namespaces that it names or gets on the way to the patch; empty if its kind has none.
    pub(super) namespaces: Vec<&'o str>,
}

/// The objects that a patch is for. A field that is `None` matches any object.
#[derive(Debug, Default)]
struct Target {
    group: Option<String>,
    version: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    /// Whether it is the object that the patch itself names. The fields of a selector are regular expressions.
    is_exact: bool,
    /// Whether it also has a selector for labels or annotations.
    has_labels: bool,
}

/// The result of a comparison with a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Match {
    No,
    /// The target has labels, or a regular expression that is not evaluated.
    Maybe,
    Yes,
}

impl KustomizePatch {
    /// Reads the patches of a kustomization, in the order in which kustomize applies them. Those that cannot be read or parsed, and
    /// those on which no decision depends, are skipped.
    pub(super) fn all(source: &Source, kustomization: &Document<'_>) -> Vec<Self> {
        let mut all = Vec::new();
        let folder = source.path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        for field in FIELDS {
            for (index, item) in kustomization.value[field].as_array().into_iter().flatten().enumerate() {
                let path = super::FieldPath::of([field]).index(index);
                let selector = Some(&item["target"]).filter(|target| target.is_object());
                let (text, file, place) = match item {
                    // The path of a file, or the text of a patch.
                    Value::String(text) => (Some(text.as_str()), Some(text.as_str()), path),
                    item => (item["patch"].as_str(), item["path"].as_str(), path.field("patch")),
                };
                let file = file.filter(|file| !file.contains('\n')).map(|file| folder.join(file));
                if let Some(file) = file.filter(|file| file.is_file()) {
                    all.extend(Self::of_file(&Source::of_file(&file), selector));
                } else if let Some(text) = text {
                    let start = kustomization.value_span(&place).unwrap_or_default().start;
                    let position = kustomization.position(start);
                    let patches = Manifest::new(text);
                    for document in patches.documents().filter_map(Result::ok) {
                        all.extend(Self::of_value(&source.name, position, document.value, selector));
                    }
                }
            }
        }
        all
    }

    fn of_file(source: &Source, selector: Option<&Value>) -> Vec<Self> {
        let mut all = Vec::new();
        for chunk in source.chunks().into_iter().flatten().map_while(Result::ok) {
            for document in chunk.manifest().documents().filter_map(Result::ok) {
                let start = document.value_span(&super::FieldPath::default()).unwrap_or_default().start;
                let position = document.position(start);
                all.extend(Self::of_value(&source.name, position, document.value, selector));
            }
        }
        all
    }

    /// Reads a document, which is a patch or a list of patches.
    fn of_value(file: &str, position: Position, mut value: Value, selector: Option<&Value>) -> Vec<Self> {
        let is_list = value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
        let patches = match value.get_mut("items") {
            Some(Value::Array(items)) if is_list => std::mem::take(items),
            _ => vec![value],
        };
        patches.into_iter().filter_map(|patch| Self::new(file, position, patch, selector)).collect()
    }

    fn new(file: &str, position: Position, patch: Value, selector: Option<&Value>) -> Option<Self> {
        let target =
            selector.map_or_else(|| Target::of_object(&patch), |selector| Some(Target::of_selector(selector)))?;
        let kind = target.kind.as_deref();
        let is_only_description = DescriptionKind::ALL.iter().any(|own| Some(own.name()) == kind);
        let of_workload = if is_only_description { None } else { WorkloadChange::of(&patch) };
        let change = match DescriptionKind::ALL.iter().any(|own| target.compare(kind, own.name()) != Match::No) {
            true if is_json_patch(&patch) => Some(match serde_json::from_value(patch) {
                Ok(operations) => Change::Operations(operations),
                Err(error) => Change::Invalid(format!("this patch is not valid: {error}")),
            }),
            true if patch.is_object() => Some(Change::Merge(without_identity(patch))),
            _ => None,
        };
        let matters = change.is_some() || of_workload.is_some();
        matters.then(|| Self { file: file.into(), position, target, change, of_workload })
    }

    pub(super) fn matches(&self, object: &PatchedObject<'_>) -> Match {
        self.target.matches(object)
    }

    /// Applies the patch to an object that describes; `None` if the patch deletes it.
    ///
    /// # Errors
    /// The patch fails. The text says why.
    pub(super) fn apply(&self, value: &Value) -> Result<Option<Value>, String> {
        let mut patched = value.clone();
        match &self.change {
            Some(Change::Merge(patch)) if patch["$patch"] == "delete" => return Ok(None),
            Some(Change::Merge(patch)) => merge(&mut patched, patch),
            Some(Change::Operations(operations)) => {
                json_patch::patch(&mut patched, operations).map_err(|error| format!("this patch fails: {error}"))?;
            }
            Some(Change::Invalid(why)) => return Err(why.clone()),
            None => {}
        }
        Ok(Some(patched))
    }
}

impl Target {
    fn of_object(patch: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (metadata, kind) = (&patch["metadata"], text(&patch["kind"])?);
        let group = patch["apiVersion"].as_str()?.rsplit_once('/').map_or("", |(group, _)| group).to_owned();
        let namespace = text(&metadata["namespace"]).unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        let name = text(&metadata["name"])?;
        let [group, kind, name, namespace] = [group, kind, name, namespace].map(Some);
        Some(Self { group, kind, name, namespace, is_exact: true, ..Self::default() })
    }

    fn of_selector(selector: &Value) -> Self {
        let field = |name: &str| selector[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let has_labels = field("labelSelector").or(field("annotationSelector")).is_some();
        let [group, version, kind, name, namespace] = ["group", "version", "kind", "name", "namespace"].map(field);
        Self { group, version, kind, name, namespace, is_exact: false, has_labels }
    }

    fn matches(&self, object: &PatchedObject<'_>) -> Match {
        let of_names = object.names.iter().map(|own| self.compare(self.name.as_deref(), own)).max();
        let of_namespaces = object.namespaces.iter().map(|own| self.compare(self.namespace.as_deref(), own)).max();
        let parts = [
            self.compare(self.group.as_deref(), object.group),
            self.compare(self.version.as_deref(), object.version),
            self.compare(self.kind.as_deref(), object.kind),
            of_names.unwrap_or(Match::Yes),
            of_namespaces.unwrap_or(Match::Yes),
            if self.has_labels { Match::Maybe } else { Match::Yes },
        ];
        parts.into_iter().min().unwrap_or(Match::Yes)
    }

    /// Compares a field of the target with that of an object. Regular expressions are not evaluated.
    fn compare(&self, wanted: Option<&str>, own: &str) -> Match {
        let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        match wanted {
            None => Match::Yes,
            Some(wanted) if wanted == own => Match::Yes,
            Some(wanted) if self.is_exact || is_name(wanted) => Match::No,
            Some(_) => Match::Maybe,
        }
    }
}

/// Removes the fields that say for which object a patch is. A patch with a selector may name any.
fn without_identity(mut patch: Value) -> Value {
    if let Some(fields) = patch.as_object_mut() {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    if let Some(metadata) = patch.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("name");
        metadata.remove("namespace");
    }
    patch
}

/// Merges a strategic merge patch into a value: null removes a field, and `$patch` replaces or deletes a mapping. Lists are
/// replaced, because no decision depends on a list with a merge key.
fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        value.clone_from(patch);
        return;
    };
    if !value.is_object() || patch["$patch"] == "replace" {
        *value = Value::Object(Map::new());
    }
    let Value::Object(own) = value else { return };
    for (key, field) in fields.iter().filter(|(key, _)| !key.starts_with('$')) {
        if field.is_null() || field["$patch"] == "delete" {
            own.remove(key);
        } else {
            merge(own.entry(key).or_insert(Value::Null), field);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const CLAIM: &str = "{metadata: {name: data, annotations: {a: '1', b: '2'}}, spec: {storageClassName: px, accessModes: [ReadWriteOnce], volumeName: v}}";

    fn value(text: &str) -> Value {
        Manifest::new(text).parse().unwrap()[0].value.clone()
    }

    fn patch(text: &str, selector: Option<&str>) -> Option<KustomizePatch> {
        let selector = selector.map(value);
        KustomizePatch::new("p.yaml", Position { line: 1, column: 1 }, value(text), selector.as_ref())
    }

    /// Compares a patch with the claim `shop/data`.
    fn matched(text: &str, selector: Option<&str>) -> Match {
        let object = PatchedObject {
            group: "",
            version: "v1",
            kind: "PersistentVolumeClaim",
            names: vec!["data".to_owned(), "dev-data".to_owned()],
            namespaces: vec!["default", "shop"],
        };
        patch(text, selector).map_or(Match::No, |patch| patch.matches(&object))
    }

    fn merged(fields: &str) -> Value {
        let text = format!("{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: data}}, {fields}}}");
        patch(&text, None).unwrap().apply(&value(CLAIM)).unwrap().unwrap_or_default()
    }

    #[test]
    fn a_strategic_merge_patch_changes_fields() {
        let class = merged("spec: {storageClassName: hp}");
        let expected = json!({"storageClassName": "hp", "accessModes": ["ReadWriteOnce"], "volumeName": "v"});
        assert_eq!((&class["spec"], &class["metadata"]["name"]), (&expected, &json!("data")));
        let text = "metadata: {name: x, annotations: {a: null, c: '3'}}, spec: {accessModes: [ReadWriteMany]}";
        let mut of_selector = value(CLAIM);
        merge(&mut of_selector, &without_identity(value(&format!("{{{text}}}"))));
        assert_eq!(of_selector["metadata"], json!({"name": "data", "annotations": {"b": "2", "c": "3"}}));
        assert_eq!(of_selector["spec"]["accessModes"], json!(["ReadWriteMany"]));
        assert_eq!(merged("spec: {$patch: replace, volumeName: w}")["spec"], json!({"volumeName": "w"}));
        assert!(merged("spec: {$patch: delete}").get("spec").is_none());
        assert_eq!(merged("$patch: delete"), Value::Null);
    }

    #[test]
    fn a_patch_is_for_the_object_that_it_names() {
        let claim = |fields: &str| format!("{{apiVersion: v1, kind: PersistentVolumeClaim, {fields}}}");
        for fields in ["metadata: {name: data}", "metadata: {name: dev-data, namespace: shop}"] {
            assert_eq!(matched(&claim(fields), None), Match::Yes, "{fields}");
        }
        for text in [
            claim("metadata: {name: other}").as_str(),
            &claim("metadata: {name: data, namespace: elsewhere}"),
            "{apiVersion: example.com/v1, kind: PersistentVolumeClaim, metadata: {name: data}}",
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: data}}",
            "- {op: remove, path: /spec}",
            "1",
        ] {
            assert_eq!(matched(text, None), Match::No, "{text}");
        }
    }

    #[test]
    fn a_selector_is_compared_by_names_only() {
        let text = "- {op: replace, path: /spec/storageClassName, value: hp}";
        for (selector, expected) in [
            ("{kind: PersistentVolumeClaim}", Match::Yes),
            ("{name: data}", Match::Yes),
            ("{version: v1, name: dev-data, namespace: shop}", Match::Yes),
            ("{}", Match::Yes),
            ("{name: dat}", Match::No),
            ("{kind: PersistentVolume}", Match::No),
            ("{group: apps}", Match::No),
            ("{name: data, namespace: elsewhere}", Match::No),
            ("{kind: Deployment, name: .*}", Match::No),
            ("{name: da.*}", Match::Maybe),
            ("{kind: PersistentVolumeClaim|Deployment}", Match::Maybe),
            ("{labelSelector: app=x}", Match::Maybe),
            ("{kind: PersistentVolumeClaim, annotationSelector: x=y}", Match::Maybe),
        ] {
            assert_eq!(matched(text, Some(selector)), expected, "{selector}");
        }
        let fails = patch("- {op: remove, path: /spec/x}", Some("{name: data}")).unwrap().apply(&value(CLAIM));
        assert!(fails.unwrap_err().starts_with("this patch fails: "));
        let invalid = patch("- {op: replac, path: /spec/x}", Some("{name: data}")).unwrap().apply(&value(CLAIM));
        assert!(invalid.unwrap_err().starts_with("this patch is not valid: "));
    }
}
