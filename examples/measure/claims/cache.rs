//! The time in which a fresh colocate caches every claim, and its resident memory then.

use std::path::Path;
use std::time::Duration;

use anyhow::{bail, ensure};
use bytes::Bytes;
use colocate::probe::{Client, Verdict};
use colocate_harness::NumberedClaim;
use serde_json::json;
use tokio::runtime;

use crate::figure::{median, megabytes, seconds};
use crate::server::{PATIENCE, Server, wait};

/// The number of starts.
const STARTS: usize = 3;

/// The interval between two questions about a relist, whose time is not measured.
const TICK: Duration = Duration::from_millis(50);

const UID: &str = "00000000-0000-4000-8000-000000000000";

/// The measurements of several servers with the same claims.
pub(crate) struct Cache {
    /// The median time from the start of the process until it is ready.
    pub(crate) sync: Duration,
    /// The largest resident memory of an idle, ready server, in bytes.
    pub(crate) resident: u64,
    /// The last server, which is still running.
    server: Server,
}

impl Cache {
    /// Starts several servers, one after another. `witness` is a Portworx claim that a ready server must know.
    pub(crate) fn measure(kubeconfig: &Path, witness: &NumberedClaim) -> anyhow::Result<Self> {
        let (mut times, mut resident, mut last) = (Vec::new(), 0, None);
        for start in 1..=STARTS {
            // The previous server must have exited before the next one starts.
            drop(last.take());
            let server = Server::start(&[], |command| {
                command.env("KUBECONFIG", kubeconfig);
            })?;
            let time = server.wait_until_ready()?;
            ensure!(knows(&server, witness)?, "colocate is ready but does not know {witness:?}");
            let memory = server.resident_at_rest()?;
            eprintln!("  start {start} of {STARTS}: {}, {}", seconds(time), megabytes(memory));
            resident = resident.max(memory);
            times.push(time);
            last = Some(server);
        }
        let Some(server) = last else { bail!("no server was started") };
        Ok(Self { sync: median(times), resident, server })
    }

    /// Returns the resident memory of the last server in bytes, after it has listed the claims again and is idle. The relist
    /// is complete when the server no longer knows the Portworx claim `gone`, which is not in the new list.
    pub(crate) fn resident_without(&self, gone: &NumberedClaim) -> anyhow::Result<u64> {
        wait(TICK, || Ok(!knows(&self.server, gone)?))?;
        self.server.resident_at_rest()
    }
}

/// Returns true if a server knows this Portworx claim. Such a server patches a Deployment that uses the claim.
fn knows(server: &Server, claim: &NumberedClaim) -> anyhow::Result<bool> {
    let client = Client::new(server.url().parse()?, &server.authority()?, PATIENCE)?;
    let review = Bytes::from(review(claim));
    let answer = runtime::Builder::new_current_thread().enable_all().build()?.block_on(client.ask(review))?;
    Ok(Verdict::read(&answer, UID)?.changes() == 1)
}

/// Returns the review of a new Deployment, because a review of a Pod would wait for a missing claim.
fn review(claim: &NumberedClaim) -> String {
    let NumberedClaim { namespace, name, .. } = claim;
    let pod = json!({
        "containers": [{"name": "main", "image": "example.test/main:1"}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}],
    });
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "witness", "namespace": namespace},
        "spec": {"selector": {"matchLabels": {"app": "witness"}}, "template": {"metadata": {"labels": {"app": "witness"}}, "spec": pod}},
    });
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": UID,
            "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "namespace": namespace,
            "name": "witness",
            "operation": "CREATE",
            "userInfo": {"username": "bench-claims"},
            "object": deployment,
            "oldObject": null,
            "dryRun": false,
        },
    });
    review.to_string()
}
