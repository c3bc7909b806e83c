//! Changes of the webhook configurations, one after another, and the time for which each left an entry without its bundle.
//!
//! The times come from the audit log. They span from the arrival of the change to the end of colocate's patch. A witness
//! gives the baseline: it also sees the change through a watch, and then makes one request. Only the time in excess of the
//! baseline is due to colocate; the rest is due to the machine.

use std::time::Duration;

use colocate_harness::{Account, Api, Installation, Object, Rule, WAIT_TIMEOUT, Watch, bundles};
use jiff::SignedDuration;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::time::timeout;

use super::requests::{Request, account};

const GROUP: &str = "admissionregistration.k8s.io";

const RESOURCES: [&str; 2] = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];

/// The longest time for which an entry may lack its bundle.
const MOST: SignedDuration = SignedDuration::from_secs(1);

/// The account of the witness. It also writes the marks between two steps.
const WITNESS: &str = "witness";

/// The changes so far.
pub(super) struct Steps<'a> {
    installation: &'a Installation<'a>,
    names: Vec<String>,
    /// The bundle of all entries.
    bundle: Option<String>,
    api: Api,
    /// The last state of each configuration that the witness received.
    seen: [Receiver<Option<Object>>; 2],
    /// The runtime of the witness.
    runtime: Runtime,
}

/// An entry that was left without its bundle, or with another one, by one of the steps.
struct Gap {
    step: String,
    resource: &'static str,
    lasted: SignedDuration,
    witness: SignedDuration,
}

impl<'a> Steps<'a> {
    /// Starts recording. No configuration has been changed yet.
    pub(super) fn begin(installation: &'a Installation<'a>) -> Self {
        let name = installation.configuration_name();
        let look = RESOURCES.map(|resource| Rule::new(GROUP, resource, &["get", "list", "watch"]).named(&name));
        let mark = Rule::new("", "configmaps", &["create"]).in_own_namespace();
        let rules = [&look[..], &[mark]].concat();
        let witness_account = Account::new(installation.control_plane(), installation.home(), WITNESS, &rules);
        let runtime =
            Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime can be built");
        let api = runtime.block_on(Api::of(&witness_account));
        let seen = RESOURCES.map(|resource| {
            let list = format!("/apis/{GROUP}/v1/{resource}?fieldSelector=metadata.name%3D{name}");
            let watch = runtime.block_on(api.watch(&format!("{list}&watch=true")));
            let (sender, receiver) = channel(None);
            runtime.spawn(witness(api.clone(), list, watch, sender));
            receiver
        });
        Self { installation, names: Vec::new(), bundle: None, api, seen, runtime }
    }

    /// Makes a change, and waits until all entries have the same bundle as after the step before.
    pub(super) fn step<T>(&mut self, name: &str, change: impl FnOnce() -> T) {
        self.mark();
        self.names.push(name.to_owned());
        drop(change());
        for place in 0..RESOURCES.len() {
            self.wait_until_restored(place);
        }
    }

    /// Returns the bundle of all entries.
    pub(super) fn bundle(&self) -> &str {
        self.bundle.as_deref().expect("there was at least one step")
    }

    /// Returns the steps that removed a bundle or added an entry without one, each with its configuration (`m`, `v`). Asserts
    /// that none was missing for too long.
    pub(super) fn end(self) -> Vec<String> {
        self.mark();
        let gaps = self.gaps();
        println!("| {} | configuration | without the bundle | baseline |\n|---|---|---|---|", self.installation.home());
        for Gap { step, resource, lasted, witness } in &gaps {
            println!("| {step} | {resource} | {:.0} ms | {:.0} ms |", millis(*lasted), millis(*witness));
        }
        for Gap { step, resource, lasted, witness } in &gaps {
            assert!(*lasted < MOST + *witness, "{step}: {resource} was without its bundle for {lasted:#}");
        }
        self.runtime.shutdown_background();
        gaps.iter().map(|Gap { step, resource, .. }| format!("{step}: {}", &resource[..1])).collect()
    }

    /// Leaves a mark in the audit log, between two steps.
    fn mark(&self) {
        let home = self.installation.home();
        let mark = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": mark_name(self.names.len())}});
        let path = format!("/api/v1/namespaces/{home}/configmaps");
        let reply = self.runtime.block_on(self.api.create(&path, &mark));
        assert_eq!(reply.status, 201, "{reply:?}");
    }

    fn wait_until_restored(&mut self, place: usize) {
        let name = self.installation.configuration_name();
        let seen = &mut self.seen[place];
        let whole = self.runtime.block_on(async {
            let live = self.api.get(&path(RESOURCES[place], &name)).await;
            if live.status == 404 {
                return None;
            }
            let is_restored = |object: &Object| {
                version(object) >= version(&live.object)
                    && one_bundle(object)
                        .is_some_and(|bundle| self.bundle.as_ref().is_none_or(|first| *first == bundle))
            };
            let waited = seen.wait_for(|object| object.as_ref().is_some_and(is_restored));
            let object = timeout(WAIT_TIMEOUT, waited).await.map(|seen| seen.expect("the witness is running").clone());
            Some(object.unwrap_or_else(|_| panic!("{:?}: the bundle was not restored: {live:?}", self.names.last())))
        });
        if let Some(object) = whole.flatten() {
            self.bundle = one_bundle(&object);
        }
    }

    fn gaps(&self) -> Vec<Gap> {
        let mut requests = Request::until(self.installation.home(), &mark_name(self.names.len()));
        requests.sort_by_key(|request| request.answered);
        let mark = |number| requests.iter().position(|request| request.makes(&mark_name(number)));
        let mut gaps = Vec::new();
        for (number, step) in self.names.iter().enumerate() {
            let (begin, end) = mark(number).zip(mark(number + 1)).expect("each step has a mark");
            for resource in RESOURCES {
                gaps.extend(self.gap(step, resource, &requests[begin..end]));
            }
        }
        gaps
    }

    /// Returns the gap of a configuration in one step, or `None` if colocate did not have to restore anything.
    fn gap(&self, step: &str, resource: &'static str, in_step: &[Request]) -> Option<Gap> {
        let (home, name) = (self.installation.home(), self.installation.configuration_name());
        let (colocate, witness) = (account(home, "colocate"), account(home, WITNESS));
        let about = || in_step.iter().filter(|request| request.resource == resource && request.name == name);
        let repaired = about().rfind(|request| request.user == colocate && request.writes())?;
        let change = about().find(|request| request.user != colocate && request.writes());
        let change = change.expect("colocate only writes after another client has");
        let mut lists = about().filter(|request| request.user == witness && request.verb == "list");
        let witnessed = lists.find(|request| request.received >= change.received);
        let since_change = |request: &Request| request.answered.duration_since(change.received);
        Some(Gap {
            step: step.to_owned(),
            resource,
            lasted: since_change(repaired),
            witness: since_change(witnessed.expect("the witness makes a request after each change")),
        })
    }
}

/// Makes one request after each change that it receives. The request is a list, which no other client makes between two
/// steps.
async fn witness(api: Api, list: String, mut watch: Watch, seen: Sender<Option<Object>>) {
    while let Some((kind, object)) = watch.next().await {
        seen.send_replace((kind != "DELETED").then_some(object));
        api.get(&list).await;
    }
}

fn path(resource: &str, name: &str) -> String {
    format!("/apis/{GROUP}/v1/{resource}/{name}")
}

fn mark_name(number: usize) -> String {
    format!("step-{number}")
}

fn version(object: &Object) -> u64 {
    object.text("/metadata/resourceVersion").parse().unwrap_or_default()
}

/// Returns the bundle if all entries have the same one.
fn one_bundle(object: &Object) -> Option<String> {
    let mut bundles = bundles(object);
    bundles.dedup();
    (bundles.len() == 1).then(|| bundles.pop().flatten()).flatten()
}

fn millis(duration: SignedDuration) -> f64 {
    Duration::try_from(duration).unwrap_or_default().as_secs_f64() * 1000.0
}
