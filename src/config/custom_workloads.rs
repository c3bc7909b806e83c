//! `customWorkloads`: custom resources that hold a pod template.

use std::collections::HashSet;

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
            let update = if custom.update { engine::Update::Allowed } else { engine::Update::Refused };
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

impl TryFrom<Vec<WorkloadEntry>> for CustomWorkloadsSection {
    type Error = String;

    fn try_from(workloads: Vec<WorkloadEntry>) -> Result<Self, String> {
        let mut seen = HashSet::new();
        for WorkloadEntry { group, version, resource, kind, .. } in &workloads {
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
            if !seen.insert((group, version, kind)) {
                return Err(format!("{kind} of {group}/{version} is listed twice: list it once"));
            }
        }
        Ok(Self(workloads))
    }
}

/// The path of a pod template in an object: a JSON pointer (RFC 6901) of object keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct TemplatePath(Vec<String>);

impl TryFrom<String> for TemplatePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = |what: &str| format!("path `{text}` {what}: use a JSON pointer such as /spec/template");
        let pointer =
            json_patch::jsonptr::Pointer::parse(&text).map_err(|error| wrong(&format!("is invalid: {error}")))?;
        let keys: Vec<_> = pointer.tokens().map(|token| token.decoded().into_owned()).collect();
        if keys.is_empty() {
            return Err(wrong("is the whole object"));
        }
        if keys.iter().any(String::is_empty) {
            return Err(wrong("has an empty segment"));
        }
        let is_index = |key: &&String| *key == "-" || key.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(index) = keys.iter().find(is_index) {
            return Err(format!(
                "path `{text}` leads through a list (`{index}`), and templates in lists are not read: remove this entry, and colocate decides about the pods when they are created"
            ));
        }
        if keys[0] == "metadata" {
            return Err(wrong("leads into metadata, which cannot hold a pod template"));
        }
        Ok(Self(keys))
    }
}

impl From<TemplatePath> for String {
    fn from(path: TemplatePath) -> Self {
        json_patch::jsonptr::PointerBuf::from_tokens(path.0).to_string()
    }
}
