//! The order in which pods on the wrong scheduler can be evicted, so that their controllers create them again.

use std::collections::HashMap;

use colocate_engine::Workloads;
use serde::Deserialize;

use super::answer::Answer;
use super::live_pod::LivePod;
use super::selector::{LabelSelector, Labels};

/// A pod that should be on another scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongPod {
    /// The namespace.
    pub namespace: Box<str>,
    /// The name.
    pub name: Box<str>,
    /// The UID, so that a later pod of the same name is not evicted.
    pub uid: Box<str>,
    /// The kind and the name of its topmost known controller; `None` if it has no controller.
    pub controller: Option<(Box<str>, Box<str>)>,
    /// Whether it is Pending, so that its eviction disrupts nothing.
    pub pending: bool,
    /// Whether it is ready.
    pub ready: bool,
    /// The labels, which disruption budgets select.
    pub labels: Labels,
    /// The reason why no new pod on the right scheduler may follow its eviction, with what to do. Its own controller counts, which
    /// is not always the topmost one: a Job can belong to a controller of any kind.
    pub obstacle: Option<Box<str>>,
    /// The reason why a new pod in its place would not be sent to colocate, if it would not.
    pub not_sent: Option<Box<str>>,
}

/// A `PodDisruptionBudget`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Budget {
    /// The name and the namespace.
    #[serde(default)]
    pub metadata: BudgetMetadata,
    #[serde(default)]
    spec: BudgetSpec,
    #[serde(default)]
    status: BudgetStatus,
}

/// The name and the namespace of a budget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct BudgetMetadata {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BudgetSpec {
    /// Absent selects no pods.
    selector: Option<LabelSelector>,
    unhealthy_pod_eviction_policy: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BudgetStatus {
    disruptions_allowed: u32,
    current_healthy: u32,
    desired_healthy: u32,
}

/// The evictions in rounds. Each round respects all disruption budgets, if the pods of the round before are ready again.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RepairPlan {
    /// The pods of each round, Pending ones first.
    pub rounds: Vec<Vec<WrongPod>>,
    /// The pods that are not in the plan, with the reason and what to do.
    pub left_out: Vec<(WrongPod, String)>,
    /// The number of further pods that are wrong, which were not given to the plan.
    pub more: u64,
}

/// The place of a pod in the plan.
type Place<'a> = (bool, &'a str, Option<&'a (Box<str>, Box<str>)>, &'a str);

/// The limit of evictions per round.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Limit {
    /// A budget, by its namespace and name.
    Budget(String, String),
    /// A workload without a budget, of which one pod is evicted per round.
    Workload(Box<str>, Box<str>, Box<str>),
}

impl RepairPlan {
    /// Makes the plan. `budgets` is `None` if they are not known: then one pod per workload is evicted in each round.
    pub fn new(mut pods: Vec<WrongPod>, budgets: Option<&[Budget]>) -> Self {
        pods.sort_by(|one, other| one.key().cmp(&other.key()));
        let (mut plan, mut planned) = (Self::default(), HashMap::<Limit, usize>::new());
        for pod in pods {
            match pod.limit(budgets.unwrap_or_default()) {
                Err(reason) => plan.left_out.push((pod, reason)),
                Ok(None) => plan.add(0, pod),
                Ok(Some((limit, per_round))) => {
                    let count = planned.entry(limit).or_default();
                    let round = *count / per_round;
                    *count += 1;
                    plan.add(round, pod);
                }
            }
        }
        plan
    }

    fn add(&mut self, round: usize, pod: WrongPod) {
        if self.rounds.len() <= round {
            self.rounds.resize_with(round + 1, Vec::new);
        }
        self.rounds[round].push(pod);
    }
}

impl WrongPod {
    /// Reads a pod. A new one in its place would be sent to colocate.
    pub fn of_live(pod: &LivePod<'_>, workloads: &Workloads) -> Self {
        let LivePod { metadata, status, .. } = pod;
        let controller = metadata.controller.as_ref();
        let lost = controller.and_then(|controller| controller.loses_evicted_pods(workloads));
        Self {
            namespace: (*metadata.namespace).into(),
            name: (*metadata.name).into(),
            uid: (*metadata.uid).into(),
            controller: controller.map(|controller| ((*controller.kind).into(), (*controller.name).into())),
            pending: status.phase == "Pending",
            ready: status.condition("Ready").is_some_and(|condition| condition.status == "True"),
            labels: metadata.labels.clone(),
            obstacle: lost.map(String::into_boxed_str),
            not_sent: None,
        }
    }

    /// Returns the reason why it must not be evicted, if it must not.
    pub fn keeps(&self, budgets: &[Budget]) -> Option<String> {
        self.limit(budgets).err()
    }

    /// The place in the plan: Pending pods come first.
    fn key(&self) -> Place<'_> {
        (!self.pending, &self.namespace, self.controller.as_ref(), &self.name)
    }

    /// Returns what limits its eviction, and how many such pods may be evicted at once; `None` if nothing does.
    ///
    /// # Errors
    /// The reason why it must not be evicted.
    fn limit(&self, budgets: &[Budget]) -> Result<Option<(Limit, usize)>, String> {
        if let Some(why) = &self.not_sent {
            return Err(format!(
                "a new pod would not be sent to colocate ({why}), and would get the same scheduler: change the webhook configuration \
                 first"
            ));
        }
        let Some((kind, name)) = &self.controller else {
            return Err("it has no controller that would create it again: delete it, and create it from its manifest"
                .to_owned());
        };
        if let Some(why) = &self.obstacle {
            return Err((**why).to_owned());
        }
        // The API server does not apply budgets to it.
        if self.pending {
            return Ok(None);
        }
        let own: Vec<_> = budgets.iter().filter(|budget| budget.covers(self)).collect();
        match own[..] {
            [] => Ok(Some((Limit::Workload(self.namespace.clone(), kind.clone(), name.clone()), 1))),
            [budget] if !self.ready && budget.ignores_unready() => Ok(None),
            [Budget { metadata, status, .. }] => match status.disruptions_allowed {
                0 => Err(format!(
                    "PodDisruptionBudget {} allows no disruption at present: try again when more of its pods are ready, or \
                     add replicas",
                    metadata.name
                )),
                allowed => {
                    let limit = Limit::Budget(metadata.namespace.clone(), metadata.name.clone());
                    Ok(Some((limit, usize::try_from(allowed).unwrap_or(usize::MAX))))
                }
            },
            _ => {
                let names: Vec<_> = own.iter().map(|budget| budget.metadata.name.as_str()).collect();
                Err(format!(
                    "the API server rejects the eviction of a pod of several PodDisruptionBudgets ({}): change their selectors so that \
                     only one selects it",
                    names.join(", ")
                ))
            }
        }
    }
}

impl Budget {
    /// The number of disruptions that it allows now.
    pub fn allowed(&self) -> u32 {
        self.status.disruptions_allowed
    }

    /// Returns true if it selects the pod.
    pub fn covers(&self, pod: &WrongPod) -> bool {
        let selector = self.spec.selector.as_ref();
        *self.metadata.namespace == *pod.namespace
            && selector.is_some_and(|selector| selector.selects(&pod.labels) == Answer::Yes)
    }

    /// Returns true if the API server evicts pods that are not ready, whatever number of disruptions the budget allows.
    fn ignores_unready(&self) -> bool {
        let BudgetStatus { current_healthy, desired_healthy, .. } = self.status;
        self.spec.unhealthy_pod_eviction_policy.as_deref() == Some("AlwaysAllow")
            || (desired_healthy > 0 && current_healthy >= desired_healthy)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(namespace: &str, workload: &str, name: &str) -> WrongPod {
        WrongPod {
            namespace: namespace.into(),
            name: name.into(),
            uid: name.into(),
            controller: Some(("StatefulSet".into(), workload.into())),
            pending: false,
            ready: true,
            labels: Labels::from([("app".to_owned(), workload.to_owned())]),
            obstacle: None,
            not_sent: None,
        }
    }

    fn budget(name: &str, selector: &Value, allowed: u32) -> Budget {
        let metadata = json!({"namespace": "db", "name": name});
        let status = json!({"disruptionsAllowed": allowed});
        serde_json::from_value(json!({"metadata": metadata, "spec": {"selector": selector}, "status": status})).unwrap()
    }

    fn of_app(app: &str) -> Value {
        json!({"matchLabels": {"app": app}})
    }

    fn rounds(plan: &RepairPlan) -> Vec<Vec<&str>> {
        plan.rounds.iter().map(|round| round.iter().map(|pod| &*pod.name).collect()).collect()
    }

    fn reasons(plan: &RepairPlan) -> Vec<(&str, &str)> {
        plan.left_out.iter().map(|(pod, reason)| (&*pod.name, reason.as_str())).collect()
    }

    #[test]
    fn a_round_never_exceeds_a_budget() {
        let pods = ["a-3", "a-1", "a-0", "a-2", "a-4"].map(|name| pod("db", "a", name)).to_vec();
        let plan = |allowed| RepairPlan::new(pods.clone(), Some(&[budget("a", &of_app("a"), allowed)]));
        assert_eq!(rounds(&plan(2)), [vec!["a-0", "a-1"], vec!["a-2", "a-3"], vec!["a-4"]]);
        assert_eq!(rounds(&plan(9)), [vec!["a-0", "a-1", "a-2", "a-3", "a-4"]]);
        let none = plan(0);
        assert_eq!((none.rounds.len(), none.left_out.len()), (0, 5));
        let reason = "PodDisruptionBudget a allows no disruption at present: try again when more of its pods are ready, or add \
                      replicas";
        assert_eq!(reasons(&none)[0], ("a-0", reason));
    }

    #[test]
    fn a_budget_is_shared_by_the_workloads_that_it_selects() {
        let pods = vec![pod("db", "a", "a-0"), pod("db", "b", "b-0"), pod("other", "a", "a-0")];
        let all = [budget("all", &json!({}), 1)];
        assert_eq!(rounds(&RepairPlan::new(pods.clone(), Some(&all))), [vec!["a-0", "a-0"], vec!["b-0"]]);
        // Without a selector, it selects nothing.
        let nothing = [budget("nothing", &Value::Null, 0)];
        assert_eq!(rounds(&RepairPlan::new(pods, Some(&nothing))), [["a-0", "b-0", "a-0"]]);
    }

    #[test]
    fn without_a_budget_one_pod_per_workload_is_evicted_in_a_round() {
        let pods = vec![pod("db", "a", "a-0"), pod("db", "a", "a-1"), pod("db", "b", "b-0")];
        for budgets in [None, Some(&[][..])] {
            assert_eq!(rounds(&RepairPlan::new(pods.clone(), budgets)), [vec!["a-0", "b-0"], vec!["a-1"]]);
        }
    }

    #[test]
    fn pending_pods_come_first_and_all_at_once() {
        let pending = |name| WrongPod { pending: true, ..pod("db", "z", name) };
        let pods = vec![pod("db", "a", "a-0"), pending("z-0"), pending("z-1")];
        let budgets = [budget("z", &of_app("z"), 0)];
        assert_eq!(rounds(&RepairPlan::new(pods, Some(&budgets))), [["z-0", "z-1", "a-0"]]);
    }

    #[test]
    fn pods_that_are_not_ready_are_evicted_like_the_api_server_does() {
        let unready = WrongPod { ready: false, ..pod("db", "a", "a-0") };
        for (policy, current, desired, evicted) in [
            (Value::Null, 2, 2, true),
            (Value::Null, 1, 2, false),
            // The status has not been written yet.
            (Value::Null, 0, 0, false),
            (json!("IfHealthyBudget"), 1, 2, false),
            (json!("AlwaysAllow"), 1, 2, true),
        ] {
            let budget: Budget = serde_json::from_value(json!({
                "metadata": {"namespace": "db", "name": "a"},
                "spec": {"selector": of_app("a"), "unhealthyPodEvictionPolicy": policy},
                "status": {"disruptionsAllowed": 0, "currentHealthy": current, "desiredHealthy": desired},
            }))
            .unwrap();
            let plan =
                RepairPlan::new(vec![unready.clone(), pod("db", "a", "a-1")], Some(std::slice::from_ref(&budget)));
            assert_eq!(plan.rounds.len(), usize::from(evicted), "{budget:?}");
            assert_eq!(plan.left_out.last().map(|(pod, _)| &*pod.name), Some("a-1"), "{budget:?}");
        }
    }

    #[test]
    fn pods_that_must_not_be_evicted_are_left_out() {
        let bare = WrongPod { controller: None, ..pod("db", "a", "bare") };
        let job = WrongPod { obstacle: Some("a Job counts".into()), ..pod("db", "j", "job") };
        let unsent = WrongPod { not_sent: Some("why".into()), pending: true, ..pod("db", "b", "unsent") };
        let budgets = [budget("one", &of_app("a"), 5), budget("two", &json!({}), 5)];
        let pods = vec![bare, job, unsent, pod("db", "a", "twice"), pod("db", "b", "once")];
        let plan = RepairPlan::new(pods, Some(&budgets));
        assert_eq!(rounds(&plan), [["once"]]);
        let mut left_out = reasons(&plan);
        left_out.sort_unstable();
        let expected = [
            ("bare", "it has no controller that would create it again: "),
            ("job", "a Job counts"),
            ("twice", "the API server rejects the eviction of a pod of several PodDisruptionBudgets (one, two): "),
            ("unsent", "a new pod would not be sent to colocate (why), and would get the same scheduler: "),
        ];
        assert_eq!(left_out.len(), expected.len(), "{left_out:?}");
        for ((name, reason), (expected_name, start)) in left_out.into_iter().zip(expected) {
            assert_eq!((name, reason.starts_with(start)), (expected_name, true), "{reason}");
        }
    }
}
