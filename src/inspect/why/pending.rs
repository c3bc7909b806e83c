//! The facts that explain why no scheduler has bound a pod yet.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::explainer::Explainer;
use super::installation::Event;
use super::reader::text;
use super::report::PendingFacts;
use crate::api::ApiError;
use crate::engine::{DEFAULT_SCHEDULER, Setting, parse_bool};
use crate::insight::LivePod;
use crate::inspect::access::Found;
use crate::inspect::kinds;
use crate::schedulers::{LeaseRef, Scheduler};

/// The annotation of a pod that restricts it to nodes with a replica of each of its volumes.
const PREFER_LOCAL_NODE_ONLY: &str = "stork.libopenstorage.org/preferLocalNodeOnly";

impl Explainer<'_> {
    /// Reads what explains why a pod is not bound. `now` is the time of the API server.
    pub(super) async fn pending(
        &mut self,
        pod: &LivePod<'_>,
        namespace: &str,
        now: Timestamp,
    ) -> Result<PendingFacts, ApiError> {
        let mut facts = PendingFacts::default();
        let mut schedulers: Vec<_> =
            self.config.schedulers().filter(|scheduler| *scheduler.name == *pod.scheduler()).collect();
        if schedulers.is_empty() && pod.scheduler() == DEFAULT_SCHEDULER {
            schedulers.push(kube_scheduler());
        }
        for scheduler in schedulers {
            facts.scheduler.extend(self.leases(&scheduler, now).await?);
        }
        if facts.scheduler.is_empty() {
            let name = pod.scheduler();
            facts.scheduler.push(format!("whether {name} is running is not known: no Lease of it is configured"));
        }
        let local = pod.metadata.annotations.get(PREFER_LOCAL_NODE_ONLY);
        if local.and_then(|value| parse_bool(value)) == Some(true) {
            let rule = format!("{PREFER_LOCAL_NODE_ONLY} of the pod: only nodes with a replica of each of its volumes");
            facts.node_restrictions.push(rule);
        }
        let claims: BTreeSet<_> = pod.spec.volumes.iter().filter_map(|volume| claim_name(pod, volume)).collect();
        for name in claims {
            self.claim_facts(namespace, &name, &mut facts).await?;
        }
        let hides = "the last message of the scheduler";
        let failed =
            |event: &Event| event.reason == "FailedScheduling" && event.involved_object.uid == pod.metadata.uid;
        let events: Option<Vec<Event>> = self.reader.list(kinds::EVENTS, Some(namespace), hides, failed).await?;
        let last = events.into_iter().flatten().max_by_key(Event::time);
        let condition = pod.status.condition("PodScheduled").filter(|condition| condition.status == "False");
        facts.last_message = last.map(|event| event.message).or_else(|| condition.map(|found| found.message.clone()));
        facts.last_message = facts.last_message.filter(|message| !message.is_empty());
        Ok(facts)
    }

    /// Describes the Leases of a scheduler.
    async fn leases(&mut self, scheduler: &Scheduler, now: Timestamp) -> Result<Vec<String>, ApiError> {
        let mut lines = Vec::new();
        let name = &scheduler.name;
        for lease in &scheduler.leases {
            let (mut newest, mut all_seen) = (None::<(Timestamp, String)>, true);
            let home = self.installation.namespace.clone();
            all_seen &= home.is_some() || lease.namespaces.iter().all(Option::is_some);
            let namespaces: BTreeSet<_> =
                lease.namespaces.iter().filter_map(|namespace| namespace.clone().or_else(|| home.clone())).collect();
            for namespace in &namespaces {
                let hides = format!("whether {name} is running");
                match self.reader.access.get(kinds::LEASES, Some(namespace), &lease.name, hides).await? {
                    Found::Object(json) => {
                        let lease: Value = serde_json::from_str(&json).unwrap_or_default();
                        newest = newest.max(renewed(&lease).map(|renewed| (renewed, namespace.clone())));
                    }
                    Found::Absent => {}
                    Found::NotSeen => all_seen = false,
                }
            }
            let stale_after = SignedDuration::try_from(scheduler.stale_after).unwrap_or(SignedDuration::MAX);
            lines.push(match newest {
                Some((renewed, namespace)) if now.duration_since(renewed) <= stale_after => {
                    format!("{name} is running: Lease {namespace}/{} was renewed at {renewed}", lease.name)
                }
                Some((renewed, namespace)) => {
                    format!("{name} is not running: Lease {namespace}/{} was last renewed at {renewed}", lease.name)
                }
                None if all_seen => self.missing_lease(name, &lease.name, &namespaces).await?,
                None => format!("whether {name} is running is not known: its Lease {} cannot be read", lease.name),
            });
        }
        Ok(lines)
    }

    /// Describes a Lease that is in none of these namespaces, which are those that colocate reads.
    async fn missing_lease(
        &mut self,
        scheduler: &str,
        name: &str,
        namespaces: &BTreeSet<String>,
    ) -> Result<String, ApiError> {
        let places = namespaces.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let missing = format!("{scheduler} has no Lease {name} in {places}");
        if !self.reader.access.may("list", kinds::LEASES, None).await? {
            return Ok(format!("{missing}, and in which other namespace it may be is not known"));
        }
        let is_it = |lease: &Value| text(lease, "/metadata/name") == name;
        let hides = format!("whether {scheduler} is running");
        let found: Option<Vec<Value>> = self.reader.list(kinds::LEASES, None, hides, is_it).await?;
        let newest =
            found.iter().flatten().filter_map(|lease| Some((renewed(lease)?, text(lease, "/metadata/namespace"))));
        Ok(match newest.max() {
            Some((renewed, namespace)) => format!(
                "{missing}, where colocate looks for it, but Lease {namespace}/{name} was renewed at {renewed}: if it is that of \
                 {scheduler}, name it in the `leases` of the driver"
            ),
            None => format!(
                "{scheduler} has no Lease {name} in any namespace: it is not running, or it has no leader election"
            ),
        })
    }

    async fn claim_facts(&mut self, namespace: &str, name: &str, facts: &mut PendingFacts) -> Result<(), ApiError> {
        let hides = format!("whether claim {name} is bound");
        let claim = match self.reader.access.get(kinds::CLAIMS, Some(namespace), name, hides).await? {
            Found::Object(json) => serde_json::from_str::<Value>(&json).unwrap_or_default(),
            Found::Absent => {
                facts.claims.push(format!("claim {name} does not exist"));
                return Ok(());
            }
            Found::NotSeen => return Ok(()),
        };
        let class_name = text(&claim, "/spec/storageClassName").to_owned();
        let class = if class_name.is_empty() {
            None
        } else {
            let hides = format!("the settings of StorageClass {class_name}");
            let json = self.reader.access.get(kinds::CLASSES, None, &class_name, hides).await?.object();
            json.and_then(|json| serde_json::from_str::<Value>(&json).ok())
        };
        let phase = text(&claim, "/status/phase");
        if phase != "Bound" {
            let late = class.as_ref().is_some_and(|class| text(class, "/volumeBindingMode") == "WaitForFirstConsumer");
            let why = if late { ": its class waits for the pod to be scheduled" } else { "" };
            facts.claims.push(format!("claim {name} is {phase}{why}"));
        }
        let annotation = |key: &str| claim.pointer("/metadata/annotations").and_then(|all| all.get(key)?.as_str());
        if annotation(Setting::RestoreInProgress.key()) == Some("true") {
            facts.claims.push(format!("claim {name} is being restored ({})", Setting::RestoreInProgress.key()));
        }
        let key = Setting::PreferRemoteNodeOnly.key();
        let of_class = class.as_ref().and_then(|class| class.pointer("/parameters")?.get(key)?.as_str());
        for (value, place) in [(annotation(key), format!("claim {name}")), (of_class, format!("class {class_name}"))] {
            if value.and_then(parse_bool) == Some(true) {
                let rule = format!("{key} of {place}: only nodes without a replica, for a sharedv4 service volume");
                if !facts.node_restrictions.contains(&rule) {
                    facts.node_restrictions.push(rule);
                }
            }
        }
        Ok(())
    }
}

/// Returns the scheduler of Kubernetes with the Lease of its leader election.
fn kube_scheduler() -> Scheduler {
    let lease = LeaseRef { name: "kube-scheduler".to_owned(), namespaces: vec![Some("kube-system".to_owned())] };
    Scheduler {
        driver: "kubernetes".into(),
        name: DEFAULT_SCHEDULER.into(),
        leases: vec![lease],
        // The Lease is valid for 15 seconds by default.
        stale_after: Duration::from_mins(1),
    }
}

/// Returns the last renewal of a Lease.
fn renewed(lease: &Value) -> Option<Timestamp> {
    text(lease, "/spec/renewTime").parse().ok()
}

/// Returns the name of the claim of a volume; that of an ephemeral volume is made of those of the pod and the volume.
fn claim_name(pod: &LivePod<'_>, volume: &Value) -> Option<String> {
    let named = text(volume, "/persistentVolumeClaim/claimName");
    if !named.is_empty() {
        return Some(named.to_owned());
    }
    volume.get("ephemeral").map(|_| format!("{}-{}", pod.metadata.name, text(volume, "/name")))
}
