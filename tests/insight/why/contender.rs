//! A second webhook, which changes what colocate has set.

use colocate_harness::{Colocate, Namespaces, PORTWORX_CLASS};
use serde_json::json;

use super::scene::{CONTESTED, Scene, create_workload, pod_of};

/// The configuration of the second webhook.
const CONTENDER: &str = "mutatingwebhookconfiguration/zz-colocate-why-contested";

impl Scene<'_> {
    pub(super) fn explains_a_pod_that_another_webhook_changed(&self) {
        let contested = &self.contested;
        let config = "templates: leave\nreplaceableSchedulers: [default-scheduler, stork]\n\
                      drivers: [{name: other, provisioners: [pxd.portworx.com], scheduler: other-scheduler}]\n";
        let other = Colocate::start(self.control_plane, CONTESTED, config);
        other.admit(contested.kubectl(), Namespaces::Only(&[CONTESTED]));
        contested.add_claim("taken", PORTWORX_CLASS);
        create_workload(contested, "Deployment", "taken", "taken");
        let answer = self.ask(CONTESTED, &format!("pod/{}", pod_of(contested, "taken")));
        assert_eq!(answer.verdict(), "set-by-another");
        let evidence = answer.evidence();
        assert!(evidence.contains("names stork, and the pod other-scheduler"), "{evidence}");
        assert!(evidence.contains("zz-colocate-why-contested (mutate.colocate.test)"), "{evidence}");
        assert!(!evidence.contains("zz-explained"), "{evidence}");

        // What a live object does not show is not guessed.
        let condition = r#"[{"name":"user","expression":"request.userInfo.username!=''"}]"#;
        let patch = format!(r#"[{{"op":"add","path":"/webhooks/0/matchConditions","value":{condition}}}]"#);
        contested.run(&format!("patch {CONTENDER} --type=json -p {patch}"));
        let answer = self.ask(CONTESTED, &format!("pod/{}", pod_of(contested, "taken")));
        let rows = answer.json["webhooks"].as_array().expect("a list");
        let row = rows.iter().find(|row| row["configuration"] == "zz-colocate-why-contested").expect("it has a row");
        let cause = "the match condition `user` uses `request.userInfo`";
        assert_eq!(row["called"], json!({"answer": "not-evaluated", "cause": cause}));
        assert_eq!(answer.verdict(), "set-by-another");
        assert!(answer.text.contains("  ? 0 of 1  "), "{}", answer.text);
    }
}
