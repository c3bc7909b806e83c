//! Tests of rejected and accepted bodies.

use serde_json::{Value, json};

use super::*;

const SAMPLE: &str = include_str!("../../../../tests/fixtures/reviews/deployment-update.json");

/// The error message for a body.
fn rejection(body: impl AsRef<[u8]>) -> String {
    let text = Review::parse(body.as_ref(), &Workloads::default()).unwrap_err().to_string();
    let (envelope, text) = text.split_at("the body is not an AdmissionReview of admission.k8s.io/v1: ".len());
    assert_eq!(envelope, "the body is not an AdmissionReview of admission.k8s.io/v1: ");
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

/// A body in which one field is replaced or removed.
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
fn a_body_that_is_not_json_is_rejected() {
    assert!(accepts(&review("Pod", &pod())) && accepts(&review("Deployment", &deployment())));
    assert_eq!(rejection(""), "EOF while parsing a value at line 1 column 0");
    assert_eq!(rejection("hello"), "expected value at line 1 column 1");
    assert!(rejection([0xff, 0xfe]).starts_with("expected value"));
    assert!(rejection(b"{\"kind\":\"\xff\"}").contains("invalid unicode code point"));
    for (wrong, is) in [("[]", "sequence"), ("null", "null"), ("1", "integer `1`"), ("\"x\"", "string \"x\"")] {
        assert!(rejection(wrong).starts_with(&format!("invalid type: {is}, expected an AdmissionReview")), "{wrong}");
    }
}

#[test]
fn a_truncated_body_is_rejected() {
    let body = SAMPLE.trim_end();
    assert!(Review::parse(body.as_bytes(), &Workloads::default()).is_ok());
    for end in (0..body.len()).step_by(37).chain([body.len() - 1]) {
        assert!(rejection(&body[..end]).contains("EOF while parsing"), "{end}");
    }
}

#[test]
fn trailing_characters_are_rejected() {
    let body = review("Pod", &pod()).to_string();
    assert!(Review::parse(format!("{body}\n \t").as_bytes(), &Workloads::default()).is_ok());
    for rest in ["x", "{}", ",", "\0"] {
        assert!(rejection(format!("{body}{rest}")).starts_with("trailing characters"), "{rest}");
    }
}

#[test]
fn the_error_for_another_document_names_its_kind_and_version() {
    let error = |pointer, value| rejection(changed(pointer, value));
    let v1beta1 = error("/apiVersion", Some(json!("admission.k8s.io/v1beta1")));
    assert!(v1beta1.contains("apiVersion is `admission.k8s.io/v1beta1`, not `admission.k8s.io/v1`"), "{v1beta1}");
    assert!(error("/kind", Some(json!("Pod"))).contains("kind is `Pod`, not `AdmissionReview`"));
    assert!(error("/apiVersion", None).contains("apiVersion is missing: set it to `admission.k8s.io/v1`"));
    assert!(error("/kind", None).contains("kind is missing: set it to `AdmissionReview`"));
    assert!(error("/kind", Some(Value::Null)).contains("invalid type: null, expected a string"));
    assert!(rejection("{}").contains("kind is missing"));
    assert!(rejection(pod().to_string()).contains("kind is missing"));
}

#[test]
fn the_error_for_an_incomplete_request_names_the_missing_field() {
    for (pointer, field) in [
        ("/request", "request"),
        ("/request/uid", "request.uid"),
        ("/request/kind", "request.kind"),
        ("/request/operation", "request.operation"),
        ("/request/object", "request.object"),
    ] {
        let error = rejection(changed(pointer, None));
        assert!(error.contains(&format!("missing field `{field}`")), "{error}");
    }
    for (pointer, field) in
        [("/request", "request"), ("/request/kind", "request.kind"), ("/request/object", "request.object")]
    {
        let error = rejection(changed(pointer, Some(Value::Null)));
        assert!(error.contains(&format!("missing field `{field}`")), "{error}");
    }
    assert!(rejection(changed("/request/uid", Some(json!("")))).contains("missing field `request.uid`"));
    assert!(rejection(changed("/request/kind", Some(json!({})))).contains("missing field `version`"));
    let update = changed("/request/operation", Some(json!("UPDATE")));
    assert!(rejection(update).contains("missing field `request.oldObject`"));
}

#[test]
fn a_uid_past_the_limit_is_rejected() {
    let named = |length| changed("/request/uid", Some(json!("u".repeat(length))));
    assert!(Review::parse(named(LONGEST_UID).as_bytes(), &Workloads::default()).is_ok());
    assert!(rejection(named(LONGEST_UID + 1)).contains("request.uid has 1025 bytes, which exceeds the limit of 1024"));
}

#[test]
fn a_field_of_the_wrong_type_is_rejected() {
    for (pointer, wrong, expected) in [
        ("/request", json!([]), "expected an AdmissionRequest"),
        ("/request", json!("x"), "expected an AdmissionRequest"),
        ("/request/uid", json!(1), "expected a string"),
        ("/request/kind", json!("Pod"), "expected an object or null"),
        ("/request/operation", json!("create"), "unknown variant `create`"),
        ("/request/operation", json!(""), "unknown variant ``"),
        ("/request/operation", json!(null), "expected a string"),
        ("/request/operation", json!({"CREATE": null}), "expected a string"),
        ("/request/dryRun", json!("true"), "expected a boolean"),
        ("/request/namespace", json!({}), "expected a string"),
        ("/request/object", json!([]), "expected an object or null"),
        ("/request/object", json!("x"), "expected an object or null"),
        ("/request/object/spec", json!([]), "expected an object or null"),
        ("/request/object/spec", json!("x"), "expected an object or null"),
        ("/request/object/metadata", json!([]), "expected an object or null"),
        ("/request/object/metadata/annotations", json!([]), "expected an object or null"),
        ("/request/object/metadata/ownerReferences", json!({}), "expected an array of owners"),
        ("/request/object/spec/volumes", json!({}), "expected an array of volumes"),
        ("/request/object/spec/volumes", json!([1]), "expected an object or null"),
        ("/request/object/spec/schedulerName", json!(1), "expected a string"),
    ] {
        let error = rejection(changed(pointer, Some(wrong)));
        assert!(error.contains(expected), "{pointer}: {error}");
    }
}

#[test]
fn a_template_of_the_wrong_type_is_rejected() {
    for (pointer, wrong, expected) in [
        ("", json!([]), "expected a Deployment object"),
        ("/metadata", json!(1), "expected an object or null"),
        ("/spec", json!([]), "expected an object with `template`, or null"),
        ("/spec", json!("x"), "expected an object with `template`, or null"),
        ("/spec/template", json!([]), "expected an object or null"),
        ("/spec/template/spec", json!(true), "expected an object or null"),
        ("/spec/volumeClaimTemplates", json!({}), "expected an array of claim templates"),
    ] {
        let mut object = deployment();
        object["spec"]["volumeClaimTemplates"] = Value::Null;
        *object.pointer_mut(pointer).unwrap() = wrong;
        let error = rejection(review("Deployment", &object).to_string());
        assert!(error.contains(expected), "{pointer}: {error}");
    }
}

#[test]
fn a_duplicate_key_is_rejected() {
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
        let error = rejection(body.replacen(once, twice, 1));
        assert!(error.contains("duplicate field"), "{twice}: {error}");
    }
}

#[test]
fn skipped_fields_may_have_any_value() {
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
fn the_old_object_of_a_create_is_skipped() {
    let body = |old: &str| {
        let body = review("Deployment", &deployment()).to_string();
        let after = body.replacen(r#""operation":"CREATE""#, &format!(r#""operation":"CREATE","oldObject":{old}"#), 1);
        let before = body.replacen(r#""request":{"#, &format!(r#""request":{{"oldObject":{old},"#), 1);
        [after, before]
    };
    for old in ["null", "{}", r#""x""#, "[]", r#"{"spec":[]}"#] {
        for body in body(old) {
            let read = Review::parse(body.as_bytes(), &Workloads::default()).map(|_| ());
            assert!(read.is_ok(), "{read:?}: {body}");
        }
    }
}

#[test]
fn escaped_keys_are_decoded() {
    let body = review("Pod", &json!({"spec": {"nodeName": "n1"}})).to_string();
    let body = body.replace("nodeName", r"node\u004eame").replace("\"object\"", r#""\u006fbject""#);
    let workloads = Workloads::default();
    let review = Review::parse(body.as_bytes(), &workloads).unwrap();
    let RequestedChange::Created(_, object) = review.request.change else { panic!("{:?}", review.request) };
    assert_eq!(object.template.unwrap().spec.unwrap().node_name(), Some("n1"));
}

#[test]
fn the_display_name_is_the_name_or_its_prefix() {
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
