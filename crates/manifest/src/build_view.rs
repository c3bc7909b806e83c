//! Claims, classes, volumes and Namespaces as an object in a file sees them, if one inclusion of the file in a kustomization is
//! built: the nearest description of each name.
//!
//! The nearest descriptions are those in the same file, then those that a kustomization builds together with the file, then those
//! in the nearest folder, which shares the most parent folders with the file. Among these, files directly in that folder come
//! before files below it. A cluster comes last. If equally near descriptions lead to different provisioners, or to the same one by
//! different fields, none of them is used.
//!
//! A name does not always identify an object: each folder of an environment may have a claim `data` without a namespace, and a
//! default class has no name at all. Such a description counts only for files in its folder and below.

use std::sync::Arc;

use super::description::{Described, DescriptionKind, KnownClaim, KnownClass, VolumeProvisioner, bound};
use super::folders::{FolderId, Nearness};
use super::known_objects::{FileId, FileRole, KnownObjects, Purpose};
use super::kustomizations::InclusionId;
use colocate_engine::{
    Absence, ClaimFacts, ClaimUse, ClassEntry, Evidence, NO_PROVISIONER, Owner, StorageView, Unknown, Visibility,
};

mod doubt;

/// Known objects as an object in a file sees them in one build.
#[derive(Clone, Copy, Debug)]
pub(super) struct BuildView<'k> {
    known: &'k KnownObjects,
    file: FileId,
    folder: Option<FolderId>,
    /// The inclusion of the file that is built; `None` if no kustomization includes the file.
    inclusion: Option<InclusionId>,
    purpose: Purpose,
}

/// The nearness of a description to the file. A greater value is nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Cluster,
    /// The file, or this one, is not in a folder.
    NoFolder,
    Folder(Nearness),
    /// Both files are built together. The number is that of the inclusions that they share.
    SameBuild(u32, Nearness),
    SameFile,
}

/// The files whose descriptions count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All files: the name identifies the object.
    Everywhere,
    /// Files that cannot belong to another environment: those in the folder of this file or above, those that a kustomization
    /// builds together with it, and those that were named to describe objects.
    Here,
    /// The same for default classes, which no name refers to.
    DefaultClass,
}

/// Two descriptions that differ although both are equally near.
type Conflict<'k, T> = (&'k Described<T>, &'k Described<T>);

impl<'k> BuildView<'k> {
    pub(super) fn new(known: &'k KnownObjects, file: FileId, inclusion: Option<InclusionId>, purpose: Purpose) -> Self {
        Self { known, file, folder: known.folder(file), inclusion, purpose }
    }

    /// The namespace of an object in the file that names `own`.
    pub(super) fn namespace(&self, own: &str) -> Arc<str> {
        let given = self.inclusion.and_then(|inclusion| self.known.kustomizations.namespace(inclusion));
        given.unwrap_or_else(|| own.into())
    }

    /// The place of the nearest description of a Namespace.
    pub(super) fn place_of_namespace(&self, name: &str) -> Option<String> {
        let descriptions = self.known.namespaces.get(name).map_or(&[][..], Vec::as_slice);
        self.first_place(descriptions, Scope::Everywhere)
    }

    /// The place of the first `claimRef` that names a claim.
    pub(super) fn place_of_reservation(&self, namespace: &str, claim: &str) -> Option<String> {
        Some(self.known.place(self.known.reservations(namespace, claim).first()?).to_string())
    }

    /// The objects on which the owner of a claim depends, each with the place of its nearest description.
    pub(super) fn trail(&self, namespace: &str, name: &str) -> Trail {
        let scope = self.scope_of_claims(namespace);
        let reserved = self.reserved_volume(namespace, name);
        let mut trail = Trail::from([("it".to_owned(), self.first_place(self.known.claims(namespace, name), scope))]);
        if let Ok(Some(claim)) = self.nearest_claim(namespace, name, reserved) {
            trail.extend(self.trail_of(&bound(&claim.facts, reserved)));
        }
        trail
    }

    /// The class and the volume of a claim, each with the place of its nearest description.
    pub(super) fn trail_of(&self, claim: &ClaimFacts<'_>) -> Trail {
        let (classes, scope) = self.classes(claim.class.as_deref());
        let mut trail = vec![(subject_of_class(claim.class.as_deref()), self.first_place(classes, scope))];
        if let Some(name) = &claim.volume {
            let place = self.first_place(self.volumes(name), Scope::Everywhere);
            trail.push((format!("its PersistentVolume `{name}`"), place));
        }
        trail
    }

    fn first_place<T>(&self, descriptions: &'k [Described<T>], scope: Scope) -> Option<String> {
        let nearest = self.all_nearest(descriptions, scope).into_iter().next()?;
        Some(self.known.place(nearest).to_string())
    }

    /// Returns whether a Namespace opts out. A Namespace that is not known does not.
    ///
    /// # Errors
    /// Equally near descriptions differ, or cannot be used. The text says where they are.
    pub(super) fn opted_out(&self, namespace: &str) -> Result<bool, String> {
        let descriptions = self.known.namespaces.get(namespace).map_or(&[][..], Vec::as_slice);
        let nearest = self.nearest(descriptions, Scope::Everywhere, |a, b| a == b);
        if let Some(doubt) = self.doubt(DescriptionKind::Namespace, "", Some(namespace), descriptions, &nearest) {
            return Err(format!("the Namespace `{namespace}` {doubt}"));
        }
        match nearest {
            Ok(nearest) => Ok(nearest.is_some_and(|described| described.facts)),
            Err(conflict) => {
                let (yes, no) = if conflict.0.facts { conflict } else { (conflict.1, conflict.0) };
                let (yes, no) = (self.known.place(yes), self.known.place(no));
                Err(format!(
                    "the Namespace `{namespace}` opts out in {yes}, but not in {no}, and both are equally near"
                ))
            }
        }
    }

    /// The facts of a claim other than its owner.
    pub(super) fn use_of(&self, namespace: &str, name: &str) -> Option<ClaimUse<'k>> {
        let reservation = self.reservation(namespace, name);
        // It is bound, whichever of several volumes that is to.
        let is_reserved = !matches!(reservation, Ok(None));
        let claim = self.nearest_claim(namespace, name, reservation.ok().flatten()).ok()??;
        let claim = ClaimUse::from(&*claim.facts);
        Some(ClaimUse { bound: claim.bound || is_reserved, ..claim })
    }

    /// The nearest description of a class; without a name, of the default class.
    pub(super) fn nearest_class(&self, name: Option<&str>) -> Result<&'k KnownClass, Unknown> {
        let (descriptions, scope) = self.classes(name);
        let nearest = self.nearest(descriptions, scope, |a, b| self.alike_classes(a, b));
        if let Some(text) = self.doubt(DescriptionKind::Class, "", name, descriptions, &nearest) {
            return Err(Unknown::Ambiguous(format!("{} {text}", subject_of_class(name)).into()));
        }
        match (nearest, name) {
            (Ok(Some(class)), _) => Ok(&class.facts),
            (Ok(None), Some(name)) => Err(Unknown::ClassMissing(name.into())),
            // If a cluster is asked, its default class counts.
            (Ok(None), None) if self.known.visibility.classes != Absence::NotInFiles => Err(Unknown::NoDefaultClass),
            (Ok(None), None) => Err(self.elsewhere(descriptions).map_or(Unknown::NoDefaultClass, |text| {
                Unknown::Elsewhere(format!("{} {text}", subject_of_class(None)).into())
            })),
            (Err(conflict), _) => Err(self.ambiguous(subject_of_class(name), conflict)),
        }
    }

    /// The provisioner of the nearest description of a volume, and the field that names it.
    pub(super) fn nearest_volume(&self, name: &str) -> Result<Option<(&'k Arc<str>, Evidence)>, Unknown> {
        let volumes = self.volumes(name);
        let nearest = self.nearest(volumes, Scope::Everywhere, |a, b| a == b);
        if let Some(text) = self.doubt(DescriptionKind::Volume, "", Some(name), volumes, &nearest) {
            return Err(Unknown::Ambiguous(format!("its PersistentVolume `{name}` {text}").into()));
        }
        match nearest {
            Ok(Some(volume)) => Ok(volume.facts.as_ref().map(|(name, evidence)| (name, *evidence))),
            Ok(None) => Err(Unknown::VolumeMissing { volume: name.into(), no_provisioner: false }),
            Err(conflict) => Err(self.ambiguous(format_args!("its PersistentVolume `{name}`"), conflict)),
        }
    }

    /// The descriptions of a class, or of the default class, with their scope.
    fn classes(&self, name: Option<&str>) -> (&'k [Described<Arc<KnownClass>>], Scope) {
        match name {
            Some(name) => (self.known.classes.get(name).map_or(&[], Vec::as_slice), Scope::Everywhere),
            None => (&self.known.default_classes, Scope::DefaultClass),
        }
    }

    fn volumes(&self, name: &str) -> &'k [Described<VolumeProvisioner>] {
        self.known.volumes.get(name).map_or(&[], Vec::as_slice)
    }

    fn rank<T>(&self, described: &'k Described<T>) -> Rank {
        let Described { file, variant, .. } = described;
        let inclusions = self.inclusions(described);
        let is_built = variant.is_none() || self.inclusion.is_none_or(|own| inclusions.contains(&own));
        if *file == self.file && is_built { Rank::SameFile } else { self.rank_of(*file, inclusions) }
    }

    /// The inclusions for which a description holds.
    fn inclusions<T>(&self, described: &'k Described<T>) -> &'k [InclusionId] {
        described.variant.as_deref().unwrap_or_else(|| self.known.inclusions(described.file))
    }

    /// The rank of a description in another file that these inclusions have.
    fn rank_of(&self, file: FileId, inclusions: &[InclusionId]) -> Rank {
        if file == FileId::CLUSTER {
            return Rank::Cluster;
        }
        match (self.folder, self.known.folder(file)) {
            (Some(own), Some(other)) => {
                let nearness = self.known.folders.nearness(own, other);
                let shared = |own| self.known.kustomizations.common_depth(own, inclusions);
                match self.inclusion.map_or(0, shared) {
                    0 => Rank::Folder(nearness),
                    depth => Rank::SameBuild(depth, nearness),
                }
            }
            _ => Rank::NoFolder,
        }
    }

    /// Returns true if a file may have descriptions that count.
    pub(super) fn is_near(&self, file: FileId) -> bool {
        file == self.file || is_in_scope(self.rank_of(file, self.known.inclusions(file)))
    }

    fn is_in<T>(&self, scope: Scope, described: &'k Described<T>) -> bool {
        let counts = scope == Scope::Everywhere
            || self.known.role(described.file) == Some(FileRole::Description)
            || is_in_scope(self.rank(described));
        counts && (scope == Scope::DefaultClass || self.has_its_name(described))
    }

    /// Returns true if a reference in this file can name a description as its file does.
    fn has_its_name<T>(&self, described: &'k Described<T>) -> bool {
        self.known.kustomizations.keeps_names(self.inclusion, self.inclusions(described))
    }

    /// The descriptions that are nearer than all others.
    pub(super) fn all_nearest<T>(self, descriptions: &'k [Described<T>], scope: Scope) -> Vec<&'k Described<T>> {
        let counts = |described: &&'k Described<T>| self.is_in(scope, described);
        if let [_] | [] = descriptions {
            // The rank of the only one does not matter.
            return descriptions.iter().filter(counts).collect();
        }
        let (mut nearest, mut best) = (Vec::new(), None);
        for described in descriptions.iter().filter(counts) {
            let rank = Some(self.rank(described));
            if rank > best {
                nearest.clear();
                best = rank;
            }
            if rank == best {
                nearest.push(described);
            }
        }
        nearest
    }

    /// Returns the first of the nearest descriptions, if all of them are alike.
    fn nearest<T>(
        &self,
        descriptions: &'k [Described<T>],
        scope: Scope,
        alike: impl Fn(&T, &T) -> bool,
    ) -> Result<Option<&'k Described<T>>, Conflict<'k, T>> {
        let nearest = self.all_nearest(descriptions, scope);
        let Some((first, others)) = nearest.split_first() else { return Ok(None) };
        match others.iter().find(|other| !alike(&first.facts, &other.facts)) {
            Some(other) => Err((first, other)),
            None => Ok(Some(first)),
        }
    }

    /// The scope of claims in a namespace. The default namespace does not identify a claim, because claims of several
    /// environments may get it.
    fn scope_of_claims(&self, namespace: &str) -> Scope {
        if *namespace == *self.known.default_namespace { Scope::Here } else { Scope::Everywhere }
    }

    fn nearest_claim(
        &self,
        namespace: &str,
        name: &str,
        reserved: Option<&str>,
    ) -> Result<Option<&'k Described<KnownClaim>>, Conflict<'k, KnownClaim>> {
        self.nearest(self.known.claims(namespace, name), self.scope_of_claims(namespace), |a, b| {
            a == b || self.alike(&bound(a, reserved), &bound(b, reserved))
        })
    }

    /// The volume that is reserved for a claim; `None` also if several are that differ.
    pub(super) fn reserved_volume(&self, namespace: &str, claim: &str) -> Option<&'k str> {
        self.reservation(namespace, claim).ok().flatten()
    }

    /// The volume that is reserved for a claim. Of several with the same provisioner, the first one. A `claimRef` counts only if no
    /// nearer file describes its volume.
    fn reservation(&self, namespace: &str, claim: &str) -> Result<Option<&'k str>, Conflict<'k, Arc<str>>> {
        let scope = self.scope_of_claims(namespace);
        let counts = |reservation: &&Described<Arc<str>>| {
            let mut nearest = self.all_nearest(self.volumes(&reservation.facts), Scope::Everywhere).into_iter();
            self.is_in(scope, reservation) && nearest.any(|described| described.has_origin_of(reservation))
        };
        let reservations: Vec<_> = self.known.reservations(namespace, claim).iter().filter(counts).collect();
        let Some(rank) = reservations.iter().map(|reservation| self.rank(reservation)).max() else { return Ok(None) };
        let mut nearest = reservations.into_iter().filter(|reservation| self.rank(reservation) == rank);
        let Some(first) = nearest.next() else { return Ok(None) };
        let is_alike = |other: &Described<Arc<str>>| {
            other.facts == first.facts
                || match (self.nearest_volume(&first.facts), self.nearest_volume(&other.facts)) {
                    (Ok(provisioner), Ok(of_other)) => provisioner == of_other,
                    _ => false,
                }
        };
        nearest.find(|other| !is_alike(other)).map_or(Ok(Some(&*first.facts)), |other| Err((first, other)))
    }

    /// Returns true if it does not matter which of two claims a pod mounts.
    fn alike(&self, a: &ClaimFacts<'_>, b: &ClaimFacts<'_>) -> bool {
        are_alike(&self.owner_of(a), &self.owner_of(b))
            && (self.purpose == Purpose::Mutate || ClaimUse::from(a) == ClaimUse::from(b))
    }

    /// Returns true if it does not matter which of two classes a claim has.
    pub(super) fn alike_classes(&self, a: &KnownClass, b: &KnownClass) -> bool {
        let same_binding = a.binds_late == b.binds_late;
        a.provisioner == b.provisioner
            && match self.purpose {
                // Only a class without a provisioner depends on the time of binding.
                Purpose::Mutate => same_binding || *a.provisioner != *NO_PROVISIONER,
                Purpose::Validate => same_binding && a.parameters == b.parameters,
            }
    }

    /// Returns true if the cluster may have what is missing for an owner.
    fn may_be_in_cluster(&self, owner: &Owner) -> bool {
        let is_asked = |absence: Absence| absence != Absence::NotInFiles;
        match owner {
            Owner::Unknown(Unknown::ClassMissing(_) | Unknown::NoDefaultClass) => {
                is_asked(self.known.visibility.classes)
            }
            Owner::Unknown(Unknown::VolumeMissing { .. }) | Owner::Provisioner { unread_volume: Some(_), .. } => {
                is_asked(self.known.visibility.volumes)
            }
            _ => false,
        }
    }

    fn ambiguous<T>(&self, subject: impl std::fmt::Display, (first, second): Conflict<'_, T>) -> Unknown {
        let (first, second) = (self.known.place(first), self.known.place(second));
        let text = format!("{subject} is described differently in {first} and in {second}, which are equally near");
        Unknown::Ambiguous(text.into())
    }
}

impl BuildView<'_> {
    fn find_owner(&self, namespace: &str, name: &str) -> Owner {
        let reservation = self.reservation(namespace, name);
        let reserved = reservation.as_ref().ok().copied().flatten();
        let nearest = self.nearest_claim(namespace, name, reserved);
        let claims = self.known.claims(namespace, name);
        if let Some(text) = self.doubt(DescriptionKind::Claim, namespace, Some(name), claims, &nearest) {
            return Owner::Unknown(Unknown::Ambiguous(format!("it {text}").into()));
        }
        if let Some(text) = self.renamed_reservation(namespace, name) {
            return Owner::Unknown(Unknown::Ambiguous(text.into()));
        }
        match nearest {
            Ok(Some(claim)) if let (Err((one, other)), None) = (reservation, &claim.facts.volume) => {
                let (place, of_other) = (self.known.place(one), self.known.place(other));
                let text = format!(
                    "it may be bound to the PersistentVolume `{}`, whose claimRef names it in {place}, or to `{}` in {of_other}, and \
                     their provisioners differ",
                    one.facts, other.facts
                );
                Owner::Unknown(Unknown::Ambiguous(text.into()))
            }
            Ok(Some(claim)) => self.owner_of(&bound(&claim.facts, reserved)),
            Ok(None) => match self.elsewhere(self.known.claims(namespace, name)) {
                Some(text) => Owner::Unknown(Unknown::Elsewhere(format!("it {text}").into())),
                None => Owner::Missing,
            },
            Err(conflict) => {
                let owners = [conflict.0, conflict.1].map(|claim| self.owner_of(&bound(&claim.facts, reserved)));
                let open = owners.into_iter().find(|owner| self.may_be_in_cluster(owner));
                open.unwrap_or_else(|| Owner::Unknown(self.ambiguous("it", conflict)))
            }
        }
    }
}

/// Returns true if a file of this rank cannot belong to another environment ([`Scope::Here`]).
fn is_in_scope(rank: Rank) -> bool {
    match rank {
        Rank::Folder(nearness) => nearness.is_upwards(),
        Rank::Cluster | Rank::NoFolder | Rank::SameBuild(..) | Rank::SameFile => true,
    }
}

/// Objects, each with the place of its nearest description, if there is one.
pub(super) type Trail = Vec<(String, Option<String>)>;

/// The subject of a message about a class, or about the default class of a claim.
fn subject_of_class(name: Option<&str>) -> String {
    match name {
        Some(name) => format!("its StorageClass `{name}`"),
        None => "it names no StorageClass, and the default StorageClass".to_owned(),
    }
}

/// Returns true if two owners have the same provisioner and evidence, and thus lead to the same decision.
pub(super) fn are_alike(owner: &Owner, other: &Owner) -> bool {
    match (owner, other) {
        (
            Owner::Provisioner { provisioner, evidence, unread_volume, .. },
            Owner::Provisioner { provisioner: other, evidence: of_other, unread_volume: of_other_volume, .. },
        ) => {
            let alike = provisioner == other && evidence == of_other;
            alike && unread_volume.is_some() == of_other_volume.is_some()
        }
        (owner, other) => owner == other,
    }
}

impl StorageView for BuildView<'_> {
    fn owner(&self, namespace: &str, name: &str) -> Owner {
        self.find_owner(namespace, name)
    }

    fn claim_use(&self, namespace: &str, name: &str) -> Option<ClaimUse<'_>> {
        self.use_of(namespace, name)
    }

    fn find_class(&self, name: &str) -> Result<ClassEntry<'_>, Unknown> {
        self.nearest_class(Some(name)).map(KnownClass::entry)
    }

    fn find_default_class(&self) -> Result<ClassEntry<'_>, Unknown> {
        self.nearest_class(None).map(KnownClass::entry)
    }

    fn find_volume(&self, name: &str) -> Result<Option<(&Arc<str>, Evidence)>, Unknown> {
        self.nearest_volume(name)
    }

    fn visibility(&self) -> &Visibility {
        &self.known.visibility
    }
}
