//! The claims of a large cluster, as many as are wanted, each made from its number alone: none is kept in memory.

use std::ops::Range;

/// So many claims in so many namespaces, in the order of a list: namespace by namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Population {
    size: usize,
    namespaces: usize,
}

/// A claim that is bound, as the API server tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NumberedClaim {
    /// Its place in the list of all.
    pub(crate) number: usize,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// A `StorageClass`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedClass {
    pub(crate) name: &'static str,
    pub(crate) provisioner: &'static str,
}

/// The classes, which the claims have by turns; the last three are Portworx's.
pub(crate) const CLASSES: [NamedClass; 5] = [
    NamedClass { name: "gp3-encrypted", provisioner: "ebs.csi.aws.com" },
    NamedClass { name: "cephfs", provisioner: "rook-ceph.cephfs.csi.ceph.com" },
    NamedClass { name: "px-legacy", provisioner: "kubernetes.io/portworx-volume" },
    NamedClass { name: "px-shared-sc4", provisioner: "pxd.portworx.com" },
    NamedClass { name: "px-db", provisioner: "pxd.portworx.com" },
];

/// What claim templates are called, and the workloads that have them.
const TEMPLATES: [&str; 5] = ["data", "storage", "pgdata", "data-volume", "persistent-storage"];
const WORKLOADS: [&str; 7] =
    ["mysql", "postgres", "kafka-broker", "redis-node", "elastic-hot", "mongodb-replica", "cassandra-rack"];

/// The pods, and so the claims, of each workload.
const REPLICAS: usize = 3;

/// The first number in a name, so that it has two digits at least, as clusters that have lived a while have.
const FIRST: usize = 10;

impl Population {
    pub(crate) const fn new(size: usize, namespaces: usize) -> Self {
        Self { size, namespaces }
    }

    pub(crate) const fn size(self) -> usize {
        self.size
    }

    /// The names of the namespaces.
    pub(crate) fn namespaces(self) -> impl Iterator<Item = String> {
        (0..self.namespaces).map(namespace)
    }

    /// The claim of this number, which is below the size.
    pub(crate) fn claim(self, number: usize) -> NumberedClaim {
        NumberedClaim { number, namespace: namespace(number / self.a_namespace()), name: name(number) }
    }

    /// The claim of this name.
    pub(crate) fn find(self, namespace: &str, name: &str) -> Option<NumberedClaim> {
        let mut numbers = name.rsplitn(3, '-').map(str::parse::<usize>);
        let (pod, workload) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        let number = workload.checked_sub(FIRST)?.checked_mul(REPLICAS)?.checked_add(pod)?;
        let claim = (number < self.size).then(|| self.claim(number))?;
        (claim.namespace == namespace && claim.name == name).then_some(claim)
    }

    /// The numbers of the claims of one namespace.
    pub(crate) fn within(self, namespace: &str) -> Range<usize> {
        let index = namespace.rsplit('-').next().and_then(|index| index.parse::<usize>().ok());
        let known = index.filter(|index| *index < self.namespaces && self::namespace(*index) == namespace);
        let begin = known.map_or(0, |index| (index * self.a_namespace()).min(self.size));
        let end = known.map_or(0, |_| (begin + self.a_namespace()).min(self.size));
        begin..end
    }

    fn a_namespace(self) -> usize {
        self.size.div_ceil(self.namespaces)
    }
}

impl NumberedClaim {
    pub(crate) fn class(&self) -> &'static NamedClass {
        &CLASSES[self.number % CLASSES.len()]
    }

    /// The volume that it is bound to.
    pub(crate) fn volume(&self) -> String {
        format!("pvc-{}", uid(self.number))
    }

    /// Its JSON as an item of a list, whose kind its own objects do not repeat.
    pub(crate) fn item(&self) -> String {
        // Higher than that of any list's first claim, lower than that of any list.
        let version = self.number + 1;
        format!("{{{}", self.fields(&format!(r#""resourceVersion":"{version}","#)))
    }

    /// Its JSON alone.
    pub(crate) fn object(&self) -> String {
        let item = self.item();
        format!(r#"{{"kind":"PersistentVolumeClaim","apiVersion":"v1",{}"#, &item[1..])
    }

    /// Its JSON as a client may create it.
    pub(crate) fn draft(&self) -> String {
        format!(r#"{{"kind":"PersistentVolumeClaim","apiVersion":"v1",{}"#, self.fields(""))
    }

    /// All behind the first brace, with `version` among the metadata.
    fn fields(&self, version: &str) -> String {
        let Self { number, namespace, name } = self;
        let NamedClass { name: class, provisioner } = self.class();
        let (uid, volume) = (uid(*number), self.volume());
        let workload = WORKLOADS[workload(*number) % WORKLOADS.len()];
        let size = 1 << (number % 8);
        let managed = concat!(
            r#"{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","time":"2026-05-04T09:26:54Z","#,
            r#""fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:annotations":{".":{},"f:pv.kubernetes.io/bind-completed":{},"#,
            r#""f:pv.kubernetes.io/bound-by-controller":{},"f:volume.kubernetes.io/storage-provisioner":{}},"#,
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
    /// Whether the built-in driver provisions it.
    pub(crate) fn is_portworx(&self) -> bool {
        matches!(self.provisioner, "pxd.portworx.com" | "kubernetes.io/portworx-volume")
    }

    /// Its JSON alone, as it is told of and as it may be created.
    pub(crate) fn object(&self) -> String {
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

/// A number that looks like chance and is the same each time: `SplitMix64`.
pub(crate) const fn scramble(number: u64) -> u64 {
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

/// The name of a claim of a `StatefulSet`: its template's, the workload's and the pod's. The workload's number makes it the
/// only one of its name in the cluster.
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
    fn names_are_unique_and_as_long_as_names_are() {
        let claims = (0..10_000).chain(990_000..1_000_000).map(|number| MILLION.claim(number));
        let names: HashSet<_> = claims.map(|claim| claim.name).collect();
        assert_eq!(names.len(), 20_000);
        assert!(names.contains("data-mysql-35-0"), "{:?}", MILLION.claim(75));
        let lengths = || names.iter().map(String::len);
        assert!(lengths().min() >= Some(15) && lengths().max() <= Some(45), "{:?}", lengths().max());
    }

    #[test]
    fn a_claim_is_found_by_its_name_and_in_its_namespace() {
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
    fn namespaces_share_the_claims_and_the_last_ones_may_have_fewer() {
        let uneven = Population::new(1_003, 200);
        let shares: Vec<_> = uneven.namespaces().map(|namespace| uneven.within(&namespace).len()).collect();
        assert_eq!((shares.len(), shares.iter().sum::<usize>(), shares[0]), (200, 1_003, 6));
    }

    #[test]
    fn a_claim_is_a_claim_of_the_usual_size() {
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
    fn classes_are_classes() {
        for class in &CLASSES {
            let object: StorageClass = serde_json::from_str(&class.object()).unwrap();
            assert_eq!(object.provisioner, class.provisioner);
        }
    }
}
