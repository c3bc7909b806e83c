//! What decides requests and may be changed while they come.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::companion::ValidationPolicy;
use crate::engine::Policy;

/// The rules for the next request. Clones share them.
#[derive(Clone, Debug)]
pub struct SharedConfig(Arc<ArcSwap<RequestConfig>>);

/// The rules of one request, from its beginning to its end.
#[derive(Debug)]
pub struct RequestConfig {
    /// How pods and workloads are decided about.
    pub policy: Policy,
    /// How long a pod may be made to wait for a claim that does not exist yet.
    pub wait: Duration,
    /// How annotations are validated.
    pub validation: ValidationPolicy,
}

impl SharedConfig {
    /// SharedConfig that hold until they are replaced.
    pub fn new(rule: RequestConfig) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(rule)))
    }

    /// From the next request on, these apply.
    pub fn replace(&self, rule: RequestConfig) {
        self.0.store(Arc::new(rule));
    }

    pub(super) fn now(&self) -> Arc<RequestConfig> {
        self.0.load_full()
    }
}
