//! An `AdmissionReview` (`admission.k8s.io/v1`): the question as the API server sends it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::de::Read;
use serde_json::value::RawValue;

use super::json::{Nullable, Text, set};
use super::pod::Template;
use super::workload::{Keep, Located, Object, ObjectSeed, Update, Workload, Workloads};

/// The version in which questions are read and answered.
pub const API_VERSION: &str = "admission.k8s.io/v1";

/// The kind of a question, and of its answer.
pub const KIND: &str = "AdmissionReview";

/// A body that is no `AdmissionReview` of `admission.k8s.io/v1`, and why. To be answered with HTTP 400: an answer of
/// `allowed: false` would deny the request under every `failurePolicy`.
#[derive(Debug, thiserror::Error)]
#[error("the body is no AdmissionReview of {API_VERSION}: {0}")]
pub struct Malformed(#[from] serde_json::Error);

/// What the API server asks about one object.
#[derive(Debug)]
pub struct Request<'a> {
    /// Names the call; the answer repeats it.
    pub uid: Text<'a>,
    /// The kind of the object.
    pub kind: Kind<'a>,
    /// `scale`, `status`, ...; empty for the object itself.
    pub sub_resource: Option<Text<'a>>,
    /// The object's name; empty where the API server is still to make it from `generateName`.
    pub name: Option<Text<'a>>,
    /// The namespace of the request, which is there even where the object's own metadata names none.
    pub namespace: Option<Text<'a>>,
    /// What is done to the object.
    pub operation: Operation,
    /// Whether nothing will be kept: no side effect, no wait.
    pub dry_run: bool,
    pub(crate) namespace_opted_out: bool,
    pub(crate) subject: Subject<'a>,
}

impl<'a> Request<'a> {
    /// The request by which an API server would ask about an object that is about to be created from a file: `object` is
    /// its JSON. It is a dry run, for which nobody waits.
    pub fn from_manifest(
        workload: &'a Workload,
        namespace: &'a str,
        namespace_opted_out: bool,
        object: &'a str,
    ) -> Self {
        let subject = match Object::parse(object, workload) {
            Ok(object) => Subject::Created(workload, object),
            Err(error) => Subject::Unreadable(error),
        };
        let name = match &subject {
            Subject::Created(_, object) => object.metadata().and_then(|metadata| metadata.name.clone()),
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
            subject,
        }
    }
}

impl Request<'_> {
    /// The namespace; empty for an object that has none.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// The name to show: the object's, or what it will begin with.
    pub fn display_name(&self) -> Cow<'_, str> {
        if let Some(name) = Text::non_empty(self.name.as_ref()) {
            return Cow::Borrowed(name);
        }
        let metadata = match &self.subject {
            Subject::Created(_, object) | Subject::Updated { new: object, .. } => object.metadata(),
            _ => None,
        };
        let prefix = metadata.and_then(|metadata| Text::non_empty(metadata.generate_name.as_ref()));
        prefix.map_or(Cow::Borrowed(""), |prefix| Cow::Owned(format!("{prefix}*")))
    }
}

/// A group, version and kind.
#[derive(Debug, Deserialize)]
pub struct Kind<'a> {
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

impl<'a> From<&'a Workload> for Kind<'a> {
    fn from(workload: &'a Workload) -> Self {
        Self { group: workload.group().into(), version: workload.version().into(), kind: workload.kind().into() }
    }
}

/// What is done to an object.
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

    /// The word as it stands in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// By hand: serde's own would take `{"CREATE": null}` for a word too.
impl<'de> Deserialize<'de> for Operation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = Text::deserialize(deserializer)?;
        let operation = Self::ALL.into_iter().find(|operation| operation.as_str() == &*word);
        operation.ok_or_else(|| D::Error::unknown_variant(&word, &["CREATE", "UPDATE", "DELETE", "CONNECT"]))
    }
}

/// The object of a request, as far as the engine decides about it.
#[derive(Debug)]
pub(crate) enum Subject<'a> {
    /// A kind, an operation or a subresource that the engine does not decide about.
    Other,
    /// A custom resource that is not built as its configuration says.
    Unreadable(serde_json::Error),
    Created(&'a Workload, Object<'a>),
    /// Of the object as it was, only the scheduler that it named matters.
    Updated {
        workload: &'a Workload,
        new: Object<'a>,
        old_scheduler: Option<Text<'a>>,
    },
    /// An update that leaves the pod template as it was.
    Unchanged,
}

/// An `AdmissionReview` as it arrives.
#[derive(Debug)]
pub struct Review<'a> {
    /// The question.
    pub request: Request<'a>,
}

impl<'a> Review<'a> {
    /// Reads a review in one pass; what no decision depends on is skipped.
    ///
    /// # Errors
    /// A body that is no `AdmissionReview` with a complete request, or whose object cannot be of the kind that the
    /// request names.
    pub fn parse(body: &'a [u8], workloads: &'a Workloads) -> Result<Self, Malformed> {
        // To check all of it at once costs a third of checking string by string.
        match str::from_utf8(body) {
            Ok(text) => Self::read(serde_json::Deserializer::from_str(text), workloads),
            // Where that is in a string that nobody reads, it does no harm.
            Err(_) => Self::read(serde_json::Deserializer::from_slice(body), workloads),
        }
    }

    fn read<R: Read<'a>>(mut body: serde_json::Deserializer<R>, workloads: &'a Workloads) -> Result<Self, Malformed> {
        let review = ReviewSeed { workloads }.deserialize(&mut body)?;
        body.end()?;
        Ok(review)
    }
}

struct ReviewSeed<'a> {
    workloads: &'a Workloads,
}

impl<'a> DeserializeSeed<'a> for ReviewSeed<'a> {
    type Value = Review<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for ReviewSeed<'a> {
    type Value = Review<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an AdmissionReview")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let (mut api_version, mut kind, mut request) = (None, None, None);
        while let Some(key) = map.next_key::<Text<'a>>()? {
            match &*key {
                "apiVersion" => set(&mut api_version, "apiVersion", map.next_value::<Text<'a>>()?)?,
                "kind" => set(&mut kind, "kind", map.next_value::<Text<'a>>()?)?,
                "request" => {
                    let seed = RequestSeed { workloads: self.workloads };
                    set(&mut request, "request", map.next_value_seed(seed)?)?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        expect("kind", kind.as_deref(), KIND)?;
        expect("apiVersion", api_version.as_deref(), API_VERSION)?;
        let request = request.flatten().ok_or_else(|| M::Error::missing_field("request"))?;
        Ok(Review { request })
    }
}

/// The longest name of a call that is repeated, in bytes. An API server's has 36; and what is repeated stays in memory until
/// whoever asked has read it: 30 clients that sent one of 17 MB, and read no answer, cost 530 MB.
const LONGEST_UID: usize = 1024;

/// Holds the name of a call to what an API server may call it.
///
/// # Errors
///
/// It is empty, or longer than it may be.
pub fn expect_uid<E: serde::de::Error>(uid: &str) -> Result<(), E> {
    match uid.len() {
        0 => Err(E::missing_field("request.uid")),
        1..=LONGEST_UID => Ok(()),
        length => Err(E::custom(format_args!("request.uid has {length} bytes, and may have {LONGEST_UID}"))),
    }
}

/// Holds a field of the envelope to the one value that it may have.
///
/// # Errors
///
/// It is missing, or has another value.
pub fn expect<E: serde::de::Error>(field: &str, found: Option<&str>, wanted: &str) -> Result<(), E> {
    match found {
        Some(found) if found == wanted => Ok(()),
        Some(found) => Err(E::custom(format_args!("{field} is `{found}` and not `{wanted}`"))),
        None => Err(E::custom(format_args!("{field} is missing; it is `{wanted}`"))),
    }
}

struct RequestSeed<'a> {
    workloads: &'a Workloads,
}

impl<'a> DeserializeSeed<'a> for RequestSeed<'a> {
    type Value = Option<Request<'a>>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for RequestSeed<'a> {
    type Value = Option<Request<'a>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an AdmissionRequest")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let (mut uid, mut kind, mut operation) = (None, None::<Kind<'a>>, None);
        let (mut sub_resource, mut name, mut namespace, mut dry_run) = (None, None, None, None);
        let (mut object, mut old_object) = (None, None);
        while let Some(key) = map.next_key::<Text<'a>>()? {
            match &*key {
                "uid" => set(&mut uid, "uid", map.next_value::<Text<'a>>()?)?,
                "kind" => {
                    let Some(value) = map.next_value::<Nullable<_>>()?.0 else { continue };
                    set(&mut kind, "kind", value)?;
                }
                "operation" => set(&mut operation, "operation", map.next_value::<Operation>()?)?,
                "subResource" => set(&mut sub_resource, "subResource", map.next_value::<Option<Text<'a>>>()?)?,
                "name" => set(&mut name, "name", map.next_value::<Option<Text<'a>>>()?)?,
                "namespace" => set(&mut namespace, "namespace", map.next_value::<Option<Text<'a>>>()?)?,
                "dryRun" => set(&mut dry_run, "dryRun", map.next_value::<Option<bool>>()?)?,
                field @ ("object" | "oldObject") => {
                    let (slot, field) =
                        if field == "object" { (&mut object, "object") } else { (&mut old_object, "oldObject") };
                    let plan = kind.as_ref().zip(operation).map(|(kind, operation)| {
                        Plan::new(self.workloads, kind, sub_resource.as_ref().and_then(Option::as_ref), operation)
                    });
                    let plan = if field == "oldObject" { plan.map(Plan::of_old_object) } else { plan };
                    set(slot, field, map.next_value_seed(PayloadSeed { plan })?)?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let uid = uid.unwrap_or_default();
        expect_uid(&uid)?;
        let kind = kind.ok_or_else(|| M::Error::missing_field("request.kind"))?;
        let operation = operation.ok_or_else(|| M::Error::missing_field("request.operation"))?;
        let sub_resource = sub_resource.flatten();
        let plan = Plan::new(self.workloads, &kind, sub_resource.as_ref(), operation);
        let subject = plan.subject(object.unwrap_or_default(), old_object.unwrap_or_default())?;
        Ok(Some(Request {
            uid,
            kind,
            sub_resource,
            name: name.flatten(),
            namespace: namespace.flatten(),
            operation,
            dry_run: dry_run.flatten().unwrap_or(false),
            namespace_opted_out: false,
            subject,
        }))
    }
}

/// What a request's objects are read as. It follows from fields that the API server sends before the objects, so that
/// they are read in the same pass; any other sender's order costs a second one.
#[derive(Clone, Copy)]
enum Plan<'a> {
    Skip,
    Create(&'a Workload),
    Update(&'a Workload),
}

impl<'a> Plan<'a> {
    fn new(workloads: &'a Workloads, kind: &Kind<'_>, sub_resource: Option<&Text<'_>>, operation: Operation) -> Self {
        let workload = workloads.find(&kind.group, &kind.version, &kind.kind);
        match (workload.filter(|_| Text::non_empty(sub_resource).is_none()), operation) {
            (Some(workload), Operation::Create) => Self::Create(workload),
            (Some(workload), Operation::Update) => Self::Update(workload),
            _ => Self::Skip,
        }
    }

    /// What the object as it was is read as: at CREATE there was none, whatever is sent.
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
                let keep = if workload.update() == Update::Refused { Keep::Read } else { Keep::Sent };
                Some(ObjectSeed { workload, keep })
            }
        }
    }

    fn subject<E: serde::de::Error>(self, object: Payload<'a>, old: Payload<'a>) -> Result<Subject<'a>, E> {
        let (workload, subject) = match self {
            Self::Skip => return Ok(Subject::Other),
            Self::Create(workload) => (workload, self.created(workload, object)),
            Self::Update(workload) => (workload, self.updated(workload, object, old)),
        };
        match subject {
            Err(error) if workload.is_custom() => Ok(Subject::Unreadable(error)),
            subject => subject.map_err(E::custom),
        }
    }

    fn created(self, workload: &'a Workload, object: Payload<'a>) -> Result<Subject<'a>, serde_json::Error> {
        Ok(Subject::Created(workload, object.locate(self, "request.object")?.into_object()?))
    }

    fn updated(
        self,
        workload: &'a Workload,
        object: Payload<'a>,
        old: Payload<'a>,
    ) -> Result<Subject<'a>, serde_json::Error> {
        let (new, old) = (object.locate(self, "request.object")?, old.locate(self, "request.oldObject")?);
        if new.same_template(&old) {
            return Ok(Subject::Unchanged);
        }
        let old_scheduler = old.into_object()?.template.and_then(Template::into_scheduler);
        Ok(Subject::Updated { workload, new: new.into_object()?, old_scheduler })
    }
}

/// `object` or `oldObject`, read as far as was possible when it was reached.
#[derive(Default)]
#[expect(clippy::large_enum_variant, reason = "it lives for one call; a box would cost each review an allocation")]
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
        match self.plan {
            Some(Plan::Skip) => IgnoredAny::deserialize(deserializer).map(|IgnoredAny| Payload::Skipped),
            Some(plan @ (Plan::Create(workload) | Plan::Update(workload))) if !workload.is_custom() => {
                let seed = NullableSeed(plan.seed());
                Ok(seed.deserialize(deserializer)?.map_or(Payload::Absent, Payload::Located))
            }
            // Not known yet, or a custom resource, which may be built otherwise without harm to the whole review.
            _ => Option::<&RawValue>::deserialize(deserializer)
                .map(|text| text.filter(|text| text.get() != "null").map_or(Payload::Absent, Payload::Sent)),
        }
    }
}

/// Null, or what the seed reads: `oldObject` is null at CREATE.
struct NullableSeed<S>(Option<S>);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for NullableSeed<S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for NullableSeed<S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or null")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.0.map(|seed| seed.deserialize(deserializer)).transpose()
    }
}

#[cfg(test)]
mod tests;
