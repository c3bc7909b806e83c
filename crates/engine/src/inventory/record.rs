//! Compact storage of claims: 40 bytes each, plus the name.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::driver::NO_PROVISIONER;
use super::super::evidence::{Evidence, EvidenceSet};
use super::super::interner::{Handle, Interner};
use super::super::setting::{Settings, short};
use super::super::storage_facts::{AccessModes, ClaimFacts};
use super::super::storage_view::{ClaimUse, NameRef, OwnerHints};

/// Claims by namespace, then by name: a lookup borrows both, and the name of a namespace is stored once.
#[derive(Debug, Default)]
pub(super) struct Records {
    namespaces: HashMap<Box<str>, HashMap<Box<str>, Record>>,
    names: Interner<str>,
    settings: Interner<Settings>,
    len: usize,
}

/// The kept facts of a claim. Strings are shared with other claims.
#[derive(Debug)]
pub(super) struct Record {
    class: Option<Handle>,
    provisioner: Option<Handle>,
    /// Kept only for two sorts of claim: those without a provisioner, to find one, and those with only the GA
    /// annotation, which Stork does not read.
    volume: Option<Handle>,
    /// The provisioner of the volume, once it has been read; empty if the volume has none.
    volume_provisioner: Option<Handle>,
    /// `None` for most claims.
    settings: Option<Handle>,
    /// The last listing that contained it.
    listing: u16,
    /// The field of the volume that names its provisioner, if `volume_provisioner` is set and not empty.
    volume_evidence: Evidence,
    flags: u8,
}

/// Flags in the bits above the access modes. The lowest two are the index of the annotations that name the provisioner.
const ANNOTATIONS_MASK: u8 = 0b11 << ANNOTATIONS_SHIFT;
const ANNOTATIONS_SHIFT: u8 = 4;
const BOUND: u8 = 1 << 6;
const HAS_VOLUME: u8 = 1 << 7;

/// The annotations that name a provisioner, by their index.
const ANNOTATIONS: [&[Evidence]; 3] = [
    &[Evidence::BetaProvisionerAnnotation],
    &[Evidence::GaProvisionerAnnotation],
    &[Evidence::BetaProvisionerAnnotation, Evidence::GaProvisionerAnnotation],
];

/// A map shrinks when its capacity exceeds its length by more than this factor.
const SHRINK_FACTOR: usize = 4;

impl Records {
    pub(super) fn insert(&mut self, namespace: &str, name: &str, claim: &ClaimFacts<'_>, listing: u16) {
        let mut record = self.record(claim, listing);
        if !self.namespaces.contains_key(namespace) {
            self.namespaces.insert(namespace.into(), HashMap::new());
        }
        let Some(claims) = self.namespaces.get_mut(namespace) else { return };
        let Some(old) = claims.get_mut(name) else {
            claims.insert(name.into(), record);
            self.len += 1;
            return;
        };
        std::mem::swap(old, &mut record);
        // The volume is the same, so it need not be read again.
        if old.volume.is_some() && old.volume == record.volume {
            old.volume_provisioner = record.volume_provisioner.take();
            old.volume_evidence = record.volume_evidence;
        }
        self.release(&record);
    }

    pub(super) fn remove(&mut self, namespace: &str, name: &str) {
        let Some(claims) = self.namespaces.get_mut(namespace) else { return };
        let Some(record) = claims.remove(name) else { return };
        if claims.is_empty() {
            self.namespaces.remove(namespace);
        }
        self.len -= 1;
        self.release(&record);
    }

    pub(super) fn keep(&mut self, namespace: &str, name: &str, listing: u16) {
        if let Some(record) = self.namespaces.get_mut(namespace).and_then(|claims| claims.get_mut(name)) {
            record.listing = listing;
        }
    }

    pub(super) fn set_volume_provisioner(
        &mut self,
        namespace: &str,
        name: &str,
        volume: &str,
        provisioner: Option<(&str, Evidence)>,
    ) {
        let (provisioner, evidence) = provisioner.unwrap_or(("", Evidence::ProvisionedBy));
        let handle = self.names.acquire(provisioner, || Arc::from(provisioner));
        let record = self.namespaces.get_mut(namespace).and_then(|claims| claims.get_mut(name));
        let same = |record: &&mut Record| {
            record.volume.and_then(|handle| self.names.get(handle)).is_some_and(|own| **own == *volume)
        };
        let unused = match record.filter(same) {
            Some(record) => {
                record.volume_evidence = evidence;
                record.volume_provisioner.replace(handle)
            }
            None => Some(handle),
        };
        if let Some(unused) = unused {
            self.names.release(unused);
        }
    }

    /// Removes all claims of the namespace, or of all namespaces, that this listing did not contain.
    pub(super) fn retain_listed(&mut self, namespace: Option<&str>, listing: u16) {
        let mut gone = Vec::new();
        self.namespaces.retain(|own, claims| {
            if namespace.is_none_or(|namespace| **own == *namespace) {
                gone.extend(claims.extract_if(|_, record| record.listing != listing).map(|(_, record)| record));
                if claims.capacity() / SHRINK_FACTOR > claims.len() {
                    claims.shrink_to_fit();
                }
            }
            !claims.is_empty()
        });
        self.len -= gone.len();
        for record in &gone {
            self.release(record);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Record> {
        self.namespaces.get(namespace)?.get(name)
    }

    /// The fields of a record that lead to its owner.
    pub(super) fn hints(&self, record: &Record) -> OwnerHints<'_> {
        let name = |handle: Option<Handle>| handle.and_then(|handle| self.names.get(handle));
        let index = (record.flags & ANNOTATIONS_MASK) >> ANNOTATIONS_SHIFT;
        OwnerHints {
            class: name(record.class).map(NameRef::Shared),
            provisioner: name(record.provisioner).map(|name| (NameRef::Shared(name), annotations(index))),
            volume: name(record.volume).map(NameRef::Shared),
            has_volume: record.flags & HAS_VOLUME != 0,
            volume_provisioner: name(record.volume_provisioner).map(|name| (name, record.volume_evidence)),
        }
    }

    /// The access modes of each claim that names a class or, if `is_default`, gets it because it names none.
    pub(super) fn of_class(&self, name: &str, is_default: bool) -> impl Iterator<Item = AccessModes> {
        let class = self.names.find(short(name));
        let records = self.namespaces.values().flat_map(HashMap::values);
        let own = records.filter(move |record| match record.class {
            Some(_) => record.class == class,
            None => is_default && record.flags & HAS_VOLUME == 0,
        });
        own.map(|record| AccessModes::from_bits(record.flags))
    }

    pub(super) fn claim_use(&self, record: &Record) -> ClaimUse<'_> {
        ClaimUse {
            class: record.class.and_then(|handle| self.names.get(handle)).map(AsRef::as_ref),
            access: AccessModes::from_bits(record.flags),
            bound: record.flags & (BOUND | HAS_VOLUME) != 0,
            settings: record.settings.and_then(|handle| self.settings.get(handle)).map(AsRef::as_ref),
        }
    }

    fn record(&mut self, claim: &ClaimFacts<'_>, listing: u16) -> Record {
        let mut name = |name: &str| {
            let name = short(name);
            self.names.acquire(name, || Arc::from(name))
        };
        let provisioner = claim.provisioner.as_ref();
        let needs_volume = provisioner.is_none_or(|(name, _)| ["", NO_PROVISIONER].contains(&&**name));
        let evidence = provisioner.filter(|_| !needs_volume).map(|(_, evidence)| *evidence);
        let is_ga_only = evidence == Some(Evidence::GaProvisionerAnnotation.into());
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        Record {
            class: claim.class.as_deref().map(&mut name),
            provisioner: provisioner.map(|(provisioner, _)| name(provisioner)),
            volume: claim.volume.as_deref().filter(|_| needs_volume || is_ga_only).map(&mut name),
            volume_provisioner: None,
            volume_evidence: Evidence::ProvisionedBy,
            settings: (!claim.settings.is_empty())
                .then(|| self.settings.acquire(&claim.settings, || Arc::new(claim.settings.clone()))),
            listing,
            flags: claim.access.bits()
                | evidence.map_or(0, |evidence| index_of(evidence) << ANNOTATIONS_SHIFT)
                | flag(claim.bound, BOUND)
                | flag(claim.volume.is_some(), HAS_VOLUME),
        }
    }

    fn release(&mut self, record: &Record) {
        let names = [record.class, record.provisioner, record.volume, record.volume_provisioner];
        names.into_iter().flatten().for_each(|name| self.names.release(name));
        if let Some(settings) = record.settings {
            self.settings.release(settings);
        }
    }
}

/// The annotations with this index.
fn annotations(index: u8) -> EvidenceSet {
    let annotations = ANNOTATIONS.get(usize::from(index)).copied().unwrap_or_default();
    annotations.iter().fold(EvidenceSet::default(), |set, own| set.with(*own))
}

/// The index of these annotations.
fn index_of(evidence: EvidenceSet) -> u8 {
    (0..).zip(ANNOTATIONS).find_map(|(index, _)| (annotations(index) == evidence).then_some(index)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_and_its_name_pointer_take_forty_bytes() {
        assert_eq!(size_of::<(Box<str>, Record)>(), 40);
    }

    fn claim<'a>(class: &'a str, volume: &'a str) -> ClaimFacts<'a> {
        let settings = Settings::read(|key| (key == "placement_strategy").then_some("spread"));
        ClaimFacts { class: Some(class.into()), volume: Some(volume.into()), settings, ..ClaimFacts::default() }
    }

    #[test]
    fn names_without_a_claim_are_released() {
        let mut records = Records::default();
        for number in 0..3 {
            let (class, volume) = (format!("class-{number}"), format!("volume-{number}"));
            records.insert("a", "data", &claim(&class, &volume), 0);
            records.set_volume_provisioner("a", "data", &volume, Some(("pxd.portworx.com", Evidence::InTree)));
            records.set_volume_provisioner("a", "data", "another", Some(("other.example.test", Evidence::StaticCsi)));
            records.set_volume_provisioner("a", "data", &volume, None);
        }
        assert_eq!((records.names.len(), records.settings.len(), records.len()), (3, 1, 1));
        records.remove("a", "data");
        assert_eq!((records.names.len(), records.settings.len(), records.len()), (0, 0, 0));
        assert!(records.namespaces.is_empty());
    }
}
