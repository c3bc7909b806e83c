//! Objects in manifests that decisions depend on: claims, classes, volumes, placement strategies and Namespaces.
//!
//! One name may be described several times: a folder per environment, a base and its overlays. Every description is kept
//! with its place, and an object sees the nearest one ([`KnownObjects::seen_from`]).

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;

use super::description::{
    ByName, Described, DescriptionKind, Descriptions, KnownClaim, KnownClass, NOWHERE, Place, VolumeProvisioner, push,
};
use super::document::{Document, ManifestObject};
use super::file_view::FileView;
use super::folders::{FolderId, Folders};
use super::json_parser::without_position;
use super::kustomizations::{BuiltFile, InclusionId, Kustomizations};
use super::position::Position;
use super::sops::{self, EncryptedValues};
use colocate_companion::{Strategies, Subject, SubjectKind};
use colocate_engine::storage::{HasMetadata, PersistentVolume, PersistentVolumeClaim, StorageClass};
use colocate_engine::{
    AccessModes, ClaimFacts, ClaimRef, ClassFacts, Policy, Visibility, VolumeFacts, parse_bool, portworx_classes,
};

/// The objects of manifests and of a cluster.
#[derive(Debug, Default)]
pub struct KnownObjects {
    /// The placement strategies that exist or will exist.
    pub strategies: Strategies,
    /// The reasons why objects may be absent.
    pub visibility: Visibility,
    files: Vec<KnownFile>,
    pub(super) folders: Folders,
    pub(super) kustomizations: Kustomizations,
    /// The namespace of objects that name none.
    pub(super) default_namespace: Box<str>,
    /// By namespace, then by name.
    claims: HashMap<Box<str>, ByName<KnownClaim>>,
    pub(super) classes: HashMap<Box<str>, Descriptions<Arc<KnownClass>>>,
    /// The classes that may be the default class.
    pub(super) default_classes: Descriptions<Arc<KnownClass>>,
    pub(super) volumes: HashMap<Box<str>, Descriptions<VolumeProvisioner>>,
    /// The volumes whose `claimRef` names each claim, by its namespace, then by its name.
    reservations: HashMap<Box<str>, ByName<Arc<str>>>,
    /// Whether each Namespace opts out.
    pub(super) namespaces: HashMap<Box<str>, Descriptions<bool>>,
    /// The objects that cannot be used: the reason for each, by kind, by namespace (empty for cluster-scoped kinds) and name.
    unusable: HashMap<(DescriptionKind, Box<str>), ByName<Box<str>>>,
    /// The claims and claim templates that name each class.
    pub(super) users_of_class: HashMap<Box<str>, ClassUsers>,
    /// The number of those that name no class and no volume, by their file and access modes.
    pub(super) users_of_default: HashMap<(FileId, AccessModes), usize>,
    /// The access modes of the users of each class, computed on first use.
    pub(super) class_access: OnceLock<ClassAccess>,
    /// The facts of all claims, deduplicated: most claims of a large file differ only by their names.
    claim_facts: HashSet<KnownClaim>,
}

/// A file with known objects, or the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub(super) u32);

impl FileId {
    /// The cluster, which is farther away than any file.
    pub(super) const CLUSTER: Self = Self(u32::MAX);
}

#[derive(Debug)]
struct KnownFile {
    name: Box<str>,
    folder: Option<FolderId>,
    role: FileRole,
    built: BuiltFile,
}

/// The purpose for which a file was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRole {
    /// Its objects are changed or checked.
    Input,
    /// Its objects only describe claims, classes and volumes for all others.
    Description,
}

/// The files of the claims that use a class, with their access modes.
pub(super) type ClassUsers = HashSet<(FileId, AccessModes)>;

/// Access modes by the file that describes a class, and by its name.
pub(super) type ClassAccess = HashMap<FileId, HashMap<Arc<str>, AccessModes>>;

/// An object that should describe a claim, class or volume, but cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// Its position.
    pub position: Position,
    /// Its path in the document.
    pub path: colocate_companion::FieldPath,
    /// Its kind.
    pub kind: String,
    /// Its name, or its `generateName` followed by `*`.
    pub name: String,
    /// The error.
    pub what: String,
}

impl KnownObjects {
    /// Makes an empty set. `kustomizations` are those of all files that will be added.
    pub fn new(kustomizations: Kustomizations) -> Self {
        Self { kustomizations, ..Self::default() }
    }

    /// Adds a file, whose objects can then be added. `path` is `None` for a text that is not in a folder, such as standard
    /// input.
    pub fn add_file(&mut self, name: &str, path: Option<&Path>, role: FileRole) -> FileId {
        let folder = path.map(|path| self.folders.of_file(path));
        let path = path.filter(|_| !self.kustomizations.is_empty());
        let built = path.and_then(|path| self.kustomizations.file(path)).cloned().unwrap_or_default();
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX - 1));
        self.files.push(KnownFile { name: name.into(), folder, role, built });
        id
    }

    /// Adds the objects of a document. `namespace` is the namespace of objects that name none, and `opt_out` is the label
    /// that opts a Namespace out. Returns the objects that are skipped because they do not have the structure of their kind.
    ///
    /// The objects of a document with a duplicate key are recorded as unusable.
    pub fn add(&mut self, file: FileId, document: &Document<'_>, namespace: &str, opt_out: &str) -> Vec<Unusable> {
        if *self.default_namespace != *namespace {
            self.default_namespace = namespace.into();
        }
        let objects = document.objects().into_iter();
        if let Some(error) = &document.duplicate {
            objects.for_each(|object| self.insert_unusable(file, &object, namespace, &error.message));
            return Vec::new();
        }
        let is_encrypted = sops::is_encrypted(&document.value);
        let unusable = objects.filter_map(|object| {
            let encrypted = is_encrypted.then(|| EncryptedValues::of(object.value)).filter(|values| values.count > 0);
            let what = match encrypted.filter(|_| DescriptionKind::of(&object).is_some()) {
                Some(EncryptedValues { first, .. }) => {
                    format!("{first} is encrypted: use the output of `sops decrypt`")
                }
                None => self.add_object(file, &object, namespace, opt_out).err()?,
            };
            self.insert_unusable(file, &object, namespace, &what);
            let (name, kind) = (object.name(), object.kind.to_owned());
            Some(Unusable { position: object.position, path: object.path, kind, name, what })
        });
        unusable.collect()
    }

    fn add_object(
        &mut self,
        file: FileId,
        object: &ManifestObject<'_>,
        namespace: &str,
        opt_out: &str,
    ) -> Result<(), String> {
        let metadata = &object.value["metadata"];
        match DescriptionKind::of(object) {
            // No pod can refer to it before its name is generated.
            Some(DescriptionKind::Claim) if metadata["generateName"].is_string() => {}
            Some(_) if object.value["$patch"] == "delete" => return Err("a patch deletes it".to_owned()),
            Some(DescriptionKind::Claim) => {
                let text = object.value.to_string();
                let claim: PersistentVolumeClaim<'_> = decode(&text)?;
                let (name, facts) = (named(&claim)?, claim.facts());
                // A patch that does not name a class keeps the class of the patched claim. A claim without access modes must be a
                // patch, because Kubernetes rejects such a claim.
                let is_patch =
                    self.files[file.0 as usize].built.is_patch || object.value["spec"]["accessModes"].is_null();
                if is_patch && facts.names_no_owner() {
                    return Ok(());
                }
                for namespace in self.namespaces_in(file, claim.namespace().unwrap_or(namespace)) {
                    self.insert_claim(file, object.position, &namespace, name, facts.clone());
                }
            }
            Some(DescriptionKind::Volume) => {
                let text = object.value.to_string();
                let volume: PersistentVolume<'_> = decode(&text)?;
                let name = named(&volume)?;
                self.insert_volume(file, object.position, name, &volume.facts());
                if let Some((namespace, claim)) = volume.claim() {
                    let claims = self.reservations.entry(namespace.into()).or_default();
                    push(claims, claim, Described::new(file, object.position, name.into()));
                }
            }
            Some(DescriptionKind::Class) => {
                let text = object.value.to_string();
                let class: StorageClass<'_> = decode(&text)?;
                if class.provisioner().is_empty() {
                    return Err("it has no provisioner".to_owned());
                }
                self.insert_class(file, object.position, named(&class)?, class.facts());
            }
            Some(DescriptionKind::Strategy) => {
                if let Some(name) = metadata["name"].as_str() {
                    self.strategies.insert(name.to_owned());
                }
            }
            Some(DescriptionKind::Namespace) => {
                let label = metadata["labels"][opt_out].as_str().and_then(parse_bool);
                if let Some(name) = metadata["name"].as_str() {
                    self.insert_namespace(file, object.position, name, label == Some(true));
                }
            }
            None => {}
        }
        Ok(())
    }

    fn insert_unusable(&mut self, file: FileId, object: &ManifestObject<'_>, namespace: &str, why: &str) {
        let name = object.value["metadata"]["name"].as_str().filter(|name| !name.is_empty());
        let (Some(kind), Some(name)) = (DescriptionKind::of(object), name) else { return };
        let namespaces = match kind {
            DescriptionKind::Claim => self.namespaces_in(file, object.namespace_or(namespace)),
            _ => vec![Arc::from("")],
        };
        for namespace in namespaces {
            let objects = self.unusable.entry((kind, (&*namespace).into())).or_default();
            push(objects, name, Described::new(file, object.position, why.into()));
        }
    }

    /// Adds the claim templates of a document's workloads, and those of generic ephemeral volumes, as users of their
    /// classes.
    pub fn add_claim_templates(&mut self, file: FileId, document: &Document<'_>, policy: &Policy) {
        // Few documents have one, and there may be a million.
        if document.duplicate.is_some() || !document.text().contains("volumeClaimTemplate") {
            return;
        }
        for object in document.objects() {
            let kind = SubjectKind::find_object(policy, object.api_version, object.kind);
            let Some(kind @ SubjectKind::Workload(_)) = kind else { continue };
            let json = object.value.to_string();
            let Ok(subject) = Subject::parse(&json, kind) else { continue };
            for claim in subject.claims() {
                if let ClaimRef::Template { claim, .. } = claim {
                    self.add_class_user(file, &claim);
                }
            }
        }
    }

    /// Returns the objects as an object in `file` sees them, for this purpose.
    pub fn seen_from(&self, file: FileId, purpose: Purpose) -> FileView<'_> {
        FileView::new(self, file, purpose)
    }

    /// Adds a claim of the cluster.
    pub fn add_claim_of_cluster(&mut self, namespace: &str, name: &str, claim: ClaimFacts<'_>) {
        self.insert_claim(FileId::CLUSTER, NOWHERE, namespace, name, claim);
    }

    /// Adds a class of the cluster, unless a file describes it.
    pub fn add_class_of_cluster(&mut self, name: &str, class: ClassFacts<'_>) {
        if !self.classes.contains_key(name) {
            self.insert_class(FileId::CLUSTER, NOWHERE, name, class);
        }
    }

    /// Completes the objects if no cluster is asked for those that are missing. The classes that Portworx creates by itself are
    /// known, unless a file describes them.
    pub fn complete_without_cluster(&mut self) {
        self.add_portworx_classes();
        self.visibility = Visibility::of_files();
    }

    pub(super) fn add_portworx_classes(&mut self) {
        for (name, class) in portworx_classes() {
            self.add_class_of_cluster(&name, class);
        }
    }

    /// Adds a volume of the cluster.
    pub fn add_volume_of_cluster(&mut self, name: &str, volume: &VolumeFacts<'_>) {
        self.insert_volume(FileId::CLUSTER, NOWHERE, name, volume);
    }

    /// Adds a Namespace of the cluster.
    pub fn add_namespace_of_cluster(&mut self, name: &str, opts_out: bool) {
        self.insert_namespace(FileId::CLUSTER, NOWHERE, name, opts_out);
    }

    /// Returns true if the Namespace is known.
    pub fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.contains_key(name)
    }

    pub(super) fn claims(&self, namespace: &str, name: &str) -> &[Described<KnownClaim>] {
        self.claims.get(namespace).and_then(|claims| claims.get(name)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn reservations(&self, namespace: &str, claim: &str) -> &[Described<Arc<str>>] {
        self.reservations.get(namespace).and_then(|claims| claims.get(claim)).map_or(&[], Vec::as_slice)
    }

    /// The claims that a `claimRef` names, each with its namespace.
    pub(super) fn reserved_claims(&self) -> impl Iterator<Item = (&str, &str)> {
        self.reservations.iter().flat_map(|(namespace, claims)| claims.keys().map(move |name| (&**namespace, &**name)))
    }

    /// All claims: the namespace, the name and the descriptions of each.
    pub(super) fn all_claims(&self) -> impl Iterator<Item = (&str, &str, &[Described<KnownClaim>])> {
        self.claims.iter().flat_map(|(namespace, claims)| {
            claims.iter().map(move |(name, descriptions)| (&**namespace, &**name, descriptions.as_slice()))
        })
    }

    pub(super) fn unusable(&self, kind: DescriptionKind, namespace: &str, name: &str) -> &[Described<Box<str>>] {
        if self.unusable.is_empty() {
            return &[];
        }
        let objects = self.unusable.get(&(kind, Box::from(namespace)));
        objects.and_then(|objects| objects.get(name)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn folder(&self, file: FileId) -> Option<FolderId> {
        self.files.get(file.0 as usize)?.folder
    }

    pub(super) fn role(&self, file: FileId) -> Option<FileRole> {
        self.files.get(file.0 as usize).map(|file| file.role)
    }

    /// The inclusions of a file in kustomizations.
    pub(super) fn inclusions(&self, file: FileId) -> &[InclusionId] {
        self.files.get(file.0 as usize).map_or(&[], |file| &file.built.inclusions)
    }

    /// The namespaces of an object in `file` that names this one: those that kustomizations give it, or its own.
    pub(super) fn namespaces_in(&self, file: FileId, own: &str) -> Vec<Arc<str>> {
        let given = |inclusion: &InclusionId| self.kustomizations.namespace(*inclusion);
        let mut namespaces: BTreeSet<_> =
            self.inclusions(file).iter().map(|inclusion| given(inclusion).unwrap_or_else(|| own.into())).collect();
        if namespaces.is_empty() {
            namespaces.insert(own.into());
        }
        namespaces.into_iter().collect()
    }

    /// The place of a description.
    pub(super) fn place<'k, T>(&'k self, described: &'k Described<T>) -> Place<'k> {
        described.place(self.files.get(described.file.0 as usize).map(|file| &*file.name))
    }

    fn insert_claim(&mut self, file: FileId, at: Position, namespace: &str, name: &str, claim: ClaimFacts<'_>) {
        let claim = claim.into_owned();
        self.add_class_user(file, &claim);
        let facts = self.claim_facts.get(&claim).cloned().unwrap_or_else(|| Arc::new(claim));
        self.claim_facts.insert(Arc::clone(&facts));
        if !self.claims.contains_key(namespace) {
            self.claims.insert(namespace.into(), HashMap::new());
        }
        if let Some(claims) = self.claims.get_mut(namespace) {
            push(claims, name, Described::new(file, at, facts));
        }
    }

    fn add_class_user(&mut self, file: FileId, claim: &ClaimFacts<'_>) {
        let user = (file, claim.access);
        match claim.class.as_deref() {
            Some(class) => {
                self.users_of_class.entry(class.into()).or_default().insert(user);
            }
            // A claim that is bound without a class was bound manually, without the default class.
            None if claim.volume.is_some() => {}
            None => *self.users_of_default.entry(user).or_default() += 1,
        }
    }

    fn insert_class(&mut self, file: FileId, at: Position, name: &str, class: ClassFacts<'_>) {
        let ClassFacts { provisioner, default, binds_late, created, parameters } = class;
        let provisioner = Arc::from(&*provisioner);
        let class = Arc::new(KnownClass { name: name.into(), provisioner, default, binds_late, created, parameters });
        if default {
            self.insert_default_class(Described::new(file, at, Arc::clone(&class)));
        }
        push(&mut self.classes, name, Described::new(file, at, class));
    }

    /// Of the default classes of a cluster, keeps the one that Kubernetes chooses: the newest, then the first by name. A file in
    /// which they have creation times was written by a cluster. All others are kept, because their order of creation is not known.
    fn insert_default_class(&mut self, new: Described<Arc<KnownClass>>) {
        let is_of_cluster =
            |class: &Described<Arc<KnownClass>>| class.file == FileId::CLUSTER || class.facts.created != 0;
        let order = |class: &KnownClass| (Reverse(class.created), class.name.clone());
        let mut others = self.default_classes.iter_mut().filter(|_| is_of_cluster(&new));
        match others.rfind(|other| other.file == new.file && is_of_cluster(other)) {
            Some(other) if order(&new.facts) < order(&other.facts) => *other = new,
            Some(_) => {}
            None => self.default_classes.push(new),
        }
    }

    fn insert_volume(&mut self, file: FileId, at: Position, name: &str, volume: &VolumeFacts<'_>) {
        let provisioner = volume.provisioner.as_ref().map(|(name, evidence)| (Arc::from(&**name), *evidence));
        push(&mut self.volumes, name, Described::new(file, at, provisioner));
    }

    fn insert_namespace(&mut self, file: FileId, at: Position, name: &str, opts_out: bool) {
        push(&mut self.namespaces, name, Described::new(file, at, opts_out));
    }
}

/// The purpose for which objects are looked up. It determines which differences between two equally near descriptions
/// matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To choose a scheduler: only the owners of claims matter.
    Mutate,
    /// To validate annotations: access modes, parameters and other settings matter too.
    Validate,
}

fn decode<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| without_position(&error))
}

fn named(object: &impl HasMetadata) -> Result<&str, String> {
    object.name().ok_or_else(|| "it has no metadata.name".to_owned())
}
