//! Objects in manifests that decisions depend on: claims, classes, volumes, placement strategies and Namespaces.
//!
//! One name may be described several times: a folder per environment, a base and its overlays. Every description is kept
//! with its place, and an object sees the nearest one ([`KnownObjects::seen_from`]).

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::description::{
    ByName, Described, DescriptionKind, Descriptions, KnownClaim, KnownClass, Origin, Place, Variant,
    VolumeProvisioner, push,
};
use super::document::{Document, ManifestObject};
use super::file_view::FileView;
use super::folders::{FolderId, Folders};
use super::kustomizations::{BuiltFile, InclusionId, Kustomizations};
use super::kustomize_effects::{Target, Touch};
use super::object_facts::{ObjectFacts, provisioner_of};
use super::position::Position;
use super::sops::{self, EncryptedValues};
use colocate_companion::{Strategies, Subject, SubjectKind};
use colocate_engine::{
    AccessModes, ClaimFacts, ClaimRef, ClassFacts, Policy, Visibility, VolumeFacts, portworx_classes,
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
    unusable: HashMap<(DescriptionKind, Box<str>), ByName<Arc<str>>>,
    /// The claims and claim templates that name each class.
    pub(super) users_of_class: HashMap<Box<str>, ClassUsers>,
    /// The number of those that name no class and no volume, by their file and access modes.
    pub(super) users_of_default: HashMap<(FileId, AccessModes), usize>,
    /// The access modes of the users of each class, computed on first use.
    pub(super) class_access: OnceLock<ClassAccess>,
    /// The names of claims that end with a number, by their namespace and the rest of their name, computed on first use.
    numbered: OnceLock<HashMap<Box<str>, Vec<Box<str>>>>,
    /// The facts of all claims, deduplicated: most claims of a large file differ only by their names.
    claim_facts: HashSet<KnownClaim>,
    /// The variants of all objects, deduplicated: the claims of a file mostly have the same patches.
    variants: HashSet<Arc<Variant>>,
    /// The reasons why kustomizations make objects unusable, deduplicated.
    reasons: HashSet<Arc<str>>,
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
            for object in objects {
                self.insert_unusable(&origin(file, &object), &object, namespace, &error.message.as_str().into());
            }
            return Vec::new();
        }
        let is_encrypted = sops::is_encrypted(&document.value);
        let unusable = objects.filter_map(|object| {
            let kind = DescriptionKind::of(&object)?;
            let encrypted = is_encrypted.then(|| EncryptedValues::of(object.value)).filter(|values| values.count > 0);
            let what = match encrypted {
                Some(EncryptedValues { first, .. }) => {
                    let what = format!("{first} is encrypted: use the output of `sops decrypt`");
                    self.insert_unusable(&origin(file, &object), &object, namespace, &what.as_str().into());
                    what
                }
                None => self.add_object(file, kind, &object, namespace, opt_out).err()?,
            };
            let (name, kind) = (object.name(), object.kind.to_owned());
            Some(Unusable { position: object.position, path: object.path, kind, name, what })
        });
        unusable.collect()
    }

    /// Adds an object. Where a kustomization may change it, it cannot be used.
    ///
    /// # Errors
    /// The object cannot be used as it is in its file.
    fn add_object(
        &mut self,
        file: FileId,
        kind: DescriptionKind,
        object: &ManifestObject<'_>,
        namespace: &str,
        opt_out: &str,
    ) -> Result<(), String> {
        let BuiltFile { inclusions, is_patch } = &self.files[file.0 as usize].built;
        if *is_patch {
            // It need not be a whole object.
            return Ok(());
        }
        let target = Target { kind: object.kind, name: object.value["metadata"]["name"].as_str().unwrap_or_default() };
        let cause = |id: &InclusionId| self.kustomizations.change(*id, target, Touch::of(kind));
        let (changed, unchanged): (Vec<_>, Vec<_>) = inclusions.iter().partition(|id| cause(id).is_some());
        let what = changed.first().and_then(|id| {
            let advice = self.kustomizations.advice(*id);
            Some(format!("{} may change it: {advice}", cause(id)?))
        });
        let Some(what) = what else {
            return self.insert_as(&origin(file, object), kind, object, namespace, opt_out);
        };
        let changed = Origin { variant: Some(self.shared(changed)), ..origin(file, object) };
        let what = self.reasons.get(&*what).cloned().unwrap_or_else(|| what.into());
        self.reasons.insert(Arc::clone(&what));
        self.insert_unusable(&changed, object, namespace, &what);
        if unchanged.is_empty() {
            return Ok(());
        }
        let unchanged = Origin { variant: Some(self.shared(unchanged)), ..origin(file, object) };
        self.insert_as(&unchanged, kind, object, namespace, opt_out)
    }

    fn insert_as(
        &mut self,
        origin: &Origin,
        kind: DescriptionKind,
        object: &ManifestObject<'_>,
        namespace: &str,
        opt_out: &str,
    ) -> Result<(), String> {
        match ObjectFacts::read(kind, object.value, opt_out) {
            Ok(Some(facts)) => self.insert(origin, facts, namespace),
            Ok(None) => {}
            Err(what) => {
                self.insert_unusable(origin, object, namespace, &what.as_str().into());
                return Err(what);
            }
        }
        Ok(())
    }

    /// Returns the copy of a variant that all objects share.
    fn shared(&mut self, variant: Vec<InclusionId>) -> Arc<Variant> {
        let shared = self.variants.get(&*variant).cloned().unwrap_or_else(|| variant.into());
        self.variants.insert(Arc::clone(&shared));
        shared
    }

    fn insert(&mut self, origin: &Origin, facts: ObjectFacts, namespace: &str) {
        match facts {
            ObjectFacts::Claim { namespace: own, name, facts, has_modes } => {
                // A patch that does not name a class keeps the class of the patched claim.
                if !has_modes && facts.names_no_owner() {
                    return;
                }
                for namespace in self.namespaces_of(origin, own.as_deref().unwrap_or(namespace)) {
                    self.insert_claim(origin, &namespace, &name, facts.clone());
                }
            }
            ObjectFacts::Volume { name, provisioner, claim } => {
                push(&mut self.volumes, &name, Described::new(origin, provisioner));
                if let Some((namespace, claim)) = claim {
                    let claims = self.reservations.entry(namespace.into()).or_default();
                    push(claims, &claim, Described::new(origin, name.into()));
                }
            }
            ObjectFacts::Class(class) => self.insert_class(origin, class),
            ObjectFacts::Strategy(name) => self.strategies.insert(name),
            ObjectFacts::Namespace { name, opts_out } => {
                // A kustomization that sets the namespace of objects also renames Namespaces.
                for name in self.namespaces_of(origin, &name) {
                    self.insert_namespace(origin, &name, opts_out);
                }
            }
        }
    }

    fn insert_unusable(&mut self, origin: &Origin, object: &ManifestObject<'_>, namespace: &str, why: &Arc<str>) {
        let name = object.value["metadata"]["name"].as_str().filter(|name| !name.is_empty());
        let (Some(kind), Some(name)) = (DescriptionKind::of(object), name) else { return };
        let namespaces = match kind {
            DescriptionKind::Claim => self.namespaces_of(origin, object.namespace_or(namespace)),
            DescriptionKind::Namespace => {
                for name in self.namespaces_of(origin, name) {
                    let objects = self.unusable.entry((kind, "".into())).or_default();
                    push(objects, &name, Described::new(origin, Arc::clone(why)));
                }
                return;
            }
            _ => vec![Arc::from("")],
        };
        for namespace in namespaces {
            let objects = self.unusable.entry((kind, (&*namespace).into())).or_default();
            push(objects, name, Described::new(origin, Arc::clone(why)));
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
        self.insert_claim(&Origin::CLUSTER, namespace, name, claim);
    }

    /// Adds a class of the cluster, unless a file describes it.
    pub fn add_class_of_cluster(&mut self, name: &str, class: ClassFacts<'_>) {
        if !self.classes.contains_key(name) {
            self.insert_class(&Origin::CLUSTER, KnownClass::new(name, class));
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
        push(&mut self.volumes, name, Described::new(&Origin::CLUSTER, provisioner_of(volume)));
    }

    /// Adds a Namespace of the cluster.
    pub fn add_namespace_of_cluster(&mut self, name: &str, opts_out: bool) {
        self.insert_namespace(&Origin::CLUSTER, name, opts_out);
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

    /// The claims in a namespace, or reserved there, whose names are this one with a number.
    pub(super) fn numbered_claims(&self, namespace: &str, stem: &str) -> &[Box<str>] {
        let numbered = self.numbered.get_or_init(|| {
            let all = self.all_claims().map(|(namespace, name, _)| (namespace, name)).chain(self.reserved_claims());
            let mut numbered: HashMap<_, Vec<_>> = HashMap::new();
            for (namespace, name) in all {
                let (stem, number) = name.rsplit_once('-').unwrap_or_default();
                if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
                    numbered.entry(format!("{namespace}/{stem}").into()).or_default().push(name.into());
                }
            }
            numbered
        });
        numbered.get(&*format!("{namespace}/{stem}")).map_or(&[], Vec::as_slice)
    }

    /// All claims: the namespace, the name and the descriptions of each.
    pub(super) fn all_claims(&self) -> impl Iterator<Item = (&str, &str, &[Described<KnownClaim>])> {
        self.claims.iter().flat_map(|(namespace, claims)| {
            claims.iter().map(move |(name, descriptions)| (&**namespace, &**name, descriptions.as_slice()))
        })
    }

    pub(super) fn unusable(&self, kind: DescriptionKind, namespace: &str, name: &str) -> &[Described<Arc<str>>] {
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

    /// Returns true if a file only patches other objects.
    pub(super) fn is_patch(&self, file: FileId) -> bool {
        self.files.get(file.0 as usize).is_some_and(|file| file.built.is_patch)
    }

    /// The namespaces of an object in `file` that names this one: those that kustomizations give it, or its own.
    pub(super) fn namespaces_in(&self, file: FileId, own: &str) -> Vec<Arc<str>> {
        self.namespaces_given(self.inclusions(file), own)
    }

    fn namespaces_of(&self, origin: &Origin, own: &str) -> Vec<Arc<str>> {
        let of_variant = origin.variant.as_deref();
        self.namespaces_given(of_variant.unwrap_or_else(|| self.inclusions(origin.file)), own)
    }

    fn namespaces_given(&self, inclusions: &[InclusionId], own: &str) -> Vec<Arc<str>> {
        let given = |inclusion: &InclusionId| self.kustomizations.namespace(*inclusion);
        let mut namespaces: BTreeSet<_> =
            inclusions.iter().map(|inclusion| given(inclusion).unwrap_or_else(|| own.into())).collect();
        if namespaces.is_empty() {
            namespaces.insert(own.into());
        }
        namespaces.into_iter().collect()
    }

    /// The place of a description.
    pub(super) fn place<'k, T>(&'k self, described: &'k Described<T>) -> Place<'k> {
        described.place(self.files.get(described.file.0 as usize).map(|file| &*file.name))
    }

    fn insert_claim(&mut self, origin: &Origin, namespace: &str, name: &str, claim: ClaimFacts<'_>) {
        let claim = claim.into_owned();
        self.add_class_user(origin.file, &claim);
        let facts = self.claim_facts.get(&claim).cloned().unwrap_or_else(|| Arc::new(claim));
        self.claim_facts.insert(Arc::clone(&facts));
        if !self.claims.contains_key(namespace) {
            self.claims.insert(namespace.into(), HashMap::new());
        }
        if let Some(claims) = self.claims.get_mut(namespace) {
            push(claims, name, Described::new(origin, facts));
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

    fn insert_class(&mut self, origin: &Origin, class: KnownClass) {
        let class = Arc::new(class);
        if class.default {
            self.insert_default_class(Described::new(origin, Arc::clone(&class)));
        }
        push(&mut self.classes, &class.name, Described::new(origin, Arc::clone(&class)));
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

    fn insert_namespace(&mut self, origin: &Origin, name: &str, opts_out: bool) {
        push(&mut self.namespaces, name, Described::new(origin, opts_out));
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

/// The origin of an object as it is in its file.
fn origin(file: FileId, object: &ManifestObject<'_>) -> Origin {
    Origin { file, position: object.position, variant: None }
}
