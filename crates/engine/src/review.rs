//! An `AdmissionReview` (`admission.k8s.io/v1`): the request as the API server sends it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Unexpected};
use serde_json::de::Read;
use serde_json::value::RawValue;

use super::decode::{Field, FieldsSeed, Nullable, NullableSeed, ReadFields, Text, set};
use super::pod::ControllerReference;
use super::workload::{Keep, Located, ObjectSeed, Update, Workload, WorkloadObject, Workloads};

/// The version of requests and responses.
pub const API_VERSION: &str = "admission.k8s.io/v1";

/// The kind of a request and its response.
pub const KIND: &str = "AdmissionReview";

/// The error for a body that is not an `AdmissionReview` of `admission.k8s.io/v1`. The response is HTTP 400, because
/// `allowed: false` would deny the request under every `failurePolicy`.
#[derive(Debug, thiserror::Error)]
#[error("the body is not an AdmissionReview of {API_VERSION}: {0}")]
pub struct Malformed(#[from] serde_json::Error);

/// A request about one object.
#[derive(Debug)]
pub struct Request<'a> {
    /// The id of the call, which the response repeats.
    pub uid: Text<'a>,
    /// The kind of the object.
    pub kind: GroupVersionKind<'a>,
    /// `scale`, `status`, ...; empty for the object itself.
    pub sub_resource: Option<Text<'a>>,
    /// The object's name; empty if the API server will generate it from `generateName`.
    pub name: Option<Text<'a>>,
    /// The namespace of the request, which is set even if the object's own metadata names none.
    pub namespace: Option<Text<'a>>,
    /// The operation on the object.
    pub operation: Operation,
    /// Whether nothing will be stored. A dry run must not wait or have side effects.
    pub dry_run: bool,
    pub(crate) namespace_opted_out: bool,
    pub(crate) change: RequestedChange<'a>,
}

impl<'a> Request<'a> {
    /// Makes the request that an API server would send for an object that is created from a file. `object` is its JSON. The
    /// request is a dry run, which never waits.
    pub fn from_manifest(
        workload: &'a Workload,
        namespace: &'a str,
        namespace_opted_out: bool,
        object: &'a str,
    ) -> Self {
        let change = match WorkloadObject::parse(object, workload) {
            Ok(object) => RequestedChange::Created(workload, object),
            Err(error) => RequestedChange::Unreadable(error),
        };
        let name = match &change {
            RequestedChange::Created(_, object) => object.metadata().and_then(|metadata| metadata.name.clone()),
            _ => None,
        };
        Self {
            uid: Text::default(),
            kind: workload.into(),
            sub_resource: None,
            name,
            namespace: Some(namespace.into()),
            operation: Operation::Create,
            dry_run: true,
            namespace_opted_out,
            change,
        }
    }
}

impl Request<'_> {
    /// The namespace; empty for an object that has none.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// The name for messages: the object's name, or its `generateName` followed by `*`.
    pub fn display_name(&self) -> Cow<'_, str> {
        if let Some(name) = Text::non_empty(self.name.as_ref()) {
            return Cow::Borrowed(name);
        }
        let metadata = match &self.change {
            RequestedChange::Created(_, object) | RequestedChange::Updated { new: object, .. } => object.metadata(),
            _ => None,
        };
        let prefix = metadata.and_then(|metadata| Text::non_empty(metadata.generate_name.as_ref()));
        prefix.map_or(Cow::Borrowed(""), |prefix| Cow::Owned(format!("{prefix}*")))
    }

    /// The controller that creates this pod; `None` if the request does not create a pod, or the pod has no controller.
    pub fn pod_creator(&self) -> Option<&ControllerReference<'_>> {
        match &self.change {
            RequestedChange::Created(workload, pod) if workload.is_pod() => pod.controller(),
            _ => None,
        }
    }
}

/// A group, version and kind.
#[derive(Debug, Deserialize)]
pub struct GroupVersionKind<'a> {
    /// The API group; empty for the core group.
    #[serde(borrow, default)]
    pub group: Text<'a>,
    /// The version within the group.
    #[serde(borrow)]
    pub version: Text<'a>,
    /// The kind's name.
    #[serde(borrow)]
    pub kind: Text<'a>,
}

impl<'a> From<&'a Workload> for GroupVersionKind<'a> {
    fn from(workload: &'a Workload) -> Self {
        Self { group: (&*workload.group).into(), version: (&*workload.version).into(), kind: (&*workload.kind).into() }
    }
}

/// An operation on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    const ALL: [Self; 4] = [Self::Create, Self::Update, Self::Delete, Self::Connect];

    /// The word in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// Implemented by hand: the derived implementation would also accept `{"CREATE": null}`.
impl<'de> Deserialize<'de> for Operation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = Text::deserialize(deserializer)?;
        let operation = Self::ALL.into_iter().find(|operation| operation.as_str() == &*word);
        operation.ok_or_else(|| D::Error::unknown_variant(&word, &["CREATE", "UPDATE", "DELETE", "CONNECT"]))
    }
}

/// The change that a request asks for.
#[derive(Debug)]
pub(crate) enum RequestedChange<'a> {
    /// A kind, an operation or a subresource that the engine does not decide about.
    Other,
    /// A custom resource that does not have the configured structure.
    Unreadable(serde_json::Error),
    Created(&'a Workload, WorkloadObject<'a>),
    /// An update. Only the scheduler of the old object matters.
    Updated {
        workload: &'a Workload,
        new: WorkloadObject<'a>,
        old_scheduler: Option<Text<'a>>,
    },
    /// An update that does not change the pod template.
    Unchanged,
}

/// A received `AdmissionReview`.
#[derive(Debug)]
pub struct Review<'a> {
    /// The request.
    pub request: Request<'a>,
}

impl<'a> Review<'a> {
    /// Reads a review in one pass, and skips everything that no decision depends on.
    ///
    /// # Errors
    /// A body that is not an `AdmissionReview` with a complete request, or whose object cannot be of the kind that the
    /// request names.
    pub fn parse(body: &'a [u8], workloads: &'a Workloads) -> Result<Self, Malformed> {
        // Validating UTF-8 at once costs a third of validating each string.
        match str::from_utf8(body) {
            Ok(text) => Self::read(serde_json::Deserializer::from_str(text), workloads),
            // Invalid bytes in a skipped string are harmless.
            Err(_) => Self::read(serde_json::Deserializer::from_slice(body), workloads),
        }
    }

    fn read<R: Read<'a>>(mut body: serde_json::Deserializer<R>, workloads: &'a Workloads) -> Result<Self, Malformed> {
        let fields = ReviewFields { workloads: Some(workloads), ..ReviewFields::default() };
        let review = FieldsSeed(fields).deserialize(&mut body)?;
        body.end()?;
        Ok(review)
    }
}

/// A nullable field. `None` until the field is read: a second value is an error, even if the first one is null.
type NullableField<T> = Option<Option<T>>;

#[derive(Default)]
struct ReviewFields<'a> {
    workloads: Option<&'a Workloads>,
    api_version: Option<Text<'a>>,
    kind: Option<Text<'a>>,
    request: NullableField<Request<'a>>,
}

impl<'a> ReadFields<'a> for ReviewFields<'a> {
    type Value = Review<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an AdmissionReview")
    }

    fn field<M: MapAccess<'a>>(&mut self, key: Text<'a>, map: &mut M) -> Result<Field, M::Error> {
        match &*key {
            "apiVersion" => set(&mut self.api_version, "apiVersion", map.next_value()?)?,
            "kind" => set(&mut self.kind, "kind", map.next_value()?)?,
            "request" => {
                let seed = FieldsSeed(RequestFields { workloads: self.workloads, ..RequestFields::default() });
                set(&mut self.request, "request", map.next_value_seed(seed)?)?;
            }
            _ => return Ok(Field::Unknown),
        }
        Ok(Field::Read)
    }

    fn end<E: Error>(self) -> Result<Review<'a>, E> {
        expect("kind", self.kind.as_deref(), KIND)?;
        expect("apiVersion", self.api_version.as_deref(), API_VERSION)?;
        let request = self.request.flatten().ok_or_else(|| E::missing_field("request"))?;
        Ok(Review { request })
    }

    fn null<E: Error>(self) -> Result<Review<'a>, E> {
        Err(E::invalid_type(Unexpected::Unit, &FieldsSeed(self)))
    }
}

/// The longest accepted id, in bytes. API servers use 36. A response that repeats the id stays in memory until the client
/// has read it: 30 clients that sent ids of 17 MB and did not read the responses took 530 MB.
const LONGEST_UID: usize = 1024;

/// Checks the id of a call.
///
/// # Errors
///
/// It is empty or too long.
pub fn expect_uid<E: Error>(uid: &str) -> Result<(), E> {
    match uid.len() {
        0 => Err(E::missing_field("request.uid")),
        1..=LONGEST_UID => Ok(()),
        length => {
            Err(E::custom(format_args!("request.uid has {length} bytes, which exceeds the limit of {LONGEST_UID}")))
        }
    }
}

/// Checks that a field of the envelope has the only valid value.
///
/// # Errors
///
/// It is missing, or has another value.
pub fn expect<E: Error>(field: &str, found: Option<&str>, wanted: &str) -> Result<(), E> {
    match found {
        Some(found) if found == wanted => Ok(()),
        Some(found) => Err(E::custom(format_args!("{field} is `{found}`, not `{wanted}`"))),
        None => Err(E::custom(format_args!("{field} is missing: set it to `{wanted}`"))),
    }
}

#[derive(Default)]
struct RequestFields<'a> {
    /// The kinds that determine how objects are read.
    workloads: Option<&'a Workloads>,
    uid: Option<Text<'a>>,
    kind: Option<GroupVersionKind<'a>>,
    sub_resource: NullableField<Text<'a>>,
    name: NullableField<Text<'a>>,
    namespace: NullableField<Text<'a>>,
    operation: Option<Operation>,
    dry_run: NullableField<bool>,
    object: Option<Payload<'a>>,
    old_object: Option<Payload<'a>>,
}

impl<'a> RequestFields<'a> {
    /// The plan for the objects; `None` until the fields that it depends on have been read.
    fn plan(&self) -> Option<Plan<'a>> {
        let sub_resource = self.sub_resource.as_ref().and_then(Option::as_ref);
        Some(Plan::new(self.workloads?, self.kind.as_ref()?, sub_resource, self.operation?))
    }
}

impl<'a> ReadFields<'a> for RequestFields<'a> {
    type Value = Option<Request<'a>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an AdmissionRequest")
    }

    fn field<M: MapAccess<'a>>(&mut self, key: Text<'a>, map: &mut M) -> Result<Field, M::Error> {
        match &*key {
            "uid" => set(&mut self.uid, "uid", map.next_value()?)?,
            "kind" => {
                if let Nullable(Some(kind)) = map.next_value()? {
                    set(&mut self.kind, "kind", kind)?;
                }
            }
            "operation" => set(&mut self.operation, "operation", map.next_value()?)?,
            "subResource" => set(&mut self.sub_resource, "subResource", map.next_value()?)?,
            "name" => set(&mut self.name, "name", map.next_value()?)?,
            "namespace" => set(&mut self.namespace, "namespace", map.next_value()?)?,
            "dryRun" => set(&mut self.dry_run, "dryRun", map.next_value()?)?,
            "object" => {
                let seed = PayloadSeed { plan: self.plan() };
                set(&mut self.object, "object", map.next_value_seed(seed)?)?;
            }
            "oldObject" => {
                let seed = PayloadSeed { plan: self.plan().map(Plan::of_old_object) };
                set(&mut self.old_object, "oldObject", map.next_value_seed(seed)?)?;
            }
            _ => return Ok(Field::Unknown),
        }
        Ok(Field::Read)
    }

    fn end<E: Error>(self) -> Result<Option<Request<'a>>, E> {
        let plan = self.plan();
        let uid = self.uid.unwrap_or_default();
        expect_uid(&uid)?;
        let kind = self.kind.ok_or_else(|| E::missing_field("request.kind"))?;
        let operation = self.operation.ok_or_else(|| E::missing_field("request.operation"))?;
        let plan = plan.unwrap_or(Plan::Skip);
        let change = plan.change(self.object.unwrap_or_default(), self.old_object.unwrap_or_default())?;
        Ok(Some(Request {
            uid,
            kind,
            sub_resource: self.sub_resource.flatten(),
            name: self.name.flatten(),
            namespace: self.namespace.flatten(),
            operation,
            dry_run: self.dry_run.flatten().unwrap_or(false),
            namespace_opted_out: false,
            change,
        }))
    }

    fn null<E>(self) -> Result<Option<Request<'a>>, E> {
        Ok(None)
    }
}

/// The way in which a request's objects are read. It depends on fields that the API server sends before the objects, so
/// one pass is enough. Another order of fields costs a second pass.
#[derive(Clone, Copy)]
enum Plan<'a> {
    Skip,
    Create(&'a Workload),
    Update(&'a Workload),
}

impl<'a> Plan<'a> {
    fn new(
        workloads: &'a Workloads,
        kind: &GroupVersionKind<'_>,
        sub_resource: Option<&Text<'_>>,
        operation: Operation,
    ) -> Self {
        let workload = workloads.find(&kind.group, &kind.version, &kind.kind);
        match (workload.filter(|_| Text::non_empty(sub_resource).is_none()), operation) {
            (Some(workload), Operation::Create) => Self::Create(workload),
            (Some(workload), Operation::Update) => Self::Update(workload),
            _ => Self::Skip,
        }
    }

    /// The plan for the old object, which is always skipped for CREATE.
    fn of_old_object(self) -> Self {
        match self {
            Self::Create(_) => Self::Skip,
            plan => plan,
        }
    }

    fn seed(self) -> Option<ObjectSeed<'a>> {
        match self {
            Self::Skip => None,
            Self::Create(workload) => Some(ObjectSeed { workload, keep: Keep::Read }),
            Self::Update(workload) => {
                let keep = if workload.update == Update::Rejected { Keep::Read } else { Keep::Sent };
                Some(ObjectSeed { workload, keep })
            }
        }
    }

    fn change<E: Error>(self, object: Payload<'a>, old: Payload<'a>) -> Result<RequestedChange<'a>, E> {
        let (workload, change) = match self {
            Self::Skip => return Ok(RequestedChange::Other),
            Self::Create(workload) => (workload, self.created(workload, object)),
            Self::Update(workload) => (workload, self.updated(workload, object, old)),
        };
        match change {
            Err(error) if workload.custom => Ok(RequestedChange::Unreadable(error)),
            change => change.map_err(E::custom),
        }
    }

    fn created(self, workload: &'a Workload, object: Payload<'a>) -> Result<RequestedChange<'a>, serde_json::Error> {
        Ok(RequestedChange::Created(workload, object.locate(self, "request.object")?.into_object()?))
    }

    fn updated(
        self,
        workload: &'a Workload,
        object: Payload<'a>,
        old: Payload<'a>,
    ) -> Result<RequestedChange<'a>, serde_json::Error> {
        let (new, old) = (object.locate(self, "request.object")?, old.locate(self, "request.oldObject")?);
        if new.same_template(&old) {
            return Ok(RequestedChange::Unchanged);
        }
        let old_scheduler = old.into_object()?.template.and_then(|template| template.spec?.scheduler_name);
        Ok(RequestedChange::Updated { workload, new: new.into_object()?, old_scheduler })
    }
}

/// `object` or `oldObject`, read as far as the fields before it allow.
#[derive(Default)]
#[expect(clippy::large_enum_variant, reason = "it is short-lived; a box would cost an allocation per review")]
enum Payload<'a> {
    #[default]
    Absent,
    Skipped,
    Sent(&'a RawValue),
    Located(Located<'a>),
}

impl<'a> Payload<'a> {
    fn locate(self, plan: Plan<'_>, field: &'static str) -> Result<Located<'a>, serde_json::Error> {
        match (self, plan.seed()) {
            (Self::Located(located), _) => Ok(located),
            (Self::Sent(text), Some(seed)) => seed.deserialize(&mut serde_json::Deserializer::from_str(text.get())),
            _ => Err(serde_json::Error::missing_field(field)),
        }
    }
}

struct PayloadSeed<'a> {
    plan: Option<Plan<'a>>,
}

impl<'a> DeserializeSeed<'a> for PayloadSeed<'a> {
    type Value = Payload<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.plan.map(Plan::seed) {
            Some(None) => IgnoredAny::deserialize(deserializer).map(|IgnoredAny| Payload::Skipped),
            // `oldObject` is null for CREATE.
            Some(Some(seed)) if !seed.workload.custom => {
                let located = NullableSeed(seed).deserialize(deserializer)?;
                Ok(located.map_or(Payload::Absent, Payload::Located))
            }
            // Either the plan is not known yet, or it is a custom resource, whose structure must not make the review malformed.
            _ => Option::<&RawValue>::deserialize(deserializer)
                .map(|text| text.filter(|text| text.get() != "null").map_or(Payload::Absent, Payload::Sent)),
        }
    }
}

#[cfg(test)]
mod tests;
