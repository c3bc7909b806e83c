//! The node of one pod, and the nodes with its data, for `colocate why`.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use anyhow::anyhow;
use serde::Serialize;
use tokio::time::timeout;

use super::bound_volumes::BoundVolumes;
use super::pod_list::{Judge, not_queried};
use super::{Layouts, layouts, read_nodes};
use crate::companion::Strategies;
use crate::config::Config;
use crate::engine::{NO_PROVISIONER, WorkloadObject};
use crate::insight::LivePod;
use crate::inspect::audit::{Auditor, ConfigSource, Rules};
use crate::inspect::cluster::Cluster;
use crate::inspect::why::{ClaimRow, Reader};
use crate::locality::{Adapter, Exemption, Gap, Locality, PlacedPod, StorageDrivers};

/// The longest time for a line of `colocate why`. A gateway needs 4 s for 10,000 volumes.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The node of a pod, and the nodes with its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Whereabouts {
    node: String,
    /// The nodes with a healthy replica of one of its volumes that count.
    replicas: BTreeSet<String>,
    locality: &'static str,
    /// The fact that is missing, if the locality is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl Whereabouts {
    /// Returns true if a claim may belong to a driver. If not, the storage system is not queried.
    pub(in crate::inspect) fn may_count(drivers: &StorageDrivers, source: &ConfigSource, claims: &[ClaimRow]) -> bool {
        let is_known = *source != ConfigSource::NotSeen && drivers.owning(NO_PROVISIONER).is_none();
        let owns = |claim: &ClaimRow| claim.provisioner.as_deref().is_some_and(|own| drivers.owning(own).is_some());
        claims.iter().any(|claim| !is_known || owns(claim))
    }

    /// Queries the storage system. Returns `None` if the pod has no node, if none of its claims belongs to a driver, or if no source
    /// is configured and the cluster has no storage system with a built-in source.
    ///
    /// A failure is reported in `why`. It is also listed as not seen if the configuration names a source.
    pub(in crate::inspect) async fn read(
        reader: &mut Reader,
        (config, source): (&Config, ConfigSource),
        namespace: &str,
        json: &str,
    ) -> Option<Self> {
        let pod: LivePod<'_> = serde_json::from_str(json).ok()?;
        if pod.spec.node_name.is_empty() {
            return None;
        }
        let node = pod.spec.node_name.clone();
        if source == ConfigSource::NotSeen {
            let why = Some(Gap::Configuration.to_string());
            return Some(Self { node, replicas: BTreeSet::new(), locality: "unknown", why });
        }
        Self::ask(reader, (config, source), namespace, json, &pod).await.unwrap_or_else(|error| {
            Some(Self { node, replicas: BTreeSet::new(), locality: "unknown", why: Some(error.to_string()) })
        })
    }

    async fn ask(
        reader: &mut Reader,
        (config, source): (&Config, ConfigSource),
        namespace: &str,
        json: &str,
        pod: &LivePod<'_>,
    ) -> anyhow::Result<Option<Self>> {
        let rules = Rules::new(config, source);
        let access = &mut reader.access;
        let not_seen = access.not_seen.len();
        let cluster = Cluster::read(access, &rules.policy, Some(namespace)).await?;
        let volumes = BoundVolumes::read(access, &rules, Some(namespace), &mut |_| {}).await?;
        let strategies = Strategies::NotInstalled;
        let auditor = Auditor { rules: &rules, cluster: &cluster, webhooks: None, strategies, plan: false };
        let none = Layouts::default();
        let judge = Judge { auditor: &auditor, volumes: &volumes, layouts: &none, nodes: None, is_active: Some(false) };
        let Some(workload) = rules.policy.workloads.find("", "v1", "Pod") else { return Ok(None) };
        let object = WorkloadObject::parse(json, workload)?;
        let claims: Vec<_> = object.claims().collect();
        let drivers = not_queried(&judge.volumes(&claims, namespace, pod));
        let mut own = rules.drivers.0.iter().filter(|driver| drivers.contains(&driver.name));
        let needs_nodes = own.any(|driver| driver.adapters.contains(&Adapter::NodeAffinity));
        let nodes = if needs_nodes { read_nodes(access, Some(namespace), &mut |_| {}).await? } else { None };
        let mut ignored = |_| {};
        let layouts = layouts::read(access, &rules, (&volumes, &drivers), nodes.as_ref(), &mut ignored);
        let layouts = timeout(TIMEOUT, layouts).await;
        let layouts = layouts.map_err(|_| anyhow!("the storage did not answer within {} s", TIMEOUT.as_secs()))??;
        let judge = Judge { layouts: &layouts, nodes: nodes.as_ref(), ..judge };
        let counted = judge.volumes(&claims, namespace, pod);
        let opted_out = auditor.opted_out(namespace);
        let expectation = auditor.expect(workload, namespace, opted_out, json)?;
        let exemption = Exemption::of_pod(expectation.reason, &pod.metadata.annotations);
        let placed = PlacedPod { node: (&*pod.spec.node_name).into(), created: None, exemption, volumes: counted };
        let Some(locality) = placed.locality() else { return Ok(None) };
        let locality = judge.gap(&locality, opted_out).map_or(locality, Locality::Unknown);
        if !config.names_locality() {
            access.not_seen.truncate(not_seen);
            if matches!(locality, Locality::Unknown(Gap::Absent(_) | Gap::NoSource | Gap::NotAsked)) {
                return Ok(None);
            }
        }
        let known = placed.counted().filter_map(|volume| volume.replicas.as_ref().ok());
        let why = match &locality {
            Locality::Unknown(gap) => Some(gap.to_string()),
            _ => None,
        };
        Ok(Some(Self {
            node: pod.spec.node_name.clone(),
            replicas: known.flat_map(|replicas| replicas.healthy().map(ToString::to_string)).collect(),
            locality: locality.as_str(),
            why,
        }))
    }
}

/// The line for people.
impl fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, replicas, locality, why } = self;
        write!(f, "node {node} · replicas ")?;
        if replicas.is_empty() {
            f.write_str("-")?;
        } else {
            f.write_str(&replicas.iter().map(String::as_str).collect::<Vec<_>>().join(", "))?;
        }
        write!(f, " -> {locality}")?;
        why.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
    }
}
