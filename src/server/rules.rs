//! What decides requests and may be changed while they come.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::engine::Policy;

/// The rules for the next request. Clones share them.
#[derive(Clone, Debug)]
pub struct Rules(Arc<ArcSwap<Rule>>);

/// The rules of one request, from its beginning to its end.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) policy: Policy,
    /// How long a pod may be made to wait for a claim.
    pub(super) patience: Duration,
}

impl Rules {
    /// `patience` is how long a pod may be made to wait for a claim that does not exist yet.
    pub fn new(policy: Policy, patience: Duration) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(Rule { policy, patience })))
    }

    /// From the next request on, these apply.
    pub fn replace(&self, policy: Policy, patience: Duration) {
        self.0.store(Arc::new(Rule { policy, patience }));
    }

    pub(super) fn now(&self) -> Arc<Rule> {
        self.0.load_full()
    }
}
