//! Claims, classes and volumes, reduced to what is asked about them: whose they are, and how Stork treats them.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use super::driver::PORTWORX_IN_TREE;
use super::json::Text;
use super::setting::Settings;

pub(super) const BETA_STORAGE_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
pub(super) const BETA_PROVISIONER: &str = "volume.beta.kubernetes.io/storage-provisioner";
pub(super) const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
pub(super) const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
pub(super) const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
pub(super) const BETA_DEFAULT_CLASS: &str = "storageclass.beta.kubernetes.io/is-default-class";

/// What matters of a claim, or of a template of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The class that it names; `None` is the default one, if nothing is bound yet, and `""` none at all.
    pub(super) class: Option<Cow<'a, str>>,
    pub(super) provisioner: Option<Cow<'a, str>>,
    pub(super) volume: Option<Cow<'a, str>>,
    pub(super) settings: Settings,
    pub(super) access: AccessModes,
    pub(super) bound: bool,
}

/// How a claim's volume may be mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessModes(u8);

/// What matters of a `StorageClass`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class<'a> {
    pub(super) provisioner: Cow<'a, str>,
    pub(super) default: bool,
    /// Seconds since 1970; 0 where the class was never in a cluster.
    pub(super) created: i64,
    pub(super) parameters: Settings,
}

/// What matters of a `PersistentVolume`: the provisioner that it tells of, if any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume<'a> {
    pub(super) provisioner: Option<Cow<'a, str>>,
}

impl<'a> Claim<'a> {
    /// Reads a claim through `annotation`, which answers a key with its value.
    ///
    /// `class` is `spec.storageClassName`, where absent and empty differ; `volume` is `spec.volumeName`.
    pub fn new<V: Into<Cow<'a, str>>>(
        annotation: impl Fn(&str) -> Option<V>,
        class: Option<&'a str>,
        volume: Option<&'a str>,
    ) -> Self {
        Self::named(annotation, class.map(Cow::Borrowed), volume.map(Cow::Borrowed))
    }

    /// The same with names that may have had to be decoded.
    pub(super) fn named<V: Into<Cow<'a, str>>>(
        annotation: impl Fn(&str) -> Option<V>,
        class: Option<Cow<'a, str>>,
        volume: Option<Cow<'a, str>>,
    ) -> Self {
        Self {
            class: annotation(BETA_STORAGE_CLASS).map(Into::into).or(class),
            provisioner: annotation(BETA_PROVISIONER).or_else(|| annotation(PROVISIONER)).map(Into::into),
            volume: volume.filter(|name| !name.is_empty()),
            settings: Settings::read(|key| annotation(key).map(Into::into)),
            access: AccessModes::default(),
            bound: false,
        }
    }

    /// The same, borrowed from nothing.
    pub fn into_owned(self) -> Claim<'static> {
        let owned = |text: Option<Cow<'a, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        let (class, provisioner, volume) = (owned(self.class), owned(self.provisioner), owned(self.volume));
        Claim { class, provisioner, volume, settings: self.settings, access: self.access, bound: self.bound }
    }

    /// The same with its access modes (of `spec`), and whether `status.phase` is `Bound`.
    #[must_use]
    pub fn with_use(self, access: AccessModes, bound: bool) -> Self {
        Self { access, bound, ..self }
    }
}

impl AccessModes {
    /// In the order of their bits.
    const NAMES: [&str; 4] = ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];

    /// Whether the mode of this name is one of them.
    pub fn contains(self, name: &str) -> bool {
        self.0 & Self::bit(name) != 0
    }

    pub(super) const fn bits(self) -> u8 {
        self.0
    }

    pub(super) const fn from_bits(bits: u8) -> Self {
        Self(bits & 0b1111)
    }

    /// No bit for a mode that Kubernetes has yet to invent.
    fn bit(name: &str) -> u8 {
        Self::NAMES.iter().position(|own| *own == name).map_or(0, |place| 1 << place)
    }
}

impl<'de> Deserialize<'de> for AccessModes {
    /// Reads an array of their names, or null.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ModesVisitor;

        impl<'de> Visitor<'de> for ModesVisitor {
            type Value = AccessModes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of access modes")
            }

            fn visit_unit<E>(self) -> Result<AccessModes, E> {
                Ok(AccessModes::default())
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<AccessModes, S::Error> {
                let mut bits = 0;
                while let Some(name) = seq.next_element::<Text<'de>>()? {
                    bits |= AccessModes::bit(&name);
                }
                Ok(AccessModes(bits))
            }
        }

        deserializer.deserialize_any(ModesVisitor)
    }
}

impl<T: AsRef<str>> FromIterator<T> for AccessModes {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        Self(names.into_iter().fold(0, |bits, name| bits | Self::bit(name.as_ref())))
    }
}

impl<'a> Class<'a> {
    /// Reads a class through `annotation` and `parameter`, which answer a key with its value. `created` is its creation
    /// in seconds since 1970.
    pub fn new<V: AsRef<str>, P: AsRef<str>>(
        annotation: impl Fn(&str) -> Option<V>,
        provisioner: impl Into<Cow<'a, str>>,
        created: i64,
        parameter: impl Fn(&str) -> Option<P>,
    ) -> Self {
        // Kubernetes compares with "true" here, and parses nothing.
        let marked = |key| annotation(key).is_some_and(|value| value.as_ref() == "true");
        Self {
            provisioner: provisioner.into(),
            default: marked(DEFAULT_CLASS) || marked(BETA_DEFAULT_CLASS),
            created,
            parameters: Settings::read(parameter),
        }
    }
}

impl<'a> Volume<'a> {
    /// Reads a volume through `annotation`, which answers a key with its value; `portworx` says whether it has an in-tree
    /// `portworxVolume`, `csi` is `spec.csi.driver`.
    pub fn new<V: Into<Cow<'a, str>>>(
        annotation: impl Fn(&str) -> Option<V>,
        portworx: bool,
        csi: Option<&'a str>,
    ) -> Self {
        let annotated = annotation(PROVISIONED_BY).map(Into::into).filter(|name| !name.is_empty());
        let in_tree = portworx.then_some(Cow::Borrowed(PORTWORX_IN_TREE));
        Self { provisioner: annotated.or(in_tree).or(csi.map(Cow::Borrowed)) }
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
