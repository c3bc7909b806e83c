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
pub(super) const API_VERSION: &str = "admission.k8s.io/v1";

/// The kind of a question, and of its answer.
pub(super) const KIND: &str = "AdmissionReview";

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
    pub(crate) subject: Subject<'a>,
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

/// What is done to an object.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
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

fn expect<E: serde::de::Error>(field: &str, found: Option<&str>, wanted: &str) -> Result<(), E> {
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
                    set(slot, field, map.next_value_seed(PayloadSeed { plan })?)?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let uid = uid.filter(|uid| !uid.is_empty()).ok_or_else(|| M::Error::missing_field("request.uid"))?;
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
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SAMPLE: &str = include_str!("../../tests/fixtures/reviews/deployment-update.json");

    /// What is said of a body that is refused.
    fn refusal(body: impl AsRef<[u8]>) -> String {
        let text = Review::parse(body.as_ref(), &Workloads::default()).unwrap_err().to_string();
        let (envelope, text) = text.split_at("the body is no AdmissionReview of admission.k8s.io/v1: ".len());
        assert_eq!(envelope, "the body is no AdmissionReview of admission.k8s.io/v1: ");
        text.to_owned()
    }

    fn pod() -> Value {
        json!({"metadata": {}, "spec": {}})
    }

    fn deployment() -> Value {
        json!({"metadata": {}, "spec": {"template": pod()}})
    }

    fn review(kind: &str, object: &Value) -> Value {
        let group = if kind == "Pod" { "" } else { "apps" };
        json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "request": {
                "uid": "1",
                "kind": {"group": group, "version": "v1", "kind": kind},
                "operation": "CREATE",
                "object": object,
            },
        })
    }

    fn accepts(body: &Value) -> bool {
        Review::parse(body.to_string().as_bytes(), &Workloads::default()).is_ok()
    }

    /// A body in which one field is another value, or is taken out.
    fn changed(pointer: &str, value: Option<Value>) -> String {
        let mut body = review("Pod", &pod());
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => parent.insert(field.to_owned(), value),
            None => parent.remove(field),
        };
        body.to_string()
    }

    #[test]
    fn a_body_that_is_no_json_is_refused() {
        assert!(accepts(&review("Pod", &pod())) && accepts(&review("Deployment", &deployment())));
        assert_eq!(refusal(""), "EOF while parsing a value at line 1 column 0");
        assert_eq!(refusal("hello"), "expected value at line 1 column 1");
        assert!(refusal([0xff, 0xfe]).starts_with("expected value"));
        assert!(refusal(b"{\"kind\":\"\xff\"}").contains("invalid unicode code point"));
        for (wrong, is) in [("[]", "sequence"), ("null", "null"), ("1", "integer `1`"), ("\"x\"", "string \"x\"")] {
            assert!(refusal(wrong).starts_with(&format!("invalid type: {is}, expected an AdmissionReview")), "{wrong}");
        }
    }

    #[test]
    fn a_truncated_body_is_refused_wherever_it_ends() {
        let body = SAMPLE.trim_end();
        assert!(Review::parse(body.as_bytes(), &Workloads::default()).is_ok());
        for end in (0..body.len()).step_by(37).chain([body.len() - 1]) {
            assert!(refusal(&body[..end]).contains("EOF while parsing"), "{end}");
        }
    }

    #[test]
    fn a_body_with_something_behind_it_is_refused() {
        let body = review("Pod", &pod()).to_string();
        assert!(Review::parse(format!("{body}\n \t").as_bytes(), &Workloads::default()).is_ok());
        for rest in ["x", "{}", ",", "\0"] {
            assert!(refusal(format!("{body}{rest}")).starts_with("trailing characters"), "{rest}");
        }
    }

    #[test]
    fn another_document_is_refused_and_says_which_it_is() {
        let said = |pointer, value| refusal(changed(pointer, value));
        let v1beta1 = said("/apiVersion", Some(json!("admission.k8s.io/v1beta1")));
        assert!(
            v1beta1.contains("apiVersion is `admission.k8s.io/v1beta1` and not `admission.k8s.io/v1`"),
            "{v1beta1}"
        );
        assert!(said("/kind", Some(json!("Pod"))).contains("kind is `Pod` and not `AdmissionReview`"));
        assert!(said("/apiVersion", None).contains("apiVersion is missing; it is `admission.k8s.io/v1`"));
        assert!(said("/kind", None).contains("kind is missing; it is `AdmissionReview`"));
        assert!(said("/kind", Some(Value::Null)).contains("invalid type: null, expected a string"));
        assert!(refusal("{}").contains("kind is missing"));
        assert!(refusal(pod().to_string()).contains("kind is missing"));
    }

    #[test]
    fn an_incomplete_request_is_refused_and_says_what_is_missing() {
        for (pointer, field) in [
            ("/request", "request"),
            ("/request/uid", "request.uid"),
            ("/request/kind", "request.kind"),
            ("/request/operation", "request.operation"),
            ("/request/object", "request.object"),
        ] {
            let said = refusal(changed(pointer, None));
            assert!(said.contains(&format!("missing field `{field}`")), "{said}");
        }
        for (pointer, field) in
            [("/request", "request"), ("/request/kind", "request.kind"), ("/request/object", "request.object")]
        {
            let said = refusal(changed(pointer, Some(Value::Null)));
            assert!(said.contains(&format!("missing field `{field}`")), "{said}");
        }
        assert!(refusal(changed("/request/uid", Some(json!("")))).contains("missing field `request.uid`"));
        assert!(refusal(changed("/request/kind", Some(json!({})))).contains("missing field `version`"));
        let update = changed("/request/operation", Some(json!("UPDATE")));
        assert!(refusal(update).contains("missing field `request.oldObject`"));
    }

    #[test]
    fn a_field_of_another_type_is_refused() {
        for (pointer, wrong, expected) in [
            ("/request", json!([]), "expected an AdmissionRequest"),
            ("/request", json!("x"), "expected an AdmissionRequest"),
            ("/request/uid", json!(1), "expected a string"),
            ("/request/kind", json!("Pod"), "expected an object or null"),
            ("/request/operation", json!("create"), "unknown variant `create`"),
            ("/request/operation", json!(""), "unknown variant ``"),
            ("/request/dryRun", json!("true"), "expected a boolean"),
            ("/request/namespace", json!({}), "expected a string"),
            ("/request/object", json!([]), "expected an object or null"),
            ("/request/object", json!("x"), "expected an object or null"),
            ("/request/object/spec", json!([]), "expected an object or null"),
            ("/request/object/spec", json!("x"), "expected an object or null"),
            ("/request/object/metadata", json!([]), "expected an object or null"),
            ("/request/object/metadata/annotations", json!([]), "expected an object or null"),
            ("/request/object/metadata/ownerReferences", json!({}), "expected a sequence"),
            ("/request/object/spec/volumes", json!({}), "expected an array of volumes"),
            ("/request/object/spec/volumes", json!([1]), "expected an object or null"),
            ("/request/object/spec/schedulerName", json!(1), "expected a string"),
        ] {
            let said = refusal(changed(pointer, Some(wrong)));
            assert!(said.contains(expected), "{pointer}: {said}");
        }
    }

    #[test]
    fn a_template_of_another_type_is_refused() {
        for (pointer, wrong, expected) in [
            ("", json!([]), "expected a Deployment as an object"),
            ("/metadata", json!(1), "expected an object or null"),
            ("/spec", json!([]), "expected an object that holds `template`, or null"),
            ("/spec", json!("x"), "expected an object that holds `template`, or null"),
            ("/spec/template", json!([]), "expected an object or null"),
            ("/spec/template/spec", json!(true), "expected an object or null"),
            ("/spec/volumeClaimTemplates", json!({}), "expected a sequence"),
        ] {
            let mut object = deployment();
            object["spec"]["volumeClaimTemplates"] = Value::Null;
            *object.pointer_mut(pointer).unwrap() = wrong;
            let said = refusal(review("Deployment", &object).to_string());
            assert!(said.contains(expected), "{pointer}: {said}");
        }
    }

    #[test]
    fn a_key_that_is_there_twice_is_refused() {
        let pod = review("Pod", &pod()).to_string();
        let deployment = review("Deployment", &deployment()).to_string();
        for (body, once, twice) in [
            (&pod, r#""uid":"1""#, r#""uid":"1","uid":"2""#),
            (&pod, r#""operation":"CREATE""#, r#""operation":"CREATE","operation":"UPDATE""#),
            (&pod, r#""spec":{}"#, r#""spec":{},"spec":{}"#),
            (&pod, r#""metadata":{}"#, r#""metadata":{},"metadata":null"#),
            (&pod, r#""kind":"AdmissionReview""#, r#""kind":"AdmissionReview","kind":"AdmissionReview""#),
            (&pod, r#""request":"#, r#""request":null,"request":"#),
            (&pod, r#""object":"#, r#""object":null,"object":"#),
            (&deployment, r#""metadata":{},"spec":{"template""#, r#""metadata":null,"metadata":{},"spec":{"template""#),
            (&deployment, r#""spec":{"template""#, r#""spec":null,"spec":{"template""#),
            (&deployment, r#""template":"#, r#""template":null,"template":"#),
            (&deployment, r#""spec":{}}"#, r#""spec":{}},"template":null"#),
        ] {
            assert!(body.contains(once), "{once}: {body}");
            let said = refusal(body.replacen(once, twice, 1));
            assert!(said.contains("duplicate field"), "{twice}: {said}");
        }
    }

    #[test]
    fn what_no_decision_depends_on_may_hold_anything() {
        let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
        let body = changed("/request/userInfo", Some(json!("DEEP"))).replace("\"DEEP\"", &deep);
        assert!(Review::parse(body.as_bytes(), &Workloads::default()).is_ok());
        let skipped = json!([[], {"spec": 1}, null]);
        let mut body = review("ConfigMap", &skipped);
        assert!(accepts(&body));
        body["request"]["kind"]["kind"] = json!("Deployment");
        body["request"]["operation"] = json!("DELETE");
        assert!(accepts(&body));
    }

    #[test]
    fn an_object_whose_keys_are_escaped_is_read_all_the_same() {
        let body = review("Pod", &json!({"spec": {"nodeName": "n1"}})).to_string();
        let body = body.replace("nodeName", r"node\u004eame").replace("\"object\"", r#""\u006fbject""#);
        let workloads = Workloads::default();
        let review = Review::parse(body.as_bytes(), &workloads).unwrap();
        let Subject::Created(_, object) = review.request.subject else { panic!("{:?}", review.request) };
        assert_eq!(object.template.unwrap().spec().unwrap().node_name(), Some("n1"));
    }

    #[test]
    fn the_name_to_show_is_the_objects_or_what_it_begins_with() {
        let workloads = Workloads::default();
        let shown = |name: Value, metadata: Value| {
            let mut body = review("Pod", &json!({"metadata": metadata, "spec": {}}));
            body["request"]["name"] = name;
            Review::parse(body.to_string().as_bytes(), &workloads).unwrap().request.display_name().into_owned()
        };
        assert_eq!(shown(json!("web-1"), json!({"generateName": "web-"})), "web-1");
        assert_eq!(shown(json!(""), json!({"generateName": "web-"})), "web-*");
        assert_eq!(shown(Value::Null, json!({})), "");
    }
}
