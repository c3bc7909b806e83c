//! The webhook configurations: rules, selectors, and failure policies.

use serde_json::{Value, json};

use crate::chart::{DEFAULTS, HOME, Rendered, render, text, texts};

const WITH_ALL: &str = "
config:
  validation: {mode: warn}
  customWorkloads:
  - {group: argoproj.io, version: v1alpha1, resource: rollouts, kind: Rollout, path: /spec/template}
  - {group: apps.kruise.io, version: v1beta1, resource: statefulsets, kind: StatefulSet, path: /spec/template}
";

/// The webhooks that only restore what cannot change.
const RESTORING: [&str; 2] = ["pod-updates.mutate.colocate", "job-updates.mutate.colocate"];

fn names(rendered: &Rendered) -> Vec<&str> {
    rendered.webhooks().map(|webhook| text(webhook, "/name")).collect()
}

/// Returns the group, resource, and operation of every rule.
fn rules(webhook: &Value) -> Vec<(&str, &str, &str)> {
    let mut all = Vec::new();
    for rule in webhook["rules"].as_array().unwrap() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                all.extend(texts(&rule["operations"]).into_iter().map(|operation| (group, resource, operation)));
            }
        }
    }
    all
}

/// Server-side apply merges the entries of an upgrade by their names.
#[test]
fn the_names_of_the_entries_do_not_change() {
    let mutating = [
        "pods.mutate.colocate",
        "pod-updates.mutate.colocate",
        "workloads.mutate.colocate",
        "job-updates.mutate.colocate",
        "cronjobs.mutate.colocate",
        "podtemplates.mutate.colocate",
    ];
    let validating = [
        "pods.validate.colocate",
        "workloads.validate.colocate",
        "cronjobs.validate.colocate",
        "podtemplates.validate.colocate",
        "storage.validate.colocate",
        "namespaces.validate.colocate",
    ];
    let custom = (["custom-workloads.mutate.colocate"], ["custom-workloads.validate.colocate"]);
    assert_eq!(names(&render("config: {validation: {mode: off}}")), mutating);
    assert_eq!(names(&render("config: {validation: {mode: warn}}")), [&mutating[..], &validating].concat());
    let all = [&mutating[..], &custom.0, &validating, &custom.1].concat();
    assert_eq!(names(&render(WITH_ALL)), all);
    let left = render("config: {templates: leave, validation: {mode: off}}");
    assert_eq!(names(&left), &mutating[..2], "workloads are not changed, and so not reviewed");
}

#[test]
fn every_kind_is_intercepted_once() {
    let rendered = render(WITH_ALL);
    let of = |path: &str| {
        let selected = rendered.webhooks().filter(|webhook| text(webhook, "/clientConfig/service/path") == path);
        let mut all: Vec<_> = selected.flat_map(rules).collect();
        all.sort_unstable();
        all
    };
    let both = |group, resource| [(group, resource, "CREATE"), (group, resource, "UPDATE")];
    let workloads = [
        both("", "podtemplates"),
        both("", "pods"),
        both("", "replicationcontrollers"),
        both("apps", "daemonsets"),
        both("apps", "deployments"),
        both("apps", "replicasets"),
        both("apps", "statefulsets"),
        both("batch", "cronjobs"),
        both("batch", "jobs"),
        both("argoproj.io", "rollouts"),
        both("apps.kruise.io", "statefulsets"),
    ];
    let storage =
        [both("", "namespaces"), both("", "persistentvolumeclaims"), both("storage.k8s.io", "storageclasses")];
    let sorted = |kinds: &[[(&'static str, &'static str, &'static str); 2]]| {
        let mut all = kinds.concat();
        all.sort_unstable();
        all
    };
    assert_eq!(of("/mutate"), sorted(&workloads));
    assert_eq!(of("/validate"), sorted(&[&workloads[..], &storage].concat()));
}

#[test]
fn all_entries_have_the_same_settings() {
    let rendered = render(WITH_ALL);
    for webhook in rendered.webhooks() {
        let name = text(webhook, "/name");
        assert_eq!(webhook["admissionReviewVersions"], json!(["v1"]), "{name}");
        for (key, value) in [("sideEffects", "None"), ("matchPolicy", "Equivalent"), ("failurePolicy", "Ignore")] {
            assert_eq!(webhook[key], value, "{name}");
        }
        assert_eq!(webhook["timeoutSeconds"], 5, "{name}");
        let again = if name.ends_with(".mutate.colocate") { json!("IfNeeded") } else { Value::Null };
        assert_eq!(webhook["reinvocationPolicy"], again, "{name}");
        let service = &webhook["clientConfig"]["service"];
        let path = if name.ends_with(".mutate.colocate") { "/mutate" } else { "/validate" };
        assert_eq!(service, &json!({"namespace": HOME, "name": "colocate", "port": 443, "path": path}), "{name}");
        let selector = &rendered.webhook("pods.mutate.colocate")["namespaceSelector"];
        assert_eq!(webhook["namespaceSelector"] == *selector, !RESTORING.contains(&name), "{name}");
    }
}

/// An Event is a side effect, which a dry run does not have.
#[test]
fn the_mutating_webhooks_have_side_effects_if_events_are_on() {
    let rendered = render(&WITH_ALL.replace("config:", "config:\n  events: {enabled: true}"));
    for webhook in rendered.webhooks() {
        let name = text(webhook, "/name");
        let expected = if name.ends_with(".mutate.colocate") { "NoneOnDryRun" } else { "None" };
        assert_eq!(webhook["sideEffects"], expected, "{name}");
    }
}

/// The name sorts last for any release name, so colocate is called after all other webhooks. The CA
/// bundle is left to colocate or cert-manager.
#[test]
fn the_configurations_sort_last_and_have_no_ca_bundle() {
    let rendered = render(WITH_ALL);
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let configuration = rendered.get(&format!("{kind}/zz-colocate"));
        assert_eq!(configuration["metadata"]["annotations"], json!({"admissions.enforcer/disabled": "true"}));
    }
    assert!(!rendered.text.replace("# No caBundle", "").contains("caBundle:"));
}

#[test]
fn namespaces_are_excluded_by_name_and_by_label() {
    let expressions = |values: &str| {
        let selector = render(values).webhook("pods.mutate.colocate")["namespaceSelector"].clone();
        selector["matchExpressions"].as_array().unwrap().clone()
    };
    let by_name = |operator: &str, names: &[&str]| json!({"key": "kubernetes.io/metadata.name", "operator": operator, "values": names});
    let opted_out =
        |key: &str| json!({"key": key, "operator": "NotIn", "values": ["1", "t", "T", "TRUE", "true", "True"]});
    let own = by_name("NotIn", &["kube-system", "kube-node-lease", HOME]);
    let label = opted_out("stork.libopenstorage.org/disable-admission-controller");
    assert_eq!(expressions(""), [own.clone(), label.clone()]);
    let more = by_name("NotIn", &["kube-system", "kube-node-lease", HOME, "a"]);
    assert_eq!(expressions("webhook: {namespaces: {exclude: [a, kube-system]}}"), [more, label.clone()]);
    let only = by_name("In", &["a", "b"]);
    assert_eq!(expressions("webhook: {namespaces: {include: [a, b]}}"), [own.clone(), label.clone(), only.clone()]);
    assert_eq!(expressions("config: {namespaces: [a, b]}"), [own.clone(), label.clone(), only]);
    let both = "webhook: {namespaces: {include: [a]}}\nconfig: {namespaces: [a, b]}";
    assert_eq!(expressions(both), [own.clone(), label.clone(), by_name("In", &["a"])]);
    let other = expressions("config: {optOut: {namespaceLabel: example.com/no}}");
    assert_eq!(other, [own.clone(), opted_out("example.com/no")]);
    let level = json!({"key": "openshift.io/run-level", "operator": "DoesNotExist"});
    let matching = format!("webhook: {{namespaces: {{matchExpressions: [{level}]}}}}");
    assert_eq!(expressions(&matching), [own.clone(), label, level]);
    for webhook in RESTORING {
        let selector = &DEFAULTS.webhook(webhook)["namespaceSelector"];
        assert_eq!(selector["matchExpressions"], json!([own]), "{webhook}: the label may be newer than the object");
    }
}

/// API servers evaluate the labels of objects. They must not do so for updates that only restore what cannot change: if
/// neither the old nor the new object matched, the API server would not call colocate, and would reject the update.
#[test]
fn objects_are_excluded_by_their_label() {
    let selector = |values: &str, webhook: &str| render(values).webhook(webhook)["objectSelector"].clone();
    let opted_out =
        |key: &str| json!({"key": key, "operator": "NotIn", "values": ["1", "t", "T", "TRUE", "true", "True"]});
    let default = json!({"matchExpressions": [opted_out("colocate/ignore")]});
    for webhook in ["pods", "workloads", "cronjobs", "podtemplates", "custom-workloads"] {
        assert_eq!(selector(WITH_ALL, &format!("{webhook}.mutate.colocate")), default, "{webhook}");
    }
    for webhook in ["pod-updates.mutate", "job-updates.mutate", "pods.validate", "storage.validate"] {
        assert_eq!(selector(WITH_ALL, &format!("{webhook}.colocate")), Value::Null, "{webhook}");
    }
    let pods = "pods.mutate.colocate";
    let two = json!({"matchExpressions": [opted_out("a"), opted_out("example.com/b")]});
    assert_eq!(selector("config: {optOut: {labels: [a, example.com/b]}}", pods), two);
    assert_eq!(selector("config: {optOut: {labels: []}}", pods), Value::Null);
    let managed = json!({"key": "managed", "operator": "Exists"});
    let own = format!("webhook: {{objectSelector: {{matchLabels: {{a: b}}, matchExpressions: [{managed}]}}}}");
    let both = json!({"matchLabels": {"a": "b"}, "matchExpressions": [opted_out("colocate/ignore"), managed]});
    assert_eq!(selector(&own, pods), both);
    for webhook in RESTORING {
        assert_eq!(selector(&own, webhook), Value::Null, "{webhook}");
    }
}

#[test]
fn an_external_colocate_has_its_url_and_a_certificate_for_it() {
    for (url, prefix, host) in [
        ("https://colocate.example.com:8443", "https://colocate.example.com:8443", "colocate.example.com"),
        ("https://192.0.2.1/base/", "https://192.0.2.1/base", "192.0.2.1"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443", "2001:db8::1"),
    ] {
        let values = format!("webhook: {{url: '{url}'}}\nconfig: {{validation: {{mode: warn}}, tls: {{names: [a]}}}}");
        let rendered = render(&values);
        let client_config = |name| rendered.webhook(name)["clientConfig"].clone();
        assert_eq!(client_config("pods.mutate.colocate"), json!({"url": format!("{prefix}/mutate")}));
        assert_eq!(client_config("pods.validate.colocate"), json!({"url": format!("{prefix}/validate")}));
        let config = crate::chart::yaml(rendered.text_at("ConfigMap/colocate", "/data/config.yaml"));
        assert_eq!(config["tls"]["names"], json!(["a", host]));
    }
}

#[test]
fn the_service_supports_all_ip_families() {
    let listens = |values: &str| {
        let rendered = render(values);
        let arguments = rendered.at("Deployment/colocate", "/spec/template/spec/containers/0/args").clone();
        let listens = texts(&arguments).contains(&"--listen=[::]:8443");
        assert_eq!(listens, texts(&arguments).contains(&"--admin=[::]:8080"));
        listens
    };
    assert!(!listens("") && !listens("service: {ipFamilyPolicy: SingleStack, ipFamilies: [IPv4]}"));
    assert!(listens("service: {ipFamilyPolicy: PreferDualStack}"));
    assert!(listens("service: {ipFamilies: [IPv6]}"));
    assert_eq!(DEFAULTS.at("Service/colocate", "/spec/ipFamilyPolicy"), &Value::Null);
}
