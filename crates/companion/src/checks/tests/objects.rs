//! The objects that the rules are tested with, and the cluster that they are checked against.

use serde_json::{Value, json};

use colocate_engine::{
    AccessModes, ClaimFacts, ClassFacts, Evidence, Inventory, NO_PROVISIONER, PORTWORX_IN_TREE, Settings, VolumeFacts,
};

/// The claims of the namespace `shop`, each with its class and access mode.
const CLAIMS: [(&str, &str, &str); 15] = [
    ("data", "px", ONCE),
    ("logs", "px", ONCE),
    ("kept", "px-kept", ONCE),
    ("shared", "px-shared", MANY),
    ("many", "px", MANY),
    ("service", "px-service", MANY),
    ("other", "other", ONCE),
    ("array", "px-array", ONCE),
    ("windows", "px-windows", MANY),
    ("late", "px-late", ONCE),
    ("late-many", "px-late", MANY),
    ("late-array", "px-late-array", ONCE),
    ("late-files", "px-late-files", MANY),
    ("late-remote", "px-late-remote", MANY),
    ("late-windows", "px-late-windows", MANY),
];

/// The access modes of all claims of a class; `None` if it has none.
pub(super) fn access_of_class(name: &str) -> Option<AccessModes> {
    let claims = CLAIMS.iter().filter(|(_, class, _)| *class == name);
    claims.map(|(_, _, mode)| [*mode].into_iter().collect::<AccessModes>()).reduce(AccessModes::union)
}

/// The cluster that the objects of the table are checked against.
///
/// | claim | class | description |
/// |---|---|---|
/// | `data`, `logs` | `px` | ordinary Portworx volumes |
/// | `kept` | `px-kept` | a volume with a placement strategy |
/// | `shared` | `px-shared` | a sharedv4 service volume |
/// | `many` | `px` | a `ReadWriteMany` volume |
/// | `service` | `px-service` | a sharedv4 volume whose class states its service |
/// | `other` | `other` | a volume of another driver |
/// | `array` | `px-array` | a volume on a storage array |
/// | `windows` | `px-windows` | a volume for Windows |
/// | `late`, `late-many`, `late-array`, `late-files`, `late-remote`, `late-windows` | `px-late`, ... | volumes that wait for their first pod |
/// | `static` | | a CSI volume that was created by hand, without `pv.kubernetes.io/provisioned-by` |
/// | `ga` | none | a volume that only the GA annotation gives to Portworx |
/// | `migrated` | `px-in-tree` | a volume of an in-tree class, which the CSI driver has provisioned |
/// | `unread` | `static` | a volume with `pv.kubernetes.io/provisioned-by`, whose class hides it from Stork |
pub(super) fn inventory() -> Inventory {
    let mut inventory = Inventory::default();
    let classes: [(&str, &str, Pairs<'_>); 15] = [
        ("px", "pxd.portworx.com", &[]),
        ("px-kept", "pxd.portworx.com", &[("placement_strategy", "together")]),
        (
            "px-shared",
            "pxd.portworx.com",
            &[("sharedv4", "true"), (REMOTE_ONLY, "true"), ("placement_strategy", "apart")],
        ),
        ("px-local", "pxd.portworx.com", &[("sharedv4", "true"), (REMOTE, "false")]),
        ("other", "other.example.test", &[]),
        ("px-array", "pxd.portworx.com", &[("backend", "pure_block")]),
        ("px-windows", "pxd.portworx.com", &[("winshare", "true")]),
        ("px-service", "pxd.portworx.com", &[("sharedv4_svc_type", "ClusterIP")]),
        ("px-late", "pxd.portworx.com", &[]),
        ("px-late-array", "pxd.portworx.com", &[("backend", "pure_block")]),
        ("px-late-files", "pxd.portworx.com", &[("proxy_endpoint", "nfs://server")]),
        ("px-late-remote", "pxd.portworx.com", &[(REMOTE_ONLY, "true")]),
        ("px-late-windows", "pxd.portworx.com", &[("winshare", "true")]),
        ("px-in-tree", PORTWORX_IN_TREE, &[]),
        ("static", NO_PROVISIONER, &[]),
    ];
    for (name, provisioner, parameters) in classes {
        let parameter = |key: &str| parameters.iter().find(|(own, _)| *own == key).map(|(_, value)| *value);
        let (provisioner, parameters) = (provisioner.into(), Settings::read(parameter));
        let binds_late = name.starts_with("px-late");
        let facts = ClassFacts { provisioner, parameters, binds_late, ..ClassFacts::default() };
        inventory.insert_class(name, facts);
    }
    for (name, class, access) in CLAIMS {
        let (access, bound) = ([access].into_iter().collect(), !name.starts_with("late"));
        let claim = ClaimFacts { class: Some(class.into()), access, bound, ..ClaimFacts::default() };
        inventory.insert_claim("shop", name, &claim);
    }
    inventory.insert_volume("pv", VolumeFacts { provisioner: Some(("pxd.portworx.com".into(), Evidence::StaticCsi)) });
    let by_hand = ClaimFacts { class: Some("".into()), volume: Some("pv".into()), ..ClaimFacts::default() };
    inventory.insert_claim("shop", "static", &by_hand);
    let annotated = VolumeFacts { provisioner: Some(("pxd.portworx.com".into(), Evidence::ProvisionedBy)) };
    inventory.insert_volume("annotated", annotated);
    let unread = ClaimFacts { class: Some("static".into()), volume: Some("annotated".into()), ..ClaimFacts::default() };
    inventory.insert_claim("shop", "unread", &unread);
    let ga = |class: &'static str, access: &str| ClaimFacts {
        class: Some(class.into()),
        provisioner: Some(("pxd.portworx.com".into(), Evidence::GaProvisionerAnnotation.into())),
        bound: true,
        access: [access].into_iter().collect(),
        ..ClaimFacts::default()
    };
    inventory.insert_claim("shop", "ga", &ga("", ONCE));
    inventory.insert_claim("shop", "migrated", &ga("px-in-tree", MANY));
    inventory
}

/// Keys and values.
type Pairs<'p> = &'p [(&'p str, &'p str)];

pub(super) const ONCE: &str = "ReadWriteOnce";
pub(super) const MANY: &str = "ReadWriteMany";

pub(super) const LOCAL_ONLY: &str = "stork.libopenstorage.org/preferLocalNodeOnly";
pub(super) const DISABLE: &str = "stork.libopenstorage.org/disableHyperconvergence";
pub(super) const OPT_OUT: &str = "stork.libopenstorage.org/disable-admission-controller";
pub(super) const IGNORE: &str = "colocate/ignore";
pub(super) const REMOTE: &str = "stork.libopenstorage.org/preferRemoteNode";
pub(super) const REMOTE_ONLY: &str = "stork.libopenstorage.org/preferRemoteNodeOnly";
pub(super) const RESTORE: &str = "stork.libopenstorage.org/restore-in-progress";
pub(super) const SKIP: &str = "stork.libopenstorage.org/skipSchedulerScoring";

pub(super) fn map<V: Into<Value> + Clone>(entries: &[(&str, V)]) -> Value {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone().into()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// A workload whose template has these annotations and mounts these claims.
pub(super) fn workload(kind: &str, annotations: &[(&str, &str)], claims: &[&str]) -> Value {
    let volume = |name: &&str| json!({ "name": name, "persistentVolumeClaim": { "claimName": name } });
    json!({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": { "name": "web", "annotations": {} },
        "spec": { "template": {
            "metadata": { "annotations": map(annotations) },
            "spec": { "volumes": claims.iter().map(volume).collect::<Vec<_>>() },
        } },
    })
}

pub(super) fn deployment(annotations: &[(&str, &str)], claims: &[&str]) -> Value {
    workload("Deployment", annotations, claims)
}

pub(super) fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    *object.pointer_mut(pointer).expect("an existing field") = value;
    object
}

pub(super) fn class(provisioner: &str, parameters: &[(&str, &str)]) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": { "name": "new", "annotations": {} },
        "provisioner": provisioner,
        "parameters": map(parameters),
    })
}

pub(super) fn claim(class: &str, access: &str, annotations: &[(&str, &str)]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": "new", "annotations": map(annotations) },
        "spec": { "storageClassName": class, "accessModes": [access] },
    })
}

pub(super) fn namespace(labels: &[(&str, &str)]) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop", "annotations": {}, "labels": map(labels) } })
}

pub(super) const ON_TEMPLATE: &str = "spec.template.metadata.annotations[stork.libopenstorage.org/preferLocalNodeOnly]";
pub(super) const ON_TEMPLATE_DISABLE: &str =
    "spec.template.metadata.annotations[stork.libopenstorage.org/disableHyperconvergence]";
pub(super) const ON_LABEL: &str = "spec.template.metadata.labels[colocate/ignore]";
pub(super) const ON_CLASS: &str = "parameters[stork.libopenstorage.org/preferRemoteNodeOnly]";
pub(super) const ON_CLAIM: &str = "metadata.annotations[stork.libopenstorage.org/preferRemoteNodeOnly]";

pub(super) const ON_VOLUMES: &str = "spec.template.spec.volumes";

/// A Deployment with `preferLocalNodeOnly` that mounts these claims.
pub(super) fn local(claims: &[&str]) -> Value {
    deployment(&[(LOCAL_ONLY, "true")], claims)
}

/// A class of Portworx.
pub(super) fn portworx(parameters: &[(&str, &str)]) -> Value {
    class("pxd.portworx.com", parameters)
}

/// A `StatefulSet` with a claim template of this class with these annotations.
pub(super) fn stateful(annotations: &[(&str, &str)], class: &str) -> Value {
    let mut object = workload("StatefulSet", &[], &[]);
    object["spec"]["volumeClaimTemplates"] = json!([claim(class, ONCE, annotations)]);
    object
}

/// A `StatefulSet` with `preferLocalNodeOnly` and a claim template of this class.
pub(super) fn stateful_local(class: &str) -> Value {
    let mut object = workload("StatefulSet", &[(LOCAL_ONLY, "true")], &[]);
    object["spec"]["volumeClaimTemplates"] = json!([claim(class, ONCE, &[])]);
    object
}

/// A claim of this class that the GA annotation gives to Portworx.
pub(super) fn claim_by_annotation(class: &str) -> Value {
    let provisioner = ("volume.kubernetes.io/storage-provisioner", "pxd.portworx.com");
    claim(class, MANY, &[(REMOTE_ONLY, "true"), provisioner])
}

/// Volumes with an ephemeral volume of Portworx, whose claim has these annotations.
pub(super) fn ephemeral(annotations: &[(&str, &str)]) -> Value {
    json!([{ "name": "scratch", "ephemeral": { "volumeClaimTemplate": claim("px", ONCE, annotations) } }])
}

/// The source of an ephemeral volume of Portworx.
pub(super) fn inline_claim() -> Value {
    json!({"ephemeral": {"volumeClaimTemplate": {"spec": {"storageClassName": "px"}}}})
}

/// A Deployment that mounts these claims, and a volume of this source.
pub(super) fn with_volume(source: Value, annotations: &[(&str, &str)], claims: &[&str]) -> Value {
    let mut object = deployment(annotations, claims);
    let mut volume = source;
    volume["name"] = "extra".into();
    if let Some(volumes) = object["spec"]["template"]["spec"]["volumes"].as_array_mut() {
        volumes.push(volume);
    }
    object
}

pub(super) fn with_volumes(mut object: Value, volumes: Value) -> Value {
    object["spec"]["template"]["spec"]["volumes"] = volumes;
    object
}

pub(super) fn with_priority(mut object: Value, fields: &Value) -> Value {
    for (name, value) in fields.as_object().expect("fields of a pod's spec") {
        object["spec"]["template"]["spec"][name] = value.clone();
    }
    object
}

pub(super) fn with_scheduler(object: Value, name: &str) -> Value {
    with_field(object, "schedulerName", name)
}

/// The object with a label of its pods.
pub(super) fn with_label(mut object: Value, key: &str, value: impl Into<Value>) -> Value {
    object["spec"]["template"]["metadata"]["labels"][key] = value.into();
    object
}

/// The object with a field of its pods' spec.
pub(super) fn with_field(mut object: Value, name: &str, value: impl Into<Value>) -> Value {
    object["spec"]["template"]["spec"][name] = value.into();
    object
}
