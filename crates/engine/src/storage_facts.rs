//! Claims, classes and volumes, reduced to the facts that determine the owner of a claim and how Stork treats it.

use serde::Deserialize;
use serde::de::Deserializer;

use super::decode::{Text, each_element};
use super::evidence::{Evidence, EvidenceSet};
use super::setting::Settings;

/// The facts of a claim, or of a claim template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClaimFacts<'a> {
    /// The class that it names. `None` means the default class, if the claim is not bound yet; `""` means no class.
    pub class: Option<Text<'a>>,
    /// The provisioner that its annotations name, and which of the two annotations do.
    pub provisioner: Option<(Text<'a>, EvidenceSet)>,
    /// The volume that it is bound to, or requests by name; not empty.
    pub volume: Option<Text<'a>>,
    /// Its annotations that Stork reads.
    pub settings: Settings,
    /// The modes in which its volume may be mounted.
    pub access: AccessModes,
    /// Whether it is bound to a volume.
    pub bound: bool,
}

/// The modes in which a claim's volume may be mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AccessModes(u8);

/// The facts of a `StorageClass`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassFacts<'a> {
    /// The provisioner; empty if it names none.
    pub provisioner: Text<'a>,
    /// Whether it is marked as the default class.
    pub default: bool,
    /// Whether a claim is bound only when its first pod is scheduled (`volumeBindingMode: WaitForFirstConsumer`).
    pub binds_late: bool,
    /// Its creation in seconds since 1970; 0 for a class that was never in a cluster.
    pub created: i64,
    /// Its parameters that Stork and Portworx read.
    pub parameters: Settings,
}

/// The facts of a `PersistentVolume`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeFacts<'a> {
    /// Its provisioner, if any, and the field that names it.
    pub provisioner: Option<(Text<'a>, Evidence)>,
}

impl ClaimFacts<'_> {
    /// Returns true if it names no class, provisioner or volume.
    pub fn names_no_owner(&self) -> bool {
        self.class.is_none() && self.provisioner.is_none() && self.volume.is_none()
    }

    /// Makes an owned copy.
    pub fn into_owned(self) -> ClaimFacts<'static> {
        let Self { class, provisioner, volume, settings, access, bound } = self;
        let [class, volume] = [class, volume].map(|text| text.map(Text::into_owned));
        let provisioner = provisioner.map(|(name, evidence)| (name.into_owned(), evidence));
        ClaimFacts { class, provisioner, volume, settings, access, bound }
    }
}

impl AccessModes {
    /// The names in the order of their bits.
    const NAMES: [&str; 4] = ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];

    /// The modes of both sets.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns true if the set contains the mode `name`.
    pub fn contains(self, name: &str) -> bool {
        self.0 & Self::bit(name) != 0
    }

    pub(super) const fn bits(self) -> u8 {
        self.0
    }

    pub(super) const fn from_bits(bits: u8) -> Self {
        Self(bits & 0b1111)
    }

    /// Returns the bit of a mode, or 0 for an unknown mode.
    fn bit(name: &str) -> u8 {
        Self::NAMES.iter().position(|own| *own == name).map_or(0, |index| 1 << index)
    }
}

impl<'de> Deserialize<'de> for AccessModes {
    /// Reads an array of their names, or null.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut modes = Self::default();
        each_element(deserializer, "an array of access modes", |name: Text<'de>| modes.0 |= Self::bit(&name))?;
        Ok(modes)
    }
}

impl<T: AsRef<str>> FromIterator<T> for AccessModes {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        Self(names.into_iter().fold(0, |bits, name| bits | Self::bit(name.as_ref())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_access_modes_are_ignored() {
        let modes: AccessModes = ["ReadWriteMany", "ReadWriteOnce", "ReadWriteSometimes"].into_iter().collect();
        assert!(modes.contains("ReadWriteMany") && modes.contains("ReadWriteOnce"));
        assert!(!modes.contains("ReadOnlyMany") && !modes.contains("ReadWriteSometimes"));
        assert_eq!(AccessModes::from_bits(modes.bits()), modes);
        let read = |text| serde_json::from_str::<AccessModes>(text);
        assert_eq!(read(r#"["ReadWriteOnce","ReadWriteMany","x"]"#).unwrap(), modes);
        assert_eq!(read("null").unwrap(), AccessModes::default());
        assert!(read(r#""ReadWriteOnce""#).is_err() && read("[1]").is_err());
    }
}
