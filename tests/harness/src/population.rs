//! The claims of a large cluster. Each claim is generated from its number, so that it need not be kept in memory.

use std::ops::Range;

/// The numbers of claims and namespaces. Claims are ordered by namespace, as in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Population {
    size: usize,
    namespaces: usize,
}

/// A bound claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedClaim {
    /// The index in the list of all claims.
    pub number: usize,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// A `StorageClass`.
#[derive(Debug, PartialEq, Eq)]
pub struct NamedClass {
    /// The name.
    pub name: &'static str,
    /// The provisioner.
    pub provisioner: &'static str,
}

/// The classes, which claims use in turn. Portworx provisions the last three.
pub const CLASSES: [NamedClass; 5] = [
    NamedClass { name: "gp3-encrypted", provisioner: "ebs.csi.aws.com" },
    NamedClass { name: "cephfs", provisioner: "rook-ceph.cephfs.csi.ceph.com" },
    NamedClass { name: "px-legacy", provisioner: "kubernetes.io/portworx-volume" },
    NamedClass { name: "px-shared-sc4", provisioner: "pxd.portworx.com" },
    NamedClass { name: "px-db", provisioner: "pxd.portworx.com" },
];

/// The names of claim templates.
const TEMPLATES: [&str; 5] = ["data", "storage", "pgdata", "data-volume", "persistent-storage"];
const WORKLOADS: [&str; 7] =
    ["mysql", "postgres", "kafka-broker", "redis-node", "elastic-hot", "mongodb-replica", "cassandra-rack"];

/// The number of pods, and of claims, of each workload.
const REPLICAS: usize = 3;

/// The first number of a workload, so that it has at least two digits.
const FIRST: usize = 10;

impl Population {
    /// Creates a population of that size.
    pub const fn new(size: usize, namespaces: usize) -> Self {
        Self { size, namespaces }
    }

    /// The number of claims.
    pub const fn size(self) -> usize {
        self.size
    }

    /// The names of the namespaces.
    pub fn namespaces(self) -> impl Iterator<Item = String> {
        (0..self.namespaces).map(namespace)
    }

    /// Returns the claim with this number, which must be less than the size.
    pub fn claim(self, number: usize) -> NumberedClaim {
        NumberedClaim { number, namespace: namespace(number / self.per_namespace()), name: name(number) }
    }

    /// Returns the claim with this name.
    pub fn find(self, namespace: &str, name: &str) -> Option<NumberedClaim> {
        let mut numbers = name.rsplitn(3, '-').map(str::parse::<usize>);
        let (pod, workload) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        let number = workload.checked_sub(FIRST)?.checked_mul(REPLICAS)?.checked_add(pod)?;
        let claim = (number < self.size).then(|| self.claim(number))?;
        (claim.namespace == namespace && claim.name == name).then_some(claim)
    }

    /// Returns the numbers of the claims in one namespace.
    pub fn within(self, namespace: &str) -> Range<usize> {
        let index = namespace.rsplit('-').next().and_then(|index| index.parse::<usize>().ok());
        let known = index.filter(|index| *index < self.namespaces && self::namespace(*index) == namespace);
        let begin = known.map_or(0, |index| (index * self.per_namespace()).min(self.size));
        let end = known.map_or(0, |_| (begin + self.per_namespace()).min(self.size));
        begin..end
    }

    fn per_namespace(self) -> usize {
        self.size.div_ceil(self.namespaces)
    }
}

impl NumberedClaim {
    /// The class of the claim.
    pub fn class(&self) -> &'static NamedClass {
        &CLASSES[self.number % CLASSES.len()]
    }

    /// The name of the bound volume.
    pub fn volume(&self) -> String {
        format!("pvc-{}", uid(self.number))
    }

    /// Returns the claim as an item of a list, in JSON, without kind and API version.
    pub fn item(&self) -> String {
        // Lower than the resource version of any list.
        let version = self.number + 1;
        format!("{{{}", self.fields(&format!(r#""resourceVersion":"{version}","#)))
    }

    /// Returns the claim as a single object, in JSON.
    pub fn object(&self) -> String {
        let item = self.item();
        format!(r#"{{"kind":"PersistentVolumeClaim","apiVersion":"v1",{}"#, &item[1..])
    }

    /// Returns the claim for a create request, in JSON.
    pub fn draft(&self) -> String {
        format!(r#"{{"kind":"PersistentVolumeClaim","apiVersion":"v1",{}"#, self.fields(""))
    }

    /// Returns the fields, with `version` in the metadata.
    fn fields(&self, version: &str) -> String {
        let Self { number, namespace, name } = self;
        let NamedClass { name: class, provisioner } = self.class();
        let (uid, volume) = (uid(*number), self.volume());
        let workload = WORKLOADS[workload(*number) % WORKLOADS.len()];
        let size = 1 << (number % 8);
        let managed = concat!(
            r#"{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","time":"2026-05-04T09:26:54Z","#,
            r#""fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:annotations":{".":{},"f:pv.kubernetes.io/bind-completed":{},"#,
            r#""f:pv.kubernetes.io/bound-by-controller":{},"f:volume.beta.kubernetes.io/storage-provisioner":{},"#,
            r#""f:volume.kubernetes.io/storage-provisioner":{}},"#,
            r#""f:labels":{".":{},"f:app.kubernetes.io/name":{}}},"#,
            r#""f:spec":{"f:accessModes":{},"f:resources":{"f:requests":{".":{},"f:storage":{}}},"f:volumeName":{}}}},"#,
            r#"{"manager":"csi-resizer","operation":"Update","apiVersion":"v1","time":"2026-05-04T09:27:11Z","#,
            r#""fieldsType":"FieldsV1","fieldsV1":{"f:status":{"f:capacity":{".":{},"f:storage":{}}}},"subresource":"status"}"#,
        );
        format!(
            concat!(
                r#""metadata":{{"name":"{name}","namespace":"{namespace}","uid":"{uid}",{version}"#,
                r#""creationTimestamp":"2026-05-04T09:26:53Z","labels":{{"app.kubernetes.io/name":"{workload}"}},"#,
                r#""annotations":{{"pv.kubernetes.io/bind-completed":"yes","pv.kubernetes.io/bound-by-controller":"yes","#,
                // Kubernetes sets both, at least from 1.29 to 1.37 (`setClaimProvisioner` in `pv_controller_base.go`).
                r#""volume.beta.kubernetes.io/storage-provisioner":"{provisioner}","#,
                r#""volume.kubernetes.io/storage-provisioner":"{provisioner}"}},"#,
                r#""finalizers":["kubernetes.io/pvc-protection"],"managedFields":[{managed}]}},"#,
                r#""spec":{{"accessModes":["ReadWriteOnce"],"resources":{{"requests":{{"storage":"{size}Gi"}}}},"#,
                r#""volumeName":"{volume}","storageClassName":"{class}","volumeMode":"Filesystem"}},"#,
                r#""status":{{"phase":"Bound","accessModes":["ReadWriteOnce"],"capacity":{{"storage":"{size}Gi"}}}}}}"#,
            ),
            name = name,
            namespace = namespace,
            uid = uid,
            version = version,
            workload = workload,
            provisioner = provisioner,
            managed = managed,
            size = size,
            volume = volume,
            class = class,
        )
    }
}

impl NamedClass {
    /// Returns whether the built-in driver provisions volumes of the class.
    pub fn is_portworx(&self) -> bool {
        matches!(self.provisioner, "pxd.portworx.com" | "kubernetes.io/portworx-volume")
    }

    /// Returns the class in JSON, for a response or a create request.
    pub fn object(&self) -> String {
        let Self { name, provisioner } = self;
        format!(
            concat!(
                r#"{{"kind":"StorageClass","apiVersion":"storage.k8s.io/v1","metadata":{{"name":"{name}","#,
                r#""creationTimestamp":"2026-05-04T09:00:00Z"}},"provisioner":"{provisioner}","#,
                r#""reclaimPolicy":"Delete","volumeBindingMode":"Immediate"}}"#,
            ),
            name = name,
            provisioner = provisioner,
        )
    }
}

/// Returns a deterministic pseudorandom number (`SplitMix64`).
pub const fn scramble(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn namespace(index: usize) -> String {
    format!("{}-{index}", ["shop", "payments", "analytics-prod", "team-search"][index % 4])
}

fn workload(number: usize) -> usize {
    FIRST + number / REPLICAS
}

/// Returns the name of a claim of a `StatefulSet`: template, workload and pod. The number of the workload makes it unique in the
/// cluster.
fn name(number: usize) -> String {
    let workload = workload(number);
    let (template, app) = (TEMPLATES[workload % TEMPLATES.len()], WORKLOADS[workload % WORKLOADS.len()]);
    format!("{template}-{app}-{workload}-{}", number % REPLICAS)
}

fn uid(number: usize) -> String {
    let (high, low) = (scramble(2 * number as u64), scramble(2 * number as u64 + 1));
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use k8s_openapi::api::core::v1::PersistentVolumeClaim;
    use k8s_openapi::api::storage::v1::StorageClass;

    use super::*;

    const MILLION: Population = Population::new(1_000_000, 2_000);

    #[test]
    fn names_are_unique_and_realistic() {
        let claims = (0..10_000).chain(990_000..1_000_000).map(|number| MILLION.claim(number));
        let names: HashSet<_> = claims.map(|claim| claim.name).collect();
        assert_eq!(names.len(), 20_000);
        assert!(names.contains("data-mysql-35-0"), "{:?}", MILLION.claim(75));
        let lengths = || names.iter().map(String::len);
        assert!(lengths().min() >= Some(15) && lengths().max() <= Some(45), "{:?}", lengths().max());
    }

    #[test]
    fn a_claim_is_found_by_name_and_namespace() {
        for number in [0, 499, 500, 999_999] {
            let claim = MILLION.claim(number);
            assert_eq!(MILLION.find(&claim.namespace, &claim.name), Some(claim.clone()));
            assert!(MILLION.within(&claim.namespace).contains(&number));
            assert_eq!(MILLION.find("default", &claim.name), None);
        }
        assert_eq!(MILLION.find("shop-0", "data-mysql-17"), None);
        assert_eq!(MILLION.within("shop-0"), 0..500);
        assert!(MILLION.within("shop-2000").is_empty() && MILLION.within("default").is_empty());
    }

    #[test]
    fn claims_are_distributed_over_all_namespaces() {
        let uneven = Population::new(1_003, 200);
        let shares: Vec<_> = uneven.namespaces().map(|namespace| uneven.within(&namespace).len()).collect();
        assert_eq!((shares.len(), shares.iter().sum::<usize>(), shares[0]), (200, 1_003, 6));
    }

    #[test]
    fn a_claim_is_valid_and_has_a_realistic_size() {
        for number in [0, 17, 999_999] {
            let claim = MILLION.claim(number);
            let object: PersistentVolumeClaim = serde_json::from_str(&claim.object()).unwrap();
            assert_eq!(object.metadata.name.as_ref(), Some(&claim.name));
            assert_eq!(object.metadata.managed_fields.map(|fields| fields.len()), Some(2));
            assert_eq!(object.spec.and_then(|spec| spec.volume_name), Some(claim.volume()));
            assert_eq!(object.metadata.uid.map(|uid| uid.len()), Some(36));
            let size = claim.item().len();
            assert!((1_200..1_600).contains(&size), "{size}: {}", claim.item());
            assert!(
                serde_json::from_str::<PersistentVolumeClaim>(&claim.draft())
                    .unwrap()
                    .metadata
                    .resource_version
                    .is_none()
            );
        }
    }

    #[test]
    fn classes_are_valid() {
        for class in &CLASSES {
            let object: StorageClass = serde_json::from_str(&class.object()).unwrap();
            assert_eq!(object.provisioner, class.provisioner);
        }
    }
}
