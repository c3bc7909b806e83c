//! Claims, classes, volumes and Namespaces as an object in a file sees them: the nearest description of each name.
//!
//! The nearest descriptions are those in the same file, then those that a kustomization builds together with the file, then those
//! in the nearest folder, which shares the most parent folders with the file. Among these, files directly in that folder come
//! before files below it. A cluster comes last. If equally near descriptions lead to different provisioners, or to the same one by
//! different fields, none of them is used.
//!
//! A name does not always identify an object: each folder of an environment may have a claim `data` without a namespace, and a
//! default class has no name at all. Such a description counts only for files in its folder and below.

use std::collections::HashMap;
use std::sync::Arc;

use super::folders::{FolderId, Nearness};
use super::known_objects::{
    ClassAccess, Described, DescriptionKind, FileId, FileRole, KnownClaim, KnownClass, KnownObjects, Purpose, bound,
};
use colocate_engine::{
    Absence, AccessModes, ClaimFacts, ClaimUse, ClassEntry, Evidence, NO_PROVISIONER, Owner, StorageView, Unknown,
    Visibility,
};

/// Known objects as an object in a file sees them.
#[derive(Clone, Copy, Debug)]
pub struct FileView<'k> {
    known: &'k KnownObjects,
    file: FileId,
    folder: Option<FolderId>,
    purpose: Purpose,
    /// Whether the namespaces that kustomizations give to the file are used.
    transforms: bool,
}

/// The nearness of a file to this one. A greater value is nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Cluster,
    /// The file, or this one, is not in a folder.
    NoFolder,
    Folder(Nearness),
    /// One kustomization includes both files.
    SameBuild(Nearness),
    SameFile,
}

/// The files whose descriptions count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// All files: the name identifies the object.
    Everywhere,
    /// Files that cannot belong to another environment: those in the folder of this file or above, those that a kustomization
    /// builds together with it, and those that were named to describe objects.
    Here,
}

/// Two descriptions that differ although both are equally near.
type Conflict<'k, T> = (&'k Described<T>, &'k Described<T>);

impl<'k> FileView<'k> {
    pub(super) fn new(known: &'k KnownObjects, file: FileId, purpose: Purpose) -> Self {
        Self { known, file, folder: known.folder(file), purpose, transforms: true }
    }

    /// The namespaces of an object in this file that names `namespace`: those that kustomizations give it, or its own. There is
    /// at least one.
    pub fn namespaces(&self, namespace: &str) -> Vec<Arc<str>> {
        if self.transforms { self.known.namespaces_in(self.file, namespace) } else { vec![namespace.into()] }
    }

    /// Returns the same view for objects in exactly the namespaces that callers pass, whatever kustomizations do.
    #[must_use]
    pub fn without_transformations(self) -> Self {
        Self { transforms: false, ..self }
    }

    /// Returns whether a Namespace opts out. A Namespace that is not known does not.
    ///
    /// # Errors
    /// Equally near descriptions differ, or kustomizations give several namespaces. The text says where they are.
    pub fn opted_out(&self, namespace: &str) -> Result<bool, String> {
        let namespaces = self.namespaces(namespace);
        let opted_out: Vec<_> =
            namespaces.iter().map(|name| self.namespace_opted_out(name)).collect::<Result<_, _>>()?;
        let find = |value| opted_out.iter().position(|opted_out| *opted_out == value).map(|index| &namespaces[index]);
        match (find(true), find(false)) {
            (Some(yes), Some(no)) => Err(format!(
                "the Namespace `{yes}` opts out, but `{no}` does not, and kustomizations build the file for both"
            )),
            (yes, _) => Ok(yes.is_some()),
        }
    }

    fn namespace_opted_out(&self, namespace: &str) -> Result<bool, String> {
        let descriptions = self.known.namespaces.get(namespace).map_or(&[][..], Vec::as_slice);
        let nearest = self.nearest(descriptions, Scope::Everywhere, |a, b| a == b);
        if let Some(unusable) = self.unusable(DescriptionKind::Namespace, "", namespace, &nearest) {
            return Err(format!("the Namespace `{namespace}` {unusable}"));
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

    /// The access modes of all claims and claim templates whose class, by name or by default, is the one that this file describes
    /// as `name`; `None` if there are none.
    pub fn access_of_class(&self, name: &str) -> Option<AccessModes> {
        let access = self.known.class_access.get_or_init(|| class_access(self.known, self.purpose));
        access.get(&self.file)?.get(name).copied()
    }

    fn rank(&self, file: FileId) -> Rank {
        if file == FileId::CLUSTER {
            return Rank::Cluster;
        }
        if file == self.file {
            return Rank::SameFile;
        }
        match (self.folder, self.known.folder(file)) {
            (Some(own), Some(other)) => {
                let nearness = self.known.folders.nearness(own, other);
                let together = self.known.are_built_together(self.file, file);
                if together { Rank::SameBuild(nearness) } else { Rank::Folder(nearness) }
            }
            _ => Rank::NoFolder,
        }
    }

    /// Returns true if a file cannot belong to another environment ([`Scope::Here`]).
    pub(super) fn is_of_same_environment(&self, file: FileId) -> bool {
        self.is_in(Scope::Here, file)
    }

    fn is_in(&self, scope: Scope, file: FileId) -> bool {
        scope == Scope::Everywhere
            || self.known.role(file) == Some(FileRole::Description)
            || match self.rank(file) {
                Rank::Folder(nearness) => nearness.is_upwards(),
                Rank::Cluster | Rank::NoFolder | Rank::SameBuild(_) | Rank::SameFile => true,
            }
    }

    /// The descriptions that are nearer than all others.
    fn all_nearest<T>(self, descriptions: &'k [Described<T>], scope: Scope) -> Vec<&'k Described<T>> {
        let counts = |described: &&Described<T>| self.is_in(scope, described.file);
        if let [_] | [] = descriptions {
            // The rank of the only one does not matter.
            return descriptions.iter().filter(counts).collect();
        }
        let (mut nearest, mut best) = (Vec::new(), None);
        for described in descriptions.iter().filter(counts) {
            let rank = Some(self.rank(described.file));
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

    /// Describes an object that cannot be used, if it is at least as near as the nearest one that can.
    fn unusable<T>(
        &self,
        kind: DescriptionKind,
        namespace: &str,
        name: &str,
        usable: &Result<Option<&Described<T>>, Conflict<'_, T>>,
    ) -> Option<String> {
        let scope = if kind == DescriptionKind::Claim { self.scope_of_claims(namespace) } else { Scope::Everywhere };
        let nearest = self.all_nearest(self.known.unusable(kind, namespace, name), scope).into_iter().next()?;
        let usable = match usable {
            Ok(found) => *found,
            Err((first, _)) => Some(*first),
        };
        usable.is_none_or(|usable| self.rank(usable.file) <= self.rank(nearest.file)).then(|| {
            format!("has a description that cannot be used, in {}: {}", self.known.place(nearest), nearest.facts)
        })
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

    /// The volume that is reserved for a claim; `None` if several are, because any of them may be bound. A `claimRef` counts only
    /// if no nearer file describes its volume.
    fn reserved_volume(&self, namespace: &str, claim: &str) -> Option<&'k str> {
        let scope = self.scope_of_claims(namespace);
        let counts = |reservation: &&Described<Arc<str>>| {
            let volume = self.known.volumes.get(&*reservation.facts).map_or(&[][..], Vec::as_slice);
            let mut nearest = self.all_nearest(volume, Scope::Everywhere).into_iter();
            self.is_in(scope, reservation.file) && nearest.any(|described| described.file == reservation.file)
        };
        let reservations: Vec<_> = self.known.reservations(namespace, claim).iter().filter(counts).collect();
        let rank = reservations.iter().map(|reservation| self.rank(reservation.file)).max()?;
        let mut nearest = reservations.into_iter().filter(|reservation| self.rank(reservation.file) == rank);
        let first = nearest.next()?;
        nearest.all(|other| other.facts == first.facts).then_some(&*first.facts)
    }

    /// Returns true if it does not matter which of two claims a pod mounts.
    fn alike(&self, a: &ClaimFacts<'_>, b: &ClaimFacts<'_>) -> bool {
        are_alike(&self.owner_of(a), &self.owner_of(b))
            && (self.purpose == Purpose::Mutate || ClaimUse::from(a) == ClaimUse::from(b))
    }

    /// Returns true if it does not matter which of two classes a claim has.
    fn alike_classes(&self, a: &KnownClass, b: &KnownClass) -> bool {
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

impl FileView<'_> {
    /// The owner of a claim in exactly this namespace.
    fn owner_in(&self, namespace: &str, name: &str) -> Owner {
        let reserved = self.reserved_volume(namespace, name);
        let nearest = self.nearest_claim(namespace, name, reserved);
        if let Some(text) = self.unusable(DescriptionKind::Claim, namespace, name, &nearest) {
            return Owner::Unknown(Unknown::Ambiguous(format!("it {text}").into()));
        }
        match nearest {
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

    /// Says where files that do not count describe an object; `None` if none does.
    fn elsewhere<T>(&self, descriptions: &[Described<T>]) -> Option<String> {
        let mut places: Vec<_> = descriptions
            .iter()
            .take(MOST_PLACES + 1)
            .map(|described| self.known.place(described).to_string())
            .collect();
        let more = if places.len() > MOST_PLACES { ", ..." } else { "" };
        places.truncate(MOST_PLACES);
        (!places.is_empty()).then(|| {
            format!(
                "is described only in other folders ({}{more}), which may be another environment: name the right file with \
                 --manifests",
                places.join(", ")
            )
        })
    }
}

/// The access modes of the users of each class, by the file that describes it.
fn class_access(known: &KnownObjects, purpose: Purpose) -> ClassAccess {
    let mut all = ClassAccess::new();
    let mut add = |file, access: AccessModes, descriptions: &[Described<Arc<KnownClass>>], scope| {
        for described in FileView::new(known, file, purpose).all_nearest(descriptions, scope) {
            let modes = all.entry(described.file).or_default().entry(Arc::clone(&described.facts.name)).or_default();
            *modes = modes.union(access);
        }
    };
    for (name, users) in &known.users_of_class {
        let descriptions = known.classes.get(name).map_or(&[][..], Vec::as_slice);
        for (file, access) in users {
            add(*file, *access, descriptions, Scope::Everywhere);
        }
    }
    let reserved =
        if known.default_classes.is_empty() { HashMap::new() } else { reserved_without_class(known, purpose) };
    for (user, count) in &known.users_of_default {
        if count > reserved.get(user).unwrap_or(&0) {
            add(user.0, user.1, &known.default_classes, Scope::Here);
        }
    }
    all
}

/// Counts the claims without a class that a volume is reserved for, by their file and access modes. They do not get the default
/// class.
fn reserved_without_class(known: &KnownObjects, purpose: Purpose) -> HashMap<(FileId, AccessModes), usize> {
    let mut counts = HashMap::new();
    for (namespace, name) in known.reserved_claims() {
        let claims = known.claims(namespace, name).iter();
        for claim in claims.filter(|claim| claim.facts.class.is_none() && claim.facts.volume.is_none()) {
            if FileView::new(known, claim.file, purpose).reserved_volume(namespace, name).is_some() {
                *counts.entry((claim.file, claim.facts.access)).or_default() += 1;
            }
        }
    }
    counts
}

/// The number of places that a message about other folders names.
const MOST_PLACES: usize = 2;

/// Returns true if two owners have the same provisioner and evidence, and thus lead to the same decision.
fn are_alike(owner: &Owner, other: &Owner) -> bool {
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

impl StorageView for FileView<'_> {
    fn owner(&self, namespace: &str, name: &str) -> Owner {
        let namespaces = self.namespaces(namespace);
        let first = self.owner_in(&namespaces[0], name);
        let differs = |namespace: &&Arc<str>| !are_alike(&self.owner_in(namespace, name), &first);
        match namespaces[1..].iter().find(differs) {
            None => first,
            Some(other) => {
                let text = format!(
                    "it differs between the namespaces `{}` and `{other}`, and kustomizations build the file for both",
                    namespaces[0]
                );
                Owner::Unknown(Unknown::Ambiguous(text.into()))
            }
        }
    }

    fn claim_use(&self, namespace: &str, name: &str) -> Option<ClaimUse<'_>> {
        let uses = self.namespaces(namespace).into_iter().map(|namespace| {
            let reserved = self.reserved_volume(&namespace, name);
            let claim = self.nearest_claim(&namespace, name, reserved).ok()??;
            let claim = ClaimUse::from(&*claim.facts);
            Some(ClaimUse { bound: claim.bound || reserved.is_some(), ..claim })
        });
        let uses: Option<Vec<_>> = uses.collect();
        let (first, others) = uses.as_deref().and_then(<[_]>::split_first)?;
        others.iter().all(|other| other == first).then_some(*first)
    }

    fn find_class(&self, name: &str) -> Result<ClassEntry<'_>, Unknown> {
        let descriptions = self.known.classes.get(name).map_or(&[][..], Vec::as_slice);
        let nearest = self.nearest(descriptions, Scope::Everywhere, |a, b| self.alike_classes(a, b));
        if let Some(text) = self.unusable(DescriptionKind::Class, "", name, &nearest) {
            return Err(Unknown::Ambiguous(format!("its StorageClass `{name}` {text}").into()));
        }
        match nearest {
            Ok(Some(class)) => Ok(class.facts.entry()),
            Ok(None) => Err(Unknown::ClassMissing(name.into())),
            Err(conflict) => Err(self.ambiguous(format_args!("its StorageClass `{name}`"), conflict)),
        }
    }

    fn find_default_class(&self) -> Result<ClassEntry<'_>, Unknown> {
        let classes = &self.known.default_classes;
        match self.nearest(classes, Scope::Here, |a, b| self.alike_classes(a, b)) {
            Ok(Some(class)) => Ok(class.facts.entry()),
            // If a cluster is asked, its default class counts.
            Ok(None) if self.known.visibility.classes != Absence::NotInFiles => Err(Unknown::NoDefaultClass),
            Ok(None) => Err(self.elsewhere(classes).map_or(Unknown::NoDefaultClass, |text| {
                Unknown::Elsewhere(format!("it names no StorageClass, and the default StorageClass {text}").into())
            })),
            Err(conflict) => Err(self.ambiguous("it names no StorageClass, and the default StorageClass", conflict)),
        }
    }

    fn find_volume(&self, name: &str) -> Result<Option<(&Arc<str>, Evidence)>, Unknown> {
        let descriptions = self.known.volumes.get(name).map_or(&[][..], Vec::as_slice);
        let nearest = self.nearest(descriptions, Scope::Everywhere, |a, b| a == b);
        if let Some(text) = self.unusable(DescriptionKind::Volume, "", name, &nearest) {
            return Err(Unknown::Ambiguous(format!("its PersistentVolume `{name}` {text}").into()));
        }
        match nearest {
            Ok(Some(volume)) => Ok(volume.facts.as_ref().map(|(name, evidence)| (name, *evidence))),
            Ok(None) => Err(Unknown::VolumeMissing { volume: name.into(), no_provisioner: false }),
            Err(conflict) => Err(self.ambiguous(format_args!("its PersistentVolume `{name}`"), conflict)),
        }
    }

    fn visibility(&self) -> &Visibility {
        &self.known.visibility
    }
}

#[cfg(test)]
mod tests;
