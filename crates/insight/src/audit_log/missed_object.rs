//! An object that was admitted although colocate did not answer.

use colocate_engine::Text;

use super::event::{Event, Logged};
use super::{kept, time};

/// The scheduler of a pod that names none.
const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// An object that was admitted although colocate did not answer. The order is that of time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissedObject {
    /// The time of the response, in RFC 3339.
    pub time: String,
    /// The resource, as in `deployments.apps`.
    pub resource: String,
    /// The namespace.
    pub namespace: String,
    /// The name; for an object that the API server named, its `generateName` and `*`, unless the log has the response.
    pub name: String,
    /// The verb.
    pub verb: String,
    /// Whether the request created the object.
    pub creates: bool,
    /// The user; the impersonated one, if there is one.
    pub user: String,
    /// The webhook that set `schedulerName` instead, if the log has its patch.
    pub set_by: Option<String>,
    /// The ID of the request.
    pub audit_id: String,
    /// The rest of the object's identity, as far as the log has it.
    pub identity: Identity,
}

/// The identity of an object in a log, without its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// The version of its API, as in `v1`.
    pub version: String,
    /// The time of the request, in RFC 3339.
    pub requested: String,
    /// The UID, if the log has the response.
    pub uid: Option<String>,
    /// The prefix of its name, if the API server chose the name and the log has the request.
    pub generate_name: Option<String>,
    /// The UID of its controller, if the log has the request.
    pub controller: Option<String>,
    /// The scheduler that the request for a pod names, if the log has the request. The default is `default-scheduler`.
    pub scheduler: Option<String>,
}

impl Event<'_> {
    pub(super) fn missed(&self, set_by: Option<String>) -> MissedObject {
        let user = self.impersonated_user.as_ref().or(self.user.as_ref());
        MissedObject {
            time: time(&self.stage_timestamp).into_owned(),
            resource: self.resource(),
            namespace: kept(self.namespace()),
            name: self.name(),
            verb: kept(&self.verb),
            creates: self.creates(),
            user: user.map(|user| kept(&user.username)).unwrap_or_default(),
            set_by,
            audit_id: kept(&self.audit_id),
            identity: self.identity(),
        }
    }

    fn identity(&self) -> Identity {
        let text = |text: Option<&Text<'_>>| Text::non_empty(text).map(kept);
        let request = Logged::read(self.request_object).filter(|_| self.creates());
        let metadata = request.as_ref().and_then(|request| request.metadata.as_ref());
        let response = Logged::read(self.response_object).and_then(|response| response.metadata).unwrap_or_default();
        let scheduler = request.as_ref().filter(|_| self.resource() == "pods").map(|request| {
            let spec = request.spec.as_ref();
            text(spec.and_then(|spec| spec.scheduler_name.as_ref())).unwrap_or_else(|| DEFAULT_SCHEDULER.to_owned())
        });
        Identity {
            version: self.object_ref.as_ref().map(|object| kept(&object.api_version)).unwrap_or_default(),
            requested: time(&self.request_received_timestamp).into_owned(),
            uid: text(response.uid.as_ref()),
            generate_name: text(metadata.and_then(|metadata| metadata.generate_name.as_ref())),
            controller: text(metadata.and_then(|metadata| Some(&metadata.controller.as_ref()?.uid))),
            scheduler,
        }
    }
}
