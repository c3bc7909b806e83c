//! Claims, classes, volumes and Namespaces as an object in a file sees them: the nearest description of each name.
//!
//! The nearest descriptions are those in the same file, or else those whose deepest common folder with the file is the
//! deepest. Among these, files directly in that folder come before files below it. A cluster comes last. If equally near
//! descriptions would lead to different decisions, none of them is used.

use std::sync::Arc;

use super::folders::{FolderId, Nearness};
use super::known_objects::{Described, FileId, KnownClaim, KnownClass, KnownObjects, Purpose, bound};
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
}

/// The distance of a file from this one. A greater value is nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Cluster,
    /// The file, or this one, is not in a folder.
    Elsewhere,
    Folder(Nearness),
    SameFile,
}

/// Two descriptions that differ although both are equally near.
type Conflict<'k, T> = (&'k Described<T>, &'k Described<T>);

impl<'k> FileView<'k> {
    pub(super) fn new(known: &'k KnownObjects, file: FileId, purpose: Purpose) -> Self {
        Self { known, file, folder: known.folder(file), purpose }
    }

    /// Returns whether a Namespace opts out. A Namespace that is not known does not.
    ///
    /// # Errors
    /// Equally near descriptions differ. The text says where they are.
    pub fn opted_out(&self, namespace: &str) -> Result<bool, String> {
        let descriptions = self.known.namespaces.get(namespace).map_or(&[][..], Vec::as_slice);
        match self.nearest(descriptions, |a, b| a == b) {
            Ok(nearest) => Ok(nearest.is_some_and(|described| described.facts)),
            Err(conflict) => {
                let (yes, no) = if conflict.0.facts { conflict } else { (conflict.1, conflict.0) };
                let (yes, no) = (self.known.place(yes), self.known.place(no));
                Err(format!("the Namespace `{namespace}` opts out in {yes}, but not in {no}"))
            }
        }
    }

    /// The access modes of all claims and claim templates that see the description of the class `name` in this file, and
    /// name the class or get it as the default class; `None` if there are none.
    pub fn access_of_class(&self, name: &str) -> Option<AccessModes> {
        let descriptions = self.known.classes.get(name).map_or(&[][..], Vec::as_slice);
        let sees_it_in = |descriptions, file| {
            let mut nearest = Self::new(self.known, file, self.purpose).all_nearest(descriptions);
            nearest.any(|described: &Described<Arc<KnownClass>>| {
                described.file == self.file && *described.facts.name == *name
            })
        };
        let named = self.known.users_of_class.get(name).into_iter().flatten();
        let named = named.filter(|(file, _)| sees_it_in(descriptions, *file));
        let default = self.known.users_of_default.iter();
        let default = default.filter(|(file, _)| sees_it_in(&self.known.default_classes, *file));
        named.chain(default).map(|(_, access)| *access).reduce(AccessModes::union)
    }

    fn rank(&self, file: FileId) -> Rank {
        if file == FileId::CLUSTER {
            return Rank::Cluster;
        }
        if file == self.file {
            return Rank::SameFile;
        }
        match (self.folder, self.known.folder(file)) {
            (Some(own), Some(other)) => Rank::Folder(self.known.folders.nearness(own, other)),
            _ => Rank::Elsewhere,
        }
    }

    /// The descriptions that are nearer than all others.
    fn all_nearest<T>(self, descriptions: &'k [Described<T>]) -> impl Iterator<Item = &'k Described<T>> {
        let nearest = match descriptions {
            // The rank of the only one does not matter.
            [_] | [] => None,
            _ => descriptions.iter().map(|described| self.rank(described.file)).max(),
        };
        descriptions.iter().filter(move |described| nearest.is_none_or(|rank| self.rank(described.file) == rank))
    }

    /// Returns the first of the nearest descriptions, if all of them are alike.
    fn nearest<T>(
        &self,
        descriptions: &'k [Described<T>],
        alike: impl Fn(&T, &T) -> bool,
    ) -> Result<Option<&'k Described<T>>, Conflict<'k, T>> {
        let mut nearest = self.all_nearest(descriptions);
        let Some(first) = nearest.next() else { return Ok(None) };
        match nearest.find(|other| !alike(&first.facts, &other.facts)) {
            Some(other) => Err((first, other)),
            None => Ok(Some(first)),
        }
    }

    fn nearest_claim(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<&'k Described<KnownClaim>>, Conflict<'k, KnownClaim>> {
        let reserved = self.reserved_volume(namespace, name);
        self.nearest(self.known.claims(namespace, name), |a, b| {
            a == b || self.alike(&bound(a, reserved), &bound(b, reserved))
        })
    }

    /// The volume that is reserved for a claim; `None` if several are, because any of them may be bound.
    fn reserved_volume(&self, namespace: &str, claim: &str) -> Option<&'k str> {
        let nearest = self.nearest(self.known.reservations(namespace, claim), |a, b| a == b);
        nearest.ok().flatten().map(|described| &*described.facts)
    }

    /// Returns true if it does not matter which of two claims a pod mounts.
    fn alike(&self, a: &ClaimFacts<'_>, b: &ClaimFacts<'_>) -> bool {
        let same_owner = match (self.owner_of(a), self.owner_of(b)) {
            (
                Owner::Provisioner { provisioner, evidence, unread_volume, .. },
                Owner::Provisioner { provisioner: other, evidence: of_other, unread_volume: of_other_volume, .. },
            ) => {
                let alike = provisioner == other && evidence == of_other;
                alike && unread_volume.is_some() == of_other_volume.is_some()
            }
            (owner, other) => owner == other,
        };
        same_owner && (self.purpose == Purpose::Mutate || ClaimUse::from(a) == ClaimUse::from(b))
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

impl StorageView for FileView<'_> {
    fn owner(&self, namespace: &str, name: &str) -> Owner {
        let reserved = self.reserved_volume(namespace, name);
        match self.nearest_claim(namespace, name) {
            Ok(Some(claim)) => self.owner_of(&bound(&claim.facts, reserved)),
            Ok(None) => Owner::Missing,
            Err(conflict) => {
                let owners = [conflict.0, conflict.1].map(|claim| self.owner_of(&bound(&claim.facts, reserved)));
                let open = owners.into_iter().find(|owner| self.may_be_in_cluster(owner));
                open.unwrap_or_else(|| Owner::Unknown(self.ambiguous("it", conflict)))
            }
        }
    }

    fn claim_use(&self, namespace: &str, name: &str) -> Option<ClaimUse<'_>> {
        let claim = self.nearest_claim(namespace, name).ok()??;
        let claim = ClaimUse::from(&*claim.facts);
        Some(ClaimUse { bound: claim.bound || self.reserved_volume(namespace, name).is_some(), ..claim })
    }

    fn find_class(&self, name: &str) -> Result<ClassEntry<'_>, Unknown> {
        let descriptions = self.known.classes.get(name).map_or(&[][..], Vec::as_slice);
        match self.nearest(descriptions, |a, b| self.alike_classes(a, b)) {
            Ok(Some(class)) => Ok(class.facts.entry()),
            Ok(None) => Err(Unknown::ClassMissing(name.into())),
            Err(conflict) => Err(self.ambiguous(format_args!("its StorageClass `{name}`"), conflict)),
        }
    }

    fn find_default_class(&self) -> Result<ClassEntry<'_>, Unknown> {
        match self.nearest(&self.known.default_classes, |a, b| self.alike_classes(a, b)) {
            Ok(Some(class)) => Ok(class.facts.entry()),
            Ok(None) => Err(Unknown::NoDefaultClass),
            Err(conflict) => Err(self.ambiguous("it names no StorageClass, and the default StorageClass", conflict)),
        }
    }

    fn find_volume(&self, name: &str) -> Result<Option<(&Arc<str>, Evidence)>, Unknown> {
        let descriptions = self.known.volumes.get(name).map_or(&[][..], Vec::as_slice);
        match self.nearest(descriptions, |a, b| a == b) {
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
