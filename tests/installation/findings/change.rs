//! Changes of an object with annotations or labels.

use serde_json::{Value, json};

use super::place::Place;

/// A change of a stored object.
pub(crate) struct Change {
    pub(crate) name: &'static str,
    /// Prepares the object before any webhook is registered.
    pub(crate) before: fn(&Place, &mut Value),
    pub(crate) after: fn(&Place, &mut Value),
}

const LOCAL: &str = "stork.libopenstorage.org/preferLocalNodeOnly";
const NOTHING: fn(&Place, &mut Value) = |_, _| {};
const LOCAL_ONLY: fn(&Place, &mut Value) = |place, object| place.write(object, LOCAL, "true");
const WRONG: fn(&Place, &mut Value) = |place, object| place.write(object, LOCAL, "yes");
const REMOTE: fn(&Place, &mut Value) =
    |place, object| place.write(object, "stork.libopenstorage.org/preferRemoteNode", "true");

impl Change {
    const fn new(name: &'static str, before: fn(&Place, &mut Value), after: fn(&Place, &mut Value)) -> Self {
        Self { name, before, after }
    }

    /// Changes of the key itself, and of everything else that the rules read.
    pub(crate) const ALL: &[Self] = &[
        Self::new("nothing", WRONG, NOTHING),
        Self::new("label", WRONG, |_, object| object["metadata"]["labels"]["touched"] = "yes".into()),
        Self::new("added", NOTHING, LOCAL_ONLY),
        Self::new("value", LOCAL_ONLY, WRONG),
        Self::new("removed", LOCAL_ONLY, |place, object| place.erase(object, LOCAL)),
        Self::new("another-added", LOCAL_ONLY, |place, object| {
            place.write(object, "stork.libopenstorage.org/disableHyperconvergence", "true");
        }),
        Self::new("autoscaler", LOCAL_ONLY, |place, object| {
            place.write(object, "cluster-autoscaler.kubernetes.io/safe-to-evict", "false");
        }),
        Self::new("shared", REMOTE, |place, object| place.write(object, "sharedv4", "false")),
        Self::new("scheduler", LOCAL_ONLY, |place, object| place.holder.set_scheduler(object, "another")),
        Self::new("claim", LOCAL_ONLY, |place, object| place.holder.set_claim(object, "plain")),
        Self::new("owner", LOCAL_ONLY, |_, object| {
            object["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "example.test/v1", "kind": "Database", "name": "one", "uid": "1", "controller": true,
            }]);
        }),
    ];
}
