//! `colocate why` on scripted clusters: templates that are not known, and registrations that were replaced.

mod doubt;

use colocate_harness::{ApiServer, Folder};
use serde_json::{Value, json};

const CREATED: &str = "2026-11-30T02:14:07Z";

/// A cluster with the pod `web-0` in the namespace `shop`, and a release of colocate.
struct Scene {
    objects: Vec<(&'static str, Value)>,
    /// The status of all other paths.
    otherwise: u16,
}

impl Scene {
    /// The pod has no claim. It is on the scheduler `yunikorn`, and this is its controller.
    fn new(kind: &str, name: &str, revision: &str) -> Self {
        let labels = json!({"app.kubernetes.io/name": "colocate", "app.kubernetes.io/instance": "colocate"});
        let rules =
            json!([{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]);
        let service = json!({"service": {"namespace": "colocate", "name": "colocate"}});
        let hook =
            json!({"name": "pods.mutate.colocate", "failurePolicy": "Ignore", "rules": rules, "clientConfig": service});
        let created = "2026-11-01T00:00:00Z";
        let webhook = json!({"metadata": {"name": "zz-colocate", "labels": labels, "creationTimestamp": created}, "webhooks": [hook]});
        let deployment = json!({
            "metadata": {"name": "colocate", "namespace": "colocate", "uid": "d", "labels": labels, "creationTimestamp": created},
            "spec": {"template": {"spec": {"volumes": [{"name": "config", "configMap": {"name": "colocate"}}]}}},
        });
        let controller = json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "c", "controller": true});
        let fields = json!({"f:spec": {"f:schedulerName": {}}});
        let entry =
            json!({"manager": "kube-controller-manager", "operation": "Update", "time": CREATED, "fieldsV1": fields});
        let pod = json!({
            "metadata": {
                "name": "web-0", "namespace": "shop", "uid": "p", "creationTimestamp": CREATED,
                "labels": {"controller-revision-hash": revision}, "ownerReferences": [controller], "managedFields": [entry],
            },
            "spec": {"schedulerName": "yunikorn", "nodeName": "a"},
            "status": {"phase": "Running"},
        });
        let class = json!({"metadata": {"name": "px-db"}, "provisioner": "pxd.portworx.com"});
        let claim = json!({
            "metadata": {"name": "data", "namespace": "shop", "creationTimestamp": created},
            "spec": {"storageClassName": "px-db"},
        });
        let objects = vec![
            ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json!({"status": {"allowed": true}})),
            ("/apis/storage.k8s.io/v1/storageclasses", list(&[class])),
            ("/api/v1/namespaces/shop/persistentvolumeclaims", list(std::slice::from_ref(&claim))),
            ("/api/v1/namespaces/shop/persistentvolumeclaims/data", claim),
            ("/api/v1/namespaces/shop", json!({"metadata": {"name": "shop"}})),
            (WEBHOOKS, list(&[webhook])),
            (DEPLOYMENTS, list(std::slice::from_ref(&deployment))),
            ("/apis/apps/v1/deployments", list(&[deployment])),
            ("/api/v1/namespaces/colocate/configmaps/colocate", json!({"data": {"config.yaml": "{}"}})),
            ("/apis/apps/v1/namespaces/colocate/replicasets", list(&[])),
            (SLICES, list(&[slice(true, "2026-11-30T10:00:00Z")])),
            ("/apis/policy/v1/namespaces/shop/poddisruptionbudgets", list(&[])),
            ("/api/v1/namespaces/colocate/pods", list(&[])),
            ("/api/v1/namespaces/colocate/events", list(&[])),
            (POD, pod),
        ];
        Self { objects, otherwise: 404 }
    }

    /// A `StatefulSet` with three templates so far, the present one with this scheduler. The pod was made from the second one.
    fn stateful_set(observed: u64, update: &str, scheduler: &str) -> Self {
        let set = json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "c", "generation": 3},
            "spec": {"template": {"metadata": {"creationTimestamp": null}, "spec": {"schedulerName": scheduler}}},
            "status": {"observedGeneration": observed, "updateRevision": update},
        });
        Self::new("StatefulSet", "web", "web-7").with("/apis/apps/v1/namespaces/shop/statefulsets/web", set)
    }

    /// The `DaemonSet` `agent`, which was changed four times.
    fn daemon_set(scheduler: &str) -> Self {
        let set = json!({
            "metadata": {"name": "agent", "namespace": "shop", "uid": "c", "generation": 5},
            "spec": {"template": {"metadata": {}, "spec": {"schedulerName": scheduler}}},
            "status": {"observedGeneration": 5},
        });
        Self::new("DaemonSet", "agent", "7").with("/apis/apps/v1/namespaces/shop/daemonsets/agent", set)
    }

    fn with(mut self, path: &'static str, object: Value) -> Self {
        self.objects.push((path, object));
        self
    }

    fn revision(self, path: &'static str, owner: &str, scheduler: &str) -> Self {
        let template =
            json!({"$patch": "replace", "metadata": {"creationTimestamp": null}, "spec": {"schedulerName": scheduler}});
        let metadata = json!({"ownerReferences": [{"uid": owner, "controller": true}]});
        self.with(path, json!({"metadata": metadata, "data": {"spec": {"template": template}}}))
    }

    /// The pod mounts the claim of Portworx, and is on this scheduler.
    fn mounting(mut self, scheduler: &str) -> Self {
        let spec = &mut self.object(POD)["spec"];
        spec["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
        spec["schedulerName"] = scheduler.into();
        self
    }

    fn server(&self) -> ApiServer {
        ApiServer::new(&self.objects, self.otherwise)
    }

    fn object(&mut self, path: &str) -> &mut Value {
        &mut self.objects.iter_mut().find(|(other, _)| *other == path).unwrap().1
    }

    /// Returns the verdict, the evidence and the fix.
    fn why(&self) -> (String, String, Value) {
        let folder = Folder::new(&[]);
        let run = self.server().run_command(&folder, "why pod/web-0 -o json");
        let mut document: Value =
            serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}{}", run.out, run.err));
        let evidence = document["evidence"].as_array().unwrap().iter().map(|text| text.as_str().unwrap());
        let evidence = evidence.collect::<Vec<_>>().join("; ");
        (document["verdict"].as_str().unwrap().to_owned(), evidence, document["fix"].take())
    }
}

const POD: &str = "/api/v1/namespaces/shop/pods/web-0";
const WEBHOOKS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/colocate/endpointslices";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/colocate/deployments";
const WEB_7: &str = "/apis/apps/v1/namespaces/shop/controllerrevisions/web-7";
const AGENT_7: &str = "/apis/apps/v1/namespaces/shop/controllerrevisions/agent-7";

/// The `EndpointSlice` of colocate with one endpoint, which has been ready or not since this time.
fn slice(ready: bool, since: &str) -> Value {
    let metadata = json!({
        "labels": {"kubernetes.io/service-name": "colocate"},
        "managedFields": [{"manager": "kube-controller-manager", "operation": "Update", "time": since}],
    });
    json!({"metadata": metadata, "endpoints": [{"conditions": {"ready": ready}}]})
}

fn list(items: &[Value]) -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items})
}

#[test]
fn a_verdict_does_not_depend_on_a_template_that_is_not_known() {
    let changed =
        "the template of StatefulSet web may have changed since the pod was created, and ControllerRevision web-7";
    let who = "so who chose yunikorn is not known";
    let no_read = |scene: Scene| Scene { otherwise: 403, ..scene };
    for (scene, expected, evidence) in [
        (Scene::stateful_set(3, "web-7", "yunikorn"), "as-expected", String::new()),
        // The status may be of the template before.
        (Scene::stateful_set(2, "web-7", "yunikorn"), "unknown", format!("{changed} does not exist, {who}")),
        (Scene::stateful_set(3, "web-8", "yunikorn"), "unknown", format!("{changed} does not exist, {who}")),
        (
            no_read(Scene::stateful_set(3, "web-8", "yunikorn")),
            "unknown",
            format!("{changed} could not be read, {who}"),
        ),
        (Scene::stateful_set(3, "web-8", "other").revision(WEB_7, "c", "yunikorn"), "as-expected", String::new()),
        (
            Scene::stateful_set(3, "web-8", "other").revision(WEB_7, "b", "yunikorn"),
            "unknown",
            format!("{changed} is not of its controller, {who}"),
        ),
        (
            Scene::stateful_set(3, "web-8", "yunikorn").revision(WEB_7, "c", "default-scheduler").mounting("yunikorn"),
            "set-by-another",
            "the template of ControllerRevision web-7 names default-scheduler, and the pod yunikorn".to_owned(),
        ),
        (
            Scene::new("ReplicaSet", "web-5d4", "7"),
            "unknown",
            format!("its ReplicaSet web-5d4 does not exist any more, {who}"),
        ),
        (
            Scene::daemon_set("yunikorn"),
            "unknown",
            format!(
                "the template of DaemonSet agent may have changed since the pod was created, and ControllerRevision agent-7 does not exist, {who}"
            ),
        ),
        (Scene::daemon_set("other").revision(AGENT_7, "c", "yunikorn"), "as-expected", String::new()),
        // The revision is that of the present template, whose source is known.
        (
            Scene::daemon_set("yunikorn").revision(AGENT_7, "c", "yunikorn").mounting("default-scheduler"),
            "set-by-another",
            "the template of DaemonSet agent names yunikorn, and the pod default-scheduler".to_owned(),
        ),
    ] {
        let (verdict, text, _) = scene.why();
        assert_eq!(verdict, expected, "{evidence}: {text}");
        assert!(text.contains(&evidence), "{evidence}: {text}");
    }
}

#[test]
fn the_source_of_a_deployment_is_that_of_its_present_template() {
    let scene = |set: &str, observed: u64| {
        let applied = json!({"spec": {"template": {"spec": {}}}}).to_string();
        let annotations = |revision: &str| json!({"deployment.kubernetes.io/revision": revision, "kubectl.kubernetes.io/last-applied-configuration": applied});
        let spec = json!({"template": {"spec": {"schedulerName": "stork"}}});
        let owner =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d", "controller": true});
        let metadata =
            json!({"name": "web-5d4", "uid": "c", "annotations": annotations(set), "ownerReferences": [owner]});
        let deployment = json!({
            "metadata": {"name": "web", "uid": "d", "generation": 4, "annotations": annotations("2")},
            "spec": spec,
            "status": {"observedGeneration": observed},
        });
        let mut scene = Scene::new("ReplicaSet", "web-5d4", "7")
            .with("/apis/apps/v1/namespaces/shop/replicasets/web-5d4", json!({"metadata": metadata, "spec": spec}))
            .with("/apis/apps/v1/namespaces/shop/deployments/web", deployment);
        scene.object(POD)["spec"]["schedulerName"] = "stork".into();
        let (verdict, evidence, _) = scene.why();
        (verdict, evidence)
    };
    let text = "the template of ReplicaSet web-5d4 names stork, and its source does not";
    assert_eq!(scene("2", 4), ("injected-earlier".to_owned(), text.to_owned()));
    let text = "the source of its template is not known, so who chose stork is not known";
    for (set, observed) in [("1", 4), ("2", 3)] {
        assert_eq!(scene(set, observed), ("unknown".to_owned(), text.to_owned()), "{set} {observed}");
    }
}

#[test]
fn a_recreated_configuration_does_not_prove_the_install_time() {
    let scene = |registered: Option<&str>, installed: &str| {
        let mut scene = Scene::stateful_set(3, "web-7", "default-scheduler").mounting("default-scheduler");
        match registered {
            Some(time) => scene.object(WEBHOOKS)["items"][0]["metadata"]["creationTimestamp"] = time.into(),
            None => *scene.object(WEBHOOKS) = list(&[]),
        }
        scene.object(DEPLOYMENTS)["items"][0]["metadata"]["creationTimestamp"] = installed.into();
        scene.why()
    };
    let (before, after) = ("2026-11-01T00:00:00Z", "2026-11-30T09:00:00Z");
    let (verdict, evidence, fix) = scene(Some(after), after);
    assert_eq!(verdict, "before-colocate", "{evidence}");
    assert!(fix["command"].as_str().unwrap().contains("/pods/web-0/eviction"), "{fix}");
    let (verdict, evidence, _) = scene(Some(after), before);
    assert_eq!(verdict, "missed", "{evidence}");
    let text = format!(
        "MutatingWebhookConfiguration zz-colocate was created later, {after}, but Deployment colocate/colocate has existed since {before}"
    );
    assert!(evidence.starts_with(&text), "{evidence}");
    // A ReplicaSet may be older than the Deployment that adopted it, and than the configuration.
    let mut adopted = Scene::stateful_set(3, "web-7", "default-scheduler").mounting("default-scheduler");
    for path in [WEBHOOKS, DEPLOYMENTS] {
        adopted.object(path)["items"][0]["metadata"]["creationTimestamp"] = after.into();
    }
    let metadata = json!({"name": "colocate-1", "creationTimestamp": before, "ownerReferences": [{"uid": "d"}]});
    *adopted.object("/apis/apps/v1/namespaces/colocate/replicasets") = list(&[json!({"metadata": metadata})]);
    let (verdict, evidence, _) = adopted.why();
    assert_eq!(verdict, "missed", "{evidence}");
    assert!(evidence.contains("ReplicaSet colocate/colocate-1 has existed since"), "{evidence}");
}

#[test]
fn without_a_webhook_configuration_no_eviction_is_advised() {
    let deleted = |config: &str| {
        let mut scene = Scene::stateful_set(3, "web-7", "default-scheduler").mounting("default-scheduler");
        *scene.object(WEBHOOKS) = list(&[]);
        scene.object("/api/v1/namespaces/colocate/configmaps/colocate")["data"]["config.yaml"] = config.into();
        scene
    };
    let none = "there is no MutatingWebhookConfiguration zz-colocate now, and whether there was one is not known";
    let (verdict, evidence, fix) = deleted("{}").why();
    assert_eq!((verdict.as_str(), evidence.starts_with(none)), ("missed", true), "{evidence}");
    let advice = "Register the webhook of colocate first, then create the pod again.";
    assert_eq!(fix, json!({"advice": advice, "notes": []}));
    // colocate is stopped, and its configuration still counts.
    assert_eq!(deleted("mode: audit").why().0, "audit-mode");
    let mut absent = deleted("{}");
    *absent.object("/apis/apps/v1/deployments") = list(&[]);
    assert_eq!(absent.why().0, "missed");
    let mut unreadable = Scene { otherwise: 403, ..deleted("{}") };
    unreadable.objects.retain(|(path, _)| *path != "/apis/apps/v1/deployments");
    let (verdict, evidence, _) = unreadable.why();
    assert_eq!(verdict, "unknown");
    assert!(evidence.contains("with its defaults, the verdict is missed"), "{evidence}");
}

#[test]
fn the_fix_has_an_eviction_only_if_the_repair_plan_has_it() {
    let budget = |name: &str, allowed: u32| {
        let spec = json!({"selector": {"matchLabels": {"controller-revision-hash": "web-7"}}});
        json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec, "status": {"disruptionsAllowed": allowed}})
    };
    let owner = |api_version: &str, kind: &str| json!([{"apiVersion": api_version, "kind": kind, "name": "web", "uid": "c", "controller": true}]);
    let set = owner("apps/v1", "StatefulSet");
    for (owners, budgets, phase, refusal) in [
        (set.clone(), vec![], "Running", None),
        (set.clone(), vec![budget("a", 1)], "Running", None),
        (set.clone(), vec![budget("a", 0)], "Pending", None),
        (set.clone(), vec![budget("a", 0)], "Running", Some("PodDisruptionBudget a allows no disruption at present:")),
        (
            set,
            vec![budget("a", 1), budget("b", 1)],
            "Running",
            Some("the API server rejects the eviction of a pod of several"),
        ),
        (owner("batch/v1", "Job"), vec![], "Running", Some("a Job counts an eviction as a failure,")),
        (
            owner("argoproj.io/v1alpha1", "Workflow"),
            vec![],
            "Running",
            Some("a Workflow may not create the pod again:"),
        ),
        (json!([]), vec![], "Running", Some("it has no controller that would create it again:")),
    ] {
        let mut scene = Scene::stateful_set(3, "web-7", "default-scheduler").mounting("default-scheduler");
        scene.object(POD)["metadata"]["ownerReferences"] = owners.clone();
        scene.object(POD)["status"]["phase"] = phase.into();
        *scene.object("/apis/policy/v1/namespaces/shop/poddisruptionbudgets") = list(&budgets);
        scene.objects.extend([
            (
                "/apis/batch/v1/namespaces/shop/jobs/web",
                json!({"metadata": {"name": "web", "uid": "c"}, "spec": {"template": {"spec": {}}}}),
            ),
            ("/api/v1/namespaces/shop/events", list(&[])),
        ]);
        let (verdict, evidence, fix) = scene.why();
        assert_eq!(verdict, "missed", "{evidence}");
        assert_eq!(fix["command"].is_string(), refusal.is_none(), "{owners} {fix}");
        let advice = refusal.map_or_else(
            || "Create the pod again.".to_owned(),
            |why| format!("Create the pod again. Do not evict it: {why}"),
        );
        assert!(fix["advice"].as_str().unwrap().starts_with(&advice), "{fix}");
        assert_eq!(fix["notes"].as_array().unwrap().len(), budgets.len(), "{fix}");
    }
}

#[test]
fn nothing_is_to_be_fixed_about_an_object_that_has_ended() {
    let folder = Folder::new(&[]);
    let check = |scene: &Scene, object: &str| {
        let run = scene.server().run_command(&folder, &format!("why {object} --check"));
        (run.code, run.out)
    };
    let job = "/apis/batch/v1/namespaces/shop/jobs/web";
    let scene = |scheduler: &str| {
        let volumes = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
        let object = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "c"}, "spec": {"template": {"spec": {"volumes": volumes}}}});
        let mut scene = Scene::new("Job", "web", "7").mounting(scheduler).with(job, object);
        scene.object(POD)["metadata"]["ownerReferences"][0]["apiVersion"] = "batch/v1".into();
        scene.objects.push(("/api/v1/namespaces/shop/pods", list(&[])));
        scene
    };
    for object in ["pod/web-0", "job/web"] {
        let (code, text) = check(&scene("default-scheduler"), object);
        assert_eq!(
            (code, text.contains("✗ on default-scheduler, should be on stork   missed\n")),
            (Some(4), true),
            "{text}"
        );
    }
    let deleted =
        ("it is being deleted", "/metadata/deletionTimestamp", json!("2026-11-30T09:00:00Z"), "pod/web-0", POD);
    let ended = |phase: &str| ("it has ended (phase ", "/status/phase", json!(phase), "pod/web-0", POD);
    let complete = |kind: &str| {
        ("it has ended (condition ", "/status/conditions", json!([{"type": kind, "status": "True"}]), "job/web", job)
    };
    for (evidence, pointer, value, object, path) in
        [deleted, ended("Succeeded"), ended("Failed"), complete("Complete"), complete("Failed")]
    {
        let mut ended = scene("default-scheduler");
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = parent.trim_start_matches('/');
        ended.object(path)[parent][key] = value.clone();
        let (code, text) = check(&ended, object);
        assert_eq!((code, text.contains("   - on default-scheduler   ended\n")), (Some(0), true), "{text}");
        assert!(text.contains(evidence) && text.contains("otherwise, the verdict would be missed\n"), "{text}");
        assert!(!text.contains("  fix  "), "{text}");
        // One whose scheduler is the expected one keeps its verdict.
        if object == "pod/web-0" {
            let mut fine = scene("stork");
            fine.object(path)[parent][key] = value;
            assert!(check(&fine, object).1.contains("   ✔ on stork   as-expected\n"));
        }
    }
}

#[test]
fn an_object_is_named_by_one_word_or_two() {
    let (scene, folder) = (Scene::stateful_set(3, "web-7", "yunikorn"), Folder::new(&[("colocate.yaml", "{}")]));
    let server = scene.server();
    let run = |arguments: &str| server.run_command(&folder, arguments);
    let one = run("why pod/web-0");
    assert!(one.out.starts_with("Pod shop/web-0   ✔ on yunikorn   as-expected\n"), "{}{}", one.out, one.err);
    assert_eq!(run("why pod web-0").out, one.out);
    server.asked();
    for (arguments, message) in [
        ("why pod/web-0 web-1", "`pod/web-0` and `web-1` are two objects: use KIND/NAME or KIND NAME"),
        ("why web-0", "`web-0` is not an object: use KIND/NAME or KIND NAME"),
        ("why pod_x web-0", "`pod_x` is not the name of a kind"),
        // The file has all kinds of custom workloads.
        ("why node/a --config colocate.yaml", "`node` is not a kind that can be explained: use one of po, deploy,"),
    ] {
        let run = run(arguments);
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{arguments}: {}", run.err);
        assert!(run.err.contains(message), "{arguments}: {}", run.err);
        assert_eq!(server.asked(), [""; 0], "{arguments}");
    }
    // The configuration of the cluster may have more kinds.
    assert_eq!(run("why node/a").code, Some(2));
    assert!(!server.asked().is_empty());
}

#[test]
fn a_server_that_does_not_answer_is_named_with_its_context() {
    let folder = Folder::new(&[]);
    let volume = json!({"name": "a", "persistentVolumeClaim": {"claimName": "a"}});
    let manifest = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"volumes": [volume]}});
    let manifest = manifest.to_string();
    let contexts = ["west", "east"].map(|name| json!({"name": name, "context": {"cluster": "c", "user": "u"}}));
    // Nothing listens on this port.
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "west",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": contexts,
    });
    std::fs::write(folder.path("kubeconfig"), kubeconfig.to_string()).unwrap();
    for (arguments, context) in [
        ("why pod/a", "west"),
        ("why pod/a --context east", "east"),
        ("audit", "west"),
        ("audit --context east", "east"),
        ("release", "west"),
        ("mutate - --cluster", "west"),
    ] {
        let run = folder.run_with(arguments, &manifest);
        assert_eq!(run.code, Some(1), "{arguments}: {}{}", run.out, run.err);
        let server = format!("(server http://127.0.0.1:1 of context {context})\n");
        assert!(run.err.contains(&server), "{arguments}: {}", run.err);
    }
}
