//! Object names for any release name, and the labels of selectors.

use std::process::Output;

use crate::chart::{DEFAULTS, folder, helm, render, render_as, render_file, text};

/// The longest release name that Helm allows.
const LONGEST: &str = "a-release-with-a-name-that-is-as-long-as-it-may-be-53";

/// Values with which every object is created.
const ALL: &str = "
serviceMonitor: {enabled: true}
prometheusRule: {enabled: true}
dashboard: {enabled: true}
networkPolicy: {enabled: true}
autoscaling: {enabled: true}
tls: {source: cert-manager, certManager: {issuerRef: {name: ca}}}
";

#[test]
fn names_and_label_values_have_at_most_63_characters() {
    assert_eq!(LONGEST.len(), 53);
    for values in ["", ALL] {
        let rendered = render_as(LONGEST, values);
        for object in rendered.objects() {
            let name = text(object, "/metadata/name");
            assert!((1..=63).contains(&name.len()), "{}/{name}", object["kind"]);
            for (key, value) in object["metadata"]["labels"].as_object().into_iter().flatten() {
                assert!(value.as_str().is_some_and(|value| value.len() <= 63), "{key}: {value}");
            }
        }
    }
}

#[test]
fn names_contain_the_chart_name_once() {
    for (release, expected) in
        [("colocate", "colocate"), ("my-colocate", "my-colocate"), ("storage", "storage-colocate")]
    {
        assert!(render_as(release, "").find(&format!("Deployment/{expected}")).is_some(), "{release}");
    }
}

/// A label of the user must not break the selectors of the Deployment and the Service.
#[test]
fn selector_labels_cannot_be_overridden() {
    const OWN: &str = "{app.kubernetes.io/name: other, app.kubernetes.io/instance: other, team: storage}";
    let selector = DEFAULTS.at("Deployment/colocate", "/spec/selector/matchLabels").as_object().unwrap();
    for values in [format!("podLabels: {OWN}"), format!("commonLabels: {OWN}")] {
        let rendered = render(&values);
        assert_eq!(rendered.at("Deployment/colocate", "/spec/selector/matchLabels").as_object(), Some(selector));
        assert_eq!(rendered.at("Service/colocate", "/spec/selector").as_object(), Some(selector));
        let labels = rendered.at("Deployment/colocate", "/spec/template/metadata/labels");
        assert!(selector.iter().all(|(key, value)| labels[key] == *value), "{labels}");
        assert_eq!(labels["team"], "storage");
    }
}

/// A version with build metadata has a `+`, which label values do not allow.
#[test]
fn a_version_with_build_metadata_is_a_valid_label() {
    let to = tempfile::tempdir().unwrap();
    let (chart, target) = (folder(), to.path().to_str().unwrap());
    let packed = ["package", chart.to_str().unwrap(), "--version", "1.2.3+build.7", "--destination", target];
    let Output { status, stderr, .. } = helm(&packed, "");
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let rendered = render_file(&to.path().join("colocate-1.2.3+build.7.tgz"));
    for object in rendered.objects() {
        assert_eq!(text(object, "/metadata/labels/helm.sh~1chart"), "colocate-1.2.3_build.7", "{}", object["kind"]);
    }
}
