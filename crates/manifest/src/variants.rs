//! Objects as the patches of kustomizations change them.

use std::sync::Arc;

use serde_json::Value;

use super::description::{DescriptionKind, Variant};
use super::document::ManifestObject;
use super::kustomizations::{InclusionId, Kustomizations};
use super::kustomize_patch::{DEFAULT_NAMESPACE, KustomizePatch, Match, PatchedObject};
use super::object_facts::ReadFacts;
use colocate_engine::Policy;

/// The reason why an object that a selector may match cannot be used.
const MAY_SELECT: &str = "the target of this patch may select it: use the output of `kustomize build`";

impl Kustomizations {
    /// Applies the patches of the kustomizations that include an object to it. Returns the facts that `read` finds in each part of
    /// the inclusions; without a variant if no patch matters.
    pub(super) fn variants(
        &self,
        inclusions: &[InclusionId],
        object: &ManifestObject<'_>,
        read: impl Fn(&Value) -> ReadFacts,
    ) -> Vec<(Option<Variant>, ReadFacts)> {
        let original = read(object.value);
        let (mut variants, mut unchanged): (Vec<(Variant, ReadFacts)>, _) = (Vec::new(), Vec::new());
        for &inclusion in inclusions {
            let Some((patch, facts)) = self.patched(inclusion, object, &original, &read) else {
                unchanged.push(inclusion);
                continue;
            };
            let patch = Some((Arc::clone(&patch.file), patch.position));
            match variants.iter_mut().find(|(variant, other)| variant.patch == patch && *other == facts) {
                Some((variant, _)) => variant.inclusions.push(inclusion),
                None => variants.push((Variant { inclusions: vec![inclusion], patch }, facts)),
            }
        }
        if variants.is_empty() {
            return vec![(None, original)];
        }
        if !unchanged.is_empty() {
            variants.push((Variant { inclusions: unchanged, patch: None }, original));
        }
        variants.into_iter().map(|(variant, facts)| (Some(variant), facts)).collect()
    }

    /// Applies the patches of an inclusion, and then those of the inclusions around it, to an object. Returns the last patch that
    /// changes its facts, and the facts after it; `None` if no patch does.
    fn patched(
        &self,
        inclusion: InclusionId,
        object: &ManifestObject<'_>,
        original: &ReadFacts,
        read: &impl Fn(&Value) -> ReadFacts,
    ) -> Option<(&KustomizePatch, ReadFacts)> {
        let (mut changed, mut value) = (None, None);
        for (patch, matches) in self.patches_for(inclusion, object) {
            let patched = match (patch.apply(value.as_ref().unwrap_or(object.value)), matches) {
                (Ok(patched), _) => patched,
                (Err(why), Match::Yes) => return Some((patch, Err(why))),
                // kustomize would fail if the patch were for the object.
                (Err(_), _) => continue,
            };
            let facts = patched.as_ref().map_or_else(|| Err("this patch deletes it".to_owned()), read);
            let is_alike = facts == *changed.as_ref().map_or(original, |(_, facts)| facts);
            match (matches, patched) {
                (Match::Yes, None) => return Some((patch, facts)),
                (Match::Yes, patched) => {
                    value = patched;
                    changed = if is_alike { changed } else { Some((patch, facts)) };
                }
                _ if is_alike => {}
                _ => return Some((patch, Err(MAY_SELECT.to_owned()))),
            }
        }
        changed
    }

    /// The first patch that may change a workload in such a way that the decision about it depends on the change.
    pub(super) fn workload_patch(
        &self,
        inclusions: &[InclusionId],
        object: &ManifestObject<'_>,
        policy: &Policy,
    ) -> Option<&KustomizePatch> {
        let matters = |patch: &KustomizePatch| patch.of_workload.as_ref().is_some_and(|change| change.matters(policy));
        let patches = inclusions.iter().flat_map(|inclusion| self.patches_for(*inclusion, object));
        patches.map(|(patch, _)| patch).find(|patch| matters(patch))
    }

    /// The patches that are or may be for an object in an inclusion, in the order in which kustomize applies them.
    ///
    /// An object has all names and namespaces that it gets on the way, as in kustomize.
    fn patches_for(&self, inclusion: InclusionId, object: &ManifestObject<'_>) -> Vec<(&KustomizePatch, Match)> {
        let mut patches = Vec::new();
        if self.outwards(inclusion).all(|own| own.patches.is_empty()) {
            return patches;
        }
        let (group, version) = object.api_version.rsplit_once('/').unwrap_or(("", object.api_version));
        let is_namespaced = DescriptionKind::of(object).is_none_or(DescriptionKind::is_namespaced);
        let name = object.value["metadata"]["name"].as_str().unwrap_or_default();
        let mut target = PatchedObject {
            group,
            version,
            kind: object.kind,
            names: vec![name.to_owned()],
            // Whatever `-n` is.
            namespaces: if is_namespaced { vec![object.namespace_or(DEFAULT_NAMESPACE)] } else { Vec::new() },
        };
        for own in self.outwards(inclusion) {
            target.namespaces.extend(own.own_namespace.as_deref().filter(|_| is_namespaced));
            for (prefix, suffix) in &own.affixes {
                target.names.extend(target.names.last().map(|name| format!("{prefix}{name}{suffix}")));
            }
            patches.extend(
                own.patches.iter().map(|patch| (&**patch, patch.matches(&target))).filter(|(_, m)| *m != Match::No),
            );
        }
        patches
    }
}
