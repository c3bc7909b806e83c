//! `customWorkloads`: custom resources that hold a pod template.

use std::collections::HashSet;
use std::fmt;

use json_patch::jsonptr::{Pointer, PointerBuf};
use serde::{Deserialize, Serialize};

use crate::engine;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkloadEntry {
    group: String,
    version: String,
    /// The plural, as in a webhook's rules. The server itself uses the kind.
    resource: String,
    kind: String,
    path: TemplatePath,
    #[serde(default = "yes")]
    update: bool,
}

fn yes() -> bool {
    true
}

/// Unique kinds in addition to the built-in ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<WorkloadEntry>")]
pub(super) struct CustomWorkloadsSection(Vec<WorkloadEntry>);

impl CustomWorkloadsSection {
    pub(super) fn to_engine(&self) -> engine::Workloads {
        engine::Workloads::new(self.0.iter().cloned().map(|custom| {
            let update = if custom.update { engine::Update::Allowed } else { engine::Update::Rejected };
            engine::Workload {
                group: custom.group,
                version: custom.version,
                kind: custom.kind,
                path: custom.path.0,
                update,
                custom: true,
            }
        }))
    }
}

impl CustomWorkloadsSection {
    /// The group, version, resource and kind of each.
    pub(super) fn names(&self) -> impl Iterator<Item = [&str; 4]> {
        self.0.iter().map(|WorkloadEntry { group, version, resource, kind, .. }| {
            [group, version, resource, kind].map(String::as_str)
        })
    }
}

impl TryFrom<Vec<WorkloadEntry>> for CustomWorkloadsSection {
    type Error = String;

    fn try_from(workloads: Vec<WorkloadEntry>) -> Result<Self, String> {
        let mut seen = HashSet::new();
        for WorkloadEntry { group, version, resource, kind, path, .. } in &workloads {
            let empty = [("version", version), ("resource", resource), ("kind", kind)];
            if let Some((field, _)) = empty.iter().find(|(_, value)| value.is_empty()) {
                return Err(format!("a custom workload has an empty `{field}`: set it"));
            }
            if group.contains('/') {
                return Err(format!("`{group}` is not an API group: write the version as `version`"));
            }
            if engine::Workloads::default().find(group, version, kind).is_some() {
                return Err(format!("{kind} of {group}/{version} is built in: remove it here"));
            }
            let is_list = |(own_group, own_kind, list): &&(&str, &str, &str)| {
                own_group == group && own_kind == kind && path.leads_through(list)
            };
            if let Some((_, _, list)) = TEMPLATE_LISTS.iter().find(is_list) {
                return Err(leads_through_list(&path.to_string(), list));
            }
            if !seen.insert((group, version, kind)) {
                return Err(format!("{kind} of {group}/{version} is listed twice: list it once"));
            }
        }
        Ok(Self(workloads))
    }
}

/// Lists of pod templates in well-known custom resources: group, kind and path. In other kinds, whether a field is a list is
/// known only when an object is created, which then has the reason `unreadable`.
const TEMPLATE_LISTS: [(&str, &str, &str); 11] = [
    ("batch.volcano.sh", "Job", "/spec/tasks"),
    ("elasticsearch.k8s.elastic.co", "Elasticsearch", "/spec/nodeSets"),
    ("flow.volcano.sh", "JobTemplate", "/spec/tasks"),
    ("jobset.x-k8s.io", "JobSet", "/spec/replicatedJobs"),
    ("kueue.x-k8s.io", "Workload", "/spec/podSets"),
    ("ray.io", "RayCluster", "/spec/workerGroupSpecs"),
    ("ray.io", "RayJob", "/spec/rayClusterSpec/workerGroupSpecs"),
    ("ray.io", "RayService", "/spec/rayClusterConfig/workerGroupSpecs"),
    ("trainer.kubeflow.org", "ClusterTrainingRuntime", "/spec/template/spec/replicatedJobs"),
    ("trainer.kubeflow.org", "TrainingRuntime", "/spec/template/spec/replicatedJobs"),
    ("workload.codeflare.dev", "AppWrapper", "/spec/components"),
];

fn leads_through_list(path: &str, list: &str) -> String {
    format!(
        "path `{path}` leads through a list (`{list}`), and templates in lists are not read: remove this entry, and colocate decides about the pods when they are created"
    )
}

/// The path of a pod template in an object: a JSON pointer (RFC 6901) of object keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct TemplatePath(Vec<String>);

impl TryFrom<String> for TemplatePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = |what: &str| format!("path `{text}` {what}: use a JSON pointer such as /spec/template");
        let pointer = Pointer::parse(&text).map_err(|error| wrong(&format!("is invalid: {error}")))?;
        let keys: Vec<_> = pointer.tokens().map(|token| token.decoded().into_owned()).collect();
        if keys.is_empty() {
            return Err(wrong("is the whole object"));
        }
        if keys.iter().any(String::is_empty) {
            return Err(wrong("has an empty segment"));
        }
        let is_index = |key: &&String| *key == "-" || key.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(index) = keys.iter().find(is_index) {
            return Err(leads_through_list(&text, index));
        }
        if keys[0] == "metadata" {
            return Err(wrong("leads into metadata, which cannot hold a pod template"));
        }
        Ok(Self(keys))
    }
}

impl TemplatePath {
    /// Returns true if `field`, a JSON pointer without escapes, is on the path or at its end.
    fn leads_through(&self, field: &str) -> bool {
        let mut keys = self.0.iter();
        field.split('/').skip(1).all(|key| keys.next().is_some_and(|own| own == key))
    }
}

impl fmt::Display for TemplatePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        PointerBuf::from_tokens(&self.0).fmt(f)
    }
}

impl From<TemplatePath> for String {
    fn from(path: TemplatePath) -> Self {
        path.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn parse(group: &str, kind: &str, path: &str) -> Result<Config, String> {
        let entry = format!("{{group: {group}, version: v1, resource: rs, kind: {kind}, path: {path}}}");
        format!("customWorkloads: [{entry}]").parse().map_err(|error: crate::config::ConfigError| error.to_string())
    }

    #[test]
    fn a_path_through_a_well_known_list_is_refused() {
        for (group, kind, list) in TEMPLATE_LISTS {
            for path in [list.to_owned(), format!("{list}/template"), format!("{list}/a/b/template")] {
                let error = parse(group, kind, &path).unwrap_err();
                assert!(error.contains(&format!("`{path}` leads through a list (`{list}`)")), "{error}");
            }
        }
    }

    #[test]
    fn other_fields_and_other_kinds_are_accepted() {
        for (group, kind, path) in [
            ("ray.io", "RayCluster", "/spec/headGroupSpec/template"),
            ("ray.io", "RayCluster", "/spec/workerGroupSpecsOther/template"),
            ("ray.io", "RayCluster", "/spec"),
            ("ray.io", "Other", "/spec/workerGroupSpecs/template"),
            ("example.com", "RayCluster", "/spec/workerGroupSpecs/template"),
        ] {
            parse(group, kind, path).unwrap();
        }
    }
}
