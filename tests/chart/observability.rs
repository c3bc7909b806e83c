//! Metrics, alerts, and the dashboard: they use existing names.

use std::collections::BTreeSet;

use colocate::engine::Reason;
use colocate::process::metrics::Metrics;
use serde_json::{Value, json};

use crate::chart::{DEFAULTS, Rendered, render, text, yaml};

/// Metrics of API servers.
const API_SERVERS: [&str; 4] = [
    "apiserver_admission_match_condition_exclusions_total",
    "apiserver_admission_webhook_admission_duration_seconds",
    "apiserver_admission_webhook_fail_open_count",
    "apiserver_admission_webhook_rejection_count",
];

const ON: &str = "prometheusRule: {enabled: true}\nserviceMonitor: {enabled: true}\ndashboard: {enabled: true}";

/// Returns the queries of the alerts and of the dashboard.
fn queries(rendered: &Rendered) -> Vec<String> {
    let rules = rendered.at("PrometheusRule/colocate", "/spec/groups/0/rules").as_array().unwrap();
    let alerts = rules.iter().map(|rule| text(rule, "/expr").to_owned());
    let panels = dashboard(rendered)["panels"].as_array().unwrap().clone();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap().clone());
    alerts.chain(targets.map(|target| text(&target, "/expr").to_owned())).collect()
}

fn dashboard(rendered: &Rendered) -> Value {
    serde_json::from_str(rendered.text_at("ConfigMap/colocate-dashboard", "/data/colocate.json")).unwrap()
}

#[test]
fn every_queried_metric_exists() {
    let names = Metrics::names();
    let names: BTreeSet<_> = names.iter().filter_map(|name| name.split('{').next()).collect();
    let mut count = 0;
    for query in queries(&render(ON)) {
        let words = query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for word in words.filter(|word| word.starts_with("colocate_") || word.starts_with("apiserver_")) {
            let word = word.strip_suffix("_bucket").unwrap_or(word);
            assert!(names.contains(word) || API_SERVERS.contains(&word), "{word} in {query}");
            count += 1;
        }
    }
    assert!(count > 15, "fewer metrics found than expected");
}

#[test]
fn every_metric_is_queried() {
    let queries = queries(&render(ON)).concat();
    for name in Metrics::names() {
        let name = name.split('{').next().unwrap_or_default();
        assert!(queries.contains(name), "no alert and no panel shows {name}");
    }
}

/// A user follows the link when the alert fires.
#[test]
fn every_alert_links_to_its_runbook() {
    for (values, prefix) in [
        ("prometheusRule: {enabled: true}", "docs/runbooks.md#"),
        (
            "prometheusRule: {enabled: true, runbookUrlPrefix: 'https://a.test/~b/?c=%d&page='}",
            "https://a.test/~b/?c=%d&page=",
        ),
    ] {
        let rendered = render(values);
        for rule in rendered.at("PrometheusRule/colocate", "/spec/groups/0/rules").as_array().unwrap() {
            let name = text(rule, "/alert");
            assert_eq!(text(rule, "/annotations/runbook_url"), format!("{prefix}{}", name.to_lowercase()), "{name}");
        }
    }
}

#[test]
fn every_queried_reason_exists() {
    for query in queries(&render(ON)) {
        let Some((_, rest)) = query.split_once("reason=~\"") else { continue };
        let (reasons, _) = rest.split_once('"').unwrap();
        for reason in reasons.split('|') {
            assert!(Reason::ALL.iter().any(|known| known.as_str() == reason), "{reason}");
        }
    }
}

/// A backslash is escaped in a `PromQL` string.
#[test]
fn queries_select_the_webhooks_of_the_chart() {
    for query in queries(&render(ON)) {
        if query.contains("apiserver_") {
            assert!(query.contains(r#"name=~".+\\.colocate""#), "{query}");
        }
    }
    assert!(DEFAULTS.webhooks().all(|webhook| text(webhook, "/name").ends_with(".colocate")));
}

#[test]
fn every_alert_has_a_description() {
    let rendered = render(ON);
    let rules = rendered.at("PrometheusRule/colocate", "/spec/groups/0/rules").as_array().unwrap();
    let mut names = BTreeSet::new();
    for rule in rules {
        assert!(names.insert(text(rule, "/alert")) && text(rule, "/alert").starts_with("Colocate"), "{rule}");
        for pointer in ["/labels/severity", "/annotations/summary", "/annotations/description"] {
            assert!(!text(rule, pointer).is_empty(), "{rule}");
        }
    }
    assert!(names.len() >= 7);
}

#[test]
fn the_service_monitor_selects_only_the_service() {
    let rendered = render(ON);
    let selector = rendered.at("ServiceMonitor/colocate", "/spec/selector/matchLabels").as_object().unwrap();
    let selected = rendered.objects().iter().filter(|object| {
        let labels = &object["metadata"]["labels"];
        object["kind"] == "Service" && selector.iter().all(|(key, value)| labels[key] == *value)
    });
    assert_eq!(selected.count(), 1);
    let port = rendered.at("ServiceMonitor/colocate", "/spec/endpoints/0/port");
    let ports = rendered.at("Service/colocate", "/spec/ports").as_array().unwrap();
    let port = ports.iter().find(|one| one["name"] == *port).unwrap();
    assert_eq!(port, &json!({"name": "metrics", "port": 8080, "targetPort": "admin"}));
}

#[test]
fn panels_have_unique_ids_and_places() {
    let dashboard = dashboard(&render(ON));
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].to_string()).collect();
    let places: BTreeSet<_> = panels.iter().map(|panel| panel["gridPos"].to_string()).collect();
    assert_eq!((ids.len(), places.len()), (panels.len(), panels.len()));
    assert!(panels.iter().all(|panel| !text(panel, "/title").is_empty() && !text(panel, "/description").is_empty()));
}

/// `make dashboard-picture` draws it.
#[test]
fn the_picture_in_the_documents_shows_every_panel() {
    let picture = include_str!("../../docs/dashboard.svg");
    let titles = picture.lines().filter(|line| line.starts_with("<text class=\"title\""));
    let titles: Vec<_> = titles.map(|line| line.split(['<', '>']).nth(2).unwrap()).collect();
    let dashboard = dashboard(&render(ON));
    let panels: Vec<_> = dashboard["panels"].as_array().unwrap().iter().map(|panel| text(panel, "/title")).collect();
    assert_eq!(titles, panels);
}

#[test]
fn prometheus_templates_are_not_rendered_by_helm() {
    let rendered = render(ON);
    let alerts = yaml(&crate::chart::file("files/alerts.yaml"));
    assert_eq!(rendered.at("PrometheusRule/colocate", "/spec"), &alerts);
    assert!(alerts.to_string().contains("{{ $labels."));
}
