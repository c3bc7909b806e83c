//! Changes of existing objects.

use colocate_harness::{OTHER_CLASS, PORTWORX_CLASS};
use serde_json::{Value, json};

use super::kind::Kind;

/// A change of a stored object.
pub(crate) struct Change {
    pub(crate) name: &'static str,
    /// Prepares the template before any webhook is registered.
    before: fn(&mut Value),
    /// Changes the whole object, and its template.
    object: fn(&mut Value),
    template: fn(&mut Value),
}

const NOTHING: fn(&mut Value) = |_| {};
const STORK: fn(&mut Value) = |template| template["spec"]["schedulerName"] = "stork".into();
const IMAGE: fn(&mut Value) = |template| template["spec"]["containers"][0]["image"] = "example.test/main:2".into();

impl Change {
    /// Changes of one and the same object.
    pub(crate) const ALL: &[Self] = &[
        Self::in_template("image", NOTHING, IMAGE),
        Self::in_object("label", NOTHING, |object| object["metadata"]["labels"] = json!({"touched": "yes"})),
        Self::in_object("scale", NOTHING, |object| object["spec"]["replicas"] = 1.into()),
        Self::in_object("nothing", NOTHING, NOTHING),
        Self::in_template(
            "claims-added",
            |template| drop(template["spec"]["volumes"].take()),
            |template| {
                template["spec"]["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
                IMAGE(template);
            },
        ),
        Self::in_template("claims-removed", STORK, |template| {
            template["spec"]["volumes"] = json!([]);
            remove_scheduler(template);
        }),
        Self::in_template("claims-of-others", STORK, |template| {
            template["spec"]["volumes"] = json!([{"name": "plain", "persistentVolumeClaim": {"claimName": "plain"}}]);
            remove_scheduler(template);
        }),
        Self::in_template("scheduler-dropped", STORK, remove_scheduler),
        Self::in_template("scheduler-dropped-with-an-image", STORK, |template| {
            remove_scheduler(template);
            IMAGE(template);
        }),
        Self::in_template("default", STORK, |template| {
            template["spec"]["schedulerName"] = "default-scheduler".into();
        }),
        Self::in_template("empty", STORK, |template| template["spec"]["schedulerName"] = "".into()),
        Self::in_template("another", STORK, |template| template["spec"]["schedulerName"] = "another".into()),
        Self::in_template("kept", STORK, IMAGE),
        Self::in_object("label-with-scheduler", STORK, |object| {
            object["metadata"]["labels"] = json!({"touched": "yes"});
        }),
        Self::in_template("opts-out", STORK, |template| {
            remove_scheduler(template);
            template["metadata"]["annotations"] = json!({"stork.libopenstorage.org/disableHyperconvergence": "true"});
        }),
        Self::in_template("opts-out-invalid", NOTHING, |template| {
            template["metadata"]["annotations"] = json!({"stork.libopenstorage.org/disableHyperconvergence": "yes"});
        }),
        Self::in_template("opts-out-and-names-it", STORK, |template| {
            template["metadata"]["annotations"] = json!({"stork.libopenstorage.org/disableHyperconvergence": "true"});
        }),
        Self::in_template("node", STORK, |template| {
            remove_scheduler(template);
            template["spec"]["nodeName"] = "node-1".into();
        }),
        Self::in_template(
            "from-another",
            |template| template["spec"]["schedulerName"] = "another".into(),
            |template| {
                remove_scheduler(template);
                IMAGE(template);
            },
        ),
        Self::in_object("controller", NOTHING, |object| {
            object["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "example.test/v1", "kind": "Database", "name": "one", "uid": "1", "controller": true,
            }]);
        }),
    ];

    const fn in_template(name: &'static str, before: fn(&mut Value), template: fn(&mut Value)) -> Self {
        Self { name, before, object: NOTHING, template }
    }

    const fn in_object(name: &'static str, before: fn(&mut Value), object: fn(&mut Value)) -> Self {
        Self { name, before, object, template: NOTHING }
    }

    /// Returns the object to store first.
    pub(crate) fn old(&self, kind: Kind, name: &str, mut template: Value) -> Value {
        (self.before)(&mut template);
        let mut old = kind.object(name, &json!({}), template);
        if kind == Kind::StatefulSet {
            old["spec"]["volumeClaimTemplates"] = json!([claim_template("other", OTHER_CLASS)]);
        }
        old
    }

    /// Returns the changed object.
    pub(crate) fn changed(&self, kind: Kind, stored: &Value) -> Value {
        let mut new = stored.clone();
        (self.object)(&mut new);
        (self.template)(new.pointer_mut(kind.pointer()).expect("the object has a template"));
        new
    }
}

fn remove_scheduler(template: &mut Value) {
    template["spec"].as_object_mut().expect("spec is a mapping").remove("schedulerName");
}

/// Returns an entry of a `StatefulSet`'s `volumeClaimTemplates`.
fn claim_template(name: &str, class: &str) -> Value {
    let resources = json!({"requests": {"storage": "1Gi"}});
    let spec = json!({"storageClassName": class, "accessModes": ["ReadWriteOnce"], "resources": resources});
    json!({"metadata": {"name": name}, "spec": spec})
}

/// Returns a `StatefulSet` whose claims are all created from its templates.
pub(crate) fn with_claim_templates(name: &str, class: Option<&str>, template: Value) -> Value {
    let mut template = template;
    template["spec"]["volumes"] = json!([]);
    let mut object = Kind::StatefulSet.object(name, &json!({}), template);
    let mut claim = claim_template("data", class.unwrap_or(PORTWORX_CLASS));
    if class.is_none() {
        claim["spec"].as_object_mut().expect("spec is a mapping").remove("storageClassName");
    }
    object["spec"]["volumeClaimTemplates"] = json!([claim]);
    object
}
