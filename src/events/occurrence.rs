//! A warning about a pod, as an Event on the pod's controller reports it.

use crate::engine::dns;
use crate::engine::{ControllerReference, Decision, Request, Topic};

/// A warning about a pod, without what differs between pods of the same controller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Occurrence {
    pub(super) controller: Controller,
    pub(super) topic: Topic,
    /// The text of the warning.
    pub(super) text: String,
}

/// The controller that creates a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Controller {
    pub(super) namespace: String,
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) uid: String,
}

/// The longest kind, and the longest UID, in bytes. A UID has 36.
const MAX_WORD: usize = 63;

impl Occurrence {
    /// Returns the warnings of a decision about a new pod. Returns none for a dry run, and for a pod without a controller: an
    /// Event needs an existing object, and the pod does not exist yet.
    pub(super) fn of<'d>(request: &Request<'_>, decision: &'d Decision<'_>) -> impl Iterator<Item = Self> + use<'d> {
        let is_relevant = !decision.warnings.is_empty() && !request.dry_run;
        let controller = is_relevant.then(|| Controller::of(request)).flatten();
        let warnings = controller.map(|controller| {
            decision.warnings.iter().filter_map(move |warning| {
                let (controller, text) = (controller.clone(), warning.text().to_owned());
                Some(Self { controller, topic: warning.topic()?, text })
            })
        });
        warnings.into_iter().flatten()
    }
}

impl Controller {
    /// Returns the controller of the pod that a request creates. A pod that is being admitted has not been validated
    /// yet, so an owner reference with invalid fields is ignored.
    fn of(request: &Request<'_>) -> Option<Self> {
        let owner = request.pod_creator()?;
        let namespace = request.namespace();
        let is_valid = dns::is_label(namespace)
            && is_api_version(owner.api_version())
            && is_word(owner.kind())
            && dns::is_subdomain(owner.name())
            // The kubelet creates mirror pods, which no scheduler places, and a Node has no namespace.
            && !is_node(owner);
        let uid = owner.uid().filter(|uid| is_valid && is_word(uid))?;
        Some(Self {
            namespace: namespace.to_owned(),
            api_version: owner.api_version().to_owned(),
            kind: owner.kind().to_owned(),
            name: owner.name().to_owned(),
            uid: uid.to_owned(),
        })
    }
}

fn is_api_version(text: &str) -> bool {
    let (group, version) = text.split_once('/').map_or((None, text), |(group, version)| (Some(group), version));
    group.is_none_or(dns::is_subdomain) && dns::is_label(version)
}

fn is_word(text: &str) -> bool {
    (1..=MAX_WORD).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_node(owner: &ControllerReference<'_>) -> bool {
    owner.group().is_empty() && owner.kind() == "Node"
}
