//! Rules for keys and values: misspelled keys, keys in the wrong place, and values that do not parse.

use serde_json::value::RawValue;

use super::{MAX_SHOWN, RuleCheck, is_setting, shown};
use crate::field_path::FieldPath;
use crate::finding::Part;
use crate::key::{Recognized, Source, StorkKey, ValueType};
use crate::rule::Rule;
use crate::stray_key::StrayKey;
use crate::subject::{Holder, KeyMap, MapField, MapLocation, POD, SubjectKind};
use colocate_engine::{one_line, parse_bool};

/// The booleans of Go's `strconv.ParseBool`.
const BOOLEANS: &str = "1 t T TRUE true True, 0 f F FALSE false False";

/// The annotations that kustomize adds to every object.
const COMMON: MapLocation = MapLocation { of: Holder::Kustomization, map: MapField::Annotations };

impl RuleCheck<'_> {
    pub(super) fn check_keys(&mut self) {
        for site in &self.subject.sites {
            for (key, raw) in site.entries.iter() {
                if self.report.cut {
                    return;
                }
                let label = *key == *self.policy.opt_out.namespace_label;
                if label && site.location == (MapLocation { of: Holder::Namespace, map: MapField::Labels }) {
                    self.check_string(&site.path.key(key), raw);
                    continue;
                }
                if site.location.is_opt_out_label(key, self.policy) {
                    self.check_opt_out_label(site, key, raw);
                    continue;
                }
                self.check_key(site, key, raw);
            }
        }
    }

    fn check_key(&mut self, site: &KeyMap<'_>, name: &str, raw: &RawValue) {
        let path = site.path.key(name);
        match self.keys.recognize(name) {
            Recognized::Foreign if site.location.is_of_storage() && is_setting(name) => {
                self.check_string(&path, raw);
            }
            Recognized::Foreign => {}
            Recognized::Key(key) if key.is_read_from(&site.location) => self.check_value(site, &key, path, raw),
            Recognized::Key(key) if site.location == COMMON => {
                self.check_value(site, &key, path.clone(), raw);
                self.check_common(&key, path);
            }
            Recognized::Key(key) => self.check_place(site, &key, path),
            Recognized::Misspelled { meant } => {
                let message = format!("Stork does not read {}", shown(name));
                self.find(Rule::Misspelled, path, Part::Key, message, format!("did you mean {meant}?"));
            }
            Recognized::Unknown { nearest } => self.find_unknown(path, name, &nearest),
        }
    }

    /// Checks that a value is a string that Stork recognizes.
    fn check_value(&mut self, site: &KeyMap<'_>, key: &StorkKey<'_>, path: FieldPath, raw: &RawValue) {
        if !self.check_string(&path, raw) {
            return;
        }
        let value = site.entries.get(key.name).unwrap_or_default();
        match key.value {
            ValueType::Boolean { default } if parse_bool(&value).is_none() => {
                let message = format!(
                    "{} is not a boolean (Stork accepts {BOOLEANS}), so Stork uses its default, {default}",
                    shown(&value)
                );
                self.find(Rule::NoBoolean, path, Part::Value, message, "use \"true\" or \"false\"");
            }
            ValueType::True if value != "true" && parse_bool(&value) != Some(false) => {
                let message = format!("{} is not `true`, the only value that Stork recognizes", shown(&value));
                self.find(Rule::NoBoolean, path, Part::Value, message, "use \"true\", or remove the key");
            }
            ValueType::Boolean { .. } | ValueType::True => {}
        }
    }

    fn check_opt_out_label(&mut self, site: &KeyMap<'_>, name: &str, raw: &RawValue) {
        let path = site.path.key(name);
        if !self.check_string(&path, raw) {
            return;
        }
        let value = site.entries.get(name).unwrap_or_default();
        if parse_bool(&value).is_none() {
            let message = format!("{} is not a boolean, so the label does not opt out", shown(&value));
            self.find(Rule::NoBoolean, path, Part::Value, message, "use \"true\" or \"false\"");
        }
    }

    fn check_string(&mut self, path: &FieldPath, raw: &RawValue) -> bool {
        let is_string = raw.get().starts_with('"');
        if !is_string {
            let value = one_line(raw.get(), MAX_SHOWN);
            let message = format!("`{value}` is not a string, so the API server rejects it");
            let remedy = match parse_bool(&value) {
                Some(_) => format!("quote it: \"{value}\""),
                None => "use a quoted string; for a boolean, \"true\" or \"false\"".to_owned(),
            };
            self.find(Rule::NoString, path.clone(), Part::Value, message, remedy);
        }
        is_string
    }

    /// Reports a key in a place from which Stork does not read it.
    fn check_place(&mut self, site: &KeyMap<'_>, key: &StorkKey<'_>, path: FieldPath) {
        let MapLocation { of, map } = &site.location;
        let rule = match (of, map, key.source) {
            (Holder::Namespace, _, _) => Rule::OnNamespace,
            (Holder::Other, _, _) => Rule::Misplaced,
            (_, MapField::Labels, _) => Rule::InLabels,
            (Holder::Kustomization, _, _) => Rule::Misplaced,
            (Holder::Workload, _, Source::Pod) => Rule::OnWorkload,
            (Holder::Workload | Holder::Pod, _, _) => Rule::StorageKeyOnPod,
            (Holder::Claim(_) | Holder::Class, _, Source::Pod) => Rule::PodKeyOnStorage,
            (Holder::Claim(_) | Holder::Class, _, _) => Rule::OnClassMetadata,
        };
        if rule == Rule::OnWorkload && self.pod_has(key.name, site) {
            // The copy on the workload is harmless.
            return;
        }
        let kind = self.subject.kind;
        let place = match of {
            Holder::Workload if site.path.segments().len() == 2 => format!("a {kind}'s own metadata"),
            _ => format!("{} of a {kind}", site.path),
        };
        let message = format!("Stork does not read {} from {place}", shown(key.name));
        let remedy = match rule {
            Rule::OnNamespace if key.name == &*self.policy.opt_out.namespace_label => {
                "make it a label of the Namespace".to_owned()
            }
            _ => self.right_place(key.source),
        };
        self.find(rule, path, Part::Key, message, remedy);
    }

    /// Reports a key that kustomize adds to every object. It has its effect on some of them.
    fn check_common(&mut self, key: &StorkKey<'_>, path: FieldPath) {
        let (readers, remedy) = match key.source {
            Source::Pod => ("pods", "patch spec.template.metadata.annotations of the workloads instead"),
            Source::Storage | Source::Claim => ("claims", "patch metadata.annotations of the claims instead"),
        };
        let message = format!(
            "kustomize adds {} to every object, but Stork reads this annotation only on {readers}",
            shown(key.name)
        );
        self.find(Rule::OnEveryObject, path, Part::Key, message, remedy);
    }

    /// Describes what to do with a key, so that Stork reads it.
    fn right_place(&self, source: Source) -> String {
        match (source, self.subject.kind) {
            (Source::Pod, _) => format!("move it to {}", self.pod_annotations()),
            (Source::Storage, SubjectKind::Class) => "move it to parameters".to_owned(),
            (Source::Storage | Source::Claim, SubjectKind::Claim) => "move it to metadata.annotations".to_owned(),
            (Source::Storage, _) => "make it a parameter of the StorageClass or an annotation of the claim".to_owned(),
            (Source::Claim, _) => "make it an annotation of the claim".to_owned(),
        }
    }

    /// Reports keys in fields that are not maps of keys.
    pub(super) fn check_strays(&mut self) {
        for StrayKey { parent, name } in &self.subject.strays {
            let path = parent.key(name);
            let place = match parent.segments().len() {
                0 => format!("the top level of a {}", self.subject.kind),
                1 => format!("the top-level field {parent} of a {}", self.subject.kind),
                _ => format!("{parent} of a {}", self.subject.kind),
            };
            match self.keys.recognize(name) {
                Recognized::Foreign => {}
                Recognized::Key(key) => {
                    let message = format!("Stork does not read {} from {place}", shown(name));
                    let remedy = if self.is_singular(parent, key.source) {
                        "rename `annotation` to `annotations`".to_owned()
                    } else {
                        self.right_place(key.source)
                    };
                    self.find(Rule::Misplaced, path, Part::Key, message, remedy);
                }
                Recognized::Misspelled { meant } => {
                    let message = format!("Stork does not read {} from {place}", shown(name));
                    let remedy = match self.keys.recognize(&meant) {
                        Recognized::Key(key) => format!("did you mean {meant}? Then {}", self.right_place(key.source)),
                        _ => format!("did you mean {meant}?"),
                    };
                    self.find(Rule::Misspelled, path, Part::Key, message, remedy);
                }
                Recognized::Unknown { nearest } => self.find_unknown(path, name, &nearest),
            }
        }
    }

    fn find_unknown(&mut self, path: FieldPath, name: &str, nearest: &str) {
        let message = format!("{} is not a known key of Stork", shown(name));
        let remedy = format!("remove or correct it: the closest known key is {nearest}");
        self.find(Rule::UnknownKey, path, Part::Key, message, remedy);
    }

    /// Returns true if `field` would be the right place under the name `annotations`.
    fn is_singular(&self, field: &FieldPath, source: Source) -> bool {
        let is_at = |metadata: FieldPath| *field == metadata.field("annotation");
        match (source, self.subject.kind) {
            (Source::Pod, SubjectKind::Workload(_)) => is_at(self.subject.template.field("metadata")),
            (Source::Storage | Source::Claim, SubjectKind::Claim) => is_at(FieldPath::of(["metadata"])),
            _ => false,
        }
    }

    /// Returns true if the pod has the same key with the same value.
    fn pod_has(&self, key: &str, site: &KeyMap<'_>) -> bool {
        let mut pods = self.subject.sites.iter().filter(|site| site.location == POD);
        pods.any(|pod| pod.entries.get(key).is_some_and(|value| Some(value) == site.entries.get(key)))
    }

    /// The path from the object to its pod's annotations.
    fn pod_annotations(&self) -> String {
        match self.subject.kind {
            SubjectKind::Workload(_) => self.subject.template.field("metadata").field("annotations").to_string(),
            SubjectKind::Claim
            | SubjectKind::Class
            | SubjectKind::Namespace
            | SubjectKind::Kustomization
            | SubjectKind::Other(_) => {
                "the annotations of the pod (for a workload: spec.template.metadata.annotations)".to_owned()
            }
        }
    }
}

impl StorkKey<'_> {
    /// Returns true if Stork reads the key from this map.
    fn is_read_from(&self, location: &MapLocation) -> bool {
        matches!(
            (self.source, &location.of, location.map),
            (Source::Pod, Holder::Pod, MapField::Annotations)
                | (Source::Storage | Source::Claim, Holder::Claim(_), MapField::Annotations)
                | (Source::Storage, Holder::Class, MapField::Parameters)
        )
    }
}
