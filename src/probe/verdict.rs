//! The decision of a webhook: an answer, parsed as strictly as the API server parses it.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use json_patch::Patch;
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
    /// The reason of a denial, or any other text in `status.message`.
    pub message: Option<String>,
    /// The HTTP status for the client that is denied.
    pub code: Option<u16>,
    /// The change; `None` leaves the object unchanged.
    pub patch: Option<Patch>,
    /// Warnings for the user who sent the request.
    pub warnings: Vec<String>,
    /// Annotations for the API server's audit log.
    pub audit_annotations: BTreeMap<String, String>,
}

impl Verdict {
    /// Parses the answer to the request `uid`.
    ///
    /// # Errors
    /// The first reason why the API server would count the call as failed.
    pub fn read(answer: &Answer, uid: &str) -> anyhow::Result<Self> {
        let Answer { status, retry_after, body, .. } = answer;
        if !status.is_success() {
            let retry = retry_after.as_ref().map(|after| format!(" (Retry-After: {})", printable(after)));
            bail!("the webhook answered HTTP {status}{}: {}", retry.unwrap_or_default(), excerpt(body));
        }
        let mut review: Value =
            serde_json::from_slice(body).with_context(|| format!("the answer is not JSON: {}", excerpt(body)))?;
        for (field, expected) in [("kind", KIND), ("apiVersion", API_VERSION)] {
            let found = review.get(field).and_then(Value::as_str);
            ensure!(found == Some(expected), "the answer's {field} is {}; it must be `{expected}`", quoted(found));
        }
        let response = review.get_mut("response").map(Value::take).unwrap_or_default();
        let response: Option<WireResponse> = serde_json::from_value(response)
            .with_context(|| format!("the answer is not an {KIND} of {API_VERSION}"))?;
        let response = response.context("the answer has no `response`")?;
        let found = response.uid.as_deref();
        ensure!(
            found == Some(uid),
            "the answer's response.uid is {}; it must repeat the request's, `{uid}`",
            quoted(found)
        );
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

    /// Returns the number of operations in the patch; 0 without a patch.
    pub fn changes(&self) -> usize {
        self.patch.as_ref().map_or(0, |patch| patch.len())
    }

    /// Returns the object with the patch applied.
    ///
    /// # Errors
    /// If the patch does not apply, or the request has no object. The API server then fails the request under every
    /// `failurePolicy`.
    pub fn apply(&self, object: &Value) -> anyhow::Result<Value> {
        const DOES_NOT_APPLY: &str = "the patch does not apply to the object: every request with such an answer fails, even under `failurePolicy: Ignore`";
        let mut patched = object.clone();
        if let Some(patch) = &self.patch {
            ensure!(patch.is_empty() || !object.is_null(), "the request has no object that the patch could apply to");
            json_patch::patch(&mut patched, patch).context(DOES_NOT_APPLY)?;
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
    fn patch(&self) -> anyhow::Result<Option<Patch>> {
        let (patch, kind) = match (self.patch.as_deref().filter(|patch| !patch.is_empty()), self.patch_type.as_deref())
        {
            (None, None) => return Ok(None),
            (Some(_), None) => {
                bail!("the answer has a response.patch but no response.patchType; it needs both or neither")
            }
            (None, Some(_)) => {
                bail!("the answer has a response.patchType but no response.patch; it needs both or neither")
            }
            (Some(patch), Some(kind)) => (patch, kind),
        };
        let shown = printable(kind);
        ensure!(kind == "JSONPatch", "the answer's response.patchType is `{shown}`; `JSONPatch` is the only valid one");
        let patch = BASE64_STANDARD.decode(patch).context("the answer's response.patch is not base64")?;
        serde_json::from_slice(&patch).context("the answer's response.patch is not a JSON patch (RFC 6902)").map(Some)
    }
}

fn quoted(found: Option<&str>) -> String {
    found.map_or_else(|| "missing".into(), |found| format!("`{}`", printable(found)))
}

fn excerpt(body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body).split_whitespace().collect::<Vec<_>>().join(" ");
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

    use hyper::StatusCode;
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

    fn wrong(answer: &Answer) -> String {
        Verdict::read(answer, UID).unwrap_err().to_string()
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
    fn an_answer_without_a_patch_leaves_the_object_unchanged() {
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
    fn a_response_without_allowed_true_is_a_denial() {
        let status = json!({"message": "no such volume", "code": 403});
        let verdict = Verdict::read(&review(&json!({"uid": UID, "allowed": false, "status": status})), UID).unwrap();
        assert!(!verdict.allowed);
        assert_eq!((verdict.message.as_deref(), verdict.code), (Some("no such volume"), Some(403)));
        assert!(!Verdict::read(&review(&json!({"uid": UID})), UID).unwrap().allowed);
    }

    #[test]
    fn an_error_is_reported_with_its_text() {
        let error = wrong(&answer(400, "the body is not an AdmissionReview\n"));
        assert_eq!(error, "the webhook answered HTTP 400 Bad Request: the body is not an AdmissionReview");
        let page = wrong(&answer(500, "<h1>\n\t\x1b[31mno\r\n</h1>"));
        assert!(page.ends_with(": <h1> \u{fffd}[31mno </h1>"), "{page}");
        let busy = Answer { retry_after: Some("1".into()), ..answer(503, "") };
        let text = "the webhook answered HTTP 503 Service Unavailable (Retry-After: 1): its body is empty";
        assert_eq!(wrong(&busy), text);
        let long = wrong(&answer(500, "ä".repeat(1000)));
        assert!(long.ends_with("ä…") && long.chars().count() < EXCERPT + 60, "{long}");
    }

    #[test]
    fn an_answer_that_is_not_a_review_is_refused() {
        assert!(wrong(&answer(200, "<html>")).contains("is not JSON: "));
        assert!(wrong(&answer(200, "")).contains("is not JSON: "));
        let trailing = [&review(&json!({"uid": UID})).body[..], b"x"].concat();
        assert!(wrong(&answer(200, String::from_utf8(trailing).unwrap())).contains("is not JSON: "));
        assert!(wrong(&answer(200, "[]")).contains("the answer's kind is "));
        let beta = json!({"kind": KIND, "apiVersion": "admission.k8s.io/v1beta1"}).to_string();
        assert!(wrong(&answer(200, beta)).contains("the answer's apiVersion is "));
        assert!(wrong(&review(&Value::Null)).contains("has no `response`"));
        assert!(wrong(&review(&json!({"uid": UID, "allowed": "yes"}))).contains("is not an AdmissionReview"));
    }

    #[test]
    fn the_uid_must_match_that_of_the_request() {
        let other = wrong(&review(&json!({"uid": "other", "allowed": true})));
        assert!(other.contains("`other`") && other.contains(UID), "{other}");
        assert!(wrong(&review(&json!({"allowed": true}))).contains("missing"));
    }

    #[test]
    fn a_patch_needs_its_type_and_vice_versa() {
        let with = |more: Value| {
            let mut response = json!({"uid": UID, "allowed": true});
            response.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            wrong(&review(&response))
        };
        assert!(with(json!({"patch": "W10="})).contains("but no response.patchType"));
        assert!(with(json!({"patchType": "JSONPatch"})).contains("but no response.patch;"));
        assert!(with(json!({"patch": "", "patchType": "JSONPatch"})).contains("but no response.patch;"));
        assert!(with(json!({"patch": "W10=", "patchType": "Merge"})).contains("only valid one"));
        assert!(with(json!({"patch": "[]", "patchType": "JSONPatch"})).contains("not base64"));
        assert!(wrong(&patched("{}")).contains("not a JSON patch"));
        assert!(wrong(&patched("not json")).contains("not a JSON patch"));
    }

    #[test]
    fn a_patch_that_does_not_apply_is_an_error() {
        let verdict = Verdict::read(&patched(r#"[{"op":"add","path":"/a/b","value":1}]"#), UID).unwrap();
        assert!(verdict.apply(&json!({})).unwrap_err().to_string().contains("does not apply"));
        assert!(verdict.apply(&Value::Null).unwrap_err().to_string().contains("has no object"));
    }
}
