//! Admission requests for validation, and the decision whether to check the object and against which earlier state.

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;

use super::subject::{Subject, SubjectKind};
use colocate_engine::{
    API_VERSION, GroupVersionKind, KIND, Malformed, Operation, Policy, Text, expect, expect_uid, object,
};

/// The prefix of users that are controllers of the control plane. They create objects from others that were already checked.
const CONTROL_PLANE: &str = "system:serviceaccount:kube-system:";

/// The parts of an admission request that validation depends on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidationRequest<'a> {
    /// The id of the call, which the response repeats.
    #[serde(borrow)]
    pub uid: Text<'a>,
    /// The kind of the object.
    #[serde(borrow)]
    pub kind: GroupVersionKind<'a>,
    /// The operation on the object.
    pub operation: Operation,
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

/// The decision whether an object is checked.
#[derive(Debug)]
pub enum Screening<'r> {
    /// The object is not checked. The reason is one word, which is a metric label.
    Skipped(&'static str),
    /// The object is checked.
    Checked {
        /// The new state.
        new: Box<Subject<'r>>,
        /// The old state of an update.
        old: Option<Box<Subject<'r>>>,
    },
}

impl<'a> ValidationRequest<'a> {
    /// Reads a request.
    ///
    /// # Errors
    /// A body that is not an `AdmissionReview` with a complete request.
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

    /// Decides whether the object is checked, and parses it. Objects that a controller creates from a workload are skipped:
    /// their findings were reported for the workload, and a denial would break a running workload.
    ///
    /// # Errors
    /// The object does not have the structure of its kind.
    pub fn screen<'r>(&'r self, policy: &'r Policy) -> Result<Screening<'r>, Malformed> {
        let is_write = matches!(self.operation, Operation::Create | Operation::Update);
        if !is_write || Text::non_empty(self.sub_resource.as_ref()).is_some() {
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
            // A custom resource may have any structure, so this is not a reason to deny it.
            Err(_) if matches!(kind, SubjectKind::Workload(workload) if workload.custom) => {
                return Ok(Screening::Skipped("unreadable"));
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(why) = new.skipped(policy) {
            return Ok(Screening::Skipped(why));
        }
        let old = match (self.operation, self.old_object) {
            // An old object that does not parse has no findings to compare with.
            (Operation::Update, Some(old)) => Subject::parse(old.get(), kind).ok().map(Box::new),
            _ => None,
        };
        Ok(Screening::Checked { new: Box::new(new), old })
    }

    /// The namespace; empty for a cluster-scoped object.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// The name; empty if the API server has not generated it yet.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
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

    /// Returns the reason why the object is skipped, or that it is checked.
    fn outcome(review: &Value) -> Result<&'static str, String> {
        let (policy, body) = (Policy::default(), review.to_string());
        let review = ValidationRequest::parse(body.as_bytes()).map_err(|error| error.to_string())?;
        match review.screen(&policy) {
            Ok(Screening::Skipped(why)) => Ok(why),
            Ok(Screening::Checked { old: None, .. }) => Ok("checked"),
            Ok(Screening::Checked { old: Some(_), .. }) => Ok("checked against the old state"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn controller_owned_and_terminating_objects_are_skipped() {
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
    fn an_update_is_checked_against_the_old_state() {
        let update = with(created(&json!({})), "/request/operation", "UPDATE".into());
        let old = with(update.clone(), "/request/oldObject", json!({ "metadata": {} }));
        assert_eq!(outcome(&old).as_deref(), Ok("checked against the old state"));
        assert_eq!(outcome(&update).as_deref(), Ok("checked"));
        assert_eq!(outcome(&with(update, "/request/oldObject", json!([]))).as_deref(), Ok("checked"));
    }

    #[test]
    fn a_duplicate_key_is_rejected() {
        let kind = |group: &str, version: &str, kind: &str| json!({ "group": group, "version": version, "kind": kind });
        let class = kind("storage.k8s.io", "v1", "StorageClass");
        let (namespace, claim) = (kind("", "v1", "Namespace"), kind("", "v1", "PersistentVolumeClaim"));
        let (set, job) = (kind("apps", "v1", "StatefulSet"), kind("batch", "v1", "CronJob"));
        let twice = r#"{"a":"true","\u0061":"false"}"#;
        for (kind, object) in [
            (&class, r#"{"provisioner":"p","parameters":TWICE}"#),
            (&class, r#"{"provisioner":"p","metadata":{"labels":TWICE}}"#),
            (&class, r#"{"provisioner":"p","provisioner":"q"}"#),
            (&namespace, r#"{"metadata":{"labels":TWICE}}"#),
            (&namespace, r#"{"metadata":{"annotations":TWICE}}"#),
            (&namespace, r#"{"metadata":{},"metadata":{"labels":{}}}"#),
            (&namespace, r#"{"metadata":{"labels":{},"labels":null}}"#),
            (&claim, r#"{"metadata":{"labels":TWICE}}"#),
            (&claim, r#"{"metadata":{"annotations":TWICE}}"#),
            (&set, r#"{"metadata":{"labels":TWICE},"spec":{"template":{}}}"#),
            (&set, r#"{"spec":{"template":{"metadata":{"labels":TWICE}}}}"#),
            (&set, r#"{"spec":{"template":{},"volumeClaimTemplates":[{"metadata":{"labels":TWICE}}]}}"#),
            (
                &set,
                r#"{"spec":{"template":{"spec":{"volumes":[{"name":"v","ephemeral":{"volumeClaimTemplate":{"metadata":{"labels":TWICE}}}}]}}}}"#,
            ),
            (&job, r#"{"spec":{"jobTemplate":{"metadata":{"labels":TWICE}}}}"#),
        ] {
            let body = review("CREATE", kind, &json!("OBJECT")).to_string();
            let object = object.replace("TWICE", twice);
            let body = body.replace("\"OBJECT\"", &object);
            let review = ValidationRequest::parse(body.as_bytes()).unwrap();
            let error = review.screen(&Policy::default()).unwrap_err().to_string();
            assert!(error.contains("duplicate"), "{object}: {error}");
        }
    }

    #[test]
    fn a_malformed_review_is_an_error_and_not_a_denial() {
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
            assert!(error.starts_with("the body is not an AdmissionReview") && error.contains(part), "{part}: {error}");
        }
        assert!(ValidationRequest::parse(b"{} trailing").is_err());
    }
}
