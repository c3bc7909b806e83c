use serde_json::{Value, json};

use super::call::{FAILED_OPEN, MUTATION, PATCH};
use super::event::MAX_ANNOTATIONS;
use super::*;

const OURS: [&str; 2] = ["zz-colocate", "pods.mutate.colocate"];
const THEIRS: [&str; 2] = [STORK, "webhook.stork.libopenstorage.org"];

/// An event of level Metadata about a pod.
fn event(name: &str, annotations: impl Into<Value>) -> Value {
    let annotations: Value = annotations.into();
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": format!("id-{name}"),
        "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/db/pods?fieldManager=kubectl", "verb": "create",
        "user": {"username": "alice", "groups": ["system:authenticated"]},
        "objectRef": {"resource": "pods", "namespace": "db", "name": name, "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 201},
        "requestReceivedTimestamp": "2026-11-30T02:14:06.900000Z", "stageTimestamp": "2026-11-30T02:14:07.100000Z",
        "annotations": annotations,
    })
}

/// The annotation about a call.
fn call(round: u8, index: u8, [configuration, webhook]: [&str; 2], mutated: bool) -> (String, String) {
    let value = json!({"configuration": configuration, "webhook": webhook, "mutated": mutated});
    (format!("{MUTATION}round_{round}_index_{index}"), value.to_string())
}

fn failed(round: u8, index: u8, webhook: &str) -> (String, String) {
    (format!("{FAILED_OPEN}round_{round}_index_{index}"), webhook.to_owned())
}

fn patched(index: u8, webhook: [&str; 2], patch: &Value) -> (String, String) {
    patched_in(0, index, webhook, patch)
}

fn patched_in(round: u8, index: u8, [configuration, webhook]: [&str; 2], patch: &Value) -> (String, String) {
    let value = json!({"configuration": configuration, "webhook": webhook, "patch": patch, "patchType": "JSONPatch"});
    (format!("{PATCH}round_{round}_index_{index}"), value.to_string())
}

fn decided(reason: &str, claims: &str) -> [(String, String); 2] {
    [(format!("{}/reason", OURS[1]), reason.to_owned()), (format!("{}/claims", OURS[1]), claims.to_owned())]
}

fn annotations(entries: impl IntoIterator<Item = (String, String)>) -> Value {
    json!(entries.into_iter().collect::<BTreeMap<_, _>>())
}

fn read<'e>(events: impl IntoIterator<Item = &'e Value>) -> AuditLog {
    let mut log = AuditLog::default();
    for event in events {
        log.add(event.to_string().as_bytes()).unwrap();
    }
    log
}

fn set_scheduler() -> Value {
    json!([{"op": "add", "path": "/spec/schedulerName", "value": "stork"}])
}

fn names(log: &AuditLog) -> Vec<&str> {
    log.missed.iter().map(|missed| &*missed.name).collect()
}

#[test]
fn an_object_is_missed_if_the_call_failed_open() {
    let missed = annotations([call(0, 3, OURS, false), failed(0, 3, OURS[1])]);
    let answered = annotations([call(0, 3, OURS, true)]);
    let other = annotations([call(0, 0, ["x", "a.x"], false), failed(0, 0, "a.x"), call(0, 3, OURS, false)]);
    let log = read(&[event("missed", missed), event("answered", answered), event("other", other)]);
    let found = log.missed.first().unwrap();
    assert_eq!(names(&log), ["missed"]);
    assert_eq!((&*found.time, &*found.user, &*found.verb), ("2026-11-30T02:14:07.100000Z", "alice", "create"));
    assert_eq!((&*found.resource, &*found.namespace, &found.set_by), ("pods", "db", &None));
    let counts = |key: [&str; 2]| {
        let calls = &log.webhooks[&key.map(str::to_owned)];
        (calls.requests, calls.changed, calls.failed_open)
    };
    assert_eq!((counts(OURS), counts(["x", "a.x"])), ((3, 1, 1), (1, 0, 1)));
    let time = "2026-11-30T02:14:07.100000Z".to_owned();
    assert_eq!(log.webhooks[&OURS.map(str::to_owned)].failures, Some([time.clone(), time]));
    assert_eq!((log.events, log.missed_total()), (3, 1));
}

#[test]
fn the_last_round_decides_whether_an_object_was_missed() {
    let entries = [call(0, 3, OURS, false), failed(0, 3, OURS[1]), call(1, 3, OURS, true)];
    assert_eq!(names(&read(&[event("a", annotations(entries))])), [""; 0]);
    let entries = [call(0, 3, OURS, false), failed(0, 3, OURS[1]), call(1, 3, OURS, false), failed(1, 3, OURS[1])];
    assert_eq!(names(&read(&[event("a", annotations(entries))])), ["a"]);
    // It has not seen what another webhook added after its answer, such as a claim.
    let entries = [call(0, 3, OURS, false), call(1, 3, OURS, false), failed(1, 3, OURS[1])];
    assert_eq!(names(&read(&[event("a", annotations(entries))])), ["a"]);
    let entries = [call(0, 3, OURS, true), call(1, 3, OURS, false), failed(1, 3, OURS[1])];
    assert_eq!(names(&read(&[event("a", annotations(entries))])), [""; 0]);
}

#[test]
fn an_object_that_one_of_two_configurations_changed_is_not_missed() {
    let other = ["zz-colocate-b", OURS[1]];
    let names = |changed: bool| {
        let entries = [call(0, 3, OURS, false), failed(0, 3, OURS[1]), call(0, 4, other, changed)];
        let log = read(&[event("a", annotations(entries))]);
        assert_eq!(log.failed_open(), 1);
        names(&log).len()
    };
    // Another configuration may not know the driver of the object.
    assert_eq!((names(true), names(false)), (0, 1));
}

#[test]
fn only_admitted_objects_count() {
    let missed = || event("a", annotations([call(0, 3, OURS, false), failed(0, 3, OURS[1])]));
    let with = |key: &str, value: Value| {
        let mut event = missed();
        event[key] = value;
        event
    };
    let mut status = missed();
    let mut updated = with("verb", json!("patch"));
    updated["responseStatus"]["code"] = 200.into();
    let mut template = updated.clone();
    template["objectRef"]["resource"] = "podtemplates".into();
    let mut job = template.clone();
    job["objectRef"] = json!({"resource": "jobs", "apiGroup": "batch", "namespace": "db", "name": "a"});
    let mut new_job = job.clone();
    new_job["responseStatus"]["code"] = 201.into();
    let mut deleted = template.clone();
    deleted["verb"] = "deletecollection".into();
    status["objectRef"]["subresource"] = "status".into();
    // It has the verb and the status code of a new pod.
    let mut binding = missed();
    binding["objectRef"]["subresource"] = "binding".into();
    for (event, is_missed) in [
        (with("stage", json!("RequestReceived")), false),
        (with("stage", json!("ResponseStarted")), false),
        (with("stage", json!("Panic")), false),
        (binding, false),
        (job, false),
        (new_job, true),
        (deleted, false),
        // An update that created the object.
        (with("verb", json!("update")), true),
        (with("responseStatus", json!({"code": 409})), false),
        (with("requestURI", json!("/api/v1/namespaces/db/pods?dryRun=All")), false),
        (with("requestURI", json!("/api/v1/namespaces/db/pods?fieldManager=x&dryRun=All")), false),
        (with("requestURI", json!("/api/v1/namespaces/db/pods?dryRun=")), true),
        (status, false),
        (updated, false),
        // Server-side apply.
        (with("verb", json!("patch")), true),
        (template, true),
        (missed(), true),
    ] {
        assert_eq!(read(std::slice::from_ref(&event)).missed_total(), u64::from(is_missed), "{event}");
    }
    // The same line twice is one object.
    assert_eq!(read(&[missed(), missed()]).missed_total(), 1);
}

#[test]
fn objects_that_the_api_server_names_have_the_name_of_the_response() {
    let missed = || event("", annotations([call(0, 3, OURS, false), failed(0, 3, OURS[1])]));
    assert_eq!(names(&read(&[missed()])), ["*"]);
    let mut request = missed();
    request["requestObject"] = json!({"metadata": {"generateName": "web-5d4-"}});
    assert_eq!(names(&read(&[request.clone()])), ["web-5d4-*"]);
    request["responseObject"] = json!({"metadata": {"name": "web-5d4-x7"}});
    request["impersonatedUser"] = json!({"username": "bob"});
    let log = read(&[request]);
    assert_eq!((names(&log), &*log.missed.first().unwrap().user), (vec!["web-5d4-x7"], "bob"));
}

#[test]
fn a_log_identifies_an_object_as_far_as_its_level_permits() {
    let mut event = event("", annotations([call(0, 3, OURS, false), failed(0, 3, OURS[1])]));
    let identity = |event: &Value| read([event]).missed.first().unwrap().identity.clone();
    let requested = "2026-11-30T02:14:06.900000Z".to_owned();
    let mut expected = Identity { version: "v1".to_owned(), requested, ..Identity::default() };
    assert_eq!(identity(&event), expected);
    let owners = json!([{"uid": "u0"}, {"uid": "u1", "controller": true}]);
    event["requestObject"] = json!({"metadata": {"generateName": "web-", "ownerReferences": owners}, "spec": {}});
    expected.generate_name = Some("web-".to_owned());
    expected.controller = Some("u1".to_owned());
    expected.scheduler = Some("default-scheduler".to_owned());
    assert_eq!(identity(&event), expected);
    event["requestObject"]["spec"]["schedulerName"] = "volcano".into();
    event["responseObject"] = json!({"metadata": {"name": "web-x7", "uid": "u2"}});
    expected.scheduler = Some("volcano".to_owned());
    expected.uid = Some("u2".to_owned());
    assert_eq!(identity(&event), expected);
    // Server-side apply has the object as its patch.
    event["verb"] = "patch".into();
    assert_eq!(identity(&event), expected);
    // The patch of an existing object says nothing about its identity.
    event["responseStatus"]["code"] = 200.into();
    event["objectRef"]["resource"] = "podtemplates".into();
    for patch in [json!([{"op": "add", "path": "/template", "value": {}}]), json!({"spec": {"schedulerName": "a"}})] {
        event["requestObject"] = patch;
        let Identity { generate_name, controller, scheduler, .. } = identity(&event);
        assert_eq!((generate_name, controller, scheduler), (None, None, None));
    }
}

#[test]
fn only_one_namespace_is_read_if_it_is_named() {
    let missed = event("a", annotations([call(0, 3, OURS, false), failed(0, 3, OURS[1])]));
    for (namespace, total) in [("db", 1), ("web", 0)] {
        let mut log = AuditLog::new(Some(namespace.to_owned()));
        log.add(missed.to_string().as_bytes()).unwrap();
        assert_eq!((log.missed_total(), log.events), (total, 1), "{namespace}");
    }
}

#[test]
fn the_two_webhooks_are_compared() {
    let stork_sets = || [call(0, 0, THEIRS, true), patched(0, THEIRS, &set_scheduler())].into_iter();
    let tolerations = json!([{"op": "add", "path": "/spec/tolerations", "value": []}]);
    let owned = "claim `data`: provisioner pxd.portworx.com, driver portworx";
    let ours = |changed, reason, claims| [call(0, 3, OURS, changed)].into_iter().chain(decided(reason, claims));
    let away = [call(0, 3, OURS, false), failed(0, 3, OURS[1])];
    for (entries, expected) in [
        (annotations(stork_sets().chain(ours(false, "already-set", owned))), Some(Comparison::Both)),
        (annotations(stork_sets().chain(ours(false, "already-set", ""))), Some(Comparison::OnlyStork)),
        (annotations(stork_sets().chain(ours(false, "opted-out", ""))), Some(Comparison::OnlyStork)),
        (annotations(stork_sets().chain(away.clone())), Some(Comparison::WithoutColocate)),
        (annotations(stork_sets()), Some(Comparison::WithoutColocate)),
        (annotations([call(0, 0, THEIRS, true)].into_iter().chain(away)), Some(Comparison::Unknown)),
        (
            annotations(
                [call(0, 0, THEIRS, true), patched(0, THEIRS, &tolerations)]
                    .into_iter()
                    .chain(ours(true, "injected", owned)),
            ),
            Some(Comparison::OnlyColocate),
        ),
        (
            annotations([call(0, 0, THEIRS, false)].into_iter().chain(ours(true, "injected", owned))),
            Some(Comparison::OnlyColocate),
        ),
        (
            annotations(
                [call(0, 0, THEIRS, false), failed(0, 0, THEIRS[1])].into_iter().chain(ours(true, "injected", owned)),
            ),
            Some(Comparison::WithoutStork),
        ),
        (
            annotations([call(0, 0, THEIRS, false), failed(0, 0, THEIRS[1])].into_iter().chain(ours(
                false,
                "no-claims",
                "",
            ))),
            None,
        ),
        // Another webhook did not answer.
        (
            annotations(
                [call(0, 1, ["x", "a.x"], false), failed(0, 1, "a.x")].into_iter().chain(ours(true, "injected", owned)),
            ),
            Some(Comparison::OnlyColocate),
        ),
        (annotations(ours(false, "would-inject", owned)), Some(Comparison::OnlyColocate)),
        (annotations(ours(false, "already-set", owned)), None),
        (annotations(ours(false, "no-claims", "")), None),
    ] {
        let log = read(&[event("a", entries.clone())]);
        let found: Vec<_> = log.comparison.iter().map(|(found, compared)| (*found, compared.objects)).collect();
        assert_eq!(found, expected.map(|expected| (expected, 1)).into_iter().collect::<Vec<_>>(), "{entries}");
    }
    let log = read(&[event("a", annotations(stork_sets().chain(ours(false, "opted-out", ""))))]);
    let compared = &log.comparison[&Comparison::OnlyStork];
    assert_eq!(compared.reasons, BTreeMap::from([("opted-out", 1)]));
    assert_eq!(compared.example, ["pods", "db", "a"]);
    assert!(log.has_stork() && log.has_colocate());
}

#[test]
fn a_missed_object_may_have_the_scheduler_of_another_webhook() {
    let entries = [
        call(0, 0, THEIRS, true),
        patched(0, THEIRS, &set_scheduler()),
        call(0, 3, OURS, false),
        failed(0, 3, OURS[1]),
    ];
    let set_by = |entries: Value| read(&[event("a", entries)]).missed.first().unwrap().set_by.clone().unwrap();
    assert_eq!(set_by(annotations(entries.clone())), THEIRS[1]);
    // Of several, the last one in the order of the calls.
    let (ninth, tenth) = (["y", "ninth.y"], ["x", "tenth.x"]);
    let several = || {
        let patches = [patched(9, ninth, &set_scheduler()), patched(10, tenth, &set_scheduler())];
        entries.clone().into_iter().chain(patches)
    };
    assert_eq!(set_by(annotations(several())), tenth[1]);
    let again = patched_in(1, 9, ninth, &set_scheduler());
    assert_eq!(set_by(annotations(several().chain([again]))), ninth[1]);
}

#[test]
fn a_line_that_is_not_an_event_is_an_error() {
    let whole = event("a", annotations([])).to_string();
    let mut log = AuditLog::default();
    for line in [&whole[..whole.len() - 9], &whole[9..], "", "{}", "[]", r#"{"kind":"Event","apiVersion":"v1"}"#] {
        log.add(line.as_bytes()).unwrap_err();
    }
    assert_eq!(log.events, 0);
    // It is one line of many.
    assert_eq!(log.add(b"a").unwrap_err().to_string(), "expected value at column 1");
    log.add(whole.as_bytes()).unwrap();
    // Annotations of another form are ignored.
    let odd = annotations([(format!("{MUTATION}x"), "not json".to_owned()), (format!("{PATCH}y"), "[]".to_owned())]);
    log.add(event("b", odd).to_string().as_bytes()).unwrap();
    assert_eq!((log.events, log.webhooks.len()), (2, 0));
}

#[test]
fn memory_is_bounded() {
    let mut log = AuditLog::default();
    let missed = annotations([call(0, 3, OURS, false), failed(0, 3, OURS[1])]);
    let line = event("NAME", missed).to_string();
    let mut add = |number: usize| {
        let line = line.replace("NAME", &format!("{number:05}")).replace("07.100000", &format!("07.1{number:05}"));
        log.add(line.as_bytes()).unwrap();
        (log.missed.len(), log.more_missed)
    };
    // The logs are read from the last to the first.
    let last = (0..MAX_MISSED).rev().map(|number| add(number + 1)).last();
    assert_eq!(last, Some((MAX_MISSED, false)));
    assert_eq!(add(1), (MAX_MISSED, false));
    assert_eq!(add(0), (MAX_MISSED, true));
    // It is read again, and is the same object.
    assert_eq!(add(MAX_MISSED), (MAX_MISSED, true));
    assert_eq!(log.missed_total(), MAX_MISSED as u64 + 1);
    let ends = [log.missed.first().unwrap(), log.missed.last().unwrap()].map(|missed| &*missed.name);
    assert_eq!(ends, ["00000", "09999"]);
    for number in 0..MAX_WEBHOOKS + 5 {
        let webhook = format!("w{number}.x");
        let entries = annotations([call(0, 0, ["x", &webhook], false)]);
        log.add(event("a", entries).to_string().as_bytes()).unwrap();
    }
    assert_eq!((log.webhooks.len(), log.more_calls), (MAX_WEBHOOKS, 6));
}

#[test]
fn times_of_any_form_are_in_the_order_of_time() {
    let mut log = AuditLog::default();
    for (name, time) in [
        ("d", "2026-11-30T02:14:07.2Z"),
        ("a", "2026-11-30T02:14:07Z"),
        ("c", "2026-11-30T03:14:07.15+01:00"),
        ("b", "2026-11-30T02:14:07.100000Z"),
        ("e", "2026-11-30T02:14:07.200000999Z"),
    ] {
        let mut event = event(name, annotations([call(0, 3, OURS, false), failed(0, 3, OURS[1])]));
        event["stageTimestamp"] = time.into();
        event["requestReceivedTimestamp"] = time.into();
        log.add(event.to_string().as_bytes()).unwrap();
    }
    assert_eq!(names(&log), ["a", "b", "c", "d", "e"]);
    let third = log.missed.iter().nth(2).unwrap();
    let expected = "2026-11-30T02:14:07.150000Z";
    assert_eq!((&*third.time, &*third.identity.requested), (expected, expected));
    let period = ["2026-11-30T02:14:07.000000Z", "2026-11-30T02:14:07.200000Z"];
    assert_eq!(log.period, Some(period.map(str::to_owned)));
}

#[test]
fn webhooks_with_one_name_are_counted_by_configuration() {
    let other = ["zz-colocate-old", OURS[1]];
    let entries = [call(0, 2, other, true), call(0, 3, OURS, false), failed(0, 3, OURS[1])];
    let log = read(&[event("a", annotations(entries))]);
    let failed_open = |key: [&str; 2]| log.webhooks[&key.map(str::to_owned)].failed_open;
    assert_eq!((failed_open(OURS), failed_open(other), log.webhooks.len()), (1, 0, 2));
    assert_eq!((log.failed_open(), names(&log).len()), (1, 0), "the other one changed it");
    // Without the annotation about the change, the configuration is not known.
    let log = read(&[event("a", annotations([failed(0, 3, OURS[1])]))]);
    assert_eq!(log.webhooks.keys().collect::<Vec<_>>(), [&["", OURS[1]].map(str::to_owned)]);
    assert_eq!(names(&log), ["a"]);
}

#[test]
fn a_patch_sets_the_scheduler_by_itself_or_in_a_larger_value() {
    for (patch, sets) in [
        (set_scheduler(), true),
        (json!([{"op": "replace", "path": "/spec/template/spec/schedulerName", "value": "stork"}]), true),
        (json!([{"op": "add", "path": "/spec", "value": {"schedulerName": "stork"}}]), true),
        (json!([{"op": "add", "path": "/spec/template", "value": {"spec": {"schedulerName": "stork"}}}]), true),
        (json!([{"op": "add", "path": "/x", "value": [1]}, {"op": "add", "path": "/spec/schedulerName"}]), true),
        (json!([{"op": "remove", "path": "/spec/schedulerName"}]), false),
        (json!([{"op": "add", "path": "/spec", "value": {"schedulerName": null, "spec": {}}}]), false),
        (json!([{"op": "add", "path": "/spec", "value": [true]}]), false),
        (json!([0, {"op": "add", "path": "/spec/schedulerName"}]), false),
        (json!({}), false),
    ] {
        let entries = [patched(0, THEIRS, &patch), call(0, 3, OURS, false), failed(0, 3, OURS[1])];
        let log = read(&[event("a", annotations(entries))]);
        assert_eq!(log.missed.first().unwrap().set_by.is_some(), sets, "{patch}");
    }
}

#[test]
fn long_texts_are_truncated() {
    let umlauts = "\u{e4}".repeat(MAX_TEXT);
    let mut event = event(&umlauts, annotations([call(0, 3, ["x", &format!("colocate.{umlauts}")], false)]));
    event["annotations"][format!("{FAILED_OPEN}round_0_index_3")] = "".into();
    event["user"]["username"] = umlauts.clone().into();
    event["stageTimestamp"] = umlauts.clone().into();
    let log = read([&event]);
    let missed = log.missed.first().unwrap();
    let [configuration, webhook] = log.webhooks.keys().find(|[configuration, _]| configuration == "x").unwrap();
    assert_eq!((configuration.len(), webhook.len()), (1, MAX_TEXT - 1));
    for text in [&missed.name, &missed.user, &missed.time, &log.period.as_ref().unwrap()[0]] {
        assert_eq!(text.len(), MAX_TEXT);
    }
}

#[test]
fn an_event_with_too_many_annotations_is_not_read() {
    let annotated = |count: usize| {
        let many = (0..count).map(|number| (format!("a{number}"), String::new()));
        AuditLog::default().add(event("a", annotations(many)).to_string().as_bytes())
    };
    annotated(MAX_ANNOTATIONS).unwrap();
    let error = annotated(MAX_ANNOTATIONS + 1).unwrap_err().to_string();
    assert!(error.contains("more than 10000 annotations"), "{error}");
    for (value, is_read) in [(json!(null), true), (json!(["a", "b"]), false), (json!("a"), false)] {
        let read = AuditLog::default().add(event("a", value.clone()).to_string().as_bytes());
        assert_eq!(read.is_ok(), is_read, "{value}");
    }
}

#[test]
fn the_request_of_a_json_patch_is_a_list() {
    let mut event = event("a", annotations([call(0, 3, OURS, false), failed(0, 3, OURS[1])]));
    event["requestObject"] = json!([{"op": "remove", "path": "/spec"}]);
    event["verb"] = "patch".into();
    assert_eq!(read([&event]).events, 1);
    event["requestObject"] = json!("text");
    assert_eq!(read([&event]).events, 1);
}
