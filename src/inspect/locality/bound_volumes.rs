//! The volumes that claims are bound to.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;

use crate::api::ApiError;
use crate::engine::storage::PersistentVolume;
use crate::engine::{Text, object};
use crate::inspect::access::Access;
use crate::inspect::audit::Rules;
use crate::inspect::kinds;
use crate::locality::{Gap, NodeSelector, Volume, built_in};

/// Volumes by the namespace and the name of the claim.
type VolumesByClaim = HashMap<Box<str>, HashMap<Box<str>, Volume>>;

/// The volumes that claims are bound to.
pub(super) struct BoundVolumes {
    /// `None` if they cannot be listed.
    volumes: Option<VolumesByClaim>,
    /// The drivers of these volumes.
    pub(super) drivers: BTreeSet<Arc<str>>,
    /// The number of volumes of each provisioner that has a built-in source and no driver.
    pub(super) not_counted: BTreeMap<Box<str>, u64>,
}

#[derive(Default)]
struct VolumeList {
    volumes: VolumesByClaim,
    drivers: BTreeSet<Arc<str>>,
    /// The different node affinities. Volumes with the same share it.
    affinities: HashSet<Arc<NodeSelector>>,
    not_counted: BTreeMap<Box<str>, u64>,
}

#[derive(Deserialize)]
struct WithPhase<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    status: Option<Status<'a>>,
}

#[derive(Deserialize)]
struct Status<'a> {
    #[serde(borrow, default)]
    phase: Option<Text<'a>>,
}

impl BoundVolumes {
    /// Lists the volumes that claims of one namespace, or of all, are bound to. Those of no driver are kept, because they may tie a pod to
    /// its node, and because the claim may name a driver.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(super) async fn read(
        access: &mut Access,
        rules: &Rules,
        namespace: Option<&str>,
        progress: &mut impl FnMut(&'static str),
    ) -> Result<Self, ApiError> {
        let hides = "the volumes that claims are bound to, and so where their data is";
        let listed = access.list(kinds::VOLUMES, None, hides, |list: &mut VolumeList, item| {
            progress("persistentvolumes");
            let object: PersistentVolume<'_> = serde_json::from_str(item)?;
            let Some((of, claim)) = object.claim() else { return Ok(()) };
            let phase = serde_json::from_str::<WithPhase<'_>>(item)?.status.and_then(|status| status.phase);
            // A volume keeps the name of a claim that was deleted.
            let is_bound = phase.is_none_or(|phase| phase.is_empty() || *phase == *"Bound");
            if !is_bound || namespace.is_some_and(|namespace| namespace != of) {
                return Ok(());
            }
            let provisioner = object.facts().provisioner;
            let mut volume = Volume::parse(item)?;
            let driver = rules.drivers.of_volume(provisioner.as_ref().map(|(name, _)| &**name), volume.is_local);
            list.drivers.extend(driver.map(|driver| driver.name.clone()));
            if let Some((name, _)) =
                provisioner.filter(|(name, _)| driver.is_none() && !built_in(&[&**name]).is_empty())
            {
                *list.not_counted.entry((*name).into()).or_default() += 1;
            }
            if let Some(affinity) = &mut volume.affinity {
                match list.affinities.get(affinity) {
                    Some(equal) => *affinity = equal.clone(),
                    None => drop(list.affinities.insert(affinity.clone())),
                }
            }
            list.volumes.entry(of.into()).or_default().insert(claim.into(), volume);
            Ok(())
        });
        Ok(match listed.await? {
            Some(VolumeList { volumes, drivers, affinities: _, not_counted }) => {
                Self { volumes: Some(volumes), drivers, not_counted }
            }
            None => Self { volumes: None, drivers: BTreeSet::new(), not_counted: BTreeMap::new() },
        })
    }

    /// Finds the volume that a claim is bound to.
    ///
    /// # Errors
    /// The reason why it is not known.
    pub(super) fn find(&self, namespace: &str, claim: &str) -> Result<&Volume, Gap> {
        let volumes = self.volumes.as_ref().ok_or_else(|| Gap::NoPermission("list persistentvolumes".into()))?;
        let volume = volumes.get(namespace).and_then(|all| all.get(claim));
        volume.ok_or_else(|| Gap::Claim(format!("claim `{claim}` is not bound to a volume").into()))
    }

    /// All volumes.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Volume> {
        self.volumes.iter().flat_map(|volumes| volumes.values().flat_map(HashMap::values))
    }
}
