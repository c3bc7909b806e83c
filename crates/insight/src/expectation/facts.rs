//! The facts about a cluster, and the decision of the engine that follows from them.

use std::sync::Arc;

use colocate_engine::{
    Absence, ClaimRef, DEFAULT_SCHEDULER, Decision, Driver, Evidence, Examination, Owner, Owners, Policy, Presence,
    Reason, Request, StorageView, Text, Unknown, Workload, examine,
};

use super::node_choice::{NodeChoice, node_choice};
use super::raw_value::{find, without};
use super::unknown_fact::UnknownFact;
use super::{Expectation, ExpectedClaim};

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
        let path: Vec<_> = workload.path.iter().map(String::as_str).chain(["spec"]).collect();
        let spec = find(object, &path)?;
        let field = |name| spec.map_or(Ok(None), |spec| find(spec.get(), &[name]));
        let (scheduler, node) = (field("schedulerName")?, field("nodeName")?);
        let node = node.filter(|_| workload.path.is_empty());
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
        if expectation.unknown_fact.is_none() && expectation.scheduler != actual {
            // Each of these would leave the object as it is.
            if namespace_opted_out.is_none() {
                expectation.unknown_fact = Some(UnknownFact::Namespace);
            } else if choice == NodeChoice::Unknown {
                expectation.unknown_fact = Some(UnknownFact::NodeName);
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
        let (decision, unknown_fact) = self.decide_request(&request, namespace);
        let Decision { reason, scheduler, warnings, owners, .. } = decision;
        let scheduler = scheduler.unwrap_or_else(|| actual.clone());
        Expectation { reason, scheduler, actual: actual.clone(), warnings, claims: self.claims(&owners), unknown_fact }
    }

    /// Decides about a request, and returns a fact that is not known and could change the decision.
    pub(crate) fn decide_request<'r>(
        &'r self,
        request: &'r Request<'r>,
        namespace: &str,
    ) -> (Decision<'r>, Option<UnknownFact>) {
        let (decision, hidden) = match examine(self.policy, request) {
            Examination::Decided(decision) => (decision, false),
            Examination::Resolve(pending) => {
                let owners = pending.look_up(|claim| self.owner(claim, namespace));
                let hidden = owners.iter().any(|(_, owner)| is_hidden(owner));
                (pending.decide(owners, self.presence), hidden)
            }
        };
        let unknown_fact = self.is_uncertain(&decision, hidden).then_some(UnknownFact::Claims);
        (decision, unknown_fact)
    }

    /// Returns true if the decision could be another one if everything were visible.
    fn is_uncertain(&self, decision: &Decision<'_>, hidden: bool) -> bool {
        let visibility = self.storage.visibility();
        let incomplete = [visibility.classes, visibility.volumes].contains(&Absence::Hidden);
        match decision.reason {
            Reason::ClaimUnreadable => true,
            // The unreadable claim may belong to a driver that comes earlier in the configuration, and would win.
            Reason::Injected | Reason::WouldInject => hidden && self.policy.drivers.0.len() > 1,
            // The scheduler may recognize the claim by its class or volume.
            Reason::NotRecognised => hidden || incomplete,
            _ => false,
        }
    }

    /// Finds the owner of a claim. If what leads to it is hidden, the claim is unreadable and not missing.
    pub fn owner(&self, claim: &ClaimRef<'_>, namespace: &str) -> Owner {
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

fn is_hidden(owner: &Owner) -> bool {
    matches!(owner, Owner::Unknown(Unknown::ClaimUnreadable))
}

#[cfg(test)]
mod tests {
    use colocate_engine::{ClaimFacts, ClassFacts, Drivers, Inventory, Mode, Policy, Topic, VolumeFacts, Workloads};
    use serde_json::{Value, json};

    use super::*;
    use crate::expectation::Outcome;

    /// A cluster with a claim `px` of Portworx, one of another driver, and one whose driver only its volume names.
    fn storage() -> Inventory {
        let mut storage = Inventory::default();
        let class = |provisioner: &'static str| ClassFacts { provisioner: provisioner.into(), ..ClassFacts::default() };
        storage.insert_class("px-db", class("pxd.portworx.com"));
        storage.insert_class("other", class("other.example.com"));
        let of_class = |class: &'static str| ClaimFacts { class: Some(class.into()), ..ClaimFacts::default() };
        storage.insert_claim("db", "px", &of_class("px-db"));
        storage.insert_claim("db", "other", &of_class("other"));
        let bound = ClaimFacts { class: Some("gone".into()), volume: Some("pv".into()), ..ClaimFacts::default() };
        storage.insert_claim("db", "bound", &bound);
        let provisioner = Some(("pxd.portworx.com".into(), Evidence::ProvisionedBy));
        storage.insert_volume("pv", VolumeFacts { provisioner });
        storage
    }

    fn pod(scheduler: &str, claim: &str) -> Value {
        json!({
            "metadata": {"name": "mysql-0", "namespace": "db", "managedFields": [
                {"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {"f:spec": {"f:schedulerName": {}}}},
                {"manager": "kubelet", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
            ]},
            "spec": {
                "schedulerName": scheduler,
                "nodeName": "node-1",
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
            },
            "status": {"phase": "Running"},
        })
    }

    fn with(mut object: Value, pointer: &str, value: Value) -> Value {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[key] = value;
        object
    }

    fn expect_in(
        policy: &Policy,
        storage: &Inventory,
        opted_out: Option<bool>,
        kind: &str,
        object: &Value,
    ) -> Expectation {
        let facts = Facts { policy, storage, presence: &|_| Presence::Unknown };
        let group = if kind == "Pod" { "" } else { "apps" };
        let workload = policy.workloads.find(group, "v1", kind).unwrap();
        facts.expect(workload, "db", opted_out, &object.to_string()).unwrap()
    }

    fn expect(object: &Value) -> Expectation {
        expect_in(&Policy::default(), &storage(), Some(false), "Pod", object)
    }

    fn row(found: &Expectation) -> (&'static str, &str, Outcome) {
        (found.reason.as_str(), &found.scheduler, found.outcome())
    }

    use Outcome::{AsExpected, Unknown as Open, Wrong};

    #[test]
    fn a_live_pod_is_judged_as_it_was_requested() {
        let annotation = |pod| {
            with(pod, "/metadata/annotations", json!({"stork.libopenstorage.org/disableHyperconvergence": "true"}))
        };
        for (pod, expected) in [
            (pod("default-scheduler", "px"), ("injected", "stork", Wrong)),
            (pod("stork", "px"), ("injected", "stork", AsExpected)),
            (pod("default-scheduler", "bound"), ("injected", "stork", Wrong)),
            (pod("default-scheduler", "other"), ("no-driver", "default-scheduler", AsExpected)),
            (pod("volcano", "px"), ("other-scheduler", "volcano", AsExpected)),
            (pod("stork", "other"), ("already-set", "stork", AsExpected)),
            (pod("default-scheduler", "none"), ("claim-missing", "default-scheduler", Open)),
            (pod("stork", "none"), ("already-set", "stork", AsExpected)),
            (annotation(pod("default-scheduler", "px")), ("opted-out", "default-scheduler", AsExpected)),
            (annotation(pod("stork", "px")), ("opt-out-without-effect", "stork", AsExpected)),
            (with(pod("", "px"), "/spec/schedulerName", Value::Null), ("injected", "stork", Wrong)),
        ] {
            assert_eq!(row(&expect(&pod)), expected, "{pod}");
        }
    }

    #[test]
    fn a_driver_scheduler_without_a_claim_keeps_its_warning() {
        let found = expect(&pod("stork", "other"));
        assert_eq!(found.warnings[0].topic(), Some(Topic::SchedulerWithoutClaim));
        assert_eq!(expect(&pod("stork", "px")).warnings, []);
    }

    #[test]
    fn the_claims_are_those_of_the_decision() {
        let found = expect(&pod("default-scheduler", "px"));
        let [claim] = &found.claims[..] else { panic!("{found:?}") };
        assert_eq!((claim.label.as_str(), claim.name.as_deref()), ("claim `px`", Some("px")));
        assert_eq!(claim.driver.as_deref(), Some("portworx"));
        assert!(matches!(&claim.owner, Owner::Provisioner { provisioner, .. } if **provisioner == *"pxd.portworx.com"));
    }

    #[test]
    fn only_the_creator_s_node_excludes_a_pod() {
        let fields = |fields: Value| with(pod("default-scheduler", "px"), "/metadata/managedFields", fields);
        let node = json!({"f:spec": {"f:nodeName": {}}});
        let creator = json!([{"manager": "kubectl", "fieldsV1": node}]);
        let other = json!([{"manager": "x", "subresource": "binding", "fieldsV1": node}]);
        assert_eq!(row(&expect(&fields(creator))), ("node-name-set", "default-scheduler", AsExpected));
        assert_eq!(row(&expect(&fields(other))), ("injected", "stork", Wrong));
        for none in [Value::Null, json!([])] {
            let found = expect(&fields(none.clone()));
            assert_eq!((row(&found), found.unknown_fact), (("injected", "stork", Open), Some(UnknownFact::NodeName)));
            // The node does not matter if the scheduler is the expected one.
            let fine = with(pod("stork", "px"), "/metadata/managedFields", none);
            assert_eq!(row(&expect(&fine)), ("injected", "stork", AsExpected));
        }
        let pending = with(fields(Value::Null), "/spec/nodeName", Value::Null);
        assert_eq!(row(&expect(&pending)), ("injected", "stork", Wrong));
    }

    #[test]
    fn a_namespace_that_cannot_be_read_makes_a_mismatch_uncertain() {
        let (policy, storage) = (Policy::default(), storage());
        let expect = |opted_out, pod: Value| expect_in(&policy, &storage, opted_out, "Pod", &pod);
        let found = expect(None, pod("default-scheduler", "px"));
        assert_eq!((found.outcome(), found.unknown_fact), (Open, Some(UnknownFact::Namespace)));
        assert_eq!(expect(None, pod("stork", "px")).outcome(), AsExpected);
        assert_eq!(expect(None, pod("default-scheduler", "other")).outcome(), AsExpected);
        let found = expect(Some(true), pod("default-scheduler", "px"));
        assert_eq!(row(&found), ("namespace-opted-out", "default-scheduler", AsExpected));
    }

    #[test]
    fn hidden_storage_makes_a_decision_uncertain_never_wrong() {
        let policy = Policy::default();
        let outcome = |storage: &Inventory, claim: &str| {
            let found = expect_in(&policy, storage, Some(false), "Pod", &pod("default-scheduler", claim));
            (found.reason, found.outcome())
        };
        let mut no_claims = Inventory::default();
        no_claims.visibility.claims = Absence::Hidden;
        assert_eq!(outcome(&no_claims, "px"), (Reason::ClaimUnreadable, Open));
        let mut no_classes = storage();
        no_classes.remove_class("px-db");
        no_classes.visibility.classes = Absence::Hidden;
        assert_eq!(outcome(&no_classes, "px"), (Reason::ClaimUnreadable, Open));
        // The class, which precedes the volume, may exist.
        assert_eq!(outcome(&no_classes, "bound"), (Reason::ClaimUnreadable, Open));
        let mut no_volumes = Inventory::default();
        let bound = ClaimFacts { volume: Some("pv".into()), ..ClaimFacts::default() };
        no_volumes.insert_claim("db", "bound", &bound);
        assert_eq!(outcome(&no_volumes, "bound"), (Reason::ClaimUnknown, Open));
        no_volumes.visibility.volumes = Absence::Hidden;
        assert_eq!(outcome(&no_volumes, "bound"), (Reason::ClaimUnreadable, Open));
    }

    #[test]
    fn a_hidden_claim_may_belong_to_an_earlier_driver() {
        let linstor = Driver {
            name: "linstor".into(),
            provisioners: vec!["linstor".into()],
            scheduler: "linstor".into(),
            ..Driver::portworx()
        };
        let mut storage = storage();
        storage.visibility.claims = Absence::Hidden;
        let mut two = pod("default-scheduler", "px");
        let volume = json!({"name": "b", "persistentVolumeClaim": {"claimName": "hidden"}});
        two["spec"]["volumes"].as_array_mut().unwrap().push(volume);
        for (drivers, unknown_fact) in
            [(vec![Driver::portworx()], None), (vec![linstor, Driver::portworx()], Some(UnknownFact::Claims))]
        {
            let policy = Policy { drivers: Drivers(drivers), ..Policy::default() };
            let found = expect_in(&policy, &storage, Some(false), "Pod", &two);
            assert_eq!((found.reason, found.unknown_fact), (Reason::Injected, unknown_fact));
        }
    }

    #[test]
    fn a_template_is_judged_at_its_path() {
        let template = |scheduler: &str| {
            let spec = json!({"schedulerName": scheduler, "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "px"}}]});
            json!({"metadata": {"name": "web"}, "spec": {"template": {"spec": spec}}})
        };
        let (policy, storage) = (Policy::default(), storage());
        let expect = |object: Value| expect_in(&policy, &storage, Some(false), "Deployment", &object);
        assert_eq!(row(&expect(template("default-scheduler"))), ("injected", "stork", Wrong));
        assert_eq!(row(&expect(template("stork"))), ("injected", "stork", AsExpected));
        let applied = r#"{"spec":{"template":{"spec":{"schedulerName":"default-scheduler"}}}}"#;
        let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": applied});
        let sourced = |scheduler| with(template(scheduler), "/metadata/annotations", annotations.clone());
        let found = expect(sourced("default-scheduler"));
        assert_eq!(row(&found), ("source-names-scheduler", "default-scheduler", AsExpected));
        assert_eq!(row(&expect(sourced("stork"))), ("already-set", "stork", AsExpected));
    }

    #[test]
    fn in_mode_audit_a_pod_should_still_name_the_driver_s_scheduler() {
        let policy = Policy { mode: Mode::Audit, ..Policy::default() };
        let expect = |pod: Value| expect_in(&policy, &storage(), Some(false), "Pod", &pod);
        assert_eq!(row(&expect(pod("default-scheduler", "px"))), ("would-inject", "stork", Wrong));
        assert_eq!(row(&expect(pod("stork", "px"))), ("would-inject", "stork", AsExpected));
    }

    #[test]
    fn an_object_of_another_structure_is_an_error_or_unknown() {
        let (policy, storage) = (Policy::default(), storage());
        let facts = Facts { policy: &policy, storage: &storage, presence: &|_| Presence::Unknown };
        let workloads = Workloads::default();
        let pod = workloads.find("", "v1", "Pod").unwrap();
        for text in ["[]", r#"{"spec":[]}"#, r#"{"spec":{"schedulerName":1}}"#] {
            assert!(facts.expect(pod, "db", Some(false), text).is_err(), "{text}");
        }
        let found = facts.expect(pod, "db", Some(false), r#"{"spec":{"volumes":{}}}"#).unwrap();
        assert_eq!((found.reason, found.outcome()), (Reason::Unreadable, Open));
    }
}
