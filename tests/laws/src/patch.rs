//! The law of patches, stated independently of the engine: the kinds, the path of each kind's pod spec, and the only change that
//! is allowed there.

use colocate_engine::{Driver, Drivers, Policy, Update, Workload, Workloads};
use json_patch::{Patch, PatchOperation};
use serde_json::{Value, json};

/// A workload kind.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The API group, which is empty for the core group.
    pub group: &'static str,
    /// The API version.
    pub version: &'static str,
    /// The name of the kind, such as `Deployment`.
    pub name: &'static str,
    /// The keys that lead to the pod template.
    pub path: &'static [&'static str],
    /// The JSON pointer to the pod spec.
    pub spec: &'static str,
    /// The effect of an update on the template.
    pub update: Update,
}

const fn kind(
    (group, version, name): (&'static str, &'static str, &'static str),
    path: &'static [&'static str],
    spec: &'static str,
    update: Update,
) -> Kind {
    Kind { group, version, name, path, spec, update }
}

const TEMPLATE: &[&str] = &["spec", "template"];
const CRON_JOB: &[&str] = &["spec", "jobTemplate", "spec", "template"];
const BUILT_IN: [Kind; 9] = [
    kind(("", "v1", "Pod"), &[], "/spec", Update::Rejected),
    kind(("apps", "v1", "Deployment"), TEMPLATE, "/spec/template/spec", Update::Allowed),
    kind(("apps", "v1", "StatefulSet"), TEMPLATE, "/spec/template/spec", Update::Allowed),
    kind(("apps", "v1", "DaemonSet"), TEMPLATE, "/spec/template/spec", Update::Allowed),
    kind(("apps", "v1", "ReplicaSet"), TEMPLATE, "/spec/template/spec", Update::Allowed),
    kind(("batch", "v1", "Job"), TEMPLATE, "/spec/template/spec", Update::Rejected),
    kind(("batch", "v1", "CronJob"), CRON_JOB, "/spec/jobTemplate/spec/template/spec", Update::Allowed),
    kind(("", "v1", "ReplicationController"), TEMPLATE, "/spec/template/spec", Update::Allowed),
    kind(("", "v1", "PodTemplate"), &["template"], "/template/spec", Update::Allowed),
];
const CUSTOM: [Kind; 3] = [
    kind(("argoproj.io", "v1alpha1", "Rollout"), TEMPLATE, "/spec/template/spec", Update::Allowed),
    kind(("x.example.test", "v1", "Slash"), &["a/b", "c~1d", "~"], "/a~1b/c~01d/~0/spec", Update::Allowed),
    kind(("x.example.test", "v1", "Fixed"), &["spec", "pod.spec", ""], "/spec/pod.spec//spec", Update::Rejected),
];

/// Returns all kinds of [`policy`].
pub fn kinds() -> impl Iterator<Item = Kind> {
    BUILT_IN.into_iter().chain(CUSTOM)
}

/// Returns a policy with two drivers, and custom resources with unusual paths.
pub fn policy() -> Policy {
    let custom = CUSTOM.map(|Kind { group, version, name, path, update, .. }| {
        let path = path.iter().map(ToString::to_string).collect();
        let [group, version, kind] = [group, version, name].map(str::to_owned);
        Workload { group, version, kind, path, update, custom: true }
    });
    let linstor = Driver {
        name: "linstor".into(),
        provisioners: vec!["linstor.csi.linbit.com".into()],
        scheduler: "linstor-scheduler".into(),
        ..Driver::portworx()
    };
    Policy {
        drivers: Drivers(vec![Driver::portworx(), linstor]),
        workloads: Workloads::new(custom),
        ..Policy::default()
    }
}

/// Applies a patch as the API server does, and returns the patched object and the JSON pointer of its pod spec. Panics unless the
/// patch is a single `add` of the scheduler to a pod spec without one.
pub fn apply(patch: &Patch, object: &Value) -> (Value, String) {
    let [PatchOperation::Add(add)] = &patch.0[..] else { panic!("not a single `add`: {patch:?}") };
    let spec = add.path.as_str().strip_suffix("/schedulerName");
    let spec = spec.unwrap_or_else(|| panic!("the patch sets another field: {}", add.path)).to_owned();
    assert!(object.pointer(&spec).is_some_and(Value::is_object), "no pod spec at {spec}: {object}");

    let mut patched = object.clone();
    json_patch::patch(&mut patched, patch).unwrap_or_else(|error| panic!("{error}: {object}"));
    let take = |document: &mut Value| document.pointer_mut(&spec)?.as_object_mut()?.remove("schedulerName");
    let (mut with, mut without) = (patched.clone(), object.clone());
    let (now, before) = (take(&mut with), take(&mut without));
    assert_eq!(with, without, "another field was changed");
    assert!(now == Some(json!("stork")) || now == Some(json!("linstor-scheduler")), "{now:?}");
    let before = before.unwrap_or_default();
    let is_replaceable = match &before {
        Value::Null => true,
        Value::String(name) => name.is_empty() || policy().replaceable.allow(Some(name)),
        _ => false,
    };
    assert!(is_replaceable, "the scheduler {before} was replaced");
    (patched, spec)
}
