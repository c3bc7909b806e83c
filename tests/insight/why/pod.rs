//! Pods whose claims and creation explain their scheduler.

use colocate_harness::{PORTWORX_CLASS, pair};
use serde_json::json;

use super::scene::{APPS, Scene, create_after, create_pod_with_claim};

const RESTORED: &str = "stork.libopenstorage.org/restore-in-progress";
const LOCAL_ONLY: &str = "stork.libopenstorage.org/preferLocalNodeOnly";
const REMOTE_ONLY: &str = "stork.libopenstorage.org/preferRemoteNodeOnly";

impl Scene<'_> {
    pub(super) fn explains_a_pod_from_before_colocate(&self) {
        let answer = self.ask(APPS, "pod/before");
        assert_eq!(answer.verdict(), "before-colocate");
        let first = "Pod why/before   ✗ on default-scheduler, should be on stork   before-colocate\n";
        assert!(answer.text.starts_with(first), "{}", answer.text);
        assert!(answer.evidence().contains("MutatingWebhookConfiguration zz-explained was created later"));
        let claim = &answer.json["claims"][0];
        assert_eq!([&claim["class"], &claim["provisioner"]], [&json!("px-db"), &json!("pxd.portworx.com")]);
        assert_eq!(claim["from"], "class, annotation of the claim");
        let again = self.ask_with(APPS, "pod/before", &["--dry-run", "--check", "--strict"]);
        assert_eq!((again.code, &again.json["dryRun"]["scheduler"]), (Some(4), &json!("stork")));
        // The configuration decides.
        let config = self.config();
        let config = config.lines().filter(|line| !line.starts_with("mode:"));
        let config = config.fold("mode: audit\n".to_owned(), |all, line| all + line + "\n");
        let file = self.file("why-audit.yaml", &config);
        assert_eq!(self.ask_with(APPS, "pod/before", &["--config", &file]).verdict(), "audit-mode");
    }

    /// Someone deletes the configuration to stop colocate, and creates it again. It is the last step.
    pub(super) fn explains_a_pod_from_before_a_new_configuration(&self) {
        let apps = &self.apps;
        let name = format!("mutatingwebhookconfiguration/{}", self.release.configuration());
        let mut configuration = apps.get(&name);
        apps.run(&format!("delete {name}"));
        let answer = self.ask(APPS, "pod/missed");
        assert_eq!(answer.verdict(), "missed");
        let evidence = "there is no MutatingWebhookConfiguration zz-explained now";
        assert!(answer.evidence().contains(evidence), "{}", answer.evidence());
        assert!(answer.json["fix"]["command"].is_null(), "{}", answer.json["fix"]);
        let metadata = configuration.0["metadata"].as_object_mut().expect("an object");
        metadata.retain(|key, _| ["name", "labels", "annotations"].contains(&key.as_str()));
        apps.kubectl().feed("create -f -", &configuration.0.to_string());
        let answer = self.ask(APPS, "pod/missed");
        assert_eq!(answer.verdict(), "missed");
        assert!(answer.evidence().contains("has existed since"), "{}", answer.evidence());
        assert_eq!(self.ask(APPS, "pod/before").verdict(), "before-colocate");
    }

    /// It ends the pod from before colocate.
    pub(super) fn explains_a_pod_that_has_ended(&self) {
        self.apps.run("patch pod before --subresource=status --type=merge -p {\"status\":{\"phase\":\"Succeeded\"}}");
        let answer = self.ask_with(APPS, "pod/before", &["--check"]);
        assert_eq!((answer.verdict(), answer.code), ("ended", Some(0)));
        assert!(answer.evidence().contains("the verdict would be before-colocate"), "{}", answer.evidence());
        assert!(answer.json["fix"].is_null(), "{}", answer.json["fix"]);
    }

    pub(super) fn explains_a_pod_that_is_as_expected(&self) {
        create_pod_with_claim(&self.apps, "after");
        let answer = self.ask(APPS, "po/after");
        assert_eq!((answer.verdict(), answer.code), ("as-expected", Some(0)));
        let own = answer.json["webhooks"].as_array().expect("a list").iter().find(|row| row["colocate"] == true);
        let own = own.expect("colocate's webhook has a row");
        assert_eq!((&own["called"]["answer"], &own["failurePolicy"]), (&json!("yes"), &json!("Ignore")));
        assert_eq!(own["conditionsTrue"], own["conditionsTotal"]);
        assert!(own["conditionsTotal"].as_u64() >= Some(4), "{own}");
    }

    pub(super) fn explains_claims_that_came_later_or_never(&self) {
        let apps = &self.apps;
        for name in ["younger", "absent"] {
            apps.kubectl().feed("create -f -", &pair::pod(name).to_string());
        }
        let created = apps.get("pod/younger").text("/metadata/creationTimestamp").to_owned();
        let create = || apps.add_claim("younger", PORTWORX_CLASS);
        let remove = || {
            apps.remove_claim("younger");
            apps.run("delete pv/why-younger --wait=false");
        };
        create_after(apps, "pvc/younger", &created, create, remove);
        let answer = self.ask(APPS, "pod/younger");
        assert_eq!(answer.verdict(), "claim-younger");
        assert!(answer.evidence().contains("claim younger was created later"));
        // The scheduler says why it cannot bind the pod.
        apps.run("wait --for=condition=PodScheduled=False pod/absent --timeout=60s");
        let answer = self.ask(APPS, "pod/absent");
        assert_eq!(answer.verdict(), "unknown");
        assert!(answer.evidence().contains("claim `absent` does not exist"));
        assert_eq!(answer.json["pending"]["claims"], json!(["claim absent does not exist"]));
        assert!(answer.json["pending"]["lastMessage"].as_str().expect("a message").contains("absent"));
    }

    pub(super) fn explains_what_a_pending_pod_waits_for(&self) {
        let apps = &self.apps;
        let mut claim = pair::claim("waiting");
        claim["metadata"]["annotations"] = json!({RESTORED: "true", REMOTE_ONLY: "true"});
        let mut pod = pair::pod("waiting");
        pod["metadata"]["annotations"] = json!({LOCAL_ONLY: "true"});
        apps.kubectl().feed("create -f -", &format!("{claim}{pod}"));
        apps.run("wait --for=condition=PodScheduled=False pod/waiting --timeout=60s");
        let lease = |name: &str, renewed: &str| {
            json!({
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": name},
                "spec": {"holderIdentity": name, "renewTime": renewed},
            })
        };
        let leases = [lease("alive", "2099-01-01T00:00:00.000000Z"), lease("ended", "2026-01-01T00:00:00.000000Z")];
        apps.kubectl().feed("create -f -", &leases.map(|lease| lease.to_string()).concat());
        let leases = ["alive", "ended", "never"].map(|name| format!("{{name: {name}, namespaces: [{APPS}]}}"));
        let drivers =
            format!("drivers: [{{name: portworx, scheduler: {{name: stork, leases: [{}]}}}}]", leases.join(", "));
        let file = self.file("why-leases.yaml", &drivers);
        let answer = self.ask_with(APPS, "pod/waiting", &["--config", &file]);
        assert_eq!(answer.verdict(), "as-expected");
        let pending = &answer.json["pending"];
        let expected = [
            "stork is running: Lease why/alive was renewed at 2099-01-01T00:00:00Z",
            "stork is not running: Lease why/ended was last renewed at 2026-01-01T00:00:00Z",
            "stork has no Lease never in any namespace: it is not running, or it has no leader election",
        ];
        assert_eq!(pending["scheduler"], json!(expected));
        let restored = format!("claim waiting is being restored ({RESTORED})");
        assert_eq!(pending["claims"], json!(["claim waiting is Pending", restored]));
        let rules = [
            format!("{LOCAL_ONLY} of the pod: only nodes with a replica of each of its volumes"),
            format!("{REMOTE_ONLY} of claim waiting: only nodes without a replica, for a sharedv4 service volume"),
        ];
        assert_eq!(pending["nodeRestrictions"], json!(rules));
        let message = pending["lastMessage"].as_str().expect("a message");
        assert!(message.contains("unbound immediate PersistentVolumeClaims"), "{message}");
        for line in expected {
            assert!(answer.text.contains(line), "{}", answer.text);
        }
        // The Leases of the built-in driver may be in the namespace of colocate, which is known from the cluster.
        let built_in = self.ask(APPS, "pod/waiting");
        let scheduler = built_in.json["pending"]["scheduler"].to_string();
        assert!(scheduler.contains("stork is running: Lease kube-system/stork-scheduler"), "{scheduler}");
        assert!(scheduler.contains("Lease kube-system/stork was"), "{scheduler}");
    }
}
