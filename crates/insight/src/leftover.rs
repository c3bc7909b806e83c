//! Templates that name a driver's scheduler, and the patches that remove it: what remains when colocate leaves a cluster.

use colocate_engine::{PointerBuf, Policy, Source, Update, Workload, WorkloadObject};
use serde_json::{Value, json};

/// A template that names a driver's scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The group and version, as in `apps/v1`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The UID, which another object of the same name does not have.
    pub uid: String,
    /// The scheduler that the template names.
    pub scheduler: String,
    /// The path of its `schedulerName`.
    pub path: PointerBuf,
    /// The scheduler in the sources that the object records.
    pub source: Source,
    /// The Helm release that manages the object. Its manifest is a source too, which the object does not record.
    pub helm_release: Option<HelmReleaseName>,
    /// The revision of the release whose manifest was read.
    pub helm_revision: Option<u32>,
    /// The effect of the patch.
    pub effect: Effect,
}

/// The effect of a change of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// The controller replaces the pods.
    Rollout,
    /// The pods stay. Later ones have the new template.
    LaterPods,
    /// The controller of the custom resource decides.
    OfController,
    /// The API server rejects the change.
    Rejected,
}

/// The name of a Helm release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HelmReleaseName {
    /// The namespace that Helm keeps it in.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Leftover {
    /// Reads a live object of a kind. Returns `None` if its template names no driver's scheduler, if a controller writes the
    /// template, if the object is being deleted, and for a Job that has ended.
    ///
    /// # Errors
    /// The JSON does not have the structure of the kind.
    pub fn read(policy: &Policy, workload: &Workload, object: &str) -> Result<Option<Self>, serde_json::Error> {
        let read = WorkloadObject::parse(object, workload)?;
        let scheduler = read.scheduler().filter(|scheduler| policy.drivers.has_scheduler(scheduler));
        let Some(scheduler) = scheduler.filter(|_| !workload.is_pod() && !read.has_controller()) else {
            return Ok(None);
        };
        let live: Value = serde_json::from_str(object)?;
        let metadata = &live["metadata"];
        if !metadata["deletionTimestamp"].is_null() || has_ended(workload, &live) {
            return Ok(None);
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let annotations = &metadata["annotations"];
        let release = annotations["meta.helm.sh/release-name"].as_str();
        let helm_release = release.map(|name| HelmReleaseName {
            namespace: text(&annotations["meta.helm.sh/release-namespace"]),
            name: name.to_owned(),
        });
        let Workload { group, version, kind, path, .. } = workload;
        let path = path.iter().map(String::as_str).chain(["spec", "schedulerName"]);
        Ok(Some(Self {
            api_version: if group.is_empty() { version.clone() } else { format!("{group}/{version}") },
            kind: kind.clone(),
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
            uid: text(&metadata["uid"]),
            scheduler: scheduler.to_owned(),
            path: PointerBuf::from_tokens(path),
            source: read.source(workload),
            helm_release,
            helm_revision: None,
            effect: Effect::of(workload, &live),
        }))
    }

    /// Adds a source that the object does not record: its manifest in a revision of its Helm release, as JSON. `workload` is its
    /// kind.
    pub fn add_manifest(&mut self, workload: &Workload, manifest: &str, revision: u32) {
        if workload.names_scheduler(manifest) {
            self.source = Source::NamesScheduler;
        } else if workload.has_pod_spec(manifest) && self.source == Source::Unknown {
            self.source = Source::OmitsScheduler;
        } else {
            return;
        }
        self.helm_revision = Some(revision);
    }

    /// Returns the JSON patch that removes the scheduler. The API server then fills in `default-scheduler`. The patch fails,
    /// and changes nothing, if the object was created again or the template names another scheduler by then.
    ///
    /// The resource version is not tested: each change of the status has a new one.
    pub fn patch(&self) -> Value {
        let Self { uid, scheduler, path, .. } = self;
        json!([
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "test", "path": path, "value": scheduler},
            {"op": "remove", "path": path},
        ])
    }

    /// Returns true if the template of an object in JSON still names the scheduler.
    pub fn remains_in(&self, object: &Value) -> bool {
        object.pointer(self.path.as_str()).and_then(Value::as_str) == Some(&*self.scheduler)
    }

    /// Returns true if the pods of a live object have its current template: its rollout has ended. `object` is its JSON.
    pub fn is_rolled_out(&self, object: &Value) -> bool {
        let (spec, status) = (&object["spec"], &object["status"]);
        let number = |value: &Value| value.as_u64();
        let status = |field: &str| number(&status[field]).unwrap_or_default();
        let generation = number(&object["metadata"]["generation"]).unwrap_or_default();
        let observed = status("observedGeneration") >= generation;
        let ready = match &*self.kind {
            "Deployment" => {
                let wanted = number(&spec["replicas"]).unwrap_or(1);
                status("updatedReplicas") >= wanted
                    && status("replicas") <= status("updatedReplicas")
                    && status("availableReplicas") >= status("updatedReplicas")
            }
            "StatefulSet" => {
                let wanted = number(&spec["replicas"]).unwrap_or(1);
                // The pods below the partition keep the old template.
                let partition = number(&spec["updateStrategy"]["rollingUpdate"]["partition"]).unwrap_or_default();
                status("updatedReplicas") >= wanted.saturating_sub(partition) && status("readyReplicas") >= wanted
            }
            "DaemonSet" => {
                let wanted = status("desiredNumberScheduled");
                status("updatedNumberScheduled") >= wanted && status("numberAvailable") >= wanted
            }
            _ => return true,
        };
        observed && ready
    }
}

impl Effect {
    /// The effect, as a clause about the object.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Rollout => "its pods are replaced",
            Self::LaterPods => "existing pods stay; new pods get the default scheduler",
            Self::OfController => "the controller of the custom resource decides whether pods are replaced",
            Self::Rejected => "the template is immutable: let the Job end, or delete it and create it again",
        }
    }

    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rollout => "rollout",
            Self::LaterPods => "later-pods",
            Self::OfController => "of-controller",
            Self::Rejected => "rejected",
        }
    }

    fn of(workload: &Workload, live: &Value) -> Self {
        if workload.update == Update::Rejected {
            return Self::Rejected;
        }
        if workload.custom {
            return Self::OfController;
        }
        let spec = &live["spec"];
        let on_delete = spec["updateStrategy"]["type"] == "OnDelete";
        match &*workload.kind {
            "Deployment" if spec["paused"] == true => Self::LaterPods,
            "StatefulSet" | "DaemonSet" if on_delete => Self::LaterPods,
            "Deployment" | "StatefulSet" | "DaemonSet" => Self::Rollout,
            _ => Self::LaterPods,
        }
    }
}

/// Returns true for a Job that creates no more pods.
fn has_ended(workload: &Workload, live: &Value) -> bool {
    let conditions = live["status"]["conditions"].as_array();
    let ended = |condition: &Value| {
        matches!(condition["type"].as_str(), Some("Complete" | "Failed")) && condition["status"] == "True"
    };
    // The items of a list have no `kind`.
    (&*workload.group, &*workload.kind) == ("batch", "Job")
        && conditions.is_some_and(|conditions| conditions.iter().any(ended))
}

#[cfg(test)]
mod tests {
    use colocate_engine::Workloads;

    use super::*;

    fn read_as(policy: &Policy, kind: (&str, &str), object: &Value) -> Option<Leftover> {
        let workload = policy.workloads.find(kind.0, "v1", kind.1).unwrap();
        Leftover::read(policy, workload, &object.to_string()).unwrap()
    }

    fn read(kind: &str, object: &Value) -> Option<Leftover> {
        read_as(&Policy::default(), (if matches!(kind, "Job" | "CronJob") { "batch" } else { "apps" }, kind), object)
    }

    fn deployment() -> Value {
        json!({
            "metadata": {"namespace": "db", "name": "mysql", "uid": "u1"},
            "spec": {"replicas": 2, "template": {"spec": {"schedulerName": "stork"}}},
        })
    }

    fn with(mut object: Value, path: &str, value: Value) -> Value {
        let mut target = &mut object;
        for key in path.split('/').skip(1) {
            target = &mut target[key.replace("~1", "/")];
        }
        *target = value;
        object
    }

    #[test]
    fn a_leftover_names_a_driver_s_scheduler_and_has_no_controller() {
        let found = read("Deployment", &deployment()).unwrap();
        assert_eq!((&*found.api_version, &*found.kind), ("apps/v1", "Deployment"));
        assert_eq!((&*found.namespace, &*found.name, &*found.uid), ("db", "mysql", "u1"));
        assert_eq!((&*found.scheduler, found.source), ("stork", Source::Unknown));
        assert_eq!((found.effect, found.helm_release), (Effect::Rollout, None));

        let controlled = json!([{"apiVersion": "x/v1", "kind": "Db", "name": "d", "uid": "2", "controller": true}]);
        let owned = json!([{"apiVersion": "x/v1", "kind": "Db", "name": "d", "uid": "2"}]);
        let scheduler = "/spec/template/spec/schedulerName";
        for (object, is_leftover) in [
            (with(deployment(), scheduler, json!("default-scheduler")), false),
            (with(deployment(), scheduler, json!("volcano")), false),
            (with(deployment(), scheduler, Value::Null), false),
            (with(deployment(), "/metadata/ownerReferences", controlled), false),
            (with(deployment(), "/metadata/ownerReferences", owned), true),
            (with(deployment(), "/metadata/deletionTimestamp", json!("2026-11-30T00:00:00Z")), false),
        ] {
            assert_eq!(read("Deployment", &object).is_some(), is_leftover, "{object}");
        }
    }

    #[test]
    fn a_job_is_a_leftover_until_it_ends() {
        let job = |kind: &str, status: &str| {
            let conditions = json!([{"type": kind, "status": status}]);
            with(deployment(), "/status/conditions", conditions)
        };
        assert_eq!(read("Job", &job("Suspended", "True")).unwrap().effect, Effect::Rejected);
        assert_eq!(read("Job", &job("Complete", "False")).unwrap().effect, Effect::Rejected);
        assert_eq!(read("Job", &job("Complete", "True")), None);
        assert_eq!(read("Job", &job("Failed", "True")), None);
    }

    #[test]
    fn the_effect_depends_on_the_kind_and_its_strategy() {
        let on_delete = |object| with(object, "/spec/updateStrategy/type", json!("OnDelete"));
        for (kind, object, expected) in [
            ("Deployment", deployment(), Effect::Rollout),
            ("Deployment", with(deployment(), "/spec/paused", json!(true)), Effect::LaterPods),
            ("StatefulSet", deployment(), Effect::Rollout),
            ("StatefulSet", on_delete(deployment()), Effect::LaterPods),
            ("DaemonSet", deployment(), Effect::Rollout),
            ("DaemonSet", on_delete(deployment()), Effect::LaterPods),
            ("ReplicaSet", deployment(), Effect::LaterPods),
        ] {
            assert_eq!(read(kind, &object).unwrap().effect, expected, "{kind} {object}");
        }
        let rollout = |update| Workload {
            group: "argoproj.io".into(),
            version: "v1".into(),
            kind: "Rollout".into(),
            path: vec!["spec".into(), "template".into()],
            update,
            custom: true,
        };
        for (update, expected) in [(Update::Allowed, Effect::OfController), (Update::Rejected, Effect::Rejected)] {
            let policy = Policy { workloads: Workloads::new([rollout(update)]), ..Policy::default() };
            let found = read_as(&policy, ("argoproj.io", "Rollout"), &deployment()).unwrap();
            assert_eq!((found.effect, &*found.api_version), (expected, "argoproj.io/v1"));
        }
    }

    #[test]
    fn the_patch_tests_the_object_and_the_scheduler_before_it_removes() {
        let template = json!({"spec": {"schedulerName": "stork"}});
        let object = json!({"metadata": {"uid": "u1"}, "spec": {"jobTemplate": {"spec": {"template": template}}}});
        let found = read("CronJob", &object).unwrap();
        let path = "/spec/jobTemplate/spec/template/spec/schedulerName";
        assert_eq!(
            found.patch(),
            json!([
                {"op": "test", "path": "/metadata/uid", "value": "u1"},
                {"op": "test", "path": path, "value": "stork"},
                {"op": "remove", "path": path},
            ])
        );
        assert!(found.remains_in(&object));
        assert!(!found.remains_in(&with(object, path, json!("default-scheduler"))));
    }

    #[test]
    fn the_release_is_that_of_helm_s_annotations() {
        let annotations = json!({"meta.helm.sh/release-name": "db", "meta.helm.sh/release-namespace": "apps"});
        let found = read("Deployment", &with(deployment(), "/metadata/annotations", annotations)).unwrap();
        assert_eq!(found.helm_release, Some(HelmReleaseName { namespace: "apps".into(), name: "db".into() }));
    }

    #[test]
    fn the_manifest_of_a_release_is_a_source() {
        let source = |spec: Value| {
            let mut found = read("Deployment", &deployment()).unwrap();
            let workloads = Workloads::default();
            let manifest = json!({"spec": {"template": {"spec": spec}}}).to_string();
            found.add_manifest(workloads.find("apps", "v1", "Deployment").unwrap(), &manifest, 7);
            (found.source, found.helm_revision)
        };
        assert_eq!(source(json!({"containers": []})), (Source::OmitsScheduler, Some(7)));
        assert_eq!(source(json!({"schedulerName": "stork"})), (Source::NamesScheduler, Some(7)));
        assert_eq!(source(Value::Null), (Source::Unknown, None));
    }

    #[test]
    fn a_rollout_ends_when_all_pods_have_the_template_and_are_ready() {
        let live = |status: Value| with(with(deployment(), "/metadata/generation", json!(3)), "/status", status);
        let of = |kind: &str, object: &Value| read(kind, object).unwrap().is_rolled_out(object);
        let done = json!({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        assert!(of("Deployment", &live(done.clone())));
        for (field, value) in
            [("observedGeneration", 2), ("replicas", 3), ("updatedReplicas", 1), ("availableReplicas", 1)]
        {
            let object = live(with(done.clone(), &format!("/{field}"), json!(value)));
            assert!(!of("Deployment", &object), "{object}");
        }
        let done = json!({"observedGeneration": 3, "updatedReplicas": 2, "readyReplicas": 2});
        assert!(of("StatefulSet", &live(done.clone())));
        let updated = live(with(done.clone(), "/updatedReplicas", json!(1)));
        assert!(!of("StatefulSet", &updated));
        assert!(of("StatefulSet", &with(updated, "/spec/updateStrategy/rollingUpdate/partition", json!(1))));
        assert!(!of("StatefulSet", &live(with(done, "/readyReplicas", json!(1)))));
        let done = json!({"observedGeneration": 3, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2});
        assert!(of("DaemonSet", &live(done.clone())));
        for field in ["updatedNumberScheduled", "numberAvailable"] {
            assert!(!of("DaemonSet", &live(with(done.clone(), &format!("/{field}"), json!(1)))), "{field}");
        }
        assert!(of("ReplicaSet", &live(json!({}))));
    }
}
