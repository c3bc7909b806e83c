//! The configuration of requests, which may be replaced while the server runs.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::companion::ValidationPolicy;
use crate::engine::Policy;

/// The configuration for the next request. Clones share it.
#[derive(Clone, Debug)]
pub struct SharedConfig(Arc<ArcSwap<RequestConfig>>);

/// The configuration of one request, from its start to its end.
#[derive(Debug)]
pub struct RequestConfig {
    /// The policy for pods and workloads.
    pub policy: Policy,
    /// The longest wait for a claim that does not exist yet.
    pub wait: Duration,
    /// The policy for the validation of annotations.
    pub validation: ValidationPolicy,
}

impl SharedConfig {
    /// Shares a configuration until it is replaced.
    pub fn new(config: RequestConfig) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(config)))
    }

    /// Replaces the configuration from the next request on.
    pub fn replace(&self, config: RequestConfig) {
        self.0.store(Arc::new(config));
    }

    pub(super) fn now(&self) -> Arc<RequestConfig> {
        self.0.load_full()
    }
}
