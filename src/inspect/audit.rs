//! The audit of a cluster: whether pods and templates name the expected scheduler, the findings of the companion,
//! and the webhooks that are called for pods.

mod auditor;
mod forecast;
mod judgement;
mod live_object;
mod pod_list;
mod rules;
mod templates;
mod workload_list;

use std::collections::{BTreeSet, HashMap};

use super::access::{Access, Found, Listing};
use super::cluster::{Cluster, read_storage};
use super::findings::Findings;
use super::kinds;
use super::layer::{FileForecast, FileObject, Layer, PodChanges};
use super::webhooks::{self, Stork, Webhooks};
use super::why::Reader;
use crate::api::ApiError;
use crate::companion::{Strategies, SubjectKind};
use crate::config::Config;
use crate::engine::{Absence, Mode, dns};
use crate::insight::{Budget, Census, RepairPlan, WrongPod};

use forecast::{Forecast, capture, capture_workload};
use pod_list::{Controllers, PodList};
use templates::Templates;
use workload_list::{WORKLOADS, WorkloadList, consequence};

pub(super) use auditor::Auditor;
pub(super) use live_object::Live;
pub(crate) use rules::ConfigSource;
pub(super) use rules::{CustomKind, Rules};

/// The part of a cluster to audit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AuditQuestion<'a> {
    /// The configuration that the user named; without one, it is read from the cluster.
    pub(crate) config: Option<&'a Config>,
    /// The namespace; `None` for all.
    pub(crate) namespace: Option<&'a str>,
    /// The objects of files to lay over the cluster; `None` without files.
    pub(crate) files: Option<&'a [FileObject]>,
    /// Whether to plan the repair.
    pub(crate) plan: bool,
}

/// The result for a cluster.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// Whether the namespace does not exist and the files do not create it. Then nothing else is known.
    pub(crate) is_namespace_missing: bool,
    /// The origin of the configuration.
    pub(crate) config: ConfigSource,
    /// The mode of the configuration.
    pub(crate) mode: Mode,
    /// Whether a webhook of colocate is registered for pods; `None` if the configurations cannot be read.
    pub(crate) installed: Option<bool>,
    /// The pods; `None` if they cannot be read.
    pub(crate) pods: Option<Census>,
    /// The plan for the pods that are wrong, if one is wanted.
    pub(crate) plan: RepairPlan,
    /// The pod templates of the workloads that can be read; `None` if no kind can be.
    pub(crate) templates: Option<Census>,
    /// Whether the workloads of a kind cannot be read.
    pub(crate) more_templates: bool,
    /// The findings of the companion.
    pub(crate) findings: Findings,
    /// The number of claims; `None` if they cannot be read.
    pub(crate) claims: Option<usize>,
    /// The number of classes; `None` if they cannot be read.
    pub(crate) classes: Option<usize>,
    /// The webhooks; `None` if they cannot be read.
    pub(crate) webhooks: Option<Webhooks>,
    /// Stork's own webhook; `None` if the configurations cannot be read.
    pub(crate) stork: Option<Stork>,
    /// The changes that the files would make; `None` without files.
    pub(crate) files: Option<FileForecast>,
}

/// Reads the facts of a cluster, with the configuration that decides about them and the webhooks, which are `None` if they cannot be
/// read.
pub(super) async fn read_cluster(
    reader: &mut Reader,
    config: Option<&Config>,
    namespace: Option<&str>,
) -> Result<(Cluster, Rules, Option<Webhooks>), ApiError> {
    let mut cluster = Cluster::without_storage(&mut reader.access, namespace).await?;
    let rules = Rules::read(reader, config, namespace, &cluster).await?;
    cluster.inventory = read_storage(&mut reader.access, &rules.policy, namespace).await?;
    let webhooks = cluster.webhooks.as_deref().map(Webhooks::read).transpose();
    let webhooks = webhooks.map_err(|error| kinds::MUTATING_WEBHOOKS.resource.failed("list", error))?;
    Ok((cluster, rules, webhooks))
}

impl Audit {
    /// Reads a cluster. `progress` is called with what is read, and again for each object.
    ///
    /// # Errors
    /// If the API server does not answer. What the user may not read is in [`Access::not_seen`].
    pub(crate) async fn read(
        reader: &mut Reader,
        question: AuditQuestion<'_>,
        mut progress: impl FnMut(&'static str),
    ) -> Result<Self, ApiError> {
        let namespace = question.namespace;
        let (cluster, rules, webhooks) = read_cluster(reader, question.config, namespace).await?;
        let creates = |name: &str| question.files.is_some_and(|files| files.iter().any(|file| file.is_namespace(name)));
        if namespace.is_some_and(|name| cluster.lacks(name) && !creates(name)) {
            return Ok(Self { is_namespace_missing: true, ..Self::default() });
        }
        let access = &mut reader.access;
        let policy = &rules.policy;
        let strategies = strategies(access).await?;
        let auditor =
            Auditor { rules: &rules, cluster: &cluster, webhooks: webhooks.as_ref(), strategies, plan: question.plan };
        let mut layer = question.files.map(|files| Layer::new(files, namespace));
        let visibility = &cluster.inventory.visibility;
        let mut audit = Self {
            config: rules.source.clone(),
            mode: policy.mode,
            installed: auditor.webhooks.map(Webhooks::has_colocate),
            claims: (visibility.claims != Absence::Hidden).then(|| cluster.inventory.claim_count()),
            classes: (visibility.classes != Absence::Hidden).then(|| cluster.inventory.class_count()),
            ..Self::default()
        };

        for kind in [SubjectKind::Namespace, SubjectKind::Class, SubjectKind::Claim] {
            let resource = match kind {
                SubjectKind::Namespace => kinds::NAMESPACES,
                SubjectKind::Class => kinds::CLASSES,
                _ => kinds::CLAIMS,
            };
            // What is not visible was recorded when the facts were read.
            if (kind == SubjectKind::Namespace && namespace.is_some())
                || !access.may("list", resource, namespace).await?
            {
                continue;
            }
            let hides = format!("findings of `validate` in {}", resource.resource);
            let found = access.list(resource, namespace, hides, |findings: &mut Findings, item| {
                progress(resource.resource.name);
                if let Some(layer) = &mut layer {
                    capture(layer, (resource.resource.group, kind_name(kind)), item)?;
                }
                auditor.check(kind, item, findings)
            });
            audit.findings.merge(found.await?.unwrap_or_default());
        }

        let (controllers, mut retains) =
            audit.read_workloads(access, &auditor, layer.as_mut(), namespace, &mut progress).await?;
        if namespace.is_some() && retains.is_none() {
            // The list of one namespace does not include it.
            retains = stork_retains(access, webhooks.as_ref()).await?;
        }
        audit.stork = auditor
            .webhooks
            .map(|webhooks| Stork { active: webhooks.stork_is_active(), retains_external_schedulers: retains });

        let mut forecast = match &mut layer {
            Some(layer) => Some(Forecast::read(access, &auditor, layer, namespace, &mut progress).await?),
            None => None,
        };
        if let Some(workload) = policy.workloads.find("", "v1", "Pod") {
            let hides = "which pods are on the expected scheduler";
            let pods = access.list(kinds::PODS, namespace, hides, |list: &mut PodList, item| {
                progress("pods");
                if let Some(forecast) = &forecast {
                    forecast.add_pod(&controllers.above, list, item)?;
                }
                auditor.add_pod(workload, &controllers, list, item)
            });
            if let Some(PodList { census, findings, changes, of_files, wrong, more_wrong }) = pods.await? {
                audit.pods = Some(census);
                audit.findings.merge(findings);
                let layer = layer.take().zip(forecast.take());
                audit.files = layer.map(|(layer, forecast)| forecast.end(layer, changes, &of_files));
                audit.plan = plan_repair(access, namespace, wrong, more_wrong).await?;
            }
        }
        if let Some((layer, forecast)) = layer.zip(forecast) {
            audit.files = Some(forecast.end(layer, PodChanges::default(), &HashMap::new()));
        }
        audit.webhooks = webhooks;
        Ok(audit)
    }

    /// Reads the workloads. Returns the controllers of pods, and whether Stork keeps other schedulers, if its Deployment is among
    /// them.
    async fn read_workloads(
        &mut self,
        access: &mut Access,
        auditor: &Auditor<'_>,
        mut layer: Option<&mut Layer<'_>>,
        namespace: Option<&str>,
        progress: &mut impl FnMut(&'static str),
    ) -> Result<(Controllers, Option<bool>), ApiError> {
        let Rules { policy, custom, .. } = auditor.rules;
        let (mut controllers, mut retains) = (Controllers::default(), None);
        let custom = custom.iter().map(|CustomKind { kind, version, name }| (*kind, *version, *name));
        for (kind, version, name) in WORKLOADS.map(|(kind, name)| (kind, "v1", name)).into_iter().chain(custom) {
            let Some(workload) = policy.workloads.find(kind.resource.group, version, name) else { continue };
            let hides = format!("templates of {} and findings in them{}", kind.resource, consequence(kind));
            let above = &controllers.templates;
            let listed = access.list(kind, namespace, hides, |list: &mut WorkloadList, item| {
                progress(kind.resource.name);
                if let Some(layer) = &mut layer {
                    capture_workload(layer, workload, item)?;
                }
                auditor.add_template(workload, above, list, item)
            });
            let Some(listed) = listed.await? else {
                self.more_templates = true;
                controllers.templates.deployments_hidden |= kind == kinds::DEPLOYMENTS;
                continue;
            };
            self.templates.get_or_insert_default().merge(listed.census);
            self.findings.merge(listed.findings);
            controllers.above.extend(listed.controllers);
            controllers.templates.merge(listed.templates);
            retains = retains.or(listed.stork_retains);
        }
        if let Some(workload) = policy.workloads.find("apps", "v1", "ReplicaSet") {
            let above = &controllers.templates;
            let hides = "who chose the scheduler of the pods of ReplicaSets";
            let listed = access.list(kinds::REPLICA_SETS, namespace, hides, |list: &mut Templates, item| {
                progress(kinds::REPLICA_SETS.resource.name);
                list.add((&policy.workloads, workload), above, item)
            });
            let listed = listed.await?;
            controllers.templates.merge(listed.unwrap_or_default());
        }
        Ok((controllers, retains))
    }
}

/// The name of the kind of an object that is neither a pod nor a workload.
fn kind_name(kind: SubjectKind<'_>) -> &'static str {
    match kind {
        SubjectKind::Namespace => "Namespace",
        SubjectKind::Class => "StorageClass",
        _ => "PersistentVolumeClaim",
    }
}

/// Plans the eviction of the pods that are wrong. `more` pods are wrong, too, and not in the plan.
async fn plan_repair(
    access: &mut Access,
    namespace: Option<&str>,
    wrong: Vec<WrongPod>,
    more: u64,
) -> Result<RepairPlan, ApiError> {
    if wrong.is_empty() {
        return Ok(RepairPlan::default());
    }
    let hides = "how many pods may be evicted at once: the plan has one per workload and round";
    let budgets = access.list(kinds::BUDGETS, namespace, hides, |budgets: &mut Vec<Budget>, item| {
        budgets.push(serde_json::from_str(item)?);
        Ok(())
    });
    Ok(RepairPlan { more, ..RepairPlan::new(wrong, budgets.await?.as_deref()) })
}

/// Reads whether Stork keeps other schedulers; `None` if its Deployment cannot be read.
async fn stork_retains(access: &mut Access, webhooks: Option<&Webhooks>) -> Result<Option<bool>, ApiError> {
    let namespace = webhooks.and_then(Webhooks::stork_namespace).filter(|namespace| dns::is_label(namespace));
    let Some(namespace) = namespace else { return Ok(None) };
    let found =
        access.get(kinds::DEPLOYMENTS, Some(namespace), "stork", "whether Stork keeps other schedulers").await?;
    Ok(match found {
        Found::Object(json) => {
            serde_json::from_str(&json).ok().map(|deployment| webhooks::retains_external_schedulers(&deployment))
        }
        Found::Absent | Found::NotSeen => None,
    })
}

/// Lists the placement strategies.
async fn strategies(access: &mut Access) -> Result<Strategies, ApiError> {
    let hides = "whether the placement strategies that claims and classes name exist";
    let listed = access.try_list(kinds::STRATEGIES, None, hides, |names: &mut BTreeSet<String>, item| {
        let metadata = serde_json::from_str::<Live<'_>>(item)?.metadata.unwrap_or_default();
        names.insert(metadata.name.into_cow().into_owned());
        Ok(())
    });
    Ok(match listed.await? {
        Listing::All(names) => Strategies::All(names),
        Listing::NotServed => Strategies::NotInstalled,
        Listing::NotSeen => Strategies::Some { known: BTreeSet::new(), why: "not allowed to list them".to_owned() },
    })
}
