//! Sends bodies as the API server does, and checks the responses against the rules and the case.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use colocate_harness::process::{Answer, Connection, Server};
use json_patch::Patch;
use serde_json::{Value, json};

use super::case::{Body, Decision, Every, Expected, Refusal};
use super::text::Reader;

/// Sends the bodies of a case, one after another on one connection, and checks each response.
pub(crate) fn check(server: &Server, body: &Body, expected: &Expected) {
    let bytes = body.bytes(Reader::Server);
    let mut client = Client(server.connect());
    match &body.every {
        None => client.check(&bytes, expected, || body.bytes(Reader::Anyone)),
        Some(Every::Beginning) => {
            for end in 0..bytes.len() {
                client.check(&bytes[..end], expected, || unreachable!("a truncated review is invalid"));
            }
        }
        Some(Every::Byte(byte)) => {
            for place in 0..bytes.len() {
                let with = |reader| [&bytes[..place], &byte.bytes(reader), &bytes[place + 1..]].concat();
                client.check(&with(Reader::Server), expected, || with(Reader::Anyone));
            }
        }
    }
}

/// A client that sends bodies over one connection.
struct Client(Connection);

impl Client {
    /// Sends a body and checks the response. `for_anyone` returns the body for other parsers, on which a patch is tested.
    fn check(&mut self, body: &[u8], expected: &Expected, for_anyone: impl FnOnce() -> Vec<u8>) {
        self.check_validation(body);
        let answer = self.0.send("POST /mutate?timeout=5s", body);
        match expected {
            Expected::Refusal(refusal) => check_refusal(&answer, refusal),
            Expected::Either if answer.status == 400 => check_refusal(&answer, &Refusal::of(400)),
            Expected::Either => self.check_response(&answer, &for_anyone()),
            Expected::Decision(decision) => {
                Response::read(&answer).check(decision);
                self.check_response(&answer, &for_anyone());
            }
        }
    }

    /// Sends the body to validation, which parses it separately. Validation must reject the body, or respond without a
    /// patch.
    fn check_validation(&mut self, body: &[u8]) {
        let answer = self.0.send("POST /validate?timeout=5s", body);
        match answer.status {
            200 => assert_eq!(Response::read(&answer).patch, None),
            status => check_refusal(&answer, &Refusal::of(if status == 413 { 413 } else { 400 })),
        }
    }

    /// Checks the rules for every response: it has the uid of the request, its patch applies, and the patched object gets no
    /// patch.
    fn check_response(&mut self, answer: &Answer, question: &[u8]) {
        let given = Response::read(answer);
        let mut question: Value = match serde_json::from_slice(question) {
            Ok(question) => question,
            Err(_) if given.patch.is_none() => return,
            Err(error) => panic!("a review was patched that other parsers reject (see `odd`): {error}"),
        };
        assert_eq!(given.uid, question["request"]["uid"]);
        if let Some(patch) = &given.patch {
            json_patch::patch(&mut question["request"]["object"], patch).expect("the patch applies");
            let again = self.0.send("POST /mutate?timeout=5s", question.to_string().as_bytes());
            assert_eq!(Response::read(&again).patch, None, "the object was patched twice");
        }
    }
}

/// A parsed response.
struct Response {
    uid: Value,
    patch: Option<Patch>,
    warnings: Vec<String>,
    reason: String,
    claims: String,
}

impl Response {
    fn read(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let mut envelope: Value = serde_json::from_str(&answer.body).expect("the response is JSON");
        let mut response = envelope["response"].take();
        let expected = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": null});
        assert_eq!((envelope, &response["allowed"]), (expected, &json!(true)));
        let patch = response["patch"].as_str().map(|patch| {
            let patch = BASE64_STANDARD.decode(patch).expect("the patch is base64");
            serde_json::from_slice(&patch).expect("the patch is a JSON patch")
        });
        assert_eq!(response["patchType"].as_str(), patch.as_ref().map(|_| "JSONPatch"));
        let audit = response["auditAnnotations"].take();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            uid: response["uid"].take(),
            patch,
            warnings: response["warnings"].as_array().into_iter().flatten().map(text).collect(),
            reason: text(&audit["reason"]),
            claims: text(&audit["claims"]),
        }
    }

    fn check(&self, expected: &Decision) {
        assert_eq!(self.reason, expected.reason, "{} {:?}", self.claims, self.warnings);
        let patch =
            expected.patch.as_ref().map(|path| json!([{"op": "add", "path": path, "value": expected.scheduler}]));
        assert_eq!(self.patch.as_ref().map(|patch| json!(patch)), patch);
        let wanted = expected.warning.as_ref().map(|word| format!("colocate: {word}: "));
        let same = match (&self.warnings[..], &wanted) {
            ([], None) => true,
            ([warning], Some(wanted)) => warning.starts_with(wanted) && !warning.contains(char::is_control),
            _ => false,
        };
        assert!(same, "{:?}", self.warnings);
        assert!(self.claims.contains(&expected.claims), "{}", self.claims);
    }
}

/// Checks the rules for every rejection: it is one line that explains why.
pub(crate) fn check_refusal(answer: &Answer, expected: &Refusal) {
    assert_eq!(answer.status, expected.status, "{}", answer.body);
    assert!(answer.body.contains(&expected.says), "{:?} is not in {:?}", expected.says, answer.body);
    assert!(!answer.body.contains("\"allowed\""), "{}", answer.body);
    assert!(answer.body.lines().count() <= 1 && answer.body.len() < 4_096, "{}", answer.body);
}
