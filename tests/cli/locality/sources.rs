//! Sources of the layout that must not be used, or do not answer.

use colocate_harness::{ApiServer, Folder};
use serde_json::json;

use super::{CLAIMS, CONFIG, GATEWAY_NODES, Objects, PODS, WEBHOOKS, cluster, list};

/// Makes the cluster of a colocate with this configuration.
pub(super) fn configured(config: &str) -> Objects {
    let labels = json!({"app.kubernetes.io/name": "colocate", "app.kubernetes.io/instance": "colocate"});
    let mut objects = cluster();
    let hook = &mut objects.iter_mut().find(|(path, _)| *path == WEBHOOKS).unwrap().1["items"][0];
    hook["metadata"]["labels"] = labels.clone();
    hook["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
    hook["webhooks"][0]["clientConfig"] = json!({"service": {"namespace": "system", "name": "colocate"}});
    let deployment = json!({
        "metadata": {"name": "colocate", "namespace": "system", "uid": "d", "labels": labels},
        "spec": {"template": {"spec": {"volumes": [{"name": "config", "configMap": {"name": "colocate"}}]}}},
    });
    // `colocate why` reads one namespace.
    let pods = objects.iter().find(|(path, _)| *path == PODS).unwrap().1["items"].clone();
    let local = pods.as_array().unwrap().iter().find(|pod| pod["metadata"]["name"] == "local").unwrap().clone();
    let claims = objects.iter().find(|(path, _)| *path == CLAIMS).unwrap().1.clone();
    let claim = claims["items"][0].clone();
    objects.extend([
        ("/apis/apps/v1/namespaces/system/deployments", list(std::slice::from_ref(&deployment))),
        ("/apis/apps/v1/namespaces/system/replicasets", list(&[])),
        ("/api/v1/namespaces/system/pods", list(&[])),
        ("/api/v1/namespaces/system/events", list(&[])),
        ("/api/v1/namespaces/db/pods", list(&[])),
        ("/apis/discovery.k8s.io/v1/namespaces/system/endpointslices", list(&[])),
        ("/api/v1/namespaces/system/configmaps/colocate", json!({"data": {"config.yaml": config}})),
        ("/api/v1/namespaces/db", json!({"metadata": {"name": "db"}})),
        ("/api/v1/namespaces/db/pods/local", local),
        ("/api/v1/namespaces/db/persistentvolumeclaims", claims),
        ("/api/v1/namespaces/db/persistentvolumeclaims/a", claim),
    ]);
    objects
}

#[test]
fn the_clusters_configuration_chooses_no_secret_of_others() {
    let config = |namespaces: &str, secret: &str| {
        format!(
            "drivers: [{{name: portworx, locality: [{{kind: openStorage, service: {{namespaces: [{namespaces}], name: gate, port: 1}}, token: {{namespace: {secret}, name: root, key: t}}}}]}}]"
        )
    };
    let token = json!({"data": {"t": "c2VjcmV0Cg=="}});
    let secrets = ["/api/v1/namespaces/kube-system/secrets/root", "/api/v1/namespaces/evil/secrets/root"];
    for (namespaces, secret, is_named, expected) in [
        ("evil", "kube-system", false, &[][..]),
        ("evil", "kube-system", true, &["evil"]),
        ("evil, kube-system", "kube-system", false, &["kube-system"]),
        ("evil, kube-system", "kube-system", true, &["evil", "kube-system"]),
        ("evil", "evil", false, &["evil"]),
    ] {
        let config = config(namespaces, secret);
        let mut objects = configured(&config);
        objects.extend(secrets.map(|path| (path, token.clone())));
        let folder = Folder::new(&[("own.yaml", &config)]);
        for command in ["locality", "why pod local -n db"] {
            let server = ApiServer::new(&objects, 404);
            let run =
                server.run_command(&folder, &format!("{command}{}", if is_named { " --config own.yaml" } else { "" }));
            let asked = server.asked();
            let called: Vec<_> = asked
                .iter()
                .filter(|path| path.contains("/gate:1/"))
                .map(|path| path.split('/').nth(4).unwrap())
                .collect();
            assert_eq!(called, expected, "{command} {namespaces} {is_named}: {}{}", run.out, run.err);
            let got = asked.iter().any(|path| path.contains("/secrets/"));
            assert_eq!(got, !expected.is_empty(), "{command} {namespaces} {is_named}: {}{}", run.out, run.err);
            // The Service does not exist in the called namespaces. The message names the one that was left out.
            let refused = "the token of Secret kube-system/root is not sent to Service gate in namespace evil, because a configuration in the cluster may only send a token within the namespace of its Secret: use a Secret in the namespace of the Service, or pass the configuration with --config";
            let is_left_out = !is_named && secret == "kube-system";
            assert_eq!(run.out.contains(refused), is_left_out, "{command} {namespaces}: {}{}", run.out, run.err);
        }
    }
}

#[test]
fn a_gateway_without_endpoints_is_called_once() {
    let mut objects = cluster();
    objects.retain(|(path, _)| *path != GATEWAY_NODES);
    let folder = Folder::new(&[("own.yaml", CONFIG)]);
    let server = ApiServer::new(&objects, 503);
    let run = server.run_command(&folder, "locality --config own.yaml");
    let asked = server.asked();
    assert_eq!(asked.iter().filter(|path| *path == GATEWAY_NODES).count(), 1, "{}", run.out);
    // The API server's own message.
    let expected = "Service portworx/portworx-api:9021 does not answer: no; not known as a result: where the volumes";
    assert!(run.out.contains(expected), "{}", run.out);
}

#[test]
fn a_missing_extender_does_not_hide_why_the_gateway_fails() {
    let mut objects = cluster();
    objects.retain(|(path, _)| *path != GATEWAY_NODES);
    // The gateway's own words, without a `Status`.
    let gateway = vec![(GATEWAY_NODES, (403, json!({"error": "Access denied"})))];
    let folder = Folder::new(&[("own.yaml", CONFIG)]);
    let run =
        ApiServer::with_failures(&objects, gateway, 404).run_command(&folder, "locality --config own.yaml -o json");
    let document = super::document(&run);
    let unknown = document["unknown"].as_array().unwrap().iter().find(|pod| pod["name"] == "local").unwrap();
    let expected = "Service portworx/portworx-api:9021 does not answer: an error without a message";
    assert_eq!(unknown["text"], expected, "{document:#}");
}
