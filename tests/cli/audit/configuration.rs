//! The configuration of the cluster's colocate, which `colocate audit` and `colocate release` use.

use colocate_harness::{ApiServer, Folder};
use serde_json::json;

use super::{
    CONFIG_MAP, DEPLOYMENTS, WEBHOOKS, counts, document, list, run_on, valid_document, with_release, without_release,
};

#[test]
fn the_configuration_of_the_cluster_s_colocate_decides() {
    let other = "drivers: [{name: other, provisioners: [other.example.com], scheduler: other-scheduler}]";
    let objects = with_release(other);
    let document = document(&run_on(&objects, 404, "audit -o json"));
    let found = &document["clusters"][0];
    assert_eq!(found["configuration"], json!({"source": "cluster", "configMap": "system/colocate"}));
    let pods: Vec<_> = found["pods"]["workloads"].as_array().unwrap().iter().map(|row| row["name"].as_str()).collect();
    assert_eq!((counts(&found["pods"]), pods), ([3, 1, 1, 1], vec![Some("open"), Some("other")]));
    assert!(run_on(&objects, 404, "audit").out.contains("configuration: ConfigMap system/colocate, mode: inject"));

    // A file of the user precedes.
    let folder = Folder::new(&[("own.yaml", "mode: audit\n")]);
    let run = ApiServer::new(&objects, 404).run_command(&folder, "audit -o json --config own.yaml");
    let found = &self::document(&run)["clusters"][0];
    assert_eq!((&found["configuration"]["source"], &found["mode"]), (&json!("file"), &json!("audit")));
    assert_eq!(found["pods"]["workloads"][0]["name"], "web");
}

#[test]
fn a_configuration_that_cannot_be_read_makes_pods_unknown() {
    let unreadable = with_release("newerKey: 1");
    let mut absent = with_release("");
    absent.retain(|(path, _)| *path != CONFIG_MAP);
    let mut several = with_release("mode: off");
    several.retain(|(path, _)| *path != WEBHOOKS);
    // Its webhook exists, and its configuration may be anywhere.
    let elsewhere = without_release();
    let mut renamed = without_release();
    let webhooks = renamed.iter_mut().find(|(path, _)| *path == WEBHOOKS).unwrap();
    webhooks.1["items"][0]["metadata"]["name"] = "zz-other".into();
    let deployments = several.iter_mut().find(|(path, _)| *path == DEPLOYMENTS).unwrap();
    let copy = deployments.1["items"][1].clone();
    deployments.1["items"].as_array_mut().unwrap().push(copy);
    for (objects, otherwise, unknown_with_file, why) in [
        (&unreadable, 404, 1, "system/colocate is of another version of colocate"),
        (&absent, 403, 1, "configmaps: not permitted to get in namespace system"),
        (&several, 403, 3, "2 Deployments belong to colocate"),
        (&elsewhere, 404, 1, "no ConfigMap of the chart belongs to MutatingWebhookConfiguration zz-colocate"),
        (&renamed, 404, 1, "no ConfigMap of the chart belongs to MutatingWebhookConfiguration zz-other"),
    ] {
        let run = run_on(objects, otherwise, "audit");
        let hides = "; not known as a result: the configuration of colocate, and so the schedulers that it sets: pass it with --config";
        assert!(run.out.lines().any(|line| line.contains(why) && line.ends_with(hides)), "{why}: {}", run.out);
        let document = document(&run_on(objects, otherwise, "audit -o json"));
        let found = &document["clusters"][0];
        assert_eq!((counts(&found["pods"]), &found["configuration"]["source"]), ([0, 0, 5, 1], &json!("not-seen")));
        // A configuration of the user makes them known.
        let folder = Folder::new(&[("own.yaml", "mode: inject\n")]);
        let run = ApiServer::new(objects, otherwise).run_command(&folder, "audit -o json --config own.yaml");
        assert_eq!(counts(&self::document(&run)["clusters"][0]["pods"])[2], unknown_with_file);
    }
}

#[test]
fn without_webhook_configurations_the_labels_lead_to_the_configuration() {
    let mut objects = with_release("mode: off");
    objects.retain(|(path, _)| *path != WEBHOOKS);
    let document = document(&run_on(&objects, 403, "audit -o json"));
    let found = &document["clusters"][0];
    assert_eq!(found["configuration"], json!({"source": "cluster", "configMap": "system/colocate"}));
    assert_eq!(found["mode"], "off");
}

#[test]
fn release_searches_for_the_schedulers_of_the_cluster_s_colocate() {
    let other = "drivers: [{name: other, provisioners: [other.example.com], scheduler: other-scheduler}]";
    let mut objects = with_release(other);
    for path in ["/apis/apps/v1/replicasets", "/api/v1/podtemplates"] {
        objects.push((path, list(&[])));
    }
    let none = run_on(&objects, 404, "release --check --strict");
    assert_eq!(none.code, Some(0), "{}{}", none.out, none.err);
    let line = "No template names a driver's scheduler.\nSchedulers: other-scheduler (configuration: ConfigMap system/colocate)\n";
    assert!(none.out.starts_with(line), "{}", none.out);
    let deployments = objects.iter_mut().find(|(path, _)| *path == DEPLOYMENTS).unwrap();
    deployments.1["items"][0]["spec"]["template"]["spec"]["schedulerName"] = "other-scheduler".into();
    let run = run_on(&objects, 404, "release -o json");
    let found = valid_document(&run, include_str!("../../../docs/schemas/release.json"));
    assert_eq!(found["templates"][0]["scheduler"], "other-scheduler", "{found:#}");
    assert_eq!(found["configuration"], json!({"source": "cluster", "configMap": "system/colocate"}));
    // A file of the user precedes.
    let folder = Folder::new(&[("own.yaml", "mode: audit\n")]);
    let run = ApiServer::new(&objects, 404).run_command(&folder, "release --config own.yaml");
    assert!(run.out.contains("Schedulers: stork (configuration: from --config)\n"), "{}", run.out);
}
