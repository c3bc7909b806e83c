//! The answer to the question why a live pod or workload has its scheduler.

mod configuration;
mod explainer;
mod installation;
mod pending;
mod reader;
mod report;
mod target;

use crate::api::{ApiClient, ClusterChoice};
use crate::config::Config;
use crate::insight::{LivePod, as_dry_run};
use crate::inspect::audit::ConfigSource;
use crate::inspect::kubectl::Kubectl;

use super::locality::Whereabouts;
use explainer::{Explainer, Explanation};

pub(super) use installation::{InstalledConfig, WEBHOOK_NAME};
pub(crate) use reader::Reader;

pub(crate) use report::{
    Cause, ClaimRow, DryRunResult, Fix, PartAnswer, PendingFacts, PodRow, Report, Subject, WebhookRow,
};
pub(crate) use target::{Target, UnknownKind};

/// A question about one object.
pub(crate) struct Question<'a> {
    /// The object.
    pub(crate) target: &'a Target,
    /// The namespace of the object.
    pub(crate) namespace: &'a str,
    /// The cluster, as the user named it.
    pub(crate) cluster: ClusterChoice<'a>,
    /// The configuration that the user named.
    pub(crate) config: Option<Config>,
    /// Whether to ask the API server for the scheduler that the same pod would get now.
    pub(crate) dry_run: bool,
    /// Whether to ask the storage system where the data of a pod is.
    pub(crate) locate: bool,
}

impl Question<'_> {
    /// Reads the cluster, and answers.
    ///
    /// # Errors
    /// [`UnknownKind`] if the kind cannot be explained. If the object does not exist or may not be read, or the cluster does not answer.
    pub(crate) async fn answer(self, client: ApiClient) -> anyhow::Result<Report> {
        let Self { target, namespace, cluster, config, dry_run: is_tried, locate } = self;
        let mut reader = Reader::new(client);
        // The name of the ConfigMap is not shown here.
        let is_named = config.is_some();
        let mut explainer = Explainer::new(&mut reader, Kubectl(cluster), namespace, config).await?;
        let source = match (is_named, explainer.config_is_assumed) {
            (true, _) => ConfigSource::File,
            (false, true) => ConfigSource::NotSeen,
            (false, false) => ConfigSource::Cluster(String::new()),
        };
        let kind = explainer.kinds.resolve(target)?;
        let json = explainer.get(kind, &target.name).await?;
        let mut explanation =
            if kind.is_pod() { explainer.pod(&json).await? } else { explainer.workload(kind, &json)? };
        let (mut pods, mut pending, mut dry_run) = (None, None, None);
        let config = explainer.config.clone();
        if kind.is_pod() {
            let pod: LivePod<'_> = serde_json::from_str(&json)?;
            if pod.is_pending() {
                let now = explainer.reader.access.client.clock().read();
                pending = Some(explainer.pending(&pod, namespace, now.server.unwrap_or(now.local)).await?);
            }
            if is_tried {
                let result = try_again(&explainer.reader.access.client, namespace, &pod, &explanation).await;
                if let Some(fix) = fix_after(&explanation.cause, &result) {
                    explanation.cause.fix = Some(fix);
                }
                dry_run = Some(result);
            }
        } else {
            pods = explainer.newest_pods(kind, &explanation.cause.scheduler, &json).await?;
        }
        let (pods, pod_count) = pods.unzip();
        let Explanation { created, cause, claims, webhooks, .. } = explanation;
        let may_count = Whereabouts::may_count(&config.locality(), &source, &claims);
        let place = if kind.is_pod() && locate && may_count {
            Box::pin(Whereabouts::read(&mut reader, (&config, source), namespace, &json)).await
        } else {
            None
        };
        let object = Subject { kind: kind.name, namespace: namespace.to_owned(), name: target.name.clone(), created };
        let (seen, not_seen) = reader.end();
        let (api_version, kind) = ("colocate/v1", "Why");
        Ok(Report {
            api_version,
            kind,
            object,
            cause,
            place,
            claims,
            webhooks,
            pending,
            pods,
            pod_count,
            dry_run,
            seen,
            not_seen,
        })
    }
}

/// Returns what to do instead if a new pod would not be on the expected scheduler either.
fn fix_after(cause: &Cause, result: &DryRunResult) -> Option<Fix> {
    let scheduler =
        result.scheduler.as_ref().filter(|scheduler| cause.expected_scheduler.as_ref() != Some(*scheduler))?;
    let command = cause.fix.as_ref()?.command.as_ref();
    let advice = format!("Do not create the pod again yet: by the dry run, a new pod would be on {scheduler}.");
    (cause.verdict.is_fixed_by_recreation() && command.is_some()).then(|| Fix {
        advice,
        command: None,
        notes: Vec::new(),
        is_recreation: false,
    })
}

/// Asks the API server which scheduler the same pod would get now.
async fn try_again(client: &ApiClient, namespace: &str, pod: &LivePod<'_>, explanation: &Explanation) -> DryRunResult {
    let again = as_dry_run(&explanation.requested, pod, &explanation.requested_scheduler);
    match client.try_pod(namespace, &again).await {
        Ok((created, warnings)) => {
            let scheduler = reader::text(&created, "/spec/schedulerName").to_owned();
            DryRunResult { scheduler: Some(scheduler), warnings, error: None }
        }
        Err(error) => DryRunResult { scheduler: None, warnings: Vec::new(), error: Some(error.to_string()) },
    }
}
