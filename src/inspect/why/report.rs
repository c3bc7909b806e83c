//! The answer as data: the document of `-o json`, from which the text is printed too.

use jiff::Timestamp;
use serde::Serialize;

use crate::insight::{Answer, Verdict};
use crate::inspect::{NotSeen, Whereabouts};

/// The document of docs/schemas/why.json.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) api_version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) object: Subject,
    /// The cause of the scheduler of a pod, or of a pod template.
    #[serde(flatten)]
    pub(crate) cause: Cause,
    /// The node of a pod, and those with its data, if a storage system can be asked.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<Whereabouts>,
    /// The claims that the decision depends on.
    pub(crate) claims: Vec<ClaimRow>,
    /// The mutating webhooks that could change the object.
    pub(crate) webhooks: Vec<WebhookRow>,
    /// The facts about a pod that no scheduler has bound yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pending: Option<PendingFacts>,
    /// The newest pods of a workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pods: Option<Vec<PodRow>>,
    /// The number of its pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod_count: Option<usize>,
    /// The answer of the API server to a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dry_run: Option<DryRunResult>,
    /// The resources that were read.
    pub(crate) seen: Vec<String>,
    /// The facts that could not be read, each with what that hides.
    pub(crate) not_seen: Vec<NotSeen>,
}

/// An object.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Subject {
    pub(crate) kind: &'static str,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) created: Option<Timestamp>,
}

/// The cause of a scheduler.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cause {
    #[serde(serialize_with = "word")]
    pub(crate) verdict: Verdict,
    pub(crate) explanation: &'static str,
    /// The anchor in the documentation.
    pub(crate) documentation: String,
    pub(crate) scheduler: String,
    /// The scheduler that it should have; `None` if that is not known.
    pub(crate) expected_scheduler: Option<String>,
    /// The reason of the engine.
    pub(crate) reason: &'static str,
    /// The anchor of the reason in the documentation.
    pub(crate) reason_documentation: String,
    pub(crate) evidence: Vec<String>,
    pub(crate) warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<Fix>,
}

/// A remedy.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fix {
    pub(crate) advice: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<String>,
    /// The `PodDisruptionBudgets` that apply.
    pub(crate) notes: Vec<String>,
    /// Whether it is enough to create the object again.
    #[serde(skip)]
    pub(crate) is_recreation: bool,
}

/// A claim.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClaimRow {
    pub(crate) claim: String,
    pub(crate) class: Option<String>,
    pub(crate) provisioner: Option<String>,
    /// The field that names the provisioner.
    pub(crate) from: Option<String>,
    pub(crate) driver: Option<String>,
}

/// An entry of a webhook configuration.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebhookRow {
    pub(crate) configuration: String,
    pub(crate) webhook: String,
    /// Whether it is that of colocate.
    pub(crate) colocate: bool,
    pub(crate) called: PartAnswer,
    pub(crate) rules: PartAnswer,
    pub(crate) namespace: PartAnswer,
    pub(crate) object: PartAnswer,
    pub(crate) conditions: PartAnswer,
    /// The number of match conditions that are true, and of all.
    pub(crate) conditions_true: usize,
    pub(crate) conditions_total: usize,
    pub(crate) failure_policy: String,
    pub(crate) reinvocation_policy: String,
}

/// An answer with its cause.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartAnswer {
    /// `yes`, `no` or `not-evaluated`.
    pub(crate) answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<String>,
}

/// A pod of a workload.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodRow {
    pub(crate) name: String,
    pub(crate) created: Option<Timestamp>,
    pub(crate) phase: String,
    /// Whether it has another scheduler than the template of the workload names now.
    pub(crate) differs_from_template: bool,
    #[serde(flatten)]
    pub(crate) cause: Cause,
}

/// Why a pod is not bound yet.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PendingFacts {
    /// The Leases of its scheduler, if they are configured.
    pub(crate) scheduler: Vec<String>,
    /// The claims that are not bound, or that are being restored.
    pub(crate) claims: Vec<String>,
    /// The settings that restrict the nodes.
    pub(crate) node_restrictions: Vec<String>,
    /// The last message of the scheduler.
    pub(crate) last_message: Option<String>,
}

/// The pod that the API server would create now.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DryRunResult {
    /// The scheduler that it would get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scheduler: Option<String>,
    pub(crate) warnings: Vec<String>,
    /// The reason why there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl From<&Answer> for PartAnswer {
    fn from(answer: &Answer) -> Self {
        let word = match answer {
            Answer::Yes => "yes",
            Answer::No(_) => "no",
            Answer::NotEvaluated(_) => "not-evaluated",
        };
        Self { answer: word, cause: answer.cause().map(str::to_owned) }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn word<S: serde::Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(verdict.as_str())
}
