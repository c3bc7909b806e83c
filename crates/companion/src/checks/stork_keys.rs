//! Rules for keys and values: misspelled, in the wrong place, or not readable.

use serde_json::value::RawValue;

use super::{ENOUGH, RuleCheck, is_setting, shown};
use crate::field_path::FieldPath;
use crate::finding::Part;
use crate::key::{Home, PREFIX, Recognised, StorkKey, ValueType};
use crate::rule::Rule;
use crate::subject::{Holder, KeyMap, MapField, MapLocation, POD, SubjectKind};
use colocate_engine::{one_line, parse_bool};

/// The booleans of Go's `strconv.ParseBool`.
const BOOLEANS: &str = "1 t T TRUE true True, 0 f F FALSE false False";

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
                self.check_key(site, key, raw);
            }
        }
    }

    fn check_key(&mut self, site: &KeyMap<'_>, name: &str, raw: &RawValue) {
        let path = site.path.key(name);
        match self.keys.recognise(name) {
            Recognised::Foreign if site.location.is_of_storage() && is_setting(name) => {
                self.check_string(&path, raw);
            }
            Recognised::Foreign => {}
            Recognised::Key(key) if key.is_at_home(&site.location) => self.check_value(site, &key, path, raw),
            Recognised::Key(key) => self.check_place(site, &key, path),
            Recognised::Misspelled { meant } => {
                let message = format!("{} is read by nobody", shown(name));
                self.find(Rule::Misspelled, path, Part::Key, message, format!("did you mean {meant}?"));
            }
            Recognised::Unknown { nearest } => {
                let message = format!("{} is read by nobody", shown(name));
                let remedy = format!("take it out, or correct it; the nearest key behind {PREFIX} is {nearest}");
                self.find(Rule::UnknownKey, path, Part::Key, message, remedy);
            }
        }
    }

    /// Checks that a value is a string, and one that Stork reads.
    fn check_value(&mut self, site: &KeyMap<'_>, key: &StorkKey<'_>, path: FieldPath, raw: &RawValue) {
        if !self.check_string(&path, raw) {
            return;
        }
        let value = site.entries.get(key.name).unwrap_or_default();
        match key.value {
            ValueType::Boolean { default } if parse_bool(&value).is_none() => {
                let message = format!(
                    "{} is no boolean to Stork, which reads {BOOLEANS}: it goes by its default, {default}",
                    shown(&value)
                );
                self.find(Rule::NoBoolean, path, Part::Value, message, "write \"true\" or \"false\"");
            }
            ValueType::True if value != "true" && parse_bool(&value) != Some(false) => {
                let message = format!("{} is not `true`, the one value that Stork compares with", shown(&value));
                self.find(Rule::NoBoolean, path, Part::Value, message, "write \"true\", or take the key out");
            }
            ValueType::Boolean { .. } | ValueType::True => {}
        }
    }

    fn check_string(&mut self, path: &FieldPath, raw: &RawValue) -> bool {
        let is_string = raw.get().starts_with('"');
        if !is_string {
            let value = one_line(raw.get(), ENOUGH);
            let message = format!("`{value}` is no string, and the API server refuses it");
            let remedy = match parse_bool(&value) {
                Some(_) => format!("write it in quotes: \"{value}\""),
                None => "write a text in quotes; of a key that is yes or no, \"true\" or \"false\"".to_owned(),
            };
            self.find(Rule::NoString, path.clone(), Part::Value, message, remedy);
        }
        is_string
    }

    /// Reports a key in a place where nothing reads it.
    fn check_place(&mut self, site: &KeyMap<'_>, key: &StorkKey<'_>, path: FieldPath) {
        let MapLocation { of, map } = &site.location;
        let rule = match (of, map, key.home) {
            (Holder::Namespace, _, _) => Rule::OnNamespace,
            (_, MapField::Labels, _) => Rule::InLabels,
            (Holder::Workload, _, Home::Pod) => Rule::OnWorkload,
            (Holder::Workload | Holder::Pod, _, _) => Rule::StorageKeyOnPod,
            (Holder::Claim(_) | Holder::Class, _, Home::Pod) => Rule::PodKeyOnStorage,
            (Holder::Claim(_) | Holder::Class, _, _) => Rule::OnClassMetadata,
        };
        if rule == Rule::OnWorkload && self.pod_has(key.name, site) {
            // The copy on the workload is harmless.
            return;
        }
        let message = format!("{} is read by nobody in {} of a {}", shown(key.name), site.path, self.subject.kind);
        let remedy = match key.home {
            _ if rule == Rule::OnNamespace && key.name == &*self.policy.opt_out.namespace_label => {
                "write it as a label of the Namespace".to_owned()
            }
            Home::Pod => format!("write it in {}", self.pod_annotations()),
            Home::Storage => "write it as a parameter of the StorageClass, or as an annotation of the claim".to_owned(),
            Home::Claim => "write it as an annotation of the claim".to_owned(),
        };
        self.find(rule, path, Part::Key, message, remedy);
    }

    /// Returns whether the pod has the same key with the same value.
    fn pod_has(&self, key: &str, site: &KeyMap<'_>) -> bool {
        let mut pods = self.subject.sites.iter().filter(|site| site.location == POD);
        pods.any(|pod| pod.entries.get(key).is_some_and(|value| Some(value) == site.entries.get(key)))
    }

    /// The path from the object to its pod's annotations.
    fn pod_annotations(&self) -> String {
        match self.subject.kind {
            SubjectKind::Workload(_) => self.subject.template.field("metadata").field("annotations").to_string(),
            SubjectKind::Claim | SubjectKind::Class | SubjectKind::Namespace => {
                "the annotations of the pod (of a workload: spec.template.metadata.annotations)".to_owned()
            }
        }
    }
}

impl StorkKey<'_> {
    fn is_at_home(&self, place: &MapLocation) -> bool {
        matches!(
            (self.home, &place.of, place.map),
            (Home::Pod, Holder::Pod, MapField::Annotations)
                | (Home::Storage | Home::Claim, Holder::Claim(_), MapField::Annotations)
                | (Home::Storage, Holder::Class, MapField::Parameters)
        )
    }
}
