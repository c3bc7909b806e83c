//! The effect of a file on a workload and its pods, if it is applied.

use std::sync::Arc;

use colocate_engine::{DEFAULT_SCHEDULER, Request, Review, StorageView, Update, Workload};
use serde_json::{Value, json};

use super::answer::Answer;
use super::applied::{LAST_APPLIED, apply};
use super::census::NOT_SENT;
use super::expectation::Facts;
use super::selector::Labels;

/// The part of the spec of a `StatefulSet` that may change.
const MUTABLE_OF_STATEFUL_SET: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
    "revisionHistoryLimit",
];

/// The part of the spec of a pod that may change, in addition to the images of its containers.
const MUTABLE_OF_POD: [&str; 3] = ["activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations"];

/// The part of the spec of a claim that may change.
const MUTABLE_OF_CLAIM: [&str; 2] = ["resources", "volumeAttributesClassName"];

/// The part of the spec of a volume that may change.
const MUTABLE_OF_VOLUME: [&str; 7] = [
    "capacity",
    "accessModes",
    "claimRef",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "mountOptions",
    "volumeAttributesClassName",
];

/// The time at which a file has its effect on the pods of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// The workload is new, and so are its pods.
    Created,
    /// The pod template changes, and the controller replaces the pods.
    Rollout,
    /// Running pods stay, and pods that are created again are affected.
    Recreation,
    /// The next Job.
    NextRun,
    /// The file does not change the pod template.
    Unchanged,
    /// The API server rejects the change.
    Rejected,
}

/// The scheduler that an object will name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreseen {
    /// The scheduler; `None` if a fact that the decision depends on is not known.
    pub scheduler: Option<Arc<str>>,
    /// The reason of the engine, or `not-sent`.
    pub reason: &'static str,
}

/// A workload after its file is applied.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The time of the effect on its pods.
    pub when: When,
    /// The scheduler that its template names now; `None` for a new workload.
    pub today: Option<String>,
    /// The scheduler that its template will name.
    pub after: Foreseen,
    /// The reason of the API server for rejecting the file.
    pub rejection: Option<&'static str>,
    /// The object after the file is applied.
    pub object: Value,
}

/// The Namespace of an object, as far as it decides.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Its name.
    pub namespace: &'a str,
    /// Whether it opts out; `None` if its labels are not known.
    pub opted_out: Option<bool>,
    /// Whether API servers send the object to colocate.
    pub sent: &'a Answer,
}

/// A pod that a controller creates from a template.
#[derive(Clone, Copy, Debug)]
pub struct NewPod<'a> {
    /// The kind of the workload.
    pub owner: &'a Workload,
    /// The workload.
    pub object: &'a Value,
    /// The name of the pod, by which the claims of a `StatefulSet` are named; `None` if it is not known.
    pub name: Option<&'a str>,
}

impl When {
    /// The word, which is stable.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Rollout => "rollout",
            Self::Recreation => "re-creation",
            Self::NextRun => "next-run",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
        }
    }
}

impl<V: StorageView> Facts<'_, V> {
    /// Foresees the effect of a file on a workload. `live` is the object that has its name now.
    pub fn predict(&self, workload: &Workload, scope: Scope<'_>, live: Option<&Value>, file: &Value) -> Prediction {
        let mut object = live.map_or_else(|| file.clone(), |live| apply(live, file, workload.custom));
        let today = live.map(|live| scheduler(workload, live).to_owned());
        let after = self.foresee_write(workload, scope, live, &object, file);
        if let Some(scheduler) = &after.scheduler {
            set_scheduler(workload, &mut object, scheduler);
        }
        let Some(live) = live else {
            return Prediction { when: When::Created, today, after, rejection: None, object };
        };
        if let Some(rejection) = rejection(&workload.group, &workload.kind, live, &object) {
            let after = Foreseen { scheduler: Some(scheduler(workload, live).into()), reason: after.reason };
            return Prediction { when: When::Rejected, today, after, rejection: Some(rejection), object: live.clone() };
        }
        let is_changed = template(workload, live) != template(workload, &object);
        let when = if is_changed { effect(workload, &object) } else { When::Unchanged };
        Prediction { when, today, after, rejection: None, object }
    }

    /// Foresees the scheduler in the template of a workload that is created or updated.
    fn foresee_write(
        &self,
        workload: &Workload,
        scope: Scope<'_>,
        live: Option<&Value>,
        object: &Value,
        file: &Value,
    ) -> Foreseen {
        let mut new = object.clone();
        // The file is the source of the template, whatever was applied before.
        if let Some(metadata) = new["metadata"].as_object_mut() {
            metadata.remove("managedFields");
            let annotations = metadata.entry("annotations").or_insert(Value::Null);
            annotations[LAST_APPLIED] = file.to_string().into();
        }
        let kind = json!({"group": workload.group, "version": workload.version, "kind": workload.kind});
        let operation = if live.is_some() { "UPDATE" } else { "CREATE" };
        let request = json!({
            "uid": "-", "kind": kind, "operation": operation, "namespace": scope.namespace, "dryRun": true,
            "object": new, "oldObject": live,
        });
        let review =
            json!({"apiVersion": colocate_engine::API_VERSION, "kind": colocate_engine::KIND, "request": request});
        let review = review.to_string();
        let requested = scheduler(workload, object);
        match Review::parse(review.as_bytes(), &self.policy.workloads) {
            Ok(review) => self.foresee(&review.request, scope, requested),
            Err(_) => Foreseen { scheduler: None, reason: colocate_engine::Reason::Unreadable.as_str() },
        }
    }

    /// Foresees the scheduler of a pod that a controller creates.
    pub fn foresee_new_pod(&self, pod: NewPod<'_>, scope: Scope<'_>) -> Foreseen {
        let json = pod.json(scope.namespace);
        self.foresee_pod(&json, scope)
    }

    /// Foresees the scheduler of a pod that is created as in `pod`.
    pub fn foresee_pod(&self, pod: &Value, scope: Scope<'_>) -> Foreseen {
        let Some(workload) = self.policy.workloads.find("", "v1", "Pod") else {
            return Foreseen { scheduler: None, reason: colocate_engine::Reason::UnsupportedKind.as_str() };
        };
        let json = pod.to_string();
        // Whether the Namespace opts out is decided below, where it may be unknown.
        let request = Request::from_manifest(workload, scope.namespace, false, &json);
        self.foresee(&request, scope, scheduler(workload, pod))
    }

    /// Foresees the scheduler after a request that names `requested`.
    fn foresee(&self, request: &Request<'_>, scope: Scope<'_>, requested: &str) -> Foreseen {
        let left = |reason| Foreseen { scheduler: Some(requested.into()), reason };
        if scope.opted_out == Some(true) {
            return left(colocate_engine::Reason::NamespaceOptedOut.as_str());
        }
        let (decision, unknown_fact) = self.decide_request(request, scope.namespace);
        let reason = decision.reason.as_str();
        let set = decision.scheduler.filter(|_| decision.patch.is_some());
        let changes = set.as_ref().is_some_and(|scheduler| **scheduler != *requested);
        if unknown_fact.is_some() || decision.reason.is_unresolved() {
            return Foreseen { scheduler: None, reason };
        }
        match scope.sent {
            Answer::No(_) if changes => left(NOT_SENT),
            Answer::NotEvaluated(_) if changes => Foreseen { scheduler: None, reason },
            _ if changes && scope.opted_out.is_none() => Foreseen { scheduler: None, reason },
            _ => Foreseen { scheduler: Some(set.unwrap_or_else(|| requested.into())), reason },
        }
    }
}

impl NewPod<'_> {
    /// The labels of the pod.
    pub fn labels(self) -> Option<Labels> {
        let labels = template(self.owner, self.object).pointer("/metadata/labels").cloned().unwrap_or_default();
        serde_json::from_value(labels).unwrap_or_default()
    }

    /// Returns the pod as its controller requests it.
    fn json(self, namespace: &str) -> Value {
        let Self { owner, object, name } = self;
        let template = template(owner, object);
        let (api_version, kind) = match owner.kind.as_str() {
            "Deployment" => ("apps/v1".to_owned(), "ReplicaSet"),
            "CronJob" => ("batch/v1".to_owned(), "Job"),
            kind if owner.group.is_empty() => (owner.version.clone(), kind),
            kind => (format!("{}/{}", owner.group, owner.version), kind),
        };
        let own_name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let controller =
            json!({"apiVersion": api_version, "kind": kind, "name": own_name, "uid": "-", "controller": true});
        let mut spec = template["spec"].clone();
        let claim_templates = object.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
        let volumes: Vec<_> =
            claim_templates.into_iter().flatten().map(|claim| of_claim_template(claim, name)).collect();
        if !volumes.is_empty() {
            let is_replaced = |volume: &Value| volumes.iter().any(|own| own["name"] == volume["name"]);
            let own = spec["volumes"].as_array().cloned().unwrap_or_default();
            let kept = own.into_iter().filter(|volume| !is_replaced(volume));
            spec["volumes"] = kept.chain(volumes.iter().cloned()).collect();
        }
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "generateName": format!("{own_name}-"),
                "namespace": namespace,
                "labels": template["metadata"]["labels"],
                "annotations": template["metadata"]["annotations"],
                "ownerReferences": [controller],
            },
            "spec": spec,
        })
    }
}

/// The volume that a pod of a `StatefulSet` gets for a claim template. While the name of the pod is not known, it has the class of
/// the template.
fn of_claim_template(claim: &Value, pod: Option<&str>) -> Value {
    let name = claim.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    match pod {
        Some(pod) => json!({"name": name, "persistentVolumeClaim": {"claimName": format!("{name}-{pod}")}}),
        None => json!({"name": name, "ephemeral": {"volumeClaimTemplate": {"spec": claim["spec"]}}}),
    }
}

/// Returns when a changed template reaches the pods.
fn effect(workload: &Workload, object: &Value) -> When {
    let spec = &object["spec"];
    match workload.kind.as_str() {
        "Deployment" if workload.group == "apps" && spec["paused"] != true => When::Rollout,
        "StatefulSet" | "DaemonSet" if workload.group == "apps" && spec["updateStrategy"]["type"] != "OnDelete" => {
            When::Rollout
        }
        "CronJob" if workload.group == "batch" => When::NextRun,
        _ if workload.update == Update::Rejected => When::Unchanged,
        _ => When::Recreation,
    }
}

/// Returns why the API server rejects a change; `None` if it accepts it.
pub fn rejection(group: &str, kind: &str, live: &Value, after: &Value) -> Option<&'static str> {
    let differs = |pointer: &str| live.pointer(pointer) != after.pointer(pointer);
    let spec_differs = |allowed: &[&str]| {
        let rest = |object: &Value| {
            let mut spec = object["spec"].clone();
            if let Some(spec) = spec.as_object_mut() {
                spec.retain(|key, _| !allowed.contains(&key.as_str()));
            }
            spec
        };
        rest(live) != rest(after)
    };
    match (group, kind) {
        ("apps", "Deployment" | "ReplicaSet" | "DaemonSet") => {
            differs("/spec/selector").then_some("its selector is immutable")
        }
        ("apps", "StatefulSet") => {
            spec_differs(&MUTABLE_OF_STATEFUL_SET).then_some("this part of a StatefulSet's spec is immutable")
        }
        ("batch", "Job") => {
            (differs("/spec/template") || differs("/spec/selector")).then_some("the pod template of a Job is immutable")
        }
        ("", "Pod") => {
            let (live, after) = (without_images(live), without_images(after));
            let allowed = |object: &Value| {
                let mut spec = object["spec"].clone();
                spec.as_object_mut()?.retain(|key, _| !MUTABLE_OF_POD.contains(&key.as_str()));
                Some(spec)
            };
            (allowed(&live) != allowed(&after)).then_some("this part of a pod's spec is immutable")
        }
        ("", "PersistentVolumeClaim") => {
            // A claim without a class may get one.
            let may_get_class = live["spec"]["storageClassName"].is_null();
            let fixed = |object: &Value| {
                let is_mutable =
                    |key: &str| MUTABLE_OF_CLAIM.contains(&key) || (may_get_class && key == "storageClassName");
                let mut spec = object["spec"].clone();
                spec.as_object_mut()?.retain(|key, _| !is_mutable(key));
                Some(spec)
            };
            (fixed(live) != fixed(after))
                .then_some("only the resources and the volumeAttributesClassName of a claim can be changed")
        }
        ("", "PersistentVolume") => {
            spec_differs(&MUTABLE_OF_VOLUME).then_some("this part of a PersistentVolume's spec is immutable")
        }
        ("storage.k8s.io", "StorageClass") => {
            let fixed = ["/provisioner", "/parameters", "/reclaimPolicy", "/volumeBindingMode"];
            fixed
                .into_iter()
                .any(differs)
                .then_some("the provisioner, parameters, reclaimPolicy and volumeBindingMode of a class are immutable")
        }
        _ => None,
    }
}

fn without_images(pod: &Value) -> Value {
    let mut pod = pod.clone();
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            if let Some(container) = container.as_object_mut() {
                container.remove("image");
            }
        }
        if pod["spec"][list].is_null()
            && let Some(spec) = pod["spec"].as_object_mut()
        {
            spec.remove(list);
        }
    }
    pod
}

fn template<'v>(workload: &Workload, object: &'v Value) -> &'v Value {
    static NOTHING: Value = Value::Null;
    let template = workload.path.iter().try_fold(object, |value, key| value.get(key));
    template.unwrap_or(&NOTHING)
}

/// The scheduler that the template of an object names.
pub fn scheduler<'v>(workload: &Workload, object: &'v Value) -> &'v str {
    let name = template(workload, object)["spec"]["schedulerName"].as_str();
    name.filter(|name| !name.is_empty()).unwrap_or(DEFAULT_SCHEDULER)
}

fn set_scheduler(workload: &Workload, object: &mut Value, scheduler: &str) {
    let template = workload.path.iter().try_fold(object, |value, key| value.get_mut(key));
    if let Some(spec) = template.and_then(|template| template.get_mut("spec")?.as_object_mut()) {
        spec.insert("schedulerName".to_owned(), scheduler.into());
    }
}

#[cfg(test)]
mod tests {
    use colocate_engine::{ClaimFacts, ClassFacts, Inventory, Policy, Presence};

    use super::*;

    fn storage() -> Inventory {
        let mut storage = Inventory::default();
        storage.insert_class("px-db", ClassFacts { provisioner: "pxd.portworx.com".into(), ..ClassFacts::default() });
        storage.insert_claim("db", "px", &ClaimFacts { class: Some("px-db".into()), ..ClaimFacts::default() });
        storage
    }

    fn object(kind: &str, scheduler: &str, image: &str) -> Value {
        let volumes = json!([{"name": "d", "persistentVolumeClaim": {"claimName": "px"}}]);
        let spec = json!({
            "schedulerName": scheduler, "containers": [{"name": "a", "image": image}], "volumes": volumes,
        });
        let spec = if kind == "Pod" { spec } else { json!({"template": {"metadata": {}, "spec": spec}}) };
        json!({"kind": kind, "metadata": {"name": "a", "namespace": "db"}, "spec": spec})
    }

    /// Predicts the effect of `file`: when, the scheduler after it, and the reason.
    fn predict(
        group: &str,
        file: &Value,
        live: Option<&Value>,
        sent: &Answer,
        opted_out: Option<bool>,
    ) -> (When, String) {
        let (policy, storage) = (Policy::default(), storage());
        let facts = Facts { policy: &policy, storage: &storage, presence: &|_| Presence::Unknown };
        let workload = policy.workloads.find(group, "v1", file["kind"].as_str().unwrap()).unwrap();
        let found = facts.predict(workload, Scope { namespace: "db", opted_out, sent }, live, file);
        let after = found.after.scheduler.as_deref().unwrap_or("?");
        if found.when != When::Rejected {
            assert!(after == "?" || after == scheduler(workload, &found.object), "{found:?}");
        }
        (found.when, format!("{after} {}", found.after.reason))
    }

    /// The file: without a scheduler.
    fn file(kind: &str, image: &str) -> Value {
        let mut file = object(kind, "", image);
        let spec = if kind == "Pod" { &mut file["spec"] } else { &mut file["spec"]["template"]["spec"] };
        spec.as_object_mut().unwrap().remove("schedulerName");
        file
    }

    #[test]
    fn a_changed_template_gets_the_scheduler_and_an_unchanged_one_does_not() {
        let row = |kind: &str, group: &str, live: &str, image: &str| {
            predict(group, &file(kind, image), Some(&object(kind, live, "a:1")), &Answer::Yes, Some(false))
        };
        let found = |when, after: &str| (when, after.to_owned());
        let missed = "default-scheduler";
        assert_eq!(
            row("Deployment", "apps", missed, "a:1"),
            found(When::Unchanged, "default-scheduler template-unchanged")
        );
        assert_eq!(row("Deployment", "apps", missed, "a:2"), found(When::Rollout, "stork injected"));
        assert_eq!(row("Deployment", "apps", "stork", "a:2"), found(When::Rollout, "stork already-set"));
        assert_eq!(row("ReplicaSet", "apps", missed, "a:2"), found(When::Recreation, "stork injected"));
        assert_eq!(row("Job", "batch", missed, "a:2").0, When::Rejected);
        assert_eq!(row("Job", "batch", missed, "a:1").0, When::Unchanged);
        assert_eq!(row("Pod", "", missed, "a:2"), found(When::Unchanged, "default-scheduler immutable"));
        assert_eq!(
            predict("", &file("Pod", "a"), None, &Answer::Yes, Some(false)),
            found(When::Created, "stork injected")
        );
    }

    #[test]
    fn a_workload_that_does_not_replace_its_pods_has_no_rollout() {
        let when = |field: &str, value: Value, kind: &str| {
            let mut live = object(kind, "stork", "a:1");
            live["spec"][field] = value;
            predict("apps", &file(kind, "a:2"), Some(&live), &Answer::Yes, Some(false)).0
        };
        assert_eq!(when("paused", json!(true), "Deployment"), When::Recreation);
        assert_eq!(when("updateStrategy", json!({"type": "OnDelete"}), "DaemonSet"), When::Recreation);
        assert_eq!(when("updateStrategy", json!({"type": "RollingUpdate"}), "StatefulSet"), When::Rollout);
    }

    #[test]
    fn what_is_not_sent_is_left_and_what_is_not_known_is_unknown() {
        let live = object("Deployment", "default-scheduler", "a:1");
        let row =
            |sent: &Answer, opted_out| predict("apps", &file("Deployment", "a:2"), Some(&live), sent, opted_out).1;
        assert_eq!(row(&Answer::No(String::new()), Some(false)), "default-scheduler not-sent");
        assert_eq!(row(&Answer::NotEvaluated(String::new()), Some(false)), "? injected");
        assert_eq!(row(&Answer::Yes, None), "? injected");
        assert_eq!(row(&Answer::Yes, Some(true)), "default-scheduler namespace-opted-out");
    }

    #[test]
    fn the_api_server_rejects_changes_of_what_is_fixed() {
        let claim = |class: &Value, size: &str| json!({"spec": {"storageClassName": class, "resources": {"requests": {"storage": size}}}});
        let claims = |one: &Value, other: &Value| rejection("", "PersistentVolumeClaim", one, other).is_some();
        assert!(claims(&claim(&json!("a"), "1Gi"), &claim(&json!("b"), "1Gi")));
        assert!(!claims(&claim(&json!("a"), "1Gi"), &claim(&json!("a"), "2Gi")));
        assert!(!claims(&claim(&Value::Null, "1Gi"), &claim(&json!("a"), "1Gi")));
        let set =
            |claims: &str, replicas: u32| json!({"spec": {"replicas": replicas, "volumeClaimTemplates": [claims]}});
        assert!(rejection("apps", "StatefulSet", &set("a", 1), &set("b", 1)).is_some());
        assert!(rejection("apps", "StatefulSet", &set("a", 1), &set("a", 2)).is_none());
        let pod = |command: &str| json!({"spec": {"containers": [{"image": command, "command": [command]}]}});
        assert!(rejection("", "Pod", &pod("a"), &pod("b")).is_some());
    }

    #[test]
    fn the_pod_of_a_stateful_set_has_its_own_claims() {
        let policy = Policy::default();
        let workload = policy.workloads.find("apps", "v1", "StatefulSet").unwrap();
        let mut set = object("StatefulSet", "stork", "a");
        set["spec"]["volumeClaimTemplates"] =
            json!([{"metadata": {"name": "data"}, "spec": {"storageClassName": "px-db"}}]);
        let volumes = |name| NewPod { owner: workload, object: &set, name }.json("db")["spec"]["volumes"].clone();
        assert_eq!(
            volumes(Some("a-1"))[1],
            json!({"name": "data", "persistentVolumeClaim": {"claimName": "data-a-1"}})
        );
        let spec = json!({"storageClassName": "px-db"});
        assert_eq!(volumes(None)[1], json!({"name": "data", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}}));
    }
}
