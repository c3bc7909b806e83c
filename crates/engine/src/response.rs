//! The response to a review, as the API server expects it.

use std::borrow::Cow;

use base64::display::Base64Display;
use base64::prelude::BASE64_STANDARD;
use serde::{Serialize, Serializer};

use super::decision::Decision;
use super::review::{API_VERSION, KIND};
use super::visibility::Visibility;
use super::warning::Warning;

/// The usual length of a response with a patch and two claims, in bytes.
const USUAL_LENGTH: usize = 512;

/// The response: allowed with at most one patch, or denied. It borrows from the decision.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AdmissionResponse<'a> {
    /// The reason for a denial. Only validation denies objects.
    pub denied: Option<&'a str>,
    /// The patch as JSON text (RFC 6902).
    pub patch: Option<Vec<u8>>,
    /// Lines that the API server shows to the client.
    pub warnings: &'a [Warning],
    /// Annotations for the API server's audit log.
    pub audit_annotations: Option<AuditAnnotations<'a>>,
}

/// Annotations that the API server writes to its audit log, as `<webhook>/<field>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuditAnnotations<'a> {
    /// The word of the [`Reason`](super::Reason).
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: &'a str,
    /// The scheduler that is set, or that `mode: audit` would set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<&'a str>,
    /// The claims that were looked up, each with its owner and driver, in one line.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub claims: Cow<'a, str>,
    /// The ids of the companion's rules that have findings.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub findings: &'a str,
    /// The ids of the companion's rules that could not be checked.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub unchecked: &'a str,
}

impl AdmissionResponse<'_> {
    /// Encodes the complete `AdmissionReview` that responds to the request `uid`.
    pub fn encode(&self, uid: &str) -> Vec<u8> {
        let review = ResponseEnvelope {
            api_version: API_VERSION,
            kind: KIND,
            response: ResponseFields {
                uid,
                allowed: self.denied.is_none(),
                status: self.denied.map(|message| Denial { message, code: FORBIDDEN }),
                patch_type: self.patch.as_ref().map(|_| "JSONPatch"),
                patch: self.patch.as_deref().map(Base64),
                warnings: self.warnings,
                audit_annotations: self.audit_annotations.as_ref(),
            },
        };
        let mut text = Vec::with_capacity(USUAL_LENGTH);
        // Strings under fixed names cannot fail to serialize.
        let _ = serde_json::to_writer(&mut text, &review);
        text
    }
}

impl<'a> From<&'a Decision<'_>> for AdmissionResponse<'a> {
    fn from(decision: &'a Decision<'_>) -> Self {
        Self {
            // Two strings cannot fail to serialize.
            patch: decision.patch.as_ref().and_then(|patch| serde_json::to_vec(patch).ok()),
            warnings: &decision.warnings,
            audit_annotations: Some(AuditAnnotations {
                reason: decision.reason.as_str(),
                scheduler: decision.scheduler.as_deref(),
                claims: decision.owners.describe(&Visibility::default(), "").into(),
                ..AuditAnnotations::default()
            }),
            ..Self::default()
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseEnvelope<'a> {
    api_version: &'a str,
    kind: &'a str,
    response: ResponseFields<'a>,
}

/// The HTTP status that a client of the API server gets for a denial.
const FORBIDDEN: u16 = 403;

#[derive(Serialize)]
struct Denial<'a> {
    message: &'a str,
    code: u16,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseFields<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Denial<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<Base64<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [Warning],
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_annotations: Option<&'a AuditAnnotations<'a>>,
}

/// Bytes that are serialized as base64 directly into the output.
struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &BASE64_STANDARD))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use serde_json::{Value, json};

    use super::*;

    fn encoded(response: &AdmissionResponse<'_>) -> Value {
        serde_json::from_slice(&response.encode("uid-1")).unwrap()
    }

    #[test]
    fn a_response_without_a_patch_has_no_patch_fields() {
        assert_eq!(
            encoded(&AdmissionResponse::default()),
            json!({
                "apiVersion": "admission.k8s.io/v1",
                "kind": "AdmissionReview",
                "response": {"uid": "uid-1", "allowed": true},
            })
        );
    }

    #[test]
    fn a_denial_has_a_message() {
        let answer = AdmissionResponse { denied: Some("1 problem:\n- x"), ..AdmissionResponse::default() };
        assert_eq!(
            encoded(&answer)["response"],
            json!({"uid": "uid-1", "allowed": false, "status": {"message": "1 problem:\n- x", "code": 403}})
        );
    }

    #[test]
    fn a_patch_is_encoded_as_base64_with_its_type() {
        let patch = br#"[{"op":"add","path":"/spec/schedulerName","value":"stork"}]"#;
        let answer = AdmissionResponse {
            patch: Some(patch.to_vec()),
            warnings: &[Warning::whole("a \"quoted\" line")],
            audit_annotations: Some(AuditAnnotations { reason: "injected", ..AuditAnnotations::default() }),
            ..AdmissionResponse::default()
        };
        let answer = encoded(&answer)["response"].take();
        let decoded = BASE64_STANDARD.decode(answer["patch"].as_str().unwrap()).unwrap();
        assert_eq!(decoded, patch);
        assert_eq!(answer["patchType"], "JSONPatch");
        assert_eq!((&answer["uid"], &answer["allowed"]), (&json!("uid-1"), &json!(true)));
        assert_eq!(answer["warnings"], json!(["colocate: a \"quoted\" line"]));
        assert_eq!(answer["auditAnnotations"], json!({"reason": "injected"}));
    }
}
