//! The match conditions: they exist, and they agree with the configuration. (`tests/installation` tests which requests they
//! match.)

use std::collections::HashSet;

use colocate::config::Config;
use serde_json::Value;

use crate::chart::{DEFAULTS, Rendered, render, render_for, template, text, texts, yaml};

/// Returns the name and the expression of each match condition of a webhook.
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
fn all_webhooks_have_conditions_and_older_clusters_are_rejected() {
    for kubernetes in ["1.29.0", "1.29.3-gke.100", "1.30.0-eks-1"] {
        assert!(render_for(kubernetes, WITH_ALL).webhooks().all(|webhook| !conditions(webhook).is_empty()));
    }
    let output = template(&["--kube-version", "1.28.15"], WITH_ALL);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && message.contains("kubeVersion: >=1.29.0-0"), "{message}");
}

#[test]
fn names_are_unique_and_expressions_use_no_optional_syntax() {
    let rendered = render(WITH_ALL);
    for webhook in rendered.webhooks() {
        let mut names = HashSet::new();
        for (name, expression) in conditions(webhook) {
            assert!(names.insert(name), "{name} occurs twice in {}", webhook["name"]);
            for optional in [".?", "[?", "orValue", "optional."] {
                assert!(!expression.contains(optional), "{name}: {expression}");
            }
        }
    }
}

/// Compares the conditions with the configuration as the program parses it, not as the chart renders it.
#[test]
fn conditions_use_the_names_in_the_configuration() {
    for config in [
        "{}",
        "{drivers: [{name: portworx}]}",
        "{drivers: [{name: portworx, scheduler: {whenAbsent: inject}}, {name: a, provisioners: [a.test, \"b'c\"], scheduler: a}]}",
        "{drivers: [{name: a, provisioners: [a.test], scheduler: {name: b}}, {name: c, provisioners: [c.test], scheduler: b}]}",
        "{replaceableSchedulers: []}",
        "{replaceableSchedulers: [default-scheduler, other]}",
        "{optOut: {annotations: []}}",
        "{optOut: {annotations: [example.com/a, example.com/b]}, drivers: }",
    ] {
        let rendered = render(&format!("config: {config}"));
        let parsed = Config::parse(rendered.text_at("ConfigMap/colocate", "/data/config.yaml"), config).unwrap();
        let settings = yaml(&parsed.to_yaml().unwrap());
        let drivers = settings["drivers"].as_array().unwrap();
        let provisioners = list(drivers.iter().flat_map(|driver| texts(&driver["provisioners"])));
        let schedulers = list(
            drivers
                .iter()
                .map(|driver| driver["scheduler"].as_str().unwrap_or_else(|| text(driver, "/scheduler/name"))),
        );
        let replaceable = list([""].into_iter().chain(texts(&settings["replaceableSchedulers"])));
        let opt_outs = list(texts(&settings["optOut"]["annotations"]));
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

/// colocate warns if a driver's scheduler does not fit the claims of an object. A controller shows no warnings.
#[test]
fn objects_that_name_a_drivers_scheduler_match_unless_controlled() {
    for webhook in ["pods", "workloads", "cronjobs", "podtemplates"] {
        let scheduler = expression(&DEFAULTS, &format!("{webhook}.mutate.colocate"), "scheduler").replace("\n ", "");
        let uncontrolled = "!object.metadata.ownerReferences.exists(o, has(o.controller) && o.controller))";
        assert!(
            scheduler.contains(uncontrolled) && scheduler.contains(r#"schedulerName in ["stork"] && ((!has("#),
            "{scheduler}"
        );
        // Also without claims.
        let volumes = expression(&DEFAULTS, &format!("{webhook}.mutate.colocate"), "volumes");
        assert!(volumes.ends_with(r#".spec.schedulerName in ["stork"]"#), "{volumes}");
    }
}

/// Returns a CEL list without duplicates.
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
fn opt_outs_are_all_values_that_parse_as_true() {
    let expression = expression(&DEFAULTS, "pods.mutate.colocate", "opt-out");
    assert!(expression.contains(r#" in ["1","t","T","TRUE","true","True"])"#), "{expression}");
    for value in ["1", "t", "T", "TRUE", "true", "True"] {
        assert_eq!(colocate::engine::parse_bool(value), Some(true));
    }
}

#[test]
fn conditions_use_the_template_paths_of_custom_workloads() {
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
        // Every mapping on the path to a template may have metadata.
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
fn stork_keys_and_configured_keys_are_validated() {
    let values = "config: {validation: {mode: warn}, optOut: {annotations: [example.com/a.b], labels: [example.com/skip], namespaceLabel: example.com/no}}";
    let rendered = render(values);
    for webhook in ["pods", "workloads", "cronjobs", "podtemplates", "storage", "namespaces"] {
        let webhook = format!("{webhook}.validate.colocate");
        for name in ["keys", "changed"] {
            let expression = expression(&rendered, &webhook, name);
            for part in [
                "(?i)openstorage|",
                "|preferRemoteNode|",
                r#"k in ["example.com/a.b","example.com/skip","example.com/no"]"#,
            ] {
                assert!(expression.contains(part), "{part}: {expression}");
            }
            // Keys that are read along with those, and whose values are validated in a class.
            let parameters = name == "changed" || webhook.starts_with("storage");
            assert_eq!(expression.contains("sharedv4_svc_type"), parameters, "{expression}");
        }
    }
}

/// These limits together stay below the API server's cost budget, whatever the object contains (`_validate.tpl`).
#[test]
fn expressions_have_a_bounded_cost() {
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

/// A misspelled prefix is detected by seven pieces, which together are the whole prefix.
#[test]
fn a_misspelled_prefix_is_detected_by_its_pieces() {
    let rendered = render("config: {validation: {mode: warn}}");
    let keys = expression(&rendered, "pods.validate.colocate", "keys");
    let (_, pieces) = keys.split_once(r#"k.matches("(?i)(stor|"#).expect("the expression lists the pieces");
    let (pieces, _) = pieces.split_once(").*/").expect("the list of pieces ends");
    let prefix = format!("stor|{pieces}").replace(r"\\.", ".");
    assert_eq!(prefix.split('|').count(), 7, "three transpositions leave at least one of seven pieces intact");
    assert_eq!(prefix.replace('|', ""), "stork.libopenstorage.org");
    assert!(keys.contains(r#"k.matches("^.{21,27}/[^/]*$")"#), "the length may differ by up to three");
}
