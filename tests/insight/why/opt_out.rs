//! Opt-outs of pods, controllers and Namespaces, and the eviction that ends their effect.

use std::process::Command;
use std::time::Instant;

use colocate_harness::{PORTWORX_CLASS, WAIT_TIMEOUT};
use serde_json::json;

use super::scene::{APPS, Scene, create_pod, create_workload, delete_pod, pod_of};

const OPT_OUT: &str = "stork.libopenstorage.org/disableHyperconvergence";
const NAMESPACE_OPT_OUT: &str = "stork.libopenstorage.org/disable-admission-controller";

impl Scene<'_> {
    pub(super) fn explains_opt_outs(&self) {
        let apps = &self.apps;
        apps.run(&format!("annotate pod/after {OPT_OUT}=true"));
        let answer = self.ask(APPS, "pod/after");
        assert_eq!(answer.verdict(), "opted-out-later");
        assert!(answer.evidence().contains(&format!("kubectl-annotate added {OPT_OUT} after the pod was created")));

        apps.add_claim("daemon", PORTWORX_CLASS);
        create_workload(apps, "DaemonSet", "daemon", "daemon");
        let answer = self.ask(APPS, &format!("pod/{}", pod_of(apps, "daemon")));
        assert_eq!(answer.verdict(), "owner-opted-out");
    }

    /// The Namespace opts out for a while, which nothing records.
    pub(super) fn explains_a_pod_that_was_missed(&self) {
        let apps = &self.apps;
        apps.run(&format!("label namespace {APPS} {NAMESPACE_OPT_OUT}=true"));
        apps.add_claim("missed", PORTWORX_CLASS);
        let began = Instant::now();
        while create_pod(apps, "missed") != "default-scheduler" {
            assert!(began.elapsed() < WAIT_TIMEOUT, "the API server does not know the label");
            delete_pod(apps, "missed");
        }
        apps.add_claim("evicted", PORTWORX_CLASS);
        create_workload(apps, "Deployment", "evicted", "evicted");
        let evicted = apps.running_pod("-l app=evicted").name().to_owned();
        let answer = self.ask(APPS, "pod/missed");
        assert_eq!((answer.verdict(), &answer.json["reason"]), ("as-expected", &json!("namespace-opted-out")));
        assert!(answer.evidence().contains(&format!("its Namespace opts out by the label {NAMESPACE_OPT_OUT}")));
        apps.run(&format!("label namespace {APPS} {NAMESPACE_OPT_OUT}-"));
        let answer = self.ask(APPS, "pod/missed");
        assert_eq!(answer.verdict(), "missed");
        assert!(answer.evidence().contains("has been ready since"), "{}", answer.evidence());
        // The template has the default scheduler, too, and its newest pod differs from it once it is created again.
        let workload = self.ask(APPS, "deploy/evicted");
        assert_eq!(workload.json["pods"][0]["differsFromTemplate"], false);
        // The API server learns of the label late.
        self.release.wait_until_called(APPS);
        self.fixes_by_an_eviction(&evicted);
    }

    /// The fix is a command that works as it is printed, within the budget.
    fn fixes_by_an_eviction(&self, evicted: &str) {
        let apps = &self.apps;
        apps.run("create poddisruptionbudget evicted --selector=app=evicted --max-unavailable=1");
        apps.run("wait --for=jsonpath={.status.disruptionsAllowed}=1 poddisruptionbudget/evicted --timeout=60s");
        let answer = self.ask(APPS, &format!("pod/{evicted}"));
        assert_eq!(answer.verdict(), "missed");
        let fix = &answer.json["fix"];
        assert_eq!(fix["notes"], json!(["PodDisruptionBudget why/evicted allows 1 disruption now"]));
        let command = fix["command"].as_str().expect("the fix has a command");
        assert!(answer.text.contains(&format!("             {command}\n")), "the command is one line");
        let shell = Command::new("sh")
            .args(["-c", command])
            .env("KUBECONFIG", self.control_plane.kubeconfig())
            .env("PATH", format!("{}:/usr/bin:/bin", self.control_plane.programs.display()))
            .output()
            .expect("sh runs");
        assert!(shell.status.success(), "{}", String::from_utf8_lossy(&shell.stderr));
        let next =
            apps.kubectl().watch("pods -l app=evicted", |pod| (pod.name() != evicted && pod.runs()).then_some(pod));
        assert_eq!(next.scheduler(), "stork");
        assert_eq!(self.ask(APPS, &format!("pod/{}", next.name())).verdict(), "as-expected");
        let workload = self.ask(APPS, "deploy/evicted");
        let newest = &workload.json["pods"][0];
        assert_eq!((&newest["name"], &newest["differsFromTemplate"]), (&json!(next.name()), &json!(true)));
        assert!(workload.text.contains("stork (not the template's)"), "{}", workload.text);
    }
}
