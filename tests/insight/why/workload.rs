//! Workloads whose templates explain the scheduler of their pods.

use colocate_harness::{OTHER_CLASS, PORTWORX_CLASS, pair};
use serde_json::json;

use super::scene::{APPS, Scene, create_workload, pod_of};

impl Scene<'_> {
    pub(super) fn explains_a_template_that_was_injected_earlier(&self) {
        let apps = &self.apps;
        apps.add_claim("moved", PORTWORX_CLASS);
        create_workload(apps, "Deployment", "moved", "moved");
        let moved = pod_of(apps, "moved");
        assert_eq!(self.ask(APPS, &format!("pod/{moved}")).verdict(), "as-expected");
        let workload = self.ask(APPS, "deploy/moved");
        assert_eq!((workload.verdict(), &workload.json["pods"][0]["name"]), ("as-expected", &json!(moved)));
        // The data moves to another driver.
        apps.remove_claim("moved");
        apps.run("wait --for=delete pvc/moved --timeout=60s");
        apps.kubectl().feed("create -f -", &claim("moved", OTHER_CLASS));
        let answer = self.ask(APPS, &format!("pod/{moved}"));
        assert_eq!(answer.verdict(), "injected-earlier");
        assert!(answer.evidence().contains("names stork, and its source does not"));
        assert_eq!(self.ask(APPS, "deployment.apps/moved").verdict(), "injected-earlier");
    }

    /// The `StatefulSet` does not replace its pod, and its `ControllerRevision` has the template that the pod was made from.
    pub(super) fn explains_a_pod_by_an_earlier_template(&self) {
        let apps = &self.apps;
        let labels = json!({"app": "revised"});
        let mut spec = pair::pod("revised")["spec"].clone();
        spec["schedulerName"] = "yunikorn".into();
        spec["volumes"] = json!([]);
        spec["containers"][0]["volumeMounts"] = json!([]);
        let set = json!({
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "revised"},
            "spec": {
                "serviceName": "revised",
                "updateStrategy": {"type": "OnDelete"},
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        });
        apps.apply(&set.to_string());
        let pod = pod_of(apps, "revised");
        assert_eq!((&*pod, self.ask(APPS, "pod/revised-0").verdict()), ("revised-0", "as-expected"));
        let patch = json!({"spec": {"template": {"spec": {"schedulerName": "default-scheduler"}}}});
        apps.run(&format!("patch statefulset revised --type=merge -p {patch}"));
        apps.run("wait --for=jsonpath={.status.observedGeneration}=2 statefulset/revised --timeout=60s");
        let answer = self.ask_with(APPS, "pod/revised-0", &["--strict"]);
        assert_eq!((answer.verdict(), answer.code), ("as-expected", Some(0)), "{}", answer.evidence());
        assert!(answer.json["seen"].to_string().contains("controllerrevisions.apps"), "{}", answer.json["seen"]);
    }

    pub(super) fn explains_a_custom_workload_and_what_its_operator_changed(&self) {
        let apps = &self.apps;
        apps.add_claim("thing", PORTWORX_CLASS);
        let thing = json!({
            "apiVersion": "example.test/v1",
            "kind": "Thing",
            "metadata": {"name": "thing"},
            "spec": {"template": {"spec": pair::pod("thing")["spec"]}},
        });
        apps.apply(&thing.to_string());
        let thing = apps.get("thing/thing");
        let owner = json!({
            "apiVersion": "example.test/v1",
            "kind": "Thing",
            "name": "thing",
            "uid": thing.uid(),
            "controller": true,
        });
        let create = |name: &str, scheduler: &str| {
            let mut pod = pair::pod("thing");
            pod["metadata"] = json!({"name": name, "ownerReferences": [owner]});
            pod["spec"]["schedulerName"] = scheduler.into();
            apps.kubectl().feed("create -f - --field-manager=thing-operator", &pod.to_string());
        };
        create("thing-0", thing.scheduler());
        create("thing-1", "yunikorn");
        let answer = self.ask(APPS, "things.example.test/thing");
        assert_eq!((answer.verdict(), &answer.json["object"]["kind"]), ("as-expected", &json!("Thing")));
        let pods = answer.json["pods"].as_array().expect("a list");
        let verdict = |name: &str| {
            let pod = pods.iter().find(|pod| pod["name"] == name).expect("the pod is listed");
            (pod["verdict"].as_str().expect("a word"), pod["differsFromTemplate"].as_bool().expect("a boolean"))
        };
        assert_eq!(verdict("thing-0"), ("as-expected", false));
        assert_eq!(verdict("thing-1"), ("set-by-another", true));
        let evidence = self.ask(APPS, "pod/thing-1").evidence();
        let names = format!("the template of Thing thing names {}, and the pod yunikorn", thing.scheduler());
        assert!(evidence.contains(&names), "{evidence}");
        assert!(evidence.contains("no other webhook is called for it, and thing-operator created it"), "{evidence}");
    }
}

/// The manifest of a claim without a volume.
fn claim(name: &str, class: &str) -> String {
    let mut claim = pair::claim(name);
    claim["spec"]["storageClassName"] = class.into();
    claim.to_string()
}
