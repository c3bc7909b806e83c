//! Claims, classes and volumes, reduced to the facts that decide the owner of a claim and how Stork treats it.

use serde::Deserialize;
use serde::de::Deserializer;

use super::decode::{Text, each_element};
use super::setting::Settings;

/// The facts of a claim, or of a claim template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimFacts<'a> {
    /// The class that it names; `None` is the default one, if nothing is bound yet, and `""` none at all.
    pub class: Option<Text<'a>>,
    /// The provisioner that its annotations name.
    pub provisioner: Option<Text<'a>>,
    /// The volume that it is bound to, or asks for by name; not empty.
    pub volume: Option<Text<'a>>,
    /// Its annotations that Stork reads.
    pub settings: Settings,
    /// The modes in which its volume may be mounted.
    pub access: AccessModes,
    /// Whether it is bound to a volume.
    pub bound: bool,
}

/// The modes in which a claim's volume may be mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessModes(u8);

/// The facts of a `StorageClass`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassFacts<'a> {
    /// The provisioner; empty if it names none.
    pub provisioner: Text<'a>,
    /// Whether it is marked as the default class.
    pub default: bool,
    /// Its creation in seconds since 1970; 0 for a class that was never in a cluster.
    pub created: i64,
    /// Its parameters that Stork reads.
    pub parameters: Settings,
}

/// The facts of a `PersistentVolume`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeFacts<'a> {
    /// The provisioner that owns it, if one does.
    pub provisioner: Option<Text<'a>>,
}

impl ClaimFacts<'_> {
    /// Makes a copy that borrows from nothing.
    pub fn into_owned(self) -> ClaimFacts<'static> {
        let Self { class, provisioner, volume, settings, access, bound } = self;
        let [class, provisioner, volume] = [class, provisioner, volume].map(|text| text.map(Text::into_owned));
        ClaimFacts { class, provisioner, volume, settings, access, bound }
    }
}

impl AccessModes {
    /// In the order of their bits.
    const NAMES: [&str; 4] = ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];

    /// Returns true if the mode of this name is one of them.
    pub fn contains(self, name: &str) -> bool {
        self.0 & Self::bit(name) != 0
    }

    pub(super) const fn bits(self) -> u8 {
        self.0
    }

    pub(super) const fn from_bits(bits: u8) -> Self {
        Self(bits & 0b1111)
    }

    /// Returns no bit for a mode that is not known.
    fn bit(name: &str) -> u8 {
        Self::NAMES.iter().position(|own| *own == name).map_or(0, |place| 1 << place)
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
    fn access_modes_are_those_that_were_named() {
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
