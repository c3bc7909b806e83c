//! How long a fresh colocate takes to know every claim, and the memory that it has then.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use bytes::Bytes;
use colocate::probe::{Client, Verdict};
use colocate_harness::NumberedClaim;
use serde_json::json;
use tokio::runtime;

use super::{median, seconds};
use crate::server::Server;
use crate::table::megabytes;

/// How often each is started.
const STARTS: usize = 3;

/// How exactly the time is taken.
const TICK: Duration = Duration::from_millis(5);

/// Longer than any of it takes.
const PATIENCE: Duration = Duration::from_mins(10);

/// How far apart two readings of its memory are that have to be equal. An idle server does nothing in between, but its
/// allocator may still give pages back.
const REST: Duration = Duration::from_secs(1);

/// How many such readings there are at most.
const RESTS: usize = 60;

const UID: &str = "00000000-0000-4000-8000-000000000000";

/// What servers with the same claims were found to need.
pub(crate) struct Cache {
    /// From the start of the process until it says that it is ready; the median.
    pub(crate) sync: Duration,
    /// The most that one of them had in RAM when it was ready and at rest, in bytes.
    pub(crate) resident: u64,
    /// The last of them, which runs.
    server: Server,
}

impl Cache {
    /// Starts servers one after the other. `witness` is a claim of Portworx that they have to know when they are ready.
    pub(crate) fn measure(kubeconfig: &Path, witness: &NumberedClaim) -> anyhow::Result<Self> {
        let (mut times, mut resident, mut last) = (Vec::new(), 0, None);
        for start in 1..=STARTS {
            // The one before has ended before the next one begins.
            drop(last.take());
            let server = Server::start(&[], |command| {
                command.env("KUBECONFIG", kubeconfig);
            })?;
            wait(TICK, || server.is_ready())?;
            let time = server.age();
            ensure!(knows(&server, witness)?, "colocate is ready and does not know {witness:?}");
            let memory = at_rest(&server)?;
            eprintln!("  start {start} of {STARTS}: {}, {}", seconds(time), megabytes(memory));
            resident = resident.max(memory);
            times.push(time);
            last = Some(server);
        }
        let Some(server) = last else { bail!("nothing was started") };
        Ok(Self { sync: median(times), resident, server })
    }

    /// The memory that the last one has in RAM, in bytes, when it has listed again and is at rest: which is when it does not
    /// know `gone` any more, a claim of Portworx that it knew and that is not in the new list.
    pub(crate) fn resident_without(&self, gone: &NumberedClaim) -> anyhow::Result<u64> {
        wait(10 * TICK, || Ok(!knows(&self.server, gone)?))?;
        at_rest(&self.server)
    }
}

fn wait(between: Duration, mut reached: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let began = Instant::now();
    while !reached()? {
        ensure!(began.elapsed() < PATIENCE, "colocate did not get there within {PATIENCE:?}");
        sleep(between);
    }
    Ok(())
}

/// The memory of a server when two readings are the same.
fn at_rest(server: &Server) -> anyhow::Result<u64> {
    let mut before = server.resident()?;
    for _ in 0..RESTS {
        sleep(REST);
        let now = server.resident()?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
    bail!("colocate's memory did not come to rest within {RESTS} readings")
}

/// Whether a server knows this claim of Portworx: it then changes a Deployment that uses it.
fn knows(server: &Server, claim: &NumberedClaim) -> anyhow::Result<bool> {
    let client = Client::new(server.url().parse()?, &server.authority()?, PATIENCE)?;
    let review = Bytes::from(review(claim));
    let answer = runtime::Builder::new_current_thread().enable_all().build()?.block_on(client.ask(review))?;
    Ok(Verdict::read(&answer, UID)?.changes() == 1)
}

/// A new Deployment, since nobody waits for the claims of one: its pods will.
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
