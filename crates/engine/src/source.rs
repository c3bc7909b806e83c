//! The sources of a template: the manifest that `kubectl apply` recorded, and the fields that appliers declared server-side.

use std::borrow::Cow;

use super::annotation::LAST_APPLIED;
use super::decode;
use super::pod::PodMetadata;
use super::workload::{Workload, WorkloadObject};

/// The scheduler in the sources of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A source names `schedulerName`, with any value.
    NamesScheduler,
    /// There is a source with a pod spec, and none names `schedulerName`: someone else set it.
    OmitsScheduler,
    /// The object records no source. It was created by `kubectl create`, an operator, or Helm 3, which keeps its manifests elsewhere.
    Unknown,
}

impl Workload {
    /// Returns true if a manifest of this kind, as JSON, names `schedulerName` with a value other than null.
    pub fn names_scheduler(&self, manifest: &str) -> bool {
        decode::names(manifest, &self.spec_path("", &["schedulerName"]))
    }

    /// Returns true if a manifest of this kind, as JSON, has a pod spec.
    pub fn has_pod_spec(&self, manifest: &str) -> bool {
        decode::names(manifest, &self.spec_path("", &[]))
    }

    /// The keys that lead from the object to its pod spec and on to `rest`, each with `prefix`.
    fn spec_path<'s>(&'s self, prefix: &str, rest: &[&'s str]) -> Vec<Cow<'s, str>> {
        let keys = self.path.iter().map(String::as_str).chain(["spec"]).chain(rest.iter().copied());
        keys.map(|key| if prefix.is_empty() { Cow::Borrowed(key) } else { Cow::Owned(format!("{prefix}{key}")) })
            .collect()
    }
}

impl WorkloadObject<'_> {
    /// Returns what the sources that the object records say about its scheduler. Its kind is `workload`.
    pub fn source(&self, workload: &Workload) -> Source {
        if self.source_names_scheduler(workload) {
            return Source::NamesScheduler;
        }
        let Some(metadata) = self.metadata() else { return Source::Unknown };
        let last_applied = metadata.annotations.get(LAST_APPLIED);
        // A manager that applies only labels or replicas is not the source of the template.
        let applied_spec = || {
            let path = workload.spec_path(FIELD, &[]);
            metadata.applied_fields.iter().any(|fields| decode::names(fields.get(), &path))
        };
        if last_applied.is_some_and(|manifest| workload.has_pod_spec(&manifest)) || applied_spec() {
            Source::OmitsScheduler
        } else {
            Source::Unknown
        }
    }

    /// Returns true if the manifest that the template was applied from sets `schedulerName`. A change would then differ
    /// from Git forever.
    pub(crate) fn source_names_scheduler(&self, workload: &Workload) -> bool {
        let Some(PodMetadata { annotations, applied_fields, .. }) = self.metadata() else { return false };
        // The encoders that write this annotation never escape letters, so an annotation whose raw text lacks
        // `schedulerName` need not be decoded. Most lack it.
        let may_name = annotations.raw(LAST_APPLIED).is_some_and(|raw| raw.get().contains("schedulerName"));
        if may_name && annotations.get(LAST_APPLIED).is_some_and(|manifest| workload.names_scheduler(&manifest)) {
            return true;
        }
        // Few objects were applied server-side (have `applied_fields`), and the path is needed only for those.
        !applied_fields.is_empty() && {
            let path = workload.spec_path(FIELD, &["schedulerName"]);
            applied_fields.iter().any(|fields| decode::names(fields.get(), &path))
        }
    }
}

/// The prefix of a key in `fieldsV1`.
const FIELD: &str = "f:";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::workload::Workloads;

    fn source(metadata: &Value) -> Source {
        let workloads = Workloads::default();
        let deployment = workloads.find("apps", "v1", "Deployment").unwrap();
        let object =
            json!({"metadata": metadata, "spec": {"template": {"spec": {"schedulerName": "stork"}}}}).to_string();
        WorkloadObject::parse(&object, deployment).unwrap().source(deployment)
    }

    fn applied(manifest: &Value) -> Value {
        json!({"annotations": {LAST_APPLIED: manifest.to_string()}})
    }

    fn managed(operation: &str, spec: &Value) -> Value {
        json!({"managedFields": [{"operation": operation, "fieldsV1": {"f:spec": spec}}]})
    }

    #[test]
    fn a_source_is_a_manifest_or_an_applier_of_the_pod_spec() {
        let template = |spec: Value| json!({"spec": {"template": {"spec": spec}}});
        let fields = |spec: Value| json!({"f:template": {"f:spec": spec}});
        let both = |spec: &Value, fields: &Value| {
            let mut metadata = applied(spec);
            metadata["managedFields"] = managed("Apply", fields)["managedFields"].take();
            metadata
        };
        let (silent, named) = (json!({"containers": []}), json!({"schedulerName": "default-scheduler"}));
        let (owns_other, owns_it) = (json!({"f:containers": {}}), json!({"f:schedulerName": {}}));
        for (metadata, expected) in [
            (json!({}), Source::Unknown),
            (applied(&template(silent.clone())), Source::OmitsScheduler),
            (applied(&template(named.clone())), Source::NamesScheduler),
            (applied(&template(json!({"schedulerName": null}))), Source::OmitsScheduler),
            (applied(&json!({"spec": {"replicas": 1}})), Source::Unknown),
            (json!({"annotations": {LAST_APPLIED: "not json"}}), Source::Unknown),
            (managed("Apply", &fields(owns_other.clone())), Source::OmitsScheduler),
            (managed("Apply", &fields(owns_it.clone())), Source::NamesScheduler),
            (managed("Apply", &json!({"f:replicas": {}})), Source::Unknown),
            (managed("Update", &fields(owns_it.clone())), Source::Unknown),
            (both(&template(silent), &fields(owns_it)), Source::NamesScheduler),
            (both(&template(named), &fields(owns_other)), Source::NamesScheduler),
        ] {
            assert_eq!(source(&metadata), expected, "{metadata}");
        }
    }
}
