//! The placement of one pod, as the extender of its driver's scheduler decides about it.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};

use super::bound_volumes::BoundVolumes;
use super::extender_call::{CandidateNodes, ExtenderAnswers, before_placement};
use super::pod_list::{Judge, not_queried};
use super::{Layouts, layouts};
use crate::companion::Strategies;
use crate::config::Config;
use crate::engine::{ClaimRef, DEFAULT_SCHEDULER, Owner, Policy, WorkloadObject};
use crate::insight::LivePod;
use crate::inspect::access::Found;
use crate::inspect::audit::{Auditor, Rules};
use crate::inspect::cluster::{Cluster, read_storage};
use crate::inspect::kinds;
use crate::inspect::layer::FileObject;
use crate::inspect::why::Reader;
use crate::locality::{Adapter, Gap, Locality, Nodes, PlacedPod, PodVolume, Replicas, Service};

/// A question about one pod.
pub(crate) struct PlaceQuestion<'a> {
    /// The configuration that the user named; without one, it is read from the cluster.
    pub(crate) config: Option<&'a Config>,
    pub(crate) namespace: &'a str,
    pub(crate) pod: PodSource<'a>,
}

/// The origin of a pod.
pub(crate) enum PodSource<'a> {
    /// A pod of the cluster, by its name.
    Live(&'a str),
    /// The objects of files, one of which describes pods.
    Files(&'a [FileObject]),
}

/// The answers of the extender.
#[derive(Debug)]
pub(crate) struct Placement {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) driver: Arc<str>,
    /// The scheduler that calls this extender.
    pub(crate) scheduler: Arc<str>,
    /// The scheduler that the pod names.
    pub(crate) named: String,
    pub(crate) extender: String,
    /// The message with which the extender rejects all nodes.
    pub(crate) refusal: Option<String>,
    /// The nodes: those that pass first, in the order of their scores.
    pub(crate) nodes: Vec<PlacedNode>,
}

/// The answers about one node.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PlacedNode {
    pub(crate) node: String,
    pub(crate) passes: bool,
    /// The extender's message about a node that does not pass, if it returned one.
    pub(crate) why: Option<String>,
    /// The score; `None` if the extender gives none.
    pub(crate) score: Option<i64>,
    /// The locality that the pod would have there; `None` if it is not known.
    pub(crate) data: Option<Locality>,
}

impl Placement {
    /// Asks the extender. Creates nothing.
    ///
    /// # Errors
    /// If the pod does not exist or may not be read, no extender is known for its volumes, or one does not answer.
    pub(crate) async fn read(reader: &mut Reader, question: PlaceQuestion<'_>) -> anyhow::Result<Self> {
        let PlaceQuestion { config, namespace, pod } = question;
        let namespace = pod.namespace().unwrap_or(namespace);
        let mut cluster = Cluster::without_storage(&mut reader.access, Some(namespace)).await?;
        let rules = Rules::read(reader, config, Some(namespace), &cluster).await?;
        let object = match pod {
            PodSource::Live(name) => live_pod(reader, namespace, name).await?,
            PodSource::Files(files) => described_pod(&rules.policy, files)?,
        };
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or(namespace).to_owned();
        let access = &mut reader.access;
        cluster.inventory = read_storage(access, &rules.policy, Some(&namespace)).await?;
        let mut listed = CandidateNodes::read(access)
            .await?
            .ok_or_else(|| anyhow!("nodes cannot be listed (grant the verb `list` on `nodes`)"))?;
        let mut nodes = Nodes::new(false);
        for node in listed.nodes.drain(..) {
            nodes.insert(node);
        }
        let volumes = BoundVolumes::read(access, &rules, Some(&namespace), &mut |_| {}).await?;
        let strategies = Strategies::NotInstalled;
        let auditor = Auditor { rules: &rules, cluster: &cluster, webhooks: None, strategies, plan: false };
        let none = Layouts::default();
        let judge =
            Judge { auditor: &auditor, volumes: &volumes, layouts: &none, nodes: Some(&nodes), is_active: Some(false) };

        let json = object.to_string();
        let workload = rules.policy.workloads.find("", "v1", "Pod").context("Pods are not configured")?;
        let parsed = WorkloadObject::parse(&json, workload).context("the pod cannot be decoded")?;
        let claims: Vec<_> = parsed.claims().collect();
        let rank = claims.iter().filter_map(|claim| rank_of(&auditor, claim, &namespace)).min();
        let Some(rank) = rank else { return Err(no_driver(&auditor, &claims, &namespace)) };
        let driver = &rules.policy.drivers.0[rank];
        let extender = extender_of(&rules, &driver.name).ok_or_else(|| {
            anyhow!("driver {} has no extender: set `locality: [{{kind: extender, ...}}]` of the driver", driver.name)
        })?;

        let live: LivePod<'_> = serde_json::from_str(&json)?;
        let drivers = not_queried(&judge.volumes(&claims, &namespace, &live));
        let layouts = layouts::read(access, &rules, (&volumes, &drivers), Some(&nodes), &mut |_| {}).await?;
        let judge = Judge { layouts: &layouts, ..judge };
        let mut counted = judge.volumes(&claims, &namespace, &live);
        let hides = format!("the answers of the extender of driver {}", driver.name);
        let answers = listed.ask(access, &extender, &object, &hides).await?;
        let answers = answers.map_err(|gap| anyhow!("cannot call the extender: {gap}"))?;
        let shown = shown_replicas(&answers, &counted, &driver.name);
        for volume in counted.iter_mut().filter(|volume| volume.driver == driver.name) {
            // Only a gap of the whole storage system is replaced. Any other, such as an unbound claim, concerns this volume only.
            if layouts.gap(&driver.name).is_some_and(|gap| volume.replicas.as_ref() == Err(gap)) {
                volume.replicas = shown.as_ref().map_err(Clone::clone);
            }
        }
        let ExtenderAnswers { filter, refusal, scores } = answers;
        let names: BTreeSet<String> = nodes.iter().map(|node| node.name.to_string()).collect();
        let mut placed: Vec<_> = names
            .into_iter()
            .map(|node| {
                let pod = PlacedPod { node: (&*node).into(), created: None, exemption: None, volumes: counted.clone() };
                let data = pod.locality().filter(|locality| !matches!(locality, Locality::Unknown(_)));
                let passes = refusal.is_none() && filter.passed.contains(&*node);
                let why = filter.failed.get(&*node).cloned();
                PlacedNode { passes, why, score: scores.of(&node), data, node }
            })
            .collect();
        placed.sort_by_key(|placed| (!placed.passes, std::cmp::Reverse(placed.score)));
        let name = ["name", "generateName"].iter().find_map(|key| object["metadata"][key].as_str()).unwrap_or_default();
        Ok(Self {
            pod: name.to_owned(),
            namespace: namespace.clone(),
            driver: driver.name.clone(),
            scheduler: driver.scheduler.clone(),
            named: object["spec"]["schedulerName"].as_str().unwrap_or(DEFAULT_SCHEDULER).to_owned(),
            extender: extender.name.to_string(),
            refusal,
            nodes: placed,
        })
    }
}

/// Returns the replicas of the volumes of a driver that the scores of its extender show, as for `colocate locality`.
fn shown_replicas(answers: &ExtenderAnswers, volumes: &[PodVolume<'_>], driver: &str) -> Result<Replicas, Gap> {
    let ExtenderAnswers { filter, refusal, scores } = answers;
    let pod = PlacedPod { node: "".into(), created: None, exemption: None, volumes: volumes.to_vec() };
    match pod.scored(driver) {
        Some(scored) if refusal.is_none() => scores.replicas(scored, filter),
        _ => Err(Gap::Scores),
    }
}

impl PodSource<'_> {
    /// The namespace of all objects of the files, if it is the same one.
    fn namespace(&self) -> Option<&str> {
        let Self::Files(files) = self else { return None };
        let mut namespaces = files.iter().map(|file| &*file.namespace);
        let first = namespaces.next()?;
        namespaces.all(|other| other == first).then_some(first)
    }
}

/// Gets a pod, as it was before it had a node.
async fn live_pod(reader: &mut Reader, namespace: &str, name: &str) -> anyhow::Result<Value> {
    let json = match reader.access.get(kinds::PODS, Some(namespace), name, "the pod").await? {
        Found::Object(json) => json,
        Found::Absent => {
            return Err(anyhow!("Pod {namespace}/{name} does not exist: check the name and the namespace (-n)"));
        }
        Found::NotSeen => {
            return Err(anyhow!("Pod {namespace}/{name} cannot be read (grant the verb `get` on `pods`)"));
        }
    };
    let live: Value = serde_json::from_str(&json)?;
    Ok(before_placement(&live))
}

/// Makes the pod that the one workload in the files describes.
fn described_pod(policy: &Policy, files: &[FileObject]) -> anyhow::Result<Value> {
    let with_pods = |file: &&FileObject| policy.workloads.find_object(&file.api_version, &file.kind).is_some();
    let found: Vec<_> = files.iter().filter(with_pods).collect();
    let [file] = found[..] else {
        let names: Vec<_> = found.iter().map(|file| format!("{} {}", file.kind, file.name)).collect();
        return Err(if names.is_empty() {
            anyhow!("the files have no pod and no workload: name a file with one")
        } else {
            anyhow!("the files have more than one pod or workload ({}): name a file with one", names.join(", "))
        });
    };
    let workload = policy.workloads.find_object(&file.api_version, &file.kind).context("the kind is not configured")?;
    let template = workload.path.iter().try_fold(&file.value, |value, key| value.get(key));
    let template = template.filter(|template| template["spec"].is_object());
    let template = template.with_context(|| format!("{}: {} {} has no pod spec", file.place, file.kind, file.name))?;
    let name = if file.kind == "Pod" { file.name.clone() } else { format!("{}-0", file.name) };
    let mut pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]});
    if !pod["metadata"].is_object() {
        pod["metadata"] = json!({});
    }
    pod["metadata"]["name"] = name.as_str().into();
    pod["metadata"]["namespace"] = file.namespace.as_str().into();
    // A StatefulSet gives its first pod these claims.
    let templates = file.value.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
    let claims = templates.into_iter().flatten().filter_map(|claim| claim.pointer("/metadata/name")?.as_str());
    for claim in claims {
        let source = json!({"name": claim, "persistentVolumeClaim": {"claimName": format!("{claim}-{name}")}});
        match pod["spec"]["volumes"].as_array_mut() {
            Some(volumes) => {
                volumes.retain(|volume| volume["name"] != claim);
                volumes.push(source);
            }
            None => pod["spec"]["volumes"] = json!([source]),
        }
    }
    Ok(pod)
}

/// The rank of the driver of a claim, if it is known.
fn rank_of(auditor: &Auditor<'_>, claim: &ClaimRef<'_>, namespace: &str) -> Option<usize> {
    match auditor.facts().owner(claim, namespace) {
        Owner::Provisioner { provisioner, .. } => Some(auditor.rules.policy.drivers.owning(&provisioner)?.0),
        Owner::NoProvisioner | Owner::Missing | Owner::Unknown(_) => None,
    }
}

/// Explains why no driver is known.
fn no_driver(auditor: &Auditor<'_>, claims: &[ClaimRef<'_>], namespace: &str) -> anyhow::Error {
    let missing = claims.iter().find(|claim| match auditor.facts().owner(claim, namespace) {
        Owner::Missing | Owner::Unknown(_) => true,
        Owner::Provisioner { .. } | Owner::NoProvisioner => false,
    });
    match missing {
        Some(claim) => {
            anyhow!("the driver of {claim} is not known: check that the claim and its class exist and may be read")
        }
        None => anyhow!(
            "no claim of the pod belongs to a configured driver with a scheduler, so there is no extender to call: add the driver and its scheduler to `drivers`. For drivers without one, use `colocate locality`"
        ),
    }
}

/// The extender of a driver.
fn extender_of(rules: &Rules, driver: &str) -> Option<Service> {
    rules.drivers.find(driver)?.adapters.iter().find_map(|adapter| match adapter {
        Adapter::Extender(service) => Some(service.clone()),
        _ => None,
    })
}
