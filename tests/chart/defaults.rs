//! What is installed where nobody says otherwise.

use colocate::config::Config;
use serde_json::{Value, json};

use crate::chart::{DEFAULTS, HOME, Rendered, documented_driver, render, yaml};

const POD: &str = "/spec/template/spec";

#[test]
fn these_objects_and_no_others() {
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
fn annotations_are_validated_where_the_program_does_so_by_default() {
    let defaults: Value = crate::chart::yaml(&crate::chart::file("files/defaults.yaml"));
    let validates = defaults.pointer("/validation/mode").is_some_and(|mode| mode != "off");
    assert_eq!(DEFAULTS.find("ValidatingWebhookConfiguration/zz-colocate").is_some(), validates);
}

#[test]
fn a_rollout_and_an_eviction_leave_one_that_answers() {
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

/// With two nodes and two replicas, a third would wait for a port for ever, and the old ones with it.
#[test]
fn pods_that_have_their_nodes_ports_are_replaced_one_after_the_other() {
    let strategy = |values: &str| render(values).at("Deployment/colocate", "/spec/strategy").clone();
    let one_after_the_other = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}});
    assert_eq!(strategy("hostNetwork: {enabled: true}"), one_after_the_other);
    let own = "strategy: {type: Recreate}\nhostNetwork: {enabled: true}";
    assert_eq!(strategy(own), json!({"type": "Recreate"}));
}

#[test]
fn who_says_which_pods_are_spread_is_taken_at_their_word() {
    let own = "{topologyKey: rack, maxSkew: 1, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {a: b}}}";
    let rendered = render(&format!("topologySpreadConstraints: [{own}]"));
    assert_eq!(rendered.at("Deployment/colocate", &format!("{POD}/topologySpreadConstraints/0")), &yaml(own));
}

#[test]
fn a_budget_with_a_single_replica_would_keep_nodes_from_being_drained() {
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
fn all_probes_ask_the_admin_port() {
    let container = DEFAULTS.at("Deployment/colocate", "/spec/template/spec/containers/0");
    for (probe, path) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        assert_eq!(container[probe]["httpGet"], json!({"path": path, "port": "admin"}), "{probe}");
    }
    assert!(container["ports"].as_array().unwrap().contains(&json!({"name": "admin", "containerPort": 8080})));
}

/// In seconds, with Kubernetes' defaults for what is not written: a period of 10, 3 failures, a timeout of 1.
#[test]
fn a_start_has_a_minute_and_who_is_not_ready_is_known_in_seconds_and_a_late_answer_kills_nobody() {
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
fn there_is_time_to_drain() {
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
fn pods_are_restricted_and_have_no_user_of_their_own() {
    let pods = [DEFAULTS.at("Deployment/colocate", POD), DEFAULTS.at("Pod/colocate-test", "/spec")];
    for pod in pods {
        // What the Pod Security Standard `restricted` asks for.
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
        // What OpenShift's `restricted-v2` refuses.
        let text = pod.to_string();
        for absent in ["runAsUser", "runAsGroup", "fsGroup", "supplementalGroups"] {
            assert!(!text.contains(absent), "{absent}");
        }
    }
}

#[test]
fn cpu_is_not_limited_and_memory_is() {
    let resources = DEFAULTS.at("Deployment/colocate", "/spec/template/spec/containers/0/resources");
    assert!(resources["limits"]["cpu"].is_null() && resources["limits"]["memory"].is_string(), "{resources}");
    assert!(resources["requests"]["cpu"].is_string(), "{resources}");
}

#[test]
fn a_token_is_mounted_only_in_pods_that_ask_somebody() {
    for account in ["ServiceAccount/colocate", "ServiceAccount/colocate-test"] {
        assert_eq!(DEFAULTS.at(account, "/automountServiceAccountToken"), false);
    }
    assert_eq!(DEFAULTS.at("Deployment/colocate", "/spec/template/spec/automountServiceAccountToken"), true);
    assert_eq!(DEFAULTS.at("Pod/colocate-test", "/spec/automountServiceAccountToken"), true);
}

#[test]
fn a_changed_configuration_restarts_nothing() {
    let template = |values: &str| render(values).at("Deployment/colocate", "/spec/template").clone();
    assert_eq!(template("config: {mode: audit}"), template(""));
    assert_eq!(template("config: {missingClaim: {wait: 1s, then: inject}}"), template(""));
    let absent = "config: {drivers: [{name: portworx, scheduler: {whenAbsent: WHAT, lease: {namespace: a, name: b}}}]}";
    assert_eq!(template(&absent.replace("WHAT", "skip")), template(&absent.replace("WHAT", "inject")));
    let with_checksum = |mode: &str| template(&format!("restartOnConfigChange: true\nconfig: {{mode: {mode}}}"));
    assert_ne!(with_checksum("audit"), with_checksum("inject"));
}

/// Those that run would go on with the old names, and with rights that are gone.
#[test]
fn what_is_only_read_at_the_start_replaces_the_pods() {
    let template = |values: &str| render(values).at("Deployment/colocate", "/spec/template").clone();
    for values in [
        "webhook: {name: zz-other}",
        "webhook: {url: 'https://colocate.example.com'}",
        "config: {namespaces: [a]}",
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
        assert!(!needs(&render(values)).is_empty(), "{values}: the program takes note of it");
    }
}

#[test]
fn a_changed_key_of_a_driver_replaces_the_pods_if_the_program_needs_it() {
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
        _ => *value = json!("other"),
    }
}

/// What the program has with the chart's default values.
fn started() -> Config {
    Config::parse(DEFAULTS.text_at("ConfigMap/colocate", "/data/config.yaml"), "config.yaml").unwrap()
}

#[test]
fn the_pod_of_the_test_is_none_of_the_deployments() {
    let labels = DEFAULTS.at("Pod/colocate-test", "/metadata/labels");
    let selector = DEFAULTS.at("Service/colocate", "/spec/selector").as_object().unwrap();
    assert_eq!(DEFAULTS.at("Deployment/colocate", "/spec/selector/matchLabels").as_object(), Some(selector));
    assert!(selector.iter().any(|(key, value)| labels[key] != *value), "{labels}");
}

#[test]
fn the_test_leaves_nothing_behind_but_a_pod_that_failed() {
    for object in DEFAULTS.objects().iter().filter(|object| object.to_string().contains("helm.sh/hook")) {
        let annotations = &object["metadata"]["annotations"];
        assert_eq!(annotations["helm.sh/hook"], "test");
        assert_eq!(annotations["helm.sh/hook-delete-policy"], "before-hook-creation,hook-succeeded");
        // The pod comes when its rights are there.
        let weight = if object["kind"] == "Pod" { "0" } else { "-1" };
        assert_eq!(annotations["helm.sh/hook-weight"], weight);
    }
}

#[test]
fn the_test_may_create_deployments_in_its_namespace_and_nothing_else() {
    let may = json!([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create"]}]);
    assert_eq!(DEFAULTS.at("default:Role/colocate-test", "/rules"), &may);
    let subjects = json!([{"kind": "ServiceAccount", "name": "colocate-test", "namespace": HOME}]);
    assert_eq!(DEFAULTS.at("default:RoleBinding/colocate-test", "/subjects"), &subjects);
}

#[test]
fn the_test_goes_where_the_api_server_asks_about_it() {
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
