//! The reasons why descriptions do not decide, although they are the nearest ones.

use super::{BuildView, Conflict, Described, DescriptionKind, Rank, Scope};
use crate::known_objects::FileId;
use colocate_engine::Absence;

/// The number of places that a message about other folders names.
const MOST_PLACES: usize = 2;

impl<'k> BuildView<'k> {
    /// Says why the nearest description of an object that can be used does not decide: one that cannot be used is at least as near,
    /// or the kustomization that builds the file may have another object of this name, or another default class without a name.
    pub(super) fn doubt<T>(
        &self,
        kind: DescriptionKind,
        namespace: &str,
        name: Option<&str>,
        descriptions: &'k [Described<T>],
        usable: &Result<Option<&'k Described<T>>, Conflict<'k, T>>,
    ) -> Option<String> {
        let usable = match usable {
            Ok(found) => *found,
            Err((first, _)) => Some(*first),
        };
        if let Some(name) = name {
            let scope =
                if kind == DescriptionKind::Claim { self.scope_of_claims(namespace) } else { Scope::Everywhere };
            let nearest = self.all_nearest(self.known.unusable(kind, namespace, name), scope).into_iter().next();
            if let Some(nearest) =
                nearest.filter(|nearest| usable.is_none_or(|usable| self.rank(usable) <= self.rank(nearest)))
            {
                let place = self.known.place(nearest);
                return Some(format!("has a description that cannot be used, in {place}: {}", nearest.facts));
            }
        }
        let (inclusion, all) = (self.inclusion?, &self.known.kustomizations);
        let advice = || all.advice(inclusion);
        let is_built =
            |described: &'k Described<T>| matches!(self.rank(described), Rank::SameFile | Rank::SameBuild(..));
        let hidden = name.and_then(|_| descriptions.iter().find(|own| is_built(own) && !self.has_its_name(own)));
        if let Some(hidden) = hidden {
            let place = self.known.place(hidden);
            return Some(format!("is described in {place}, where a kustomization changes its name: {}", advice()));
        }
        if name.is_some() && usable.is_some_and(is_built) {
            return None;
        }
        // A cluster has the object that the build would only change where it can be changed.
        let is_asked = self.is_asked(kind) && usable.is_none_or(|usable| usable.file == FileId::CLUSTER);
        if let Some(cause) = all.addition(inclusion, kind, name).filter(|_| !is_asked) {
            return Some(format!("may come from {cause}: {}", advice()));
        }
        let is_prefixed = name.is_some_and(|name| all.may_be_prefixed(inclusion, name));
        is_prefixed.then(|| format!("may get its name by a prefix or suffix: {}", advice()))
    }

    /// Returns true if a cluster is asked about objects of this kind whose fields that decide cannot be changed.
    fn is_asked(&self, kind: DescriptionKind) -> bool {
        let visibility = &self.known.visibility;
        let absence = match kind {
            DescriptionKind::Claim => visibility.claims,
            DescriptionKind::Volume => visibility.volumes,
            DescriptionKind::Class => visibility.classes,
            DescriptionKind::Strategy | DescriptionKind::Namespace => return false,
        };
        absence != Absence::NotInFiles
    }

    /// Describes a `claimRef` that names a claim as its file does, if a kustomization changes the names of this file's claims.
    pub(super) fn renamed_reservation(&self, namespace: &str, name: &str) -> Option<String> {
        let inclusion = self.inclusion.filter(|own| self.known.kustomizations.has_affixes(*own))?;
        let place = self.known.place(self.known.reservations(namespace, name).first()?);
        let advice = self.known.kustomizations.advice(inclusion);
        Some(format!("a claimRef names it in {place}, but a kustomization changes its name: {advice}"))
    }

    /// Says where files that do not count describe an object; `None` if none does.
    pub(super) fn elsewhere<T>(&self, descriptions: &[Described<T>]) -> Option<String> {
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
