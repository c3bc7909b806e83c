//! The objects of a world, as its storage systems and their users create them.

use serde_json::{Value, json};

use super::world::{Driver, NODES, OFFLINE, Pod, Sharing, UNNAMED, Volume, World};

/// An object to create: the path of its list, the object, and its status, which some kinds take in a second request.
pub(crate) struct Creation {
    pub(crate) path: String,
    pub(crate) object: Value,
    pub(crate) status: Option<Value>,
}

impl Creation {
    fn new(path: impl Into<String>, object: Value) -> Self {
        Self { path: path.into(), object, status: None }
    }
}

/// The namespaces of the objects of Longhorn and of `OpenEBS`.
pub(crate) const STORAGE_NAMESPACES: [&str; 2] = ["longhorn-system", "openebs"];

pub(crate) fn node_name(number: usize) -> String {
    format!("node-{number}")
}

/// The class of the volumes on a storage array.
const ARRAY_CLASS: &str = "portworx-array";

/// The handle by which the storage knows a volume.
pub(crate) fn handle(volume: &Volume) -> String {
    match volume.driver {
        // The id of a volume of Portworx is a number, and TopoLVM invents a name for the logical volume.
        Driver::Portworx => {
            let id = volume.claim.bytes().fold(7_u64, |id, byte| id.wrapping_mul(31).wrapping_add(byte.into()));
            (id | 1 << 62).to_string()
        }
        Driver::TopoLvm => format!("lv-{}", volume.claim),
        _ => format!("pvc-{}", volume.claim),
    }
}

/// The classes of all drivers.
pub(crate) fn classes() -> Vec<Creation> {
    let class = |driver: &Driver| {
        let object = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": driver.name()}, "provisioner": driver.provisioner(),
        });
        Creation::new("/apis/storage.k8s.io/v1/storageclasses", object)
    };
    let array = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": ARRAY_CLASS}, "provisioner": Driver::Portworx.provisioner(),
        "parameters": {"backend": "pure_block"},
    });
    let array = Creation::new("/apis/storage.k8s.io/v1/storageclasses", array);
    Driver::ALL.iter().map(class).chain([array]).collect()
}

/// The claim of a volume and its `PersistentVolume`, which is bound to it.
pub(crate) fn claim(volume: &Volume) -> [Creation; 2] {
    let Volume { driver, namespace, claim, sharing, .. } = volume;
    let class = if *sharing == Sharing::External { ARRAY_CLASS } else { driver.name() };
    let name = format!("pv-{claim}");
    let is_shared = matches!(sharing, Sharing::Service | Sharing::RemoteOnly);
    let modes = json!([if is_shared { "ReadWriteMany" } else { "ReadWriteOnce" }]);
    let mut object = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim, "namespace": namespace},
        "spec": {
            "storageClassName": class, "accessModes": modes, "volumeName": name,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    });
    if *sharing == Sharing::RemoteOnly {
        object["metadata"]["annotations"] = json!({"stork.libopenstorage.org/preferRemoteNodeOnly": "true"});
    }
    if *sharing == Sharing::External {
        // It names the driver even if the class cannot be read.
        object["metadata"]["annotations"] =
            json!({"volume.beta.kubernetes.io/storage-provisioner": driver.provisioner()});
    }
    let mut bound = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": driver.provisioner()}},
        "spec": {
            "storageClassName": class, "accessModes": modes, "capacity": {"storage": "1Gi"},
            "claimRef": {"namespace": namespace, "name": claim},
            "csi": {"driver": driver.provisioner(), "volumeHandle": handle(volume)},
        },
    });
    if *driver == Driver::Local {
        let nodes: Vec<_> = volume.replicas.iter().map(|(node, _)| node_name(*node)).collect();
        let terms =
            json!([{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": nodes}]}]);
        // Some are created by the static provisioner, which writes its name.
        let spec = bound["spec"].as_object_mut().unwrap();
        spec.remove("csi");
        spec.insert("local".to_owned(), json!({"path": format!("/mnt/{claim}")}));
        bound["metadata"]["annotations"] = match claim.len() % 2 {
            0 => json!({"pv.kubernetes.io/provisioned-by": "local-volume-provisioner"}),
            _ => json!({}),
        };
        bound["spec"]["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": terms}});
    }
    let claims = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims");
    [Creation::new(claims, object), Creation::new("/api/v1/persistentvolumes", bound)]
}

/// The custom resources of a volume.
pub(crate) fn custom_resources(volume: &Volume) -> Vec<Creation> {
    if !volume.listed && volume.driver != Driver::TopoLvm {
        return Vec::new();
    }
    let replicas = volume.replicas.iter().enumerate();
    let mut objects: Vec<_> =
        replicas.filter_map(|(index, (node, healthy))| replica(volume, index, *node, *healthy)).collect();
    if volume.driver == Driver::Linstor {
        // A diskless resource, as on a node that only mounts the volume, and a snapshot on a node that has no replica.
        objects.push(linstor(volume, volume.phantom, "diskless", 4 | 128 | 256, ""));
        objects.push(linstor(volume, volume.phantom, "snapshot", 0, "BACK-UP"));
    }
    objects
}

/// The custom resource of a replica. Of the ways in which one can be unhealthy, the index chooses one.
fn replica(volume: &Volume, index: usize, node: usize, healthy: bool) -> Option<Creation> {
    const TIME: &str = "2026-11-01T00:00:00Z";
    let (claim, name, node) = (&volume.claim, format!("{}-r-{index}", handle(volume)), node_name(node));
    let first = index == 0;
    Some(match volume.driver {
        Driver::Longhorn => {
            let (healthy_at, failed_at) = match (healthy, first) {
                (true, _) => (TIME, ""),
                (false, true) => (TIME, TIME),
                (false, false) => ("", ""),
            };
            let spec = json!({"volumeName": handle(volume), "nodeID": node, "healthyAt": healthy_at, "failedAt": failed_at, "volumeSize": "1073741824", "engineName": format!("{claim}-e")});
            let object = json!({"apiVersion": "longhorn.io/v1beta2", "kind": "Replica", "metadata": {"name": name}, "spec": spec});
            Creation::new("/apis/longhorn.io/v1beta2/namespaces/longhorn-system/replicas", object)
        }
        Driver::Hwameistor => {
            let is_deleted = !healthy && !first;
            let state = if healthy || is_deleted { "Ready" } else { "NotReady" };
            let spec = json!({"volumeName": handle(volume), "nodeName": node, "delete": is_deleted, "kind": "LVM", "poolName": "LocalStorage_PoolHDD", "requiredCapacityBytes": 1_073_741_824});
            let object = json!({"apiVersion": "hwameistor.io/v1alpha1", "kind": "LocalVolumeReplica", "metadata": {"name": name}, "spec": spec});
            let status = Some(json!({"state": state, "synced": healthy}));
            Creation { path: "/apis/hwameistor.io/v1alpha1/localvolumereplicas".to_owned(), object, status }
        }
        Driver::TopoLvm => {
            let spec = json!({"name": format!("pvc-{claim}"), "nodeName": node, "size": "1Gi", "deviceClass": ""});
            let object = json!({"apiVersion": "topolvm.io/v1", "kind": "LogicalVolume", "metadata": {"name": format!("pvc-{claim}")}, "spec": spec});
            let status = volume.listed.then(|| json!({"volumeID": handle(volume), "currentSize": "1Gi"}));
            Creation { path: "/apis/topolvm.io/v1/logicalvolumes".to_owned(), object, status }
        }
        Driver::OpenEbs => {
            let spec = json!({"capacity": "1073741824", "ownerNodeID": node, "vgPattern": "^vg$", "volGroup": "vg", "shared": "yes"});
            let state = if healthy { "Ready" } else { "Failed" };
            let object = json!({"apiVersion": "local.openebs.io/v1alpha1", "kind": "LVMVolume", "metadata": {"name": handle(volume)}, "spec": spec, "status": {"state": state}});
            Creation::new("/apis/local.openebs.io/v1alpha1/namespaces/openebs/lvmvolumes", object)
        }
        Driver::Linstor => {
            let flags = if healthy { 0 } else { [2, 1024][index % 2] };
            let number: usize = node.strip_prefix("node-")?.parse().ok()?;
            linstor(volume, number, &format!("r-{index}"), flags, "")
        }
        Driver::Portworx | Driver::Local | Driver::Scored | Driver::Silent => return None,
    })
}

/// A resource of LINSTOR, which stores names in upper case.
fn linstor(volume: &Volume, node: usize, name: &str, flags: u32, snapshot: &str) -> Creation {
    let spec = json!({
        "uuid": name, "node_name": node_name(node).to_uppercase(), "resource_name": handle(volume).to_uppercase(),
        "snapshot_name": snapshot, "resource_flags": flags, "create_timestamp": 1_764_547_200_000_u64,
    });
    let object = json!({
        "apiVersion": "internal.linstor.linbit.com/v1-27-1", "kind": "Resources",
        "metadata": {"name": format!("{}-{name}", volume.claim)}, "spec": spec,
    });
    Creation::new("/apis/internal.linstor.linbit.com/v1-27-1/resources", object)
}

/// A pod without a node.
pub(crate) fn pod(world: &World, pod: &Pod) -> Creation {
    let claims: Vec<_> = pod.volumes.iter().map(|index| &*world.volumes[*index].claim).collect();
    let mut object = bare_pod(pod.namespace, &pod.name, pod.scheduler, &claims);
    if pod.opts_out {
        object["metadata"]["annotations"] = json!({"stork.libopenstorage.org/disableHyperconvergence": "true"});
    }
    Creation::new(format!("/api/v1/namespaces/{}/pods", pod.namespace), object)
}

pub(crate) fn bare_pod(namespace: &str, name: &str, scheduler: &str, claims: &[&str]) -> Value {
    let volume = |claim: &&str| json!({"name": claim, "persistentVolumeClaim": {"claimName": claim}});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "schedulerName": scheduler,
            "containers": [{"name": "main", "image": "example.test/main:1"}],
            "volumes": claims.iter().map(volume).collect::<Vec<_>>(),
        },
    })
}

/// The answer of the gateway about its nodes.
pub(crate) fn gateway_nodes() -> Value {
    let node = |number| {
        let status = if number == OFFLINE { "STATUS_OFFLINE" } else { "STATUS_OK" };
        let name = if number == UNNAMED { String::new() } else { node_name(number) };
        json!({"id": format!("px-{number}"), "mem_total": "16825421824", "cpu": 1.5, "status": status, "scheduler_node_name": name})
    };
    json!({"nodes": (1..=NODES).map(node).collect::<Vec<_>>()})
}

/// The answer of the gateway about these volumes.
pub(crate) fn gateway_volumes<'v>(volumes: impl IntoIterator<Item = &'v Volume>) -> Value {
    let volume = |volume: &Volume| {
        let nodes: Vec<_> = volume.replicas.iter().map(|(node, _)| format!("px-{node}")).collect();
        let level = nodes.len().to_string();
        let spec = json!({"size": "1073741824", "ha_level": level, "format": "FS_TYPE_EXT4"});
        let locator = json!({"name": format!("pvc-{}", volume.claim)});
        let id = handle(volume);
        json!({"volume": {"id": id, "locator": locator, "spec": spec, "usage": "4096", "status": "VOLUME_STATUS_UP", "replica_sets": [{"nodes": nodes}]}})
    };
    let known = volumes.into_iter().filter(|volume| volume.driver == Driver::Portworx && volume.listed);
    json!({"volumes": known.map(volume).collect::<Vec<_>>()})
}
