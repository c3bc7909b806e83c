//! The answer to a review, as the API server reads it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::Serialize;

use super::decision::Decision;
use super::review::{API_VERSION, KIND};
use super::warning::Warning;

/// Room for an answer with a patch and what was found of two claims.
const USUAL_LENGTH: usize = 512;

/// The answer: always `allowed`, with at most one patch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The patch as JSON text (RFC 6902).
    pub patch: Option<Vec<u8>>,
    /// Lines that the API server shows to the client.
    pub warnings: Vec<String>,
    /// What the API server writes to its audit log, as `<webhook>/<key>`.
    pub audit_annotations: BTreeMap<&'static str, Cow<'static, str>>,
}

impl Response {
    /// Encodes the whole `AdmissionReview` that answers the request `uid`.
    pub fn encode(&self, uid: &str) -> Vec<u8> {
        let envelope = Envelope {
            api_version: API_VERSION,
            kind: KIND,
            response: ResponseFields {
                uid,
                allowed: true,
                patch_type: self.patch.as_ref().map(|_| "JSONPatch"),
                patch: self.patch.as_ref().map(|patch| BASE64_STANDARD.encode(patch)),
                warnings: &self.warnings,
                audit_annotations: &self.audit_annotations,
            },
        };
        let mut text = Vec::with_capacity(USUAL_LENGTH);
        match serde_json::to_writer(&mut text, &envelope) {
            Ok(()) => text,
            // Strings and maps of strings: nothing here can fail to serialise.
            Err(_) => Vec::new(),
        }
    }
}

impl From<Decision> for Response {
    fn from(decision: Decision) -> Self {
        let mut audit_annotations = BTreeMap::from([("reason", decision.reason.as_str().into())]);
        if let Some(scheduler) = decision.scheduler {
            audit_annotations.insert("scheduler", scheduler.to_string().into());
        }
        if !decision.found.is_empty() {
            audit_annotations.insert("claims", decision.found.into());
        }
        Self {
            // Two strings: nothing here can fail to serialise.
            patch: decision.patch.and_then(|patch| serde_json::to_vec(&patch).ok()),
            warnings: decision.warnings.into_iter().map(Warning::into_string).collect(),
            audit_annotations,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    api_version: &'a str,
    kind: &'a str,
    response: ResponseFields<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseFields<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: &'a BTreeMap<&'static str, Cow<'static, str>>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn encoded(response: &Response) -> Value {
        serde_json::from_slice(&response.encode("uid-1")).unwrap()
    }

    #[test]
    fn an_answer_without_a_patch_says_nothing_of_one() {
        assert_eq!(
            encoded(&Response::default()),
            json!({
                "apiVersion": "admission.k8s.io/v1",
                "kind": "AdmissionReview",
                "response": {"uid": "uid-1", "allowed": true},
            })
        );
    }

    #[test]
    fn an_answer_holds_its_patch_in_base64_with_its_type() {
        let patch = br#"[{"op":"add","path":"/spec/schedulerName","value":"stork"}]"#;
        let answer = Response {
            patch: Some(patch.to_vec()),
            warnings: vec!["a \"quoted\" line".to_owned()],
            audit_annotations: [("reason", "injected".into())].into(),
        };
        let answer = encoded(&answer)["response"].take();
        let decoded = BASE64_STANDARD.decode(answer["patch"].as_str().unwrap()).unwrap();
        assert_eq!(decoded, patch);
        assert_eq!(answer["patchType"], "JSONPatch");
        assert_eq!((&answer["uid"], &answer["allowed"]), (&json!("uid-1"), &json!(true)));
        assert_eq!(answer["warnings"], json!(["a \"quoted\" line"]));
        assert_eq!(answer["auditAnnotations"], json!({"reason": "injected"}));
    }
}
