//! Bodies, sent as the API server sends them, and their answers held to the rules and to what the case says.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use colocate_harness::process::{Answer, Connection, Server};
use json_patch::Patch;
use serde_json::{Value, json};

use super::case::{Body, Decision, Every, Expected, Refusal};
use super::text::Reader;

/// Sends a case's bodies, one behind the other on one connection, and checks what is answered to each.
pub(crate) fn check(server: &Server, body: &Body, expected: &Expected) {
    let bytes = body.bytes(Reader::Server);
    let mut asker = Asker(server.connect());
    match &body.every {
        None => asker.check(&bytes, expected, || body.bytes(Reader::Anyone)),
        Some(Every::Beginning) => {
            for end in 0..bytes.len() {
                asker.check(&bytes[..end], expected, || unreachable!("a part of a review is none"));
            }
        }
        Some(Every::Byte(byte)) => {
            for place in 0..bytes.len() {
                let with = |reader| [&bytes[..place], &byte.bytes(reader), &bytes[place + 1..]].concat();
                asker.check(&with(Reader::Server), expected, || with(Reader::Anyone));
            }
        }
    }
}

/// Whoever asks about bodies, on one connection.
struct Asker(Connection);

impl Asker {
    /// `for_anyone` is the body as others read it, of whom a patch has to be understood.
    fn check(&mut self, body: &[u8], expected: &Expected, for_anyone: impl FnOnce() -> Vec<u8>) {
        self.check_validation(body);
        let answer = self.0.send("POST /mutate?timeout=5s", body);
        match expected {
            Expected::Refusal(refusal) => check_refusal(&answer, refusal),
            Expected::Either if answer.status == 400 => check_refusal(&answer, &Refusal::of(400)),
            Expected::Either => self.check_response(&answer, &for_anyone()),
            Expected::Decision(decision) => {
                Given::read(&answer).check(decision);
                self.check_response(&answer, &for_anyone());
            }
        }
    }

    /// Validation reads the same bodies by itself: it refuses, or answers without a change.
    fn check_validation(&mut self, body: &[u8]) {
        let answer = self.0.send("POST /validate?timeout=5s", body);
        match answer.status {
            200 => assert_eq!(Given::read(&answer).patch, None),
            status => check_refusal(&answer, &Refusal::of(if status == 413 { 413 } else { 400 })),
        }
    }

    /// Holds a response to the rules for all: it is about the question, and its patch applies, and leaves nothing to do.
    fn check_response(&mut self, answer: &Answer, question: &[u8]) {
        let given = Given::read(answer);
        let mut question: Value = match serde_json::from_slice(question) {
            Ok(question) => question,
            Err(_) if given.patch.is_none() => return,
            Err(error) => panic!("a review is patched that others cannot read, see `odd`: {error}"),
        };
        assert_eq!(given.uid, question["request"]["uid"]);
        if let Some(patch) = &given.patch {
            json_patch::patch(&mut question["request"]["object"], patch).expect("a patch applies");
            let again = self.0.send("POST /mutate?timeout=5s", question.to_string().as_bytes());
            assert_eq!(Given::read(&again).patch, None, "what was patched is patched again");
        }
    }
}

/// What a response says.
struct Given {
    uid: Value,
    patch: Option<Patch>,
    warnings: Vec<String>,
    reason: String,
    claims: String,
}

impl Given {
    fn read(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let mut envelope: Value = serde_json::from_str(&answer.body).expect("a response is JSON");
        let mut response = envelope["response"].take();
        let is = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": null});
        assert_eq!((envelope, &response["allowed"]), (is, &json!(true)));
        let patch = response["patch"].as_str().map(|patch| {
            let patch = BASE64_STANDARD.decode(patch).expect("a patch in base64");
            serde_json::from_slice(&patch).expect("a patch is one")
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

/// Holds a refusal to the rules, which are the same for all: one line that says why.
pub(crate) fn check_refusal(answer: &Answer, expected: &Refusal) {
    assert_eq!(answer.status, expected.status, "{}", answer.body);
    assert!(answer.body.contains(&expected.says), "{:?} is not in {:?}", expected.says, answer.body);
    assert!(!answer.body.contains("\"allowed\""), "{}", answer.body);
    assert!(answer.body.lines().count() <= 1 && answer.body.len() < 4_096, "{}", answer.body);
}
