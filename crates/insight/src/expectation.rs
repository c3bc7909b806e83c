//! The decision that the engine makes about a live object, as if it were created now.
//!
//! The engine reads the object as its creator requested it. Fields that the cluster set since would change the decision: a node
//! that a scheduler chose would exclude the pod, and a scheduler that colocate set would look like the creator's choice.

use std::collections::BTreeMap;
use std::sync::Arc;

use colocate_engine::{
    Absence, ClaimRef, DEFAULT_SCHEDULER, Decision, Driver, Evidence, Examination, Owner, Owners, Policy, Presence,
    Reason, Request, StorageView, Text, Unknown, Warning, Workload, examine,
};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// The facts on which expectations are based.
pub struct Facts<'f, V> {
    /// The policy of colocate in the cluster.
    pub policy: &'f Policy,
    /// The claims, classes and volumes of the cluster. Its [`Visibility`](colocate_engine::Visibility) says which of them could
    /// not be read.
    pub storage: &'f V,
    /// Returns the presence of a driver's scheduler.
    pub presence: &'f (dyn Fn(&Driver) -> Presence + Sync),
}

/// The scheduler that a live object should name, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The reason of the engine.
    pub reason: Reason,
    /// The scheduler that it should name.
    pub scheduler: Arc<str>,
    /// The scheduler that it names.
    pub actual: Arc<str>,
    /// The warnings that its creator would get now.
    pub warnings: Vec<Warning>,
    /// The claims that the decision depends on; empty if it depends on none.
    pub claims: Vec<ExpectedClaim>,
    /// A fact that is not known, and without which the decision could be another one.
    pub doubt: Option<Doubt>,
}

/// A claim that a decision depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedClaim {
    /// The description of the claim, as in ``claim `data` ``.
    pub label: String,
    /// The name of the claim; `None` for a claim template and for a volume without a claim.
    pub name: Option<String>,
    /// The owner.
    pub owner: Owner,
    /// The name of the driver that the owner belongs to.
    pub driver: Option<Arc<str>>,
}

/// A fact that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// A claim, its class or its volume could not be read.
    Claims,
    /// The labels of the Namespace could not be read, so it may opt out.
    Namespace,
    /// The object has no `managedFields`, which show whether its creator or a scheduler chose the node.
    NodeName,
}

/// The comparison of a live object with its expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It names the scheduler that it should name.
    AsExpected,
    /// It should name another scheduler.
    Wrong,
    /// A fact is missing that decides.
    Unknown,
}

/// The fields of a live object that are read in addition to those that the engine reads.
#[derive(Deserialize)]
struct Live<'a> {
    #[serde(borrow, default)]
    metadata: Option<LiveMetadata<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LiveMetadata<'a> {
    #[serde(borrow, default)]
    managed_fields: Option<Vec<ManagedFields<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManagedFields<'a> {
    #[serde(borrow, default)]
    subresource: Text<'a>,
    #[serde(default)]
    fields_v1: Option<OwnedFields>,
}

#[derive(Deserialize)]
struct OwnedFields {
    #[serde(default, rename = "f:spec")]
    spec: Option<OwnedSpec>,
}

#[derive(Deserialize)]
struct OwnedSpec {
    #[serde(default, rename = "f:nodeName")]
    node_name: Option<IgnoredAny>,
}

/// Who chose the node of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NodeChoice {
    /// No node is set, or the object is a template.
    None,
    Creator,
    Scheduler,
    /// The object has no `managedFields`.
    Unknown,
}

impl<V: StorageView> Facts<'_, V> {
    /// Decides about a live object as if its creator requested it now. `object` is its JSON; `namespace_opted_out` is `None` if
    /// the labels of the Namespace are not known.
    ///
    /// # Errors
    /// The JSON does not have the structure of the kind.
    pub fn expect(
        &self,
        workload: &Workload,
        namespace: &str,
        namespace_opted_out: Option<bool>,
        object: &str,
    ) -> Result<Expectation, serde_json::Error> {
        let path = |field| workload.path.iter().map(String::as_str).chain(["spec", field]).collect::<Vec<_>>();
        let scheduler = find(object, &path("schedulerName"))?;
        let node = find(object, &path("nodeName"))?.filter(|_| workload.path.is_empty());
        let choice = node_choice(object, node)?;
        let node = node.filter(|_| matches!(choice, NodeChoice::Scheduler | NodeChoice::Unknown));
        let actual = match scheduler {
            Some(name) => serde_json::from_str::<Option<Text<'_>>>(name.get())?.filter(|name| !name.is_empty()),
            None => None,
        };
        let actual: Arc<str> = actual.as_deref().unwrap_or(DEFAULT_SCHEDULER).into();

        let opted_out = namespace_opted_out.unwrap_or_default();
        let mut expectation = None;
        if self.policy.drivers.has_scheduler(&actual) {
            // colocate may have set it, so the creator may have requested none.
            let requested = without(object, scheduler.into_iter().chain(node));
            let found = self.decide(workload, namespace, opted_out, &requested, &actual);
            expectation = Some(found).filter(|found| found.chosen() && found.scheduler == actual);
        }
        let mut expectation = expectation.unwrap_or_else(|| {
            let requested = without(object, node);
            self.decide(workload, namespace, opted_out, &requested, &actual)
        });
        if expectation.doubt.is_none() && expectation.scheduler != actual {
            // Each of these would leave the object as it is.
            if namespace_opted_out.is_none() {
                expectation.doubt = Some(Doubt::Namespace);
            } else if choice == NodeChoice::Unknown {
                expectation.doubt = Some(Doubt::NodeName);
            }
        }
        Ok(expectation)
    }

    fn decide(
        &self,
        workload: &Workload,
        namespace: &str,
        namespace_opted_out: bool,
        object: &str,
        actual: &Arc<str>,
    ) -> Expectation {
        let request = Request::from_manifest(workload, namespace, namespace_opted_out, object);
        let (decision, hidden) = match examine(self.policy, &request) {
            Examination::Decided(decision) => (decision, false),
            Examination::Resolve(pending) => {
                let owners = pending.look_up(|claim| self.owner(claim, namespace));
                let hidden = owners.iter().any(|(_, owner)| is_hidden(owner));
                (pending.decide(owners, self.presence), hidden)
            }
        };
        let doubt = self.is_doubtful(&decision, hidden).then_some(Doubt::Claims);
        let Decision { reason, scheduler, warnings, owners, .. } = decision;
        let scheduler = scheduler.unwrap_or_else(|| actual.clone());
        Expectation { reason, scheduler, actual: actual.clone(), warnings, claims: self.claims(&owners), doubt }
    }

    /// Returns true if the decision could be another one if everything were visible.
    fn is_doubtful(&self, decision: &Decision<'_>, hidden: bool) -> bool {
        let visibility = self.storage.visibility();
        let incomplete = [visibility.classes, visibility.volumes].contains(&Absence::Hidden);
        match decision.reason {
            Reason::ClaimUnreadable => true,
            // The claim that is hidden may belong to a driver that precedes.
            Reason::Injected | Reason::WouldInject => hidden && self.policy.drivers.0.len() > 1,
            // The scheduler may recognize the claim by its class or volume.
            Reason::NotRecognised => hidden || incomplete,
            _ => false,
        }
    }

    /// Finds the owner of a claim. If what leads to it is hidden, the claim is unreadable and not missing.
    fn owner(&self, claim: &ClaimRef<'_>, namespace: &str) -> Owner {
        let owner = claim.owner_in(self.storage, namespace);
        let visibility = self.storage.visibility();
        let by_volume = match &owner {
            Owner::Provisioner { class: None, evidence, .. } => {
                evidence.contains_any(&Evidence::OF_VOLUME) && !matches!(claim, ClaimRef::Inline { .. })
            }
            Owner::NoProvisioner => true,
            _ => false,
        };
        let hidden = visibility.absence(namespace, claim.name(), &owner) == Absence::Hidden
            // The class precedes the volume.
            || (by_volume && visibility.classes == Absence::Hidden);
        if hidden { Owner::Unknown(Unknown::ClaimUnreadable) } else { owner }
    }

    fn claims(&self, owners: &Owners<'_>) -> Vec<ExpectedClaim> {
        let expected = |(claim, owner): (&ClaimRef<'_>, &Owner)| {
            let driver = match owner {
                Owner::Provisioner { provisioner, .. } => self.policy.drivers.owning(provisioner),
                Owner::NoProvisioner | Owner::Missing | Owner::Unknown(_) => None,
            };
            ExpectedClaim {
                label: claim.to_string(),
                name: claim.name().map(str::to_owned),
                owner: owner.clone(),
                driver: driver.map(|(_, driver)| driver.name.clone()),
            }
        };
        owners.iter().map(expected).collect()
    }
}

impl Expectation {
    /// Compares the object with the expectation.
    pub fn outcome(&self) -> Outcome {
        let unresolved = matches!(self.reason, Reason::ClaimMissing | Reason::ClaimUnknown | Reason::ClaimUnreadable);
        if self.doubt.is_some() || unresolved || self.reason == Reason::Unreadable {
            Outcome::Unknown
        } else if self.scheduler == self.actual {
            Outcome::AsExpected
        } else {
            Outcome::Wrong
        }
    }

    /// Returns true if colocate chooses the scheduler, or would in `mode: inject`.
    fn chosen(&self) -> bool {
        matches!(self.reason, Reason::Injected | Reason::InjectedMissing | Reason::WouldInject)
    }
}

impl Doubt {
    /// The cause, as a clause.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Claims => "a claim, its class or its volume could not be read",
            Self::Namespace => "the labels of its Namespace could not be read, and may opt it out",
            Self::NodeName => "it has no managedFields, which show whether its creator or a scheduler chose its node",
        }
    }
}

fn is_hidden(owner: &Owner) -> bool {
    matches!(owner, Owner::Unknown(Unknown::ClaimUnreadable))
}

/// Finds who chose the node. A scheduler binds a pod through the subresource `binding`, which records no field; a creator's
/// `nodeName` is recorded in `managedFields`.
fn node_choice(object: &str, node: Option<&RawValue>) -> Result<NodeChoice, serde_json::Error> {
    if node.is_none_or(|node| matches!(node.get(), "null" | "\"\"")) {
        return Ok(NodeChoice::None);
    }
    let live: Live<'_> = serde_json::from_str(object)?;
    let Some(entries) = live.metadata.and_then(|metadata| metadata.managed_fields).filter(|list| !list.is_empty())
    else {
        return Ok(NodeChoice::Unknown);
    };
    let names_node = |fields: &OwnedFields| fields.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let owns_node =
        |entry: &ManagedFields<'_>| entry.subresource.is_empty() && entry.fields_v1.as_ref().is_some_and(names_node);
    Ok(if entries.iter().any(owns_node) { NodeChoice::Creator } else { NodeChoice::Scheduler })
}

/// Finds the value at a path of keys; `None` if a key or an object on the path is absent.
fn find<'a>(text: &'a str, path: &[&str]) -> Result<Option<&'a RawValue>, serde_json::Error> {
    let Some((key, rest)) = path.split_first() else { return serde_json::from_str(text).map(Some) };
    let fields: Option<BTreeMap<Text<'_>, &RawValue>> = serde_json::from_str(text)?;
    match fields.and_then(|fields| fields.get(&Text::from(*key)).copied()) {
        Some(value) => find(value.get(), rest),
        None => Ok(None),
    }
}

/// Replaces values of `text` with null, which the engine reads as absent. They must be parts of `text`.
fn without<'a>(text: &str, values: impl IntoIterator<Item = &'a RawValue>) -> String {
    let mut out = String::with_capacity(text.len());
    let start = |value: &&RawValue| value.get().as_ptr().addr() - text.as_ptr().addr();
    let mut values: Vec<_> = values.into_iter().map(|value| (start(&value), value.get().len())).collect();
    values.sort_unstable();
    let mut end = 0;
    for (start, length) in values {
        out.push_str(&text[end..start]);
        out.push_str("null");
        end = start + length;
    }
    out.push_str(&text[end..]);
    out
}
