//! An object as kubectl names it: `deployment/web`, `sts/db`, `rollouts.argoproj.io/web`.

use std::fmt;
use std::str::FromStr;

use crate::inspect::FoundLeftover;

/// The short names of kubectl.
const SHORT: [(&str, &str); 6] = [
    ("deploy", "deployment"),
    ("sts", "statefulset"),
    ("ds", "daemonset"),
    ("rs", "replicaset"),
    ("rc", "replicationcontroller"),
    ("cj", "cronjob"),
];

/// The name of an object on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectName {
    /// The kind, the resource or its short name, in lower case.
    kind: String,
    /// The API group, if it is named.
    group: Option<String>,
    name: String,
}

impl FromStr for ObjectName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').filter(|(kind, name)| !kind.is_empty() && !name.is_empty());
        let (kind, name) =
            parts.filter(|(_, name)| !name.contains('/')).ok_or("use KIND/NAME, such as deployment/web")?;
        let kind = kind.to_lowercase();
        let (kind, group) = match kind.split_once('.') {
            Some((kind, group)) => (kind.to_owned(), Some(group.to_owned())),
            None => (kind, None),
        };
        Ok(Self { kind, group, name: name.to_owned() })
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, group, name } = self;
        let group = group.as_ref().map(|group| format!(".{group}")).unwrap_or_default();
        write!(f, "{kind}{group}/{name}")
    }
}

impl ObjectName {
    /// Returns true if it names this object.
    pub(super) fn is(&self, found: &FoundLeftover) -> bool {
        let resource = found.kind.resource;
        let kind = found.leftover.kind.to_lowercase();
        let is_short = || SHORT.iter().any(|(short, long)| *short == self.kind && *long == kind);
        self.name == found.leftover.name
            && self.group.as_ref().is_none_or(|group| *group == resource.group)
            && (self.kind == kind || self.kind == resource.name || is_short())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::Policy;
    use crate::insight::Leftover;
    use crate::inspect::kinds;

    #[test]
    fn objects_are_named_as_for_kubectl() {
        let policy = Policy::default();
        let object = json!({"metadata": {"name": "web"}, "spec": {"template": {"spec": {"schedulerName": "stork"}}}});
        let workload = policy.workloads.find("apps", "v1", "Deployment").unwrap();
        let leftover = Leftover::read(&policy, workload, &object.to_string()).unwrap().unwrap();
        let found = FoundLeftover { kind: kinds::DEPLOYMENTS, leftover };
        for (name, is_meant) in [
            ("deployment/web", true),
            ("Deployment/web", true),
            ("deployments/web", true),
            ("deploy/web", true),
            ("deployments.apps/web", true),
            ("deployment.extensions/web", false),
            ("sts/web", false),
            ("deploy/other", false),
        ] {
            assert_eq!(name.parse::<ObjectName>().unwrap().is(&found), is_meant, "{name}");
        }
        for wrong in ["web", "deploy/", "/web", "deploy/web/x", ""] {
            assert!(wrong.parse::<ObjectName>().unwrap_err().contains("such as deployment/web"), "{wrong}");
        }
    }
}
