//! The answers of an extender about one pod and all nodes, as kube-scheduler asks for them.

use serde_json::Value;

use super::service_proxy::{Answer, ServiceCall};
use crate::api::ApiError;
use crate::engine::DEFAULT_SCHEDULER;
use crate::insight::as_requested;
use crate::inspect::access::Access;
use crate::inspect::kinds::{self, SERVICE_PROXY};
use crate::locality::{FilterResult, Gap, Node, NodeScores, Service, extender_request};

/// The answers about a pod.
pub(super) struct ExtenderAnswers {
    pub(super) filter: FilterResult,
    /// The message with which the extender rejects all nodes.
    pub(super) refusal: Option<String>,
    pub(super) scores: NodeScores,
}

/// The nodes, as sent to the extender and as colocate reads them.
#[derive(Default)]
pub(super) struct CandidateNodes {
    objects: Vec<Value>,
    pub(super) nodes: Vec<Node>,
}

impl CandidateNodes {
    /// Lists the nodes; `None` if they cannot be listed.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(super) async fn read(access: &mut Access) -> Result<Option<Self>, ApiError> {
        let hides = "the nodes to send to the extender";
        let listed = access.list(kinds::NODES, None, hides, |list: &mut Self, item| {
            list.nodes.push(Node::parse(item)?);
            list.objects.push(as_candidate(serde_json::from_str(item)?));
            Ok(())
        });
        listed.await
    }

    /// Asks an extender about a pod, which is as it was before it had a node.
    ///
    /// # Errors
    /// If the API server does not answer. The gap says why the extender does not.
    pub(super) async fn ask(
        &self,
        access: &mut Access,
        service: &Service,
        pod: &Value,
        hides: &str,
    ) -> Result<Result<ExtenderAnswers, Gap>, ApiError> {
        let request = extender_request(pod, &self.objects).to_string();
        let call =
            |path| ServiceCall { service, path, body: Some(request.clone()), token: None, left_out: None, hides };
        let (filter, refusal) = match call("/filter").ask(access).await? {
            Answer::Body(body) => match FilterResult::parse(&String::from_utf8_lossy(&body)) {
                Ok(result) => {
                    let refusal = result.error.clone();
                    (result, refusal)
                }
                Err(error) => return Ok(Err(unusable(access, service, "/filter", &error, hides))),
            },
            Answer::Refused(message) => (FilterResult::default(), Some(message)),
            Answer::None(gap) => return Ok(Err(gap)),
        };
        let scores = match call("/prioritize").ask(access).await? {
            Answer::Body(body) => match NodeScores::parse(&String::from_utf8_lossy(&body)) {
                Ok(scores) => scores,
                Err(error) => return Ok(Err(unusable(access, service, "/prioritize", &error, hides))),
            },
            Answer::Refused(_) => NodeScores::default(),
            Answer::None(gap) => return Ok(Err(gap)),
        };
        Ok(Ok(ExtenderAnswers { filter, refusal, scores }))
    }
}

/// Records an answer that cannot be used.
fn unusable(access: &mut Access, service: &Service, path: &str, error: &serde_json::Error, hides: &str) -> Gap {
    let why = format!(
        "cannot decode the response of extender {} to {path}: {error}; check that it is a scheduler extender",
        service.name
    );
    access.unreadable(SERVICE_PROXY, None, &why, hides);
    Gap::NoAnswer(why.into())
}

/// Returns a pod as it was before it had a node.
pub(super) fn before_placement(live: &Value) -> Value {
    let scheduler = live["spec"]["schedulerName"].as_str().unwrap_or(DEFAULT_SCHEDULER);
    let mut pod = as_requested(live, scheduler);
    // The extender finds the claims of ephemeral volumes by the name and the UID of the pod.
    for key in ["name", "uid", "namespace"] {
        pod["metadata"][key] = live["metadata"][key].clone();
    }
    pod
}

/// Leaves out what schedulers do not read and what is long.
fn as_candidate(mut node: Value) -> Value {
    if let Some(metadata) = node["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    if let Some(status) = node["status"].as_object_mut() {
        status.remove("images");
    }
    node
}
