//! Claims, classes, volumes and Namespaces as an object in a file sees them.
//!
//! Several kustomizations may build one file, each with other objects around it and in another namespace. The object then sees what
//! is the same in all these builds ([`BuildView`]), because the file has only one text.

use std::collections::HashMap;
use std::sync::Arc;

use super::build_view::{BuildView, Scope, Trail, are_alike};
use super::description::{Described, DescriptionKind, KnownClass, bound};
use super::document::ManifestObject;
use super::known_objects::{ClassAccess, FileId, FileRole, KnownObjects, Purpose};
use super::kustomize_effects::{Target, Touch};
use colocate_engine::{
    AccessModes, ClaimFacts, ClaimRef, ClaimUse, ClassEntry, Evidence, Owner, StorageView, Unknown, Visibility,
};

/// Known objects as an object in a file sees them.
#[derive(Clone, Copy, Debug)]
pub struct FileView<'k> {
    known: &'k KnownObjects,
    file: FileId,
    purpose: Purpose,
}

/// Something that may change an object when it is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PossibleChange {
    /// The cause that may change it, with its place.
    pub cause: String,
    /// The remedy.
    pub advice: String,
}

/// A build of an object, with its namespace there.
type Build<'k> = (Arc<str>, BuildView<'k>);

impl<'k> FileView<'k> {
    pub(super) fn new(known: &'k KnownObjects, file: FileId, purpose: Purpose) -> Self {
        Self { known, file, purpose }
    }

    /// The namespaces of an object in this file that names `namespace`: those that kustomizations give it, or its own. There is
    /// at least one.
    pub fn namespaces(&self, namespace: &str) -> Vec<Arc<str>> {
        self.known.namespaces_in(self.file, namespace)
    }

    /// Returns whether a Namespace opts out. A Namespace that is not known does not.
    ///
    /// # Errors
    /// Equally near descriptions differ, or so do the Namespaces that kustomizations give. The text says where they are.
    pub fn opted_out(&self, namespace: &str) -> Result<bool, String> {
        let builds = self.builds(namespace);
        let opted_out: Vec<_> = builds.iter().map(|(name, view)| view.opted_out(name)).collect::<Result<_, _>>()?;
        let find = |value| opted_out.iter().position(|opted_out| *opted_out == value).map(|index| &builds[index]);
        let (Some((yes, of_yes)), Some((no, of_no))) = (find(true), find(false)) else {
            return Ok(opted_out.contains(&true));
        };
        let place = |name: &str, view: &BuildView<'_>| view.place_of_namespace(name);
        let yes_place = place(yes, of_yes).unwrap_or_default();
        Err(match place(no, of_no) {
            Some(no_place) if yes == no => {
                format!("the Namespace `{yes}` opts out in {yes_place}, but not in {no_place}, and {WITH_EACH}")
            }
            Some(no_place) => format!(
                "the Namespace `{yes}` opts out in {yes_place}, but `{no}` does not in {no_place}, and {FOR_BOTH}"
            ),
            None => format!(
                "the Namespace `{yes}` opts out in {yes_place}, but `{no}`, which is not in the files, does not, and {FOR_BOTH}"
            ),
        })
    }

    /// Says what in a kustomization may change an object in this file in such a way that a decision about it, or about its
    /// annotations, depends on the change, and what to do.
    pub fn change(&self, object: &ManifestObject<'_>) -> Option<PossibleChange> {
        if self.known.is_patch(self.file) {
            return None;
        }
        let touch = DescriptionKind::of(object).map_or(Touch::WORKLOAD, Touch::of);
        let name = object.value["metadata"]["name"].as_str().unwrap_or_default();
        let (target, kustomizations) = (Target { kind: object.kind, name }, &self.known.kustomizations);
        self.known.inclusions(self.file).iter().find_map(|id| {
            let cause = kustomizations.change(*id, target, touch)?.to_string();
            Some(PossibleChange { cause, advice: kustomizations.advice(*id) })
        })
    }

    /// Finds the owner of a claim of a workload. A claim that exists is used instead of the template of a `StatefulSet`.
    pub(super) fn owner_for(&self, object: &ManifestObject<'_>, claim: &ClaimRef<'_>, namespace: &str) -> Owner {
        let owner = claim.owner_in(self, namespace);
        let ClaimRef::Template { name, claim, ephemeral: false } = claim else { return owner };
        let stem = format!("{name}-{}", object.value["metadata"]["name"].as_str().unwrap_or_default());
        for (namespace, view) in self.builds(namespace) {
            for existing in self.known.numbered_claims(&namespace, &stem) {
                let own = match view.owner(&namespace, existing) {
                    Owner::Missing => {
                        view.owner_of(&bound(&claim.clone().into_owned(), view.reserved_volume(&namespace, existing)))
                    }
                    own => own,
                };
                if !are_alike(&own, &owner) {
                    let place = view.trail(&namespace, existing).into_iter().find_map(|(_, place)| place);
                    let place = place.or_else(|| view.place_of_reservation(&namespace, existing)).unwrap_or_default();
                    let text = format!(
                        "the claim `{existing}`, which is used instead of one from this template, has another owner by {place}"
                    );
                    return Owner::Unknown(Unknown::Ambiguous(text.into()));
                }
            }
        }
        owner
    }

    /// The access modes of all claims and claim templates whose class, by name or by default, is the one that this file describes
    /// as `name`; `None` if there are none.
    pub fn access_of_class(&self, name: &str) -> Option<AccessModes> {
        let access = self.known.class_access.get_or_init(|| class_access(self.known, self.purpose));
        access.get(&self.file)?.get(name).copied()
    }

    /// The builds of an object in this file that names `namespace`. There is at least one.
    pub(super) fn builds(&self, namespace: &str) -> Vec<Build<'k>> {
        self.views().map(|view| (view.namespace(namespace), view)).collect()
    }

    /// Returns true if a file cannot belong to another environment: it is in the folder of this file or above, or is built together
    /// with it.
    pub(super) fn is_of_same_environment(&self, file: FileId) -> bool {
        self.known.role(file) == Some(FileRole::Description) || self.views().any(|view| view.is_near(file))
    }

    /// The view in each build of the file. There is at least one.
    fn views(self) -> impl Iterator<Item = BuildView<'k>> {
        let inclusions = self.known.inclusions(self.file);
        let alone = inclusions.is_empty().then_some(None);
        let builds = inclusions.iter().copied().map(Some).chain(alone);
        builds.map(move |inclusion| BuildView::new(self.known, self.file, inclusion, self.purpose))
    }

    /// Returns what `owner` finds in all builds, or the reason why it is not known if it differs between them. `trail` names the
    /// objects on which it depends.
    fn common_owner(
        builds: &[Build<'k>],
        owner: impl Fn(&Build<'k>) -> Owner,
        alike: impl Fn(&Build<'k>, &Build<'k>) -> bool,
        trail: impl Fn(&Build<'k>) -> Trail,
    ) -> Owner {
        let first = owner(&builds[0]);
        let mut others = builds[1..].iter().take_while(|_| !is_explained(&first)).map(|build| (build, owner(build)));
        let differs =
            others.find(|(build, other)| is_explained(other) || !are_alike(other, &first) || !alike(build, &builds[0]));
        match differs {
            None => first,
            Some((_, other)) if is_explained(&other) => other,
            Some((build, _)) => Owner::Unknown(difference([&builds[0], build], &trail)),
        }
    }

    /// Returns true if the rules about annotations see the same claim in both builds.
    fn is_same_claim(&self, a: &Build<'k>, b: &Build<'k>, name: &str) -> bool {
        let [of_a, of_b] = [a, b].map(|(namespace, view)| view.use_of(namespace, name));
        let class = |view: &BuildView<'k>, claim: Option<ClaimUse<'_>>| view.nearest_class(claim?.class).ok();
        let same_class = match (class(&a.1, of_a), class(&b.1, of_b)) {
            (Some(class), Some(other)) => a.1.alike_classes(class, other),
            (class, other) => class.is_none() && other.is_none(),
        };
        self.purpose == Purpose::Mutate || of_a == of_b && same_class
    }

    /// The class in all builds; without a name, the default class.
    fn common_class(&self, name: Option<&str>) -> Result<&'k KnownClass, Unknown> {
        let claim = ClaimFacts { class: name.map(Into::into), ..ClaimFacts::default() };
        let views = || self.views().take(1);
        let alike = |a: &&KnownClass, b: &&KnownClass| views().all(|view| view.alike_classes(a, b));
        self.common(|view| view.nearest_class(name), alike, |(_, view)| view.trail_of(&claim))
    }

    /// Returns what `find` finds in all builds.
    fn common<T>(
        &self,
        find: impl Fn(&BuildView<'k>) -> Result<T, Unknown>,
        alike: impl Fn(&T, &T) -> bool,
        trail: impl Fn(&Build<'k>) -> Trail,
    ) -> Result<T, Unknown> {
        let builds = self.builds("");
        let first = find(&builds[0].1)?;
        for build in &builds[1..] {
            if !alike(&first, &find(&build.1)?) {
                return Err(difference([&builds[0], build], &trail));
            }
        }
        Ok(first)
    }
}

/// The access modes of the users of each class, by the file that describes it.
fn class_access(known: &KnownObjects, purpose: Purpose) -> ClassAccess {
    let mut all = ClassAccess::new();
    let mut add = |file, access: AccessModes, descriptions: &[Described<Arc<KnownClass>>], scope| {
        for view in FileView::new(known, file, purpose).views() {
            for described in view.all_nearest(descriptions, scope) {
                let of_file = all.entry(described.file).or_default();
                let modes = of_file.entry(Arc::clone(&described.facts.name)).or_default();
                *modes = modes.union(access);
            }
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
            add(user.0, user.1, &known.default_classes, Scope::DefaultClass);
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
            let mut views = FileView::new(known, claim.file, purpose).views();
            if views.any(|view| view.reserved_volume(namespace, name).is_some()) {
                *counts.entry((claim.file, claim.facts.access)).or_default() += 1;
            }
        }
    }
    counts
}

/// The end of a message about a difference between two namespaces.
const FOR_BOTH: &str = "kustomizations build the file for both";

/// The end of a message about a difference between two builds in one namespace.
const WITH_EACH: &str = "kustomizations build the file with each of them";

/// Returns true if an owner is unknown for a reason that names the places.
fn is_explained(owner: &Owner) -> bool {
    matches!(owner, Owner::Unknown(Unknown::Ambiguous(_) | Unknown::Elsewhere(_)))
}

/// Describes why two builds lead to different owners, by the first object in their trails that they do not have in common.
fn difference<'k>(builds: [&Build<'k>; 2], trail: &impl Fn(&Build<'k>) -> Trail) -> Unknown {
    let [(a, _), (b, _)] = builds;
    let [of_a, of_b] = builds.map(trail);
    let same = of_a.iter().zip(&of_b).take_while(|(one, other)| one == other).count();
    let subject = of_a.get(same).or(of_b.get(same)).map_or("it", |(subject, _)| subject);
    let [of_a, of_b] = [&of_a, &of_b].map(|trail| trail.get(same).and_then(|(_, place)| place.as_deref()));
    let text = match (of_a, of_b) {
        (Some(one), Some(other)) if a == b => {
            format!("{subject} is described differently in {one} and in {other}, and {WITH_EACH}")
        }
        (one, other) if a == b => match one.or(other) {
            Some(place) => {
                format!("{subject} is described in {place}, but other kustomizations build the file without it")
            }
            None => format!("{subject} differs between the kustomizations that build the file"),
        },
        (None, None) => format!("{subject} differs between the namespaces `{a}` and `{b}`, and {FOR_BOTH}"),
        places => {
            let [one, other] = [places.0, places.1].map(|place| place.unwrap_or("not in the files"));
            format!("{subject} differs between the namespaces `{a}` ({one}) and `{b}` ({other}), and {FOR_BOTH}")
        }
    };
    Unknown::Ambiguous(text.into())
}

impl StorageView for FileView<'_> {
    fn owner(&self, namespace: &str, name: &str) -> Owner {
        Self::common_owner(
            &self.builds(namespace),
            |(namespace, view)| view.owner(namespace, name),
            |a, b| self.is_same_claim(a, b, name),
            |(namespace, view)| view.trail(namespace, name),
        )
    }

    fn owner_of(&self, claim: &ClaimFacts<'_>) -> Owner {
        Self::common_owner(
            &self.builds(""),
            |(_, view)| view.owner_of(claim),
            |_, _| true,
            |(_, view)| view.trail_of(claim),
        )
    }

    fn claim_use(&self, namespace: &str, name: &str) -> Option<ClaimUse<'_>> {
        let uses = self.builds(namespace).into_iter().map(|(namespace, view)| view.use_of(&namespace, name));
        let uses: Option<Vec<_>> = uses.collect();
        let (first, others) = uses.as_deref().and_then(<[_]>::split_first)?;
        others.iter().all(|other| other == first).then_some(*first)
    }

    fn find_class(&self, name: &str) -> Result<ClassEntry<'_>, Unknown> {
        self.common_class(Some(name)).map(KnownClass::entry)
    }

    fn find_default_class(&self) -> Result<ClassEntry<'_>, Unknown> {
        self.common_class(None).map(KnownClass::entry)
    }

    fn find_volume(&self, name: &str) -> Result<Option<(&Arc<str>, Evidence)>, Unknown> {
        let trail =
            |(_, view): &Build<'_>| view.trail_of(&ClaimFacts { volume: Some(name.into()), ..ClaimFacts::default() });
        self.common(|view| view.nearest_volume(name), |a, b| a == b, trail)
    }

    fn visibility(&self) -> &Visibility {
        &self.known.visibility
    }
}

#[cfg(test)]
mod tests;
