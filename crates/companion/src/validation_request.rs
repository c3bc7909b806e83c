//! A review of an object that is validated: whether it is looked at, and what a change brings.

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;

use super::subject::{Subject, SubjectKind};
use colocate_engine::{API_VERSION, KIND, Kind, Malformed, Operation, Policy, Text, expect, expect_uid, object};

/// Objects that controllers of the control plane make from others, which were looked at before.
const CONTROL_PLANE: &str = "system:serviceaccount:kube-system:";

/// The question, as far as it matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidationRequest<'a> {
    /// Names the call; the answer repeats it.
    #[serde(borrow)]
    pub uid: Text<'a>,
    #[serde(borrow)]
    kind: Kind<'a>,
    operation: Operation,
    #[serde(borrow, default)]
    sub_resource: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    namespace: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    user_info: Option<UserInfo<'a>>,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    old_object: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
struct UserInfo<'a> {
    #[serde(borrow, default)]
    username: Option<Text<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReviewEnvelope<'a> {
    #[serde(borrow, default)]
    api_version: Option<Text<'a>>,
    #[serde(borrow, default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    request: Option<ValidationRequest<'a>>,
}

/// What there is to do about a review.
#[derive(Debug)]
pub enum Screening<'r> {
    /// Nothing: why, in one word, which is a metric label.
    Skipped(&'static str),
    /// The object is checked, and what it was before.
    Checked {
        /// As it is to be.
        new: Box<Subject<'r>>,
        /// As it is, where it exists.
        old: Option<Box<Subject<'r>>>,
    },
}

impl<'a> ValidationRequest<'a> {
    /// Reads a review.
    ///
    /// # Errors
    /// A body that is no `AdmissionReview` with a complete request.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut body = serde_json::Deserializer::from_slice(body);
        let ReviewEnvelope { api_version, kind, request } = object(&mut body)?.unwrap_or_default();
        body.end()?;
        expect::<serde_json::Error>("kind", kind.as_deref(), KIND)?;
        expect::<serde_json::Error>("apiVersion", api_version.as_deref(), API_VERSION)?;
        let request: ValidationRequest<'a> = request.ok_or_else(|| serde_json::Error::missing_field("request"))?;
        expect_uid::<serde_json::Error>(&request.uid)?;
        Ok(request)
    }

    /// Reads its objects, unless they are none of ours: a workload is told once, and not again for each thing that a
    /// controller makes of it. A denial of such a thing would stop what runs.
    ///
    /// # Errors
    /// Objects that are not built as the kind that the request names.
    pub fn screen<'r>(&'r self, policy: &'r Policy) -> Result<Screening<'r>, Malformed> {
        if !matches!(self.operation, Operation::Create | Operation::Update) {
            return Ok(Screening::Skipped("unsupported-operation"));
        }
        if Text::non_empty(self.sub_resource.as_ref()).is_some() {
            return Ok(Screening::Skipped("unsupported-operation"));
        }
        let Some(kind) = SubjectKind::find(policy, &self.kind.group, &self.kind.version, &self.kind.kind) else {
            return Ok(Screening::Skipped("unsupported-kind"));
        };
        let user = self.user_info.as_ref().and_then(|user| user.username.as_deref()).unwrap_or_default();
        if user.starts_with(CONTROL_PLANE) {
            return Ok(Screening::Skipped("control-plane"));
        }
        let new = self.object.ok_or_else(|| serde_json::Error::missing_field("request.object"))?;
        let new = match Subject::parse(new.get(), kind) {
            Ok(new) => new,
            // A custom resource may be built in any way: that is no reason to stop it.
            Err(_) if kind.is_custom() => return Ok(Screening::Skipped("unreadable")),
            Err(error) => return Err(error.into()),
        };
        if new.is_terminating() {
            return Ok(Screening::Skipped("terminating"));
        }
        if new.has_controller_among(policy) {
            return Ok(Screening::Skipped("controller-owned"));
        }
        let old = match (self.operation, self.old_object) {
            // What cannot be read has nothing that was there before.
            (Operation::Update, Some(old)) => Subject::parse(old.get(), kind).ok().map(Box::new),
            _ => None,
        };
        Ok(Screening::Checked { new: Box::new(new), old })
    }

    /// The namespace; empty for an object that has none.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// The name; empty where the API server is still to make it.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The kind's name.
    pub fn kind(&self) -> &str {
        &self.kind.kind
    }

    /// What is done to the object.
    pub fn operation(&self) -> Operation {
        self.operation
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn review(operation: &str, kind: &Value, object: &Value) -> Value {
        json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "1",
                "kind": kind,
                "operation": operation,
                "namespace": "shop",
                "userInfo": { "username": "kim" },
                "object": object,
            },
        })
    }

    fn deployments() -> Value {
        json!({ "group": "apps", "version": "v1", "kind": "Deployment" })
    }

    fn created(metadata: &Value) -> Value {
        review("CREATE", &deployments(), &json!({ "metadata": metadata, "spec": {} }))
    }

    fn with(mut review: Value, pointer: &str, value: Value) -> Value {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        review.pointer_mut(parent).unwrap()[key] = value;
        review
    }

    /// Why the object is passed over; `checked`, if it is not.
    fn outcome(review: &Value) -> Result<&'static str, String> {
        let (policy, body) = (Policy::default(), review.to_string());
        let review = ValidationRequest::parse(body.as_bytes()).map_err(|error| error.to_string())?;
        match review.screen(&policy) {
            Ok(Screening::Skipped(why)) => Ok(why),
            Ok(Screening::Checked { old: None, .. }) => Ok("checked"),
            Ok(Screening::Checked { old: Some(_), .. }) => Ok("checked with what it was"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn what_controllers_make_and_what_is_on_its_way_out_is_passed_over() {
        let owner = |api_version: &str, kind: &str, controller: bool| {
            let owner =
                json!({ "apiVersion": api_version, "kind": kind, "name": "x", "uid": "2", "controller": controller });
            created(&json!({ "ownerReferences": [owner] }))
        };
        let plain = created(&json!({}));
        let pods = json!({ "group": "", "version": "v1", "kind": "Pod" });
        let of_replica_set = with(owner("apps/v1", "ReplicaSet", true), "/request/kind", pods);
        for (review, expected) in [
            (plain.clone(), "checked"),
            (of_replica_set, "controller-owned"),
            (owner("apps/v1beta9", "Deployment", true), "controller-owned"),
            (owner("example.com/v1", "Database", true), "checked"),
            (owner("apps/v1", "ReplicaSet", false), "checked"),
            (owner("example.com/v1", "ReplicaSet", true), "checked"),
            (
                with(
                    plain.clone(),
                    "/request/userInfo",
                    json!({"username": "system:serviceaccount:kube-system:deployment-controller"}),
                ),
                "control-plane",
            ),
            (
                with(plain.clone(), "/request/userInfo", json!({"username": "system:serviceaccount:shop:kube-system"})),
                "checked",
            ),
            (with(plain.clone(), "/request/userInfo", Value::Null), "checked"),
            (created(&json!({ "deletionTimestamp": "2026-11-25T00:00:00Z" })), "terminating"),
            (created(&json!({ "deletionTimestamp": null })), "checked"),
            (with(plain.clone(), "/request/subResource", "scale".into()), "unsupported-operation"),
            (with(plain.clone(), "/request/operation", "DELETE".into()), "unsupported-operation"),
            (with(plain, "/request/kind", json!({"group": "", "version": "v1", "kind": "Secret"})), "unsupported-kind"),
        ] {
            assert_eq!(outcome(&review).as_deref(), Ok(expected), "{review}");
        }
    }

    #[test]
    fn an_update_is_held_against_what_was_there() {
        let update = with(created(&json!({})), "/request/operation", "UPDATE".into());
        let old = with(update.clone(), "/request/oldObject", json!({ "metadata": {} }));
        assert_eq!(outcome(&old).as_deref(), Ok("checked with what it was"));
        assert_eq!(outcome(&update).as_deref(), Ok("checked"));
        assert_eq!(outcome(&with(update, "/request/oldObject", json!([]))).as_deref(), Ok("checked"));
    }

    #[test]
    fn what_is_no_review_is_refused_and_never_denied() {
        let plain = created(&json!({}));
        for (review, part) in [
            (json!([]), "expected an object or null"),
            (Value::Null, "kind is missing"),
            (
                with(plain.clone(), "/apiVersion", "admission.k8s.io/v1beta1".into()),
                "apiVersion is `admission.k8s.io/v1beta1`",
            ),
            (with(plain.clone(), "/kind", "Pod".into()), "kind is `Pod`"),
            (with(plain.clone(), "/request", Value::Null), "missing field `request`"),
            (with(plain.clone(), "/request/uid", "".into()), "missing field `request.uid`"),
            (with(plain.clone(), "/request/operation", "create".into()), "unknown variant `create`"),
            (with(plain.clone(), "/request/object", Value::Null), "missing field `request.object`"),
            (with(plain, "/request/object", json!({ "spec": { "template": [] } })), "invalid type: sequence"),
        ] {
            let error = outcome(&review).unwrap_err();
            assert!(error.starts_with("the body is no AdmissionReview") && error.contains(part), "{part}: {error}");
        }
        assert!(ValidationRequest::parse(b"{} trailing").is_err());
    }
}
