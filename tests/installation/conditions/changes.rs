//! What may become of an object that there is.

use colocate_harness::{OTHER_CLASS, PORTWORX_CLASS};
use serde_json::{Value, json};

use super::kind::Kind;

/// A change of a stored object.
pub(crate) struct Change {
    pub(crate) name: &'static str,
    /// The template as it was, when nobody was asked.
    before: fn(&mut Value),
    /// What is done to the whole object, and to its template.
    object: fn(&mut Value),
    template: fn(&mut Value),
}

const NOTHING: fn(&mut Value) = |_| {};
const STORK: fn(&mut Value) = |template| template["spec"]["schedulerName"] = "stork".into();
const IMAGE: fn(&mut Value) = |template| template["spec"]["containers"][0]["image"] = "example.test/main:2".into();

impl Change {
    /// What is done to one and the same object.
    pub(crate) const ALL: &[Self] = &[
        Self::of_the_template("image", NOTHING, IMAGE),
        Self::of_the_object("label", NOTHING, |object| object["metadata"]["labels"] = json!({"touched": "yes"})),
        Self::of_the_object("scale", NOTHING, |object| object["spec"]["replicas"] = 1.into()),
        Self::of_the_object("nothing", NOTHING, NOTHING),
        Self::of_the_template(
            "claims-come",
            |template| drop(template["spec"]["volumes"].take()),
            |template| {
                template["spec"]["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
                IMAGE(template);
            },
        ),
        Self::of_the_template("claims-go", STORK, |template| {
            template["spec"]["volumes"] = json!([]);
            forget(template);
        }),
        Self::of_the_template("claims-of-others", STORK, |template| {
            template["spec"]["volumes"] = json!([{"name": "plain", "persistentVolumeClaim": {"claimName": "plain"}}]);
            forget(template);
        }),
        Self::of_the_template("forgotten", STORK, forget),
        Self::of_the_template("forgotten-with-an-image", STORK, |template| {
            forget(template);
            IMAGE(template);
        }),
        Self::of_the_template("default-again", STORK, |template| {
            template["spec"]["schedulerName"] = "default-scheduler".into();
        }),
        Self::of_the_template("empty", STORK, |template| template["spec"]["schedulerName"] = "".into()),
        Self::of_the_template("another", STORK, |template| template["spec"]["schedulerName"] = "another".into()),
        Self::of_the_template("kept", STORK, IMAGE),
        Self::of_the_object("label-of-one-that-has-it", STORK, |object| {
            object["metadata"]["labels"] = json!({"touched": "yes"});
        }),
        Self::of_the_template("opts-out", STORK, |template| {
            forget(template);
            template["metadata"]["annotations"] = json!({"stork.libopenstorage.org/disableHyperconvergence": "true"});
        }),
        Self::of_the_template("opts-out-in-vain", NOTHING, |template| {
            template["metadata"]["annotations"] = json!({"stork.libopenstorage.org/disableHyperconvergence": "yes"});
        }),
        Self::of_the_template("opts-out-and-names-it", STORK, |template| {
            template["metadata"]["annotations"] = json!({"stork.libopenstorage.org/disableHyperconvergence": "true"});
        }),
        Self::of_the_template("node", STORK, |template| {
            forget(template);
            template["spec"]["nodeName"] = "node-1".into();
        }),
        Self::of_the_template(
            "from-another",
            |template| template["spec"]["schedulerName"] = "another".into(),
            |template| {
                forget(template);
                IMAGE(template);
            },
        ),
        Self::of_the_object("controller", NOTHING, |object| {
            object["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "example.test/v1", "kind": "Database", "name": "one", "uid": "1", "controller": true,
            }]);
        }),
    ];

    const fn of_the_template(name: &'static str, before: fn(&mut Value), template: fn(&mut Value)) -> Self {
        Self { name, before, object: NOTHING, template }
    }

    const fn of_the_object(name: &'static str, before: fn(&mut Value), object: fn(&mut Value)) -> Self {
        Self { name, before, object, template: NOTHING }
    }

    /// The object as it is stored.
    pub(crate) fn old(&self, kind: Kind, name: &str, mut template: Value) -> Value {
        (self.before)(&mut template);
        let mut old = kind.object(name, &json!({}), template);
        if kind == Kind::StatefulSet {
            old["spec"]["volumeClaimTemplates"] = json!([claim_template("other", OTHER_CLASS)]);
        }
        old
    }

    /// The object as it is to be.
    pub(crate) fn changed(&self, kind: Kind, stored: &Value) -> Value {
        let mut new = stored.clone();
        (self.object)(&mut new);
        (self.template)(new.pointer_mut(kind.pointer()).expect("it has a template"));
        new
    }
}

fn forget(template: &mut Value) {
    template["spec"].as_object_mut().expect("it is a mapping").remove("schedulerName");
}

/// An entry of a `StatefulSet`'s `volumeClaimTemplates`.
fn claim_template(name: &str, class: &str) -> Value {
    let resources = json!({"requests": {"storage": "1Gi"}});
    let spec = json!({"storageClassName": class, "accessModes": ["ReadWriteOnce"], "resources": resources});
    json!({"metadata": {"name": name}, "spec": spec})
}

/// A `StatefulSet` whose claims are all to be made from its templates.
pub(crate) fn of_claim_templates(name: &str, class: Option<&str>, template: Value) -> Value {
    let mut template = template;
    template["spec"]["volumes"] = json!([]);
    let mut object = Kind::StatefulSet.object(name, &json!({}), template);
    let mut claim = claim_template("data", class.unwrap_or(PORTWORX_CLASS));
    if class.is_none() {
        claim["spec"].as_object_mut().expect("it is a mapping").remove("storageClassName");
    }
    object["spec"]["volumeClaimTemplates"] = json!([claim]);
    object
}
