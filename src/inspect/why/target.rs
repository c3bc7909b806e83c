//! The object that a user asks about, as kubectl names it: `pod/mysql-0`, `pod mysql-0`, `deploy/mysql`.

use crate::engine::dns;
use crate::inspect::kinds::{self, ResourceKind};

/// An object of a kind that creates pods, or a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The kind, as the user names it.
    kind: String,
    /// The name of the object.
    pub(crate) name: String,
}

/// A kind that can be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TargetKind {
    /// The kind's name.
    pub(crate) name: &'static str,
    /// Its API.
    pub(super) api: ResourceKind,
    /// The short name that kubectl accepts; the singular name for a kind without one.
    short: &'static str,
}

/// A kind that the user named and that cannot be asked about.
#[derive(Debug, thiserror::Error)]
#[error("`{kind}` is not a kind that can be explained: use one of {}", known.join(", "))]
pub(crate) struct UnknownKind {
    kind: String,
    known: Vec<String>,
}

const fn kind(name: &'static str, api: ResourceKind, short: &'static str) -> TargetKind {
    TargetKind { name, api, short }
}

/// The built-in kinds that can be asked about.
const BUILT_IN: [TargetKind; 8] = [
    kind("Pod", kinds::PODS, "po"),
    kind("Deployment", kinds::DEPLOYMENTS, "deploy"),
    kind("StatefulSet", kinds::STATEFUL_SETS, "sts"),
    kind("DaemonSet", kinds::DAEMON_SETS, "ds"),
    kind("ReplicaSet", kinds::REPLICA_SETS, "rs"),
    kind("Job", kinds::JOBS, "job"),
    kind("CronJob", kinds::CRON_JOBS, "cj"),
    kind("ReplicationController", kinds::REPLICATION_CONTROLLERS, "rc"),
];

/// The kinds that can be asked about: the built-in ones, and those of the configuration.
#[derive(Clone, Debug)]
pub(super) struct TargetKinds(Vec<TargetKind>);

impl TargetKinds {
    /// Adds custom kinds, each with its group, version, resource and kind.
    pub(super) fn new<'a>(custom: impl Iterator<Item = [&'a str; 4]>) -> Self {
        let custom = custom.map(|[group, version, resource, name]| {
            let api = ResourceKind::of_custom(group, version, resource);
            TargetKind { name: name.to_owned().leak(), api, short: api.resource.name }
        });
        Self(BUILT_IN.into_iter().chain(custom).collect())
    }

    /// Finds the kind of a controller.
    pub(super) fn find(&self, group: &str, version: &str, name: &str) -> Option<TargetKind> {
        let is_it = |kind: &TargetKind| {
            let ResourceKind { resource, version: own, .. } = kind.api;
            (kind.name, resource.group, own) == (name, group, version)
        };
        self.0.iter().copied().find(is_it)
    }

    /// Finds the kind that the user named.
    ///
    /// # Errors
    /// No kind has this name.
    pub(super) fn resolve(&self, target: &Target) -> Result<TargetKind, UnknownKind> {
        let found = self.0.iter().copied().find(|kind| kind.is_named(&target.kind));
        found.ok_or_else(|| UnknownKind {
            kind: target.kind.clone(),
            known: self.0.iter().map(|kind| kind.own_name()).collect(),
        })
    }

    /// The custom kinds.
    pub(super) fn custom(&self) -> impl Iterator<Item = TargetKind> {
        self.0.iter().copied().filter(|kind| kind.is_custom())
    }
}

impl TargetKind {
    /// Returns true for pods.
    pub(crate) fn is_pod(self) -> bool {
        self.api == kinds::PODS
    }

    /// Returns true for a kind of the configuration.
    pub(super) fn is_custom(self) -> bool {
        !BUILT_IN.contains(&self)
    }

    /// Returns true if kubectl accepts this name of the kind, in any case: `deploy`, `deployments.apps`, `deployment.v1.apps`.
    fn is_named(self, name: &str) -> bool {
        let (name, group) = name.split_once('.').map_or((name, None), |(name, group)| (name, Some(group)));
        let ResourceKind { resource, version, .. } = self.api;
        let has_group = |group: &str| {
            let of_version = group.strip_prefix(version).and_then(|group| group.strip_prefix('.'));
            group == resource.group || of_version == Some(resource.group)
        };
        let names = [self.short, self.name, resource.name];
        names.iter().any(|own| own.eq_ignore_ascii_case(name)) && group.is_none_or(has_group)
    }

    /// The name to use: a short one for a built-in kind, and one with the group for a custom kind.
    fn own_name(self) -> String {
        if self.is_custom() { self.api.resource.to_string() } else { self.short.to_owned() }
    }
}

impl Target {
    /// Parses one or two words: `pod/mysql-0`, or `pod` and `mysql-0`.
    ///
    /// # Errors
    /// The words do not name an object.
    pub(crate) fn parse(first: &str, second: Option<&str>) -> Result<Self, String> {
        let usage = "use KIND/NAME or KIND NAME, such as pod/mysql-0 or deploy mysql";
        let (kind, name) = match (first.split_once('/'), second) {
            (Some(both), None) => both,
            (None, Some(name)) => (first, name),
            (None, None) => return Err(format!("`{first}` is not an object: {usage}")),
            (Some(_), Some(name)) => return Err(format!("`{first}` and `{name}` are two objects: {usage}")),
        };
        if !dns::is_subdomain(&kind.to_ascii_lowercase()) {
            return Err(format!("`{kind}` is not the name of a kind: use one such as pod or deploy"));
        }
        if !dns::is_subdomain(name) {
            return Err(format!("`{name}` is not the name of an object: use one such as mysql-0"));
        }
        Ok(Self { kind: kind.to_owned(), name: name.to_owned() })
    }

    /// Checks the kind by a configuration whose custom kinds, each with its group, version, resource and kind, are these.
    ///
    /// # Errors
    /// The kind can never be explained.
    pub(crate) fn check<'a>(&self, custom: impl Iterator<Item = [&'a str; 4]>) -> Result<(), UnknownKind> {
        TargetKinds::new(custom).resolve(self).map(drop)
    }

    /// Returns true if the user named a pod.
    pub(crate) fn is_pod(&self) -> bool {
        BUILT_IN.iter().any(|kind| kind.is_pod() && kind.is_named(&self.kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resolves the kind with a custom one.
    fn resolve(text: &str) -> Result<TargetKind, String> {
        let custom = [["argoproj.io", "v1alpha1", "cronworkflows", "CronWorkflow"]];
        let kinds = TargetKinds::new(custom.into_iter());
        kinds.resolve(&Target::parse(text, None)?).map_err(|error| error.to_string())
    }

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
            ("cronworkflow/a", "CronWorkflow"),
            ("cronworkflows.argoproj.io/a", "CronWorkflow"),
            ("CronWorkflow.v1alpha1.argoproj.io/a", "CronWorkflow"),
        ] {
            assert_eq!(resolve(text).unwrap().name, kind, "{text}");
        }
        let words = Target::parse("sts", Some("mysql")).unwrap();
        assert_eq!((&*words.name, Target::parse("sts/mysql", None).unwrap()), ("mysql", words.clone()));
    }

    #[test]
    fn controllers_are_found_by_group_version_and_kind() {
        let kinds = TargetKinds::new([["argoproj.io", "v1alpha1", "rollouts", "Rollout"]].into_iter());
        let find = |group, version, name| kinds.find(group, version, name).map(|kind| kind.api.resource.name);
        assert_eq!(find("apps", "v1", "ReplicaSet"), Some("replicasets"));
        assert_eq!(find("", "v1", "ReplicaSet"), None);
        assert_eq!(find("argoproj.io", "v1alpha1", "Rollout"), Some("rollouts"));
        assert_eq!(find("argoproj.io", "v1", "Rollout"), None);
    }

    #[test]
    fn an_invalid_target_says_what_to_use() {
        for (text, expected) in [
            ("mysql-0", "`mysql-0` is not an object: use KIND/NAME or KIND NAME, such as pod/mysql-0"),
            ("/a", "`` is not the name of a kind"),
            ("a b/a", "`a b` is not the name of a kind"),
            ("node/a", "use one of po, deploy, sts, ds, rs, job, cj, rc, cronworkflows.argoproj.io"),
            ("deploy.batch/a", "`deploy.batch` is not a kind"),
            ("cronworkflow.v1.argoproj.io/a", "is not a kind"),
            ("pod/A", "`A` is not the name of an object"),
            ("pod/", "`` is not the name of an object"),
            ("pod/../secrets", "is not the name of an object"),
        ] {
            let error = resolve(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let error = Target::parse("pod/a", Some("b")).unwrap_err();
        assert!(error.starts_with("`pod/a` and `b` are two objects: use"), "{error}");
        assert!(Target::parse("pod", Some("pod/a")).unwrap_err().contains("`pod/a` is not the name of an object"));
    }
}
