//! The conditions under which API servers ask: that they are there, and speak of what the configuration has.
//! (`tests/installation` has what they let through.)

use std::collections::HashSet;

use colocate::config::Config;
use serde_json::Value;

use crate::chart::{DEFAULTS, Rendered, render, render_for, text, texts, yaml};

/// The conditions of a webhook: the name and the expression of each.
fn conditions(webhook: &Value) -> Vec<(&str, &str)> {
    let conditions = webhook["matchConditions"].as_array().into_iter().flatten();
    conditions.map(|condition| (text(condition, "/name"), text(condition, "/expression"))).collect()
}

fn expression<'a>(rendered: &'a Rendered, webhook: &str, name: &str) -> &'a str {
    let conditions = conditions(rendered.webhook(webhook));
    let found = conditions.into_iter().find(|(own, _)| *own == name);
    found.unwrap_or_else(|| panic!("{webhook} has no condition {name}")).1
}

const WITH_ALL: &str = "
config:
  validation: {mode: warn}
  customWorkloads:
  - {group: argoproj.io, version: v1alpha1, resource: rollouts, kind: Rollout, path: /spec/template}
  - {group: a.test, version: v1, resource: as, kind: A, path: /spec/a~1b/~0c/if}
";

#[test]
fn an_older_cluster_that_does_not_know_them_has_none() {
    for (kubernetes, there) in [
        ("1.26.0", false),
        ("1.27.16", false),
        ("1.27.3-gke.100", false),
        ("1.28.0", true),
        ("1.28.3-gke.100", true),
        ("1.30.0-eks-1", true),
    ] {
        let rendered = render_for(kubernetes, WITH_ALL);
        for webhook in rendered.webhooks() {
            assert_eq!(webhook.get("matchConditions").is_some(), there, "{kubernetes}: {}", webhook["name"]);
        }
    }
    let rendered = render_for("1.28.0", WITH_ALL);
    assert!(rendered.webhooks().all(|webhook| !conditions(webhook).is_empty()));
}

#[test]
fn every_one_has_a_name_of_its_own_and_no_syntax_that_1_28_does_not_know() {
    let rendered = render(WITH_ALL);
    for webhook in rendered.webhooks() {
        let mut names = HashSet::new();
        for (name, expression) in conditions(webhook) {
            assert!(names.insert(name), "{name} stands twice in {}", webhook["name"]);
            for optional in [".?", "[?", "orValue", "optional."] {
                assert!(!expression.contains(optional), "{name}: {expression}");
            }
        }
    }
}

/// What the program makes of the configuration, and not what the chart makes of it.
#[test]
fn they_speak_of_what_the_configuration_has() {
    for config in [
        "{}",
        "{drivers: [{name: portworx}]}",
        "{drivers: []}",
        "{drivers: [{name: portworx, scheduler: {whenAbsent: inject}}, {name: a, provisioners: [a.test, \"b'c\"], scheduler: a}]}",
        "{drivers: [{name: a, provisioners: [a.test], scheduler: {name: b}}, {name: c, provisioners: [c.test], scheduler: b}]}",
        "{replaceableSchedulers: []}",
        "{replaceableSchedulers: [default-scheduler, other]}",
        "{optOut: {annotations: []}}",
        "{optOut: {annotations: [example.com/a, example.com/b]}, drivers: }",
    ] {
        let rendered = render(&format!("config: {config}"));
        let parsed = Config::parse(rendered.text_at("ConfigMap/colocate", "/data/config.yaml"), config).unwrap();
        let meant = yaml(&parsed.to_yaml().unwrap());
        let drivers = meant["drivers"].as_array().unwrap();
        let provisioners = list(drivers.iter().flat_map(|driver| texts(&driver["provisioners"])));
        let schedulers = list(
            drivers
                .iter()
                .map(|driver| driver["scheduler"].as_str().unwrap_or_else(|| text(driver, "/scheduler/name"))),
        );
        let replaceable = list([""].into_iter().chain(texts(&meant["replaceableSchedulers"])));
        let opt_outs = list(texts(&meant["optOut"]["annotations"]));
        for webhook in ["pods", "workloads", "cronjobs", "podtemplates"] {
            let webhook = format!("{webhook}.mutate.colocate");
            let volumes = expression(&rendered, &webhook, "volumes");
            assert!(volumes.contains(&format!("v.csi.driver in {provisioners}")), "{config}: {volumes}");
            let scheduler = expression(&rendered, &webhook, "scheduler");
            for list in [&replaceable, &schedulers] {
                assert!(scheduler.contains(&format!("schedulerName in {list}")), "{config}: {scheduler}");
            }
            let opt_out = expression(&rendered, &webhook, "opt-out");
            for expression in [scheduler, opt_out] {
                assert!(expression.contains(&format!("{opt_outs}.exists(k, k in")), "{config}: {expression}");
            }
        }
        for webhook in ["pod-updates", "job-updates"] {
            let taken = expression(&rendered, &format!("{webhook}.mutate.colocate"), "scheduler");
            assert!(taken.contains(&format!("schedulerName in {schedulers} && ")), "{config}: {taken}");
            assert!(taken.contains(&format!("schedulerName in {replaceable})")), "{config}: {taken}");
        }
    }
}

/// As CEL has it, none twice.
fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut once = Vec::new();
    for text in texts {
        if !once.contains(&text) {
            once.push(text);
        }
    }
    serde_json::to_string(&once).unwrap()
}

#[test]
fn an_opt_out_is_what_parses_as_true() {
    let expression = expression(&DEFAULTS, "pods.mutate.colocate", "opt-out");
    assert!(expression.contains(r#" in ["1","t","T","TRUE","true","True"])"#), "{expression}");
    for value in ["1", "t", "T", "TRUE", "true", "True"] {
        assert_eq!(colocate::engine::parse_bool(value), Some(true));
    }
}

#[test]
fn custom_workloads_are_looked_at_where_their_templates_are() {
    let rendered = render(WITH_ALL);
    let template = expression(&rendered, "custom-workloads.mutate.colocate", "template");
    for object in ["object", "oldObject"] {
        for path in [r#"["spec"]["template"]"#, r#"["spec"]["a/b"]["~c"]["if"]"#] {
            assert!(template.contains(&format!(" ? {object}{path} : {{}})")), "{template}");
        }
    }
    let keys = expression(&rendered, "custom-workloads.validate.colocate", "keys");
    for found in [
        r#"["spec"]["template"]["metadata"] : {}"#,
        // Whatever leads to a template may have metadata.
        r#"["spec"]["metadata"] : {}"#,
        r#"["spec"]["a/b"]["metadata"] : {}"#,
        r#"["spec"]["a/b"]["~c"]["if"]["metadata"] : {}"#,
        r#"["spec"]["a/b"]["~c"]["volumeClaimTemplates"] : []"#,
        r#"["spec"]["a/b"]["~c"]["if"]["spec"]["volumes"] : []"#,
    ] {
        assert!(keys.contains(&format!(" ? object{found}")), "{found}: {keys}");
    }
}

#[test]
fn the_keys_that_are_validated_are_storks_and_those_that_were_chosen() {
    let values =
        "config: {validation: {mode: warn}, optOut: {annotations: [example.com/a.b], namespaceLabel: example.com/no}}";
    let rendered = render(values);
    for webhook in ["pods", "workloads", "cronjobs", "podtemplates", "storage", "namespaces"] {
        let webhook = format!("{webhook}.validate.colocate");
        for name in ["keys", "changed"] {
            let expression = expression(&rendered, &webhook, name);
            for part in ["(?i)openstorage|", "|preferRemoteNode|", r#"k in ["example.com/a.b","example.com/no"]"#] {
                assert!(expression.contains(part), "{part}: {expression}");
            }
            // What is only read beside them.
            assert_eq!(expression.contains("sharedv4_svc_type"), name == "changed", "{expression}");
        }
    }
}

/// Numbers that together stay below an API server's budget, whatever an object has (`_validate.tpl`).
#[test]
fn what_is_looked_at_is_bounded() {
    let rendered = render(WITH_ALL);
    for webhook in rendered.webhooks() {
        let name = text(webhook, "/name");
        for (condition, expression) in conditions(webhook) {
            let bounds: &[&str] = match condition {
                "keys" | "changed" => &[".sum() > 400 || ", "(size(k) > 100 || k.matches("],
                "controller" => &["size(object.metadata.ownerReferences) > 1000 || "],
                "volumes" => &[".spec.volumes) > 2000 || "],
                _ => &[],
            };
            for bound in bounds {
                assert!(expression.replace("\n ", "").contains(bound), "{name}: {bound}: {expression}");
            }
            let entries = !["storage", "namespaces"].iter().any(|word| name.starts_with(word));
            if condition == "keys" {
                assert_eq!(expression.contains(") > 1000 || "), entries, "{name}: {expression}");
            }
        }
    }
}

/// The seven pieces of the prefix by which a misspelled one is known: together they are the whole of it.
#[test]
fn a_misspelled_prefix_is_known_by_its_pieces() {
    let rendered = render("config: {validation: {mode: warn}}");
    let keys = expression(&rendered, "pods.validate.colocate", "keys");
    let (_, pieces) = keys.split_once(r#"k.matches("(?i)(stor|"#).expect("the pieces");
    let (pieces, _) = pieces.split_once(").*/").expect("the end of the pieces");
    let prefix = format!("stor|{pieces}").replace(r"\\.", ".");
    assert_eq!(
        prefix.split('|').count(),
        7,
        "three mistakes, each of which swaps two letters, leave one of seven whole"
    );
    assert_eq!(prefix.replace('|', ""), "stork.libopenstorage.org");
    assert!(keys.contains(r#"k.matches("^.{21,27}/[^/]*$")"#), "as long as it, or three letters off");
}

#[test]
fn the_flow_schema_is_of_a_version_that_the_cluster_has() {
    for (kubernetes, version) in [("1.28.9", "v1beta3"), ("1.29.0", "v1"), ("1.29.1-gke.1", "v1"), ("1.37.0", "v1")] {
        let rendered = render_for(kubernetes, "");
        let expected = format!("flowcontrol.apiserver.k8s.io/{version}");
        assert_eq!(rendered.at("FlowSchema/colocate", "/apiVersion"), &Value::String(expected), "{kubernetes}");
    }
}
