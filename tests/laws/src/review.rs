//! The law of reviews, which holds for every request body and for any facts about its claims.

use std::sync::LazyLock;

use crate::patch::{Kind, apply, kinds, policy};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use colocate_engine::{
    AdmissionResponse, Away, ClaimClass, Decision, Driver, Drivers, Evidence, Examination, LostLease, Malformed,
    MissingClaim, Mode, Operation, Owner, Policy, Presence, Reason, Request, Review, Templates, Unknown, Update,
    examine, is_unsafe, parse_bool,
};
use colocate_manifest::{Manifest, Syntax};
use json_patch::Patch;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// The inputs of a decision, other than the request.
struct Circumstance {
    policy: Policy,
    /// Returns the owner of the claim with this number.
    owner: fn(usize) -> Owner,
    presence: Presence,
}

static CIRCUMSTANCES: LazyLock<[Circumstance; 8]> = LazyLock::new(|| {
    let with = |policy, owner, presence| Circumstance { policy, owner, presence };
    let lenient = Policy { missing_claim: MissingClaim::Inject, templates: Templates::Leave, ..policy() };
    let cautious = Driver { when_absent: Away::Skip, when_stale: Away::Skip, ..Driver::portworx() };
    let cautious = Policy { drivers: Drivers(vec![cautious]), ..policy() };
    let audit = Policy { mode: Mode::Audit, ..policy() };
    [
        with(policy(), |_| portworx(), Presence::Unknown),
        with(policy(), |_| Owner::NoProvisioner, Presence::Unknown),
        with(policy(), |_| Owner::Unknown(Unknown::ClassMissing("px".into())), Presence::Alive),
        with(policy(), mixed, away(LostLease::Absent("stork".into()))),
        with(policy(), |_| Owner::Unknown(Unknown::ClaimUnreadable), Presence::Alive),
        with(lenient, |_| Owner::Missing, away(LostLease::Stale("kube-system/stork".into()))),
        with(cautious, mixed, away(LostLease::Stale("kube-system/stork".into()))),
        with(audit, |_| portworx(), Presence::Alive),
    ]
});

fn away(lease: LostLease) -> Presence {
    Presence::Away([lease].into())
}

fn portworx() -> Owner {
    Owner::Provisioner {
        class: Some(ClaimClass { name: "px".into(), provisioner: "pxd.portworx.com".into() }),
        provisioner: "pxd.portworx.com".into(),
        evidence: Evidence::Class.into(),
        unread_volume: None,
    }
}

fn mixed(claim: usize) -> Owner {
    match claim % 3 {
        0 => Owner::Missing,
        1 => Owner::Provisioner {
            class: None,
            provisioner: "linstor.csi.linbit.com".into(),
            evidence: Evidence::Class.into(),
            unread_volume: None,
        },
        _ => portworx(),
    }
}

impl Circumstance {
    fn decide<'r>(&'r self, request: &'r Request<'r>) -> Decision<'r> {
        match examine(&self.policy, request) {
            Examination::Decided(decision) => decision,
            Examination::Resolve(pending) => {
                let mut claims = 0..;
                let owners = pending.look_up(|_| claims.next().map_or(Owner::Missing, self.owner));
                pending.decide(owners, |_| self.presence.clone())
            }
        }
    }
}

/// Asserts that a body gets a correct response.
pub fn hold(body: &[u8]) {
    let review = match parse(body) {
        Ok(review) => review,
        Err(malformed) => return assert!(malformed.to_string().starts_with("the body is not an AdmissionReview")),
    };
    assert!(serde_json::from_slice::<IgnoredAny>(body).is_ok(), "a body that is not JSON was accepted");
    for circumstance in CIRCUMSTANCES.iter() {
        let decision = circumstance.decide(&review.request);
        is_response(&AdmissionResponse::from(&decision).encode(&review.request.uid), &decision, &review.request.uid);
        assert!(circumstance.policy.mode != Mode::Audit || decision.patch.is_none(), "audit mode changed the object");
    }
    if let Some(question) = Question::read(body) {
        question.equals(&review.request);
        question.is_decided_correctly(&review.request);
    }
}

/// Parses a body with the kinds that all circumstances share.
fn parse(body: &[u8]) -> Result<Review<'_>, Malformed> {
    Review::parse(body, &CIRCUMSTANCES[0].policy.workloads)
}

/// A request as a generic JSON parser reads it.
struct Question {
    request: Value,
}

impl Question {
    /// Reads the request. Returns `None` if JSON parsers disagree about it, for example because of a duplicate key, a lone
    /// surrogate, or a number out of range.
    fn read(body: &[u8]) -> Option<Self> {
        let mut review: Value = serde_json::from_slice(body).ok()?;
        let manifest = Manifest::new(str::from_utf8(body).ok()?);
        let documents = manifest.parse().ok()?;
        let [document] = &documents[..] else { return None };
        document.duplicate.is_none().then_some(())?;
        (manifest.syntax == Syntax::Json).then(|| assert_eq!(document.value, review))?;
        assert_eq!(
            (&review["kind"], &review["apiVersion"]),
            (&json!("AdmissionReview"), &json!("admission.k8s.io/v1"))
        );
        Some(Self { request: review["request"].take() })
    }

    fn equals(&self, request: &Request<'_>) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        assert_eq!(self.request["uid"], json!(&*request.uid));
        assert!(!request.uid.is_empty() && self.request["operation"] == json!(request.operation.as_str()));
        let kind = &request.kind;
        assert_eq!(text(&self.request["kind"]["group"]), &*kind.group);
        assert_eq!(self.request["kind"]["version"], json!(&*kind.version));
        assert_eq!(self.request["kind"]["kind"], json!(&*kind.kind));
        assert_eq!(text(&self.request["namespace"]), request.namespace());
        assert_eq!(self.request["dryRun"].as_bool().unwrap_or(false), request.dry_run);
        assert!(request.display_name().starts_with(&text(&self.request["name"])));
    }

    fn is_decided_correctly(&self, request: &Request<'_>) {
        let bodies = [self.body_in_api_server_order(), self.body_in_alphabetical_order()];
        let reordered = bodies.each_ref().map(|body| {
            parse(body.as_bytes()).unwrap_or_else(|error| panic!("rejected in another order: {error}: {body}"))
        });
        for circumstance in CIRCUMSTANCES.iter() {
            let decision = circumstance.decide(request);
            for reordered in &reordered {
                same_decision(&decision, &circumstance.decide(&reordered.request), request);
            }
            if let Some(patch) = &decision.patch {
                self.is_patched_correctly(circumstance, &decision, patch);
            }
        }
    }

    fn is_patched_correctly(&self, circumstance: &Circumstance, decision: &Decision<'_>, patch: &Patch) {
        let (patched, spec) = apply(patch, &self.request["object"]);
        let kind = self.kind().unwrap_or_else(|| panic!("an unconfigured kind was patched: {}", self.request));
        assert_eq!(spec, kind.spec);
        let (create, sub_resource) = (self.request["operation"] == json!("CREATE"), &self.request["subResource"]);
        assert!(create || self.request["operation"] == json!("UPDATE"), "{}", self.request["operation"]);
        assert!(matches!(sub_resource.as_str(), None | Some("")), "{sub_resource}");
        assert!(!create || decision.reason != Reason::Kept, "a new object has no scheduler to keep");
        if create || kind.update == Update::Allowed {
            self.does_not_opt_out(circumstance, kind);
        }
        // When the API server calls the webhook again, at CREATE or with the same old object at UPDATE, nothing may be patched.
        let again = Self { request: with(&self.request, "object", patched) };
        again.is_not_patched(circumstance);
        let created = with(&with(&again.request, "operation", json!("CREATE")), "oldObject", Value::Null);
        Self { request: created }.is_not_patched(circumstance);
    }

    fn kind(&self) -> Option<Kind> {
        let kind = &self.request["kind"];
        let group = kind["group"].as_str().unwrap_or_default();
        kinds().find(|known| group == known.group && kind["version"] == known.version && kind["kind"] == known.name)
    }

    fn does_not_opt_out(&self, circumstance: &Circumstance, kind: Kind) {
        let object = &self.request["object"];
        let template = kind.spec.strip_suffix("/spec").and_then(|path| object.pointer(path)).unwrap_or(&Value::Null);
        let (annotations, labels) = (&template["metadata"]["annotations"], &template["metadata"]["labels"]);
        let opt_out = &circumstance.policy.opt_out;
        for (map, keys) in [
            (annotations, &opt_out.annotations),
            (labels, &opt_out.labels),
            (&object["metadata"]["labels"], &opt_out.labels),
        ] {
            for key in keys {
                let value = map[&**key].as_str().and_then(parse_bool);
                assert_ne!(value, Some(true), "an object that opts out was patched: {map}");
            }
        }
    }

    fn is_not_patched(&self, circumstance: &Circumstance) {
        let body = self.body_in_api_server_order();
        let review =
            parse(body.as_bytes()).unwrap_or_else(|error| panic!("the patched object was rejected: {error}: {body}"));
        let decision = circumstance.decide(&review.request);
        assert!(decision.patch.is_none(), "the object was patched twice: {body}");
    }

    /// Returns a body in which the objects precede the operation, although the operation determines how they are read.
    fn body_in_alphabetical_order(&self) -> String {
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": self.request}).to_string()
    }

    fn body_in_api_server_order(&self) -> String {
        const FIELDS: [&str; 9] =
            ["uid", "kind", "subResource", "name", "namespace", "operation", "object", "oldObject", "dryRun"];
        let fields = FIELDS.iter().filter_map(|field| Some(format!("\"{field}\":{}", self.request.get(field)?)));
        let request = fields.collect::<Vec<_>>().join(",");
        format!(r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{{request}}}}}"#)
    }
}

fn same_decision(decision: &Decision<'_>, other: &Decision<'_>, request: &Request<'_>) {
    // Templates that differed only in white space may be equal now.
    if request.operation == Operation::Update && other.reason == Reason::TemplateUnchanged {
        return;
    }
    assert_eq!((other.reason, &other.owners), (decision.reason, &decision.owners));
    assert_eq!((&other.patch, &other.scheduler), (&decision.patch, &decision.scheduler));
}

fn with(request: &Value, field: &str, value: Value) -> Value {
    let mut request = request.clone();
    request[field] = value;
    request
}

/// Asserts that the bytes are the `AdmissionReview` that the API server expects for this request and decision.
fn is_response(bytes: &[u8], decision: &Decision<'_>, uid: &str) {
    let mut answer: Value = serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("not JSON: {error}"));
    let Value::Object(mut response) = answer["response"].take() else { panic!("no response: {answer}") };
    assert_eq!(answer, json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": null}));

    let mut take = |field| response.remove(field);
    assert_eq!((take("uid"), take("allowed")), (Some(json!(uid)), Some(json!(true))));
    let patch = take("patch").map(|patch| {
        let patch =
            BASE64_STANDARD.decode(patch.as_str().expect("the patch is a string")).expect("the patch is base64");
        serde_json::from_slice::<Value>(&patch).expect("the patch is JSON")
    });
    assert_eq!(take("patchType"), patch.is_some().then(|| json!("JSONPatch")));
    assert_eq!(patch, decision.patch.as_ref().map(|patch| json!(patch)));
    for warning in take("warnings").iter().flat_map(|warnings| warnings.as_array().expect("the warnings are a list")) {
        let warning = warning.as_str().expect("a warning is a string");
        let (text, _) = warning.rsplit_once("; see docs/reasons.md#").expect("a warning has a link");
        assert!(!warning.contains(is_unsafe) && text.chars().count() <= 256, "{warning:?}");
    }
    let Some(Value::Object(annotations)) = take("auditAnnotations") else { panic!("no audit annotations") };
    assert!(
        annotations.values().all(|text| text.as_str().is_some_and(|text| !text.contains(is_unsafe))),
        "{annotations:?}"
    );
    let reason = Reason::ALL.iter().find(|reason| annotations["reason"] == reason.as_str());
    assert_eq!(reason, Some(&decision.reason));
    assert!(response.is_empty(), "{response:?}");
}
