//! `colocate audit` and `colocate why` about the same pods.

use std::collections::BTreeMap;

use colocate_harness::{ApiServer, Folder};
use serde_json::{Value, json};

use super::{CLASSES, CONFIG_MAP, RELEASE, REVIEWS, WEBHOOKS, document, list, release_labels};

const CREATED: &str = "2026-11-30T02:14:07Z";
const BEFORE: &str = "2026-11-01T00:00:00Z";
const OPT_OUT: &str = "stork.libopenstorage.org/disableHyperconvergence";
const CONFIG: &str = "drivers: [{name: portworx}, {name: linstor, provisioners: [linstor.csi.linbit.com], scheduler: linstor-scheduler}]";

/// A pod of a Deployment.
#[derive(Clone, Copy, Debug)]
struct Sort {
    /// The scheduler in the pod template.
    template: &'static str,
    /// Whether the Deployment was applied from a manifest, which names no scheduler.
    applied: bool,
    /// The scheduler of the pod.
    scheduler: &'static str,
    claim: Option<&'static str>,
    /// Whether an opt-out was added to the pod later.
    opted_out_later: bool,
}

impl Sort {
    const MISSED: Self = Self {
        template: "default-scheduler",
        applied: false,
        scheduler: "default-scheduler",
        claim: Some("px"),
        opted_out_later: false,
    };

    /// Returns the Deployment, its `ReplicaSet` and the pod, each with its path.
    fn objects(&self, name: &str) -> [(String, Value); 3] {
        let Self { template, applied, scheduler, claim, opted_out_later } = *self;
        let volumes: Vec<_> =
            claim.iter().map(|claim| json!({"name": "data", "persistentVolumeClaim": {"claimName": claim}})).collect();
        let template = json!({"spec": {"schedulerName": template, "volumes": volumes}});
        let owner = |kind: &str, name: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": format!("{kind}-{name}"), "controller": true}]);
        let object = |kind: &str, name: &str| {
            json!({
                "metadata": {
                    "name": name, "namespace": "shop", "uid": format!("{kind}-{name}"), "generation": 1, "creationTimestamp": CREATED,
                    "annotations": {"deployment.kubernetes.io/revision": "1"},
                },
                "spec": {"replicas": 1, "template": template},
                "status": {"observedGeneration": 1, "replicas": 1},
            })
        };
        let set = format!("{name}-5d4");
        let mut deployment = object("Deployment", name);
        if applied {
            let manifest = json!({"spec": {"template": {"spec": {"volumes": volumes}}}}).to_string();
            deployment["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = manifest.into();
        }
        let mut replica_set = object("ReplicaSet", &set);
        replica_set["metadata"]["ownerReferences"] = owner("Deployment", name);
        let mut fields = vec![
            json!({"manager": "kube-controller-manager", "operation": "Update", "time": CREATED, "fieldsV1": {"f:spec": {"f:schedulerName": {}}}}),
        ];
        let mut annotations = json!({});
        if opted_out_later {
            annotations[OPT_OUT] = "true".into();
            let path = json!({"f:metadata": {"f:annotations": {format!("f:{OPT_OUT}"): {}}}});
            fields.push(
                json!({"manager": "kubectl", "operation": "Update", "time": "2026-11-30T08:00:00Z", "fieldsV1": path}),
            );
        }
        let pod = json!({
            "metadata": {
                "name": format!("{set}-a"), "namespace": "shop", "uid": name, "creationTimestamp": CREATED,
                "labels": {"pod-template-hash": "5d4"}, "annotations": annotations, "managedFields": fields,
                "ownerReferences": owner("ReplicaSet", &set),
            },
            "spec": {"schedulerName": scheduler, "nodeName": "node-1", "volumes": volumes},
            "status": {"phase": "Running"},
        });
        [
            (format!("/apis/apps/v1/namespaces/shop/deployments/{name}"), deployment),
            (format!("/apis/apps/v1/namespaces/shop/replicasets/{set}"), replica_set),
            (format!("/api/v1/namespaces/shop/pods/{set}-a"), pod),
        ]
    }
}

/// Starts a cluster with these pods, whose Deployments have the names `w0`, `w1` and so on.
fn server(sorts: &[Sort]) -> ApiServer {
    server_with(sorts, &json!({"name": "shop", "labels": {"kubernetes.io/metadata.name": "shop"}}))
}

/// Starts a cluster with these pods, and with this metadata of their Namespace.
fn server_with(sorts: &[Sort], namespace: &Value) -> ApiServer {
    let rules = json!([{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]);
    let service = json!({"service": {"namespace": "system", "name": "colocate"}});
    let hook =
        json!({"name": "pods.mutate.colocate", "failurePolicy": "Ignore", "rules": rules, "clientConfig": service});
    let metadata = |name: &str| json!({"name": name, "labels": release_labels(), "creationTimestamp": BEFORE, "namespace": "system", "uid": "d"});
    let volumes = json!([{"name": "config", "configMap": {"name": "colocate"}}]);
    let release = json!({"metadata": metadata("colocate"), "spec": {"template": {"spec": {"volumes": volumes}}}});
    let class = |name: &str, provisioner: &str| json!({"metadata": {"name": name}, "provisioner": provisioner});
    let claim = |name: &str| json!({"metadata": {"name": name, "namespace": "shop", "creationTimestamp": BEFORE}, "spec": {"storageClassName": name}});
    let mut objects = vec![
        (REVIEWS.to_owned(), json!({"status": {"allowed": true}})),
        (CLASSES.to_owned(), list(&[class("px", "pxd.portworx.com"), class("lin", "linstor.csi.linbit.com")])),
        (WEBHOOKS.to_owned(), list(&[json!({"metadata": metadata("zz-colocate"), "webhooks": [hook]})])),
        (RELEASE.to_owned(), list(std::slice::from_ref(&release))),
        (CONFIG_MAP.to_owned(), json!({"data": {"config.yaml": CONFIG}})),
        ("/api/v1/namespaces/shop".to_owned(), json!({"metadata": namespace})),
    ];
    for name in ["px", "lin"] {
        objects.push((format!("/api/v1/namespaces/shop/persistentvolumeclaims/{name}"), claim(name)));
    }
    objects.push(("/api/v1/namespaces/shop/persistentvolumeclaims".to_owned(), list(&["px", "lin"].map(claim))));
    let mut lists: [Vec<Value>; 3] = Default::default();
    for (number, sort) in sorts.iter().enumerate() {
        for ((path, object), items) in sort.objects(&format!("w{number}")).into_iter().zip(&mut lists) {
            items.push(object.clone());
            objects.push((path, object));
        }
    }
    for (kind, items) in [
        "apis/apps/v1/namespaces/shop/deployments",
        "apis/apps/v1/namespaces/shop/replicasets",
        "api/v1/namespaces/shop/pods",
    ]
    .into_iter()
    .zip(&lists)
    {
        objects.push((format!("/{kind}"), list(items)));
    }
    for empty in [
        "apis/apps/v1/namespaces/shop/statefulsets",
        "apis/apps/v1/namespaces/shop/daemonsets",
        "api/v1/namespaces/shop/replicationcontrollers",
        "apis/batch/v1/namespaces/shop/jobs",
        "apis/batch/v1/namespaces/shop/cronjobs",
        "apis/policy/v1/namespaces/shop/poddisruptionbudgets",
        "apis/apps/v1/namespaces/system/replicasets",
        "api/v1/namespaces/system/pods",
        "api/v1/namespaces/system/events",
        "apis/discovery.k8s.io/v1/namespaces/system/endpointslices",
    ] {
        objects.push((format!("/{empty}"), list(&[])));
    }
    let objects: Vec<_> = objects.iter().map(|(path, object)| (path.as_str(), object.clone())).collect();
    ApiServer::new(&objects, 404)
}

/// The result of an audit for each pod by the name of its Deployment: the word of the column, and the reason.
fn audited(server: &ApiServer, folder: &Folder) -> BTreeMap<String, (&'static str, String)> {
    let run = server.run_command(folder, "audit -n shop -o json");
    let document = document(&run);
    let rows = document["clusters"][0]["pods"]["workloads"].as_array().unwrap().iter().map(|row| {
        let column = if row["wrong"] == 1 { "wrong" } else { "unknown" };
        (row["name"].as_str().unwrap().to_owned(), (column, row["example"]["reason"].as_str().unwrap().to_owned()))
    });
    rows.collect()
}

/// The result of `why` for the pod of the Deployment `w` with this number: the word of the column of the audit, and the verdict.
fn explained(server: &ApiServer, folder: &Folder, number: usize) -> (&'static str, String) {
    let run = server.run_command(folder, &format!("why pod/w{number}-5d4-a --check -o json"));
    let document: Value =
        serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}{}", run.out, run.err));
    let verdict = document["verdict"].as_str().unwrap().to_owned();
    let column = match run.code {
        Some(0) => "as-expected",
        Some(4) if verdict == "unknown" => "unknown",
        code => {
            assert_eq!(code, Some(4), "{}", run.err);
            "wrong"
        }
    };
    (column, verdict)
}

#[test]
fn audit_and_why_have_the_same_opinion_of_each_pod() {
    let mut sorts = Vec::new();
    for template in ["default-scheduler", "stork", "volcano"] {
        for scheduler in ["default-scheduler", "stork", "linstor-scheduler", "volcano"] {
            for claim in [None, Some("px"), Some("lin"), Some("gone")] {
                for applied in [false, true] {
                    let sort = Sort { template, applied, scheduler, claim, opted_out_later: false };
                    sorts.extend([sort, Sort { opted_out_later: true, ..sort }]);
                }
            }
        }
    }
    // One of each sort that differs in the effect, to save time: an opt-out matters only on the scheduler of a driver.
    sorts.retain(|sort| !sort.opted_out_later || (sort.scheduler == "stork" && sort.claim == Some("px")));
    let (server, folder) = (server(&sorts), Folder::new(&[]));
    let audited = audited(&server, &folder);
    let mut columns = BTreeMap::<_, u32>::new();
    for (number, sort) in sorts.iter().enumerate() {
        let audit = audited.get(&format!("w{number}")).map_or("as-expected", |(column, _)| column);
        let (why, verdict) = explained(&server, &folder, number);
        // A fact that one of them does not read makes its answer weaker, and never another one.
        assert!(audit == why || [audit, why].contains(&"unknown"), "{sort:?}: {audit} in audit, {verdict} in why");
        *columns.entry((audit, why)).or_default() += 1;
    }
    for same in ["as-expected", "wrong", "unknown"] {
        assert!(columns.contains_key(&(same, same)), "{columns:?}");
    }
}

#[test]
fn a_scheduler_that_is_not_the_choice_of_the_author_is_wrong() {
    let sorts = [
        Sort { scheduler: "volcano", ..Sort::MISSED },
        Sort { scheduler: "linstor-scheduler", ..Sort::MISSED },
        Sort { scheduler: "stork", template: "stork", applied: true, claim: None, ..Sort::MISSED },
        Sort { scheduler: "stork", opted_out_later: true, ..Sort::MISSED },
        Sort { scheduler: "default-scheduler", template: "stork", claim: None, ..Sort::MISSED },
        // The author's choice.
        Sort { scheduler: "volcano", template: "volcano", ..Sort::MISSED },
        Sort { scheduler: "stork", template: "stork", claim: None, ..Sort::MISSED },
        Sort { scheduler: "volcano", claim: None, ..Sort::MISSED },
        Sort { scheduler: "stork", ..Sort::MISSED },
    ];
    let expected = [
        ("injected", "set-by-another"),
        ("injected", "missed"),
        ("already-set", "injected-earlier"),
        ("opt-out-without-effect", "opted-out-later"),
        ("already-set", "set-by-another"),
    ];
    let (server, folder) = (server(&sorts), Folder::new(&[]));
    let audited = audited(&server, &folder);
    for (number, (reason, verdict)) in expected.into_iter().enumerate() {
        let word = if verdict == "missed" { reason } else { verdict };
        assert_eq!(audited.get(&format!("w{number}")), Some(&("wrong", word.to_owned())), "{:?}", sorts[number]);
        assert_eq!(explained(&server, &folder, number), ("wrong", verdict.to_owned()), "{:?}", sorts[number]);
    }
    assert_eq!(audited.len(), expected.len(), "{audited:?}");
    let run = server.run_command(&folder, "audit -n shop --fail-under 100");
    assert_eq!(run.code, Some(4));
    assert!(run.out.contains("4 of 9 are on the expected scheduler (44.4 %), 5 wrong"), "{}", run.out);
    // A new pod would get the same scheduler.
    let plan = server.run_command(&folder, "audit -n shop --repair-plan").out;
    assert_eq!(plan.matches("/eviction").count(), 1, "{plan}");
    assert!(plan.contains("/pods/w1-5d4-a/eviction"), "{plan}");
    for reason in [
        "# shop/w0-5d4-a: another webhook or the operator that created it set its scheduler,",
        "# shop/w2-5d4-a: its pod template names the driver's scheduler,",
        "# shop/w3-5d4-a: its opt-out is younger than the pod,",
    ] {
        assert!(plan.contains(reason), "{plan}");
    }
}

#[test]
fn an_opt_out_of_the_namespace_counts_from_its_creation() {
    const LABEL: &str = "stork.libopenstorage.org/disable-admission-controller";
    let sorts = [Sort { scheduler: "stork", ..Sort::MISSED }, Sort::MISSED];
    for (time, expected) in [
        (Some("2026-11-30T08:00:00Z"), ("wrong", "opted-out-later")),
        // It may have been set again.
        (Some(BEFORE), ("unknown", "unknown")),
        (None, ("unknown", "unknown")),
    ] {
        let fields = time.map(|time| {
            let path = json!({"f:metadata": {"f:labels": {format!("f:{LABEL}"): {}}}});
            json!({"manager": "kubectl-label", "operation": "Update", "time": time, "fieldsV1": path})
        });
        let metadata =
            json!({"name": "shop", "labels": {LABEL: "true"}, "managedFields": fields.into_iter().collect::<Vec<_>>()});
        let (server, folder) = (server_with(&sorts, &metadata), Folder::new(&[]));
        let audited = audited(&server, &folder);
        let (column, verdict) = explained(&server, &folder, 0);
        assert_eq!((column, verdict.as_str()), expected, "{time:?}");
        assert_eq!(audited.get("w0").map(|(column, _)| *column), Some(expected.0), "{time:?}: {audited:?}");
        assert_eq!(explained(&server, &folder, 1).0, "as-expected");
        assert_eq!(audited.get("w1"), None, "{time:?}: {audited:?}");
    }
}
