//! The exclusion of pods by a part of the webhook configuration.

use std::time::Instant;

use colocate_harness::{PORTWORX_CLASS, WAIT_TIMEOUT, pair};
use serde_json::{Value, json};

use super::scene::{APPS, EXCLUDED, Scene, create_pod_with_claim, delete_pod, last_write, wait_until_after};

/// The label of the pods that the configuration excludes.
const SKIPPED: &str = "colocate.test/skipped";

impl Scene<'_> {
    pub(super) fn explains_a_pod_that_is_not_sent(&self) {
        create_pod_with_claim(&self.excluded, "excluded");
        // No release is for this namespace, so the configuration names the one to ask about.
        let file = self.file("why.yaml", &self.config());
        let answer = self.ask_with(EXCLUDED, "pod/excluded", &["--config", &file]);
        assert_eq!(answer.verdict(), "not-sent");
        let selector = "the selector requires `kubernetes.io/metadata.name in (why, why-contested)`";
        assert!(answer.evidence().contains(selector), "{}", answer.evidence());
    }

    /// A rule, object selectors and match conditions, each of which excludes pods for a while.
    pub(super) fn explains_pods_that_a_part_of_the_configuration_excluded(&self) {
        let rules =
            json!([{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["UPDATE"]}]);
        let absent = json!({"matchExpressions": [{"key": SKIPPED, "operator": "DoesNotExist"}]});
        let selector = json!({"matchLabels": {"colocate.test/sent": "yes"}});
        let never = json!([{"name": "sent", "expression": "object.spec.restartPolicy=='Never'"}]);
        let annotated = json!([{"name": "sent", "expression": "has(object.metadata.annotations)"}]);
        let by_label = format!("the selector requires `!{SKIPPED}`, and the label is `{SKIPPED}=yes`");
        let by_condition = "the match condition `sent` is false";
        self.excludes("by-label", "objectSelector", &absent, "not-sent", &format!("zz-explained: {by_label}"));
        let certain = format!("zz-explained: {by_condition}");
        self.excludes("by-condition", "matchConditions", &never, "not-sent", &certain);
        // What was removed since then left no time.
        for (name, field, value, why) in [
            ("by-rule", "rules", rules, "a rule may have been removed from zz-explained"),
            (
                "by-selector",
                "objectSelector",
                selector,
                "label `colocate.test/sent` may have been removed from the object",
            ),
            (
                "by-annotation",
                "matchConditions",
                annotated,
                "the match condition `sent` may read a label or an annotation",
            ),
        ] {
            self.excludes(name, field, &value, "missed", why);
        }
        // The configuration was written since then, so that it may have been another one.
        let answer = self.ask(APPS, "pod/by-rule");
        assert_eq!(answer.verdict(), "missed");
        let file = self.file("why.yaml", &self.config());
        let answer = self.ask_with(EXCLUDED, "pod/excluded", &["--config", &file]);
        assert_eq!(answer.verdict(), "missed");
        let evidence = answer.evidence();
        assert!(evidence.contains("it would not be sent now (zz-explained: the selector requires"), "{evidence}");
        assert!(evidence.contains("zz-explained changed at"), "{evidence}");
        // A new pod would not be sent either.
        let fix = &answer.json["fix"];
        assert!(fix["advice"].as_str().expect("an advice").contains("Change the named rule"), "{fix}");
        assert_eq!(fix["command"], Value::Null);
    }

    /// Replaces a field of colocate's webhook for pods, creates a pod that it excludes, and restores the field.
    fn excludes(&self, name: &str, field: &str, value: &Value, verdict: &str, why: &str) {
        let apps = &self.apps;
        let configuration = format!("mutatingwebhookconfiguration/{}", self.release.configuration());
        let patch = |value: &Value| {
            let entries = apps.get(&configuration).0["webhooks"].take();
            let mut entries = entries.as_array().expect("a list").iter().enumerate();
            let (index, entry) =
                entries.find(|(_, entry)| entry["name"] == "pods.mutate.colocate").expect("an entry for pods");
            let target = format!("/webhooks/{index}/{field}");
            let patch = json!([{"op": "add", "path": target, "value": value}]).to_string();
            apps.run(&format!("patch {configuration} --type=json -p {}", patch.replace(' ', r"\u0020")));
            entry[field].clone()
        };
        apps.add_claim(name, PORTWORX_CLASS);
        let before = patch(value);
        wait_until_after(apps, &last_write(&apps.get(&format!("{configuration} --show-managed-fields"))));
        let began = Instant::now();
        let create = || {
            let mut pod = pair::pod(name);
            pod["metadata"]["labels"] = json!({SKIPPED: "yes"});
            apps.kubectl().feed("create -f -", &pod.to_string());
            apps.get(&format!("pod/{name}")).scheduler().to_owned()
        };
        while create() != "default-scheduler" {
            assert!(began.elapsed() < WAIT_TIMEOUT, "the API server does not know {field}");
            delete_pod(apps, name);
        }
        let answer = self.ask(APPS, &format!("pod/{name}"));
        assert_eq!(answer.verdict(), verdict, "{name}: {}", answer.evidence());
        assert!(answer.evidence().contains(why), "{name}: {}", answer.evidence());
        assert_eq!(answer.json["fix"]["command"], Value::Null);
        patch(&before);
        self.release.wait_until_called(APPS);
    }
}
