//! The source of the certificate, and the CA that API servers trust.

use colocate::config::Config;
use serde_json::{Value, json};

use crate::chart::{DEFAULTS, HOME, Rendered, render, texts, yaml};

fn arguments(rendered: &Rendered) -> Vec<&str> {
    texts(rendered.at("Deployment/colocate", "/spec/template/spec/containers/0/args"))
}

fn certificate_arguments(rendered: &Rendered) -> Vec<&str> {
    arguments(rendered).into_iter().filter(|argument| argument.starts_with("--tls-")).collect()
}

/// An object without data survives upgrades, rollbacks, and `--server-side=false`, and is deleted by an uninstall.
#[test]
fn the_secret_is_rendered_without_data() {
    let secret = DEFAULTS.get("Secret/colocate-ca").as_object().unwrap();
    assert!(["data", "stringData"].iter().all(|key| !secret.contains_key(*key)), "{secret:?}");
    assert_eq!(certificate_arguments(&DEFAULTS), [""; 0]);
}

#[test]
fn the_configuration_names_the_charts_objects() {
    for (values, name, webhook) in [
        ("", "colocate", "zz-colocate"),
        ("fullnameOverride: other\nwebhook: {name: zzz}", "other", "zzz"),
        ("nameOverride: webhook", "colocate-webhook", "zz-colocate"),
    ] {
        let rendered = render(values);
        let text = rendered.text_at(&format!("ConfigMap/{name}"), "/data/config.yaml");
        let config = Config::parse(text, "config.yaml").unwrap();
        let tls = config.tls();
        assert_eq!((tls.secret.name.as_str(), tls.secret.namespace.as_deref()), (&*format!("{name}-ca"), Some(HOME)));
        assert_eq!((tls.service.name.as_str(), tls.service.namespace.as_deref()), (name, Some(HOME)));
        assert_eq!((tls.webhooks.mutating.as_str(), tls.webhooks.validating.as_str()), (webhook, webhook));
        for object in
            [format!("Secret/{name}-ca"), format!("Service/{name}"), format!("MutatingWebhookConfiguration/{webhook}")]
        {
            rendered.get(&object);
        }
        let service = &rendered.webhook("pods.mutate.colocate")["clientConfig"]["service"]["name"];
        assert_eq!(service, name);
    }
}

#[test]
fn matching_names_may_be_configured() {
    let values = "
config:
  tls:
    secret: {name: colocate-ca, create: false}
    service: {name: colocate, namespace: home}
    webhooks: {mutating: zz-colocate}
    lifetimes: {leaf: 24h}
";
    let config = yaml(render(values).text_at("ConfigMap/colocate", "/data/config.yaml"));
    assert_eq!(config["tls"]["lifetimes"], json!({"leaf": "24h"}));
}

#[test]
fn cert_manager_issues_the_certificate_and_injects_the_ca() {
    let values = "
tls: {source: cert-manager, certManager: {issuerRef: {name: ca, kind: ClusterIssuer}, duration: 24h}}
config: {validation: {mode: warn}, tls: {names: [colocate.example.com, 192.0.2.1, '2001:db8::1']}}
webhook: {url: 'https://other.example.com'}
";
    let rendered = render(values);
    let certificate = |pointer| rendered.at("Certificate/colocate", pointer);
    let service = format!("colocate.{HOME}.svc");
    let names = json!([service, format!("{service}.cluster.local"), "colocate.example.com", "other.example.com"]);
    assert_eq!(certificate("/spec/dnsNames"), &names);
    assert_eq!(certificate("/spec/ipAddresses"), &json!(["192.0.2.1", "2001:db8::1"]));
    let issuer = json!({"name": "ca", "kind": "ClusterIssuer", "group": "cert-manager.io"});
    assert_eq!(certificate("/spec/issuerRef"), &issuer);
    assert_eq!(certificate("/spec/duration"), "24h");
    assert_eq!(certificate("/spec/usages"), &json!(["server auth"]), "the certificate is only for a server");
    assert_eq!(
        certificate("/spec/privateKey/rotationPolicy"),
        "Always",
        "a leaked key must not outlive its certificate"
    );
    let volumes = rendered.at("Deployment/colocate", "/spec/template/spec/volumes").as_array().unwrap();
    assert!(volumes.contains(&json!({"name": "tls", "secret": {"secretName": certificate("/spec/secretName")}})));
    let files = ["--tls-cert=/etc/colocate-tls/tls.crt", "--tls-key=/etc/colocate-tls/tls.key"];
    assert_eq!(certificate_arguments(&rendered), files, "cert-manager manages the caBundle");
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let annotations = rendered.at(&format!("{kind}/zz-colocate"), "/metadata/annotations");
        assert_eq!(annotations["cert-manager.io/inject-ca-from"], format!("{HOME}/colocate"));
        assert_eq!(annotations["admissions.enforcer/disabled"], "true");
    }
    assert_eq!(rendered.find("Secret/colocate-ca"), None);
    let alone = values.replace("webhook: {", "webhook: {annotations: {admissions.enforcer/disabled: null}, ");
    let alone = render(&alone);
    let annotations = alone.at("MutatingWebhookConfiguration/zz-colocate", "/metadata/annotations");
    assert_eq!(annotations, &json!({"cert-manager.io/inject-ca-from": format!("{HOME}/colocate")}));
}

#[test]
fn an_existing_secret_is_mounted_and_its_ca_is_used() {
    let with = |key: &str| render(&format!("tls: {{source: existingSecret, existingSecret: {{name: own{key}}}}}"));
    let files = ["--tls-cert=/etc/colocate-tls/tls.crt", "--tls-key=/etc/colocate-tls/tls.key"];
    for (key, authority) in [
        ("", Some("--tls-ca=/etc/colocate-tls/ca.crt")),
        (", caKey: other.pem", Some("--tls-ca=/etc/colocate-tls/other.pem")),
        (", caKey: ''", None),
    ] {
        let rendered = with(key);
        let expected: Vec<_> = files.into_iter().chain(authority).collect();
        assert_eq!(certificate_arguments(&rendered), expected, "{key}");
        let mounts = rendered.at("Deployment/colocate", "/spec/template/spec/containers/0/volumeMounts");
        let mount = json!({"name": "tls", "mountPath": "/etc/colocate-tls", "readOnly": true});
        assert!(mounts.as_array().unwrap().contains(&mount));
        let volume = rendered.at("Deployment/colocate", "/spec/template/spec/volumes/1/secret/secretName");
        assert_eq!(volume, "own");
        assert_eq!(rendered.find("Certificate/colocate"), None);
        let annotations = rendered.at("MutatingWebhookConfiguration/zz-colocate", "/metadata/annotations");
        assert_eq!(annotations["cert-manager.io/inject-ca-from"], Value::Null);
    }
}
