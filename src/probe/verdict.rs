//! The decision of a webhook: an answer, parsed as strictly as the API server parses it.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hyper::StatusCode;
use json_patch::{Patch, PatchError};
use serde::Deserialize;
use serde_json::Value;

use super::Answer;
use crate::engine::{API_VERSION, KIND, printable};

/// The length of the excerpt of an answer that is not JSON, in characters.
const EXCERPT: usize = 300;

/// The decision of a webhook.
#[derive(Debug)]
pub struct Verdict {
    /// Whether the request is allowed.
    pub allowed: bool,
    /// The reason of a refusal, or whatever else the webhook says in `status.message`.
    pub message: Option<String>,
    /// The HTTP status for the client that is refused.
    pub code: Option<u16>,
    /// The change; `None` leaves the object as it is.
    pub patch: Option<Patch>,
    /// Warnings for the user who sent the request.
    pub warnings: Vec<String>,
    /// Annotations for the API server's audit log.
    pub audit_annotations: BTreeMap<String, String>,
}

/// An answer that the API server would count as a failure of the webhook, whatever `allowed` says.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum InvalidAnswer {
    #[error("the webhook answered HTTP {status}{}: {}", retry(.retry_after.as_deref()), excerpt(.body))]
    Status { status: StatusCode, retry_after: Option<String>, body: String },
    #[error("the answer is not JSON: {}", excerpt(.body))]
    NotJson { body: String, source: serde_json::Error },
    #[error("the answer is not an {KIND} of {API_VERSION}")]
    NotAReview(#[source] serde_json::Error),
    #[error("the answer's {field} is {found}; it must be `{expected}`")]
    Other { field: &'static str, found: String, expected: &'static str },
    #[error("the answer has no `response`")]
    NoResponse,
    #[error("the answer's response.uid is {found}; it must repeat the request's, `{expected}`")]
    Uid { found: String, expected: String },
    #[error("the answer has a response.patch but no response.patchType; it needs both or neither")]
    PatchWithoutType,
    #[error("the answer has a response.patchType but no response.patch; it needs both or neither")]
    TypeWithoutPatch,
    #[error("the answer's response.patchType is `{0}`; `JSONPatch` is the only valid one")]
    PatchType(String),
    #[error("the answer's response.patch is not base64")]
    Base64(#[source] base64::DecodeError),
    #[error("the answer's response.patch is not a JSON patch (RFC 6902)")]
    NotAPatch(#[source] serde_json::Error),
    #[error(
        "the patch does not apply to the object: every request with such an answer fails, even under `failurePolicy: Ignore`"
    )]
    DoesNotApply(#[source] PatchError),
    #[error("the request has no object that the patch could apply to")]
    NoObject,
}

impl Verdict {
    /// Parses the answer to the request `uid`.
    ///
    /// # Errors
    /// The first reason for which the API server would count the call as failed.
    pub fn read(answer: &Answer, uid: &str) -> Result<Self, InvalidAnswer> {
        let body = || String::from_utf8_lossy(&answer.body).into_owned();
        if !answer.status.is_success() {
            let retry_after = answer.retry_after.clone();
            return Err(InvalidAnswer::Status { status: answer.status, retry_after, body: body() });
        }
        let mut review: Value =
            serde_json::from_slice(&answer.body).map_err(|source| InvalidAnswer::NotJson { body: body(), source })?;
        for (field, expected) in [("kind", KIND), ("apiVersion", API_VERSION)] {
            let found = review.get(field).and_then(Value::as_str);
            if found != Some(expected) {
                return Err(InvalidAnswer::Other { field, found: quoted(found), expected });
            }
        }
        let response = review.get_mut("response").map(Value::take).unwrap_or_default();
        let response: Option<WireResponse> = serde_json::from_value(response).map_err(InvalidAnswer::NotAReview)?;
        let response = response.ok_or(InvalidAnswer::NoResponse)?;
        if response.uid.as_deref() != Some(uid) {
            return Err(InvalidAnswer::Uid { found: quoted(response.uid.as_deref()), expected: uid.into() });
        }
        let patch = response.patch()?;
        let status = response.status.unwrap_or_default();
        Ok(Self {
            // To the API server, a missing one is `false`.
            allowed: response.allowed.unwrap_or(false),
            message: status.message.or(status.reason),
            code: status.code,
            patch,
            warnings: response.warnings.unwrap_or_default(),
            audit_annotations: response.audit_annotations.unwrap_or_default(),
        })
    }

    /// The number of operations in the patch; 0 without a patch.
    pub fn changes(&self) -> usize {
        self.patch.as_ref().map_or(0, |patch| patch.len())
    }

    /// Returns the object with the patch applied.
    ///
    /// # Errors
    /// A patch that does not apply, or that has no object to apply to. The API server then fails the request under every
    /// `failurePolicy`.
    pub fn apply(&self, object: &Value) -> Result<Value, InvalidAnswer> {
        let mut patched = object.clone();
        match &self.patch {
            Some(_) if self.changes() > 0 && object.is_null() => return Err(InvalidAnswer::NoObject),
            Some(patch) => json_patch::patch(&mut patched, patch).map_err(InvalidAnswer::DoesNotApply)?,
            None => {}
        }
        Ok(patched)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireResponse {
    uid: Option<String>,
    allowed: Option<bool>,
    status: Option<WireStatus>,
    patch: Option<String>,
    patch_type: Option<String>,
    warnings: Option<Vec<String>>,
    audit_annotations: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
struct WireStatus {
    message: Option<String>,
    reason: Option<String>,
    code: Option<u16>,
}

impl WireResponse {
    fn patch(&self) -> Result<Option<Patch>, InvalidAnswer> {
        let (patch, kind) = match (self.patch.as_deref().filter(|patch| !patch.is_empty()), self.patch_type.as_deref())
        {
            (None, None) => return Ok(None),
            (Some(_), None) => return Err(InvalidAnswer::PatchWithoutType),
            (None, Some(_)) => return Err(InvalidAnswer::TypeWithoutPatch),
            (Some(patch), Some(kind)) => (patch, kind),
        };
        if kind != "JSONPatch" {
            return Err(InvalidAnswer::PatchType(printable(kind)));
        }
        let patch = BASE64_STANDARD.decode(patch).map_err(InvalidAnswer::Base64)?;
        serde_json::from_slice(&patch).map(Some).map_err(InvalidAnswer::NotAPatch)
    }
}

fn quoted(found: Option<&str>) -> String {
    found.map_or_else(|| "missing".into(), |found| format!("`{}`", printable(found)))
}

fn retry(after: Option<&str>) -> String {
    after.map_or_else(String::new, |after| format!(" (Retry-After: {})", printable(after)))
}

fn excerpt(body: &str) -> String {
    let body = body.split_whitespace().collect::<Vec<_>>().join(" ");
    if body.is_empty() {
        return "its body is empty".into();
    }
    let mut excerpt: String = printable(&body).chars().take(EXCERPT).collect();
    if body.chars().nth(EXCERPT).is_some() {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::super::ProtocolVersion;
    use super::*;

    const UID: &str = "fb928068-e370-47a4-9e6a-34d1f29ebf1e";

    fn answer(status: u16, body: impl Into<String>) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: None,
            body: body.into().into(),
            took: Duration::ZERO,
            tls: ProtocolVersion::TLSv1_3,
        }
    }

    fn review(response: &Value) -> Answer {
        answer(200, json!({"kind": KIND, "apiVersion": API_VERSION, "response": response}).to_string())
    }

    fn patched(patch: &str) -> Answer {
        let patch = BASE64_STANDARD.encode(patch);
        review(&json!({"uid": UID, "allowed": true, "patchType": "JSONPatch", "patch": patch}))
    }

    fn wrong(answer: &Answer) -> InvalidAnswer {
        Verdict::read(answer, UID).unwrap_err()
    }

    #[test]
    fn a_whole_answer_is_parsed() {
        let verdict = Verdict::read(
            &review(&json!({
                "uid": UID, "allowed": true, "patchType": "JSONPatch",
                "patch": BASE64_STANDARD.encode(r#"[{"op":"add","path":"/a","value":1}]"#),
                "warnings": ["careful"], "auditAnnotations": {"reason": "injected"}, "new": "field",
            })),
            UID,
        )
        .unwrap();
        assert!(verdict.allowed);
        assert_eq!(verdict.warnings, ["careful"]);
        assert_eq!(verdict.audit_annotations["reason"], "injected");
        assert_eq!(verdict.apply(&json!({"b": 2})).unwrap(), json!({"a": 1, "b": 2}));
    }

    #[test]
    fn an_answer_without_a_patch_leaves_the_object() {
        for response in [
            json!({"uid": UID, "allowed": true}),
            json!({"uid": UID, "allowed": true, "patch": null, "patchType": null, "warnings": null, "status": null}),
        ] {
            let verdict = Verdict::read(&review(&response), UID).unwrap();
            assert!(verdict.allowed && verdict.patch.is_none() && verdict.warnings.is_empty());
            assert_eq!(verdict.apply(&json!({"b": 2})).unwrap(), json!({"b": 2}));
            assert_eq!(verdict.apply(&Value::Null).unwrap(), Value::Null);
        }
    }

    #[test]
    fn an_answer_that_does_not_allow_refuses() {
        let status = json!({"message": "no such volume", "code": 403});
        let verdict = Verdict::read(&review(&json!({"uid": UID, "allowed": false, "status": status})), UID).unwrap();
        assert!(!verdict.allowed);
        assert_eq!((verdict.message.as_deref(), verdict.code), (Some("no such volume"), Some(403)));
        assert!(!Verdict::read(&review(&json!({"uid": UID})), UID).unwrap().allowed);
    }

    #[test]
    fn an_error_is_reported_with_its_text() {
        let error = wrong(&answer(400, "the body is not an AdmissionReview\n"));
        assert_eq!(error.to_string(), "the webhook answered HTTP 400 Bad Request: the body is not an AdmissionReview");
        let page = wrong(&answer(500, "<h1>\n\t\x1b[31mno\r\n</h1>")).to_string();
        assert!(page.ends_with(": <h1> \u{fffd}[31mno </h1>"), "{page}");
        let busy = Answer { retry_after: Some("1".into()), ..answer(503, "") };
        let text = "the webhook answered HTTP 503 Service Unavailable (Retry-After: 1): its body is empty";
        assert_eq!(wrong(&busy).to_string(), text);
        let long = wrong(&answer(500, "ä".repeat(1000))).to_string();
        assert!(long.ends_with("ä…") && long.chars().count() < EXCERPT + 60, "{long}");
    }

    #[test]
    fn an_answer_that_is_not_a_review_is_refused() {
        assert!(matches!(wrong(&answer(200, "<html>")), InvalidAnswer::NotJson { .. }));
        assert!(matches!(wrong(&answer(200, "")), InvalidAnswer::NotJson { .. }));
        let trailing = [&review(&json!({"uid": UID})).body[..], b"x"].concat();
        assert!(matches!(wrong(&answer(200, String::from_utf8(trailing).unwrap())), InvalidAnswer::NotJson { .. }));
        assert!(matches!(wrong(&answer(200, "[]")), InvalidAnswer::Other { field: "kind", .. }));
        let beta = json!({"kind": KIND, "apiVersion": "admission.k8s.io/v1beta1"}).to_string();
        assert!(matches!(wrong(&answer(200, beta)), InvalidAnswer::Other { field: "apiVersion", .. }));
        assert!(matches!(wrong(&review(&Value::Null)), InvalidAnswer::NoResponse));
        assert!(matches!(wrong(&review(&json!({"uid": UID, "allowed": "yes"}))), InvalidAnswer::NotAReview(_)));
    }

    #[test]
    fn the_uid_must_be_the_requests() {
        let other = wrong(&review(&json!({"uid": "other", "allowed": true}))).to_string();
        assert!(other.contains("`other`") && other.contains(UID), "{other}");
        assert!(wrong(&review(&json!({"allowed": true}))).to_string().contains("missing"));
    }

    #[test]
    fn patch_and_type_come_together() {
        let with = |more: Value| {
            let mut response = json!({"uid": UID, "allowed": true});
            response.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            wrong(&review(&response))
        };
        assert!(matches!(with(json!({"patch": "W10="})), InvalidAnswer::PatchWithoutType));
        assert!(matches!(with(json!({"patchType": "JSONPatch"})), InvalidAnswer::TypeWithoutPatch));
        assert!(matches!(with(json!({"patch": "", "patchType": "JSONPatch"})), InvalidAnswer::TypeWithoutPatch));
        assert!(matches!(with(json!({"patch": "W10=", "patchType": "Merge"})), InvalidAnswer::PatchType(_)));
        assert!(matches!(with(json!({"patch": "[]", "patchType": "JSONPatch"})), InvalidAnswer::Base64(_)));
        assert!(matches!(wrong(&patched("{}")), InvalidAnswer::NotAPatch(_)));
        assert!(matches!(wrong(&patched("not json")), InvalidAnswer::NotAPatch(_)));
    }

    #[test]
    fn a_patch_that_does_not_apply_is_an_error() {
        let verdict = Verdict::read(&patched(r#"[{"op":"add","path":"/a/b","value":1}]"#), UID).unwrap();
        assert!(matches!(verdict.apply(&json!({})), Err(InvalidAnswer::DoesNotApply(_))));
        assert!(matches!(verdict.apply(&Value::Null), Err(InvalidAnswer::NoObject)));
    }
}
