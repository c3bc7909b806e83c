//! Tests of bodies that are refused, and of what is read of others.

use serde_json::{Value, json};

use super::*;

const SAMPLE: &str = include_str!("../../../../tests/fixtures/reviews/deployment-update.json");

/// The message about a body that is refused.
fn refusal(body: impl AsRef<[u8]>) -> String {
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

/// A body in which one field is another value, or is taken out.
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
fn a_body_that_is_no_json_is_refused() {
    assert!(accepts(&review("Pod", &pod())) && accepts(&review("Deployment", &deployment())));
    assert_eq!(refusal(""), "EOF while parsing a value at line 1 column 0");
    assert_eq!(refusal("hello"), "expected value at line 1 column 1");
    assert!(refusal([0xff, 0xfe]).starts_with("expected value"));
    assert!(refusal(b"{\"kind\":\"\xff\"}").contains("invalid unicode code point"));
    for (wrong, is) in [("[]", "sequence"), ("null", "null"), ("1", "integer `1`"), ("\"x\"", "string \"x\"")] {
        assert!(refusal(wrong).starts_with(&format!("invalid type: {is}, expected an AdmissionReview")), "{wrong}");
    }
}

#[test]
fn a_truncated_body_is_refused_wherever_it_ends() {
    let body = SAMPLE.trim_end();
    assert!(Review::parse(body.as_bytes(), &Workloads::default()).is_ok());
    for end in (0..body.len()).step_by(37).chain([body.len() - 1]) {
        assert!(refusal(&body[..end]).contains("EOF while parsing"), "{end}");
    }
}

#[test]
fn a_body_with_something_behind_it_is_refused() {
    let body = review("Pod", &pod()).to_string();
    assert!(Review::parse(format!("{body}\n \t").as_bytes(), &Workloads::default()).is_ok());
    for rest in ["x", "{}", ",", "\0"] {
        assert!(refusal(format!("{body}{rest}")).starts_with("trailing characters"), "{rest}");
    }
}

#[test]
fn another_document_is_refused_and_says_which_it_is() {
    let said = |pointer, value| refusal(changed(pointer, value));
    let v1beta1 = said("/apiVersion", Some(json!("admission.k8s.io/v1beta1")));
    assert!(v1beta1.contains("apiVersion is `admission.k8s.io/v1beta1` and not `admission.k8s.io/v1`"), "{v1beta1}");
    assert!(said("/kind", Some(json!("Pod"))).contains("kind is `Pod` and not `AdmissionReview`"));
    assert!(said("/apiVersion", None).contains("apiVersion is missing; it is `admission.k8s.io/v1`"));
    assert!(said("/kind", None).contains("kind is missing; it is `AdmissionReview`"));
    assert!(said("/kind", Some(Value::Null)).contains("invalid type: null, expected a string"));
    assert!(refusal("{}").contains("kind is missing"));
    assert!(refusal(pod().to_string()).contains("kind is missing"));
}

#[test]
fn an_incomplete_request_is_refused_and_says_what_is_missing() {
    for (pointer, field) in [
        ("/request", "request"),
        ("/request/uid", "request.uid"),
        ("/request/kind", "request.kind"),
        ("/request/operation", "request.operation"),
        ("/request/object", "request.object"),
    ] {
        let said = refusal(changed(pointer, None));
        assert!(said.contains(&format!("missing field `{field}`")), "{said}");
    }
    for (pointer, field) in
        [("/request", "request"), ("/request/kind", "request.kind"), ("/request/object", "request.object")]
    {
        let said = refusal(changed(pointer, Some(Value::Null)));
        assert!(said.contains(&format!("missing field `{field}`")), "{said}");
    }
    assert!(refusal(changed("/request/uid", Some(json!("")))).contains("missing field `request.uid`"));
    assert!(refusal(changed("/request/kind", Some(json!({})))).contains("missing field `version`"));
    let update = changed("/request/operation", Some(json!("UPDATE")));
    assert!(refusal(update).contains("missing field `request.oldObject`"));
}

#[test]
fn a_name_of_a_call_that_is_too_long_to_be_repeated_is_refused() {
    let named = |length| changed("/request/uid", Some(json!("u".repeat(length))));
    assert!(Review::parse(named(LONGEST_UID).as_bytes(), &Workloads::default()).is_ok());
    assert!(refusal(named(LONGEST_UID + 1)).contains("request.uid has 1025 bytes, and may have 1024"));
}

#[test]
fn a_field_of_another_type_is_refused() {
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
        let said = refusal(changed(pointer, Some(wrong)));
        assert!(said.contains(expected), "{pointer}: {said}");
    }
}

#[test]
fn a_template_of_another_type_is_refused() {
    for (pointer, wrong, expected) in [
        ("", json!([]), "expected a Deployment as an object"),
        ("/metadata", json!(1), "expected an object or null"),
        ("/spec", json!([]), "expected an object that holds `template`, or null"),
        ("/spec", json!("x"), "expected an object that holds `template`, or null"),
        ("/spec/template", json!([]), "expected an object or null"),
        ("/spec/template/spec", json!(true), "expected an object or null"),
        ("/spec/volumeClaimTemplates", json!({}), "expected an array of claim templates"),
    ] {
        let mut object = deployment();
        object["spec"]["volumeClaimTemplates"] = Value::Null;
        *object.pointer_mut(pointer).unwrap() = wrong;
        let said = refusal(review("Deployment", &object).to_string());
        assert!(said.contains(expected), "{pointer}: {said}");
    }
}

#[test]
fn a_key_that_is_there_twice_is_refused() {
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
        let said = refusal(body.replacen(once, twice, 1));
        assert!(said.contains("duplicate field"), "{twice}: {said}");
    }
}

#[test]
fn what_no_decision_depends_on_may_hold_anything() {
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
fn an_old_object_at_a_create_is_not_read_wherever_it_stands() {
    let body = |old: &str| {
        let body = review("Deployment", &deployment()).to_string();
        let behind = body.replacen(r#""operation":"CREATE""#, &format!(r#""operation":"CREATE","oldObject":{old}"#), 1);
        let before = body.replacen(r#""request":{"#, &format!(r#""request":{{"oldObject":{old},"#), 1);
        [behind, before]
    };
    for old in ["null", "{}", r#""x""#, "[]", r#"{"spec":[]}"#] {
        for body in body(old) {
            let read = Review::parse(body.as_bytes(), &Workloads::default()).map(|_| ());
            assert!(read.is_ok(), "{read:?}: {body}");
        }
    }
}

#[test]
fn an_object_whose_keys_are_escaped_is_read_all_the_same() {
    let body = review("Pod", &json!({"spec": {"nodeName": "n1"}})).to_string();
    let body = body.replace("nodeName", r"node\u004eame").replace("\"object\"", r#""\u006fbject""#);
    let workloads = Workloads::default();
    let review = Review::parse(body.as_bytes(), &workloads).unwrap();
    let RequestedChange::Created(_, object) = review.request.change else { panic!("{:?}", review.request) };
    assert_eq!(object.template.unwrap().spec.unwrap().node_name(), Some("n1"));
}

#[test]
fn the_name_to_show_is_the_objects_or_what_it_begins_with() {
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
