//! The objects of the chart with its default values.

use colocate::config::Config;
use serde_json::{Value, json};

use crate::chart::{DEFAULTS, HOME, Rendered, documented_driver, render, yaml};

const POD: &str = "/spec/template/spec";

#[test]
fn the_default_objects_are_exactly_these() {
    let expected = [
        "ClusterRole/colocate",
        "ClusterRoleBinding/colocate",
        "ConfigMap/colocate",
        "Deployment/colocate",
        "FlowSchema/colocate",
        "MutatingWebhookConfiguration/zz-colocate",
        "Pod/colocate-test",
        "PodDisruptionBudget/colocate",
        "Role/colocate-ca",
        "RoleBinding/colocate-ca",
        "Secret/colocate-ca",
        "Service/colocate",
        "ServiceAccount/colocate",
        "ServiceAccount/colocate-test",
        "default:Role/colocate-test",
        "default:RoleBinding/colocate-test",
    ];
    let mut names = DEFAULTS.names();
    names.retain(|name| !name.starts_with("ValidatingWebhookConfiguration/"));
    names.sort();
    assert_eq!(names, expected);
}

#[test]
fn the_chart_validates_annotations_if_the_program_defaults_to_it() {
    let defaults: Value = crate::chart::yaml(&crate::chart::file("files/defaults.yaml"));
    let validates = defaults.pointer("/validation/mode").is_some_and(|mode| mode != "off");
    assert_eq!(DEFAULTS.find("ValidatingWebhookConfiguration/zz-colocate").is_some(), validates);
}

#[test]
fn rollouts_and_evictions_keep_a_ready_replica() {
    let deployment = |pointer| DEFAULTS.at("Deployment/colocate", pointer);
    assert_eq!(deployment("/spec/replicas"), 2);
    assert_eq!(deployment("/spec/strategy/rollingUpdate"), &json!({"maxUnavailable": 0, "maxSurge": 1}));
    let spread = deployment("/spec/template/spec/topologySpreadConstraints");
    let keys: Vec<_> = spread.as_array().unwrap().iter().map(|one| &one["topologyKey"]).collect();
    assert_eq!(keys, ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]);
    for constraint in spread.as_array().unwrap() {
        assert_eq!(&constraint["labelSelector"], deployment("/spec/selector"));
    }
    let budget = |pointer| DEFAULTS.at("PodDisruptionBudget/colocate", pointer);
    assert_eq!(budget("/spec/maxUnavailable"), 1);
    assert_eq!(budget("/spec/unhealthyPodEvictionPolicy"), "AlwaysAllow");
    assert_eq!(budget("/spec/selector"), deployment("/spec/selector"));
}

/// With two nodes and two replicas, a third pod would wait indefinitely for a host port, and the rollout with it.
#[test]
fn pods_with_host_ports_are_replaced_one_by_one() {
    let strategy = |values: &str| render(values).at("Deployment/colocate", "/spec/strategy").clone();
    let one_after_the_other = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}});
    assert_eq!(strategy("hostNetwork: {enabled: true}"), one_after_the_other);
    let own = "strategy: {type: Recreate}\nhostNetwork: {enabled: true}";
    assert_eq!(strategy(own), json!({"type": "Recreate"}));
}

#[test]
fn explicit_spread_constraints_are_kept() {
    let own = "{topologyKey: rack, maxSkew: 1, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {a: b}}}";
    let rendered = render(&format!("topologySpreadConstraints: [{own}]"));
    assert_eq!(rendered.at("Deployment/colocate", &format!("{POD}/topologySpreadConstraints/0")), &yaml(own));
}

#[test]
fn a_single_replica_has_no_disruption_budget() {
    for (values, there) in [
        ("replicaCount: 0", false),
        ("replicaCount: 1", false),
        ("replicaCount: 2", true),
        ("replicaCount: 1\nautoscaling: {enabled: true}", true),
        ("autoscaling: {enabled: true, minReplicas: 1}", false),
    ] {
        assert_eq!(render(values).find("PodDisruptionBudget/colocate").is_some(), there, "{values}");
    }
}

#[test]
fn all_probes_use_the_admin_port() {
    let container = DEFAULTS.at("Deployment/colocate", "/spec/template/spec/containers/0");
    for (probe, path) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        assert_eq!(container[probe]["httpGet"], json!({"path": path, "port": "admin"}), "{probe}");
    }
    assert!(container["ports"].as_array().unwrap().contains(&json!({"name": "admin", "containerPort": 8080})));
}

/// In seconds. Kubernetes' defaults apply to missing fields: a period of 10, 3 failures, a timeout of 1.
#[test]
fn probes_allow_slow_starts_and_detect_unready_pods_quickly() {
    let container = DEFAULTS.at("Deployment/colocate", "/spec/template/spec/containers/0");
    let number = |probe: &str, key: &str, default| container[probe][key].as_u64().unwrap_or(default);
    let [start, live, ready] = ["startupProbe", "livenessProbe", "readinessProbe"].map(|probe| {
        let failures = number(probe, "failureThreshold", 3);
        (number(probe, "periodSeconds", 10) * failures, failures, number(probe, "timeoutSeconds", 1))
    });
    assert!(start.0 >= 30, "{start:?}");
    assert!(ready.0 <= 10, "{ready:?}");
    assert!(live.0 >= 20 && live.1 >= 3 && live.2 >= 2, "{live:?}");
}

#[test]
fn the_grace_period_covers_the_drain() {
    for (drain, seconds) in [
        ("", 35),
        ("{timeout: 1m30s}", 95),
        ("{timeout: 20s, grace: 1s}", 25),
        ("{timeout: 1h}", 3605),
        ("{timeout: 1500ms, grace: 1s}", 6),
    ] {
        let rendered = render(&format!("config: {{drain: {drain}}}"));
        let grace = rendered.at("Deployment/colocate", "/spec/template/spec/terminationGracePeriodSeconds");
        assert_eq!(grace, seconds, "{drain}");
    }
}

#[test]
fn pods_are_restricted_and_set_no_user() {
    let pods = [DEFAULTS.at("Deployment/colocate", POD), DEFAULTS.at("Pod/colocate-test", "/spec")];
    for pod in pods {
        // The requirements of the `restricted` Pod Security Standard.
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        for absent in ["hostNetwork", "hostPID", "hostIPC"] {
            assert_eq!(pod[absent], Value::Null, "{absent}");
        }
        for volume in pod["volumes"].as_array().unwrap() {
            assert!(volume["configMap"].is_object() || volume["secret"].is_object(), "{volume}");
        }
        for container in pod["containers"].as_array().unwrap() {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}));
            assert_eq!(context["readOnlyRootFilesystem"], true);
        }
        // Fields that OpenShift's `restricted-v2` rejects.
        let text = pod.to_string();
        for absent in ["runAsUser", "runAsGroup", "fsGroup", "supplementalGroups"] {
            assert!(!text.contains(absent), "{absent}");
        }
    }
}

#[test]
fn memory_is_limited_and_cpu_is_not() {
    let resources = DEFAULTS.at("Deployment/colocate", "/spec/template/spec/containers/0/resources");
    assert!(resources["limits"]["cpu"].is_null() && resources["limits"]["memory"].is_string(), "{resources}");
    assert!(resources["requests"]["cpu"].is_string(), "{resources}");
}

#[test]
fn tokens_are_only_mounted_in_pods_that_need_them() {
    for account in ["ServiceAccount/colocate", "ServiceAccount/colocate-test"] {
        assert_eq!(DEFAULTS.at(account, "/automountServiceAccountToken"), false);
    }
    assert_eq!(DEFAULTS.at("Deployment/colocate", "/spec/template/spec/automountServiceAccountToken"), true);
    assert_eq!(DEFAULTS.at("Pod/colocate-test", "/spec/automountServiceAccountToken"), true);
}

#[test]
fn a_changed_configuration_does_not_restart_pods() {
    let template = |values: &str| render(values).at("Deployment/colocate", "/spec/template").clone();
    assert_eq!(template("config: {mode: audit}"), template(""));
    assert_eq!(template("config: {missingClaim: {wait: 1s, then: inject}}"), template(""));
    let absent = "config: {drivers: [{name: portworx, scheduler: {whenAbsent: WHAT, lease: {namespace: a, name: b}}}]}";
    assert_eq!(template(&absent.replace("WHAT", "skip")), template(&absent.replace("WHAT", "inject")));
    let with_checksum = |mode: &str| template(&format!("restartOnConfigChange: true\nconfig: {{mode: {mode}}}"));
    assert_ne!(with_checksum("audit"), with_checksum("inject"));
}

/// Otherwise, running pods would continue with the old names and with permissions that were revoked.
#[test]
fn changing_a_startup_setting_replaces_the_pods() {
    let template = |values: &str| render(values).at("Deployment/colocate", "/spec/template").clone();
    for values in [
        "webhook: {name: zz-other}",
        "webhook: {url: 'https://colocate.example.com'}",
        "config: {namespaces: [a]}",
        "config: {events: {enabled: true}}",
        "config: {tls: {lifetimes: {leaf: 24h}}}",
        "config: {drain: {grace: 1s}}",
        "config: {missingClaim: {maxGets: 1}}",
        "config: {drivers: [{name: portworx, scheduler: {lease: {namespace: a, name: b}}}]}",
    ] {
        assert_ne!(template(values), template(""), "{values}");
        let needs = |rendered: &Rendered| {
            let text = rendered.text_at("ConfigMap/colocate", "/data/config.yaml");
            Config::parse(text, "config.yaml").unwrap().needs_restart(&started())
        };
        assert!(!needs(&render(values)).is_empty(), "{values}: the program must require a restart");
    }
}

#[test]
fn a_driver_key_replaces_the_pods_if_it_needs_a_restart() {
    let driver = documented_driver();
    let file = |driver: &Value| json!({"drivers": [driver]}).to_string();
    let config = |driver: &Value| Config::parse(&file(driver), "config.yaml").unwrap();
    let template = |driver: &Value| {
        render(&format!("config: {}", file(driver))).at("Deployment/colocate", "/spec/template").clone()
    };
    let template_before = template(&driver);
    for key in driver["scheduler"].as_object().unwrap().keys() {
        let mut changed = driver.clone();
        change(&mut changed["scheduler"][key]);
        let needs_restart = !config(&changed).needs_restart(&config(&driver)).is_empty();
        assert_eq!(template(&changed) != template_before, needs_restart, "{key}");
    }
}

fn change(value: &mut Value) {
    match value {
        Value::Object(keys) => keys.values_mut().for_each(change),
        Value::String(text) if text == "inject" => *value = json!("skip"),
        Value::String(text) if text.starts_with(|c: char| c.is_ascii_digit()) => *value = json!("7m"),
        Value::Array(items) => items.iter_mut().for_each(change),
        Value::String(text) => text.insert_str(0, "other-"),
        _ => *value = json!("other"),
    }
}

/// Returns the configuration of the program with the chart's default values.
fn started() -> Config {
    Config::parse(DEFAULTS.text_at("ConfigMap/colocate", "/data/config.yaml"), "config.yaml").unwrap()
}

#[test]
fn the_deployment_does_not_select_the_test_pod() {
    let labels = DEFAULTS.at("Pod/colocate-test", "/metadata/labels");
    let selector = DEFAULTS.at("Service/colocate", "/spec/selector").as_object().unwrap();
    assert_eq!(DEFAULTS.at("Deployment/colocate", "/spec/selector/matchLabels").as_object(), Some(selector));
    assert!(selector.iter().any(|(key, value)| labels[key] != *value), "{labels}");
}

#[test]
fn the_test_only_leaves_a_failed_pod_behind() {
    for object in DEFAULTS.objects().iter().filter(|object| object.to_string().contains("helm.sh/hook")) {
        let annotations = &object["metadata"]["annotations"];
        assert_eq!(annotations["helm.sh/hook"], "test");
        assert_eq!(annotations["helm.sh/hook-delete-policy"], "before-hook-creation,hook-succeeded");
        // The pod is created after its rights.
        let weight = if object["kind"] == "Pod" { "0" } else { "-1" };
        assert_eq!(annotations["helm.sh/hook-weight"], weight);
    }
}

#[test]
fn the_test_may_only_create_deployments_in_its_namespace() {
    let may = json!([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create"]}]);
    assert_eq!(DEFAULTS.at("default:Role/colocate-test", "/rules"), &may);
    let subjects = json!([{"kind": "ServiceAccount", "name": "colocate-test", "namespace": HOME}]);
    assert_eq!(DEFAULTS.at("default:RoleBinding/colocate-test", "/subjects"), &subjects);
}

#[test]
fn the_test_uses_a_namespace_that_is_reviewed() {
    let namespace = |values: &str| {
        let rendered = render(values);
        let pod = rendered.find("Pod/colocate-test")?;
        Some(pod.pointer("/spec/containers/0/args/2")?.as_str()?.to_owned())
    };
    for (values, expected) in [
        ("", Some("--namespace=default")),
        ("test: {namespace: team-a}", Some("--namespace=team-a")),
        ("webhook: {namespaces: {include: [team-b, team-a]}}", Some("--namespace=team-b")),
        ("config: {namespaces: [team-c]}", Some("--namespace=team-c")),
        ("config: {namespaces: [kube-system, team-d]}", Some("--namespace=team-d")),
        ("webhook: {namespaces: {exclude: [default]}}", None),
        ("rbac: {create: false}", None),
        ("rbac: {create: false}\ntest: {serviceAccountName: tester}", Some("--namespace=default")),
    ] {
        assert_eq!(namespace(values).as_deref(), expected, "{values}");
    }
}
