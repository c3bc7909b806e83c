//! Descriptions of objects that decisions depend on, each with its place.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::document::ManifestObject;
use super::known_objects::FileId;
use super::kustomizations::InclusionId;
use super::position::Position;
use colocate_engine::{ClaimFacts, ClassEntry, Evidence, Settings, current_api_version};

/// All descriptions of one name, in the order of the files.
pub(super) type Descriptions<T> = Vec<Described<T>>;

/// Objects of one kind, by name.
pub(super) type ByName<T> = HashMap<Box<str>, Descriptions<T>>;

/// A description of an object, with its origin.
#[derive(Debug)]
pub(super) struct Described<T> {
    pub(super) file: FileId,
    /// The part of the file's inclusions in kustomizations for which the description holds; `None` for all.
    pub(super) variant: Option<Arc<Variant>>,
    line: u32,
    column: u32,
    pub(super) facts: T,
}

/// Some of the inclusions of a file in kustomizations, in order.
pub(super) type Variant = [InclusionId];

/// The origin of a description.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) file: FileId,
    pub(super) position: Position,
    pub(super) variant: Option<Arc<Variant>>,
}

impl Origin {
    /// The origin of an object that a cluster returned.
    pub(super) const CLUSTER: Self =
        Self { file: FileId::CLUSTER, position: Position { line: 0, column: 0 }, variant: None };
}

/// The facts of a claim, which are shared with claims that are alike.
pub(super) type KnownClaim = Arc<ClaimFacts<'static>>;

/// The provisioner of a volume, if any, and the field that names it.
pub(super) type VolumeProvisioner = Option<(Arc<str>, Evidence)>;

/// A class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownClass {
    pub(super) name: Arc<str>,
    pub(super) provisioner: Arc<str>,
    pub(super) default: bool,
    pub(super) binds_late: bool,
    pub(super) created: i64,
    pub(super) parameters: Settings,
}

/// A kind of object that decisions depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DescriptionKind {
    /// A `PersistentVolumeClaim`.
    Claim,
    /// A `PersistentVolume`.
    Volume,
    /// A `StorageClass`.
    Class,
    /// A `VolumePlacementStrategy`.
    Strategy,
    /// A `Namespace`.
    Namespace,
}

impl DescriptionKind {
    /// All kinds.
    pub(super) const ALL: [Self; 5] = [Self::Claim, Self::Volume, Self::Class, Self::Strategy, Self::Namespace];

    /// The kind of an object; `None` if no decision depends on it.
    pub fn of(object: &ManifestObject<'_>) -> Option<Self> {
        match (current_api_version(object.api_version, object.kind), object.kind) {
            ("v1", "PersistentVolumeClaim") => Some(Self::Claim),
            ("v1", "PersistentVolume") => Some(Self::Volume),
            ("storage.k8s.io/v1", "StorageClass") => Some(Self::Class),
            ("portworx.io/v1beta2", "VolumePlacementStrategy") => Some(Self::Strategy),
            ("v1", "Namespace") => Some(Self::Namespace),
            _ => None,
        }
    }

    /// Its `kind`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Claim => "PersistentVolumeClaim",
            Self::Volume => "PersistentVolume",
            Self::Class => "StorageClass",
            Self::Strategy => "VolumePlacementStrategy",
            Self::Namespace => "Namespace",
        }
    }
}

impl<T> Described<T> {
    pub(super) fn new(origin: &Origin, facts: T) -> Self {
        let short = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let Origin { file, position: Position { line, column }, variant } = origin.clone();
        Self { file, variant, line: short(line), column: short(column), facts }
    }

    /// Returns true if both describe the same file in the same builds.
    pub(super) fn has_origin_of<U>(&self, other: &Described<U>) -> bool {
        self.file == other.file && self.variant == other.variant
    }

    /// The place of the description. `file` is the name of its file; `None` for the cluster.
    pub(super) fn place<'k>(&self, file: Option<&'k str>) -> Place<'k> {
        Place { file, line: self.line as usize, column: self.column as usize }
    }
}

impl KnownClass {
    pub(super) fn entry(&self) -> ClassEntry<'_> {
        let Self { name, provisioner, binds_late, parameters, .. } = self;
        ClassEntry { name, provisioner, binds_late: *binds_late, parameters }
    }
}

/// The place of a description: `FILE:LINE:COLUMN`, or `the cluster`.
pub(super) struct Place<'k> {
    file: Option<&'k str>,
    line: usize,
    column: usize,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file {
            Some(file) => write!(f, "{file}:{}:{}", self.line, self.column),
            None => f.write_str("the cluster"),
        }
    }
}

/// The facts of a claim for which a volume may be reserved: without a `volumeName`, it counts as bound to that volume.
pub(super) fn bound<'c>(claim: &'c ClaimFacts<'static>, reserved: Option<&str>) -> Cow<'c, ClaimFacts<'static>> {
    match reserved {
        Some(volume) if claim.volume.is_none() => {
            Cow::Owned(ClaimFacts { volume: Some(volume.to_owned().into()), ..claim.clone() })
        }
        _ => Cow::Borrowed(claim),
    }
}

/// Adds a description of a name.
pub(super) fn push<T>(map: &mut ByName<T>, name: &str, described: Described<T>) {
    match map.get_mut(name) {
        Some(descriptions) => descriptions.push(described),
        // Almost always the only one.
        None => drop(map.insert(name.into(), vec![described])),
    }
}
