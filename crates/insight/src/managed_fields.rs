//! `metadata.managedFields`: which manager wrote which field, and when it last wrote one.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// The entries of `managedFields`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Option<Vec<FieldsEntry>>")]
pub struct ManagedFields(Vec<FieldsEntry>);

/// An entry: one per manager, operation and subresource.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldsEntry {
    /// The name of the manager.
    #[serde(default)]
    pub manager: String,
    /// `Apply` or `Update`.
    #[serde(default)]
    pub operation: String,
    /// The subresource that it wrote to, such as `status`; empty for the object itself.
    #[serde(default)]
    pub subresource: String,
    /// The time at which it last changed the set of its fields, or one of their values.
    #[serde(default)]
    pub time: Option<Timestamp>,
    #[serde(default, rename = "fieldsV1")]
    fields: Value,
}

/// The last change of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// It is as it was created.
    Creation,
    /// It was written last at this time, or before.
    At(Timestamp),
    /// No entry has the field, or the entry has no time.
    Unrecorded,
}

/// The containers of a pod, which only its creator writes.
const CONTAINERS: [&str; 2] = ["spec", "containers"];

impl From<Option<Vec<FieldsEntry>>> for ManagedFields {
    fn from(entries: Option<Vec<FieldsEntry>>) -> Self {
        Self(entries.unwrap_or_default())
    }
}

impl ManagedFields {
    /// Returns true if no manager is recorded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the entries that own the field at this path.
    pub fn owners(&self, path: &[&str]) -> Vec<&FieldsEntry> {
        self.0.iter().filter(|entry| entry.owns(path)).collect()
    }

    /// Returns the writer that added this field of a pod after the creation of the pod.
    ///
    /// An entry has only the time of the manager's last write, so this is certain only for a manager that did not create the
    /// pod. A mutating webhook writes in the name of the creator.
    pub fn added_later(&self, path: &[&str], created: Timestamp) -> Option<&FieldsEntry> {
        let owners = self.owners(path);
        let later = |entry: &&FieldsEntry| !entry.owns(&CONTAINERS) && entry.time.is_some_and(|time| time > created);
        owners.first().copied().filter(|_| owners.iter().all(later))
    }

    /// Returns the writer that set this field after this time, if it has written no other field of the object: an entry has only
    /// the time of the manager's last write.
    pub fn set_later(&self, path: &[&str], time: Timestamp) -> Option<&FieldsEntry> {
        let owners = self.owners(path);
        let is_later =
            |entry: &&FieldsEntry| entry.operation == "Update" && entry.owns_only(path) && entry.time > Some(time);
        owners.first().copied().filter(|_| owners.iter().all(is_later))
    }

    /// Returns the last time at which a manager other than this one wrote to the object itself.
    pub fn last_write(&self, except: Option<&str>) -> Option<Timestamp> {
        let counts =
            |entry: &&FieldsEntry| entry.subresource.is_empty() && except.is_none_or(|except| entry.manager != except);
        self.0.iter().filter(counts).filter_map(|entry| entry.time).max()
    }

    /// Returns the entry of the manager that created a pod.
    pub fn creator(&self) -> Option<&FieldsEntry> {
        self.owners(&CONTAINERS).into_iter().min_by_key(|entry| entry.time)
    }

    /// Returns when the field at this path, which is present, was last added or changed. The entry of the creation of a pod is no
    /// change.
    pub fn trace(&self, path: &[&str], created: Option<Timestamp>) -> Trace {
        let is_creation = |entry: &&FieldsEntry| created.is_some() && entry.owns(&CONTAINERS) && entry.time == created;
        let owners = self.owners(path);
        let times: Option<Vec<_>> = owners.iter().filter(|entry| !is_creation(entry)).map(|entry| entry.time).collect();
        match times {
            Some(_) if owners.is_empty() => Trace::Unrecorded,
            Some(times) => times.into_iter().max().map_or(Trace::Creation, Trace::At),
            None => Trace::Unrecorded,
        }
    }

    /// Returns the last time at which a manager that owns the field at this path wrote to the object itself.
    pub fn last_write_of(&self, path: &[&str]) -> Option<Timestamp> {
        self.owners(path).into_iter().filter_map(|entry| entry.time).max()
    }
}

impl FieldsEntry {
    fn owns(&self, path: &[&str]) -> bool {
        let field = path.iter().try_fold(&self.fields, |fields, key| fields.get(format!("f:{key}")));
        self.subresource.is_empty() && field.is_some()
    }

    /// Returns true if the entry owns the field at this path, and nothing else.
    fn owns_only(&self, path: &[&str]) -> bool {
        let is_alone = |fields: &Value, key: &str| {
            // A key without a prefix stands for the list or map itself.
            let others = fields.as_object().into_iter().flatten().filter(|(other, _)| *other != ".");
            others.map(|(other, _)| other.as_str()).eq([key])
        };
        let mut fields = &self.fields;
        path.iter().all(|key| {
            let key = format!("f:{key}");
            let is_alone = is_alone(fields, &key);
            fields = fields.get(&key).unwrap_or(&Value::Null);
            is_alone
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: [&str; 3] = ["metadata", "annotations", "a.test/off"];

    fn fields(entries: &[(&str, &str, &str, Value)]) -> ManagedFields {
        let entry = |(manager, subresource, time, fields): &(&str, &str, &str, Value)| json!({"manager": manager, "operation": "Update", "subresource": subresource, "time": time, "fieldsV1": fields});
        serde_json::from_value(entries.iter().map(entry).collect()).unwrap()
    }

    #[test]
    fn a_field_of_another_manager_was_added_later() {
        let created: Timestamp = "2026-11-30T02:14:07Z".parse().unwrap();
        let (at_creation, later) = ("2026-11-30T02:14:07Z", "2026-11-30T09:00:00Z");
        let annotation = json!({"f:metadata": {"f:annotations": {"f:a.test/off": {}}}});
        let containers = json!({"f:spec": {"f:containers": {}}});
        let both = json!({"f:metadata": annotation["f:metadata"], "f:spec": containers["f:spec"]});
        for (entries, expected) in [
            (vec![("a", "", at_creation, containers.clone()), ("b", "", later, annotation.clone())], Some("b")),
            (vec![("a", "", at_creation, both.clone())], None),
            // The creator wrote again, perhaps another field.
            (vec![("a", "", later, both.clone())], None),
            (vec![("a", "", at_creation, both.clone()), ("b", "", later, annotation.clone())], None),
            (vec![("a", "", at_creation, containers.clone()), ("b", "", at_creation, annotation.clone())], None),
            (vec![("a", "", at_creation, containers.clone()), ("b", "status", later, annotation)], None),
            (vec![], None),
        ] {
            let fields = fields(&entries);
            let found = fields.added_later(&KEY, created).map(|entry| &*entry.manager);
            assert_eq!(found, expected, "{entries:?}");
        }
    }

    #[test]
    fn a_field_was_set_later_if_its_writer_wrote_nothing_else() {
        let time: Timestamp = "2026-11-30T02:14:07Z".parse().unwrap();
        let (before, later) = ("2026-11-30T02:00:00Z", "2026-11-30T09:00:00Z");
        let alone = json!({"f:metadata": {"f:annotations": {".": {}, "f:a.test/off": {}}}});
        let two = json!({"f:metadata": {"f:annotations": {"f:a.test/off": {}, "f:b": {}}}});
        let elsewhere = json!({"f:metadata": {"f:annotations": {"f:a.test/off": {}}}, "f:spec": {}});
        for (entries, expected) in [
            (vec![("a", "", later, alone.clone())], Some("a")),
            (vec![("a", "", before, alone.clone())], None),
            (vec![("a", "", later, two)], None),
            (vec![("a", "", later, elsewhere)], None),
            (vec![("a", "", later, alone.clone()), ("b", "", before, alone)], None),
            (vec![], None),
        ] {
            let fields = fields(&entries);
            assert_eq!(fields.set_later(&KEY, time).map(|entry| &*entry.manager), expected, "{entries:?}");
        }
    }

    #[test]
    fn labels_of_the_creation_are_not_changes() {
        let created: Timestamp = "2026-11-30T02:14:07Z".parse().unwrap();
        let (at_creation, later) = ("2026-11-30T02:14:07Z", "2026-11-30T09:00:00Z");
        let labels = json!({"f:metadata": {"f:labels": {"f:app": {}}}});
        let both = json!({"f:metadata": labels["f:metadata"], "f:spec": {"f:containers": {}}});
        let other = json!({"f:metadata": {"f:labels": {"f:tier": {}}}});
        let time = |time: &str| Trace::At(time.parse().unwrap());
        for (entries, expected) in [
            (vec![("a", "", at_creation, both.clone())], Trace::Creation),
            (vec![("a", "", at_creation, both.clone()), ("b", "", later, other.clone())], Trace::Creation),
            // The creator wrote again, perhaps another field.
            (vec![("a", "", later, both.clone())], time(later)),
            (vec![("a", "", at_creation, both.clone()), ("b", "", later, labels.clone())], time(later)),
            (vec![("a", "", at_creation, both.clone()), ("b", "", at_creation, labels)], time(at_creation)),
            (vec![("a", "", at_creation, other)], Trace::Unrecorded),
        ] {
            let fields = fields(&entries);
            assert_eq!(fields.trace(&["metadata", "labels", "app"], Some(created)), expected, "{entries:?}");
            let creator = fields.creator().map(|entry| &*entry.manager);
            assert_eq!(creator, Some("a").filter(|_| expected != Trace::Unrecorded), "{entries:?}");
        }
    }

    #[test]
    fn the_last_write_is_not_that_of_a_subresource() {
        let entries = fields(&[
            ("a", "", "2026-11-30T02:00:00Z", json!({})),
            ("b", "", "2026-11-30T03:00:00Z", json!({})),
            ("c", "status", "2026-11-30T04:00:00Z", json!({})),
        ]);
        assert_eq!(entries.last_write(None), "2026-11-30T03:00:00Z".parse().ok());
        assert_eq!(entries.last_write(Some("b")), "2026-11-30T02:00:00Z".parse().ok());
        assert_eq!(serde_json::from_str::<ManagedFields>("null").unwrap().last_write(None), None);
    }
}
