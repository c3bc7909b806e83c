//! The locality of a cluster's pods: whether they run on nodes that hold their volumes' data, and why not.

mod asked_pods;
mod bound_volumes;
mod extender_call;
mod layouts;
mod placement;
mod pod_list;
mod service_proxy;
mod whereabouts;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::join_all;

use super::access::Access;
use super::audit::{Auditor, ConfigSource, read_cluster};
use super::kinds;
use super::webhooks::Webhooks;
use super::why::{Question, Reader, Target};
use crate::api::{ApiError, ClusterChoice};
use crate::companion::Strategies;
use crate::config::Config;
use crate::engine::Mode;
use crate::insight::Verdict;
use crate::locality::{
    Circumstances, EvictionCandidate, Gain, GainCount, Layout, Locality, Node, Nodes, Service, Shares, StorageDrivers,
    WhyNot,
};

pub(crate) use placement::{PlaceQuestion, PlacedNode, Placement, PodSource};
pub(crate) use whereabouts::Whereabouts;

use bound_volumes::BoundVolumes;
use pod_list::{Judge, JudgedPod, PodList};

/// The most pods that are kept with their reasons. All are counted. They take 1 MB.
const MAX_KEPT: usize = 1_000;

/// The maximum number of pods that `why` is asked about, one of each group. Each takes as long as `colocate why`.
const MAX_EXPLAINED: usize = 20;

/// The number of pods about which this is asked at once.
const EXPLAINED_AT_ONCE: usize = 5;

/// The part of a cluster to examine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalityQuestion<'a> {
    /// The cluster, as the user named it.
    pub(crate) cluster: ClusterChoice<'a>,
    /// The configuration that the user named; without one, it is read from the cluster.
    pub(crate) config: Option<&'a Config>,
    /// The namespace; `None` for all.
    pub(crate) namespace: Option<&'a str>,
}

/// The result for a cluster.
#[derive(Debug, Default)]
pub(crate) struct LocalityReport {
    /// Whether the namespace does not exist. Then nothing else is known.
    pub(crate) is_namespace_missing: bool,
    /// The origin of the configuration.
    pub(crate) config: ConfigSource,
    /// The pods; `None` if they cannot be listed.
    pub(crate) shares: Option<Shares>,
    /// The pods that would be local if they were evicted now; `None` if the nodes or the pods cannot be read, or
    /// only those of one namespace are.
    pub(crate) gain: Option<GainCount>,
    /// The drivers whose volumes exist, each with the source of its layout, or the reason why there is none.
    pub(crate) sources: Vec<SourceRow>,
    /// The number of bound claims of each provisioner that has a built-in source and no driver in the configuration.
    pub(crate) not_counted: BTreeMap<Box<str>, u64>,
    /// The first pods that are not local.
    pub(crate) non_local: Vec<NonLocalPod>,
    /// The first pods of which a fact is missing.
    pub(crate) unknown: Vec<UnknownPod>,
    /// The number of pods that are counted and not kept.
    pub(crate) more: u64,
}

/// The source of the layout of a driver's volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceRow {
    pub(crate) driver: Arc<str>,
    /// The source that answered, or the reason why none did.
    pub(crate) source: Result<String, String>,
}

/// The place of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodPlace {
    pub(crate) namespace: Box<str>,
    pub(crate) name: Box<str>,
    /// The kind and the name of its topmost known controller, or of itself.
    pub(crate) workload: (Box<str>, Box<str>),
    pub(crate) driver: Arc<str>,
    pub(crate) node: Box<str>,
}

/// A pod that is not local.
#[derive(Clone, Debug)]
pub(crate) struct NonLocalPod {
    pub(crate) pod: PodPlace,
    pub(crate) locality: Locality,
    /// The nodes with a replica of each of its volumes.
    pub(crate) replicas: Vec<Arc<str>>,
    /// The nodes with a replica of at least one of them.
    pub(crate) some_replicas: Vec<Arc<str>>,
    /// The reasons, the decisive one first.
    pub(crate) why_not: Vec<WhyNot>,
    /// The node on which it would be local if it were evicted now.
    pub(crate) target: Option<String>,
}

/// A pod of which a fact is missing.
#[derive(Clone, Debug)]
pub(crate) struct UnknownPod {
    pub(crate) pod: PodPlace,
    pub(crate) word: &'static str,
    pub(crate) why: String,
}

impl LocalityReport {
    /// Reads a cluster. `progress` is called with what is read, and again for each object.
    ///
    /// # Errors
    /// If the API server does not answer. What the user may not read is in [`Access::not_seen`].
    pub(crate) async fn read(
        reader: &mut Reader,
        question: LocalityQuestion<'_>,
        mut progress: impl FnMut(&'static str),
    ) -> Result<Self, ApiError> {
        let namespace = question.namespace;
        let (cluster, rules, webhooks) = read_cluster(reader, question.config, namespace).await?;
        if namespace.is_some_and(|name| cluster.lacks(name)) {
            return Ok(Self { is_namespace_missing: true, ..Self::default() });
        }
        let access = &mut reader.access;
        let nodes = read_nodes(access, namespace, &mut progress).await?;
        let volumes = BoundVolumes::read(access, &rules, namespace, &mut progress).await?;
        let not_counted =
            if rules.source == ConfigSource::NotSeen { BTreeMap::new() } else { volumes.not_counted.clone() };
        let mut layouts =
            layouts::read(access, &rules, (&volumes, &volumes.drivers), nodes.as_ref(), &mut progress).await?;
        let mut report = Self { config: rules.source.clone(), not_counted, ..Self::default() };
        let is_registered = webhooks.as_ref().map(Webhooks::has_colocate);
        let is_active = if rules.policy.mode == Mode::Inject { is_registered } else { Some(false) };
        let strategies = Strategies::NotInstalled;
        let auditor =
            Auditor { rules: &rules, cluster: &cluster, webhooks: webhooks.as_ref(), strategies, plan: false };
        let Some(workload) = rules.policy.workloads.find("", "v1", "Pod") else { return Ok(report) };
        let none = Layouts::default();
        let judge = Judge { auditor: &auditor, volumes: &volumes, layouts: &none, nodes: nodes.as_ref(), is_active };
        let first = Judge { layouts: &layouts, ..judge };
        let first = PodList::read(&mut reader.access, first, (workload, namespace), "pods", &mut progress);
        let list = match first.await? {
            Some(PodList { not_queried, .. }) if !not_queried.is_empty() => {
                // A list is read in pages and not kept, so it is read again.
                let access = &mut reader.access;
                let more = (&volumes, &not_queried);
                layouts.add(layouts::read(access, &rules, more, nodes.as_ref(), &mut progress).await?);
                let judge = Judge { layouts: &layouts, ..judge };
                PodList::read(access, judge, (workload, namespace), "pods again", &mut progress).await?
            }
            list => list,
        };
        let Some(mut list) = list else {
            report.sources = layouts.sources(&rules, &BTreeSet::new());
            return Ok(report);
        };
        let asked = std::mem::take(&mut list.asked);
        let answers = asked_pods::ask(&mut reader.access, &layouts, &asked, &mut progress).await?;
        list.add_asked(asked, &answers);
        report.sources = layouts.sources(&rules, &asked_pods::answered(&answers));
        Box::pin(report.add(list, &Judge { layouts: &layouts, ..judge }, reader, question, progress)).await;
        Ok(report)
    }

    /// Counts the pods, and finds the reasons of those that are not local, for which all pods must be known.
    async fn add(
        &mut self,
        list: PodList<'_>,
        judge: &Judge<'_>,
        reader: &Reader,
        question: LocalityQuestion<'_>,
        progress: impl FnMut(&'static str),
    ) {
        let PodList { mut shares, non_local, unknown, more, nodes, asked: _, not_queried: _ } = list;
        // Without the pods of other namespaces, no node is considered full.
        let nodes = nodes.or_else(|| judge.nodes.cloned());
        let mut gain = nodes.clone().filter(|_| question.namespace.is_none()).map(Gain::new);
        let drivers = &judge.auditor.rules.drivers;
        let causes = causes_of(reader, drivers, &non_local, gain.as_ref(), question, progress).await;
        let candidate = |(judged, cause)| candidate(judged, drivers, nodes.as_ref(), cause);
        let candidates: Vec<_> = non_local.iter().zip(causes).map(candidate).collect();
        let targets = gain.as_mut().map_or_else(|| vec![None; candidates.len()], |gain| gain.add(&candidates));
        let reasons: Vec<_> = candidates.iter().map(|own| own.circumstances.why_not(own.pod)).collect();
        for ((judged, why_not), target) in non_local.into_iter().zip(reasons).zip(targets) {
            let JudgedPod { place, locality, pod, .. } = judged;
            shares.add(place.key(), &locality, why_not.first().map(WhyNot::as_str));
            let replicas = pod.common_nodes().into_iter().cloned().collect();
            let some_replicas = pod.replica_nodes().into_iter().cloned().collect();
            if self.non_local.len() < MAX_KEPT {
                self.non_local.push(NonLocalPod { pod: place, locality, replicas, some_replicas, why_not, target });
            } else {
                self.more += 1;
            }
        }
        self.gain = gain.map(|gain| gain.count);
        self.shares = Some(shares);
        self.unknown = unknown;
        self.more += more;
    }
}

/// The reason why a pod has the wrong scheduler, as far as it is known.
#[derive(Clone, Copy, Default)]
struct Cause<'a> {
    /// The verdict about the pod of its group that was asked about.
    verdict: Option<Verdict>,
    /// The name of that pod, if it is another one. Pods of a group can have missed colocate for different reasons.
    about: Option<&'a str>,
    /// Whether creating the pod again is enough; `None` if this was not asked, or is not known. Pods of a group come from the same
    /// template, so either all of them would get the scheduler, or none would.
    is_recreation: Option<bool>,
}

/// Returns a pod with what is known about the scheduler of its replacement.
fn candidate<'a>(
    judged: &'a JudgedPod<'_>,
    drivers: &'a StorageDrivers,
    nodes: Option<&'a Nodes>,
    Cause { verdict, about, is_recreation }: Cause<'a>,
) -> EvictionCandidate<'a> {
    let is_fixed = match (judged.would_reach_colocate, is_recreation) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    };
    let circumstances = Circumstances {
        verdict,
        verdict_about: about,
        is_fixed_by_recreation: is_fixed,
        ..judged.circumstances(drivers, nodes)
    };
    EvictionCandidate { pod: &judged.pod, circumstances, has_controller: judged.has_controller }
}

/// Asks `why` about the first pod of each of the largest groups of pods with the wrong scheduler, [`EXPLAINED_AT_ONCE`] at a time. Returns
/// one cause for each pod.
async fn causes_of<'a>(
    reader: &Reader,
    drivers: &StorageDrivers,
    non_local: &'a [JudgedPod<'_>],
    gain: Option<&Gain>,
    asked: LocalityQuestion<'_>,
    mut progress: impl FnMut(&'static str),
) -> Vec<Cause<'a>> {
    let mut groups = HashMap::<_, Vec<usize>>::new();
    for (index, pod) in non_local.iter().enumerate().filter(|(_, pod)| pod.is_wrong(drivers)) {
        groups.entry(pod.group()).or_default().push(index);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    // The answer matters most for pods that might gain.
    groups.sort_by_cached_key(|pods| {
        let first = candidate(&non_local[pods[0]], drivers, None, Cause::default());
        let might_gain = gain.map_or(first.has_controller, |gain| gain.target(&first).is_some());
        (!might_gain, Reverse(pods.len()), pods[0])
    });
    groups.truncate(MAX_EXPLAINED);
    let mut causes = vec![Cause::default(); non_local.len()];
    for groups in groups.chunks(EXPLAINED_AT_ONCE) {
        let answers = groups.iter().map(|pods| verdict_of(reader, &non_local[pods[0]].place, asked));
        for (pods, answer) in groups.iter().zip(join_all(answers).await) {
            progress("workloads asked about");
            let Some((verdict, is_recreation)) = answer else { continue };
            let cause = Cause {
                verdict: Some(verdict),
                about: Some(&non_local[pods[0]].place.name),
                is_recreation: Some(is_recreation).filter(|_| verdict != Verdict::Unknown),
            };
            for index in pods {
                causes[*index] = cause;
            }
            causes[pods[0]].about = None;
        }
    }
    causes
}

/// Asks why a pod has its scheduler, and whether creating it again is enough; `None` if there is no answer.
async fn verdict_of(reader: &Reader, place: &PodPlace, asked: LocalityQuestion<'_>) -> Option<(Verdict, bool)> {
    let target = Target::parse("pod", Some(&place.name)).ok()?;
    let question = Question {
        target: &target,
        namespace: &place.namespace,
        cluster: asked.cluster,
        config: asked.config.cloned(),
        dry_run: false,
        locate: false,
    };
    let report = Box::pin(question.answer(reader.access.client.clone())).await.ok()?;
    Some((report.cause.verdict, report.cause.fix.is_some_and(|fix| fix.is_recreation)))
}

/// Lists the nodes; `None` if they cannot be listed.
async fn read_nodes(
    access: &mut Access,
    namespace: Option<&str>,
    progress: &mut impl FnMut(&'static str),
) -> Result<Option<Nodes>, ApiError> {
    let hides = "the nodes of local volumes, whether a node could run a pod, and so the gain of evictions";
    let nodes = access.list(kinds::NODES, None, hides, |nodes: &mut Vec<Node>, item| {
        progress("nodes");
        nodes.push(Node::parse(item)?);
        Ok(())
    });
    let Some(list) = nodes.await? else { return Ok(None) };
    let mut nodes = Nodes::new(namespace.is_none());
    for node in list {
        nodes.insert(node);
    }
    Ok(Some(nodes))
}

/// The layouts of the drivers.
#[derive(Default)]
struct Layouts {
    /// The layouts, each with its source.
    layouts: HashMap<Arc<str>, (Layout, Option<String>)>,
    /// The extenders of drivers whose layouts no other source knows.
    extenders: HashMap<Arc<str>, Service>,
}
