//! The absence of colocate, shown by Events or by the endpoints of its Service.

use colocate_harness::{Account, Object, PORTWORX_CLASS};
use serde_json::{Value, json};

use super::answer::why;
use super::permissions::READER;
use super::scene::{APPS, Scene, create_after, create_pod, delete_pod, last_write, wait_until_after};

/// The Events about the sizes of the `ReplicaSets` of a Deployment.
const SCALINGS: &str = "events --field-selector=reason=ScalingReplicaSet";

impl Scene<'_> {
    /// The Events about the scaling have expired, and the Service shows that colocate has been away since then.
    pub(super) fn explains_an_absence_by_the_endpoints_of_the_service(&self) {
        let (apps, home) = (&self.apps, self.release.namespace());
        let service = self.release.full_name();
        let configuration = format!("mutatingwebhookconfiguration/{}", self.release.configuration());
        let count = apps.get(&configuration).0["webhooks"].as_array().expect("a list").len();
        let reference = json!({"service": {"namespace": home.name(), "name": service, "path": "/mutate"}});
        let patches = (0..count).map(|index| {
            let path = format!("/webhooks/{index}");
            let config = format!("{path}/clientConfig");
            json!([
                {"op": "add", "path": config, "value": reference},
                {"op": "add", "path": format!("{path}/timeoutSeconds"), "value": 1},
            ])
        });
        let patch: Vec<Value> = patches.flat_map(|patch| patch.as_array().cloned().unwrap_or_default()).collect();
        apps.run(&format!("patch {configuration} --type=json -p {}", json!(patch)));
        let slices = format!("endpointslices -l kubernetes.io/service-name={service} --show-managed-fields");
        let is_ready = |slice: &Object| slice.0["endpoints"][0]["conditions"]["ready"] == true;
        home.kubectl().watch(&slices, |slice| is_ready(&slice).then_some(()));
        self.scale(0);
        let away = home.kubectl().watch(&slices, |slice| {
            slice.0["endpoints"].as_array().is_none_or(Vec::is_empty).then(|| last_write(&slice))
        });
        home.run("delete events --all");
        apps.add_claim("unreachable", PORTWORX_CLASS);
        wait_until_after(apps, &away);
        create_pod(apps, "unreachable");
        let answer = self.ask(APPS, "pod/unreachable");
        assert_eq!(answer.verdict(), "colocate-away", "{}", answer.evidence());
        let evidence = format!("Service explained/{service} has had no ready endpoint since {away} (EndpointSlices)");
        assert!(answer.evidence().contains(&evidence), "{}", answer.evidence());
        let rules: Vec<_> = READER.iter().filter(|rule| !rule.is_on("endpointslices")).cloned().collect();
        let account = Account::new(self.control_plane, APPS, "without-endpoints", &rules);
        let answer = why(account.kubeconfig(), APPS, "pod/unreachable", &["--strict"]);
        assert_eq!((answer.verdict(), answer.code), ("missed", Some(3)));
    }

    pub(super) fn explains_a_pod_that_was_created_while_colocate_was_away(&self) {
        let apps = &self.apps;
        self.scale(0);
        // The process still answers while it drains.
        self.release.kubelet().wait_until_all_have_ended();
        // The Event is written after the replicas were removed.
        let last = self.release.namespace().kubectl().watch(SCALINGS, |event| {
            let message = event.text("/message");
            let is_last = message.starts_with("Scaled down") && message.split(' ').any(|word| word == "0");
            is_last.then(|| event.text("/lastTimestamp").to_owned())
        });
        apps.add_claim("away", PORTWORX_CLASS);
        create_after(apps, "pod/away", &last, || drop(create_pod(apps, "away")), || delete_pod(apps, "away"));
        // The next replica must be younger than the pod.
        wait_until_after(apps, apps.get("pod/away").text("/metadata/creationTimestamp"));
        self.scale(1);
        let answer = self.ask(APPS, "pod/away");
        assert_eq!(answer.verdict(), "colocate-away", "{}", answer.evidence());
        assert!(answer.evidence().contains(&format!("no replica of colocate was ready from {last}")));
    }
}
