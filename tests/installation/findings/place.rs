//! The places of validated keys, in objects of each kind.

use colocate_harness::PORTWORX_CLASS;
use serde_json::{Value, json};

use super::APPS;
use crate::conditions::kind::Kind;
use crate::conditions::shape::{Shape, volume};
use crate::dry_run::DryRun;

/// An object that contains validated keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Workload(Kind),
    Claim,
    StorageClass,
    Namespace,
}

/// A map in an object: a JSON pointer.
pub(crate) struct Place {
    pub(crate) holder: Holder,
    pointer: &'static str,
}

macro_rules! places {
    ($($holder:expr => [$($pointer:literal),+];)+) => {
        /// All places.
        pub(crate) const PLACES: &[Place] = &[$($(Place { holder: $holder, pointer: $pointer }),+),+];
    };
}

places! {
    Holder::Workload(Kind::Pod) => [
        "/metadata/annotations",
        "/metadata/labels",
        "/spec/volumes/1/ephemeral/volumeClaimTemplate/metadata/annotations",
        "/spec/volumes/1/ephemeral/volumeClaimTemplate/metadata/labels"
    ];
    Holder::Workload(Kind::Deployment) => [
        "/metadata/annotations",
        "/metadata/labels",
        "/spec/template/metadata/annotations",
        "/spec/template/metadata/labels",
        "/spec/template/spec/volumes/1/ephemeral/volumeClaimTemplate/metadata/annotations"
    ];
    Holder::Workload(Kind::StatefulSet) => [
        "/metadata/annotations",
        "/spec/template/metadata/annotations",
        "/spec/volumeClaimTemplates/0/metadata/annotations",
        "/spec/volumeClaimTemplates/0/metadata/labels"
    ];
    Holder::Workload(Kind::DaemonSet) => ["/metadata/annotations", "/spec/template/metadata/annotations"];
    Holder::Workload(Kind::ReplicaSet) => ["/metadata/labels", "/spec/template/metadata/annotations"];
    Holder::Workload(Kind::ReplicationController) => ["/metadata/annotations", "/spec/template/metadata/annotations"];
    Holder::Workload(Kind::PodTemplate) => [
        "/metadata/annotations",
        "/template/metadata/annotations",
        "/template/spec/volumes/1/ephemeral/volumeClaimTemplate/metadata/annotations"
    ];
    Holder::Workload(Kind::Job) => ["/metadata/annotations", "/spec/template/metadata/annotations"];
    Holder::Workload(Kind::CronJob) => [
        "/metadata/annotations",
        "/spec/jobTemplate/metadata/annotations",
        "/spec/jobTemplate/metadata/labels",
        "/spec/jobTemplate/spec/template/metadata/annotations",
        "/spec/jobTemplate/spec/template/spec/volumes/1/ephemeral/volumeClaimTemplate/metadata/annotations"
    ];
    Holder::Workload(Kind::Rollout) => [
        "/metadata/annotations",
        "/spec/metadata/annotations",
        "/spec/template/metadata/annotations",
        "/spec/template/metadata/labels",
        "/spec/volumeClaimTemplates/0/metadata/annotations",
        "/spec/template/spec/volumes/1/ephemeral/volumeClaimTemplate/metadata/annotations"
    ];
    Holder::Claim => ["/metadata/annotations", "/metadata/labels"];
    Holder::StorageClass => ["/metadata/annotations", "/metadata/labels", "/parameters"];
    Holder::Namespace => ["/metadata/annotations", "/metadata/labels"];
}

impl Holder {
    pub(crate) const ALL: [Self; 13] = [
        Self::Workload(Kind::Pod),
        Self::Workload(Kind::Deployment),
        Self::Workload(Kind::StatefulSet),
        Self::Workload(Kind::DaemonSet),
        Self::Workload(Kind::ReplicaSet),
        Self::Workload(Kind::ReplicationController),
        Self::Workload(Kind::PodTemplate),
        Self::Workload(Kind::Job),
        Self::Workload(Kind::CronJob),
        Self::Workload(Kind::Rollout),
        Self::Claim,
        Self::StorageClass,
        Self::Namespace,
    ];

    /// Returns the name in lower case.
    pub(crate) fn word(self) -> String {
        match self {
            Self::Workload(kind) => kind.word(),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    /// Returns the path of its collection.
    pub(crate) fn collection(self) -> String {
        match self {
            Self::Workload(kind) => kind.path(APPS),
            Self::Claim => format!("/api/v1/namespaces/{APPS}/persistentvolumeclaims"),
            Self::StorageClass => "/apis/storage.k8s.io/v1/storageclasses".to_owned(),
            Self::Namespace => "/api/v1/namespaces".to_owned(),
        }
    }

    /// Returns a request to create an object of that name, after `write` has changed it.
    pub(crate) fn create(self, name: &str, write: impl FnOnce(&mut Value)) -> DryRun {
        let mut object = self.object(name);
        write(&mut object);
        DryRun::create(self.collection(), object)
    }

    fn object(self, name: &str) -> Value {
        let metadata = json!({"name": name, "labels": {"app": name}});
        match self {
            Self::Workload(kind) => workload(kind, name),
            Self::Claim => json!({
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": metadata,
                "spec": claim_spec(),
            }),
            Self::StorageClass => json!({
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": metadata,
                "provisioner": "pxd.portworx.com",
                "parameters": {"repl": "2"},
            }),
            Self::Namespace => json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}),
        }
    }

    /// Sets another scheduler for the pods.
    pub(crate) fn set_scheduler(self, object: &mut Value, scheduler: &str) {
        if let Some(template) = self.template(object) {
            template["spec"]["schedulerName"] = scheduler.into();
        }
    }

    /// Sets another claim for the pods.
    pub(crate) fn set_claim(self, object: &mut Value, claim: &str) {
        if let Some(template) = self.template(object) {
            template["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = claim.into();
        }
    }

    fn template(self, object: &mut Value) -> Option<&mut Value> {
        let Self::Workload(kind) = self else { return None };
        object.pointer_mut(kind.pointer())
    }
}

impl Place {
    /// Writes an entry at this place.
    pub(crate) fn write(&self, object: &mut Value, key: &str, value: &str) {
        let (holder, map) = self.pointer.rsplit_once('/').expect("a JSON pointer has a slash");
        object.pointer_mut(holder).expect("the holder of the map exists")[map][key] = value.into();
    }

    /// Removes the entry from this place.
    pub(crate) fn erase(&self, object: &mut Value, key: &str) {
        let entries = object.pointer_mut(self.pointer).and_then(Value::as_object_mut);
        entries.expect("the map exists").remove(key);
    }
}

/// Returns a workload with an existing claim and an ephemeral one.
fn workload(kind: Kind, name: &str) -> Value {
    let labels = || json!({"labels": {"app": name}});
    let mut template = Shape::default().template();
    let claim_template = json!({"volumeClaimTemplate": {"metadata": labels(), "spec": claim_spec()}});
    let volumes = template["spec"]["volumes"].as_array_mut().expect("volumes is a list");
    volumes.push(volume("ephemeral", &claim_template));
    let mut object = kind.object(name, &labels(), template);
    let mut claim = json!({"metadata": labels(), "spec": claim_spec()});
    claim["metadata"]["name"] = "own".into();
    match kind {
        Kind::StatefulSet => object["spec"]["volumeClaimTemplates"] = json!([claim]),
        Kind::Rollout => {
            object["spec"]["volumeClaimTemplates"] = json!([claim]);
            object["spec"]["metadata"] = labels();
        }
        Kind::CronJob => object["spec"]["jobTemplate"]["metadata"] = labels(),
        _ => {}
    }
    object
}

fn claim_spec() -> Value {
    let resources = json!({"requests": {"storage": "1Gi"}});
    json!({"storageClassName": PORTWORX_CLASS, "accessModes": ["ReadWriteOnce"], "resources": resources})
}
