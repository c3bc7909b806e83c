//! The objects that a kustomization may change in such a way that a decision depends on the change.
//!
//! Nothing is evaluated: a change that may matter leaves the objects unresolved that it may be for. Only the first cause for each
//! kind and name is kept, so that the memory does not grow with the number of harmless patches.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::description::DescriptionKind;
use super::known_objects::Purpose;
use super::patches::is_json_patch;
use super::position::Position;
use super::undecided::{CLAIM_TEMPLATES, SOURCES};
use colocate_engine::{CLAIM_ANNOTATIONS, CLASS_ANNOTATIONS, Policy, Setting, VOLUME_ANNOTATIONS};

/// The place in a kustomization, or in one of its patches, that may change objects.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cause {
    /// The name of the part, such as "the patch".
    pub(super) what: Box<str>,
    pub(super) file: Arc<str>,
    pub(super) position: Position,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}:{}", self.what, self.file, self.position)
    }
}

/// The parts of objects that may change, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Touch(u8);

impl Touch {
    /// The names, namespaces or kinds of objects: an object may get any name.
    const IDENTITY: Self = Self(1 << 5);
    /// A decision about a workload.
    pub(super) const WORKLOAD: Self = Self(1 << 6);
    /// Everything.
    pub(super) const ALL: Self = Self(0x7f);

    /// The parts of an object of this kind that a decision needs.
    pub(super) fn of(kind: DescriptionKind) -> Self {
        let index = DescriptionKind::ALL.iter().position(|own| *own == kind).unwrap_or_default();
        Self(1 << index)
    }

    /// All descriptions, but no workload.
    fn descriptions() -> Self {
        Self(DescriptionKind::ALL.iter().fold(0, |all, kind| all | Self::of(*kind).0))
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The fields on which decisions depend, each with the kinds of object.
#[derive(Debug)]
pub(super) struct DecisiveFields(Vec<(Vec<String>, Touch)>);

impl DecisiveFields {
    pub(super) fn new(policy: &Policy, purpose: Purpose) -> Self {
        let mut own = Self(Vec::new());
        for path in [&["apiVersion"][..], &["kind"], &["metadata", "name"], &["metadata", "generateName"]] {
            own.add(path, &[], Touch::ALL);
        }
        own.add(&["metadata", "namespace"], &[], Touch::ALL);
        let mut of = |kind, fields: &[&[&str]], map: &str, keys: &mut dyn Iterator<Item = &str>| {
            for field in fields {
                own.add(field, &[], Touch::of(kind));
            }
            for key in keys {
                own.add(&["metadata", map, key], &[], Touch::of(kind));
            }
        };
        let annotations = "annotations";
        let fields: [&[&str]; 2] = [&["spec", "storageClassName"], &["spec", "volumeName"]];
        of(DescriptionKind::Claim, &fields, annotations, &mut CLAIM_ANNOTATIONS.into_iter());
        let fields: [&[&str]; 3] = [&["spec", "csi"], &["spec", "portworxVolume"], &["spec", "claimRef"]];
        of(DescriptionKind::Volume, &fields, annotations, &mut VOLUME_ANNOTATIONS.into_iter());
        let fields: [&[&str]; 2] = [&["provisioner"], &["volumeBindingMode"]];
        of(DescriptionKind::Class, &fields, annotations, &mut CLASS_ANNOTATIONS.into_iter());
        if purpose == Purpose::Validate {
            let mut keys = Setting::ALL.into_iter().map(Setting::key);
            of(DescriptionKind::Claim, &[&["spec", "accessModes"]], annotations, &mut keys);
            of(DescriptionKind::Class, &[&["parameters"]], annotations, &mut std::iter::empty());
        }
        let opt_out = &policy.opt_out;
        of(DescriptionKind::Namespace, &[], "labels", &mut [&*opt_out.namespace_label].into_iter());
        let mut templates: Vec<&[String]> = policy.workloads.iter().map(|workload| &*workload.path).collect();
        templates.sort();
        templates.dedup();
        own.add(&["metadata", "ownerReferences"], &[], Touch::WORKLOAD);
        for template in templates {
            for field in ["volumes", "schedulerName"] {
                own.add(&["spec", field], template, Touch::WORKLOAD);
            }
            if let Some((_, parent)) = template.split_last() {
                own.add(&[CLAIM_TEMPLATES], parent, Touch::WORKLOAD);
            }
            for parent in [template, &[]] {
                for key in &opt_out.annotations {
                    own.add(&["metadata", annotations, key], parent, Touch::WORKLOAD);
                }
                for key in &opt_out.labels {
                    own.add(&["metadata", "labels", key], parent, Touch::WORKLOAD);
                }
            }
        }
        own
    }

    fn add(&mut self, path: &[&str], parent: &[String], touch: Touch) {
        let path = parent.iter().cloned().chain(path.iter().map(|name| (*name).to_owned())).collect();
        self.0.push((path, touch));
    }

    /// Returns what a change of any of these labels or annotations of all objects touches.
    pub(super) fn of_keys<'k>(&self, keys: impl Iterator<Item = &'k String>) -> Touch {
        keys.fold(Touch(0), |all, key| {
            let fields = self.0.iter().filter(|(field, _)| field.last() == Some(key));
            fields.fold(all, |all, (_, touch)| all.with(*touch))
        })
    }

    /// Returns what a change of a field, of any field in it, or of its parents touches.
    pub(super) fn of_path<S: AsRef<str>>(&self, path: &[S]) -> Touch {
        let is_same = |own: &String, other: &S| own == other.as_ref() || other.as_ref() == "*";
        let related = |field: &[String]| field.iter().zip(path).all(|(own, other)| is_same(own, other));
        self.0.iter().filter(|(field, _)| related(field)).fold(Touch(0), |all, (_, touch)| all.with(*touch))
    }

    /// Returns what a patch touches. Unless it `may_rename`, the identity in a strategic merge patch only says for which object the
    /// patch is.
    pub(super) fn of_patch(&self, patch: &Value, may_rename: bool) -> Touch {
        if is_json_patch(patch) {
            let operations = patch.as_array().into_iter().flatten();
            return operations.fold(Touch(0), |all, operation| all.with(self.of_operation(operation)));
        }
        match patch {
            // The decision about a workload that is not built does not matter.
            Value::Object(_) if patch["$patch"] == "delete" => Touch::descriptions(),
            Value::Object(_) => self.of_merge(patch, &mut Vec::new(), may_rename),
            _ => Touch::ALL,
        }
    }

    fn of_operation(&self, operation: &Value) -> Touch {
        let name = operation["op"].as_str().unwrap_or_default();
        if name == "test" {
            return Touch(0);
        }
        let mut touch = Touch(0);
        for pointer in [&operation["path"], &operation["from"]].into_iter().filter_map(Value::as_str) {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                return Touch::ALL;
            }
            let path: Vec<_> =
                pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
            let is_new_volume = name == "add" && matches!(&*path, [.., list, _] if list == "volumes");
            if !is_new_volume || may_be_driven(&operation["value"]) {
                touch = touch.with(self.of_path(&path));
            }
        }
        touch
    }

    fn of_merge<'p>(&self, value: &'p Value, path: &mut Vec<&'p str>, may_rename: bool) -> Touch {
        match value {
            Value::Object(fields) if !fields.keys().any(|key| key.starts_with('$')) => {
                let mut touch = Touch(0);
                for (name, field) in fields {
                    path.push(name);
                    let is_identity = matches!(
                        &**path,
                        ["apiVersion" | "kind"] | ["metadata", "name" | "namespace" | "generateName"]
                    );
                    if may_rename || !is_identity {
                        touch = touch.with(self.of_merge(field, path, may_rename));
                    }
                    path.pop();
                }
                touch
            }
            Value::Array(volumes) if path.last() == Some(&"volumes") && !volumes.iter().any(may_be_driven) => Touch(0),
            _ => self.of_path(path),
        }
    }
}

/// Returns true if an item of `volumes` in a patch adds or removes a volume that may belong to a driver.
fn may_be_driven(volume: &Value) -> bool {
    let Some(fields) = volume.as_object() else { return true };
    fields.keys().any(|key| key.starts_with('$') || SOURCES.contains(&&**key))
}

/// The objects that something is for. An empty text matches any object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Target<'t> {
    pub(super) kind: &'t str,
    pub(super) name: &'t str,
}

impl<'t> Target<'t> {
    /// The object that a patch itself names.
    pub(super) fn of_object(patch: &'t Value) -> Self {
        Self {
            kind: patch["kind"].as_str().unwrap_or_default(),
            name: patch["metadata"]["name"].as_str().unwrap_or_default(),
        }
    }

    /// The objects of a selector, whose fields are regular expressions. Labels, annotations, groups and namespaces are not
    /// compared.
    pub(super) fn of_selector(selector: &'t Value) -> Self {
        let is_exact = |text: &&str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let field = |name: &str| selector[name].as_str().filter(is_exact).unwrap_or_default();
        Self { kind: field("kind"), name: field("name") }
    }
}

/// The parts that may change, by kind and name, each with its first cause. An empty text stands for all kinds or names.
#[derive(Debug, Default)]
pub(super) struct Effects(HashMap<Box<str>, EffectsByName>);

type EffectsByName = HashMap<Box<str>, Vec<(Touch, Arc<Cause>)>>;

impl Effects {
    /// Adds a change, unless all that it touches may already change.
    pub(super) fn add(&mut self, target: Target<'_>, touch: Touch, cause: impl FnOnce() -> Arc<Cause>) {
        let known = self.0.get(target.kind).and_then(|names| names.get(target.name));
        let known = known.into_iter().flatten().fold(Touch(0), |all, (touch, _)| all.with(*touch));
        if touch.with(known) != known {
            let names = self.0.entry(target.kind.into()).or_default();
            names.entry(target.name.into()).or_default().push((touch, cause()));
        }
    }

    /// The first cause that may change an object in this respect. Kustomizations around it may have changed its name if it
    /// `is_renamed`.
    pub(super) fn find(&self, object: Target<'_>, is_renamed: bool, touch: Touch) -> Option<&Arc<Cause>> {
        let kinds = [object.kind, ""].into_iter().filter_map(|kind| self.0.get(kind));
        let of = |causes: &'_ [(Touch, Arc<Cause>)]| causes.iter().position(|(own, _)| own.meets(touch));
        for names in kinds {
            if is_renamed || object.name.is_empty() {
                let may_be = |name: &str| name.is_empty() || name.contains(object.name);
                let mut matching = names.iter().filter(|(name, _)| may_be(name));
                if let Some(cause) = matching.find_map(|(_, causes)| Some(&causes[of(causes)?].1)) {
                    return Some(cause);
                }
            } else {
                let mut matching = [object.name, ""].into_iter().filter_map(|name| names.get(name));
                if let Some(cause) = matching.find_map(|causes| Some(&causes[of(causes)?].1)) {
                    return Some(cause);
                }
            }
        }
        None
    }

    /// The first cause that may give an object of this kind another name or namespace.
    pub(super) fn renames(&self, kind: DescriptionKind) -> Option<&Arc<Cause>> {
        self.find(Target { kind: kind.name(), name: "" }, false, Touch::IDENTITY)
    }

    /// The first cause that may change any class.
    pub(super) fn of_classes(&self) -> Option<&Arc<Cause>> {
        let kind = DescriptionKind::Class;
        self.find(Target { kind: kind.name(), name: "" }, false, Touch::of(kind))
    }
}
