//! Shapes of pods and pod templates: all fields that affect the decision.

use colocate_harness::{OTHER_CLASS, PORTWORX_CLASS, scramble};
use serde_json::{Value, json};

/// An index into each of the tables below. The first entries together are a pod that gets the scheduler.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape {
    volumes: usize,
    scheduler: usize,
    annotations: usize,
    node: usize,
    owner: usize,
    group: usize,
}

/// More volumes than the conditions look at.
const MANY: usize = 2_001;

const SCHEDULERS: [Option<&str>; 5] = [None, Some(""), Some("default-scheduler"), Some("stork"), Some("another")];

const NODES: [Option<&str>; 3] = [None, Some(""), Some("node-1")];

/// The annotation keys that opt out.
pub(crate) const OPT_OUTS: [&str; 2] =
    ["stork.libopenstorage.org/disableHyperconvergence", "stork.libopenstorage.org/disable-admission-controller"];

/// Values that opt out, values that do not, and values that are not booleans.
const VALUES: [&str; 9] = ["true", "1", "t", "T", "TRUE", "True", "false", "yes", ""];

impl Shape {
    /// Returns each entry in combination with the first entries of the other tables, each scheduler with each annotation
    /// (if `pairs` is false, with every fifth one), and random mixtures.
    pub(crate) fn all(pairs: bool, mixtures: usize, seed: u64) -> Vec<Self> {
        let [volumes, annotations, owners] = [volumes().len(), annotations().len(), owners().len()];
        let good = Self::default();
        let mut all = vec![good];
        all.extend((1..volumes).map(|volumes| Self { volumes, ..good }));
        all.extend((1..NODES.len()).map(|node| Self { node, ..good }));
        all.extend((1..owners).map(|owner| Self { owner, ..good }));
        all.push(Self { group: 1, ..good });
        for scheduler in 0..SCHEDULERS.len() {
            all.extend((0..annotations).step_by(if pairs { 1 } else { 5 }).map(|annotations| Self {
                scheduler,
                annotations,
                ..good
            }));
        }
        all.extend((0..mixtures).map(|number| {
            let mut chance = scramble(seed + number as u64);
            let mut pick = |count: usize| {
                let picked = chance % count as u64;
                chance /= count as u64;
                usize::try_from(picked).expect("the index is less than the count")
            };
            Self {
                volumes: pick(volumes),
                scheduler: pick(SCHEDULERS.len()),
                annotations: pick(annotations),
                // Most pods have neither a node nor an owner.
                node: pick(6) / 3,
                owner: pick(2 * owners).saturating_sub(owners),
                group: pick(8) / 7,
            }
        }));
        all
    }

    /// Returns the template.
    pub(crate) fn template(self) -> Value {
        let mut spec = json!({
            "containers": [{"name": "main", "image": "example.test/main:1"}],
            // No node has this label.
            "nodeSelector": {"example.test/nowhere": "yes"},
        });
        let fields = [
            ("volumes", volumes().swap_remove(self.volumes)),
            ("schedulerName", SCHEDULERS[self.scheduler].map(Into::into)),
            ("nodeName", NODES[self.node].map(Into::into)),
            ("schedulingGroup", (self.group > 0).then(|| json!({"podGroupName": "group"}))),
        ];
        for (key, value) in fields {
            if let Some(value) = value {
                spec[key] = value;
            }
        }
        let metadata = annotations().swap_remove(self.annotations).map_or(json!({}), |own| json!({"annotations": own}));
        json!({"metadata": metadata, "spec": spec})
    }

    /// Returns the metadata of the object.
    pub(crate) fn metadata(self) -> Value {
        owners().swap_remove(self.owner).map_or(json!({}), |own| json!({"ownerReferences": own}))
    }
}

/// Returns a volume with that source.
pub(crate) fn volume(source: &str, content: &Value) -> Value {
    json!({"name": source.to_lowercase(), source: content})
}

fn volumes() -> Vec<Option<Value>> {
    let claim = |name: &str| volume("persistentVolumeClaim", &json!({"claimName": name}));
    let empty = |name: &str| json!({"name": name, "emptyDir": {}});
    let ephemeral = |class: Option<&str>| {
        let resources = json!({"requests": {"storage": "1Gi"}});
        let mut spec = json!({"accessModes": ["ReadWriteOnce"], "resources": resources});
        if let Some(class) = class {
            spec["storageClassName"] = class.into();
        }
        volume("ephemeral", &json!({"volumeClaimTemplate": {"spec": spec}}))
    };
    let many = |last: Value| (0..MANY).map(|number| empty(&format!("v{number}"))).chain([last]).collect::<Value>();
    vec![
        Some(json!([claim("data")])),
        None,
        Some(json!([])),
        Some(json!([empty("empty"), volume("configMap", &json!({"name": "map"}))])),
        Some(json!([claim("plain")])),
        Some(json!([claim("absent")])),
        Some(
            json!([empty("empty"), claim("plain"), {"name": "second", "persistentVolumeClaim": {"claimName": "data"}}]),
        ),
        Some(json!([ephemeral(Some(PORTWORX_CLASS))])),
        Some(json!([ephemeral(Some(OTHER_CLASS))])),
        Some(json!([ephemeral(None)])),
        Some(json!([volume("csi", &json!({"driver": "pxd.portworx.com"}))])),
        Some(json!([volume("csi", &json!({"driver": "csi.example.com"}))])),
        Some(json!([volume("portworxVolume", &json!({"volumeID": "1"}))])),
        Some(many(claim("data"))),
        Some(many(empty("last"))),
    ]
}

fn annotations() -> Vec<Option<Value>> {
    let mut all = vec![None, Some(json!({})), Some(json!({"example.test/unrelated": "true"}))];
    for key in OPT_OUTS {
        all.extend(VALUES.map(|value| Some(json!({key: value}))));
    }
    all.push(Some(json!({OPT_OUTS[0]: "false", OPT_OUTS[1]: "true"})));
    all.push(Some(json!({OPT_OUTS[0]: "yes", "kubernetes.io/config.mirror": "mirror"})));
    all.push(Some(json!({"kubernetes.io/config.mirror": "mirror"})));
    all
}

fn owners() -> Vec<Option<Value>> {
    let owner = |controller: Option<bool>| {
        let mut owner = json!({"apiVersion": "example.test/v1", "kind": "Database", "name": "one", "uid": "1"});
        if let Some(controller) = controller {
            owner["controller"] = controller.into();
        }
        owner
    };
    vec![
        None,
        Some(json!([])),
        Some(json!([owner(None)])),
        Some(json!([owner(Some(false))])),
        Some(json!([owner(Some(true))])),
        Some(json!([owner(None), owner(Some(true))])),
    ]
}
