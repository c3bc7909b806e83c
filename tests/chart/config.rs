//! The program accepts the configuration and the arguments that the chart renders.

use clap::Parser as _;
use colocate::cli::Cli;
use colocate::config::Config;
use serde_json::json;

use crate::chart::{file, render, texts, yaml};

const WRITTEN: &str = "
  mode: audit
  templates: leave
  drivers:
  - name: portworx
  - name: linstor
    provisioners: [linstor.csi.linbit.com]
    scheduler:
      name: linstor-scheduler
      lease: {namespace: storage, name: linstor}
      whenAbsent: skip
      whenStale: skip
      staleAfter: 1m30s
  replaceableSchedulers: [default-scheduler, other]
  optOut:
    annotations: [example.com/no]
    owners: [{group: example.com, kind: Database}]
    namespaceLabel: example.com/no
  customWorkloads:
  - {group: argoproj.io, version: v1alpha1, resource: rollouts, kind: Rollout, path: /spec/template, update: false}
  namespaces: [team-a, '7']
  events: {enabled: true}
  missingClaim: {wait: 1.5s, then: inject, maxWaiters: 0, maxWaitersPerNamespace: 0, maxGets: 1}
  tls: {names: [localhost], lifetimes: {ca: 100h, leaf: 10h, settle: 1m}}
  drain: {grace: 1s, timeout: 2s}
";

/// The names that the chart adds.
const NAMES: &str = "
tls:
  secret: {namespace: home, name: colocate-ca}
  service: {namespace: home, name: colocate}
  webhooks: {mutating: zz-colocate, validating: zz-colocate}
";

fn mounted(values: &str) -> String {
    render(values).text_at("ConfigMap/colocate", "/data/config.yaml").to_owned()
}

#[test]
fn configured_values_are_passed_on_and_names_are_added() {
    let mut expected = yaml(WRITTEN);
    for (section, names) in yaml(NAMES)["tls"].as_object().unwrap() {
        expected["tls"][section] = names.clone();
    }
    let mounted = mounted(&format!("config: {WRITTEN}"));
    assert_eq!(yaml(&mounted), expected);
    Config::parse(&mounted, "config.yaml").unwrap();
}

#[test]
fn missing_values_are_left_to_the_program() {
    for values in ["", "config: {}", "config: null", "config: {drivers: , optOut: {owners: }, tls: {secret: }}"] {
        let expected: Config = NAMES.parse().unwrap();
        assert_eq!(Config::parse(&mounted(values), "config.yaml").unwrap(), expected, "{values}");
    }
}

/// YAML 1.1, which Helm reads, parses `off` as false.
#[test]
fn off_stays_off() {
    for off in ["off", "'off'", "false"] {
        assert_eq!(mounted(&format!("config: {{mode: {off}}}")), mounted("config: {mode: 'off'}"));
        Config::parse(&mounted(&format!("config: {{mode: {off}}}")), "config.yaml").unwrap();
        let validation = yaml(&mounted(&format!("config: {{validation: {{mode: {off}, rules: {{HC003: {off}}}}}}}")));
        assert_eq!(validation["validation"], json!({"mode": "off", "rules": {"HC003": "off"}}));
    }
}

/// The arguments name the right files and ports for all values.
#[test]
fn the_program_accepts_the_arguments_of_every_pod() {
    for values in [
        "",
        "hostNetwork: {enabled: true}\nservice: {ipFamilies: [IPv6]}\nlog: {format: text, level: debug}",
        "tls: {source: existingSecret, existingSecret: {name: own}}\nextraArgs: [--client-ca=/clients/ca.crt]",
        "tls: {source: cert-manager, certManager: {issuerRef: {name: ca}}}",
    ] {
        let rendered = render(values);
        for (object, pod) in [("Deployment/colocate", "/spec/template/spec"), ("Pod/colocate-test", "/spec")] {
            let container = rendered.at(object, &format!("{pod}/containers/0"));
            let arguments = texts(&container["args"]);
            let parsed = Cli::try_parse_from([&["colocate"], &arguments[..]].concat());
            assert!(parsed.is_ok(), "{arguments:?}: {}", parsed.unwrap_err());
            assert!(arguments.contains(&"--config=/etc/colocate/config.yaml"));
            let mount = json!({"name": "config", "mountPath": "/etc/colocate", "readOnly": true});
            assert!(container["volumeMounts"].as_array().unwrap().contains(&mount));
            let volume = json!({"name": "config", "configMap": {"name": "colocate"}});
            assert!(rendered.at(object, &format!("{pod}/volumes")).as_array().unwrap().contains(&volume));
        }
    }
}

/// The defaults in the templates equal those of the program.
#[test]
fn the_programs_defaults_are_current() {
    crate::documents::check("files/defaults.yaml", |_| {
        format!(
            "# Generated from `colocate serve --print-config` by `make chart`.\n{}",
            Config::default().to_yaml().unwrap()
        )
    });
    assert_eq!(file("files/defaults.yaml").parse::<Config>().unwrap(), Config::default());
}

/// Adding such a driver changes only the `ConfigMap`, not the webhook, the RBAC rules or the pod template.
#[test]
fn a_driver_without_a_scheduler_changes_only_the_file() {
    let counted = [
        "{name: longhorn, provisioners: [driver.longhorn.io], locality: [{kind: customResource, name: longhorn}]}",
        "{name: local, provisioners: [kubernetes.io/no-provisioner], locality: [{kind: nodeAffinity}]}",
    ];
    let all = |drivers: &[&str]| {
        let rendered = render(&format!("config: {{drivers: [{}]}}", drivers.join(", ")));
        let mut objects = rendered.objects().to_vec();
        let (mut file, mut rest) = (None, Vec::new());
        for object in objects.drain(..) {
            if object["kind"] == "ConfigMap" && object["metadata"]["name"] == "colocate" {
                file = object["data"]["config.yaml"].as_str().map(str::to_owned);
            } else {
                rest.push(object);
            }
        }
        (file.unwrap(), rest)
    };
    let (_, before) = all(&["{name: portworx}"]);
    for drivers in [[counted[0], "{name: portworx}", counted[1]], ["{name: portworx}", counted[0], counted[1]]] {
        let (file, after) = all(&drivers);
        assert_eq!(after, before, "{drivers:?}");
        let config = Config::parse(&file, "config.yaml").unwrap();
        assert_eq!(config.policy(), Config::default().policy());
        assert_eq!(config.locality().0.len(), 3);
    }
    // Without any scheduler, the webhook exists and changes nothing.
    let only = render(&format!("config: {{mode: 'off', drivers: [{}]}}", counted[0]));
    assert!(only.text.contains("zz-colocate") && !only.text.contains("nil"), "{}", only.text);
}
