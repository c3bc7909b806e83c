//! The object that a user asks about, as kubectl names it: `pod/mysql-0`, `deploy/mysql`.

use std::str::FromStr;

use crate::engine::dns;
use crate::inspect::kinds::{self, Kind};

/// An object of a kind that creates pods, or a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) kind: TargetKind,
    pub(crate) name: String,
}

/// A kind that can be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TargetKind {
    /// The kind's name.
    pub(crate) name: &'static str,
    /// Its API.
    pub(super) api: Kind,
    /// The short name that kubectl accepts; the singular name for a kind without one.
    short: &'static str,
}

const fn kind(name: &'static str, api: Kind, short: &'static str) -> TargetKind {
    TargetKind { name, api, short }
}

/// The kinds that can be asked about. All have the version `v1`.
pub(super) const KINDS: [TargetKind; 8] = [
    kind("Pod", kinds::PODS, "po"),
    kind("Deployment", kinds::DEPLOYMENTS, "deploy"),
    kind("StatefulSet", kinds::STATEFUL_SETS, "sts"),
    kind("DaemonSet", kinds::DAEMON_SETS, "ds"),
    kind("ReplicaSet", kinds::REPLICA_SETS, "rs"),
    kind("Job", kinds::JOBS, "job"),
    kind("CronJob", kinds::CRON_JOBS, "cj"),
    kind("ReplicationController", kinds::REPLICATION_CONTROLLERS, "rc"),
];

impl TargetKind {
    /// Finds the kind of a controller.
    pub(super) fn find(group: &str, name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.name == name && kind.api.resource.group == group)
    }

    /// Returns true for pods.
    pub(crate) fn is_pod(self) -> bool {
        self.api == kinds::PODS
    }

    /// Returns true if kubectl accepts this name of the kind, in any case: `deploy`, `deployments.apps`, `deployment.v1.apps`.
    fn is_named(self, name: &str) -> bool {
        let (name, group) = name.split_once('.').map_or((name, None), |(name, group)| (name, Some(group)));
        let group = group.map(|group| group.strip_prefix("v1.").unwrap_or(group));
        let names = [self.short, self.name, self.api.resource.name];
        names.iter().any(|own| own.eq_ignore_ascii_case(name))
            && group.is_none_or(|group| group == self.api.resource.group)
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((kind, name)) = text.split_once('/') else {
            return Err("use KIND/NAME, such as pod/mysql-0 or deploy/mysql".to_owned());
        };
        let Some(kind) = KINDS.into_iter().find(|known| known.is_named(kind)) else {
            let names: Vec<_> = KINDS.iter().map(|kind| kind.short).collect();
            return Err(format!("`{kind}` is not a kind that can be explained: use one of {}", names.join(", ")));
        };
        if !dns::is_subdomain(name) {
            return Err(format!("`{name}` is not the name of an object: use one such as mysql-0"));
        }
        Ok(Self { kind, name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_as_in_kubectl() {
        for (text, kind) in [
            ("po/a", "Pod"),
            ("pod/a", "Pod"),
            ("Pods/a", "Pod"),
            ("deploy/a", "Deployment"),
            ("deployment.apps/a", "Deployment"),
            ("deployments.v1.apps/a", "Deployment"),
            ("sts/a", "StatefulSet"),
            ("ds/a", "DaemonSet"),
            ("rs/a", "ReplicaSet"),
            ("job/a", "Job"),
            ("cj/a", "CronJob"),
            ("rc/a", "ReplicationController"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!((target.kind.name, &*target.name), (kind, "a"), "{text}");
        }
        assert_eq!(TargetKind::find("apps", "ReplicaSet").map(|kind| kind.name), Some("ReplicaSet"));
        assert_eq!(TargetKind::find("", "ReplicaSet"), None);
    }

    #[test]
    fn an_invalid_target_says_what_to_use() {
        for (text, expected) in [
            ("mysql-0", "use KIND/NAME, such as pod/mysql-0"),
            ("node/a", "use one of po, deploy, sts, ds, rs, job, cj, rc"),
            ("deploy.batch/a", "`deploy.batch` is not a kind"),
            ("pod/A", "`A` is not the name of an object"),
            ("pod/", "`` is not the name of an object"),
            ("pod/../secrets", "is not the name of an object"),
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
