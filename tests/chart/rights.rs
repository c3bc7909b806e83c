//! The permissions of colocate, and the features that need them. (`tests/installation` tests that it needs no others.)

use std::collections::BTreeSet;

use colocate::config::Config;
use serde_json::{Value, json};

use crate::chart::{DEFAULTS, HOME, Rendered, render, texts};

/// Returns each permission as one line: `namespace:group/resource:name verb`, with `*` for all namespaces or names.
fn rights(rendered: &Rendered) -> BTreeSet<String> {
    let mut rights = BTreeSet::new();
    let roles =
        rendered.objects().iter().filter(|object| ["ClusterRole", "Role"].iter().any(|kind| object["kind"] == **kind));
    for role in roles.filter(|role| role["metadata"]["name"] != "colocate-test") {
        let namespace = role["metadata"]["namespace"].as_str().unwrap_or("*");
        for rule in role["rules"].as_array().unwrap() {
            let names = texts(&rule["resourceNames"]);
            let names = if names.is_empty() { vec!["*"] } else { names };
            for (group, resource) in texts(&rule["apiGroups"])
                .into_iter()
                .flat_map(|group| texts(&rule["resources"]).into_iter().map(move |resource| (group, resource)))
            {
                for name in &names {
                    for verb in texts(&rule["verbs"]) {
                        rights.insert(format!("{namespace}:{group}/{resource}:{name} {verb}"));
                    }
                }
            }
        }
    }
    rights
}

fn added_and_lost(base: &str, values: &str) -> (Vec<String>, Vec<String>) {
    let (before, after) = (rights(&render(base)), rights(&render(values)));
    (after.difference(&before).cloned().collect(), before.difference(&after).cloned().collect())
}

#[test]
fn the_reader_may_ask_the_storage_systems_of_the_configuration() {
    let of_storage = |config: &str| {
        let values = format!("{{rbac: {{reader: {{create: true}}}}, config: {{{config}}}}}");
        let rendered = render(&values);
        let all = rights(&rendered).into_iter();
        let known = ["*:portworx.io/", "*:apps/", "*:storage.k8s.io/", "*:argoproj.io/"];
        let storage = all.filter(|right| {
            right.contains("services/proxy")
                || (right.contains(".io/")
                    && !right.contains(".k8s.io/")
                    && !known.iter().any(|group| right.starts_with(group)))
        });
        storage.collect::<Vec<_>>()
    };
    let gateway = |name: &str| ["create", "get"].map(|verb| format!("*:/services/proxy:{name} {verb}")).to_vec();
    let resource = |name: &str| ["get", "list"].map(|verb| format!("*:{name}:* {verb}")).to_vec();
    let extender = |name: &str| vec![format!("*:/services/proxy:{name} create")];
    let portworx = [gateway("portworx-api:9021"), extender("stork-service:8099")].concat();
    assert_eq!(of_storage(""), portworx);
    assert_eq!(of_storage("drivers: [{name: portworx}]"), portworx);
    for (driver, expected) in [
        ("locality: []", vec![]),
        ("locality: [{kind: nodeAffinity}]", vec![]),
        ("locality: [{kind: openStorage, service: {name: gate, port: 443, tls: true}}]", gateway("https:gate:443")),
        ("locality: [{kind: extender, service: {name: own, tls: true}}]", extender("https:own:8099")),
        ("locality: [{kind: customResource, name: longhorn}]", resource("longhorn.io/replicas")),
        (
            "locality: [{kind: customResource, group: a.example.io, resource: b, volume: /v, node: /n}]",
            resource("a.example.io/b"),
        ),
    ] {
        assert_eq!(of_storage(&format!("drivers: [{{name: portworx, {driver}}}]")), expected, "{driver}");
    }
    for (provisioner, expected) in [
        ("linstor.csi.linbit.com", "internal.linstor.linbit.com/resources"),
        ("driver.longhorn.io", "longhorn.io/replicas"),
        ("lvm.hwameistor.io", "hwameistor.io/localvolumereplicas"),
        ("topolvm.io", "topolvm.io/logicalvolumes"),
        ("local.csi.openebs.io", "local.openebs.io/lvmvolumes"),
    ] {
        let driver = format!("drivers: [{{name: other, provisioners: [x, {provisioner}], scheduler: s}}]");
        let found = rights(&render(&format!("{{rbac: {{reader: {{create: true}}}}, config: {{{driver}}}}}")));
        assert!(resource(expected).iter().all(|right| found.contains(right)), "{provisioner}: {found:?}");
        assert!(!found.iter().any(|right| right.contains("services/proxy")), "{provisioner}");
    }
}

#[test]
fn the_default_permissions_are_exactly_these() {
    let rendered = render("config: {validation: {mode: off}}");
    let expected = [
        "*:/persistentvolumeclaims:* get",
        "*:/persistentvolumeclaims:* list",
        "*:/persistentvolumeclaims:* watch",
        "*:/persistentvolumes:* get",
        "*:admissionregistration.k8s.io/mutatingwebhookconfigurations:zz-colocate get",
        "*:admissionregistration.k8s.io/mutatingwebhookconfigurations:zz-colocate patch",
        "*:admissionregistration.k8s.io/mutatingwebhookconfigurations:zz-colocate watch",
        "*:admissionregistration.k8s.io/validatingwebhookconfigurations:zz-colocate get",
        "*:admissionregistration.k8s.io/validatingwebhookconfigurations:zz-colocate watch",
        "*:coordination.k8s.io/leases:stork get",
        "*:coordination.k8s.io/leases:stork-scheduler get",
        "*:storage.k8s.io/storageclasses:* list",
        "*:storage.k8s.io/storageclasses:* watch",
        "home:/secrets:colocate-ca get",
        "home:/secrets:colocate-ca update",
    ];
    assert_eq!(rights(&rendered).iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn permissions_depend_on_their_features() {
    let (added, lost) = added_and_lost("config: {validation: {mode: off}}", "config: {validation: {mode: warn}}");
    let patch = "*:admissionregistration.k8s.io/validatingwebhookconfigurations:zz-colocate patch";
    assert_eq!(added, [patch, "*:portworx.io/volumeplacementstrategies:* list"]);
    assert_eq!(lost, [""; 0]);

    let (added, lost) = added_and_lost("", "config: {namespaces: [team-a]}");
    let claims = ["get", "list", "watch"].map(|verb| format!("team-a:/persistentvolumeclaims:* {verb}"));
    assert_eq!(added, claims);
    assert_eq!(lost, claims.map(|right| right.replace("team-a", "*")));

    let events = |namespace| ["create", "patch"].map(|verb| format!("{namespace}:events.k8s.io/events:* {verb}"));
    let (added, lost) = added_and_lost("", "config: {events: {enabled: true}}");
    assert_eq!((added, lost), (events("*").to_vec(), vec![]));
    let some = "config: {namespaces: [team-a], events: {enabled: true}}";
    let (added, lost) = added_and_lost("config: {namespaces: [team-a]}", some);
    assert_eq!((added, lost), (events("team-a").to_vec(), vec![]));

    let (added, lost) = added_and_lost("", "tls: {source: existingSecret, existingSecret: {name: own}}");
    assert_eq!(
        (added.len(), lost),
        (0, ["get", "update"].map(|verb| format!("home:/secrets:colocate-ca {verb}")).to_vec())
    );
    let trust = |right: &String| right.contains("webhookconfigurations");
    for values in [
        "tls: {source: existingSecret, existingSecret: {name: own, caKey: ''}}",
        "tls: {source: cert-manager, certManager: {issuerRef: {name: ca}}}",
    ] {
        let (added, lost) = added_and_lost("", values);
        assert_eq!((added.len(), lost.iter().filter(|right| trust(right)).count()), (0, 6), "{values}");
    }
    let (_, lost) = added_and_lost("", "rbac: {create: false}");
    assert_eq!(lost.len(), rights(&DEFAULTS).len());
}

/// The Leases are listed by name in a `ClusterRole`, because a Role in a namespace that does not exist yet could not be
/// installed.
#[test]
fn the_lease_permissions_match_the_leases_of_the_program() {
    for drivers in [
        "[{name: portworx}]",
        "[{name: portworx, scheduler: {}}]",
        "[{name: portworx, scheduler: other}]",
        "[{name: portworx, scheduler: {lease: {namespace: a, name: own}}}]",
        "[{name: portworx, scheduler: {leases: [{name: a, namespaces: [a]}, {name: b, namespaces: [a, b]}]}}]",
        "[{name: portworx, scheduler: {leases: []}}]",
        "[{name: px, provisioners: [a], scheduler: stork}]",
        "[{name: linstor, provisioners: [a], scheduler: {name: l, lease: {namespace: a, name: l1}}}, {name: b, provisioners: [b], scheduler: b}, {name: portworx}]",
    ] {
        let rendered = render(&format!("config: {{drivers: {drivers}}}"));
        let rules = rendered.at("ClusterRole/colocate", "/rules").as_array().unwrap();
        let rule = rules.iter().find(|rule| rule["resources"] == json!(["leases"])).unwrap_or(&Value::Null);
        let granted: BTreeSet<_> = texts(&rule["resourceNames"]).into_iter().map(str::to_owned).collect();
        let config: Config = format!("drivers: {drivers}").parse().unwrap();
        let looked_at = config.schedulers().flat_map(|scheduler| scheduler.leases).map(|lease| lease.name).collect();
        assert_eq!(granted, looked_at, "{drivers}");
    }
}

#[test]
fn permissions_are_granted_to_the_account_of_the_pods() {
    for (values, account) in [
        ("", "colocate"),
        ("config: {namespaces: [team-a]}", "colocate"),
        ("serviceAccount: {name: other}", "other"),
        ("serviceAccount: {create: false, name: other}", "other"),
    ] {
        let rendered = render(values);
        let subjects = json!([{"kind": "ServiceAccount", "name": account, "namespace": HOME}]);
        let bindings = rendered
            .objects()
            .iter()
            .filter(|object| object["kind"].as_str().is_some_and(|kind| kind.ends_with("RoleBinding")));
        let mut count = 0;
        for binding in bindings.filter(|binding| binding["metadata"]["name"] != "colocate-test") {
            assert_eq!(binding["subjects"], subjects, "{values}");
            count += 1;
        }
        assert!(count >= 2);
        assert_eq!(rendered.at("Deployment/colocate", "/spec/template/spec/serviceAccountName"), account);
        let flow = rendered.at("FlowSchema/colocate", "/spec/rules/0/subjects/0/serviceAccount");
        assert_eq!(flow, &json!({"name": account, "namespace": HOME}));
    }
}
