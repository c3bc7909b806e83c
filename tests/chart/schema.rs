//! The schema of the values: it has all of them, and no others.

use colocate::companion::Rule;
use colocate::config::Config;
use serde_json::{Map, Value, json};

use crate::chart::{documented_driver, file, refused, render, yaml};
use crate::documents::leaves_of;

/// Values that are passed to Kubernetes, which validates them, and mappings with arbitrary keys.
const OPEN: [&str; 19] = [
    "affinity",
    "commonAnnotations",
    "commonLabels",
    "dashboard.annotations",
    "dashboard.labels",
    "global",
    "nodeSelector",
    "podAnnotations",
    "podLabels",
    "podSecurityContext",
    "prometheusRule.labels",
    "resources.limits",
    "resources.requests",
    "securityContext",
    "service.annotations",
    "serviceAccount.annotations",
    "serviceMonitor.labels",
    "webhook.annotations",
    "webhook.objectSelector.matchLabels",
];

fn schema() -> Value {
    serde_json::from_str(&file("values.schema.json")).unwrap()
}

/// Collects the mappings of the schema, each with its path; `[]` stands for the items of an array.
fn mappings<'a>(schema: &'a Value, path: &[&'a str], found: &mut Vec<(Vec<&'a str>, &'a Map<String, Value>)>) {
    let Some(own) = schema.as_object() else { return };
    let is_mapping = own.get("type").is_some_and(|kind| kind == "object" || kind == &json!(["object", "null"]));
    if is_mapping {
        found.push((path.to_vec(), own));
    }
    for (key, value) in own.get("properties").and_then(Value::as_object).into_iter().flatten() {
        mappings(value, &[path, &[key]].concat(), found);
    }
    if let Some(items) = own.get("items") {
        mappings(items, &[path, &["[]"]].concat(), found);
    }
    for one in own.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
        mappings(one, path, found);
    }
}

#[test]
fn an_unknown_key_is_rejected_at_every_level() {
    let schema = schema();
    let mut all = Vec::new();
    mappings(&schema, &[], &mut all);
    let (closed, open): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(_, mapping)| mapping.get("additionalProperties") == Some(&json!(false)));
    let open: Vec<_> = open.iter().map(|(path, _)| path.join(".")).filter(|path| !path.ends_with("[]")).collect();
    let mut sorted = open.clone();
    sorted.sort();
    assert_eq!(sorted, OPEN, "mappings that take any key");
    assert!(closed.len() > 40, "{}", closed.len());
    // All at once: helm reports each place.
    let mut values = json!({});
    for (path, _) in &closed {
        let unknown = path.iter().rev().fold(json!({"unknownKey": 1}), |inner, key| match *key {
            "[]" => json!([inner]),
            key => json!({ key: inner }),
        });
        merge(&mut values, unknown);
    }
    let error = refused(&values.to_string());
    for (path, _) in closed {
        let place = [&[""], &path[..]].concat().join("/").replace("[]", "0");
        let message = format!("at '{place}': additional properties 'unknownKey' not allowed");
        assert!(error.contains(&message), "{message}: {error}");
    }
}

/// Merges a value into another one, whose arrays have one item each.
fn merge(into: &mut Value, value: Value) {
    match (into, value) {
        (Value::Object(into), Value::Object(value)) => {
            for (key, value) in value {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(value)) => {
            into.iter_mut().zip(value).for_each(|(into, value)| merge(into, value));
        }
        (into, value) => *into = value,
    }
}

/// Null removes a default. Helm reports it if a template needs the value. Otherwise the rendered objects must not contain
/// null.
#[test]
fn a_removed_default_is_reported_if_it_is_needed() {
    let (schema, values) = (schema(), yaml(&file("values.yaml")));
    let (mut needed, mut free) = (Vec::new(), json!({}));
    for (section, default) in values.as_object().unwrap() {
        if is_required(&schema, section) {
            needed.push((String::new(), section));
        } else {
            free[section] = Value::Null;
        }
        let own = &schema["properties"][section];
        for key in own["properties"].as_object().and(default.as_object()).into_iter().flat_map(Map::keys) {
            if is_required(own, key) {
                needed.push((section.clone(), key));
            } else {
                free[section][key] = Value::Null;
            }
        }
    }

    let rendered = render(&free.to_string());
    for object in rendered.objects() {
        let mut nulls = Vec::new();
        nulls_of(object, "", &mut nulls);
        // Kubernetes accepts null there.
        nulls.retain(|path| !path.ends_with("/securityContext") && !path.ends_with("/resources"));
        assert!(nulls.is_empty(), "{}: {nulls:?}", object["kind"]);
    }
    assert!(!rendered.text.contains("nil>"), "{}", rendered.text);

    assert!(needed.len() > 40, "{}", needed.len());
    for inner in [false, true] {
        let of_level: Vec<_> = needed.iter().filter(|(section, _)| inner != section.is_empty()).collect();
        let mut nulls = json!({});
        for (section, key) in &of_level {
            let at = if inner { &mut nulls[section] } else { &mut nulls };
            at[key] = Value::Null;
        }
        let error = refused(&nulls.to_string());
        for (section, key) in of_level {
            let place = if inner { format!("at '/{section}'") } else { "at ''".to_owned() };
            let line = error.lines().find(|line| line.contains(&format!("{place}: missing propert")));
            assert!(line.is_some_and(|line| line.contains(&format!("'{key}'"))), "{section}.{key}: {error}");
        }
    }
}

fn is_required(mapping: &Value, key: &str) -> bool {
    mapping["required"].as_array().is_some_and(|required| required.iter().any(|one| one == key))
}

/// Collects the paths of null values in an object.
fn nulls_of(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Null => found.push(path.to_owned()),
        Value::Object(object) => {
            object.iter().for_each(|(key, value)| nulls_of(value, &format!("{path}/{key}"), found));
        }
        Value::Array(array) => array.iter().for_each(|value| nulls_of(value, &format!("{path}/[]"), found)),
        _ => {}
    }
}

/// Values that Helm adds to a chart that is a dependency of another one.
#[test]
fn the_chart_may_be_a_dependency() {
    render("global: {anything: 1}\nenabled: true");
}

/// Values of `config` that the program refuses at its start are rejected before they are installed.
#[test]
fn names_and_paths_that_the_program_refuses_are_rejected() {
    for (config, place) in [
        ("{drivers: []}", "at '/config/drivers'"),
        ("{drivers: [{name: portworx, scheduler: my_scheduler}]}", "at '/config/drivers/0/scheduler'"),
        ("{drivers: [{name: portworx, scheduler: {name: gke.io/a}}]}", "at '/config/drivers/0/scheduler"),
        ("{replaceableSchedulers: [a b]}", "at '/config/replaceableSchedulers/0'"),
        ("{optOut: {labels: [-a]}}", "at '/config/optOut/labels/0'"),
        (
            "{customWorkloads: [{group: a, version: v1, resource: bs, kind: B, path: /spec/jobs/0/template}]}",
            "at '/config/customWorkloads/0/path'",
        ),
    ] {
        assert!(config.parse::<Config>().is_err(), "{config}");
        let error = refused(&format!("config: {config}"));
        assert!(error.contains(place), "{config}: {error}");
    }
    let long = ["bin-packing"; 7].join(".");
    assert!(long.len() > 63);
    let names = format!("[gke.io/optimize-utilization-scheduler, {long}]");
    assert!(format!("{{replaceableSchedulers: {names}}}").parse::<Config>().is_ok());
    render(&format!("config: {{replaceableSchedulers: {names}, optOut: {{labels: [a.b/C_d]}}}}"));
}

#[test]
fn the_schema_has_every_value() {
    let schema = schema();
    let mut leaves = Vec::new();
    leaves_of(&yaml(&file("values.yaml")), "", &mut leaves);
    for leaf in leaves {
        let mut at = &schema;
        for key in leaf.split('.') {
            let Some(next) = at["properties"].get(key) else {
                assert!(OPEN.iter().any(|open| leaf.starts_with(open)), "{leaf}");
                break;
            };
            at = next;
        }
    }
}

/// Compares the schema of `config` with the program: both accept the same keys, and null in the same places.
#[test]
fn the_schema_of_config_agrees_with_the_program() {
    let schema = schema();
    let defaults = yaml(&Config::default().to_yaml().unwrap());
    let sections = schema["properties"]["config"]["properties"].as_object().unwrap();
    for key in sections.keys() {
        compare(&schema, &sections[key], &defaults[key], &[key]);
    }
    for key in defaults.as_object().unwrap().keys() {
        assert!(sections.contains_key(key), "{key} is not in the schema");
    }
}

fn compare(schema: &Value, own: &Value, default: &Value, path: &[&str]) {
    let parse = |value: Value| {
        let text = path.iter().rev().fold(value, |inner, key| json!({ *key: inner })).to_string();
        Config::parse(&text, "config.yaml")
    };
    if path == ["validation", "rules"] {
        return;
    }
    // Keys that are not printed hold names.
    let value = if default.is_null() { json!("a") } else { default.clone() };
    assert!(parse(value).is_ok(), "{path:?} is in the schema, but the program rejects it");
    assert_eq!(takes_null(schema, own), parse(Value::Null).is_ok(), "{path:?}: null");
    let Some(properties) = own.get("properties").and_then(Value::as_object) else { return };
    for (key, value) in properties {
        compare(schema, value, &default[key], &[path, &[key]].concat());
    }
    for key in default.as_object().into_iter().flat_map(Map::keys) {
        assert!(properties.contains_key(key), "{path:?}: {key} is not in the schema");
    }
}

fn takes_null(schema: &Value, own: &Value) -> bool {
    let null = |list: &str, null: Value| own[list].as_array().is_some_and(|list| list.contains(&null));
    let resolved = own["$ref"].as_str().and_then(|name| schema.pointer(name.trim_start_matches('#')));
    null("type", json!("null"))
        || null("enum", Value::Null)
        || null("anyOf", json!({"type": "null"}))
        || resolved.is_some_and(|resolved| takes_null(schema, resolved))
}

#[test]
fn the_schema_has_the_rules_of_the_companion() {
    let values = |ids: &[&str]| format!("config: {{validation: {{rules: {{{}: off}}}}}}", ids.join(": off, "));
    render(&values(&Rule::ALL.iter().map(|rule| rule.id()).collect::<Vec<_>>()));
    for other in ["HC000", &format!("HC{:03}", Rule::ALL.len() + 1), "HC0011", "HC999"] {
        assert!(refused(&values(&[other])).contains(&format!("'{other}' not allowed")), "{other}");
    }
}

/// The keys of list items do not occur in the defaults. The program accepts each of them, and the schema has no others.
#[test]
fn the_schema_of_list_items_agrees_with_the_program() {
    let schema = schema();
    let config = &schema["properties"]["config"]["properties"];
    let service = json!({"namespaces": ["px"], "name": "gate", "port": 443, "tls": true});
    let token = json!({"namespace": "px", "name": "user", "key": "token"});
    let gateway = json!({"kind": "openStorage", "service": service, "token": token});
    let healthy = json!({"path": "/status/state", "values": ["Ready"]});
    let resource = json!({"kind": "customResource", "group": "a.test", "version": "v1", "resource": "bs", "volume": "/v", "node": "/n", "healthy": healthy});
    let mut every_key = json!({"name": "longhorn"});
    for source in [&gateway, &resource] {
        every_key.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
    }
    assert_same_keys(config.pointer("/drivers/items/properties/locality/items").unwrap(), &every_key);
    let mut driver = documented_driver();
    driver["locality"] = json!([gateway, resource, {"kind": "customResource", "name": "longhorn"}, {"kind": "nodeAffinity"}, {"kind": "extender"}]);
    for (item, list, full) in [
        ("/drivers/items", "drivers", driver),
        (
            "/customWorkloads/items",
            "customWorkloads",
            json!({"group": "a.test", "version": "v1", "resource": "bs", "kind": "B", "path": "/spec/template", "update": true}),
        ),
    ] {
        assert_same_keys(config.pointer(item).unwrap(), &full);
        let text = json!({ list: [full] }).to_string();
        Config::parse(&text, "config.yaml").unwrap();
        render(&format!("config: {text}"));
    }
    let owners = json!({"group": "a", "kind": "B"});
    assert_same_keys(config.pointer("/optOut/properties/owners/items").unwrap(), &owners);
    format!("optOut: {{owners: [{owners}]}}").parse::<Config>().unwrap();
}

fn assert_same_keys(schema: &Value, full: &Value) {
    let Some(full) = full.as_object() else { return };
    let mapping =
        schema["anyOf"].as_array().and_then(|any| any.iter().find(|one| one["type"] == "object")).unwrap_or(schema);
    let properties = mapping["properties"].as_object().unwrap();
    // `lease` is the short form of `leases`, and a scheduler has only one of them.
    let keys = properties.keys().filter(|key| *key != "lease" || full.contains_key("lease"));
    assert!(keys.eq(full.keys()), "{:?} and {:?}", properties.keys(), full.keys());
    for (key, value) in full {
        assert_same_keys(&properties[key], value);
    }
}
