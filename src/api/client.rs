//! A client of one cluster's API server.

use kube::Client;
use kube::config::{InferConfigError, KubeConfigOptions, KubeconfigError};

use super::request::Resource;
use crate::engine::one_line;
use crate::process::clock::Clock;

/// The length to which a configuration error is truncated, in characters.
const MAX_LINE: usize = 512;

/// The version of the API server. Every client may get it.
const VERSION: Resource = Resource::new("", "version");

/// A client of one cluster's API server. Clones share its connections.
#[derive(Clone)]
pub struct ApiClient {
    pub(super) kube: Client,
    /// Whether it uses the service account of the pod that this process runs in.
    in_pod: bool,
    pub(super) clock: Clock,
}

/// No usable configuration names a cluster.
#[derive(Debug, thiserror::Error)]
pub enum NotConfigured {
    /// Nothing names a cluster.
    #[error(
        "no cluster is configured: set KUBECONFIG, run in a pod with a service account, or name files with --manifests"
    )]
    Nowhere,
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig that KUBECONFIG names cannot be used: {}", one_line(&.0.to_string(), MAX_LINE))]
    Kubeconfig(KubeconfigError),
    /// Neither a kubeconfig nor a pod's service account can be used.
    #[error("no usable cluster configuration: {}", one_line(&.0.to_string(), MAX_LINE))]
    Infer(InferConfigError),
    /// The configuration that was found does not make a client.
    #[error("cannot make a client for the cluster: {}", one_line(&.0.to_string(), MAX_LINE))]
    Client(kube::Error),
}

impl ApiClient {
    /// Finds the cluster for a server: the one that `KUBECONFIG` names, or else the one that this pod runs in.
    /// `~/.kube/config` is not read, because a server must not serve from whatever cluster someone used last. The cluster
    /// is not contacted. `clock` records the `Date` of its responses.
    ///
    /// # Errors
    /// If neither names a cluster, or the kubeconfig cannot be used.
    pub async fn for_server(clock: Clock) -> Result<Self, NotConfigured> {
        let in_pod = std::env::var_os("KUBECONFIG").is_none_or(|path| path.is_empty());
        let mut config = if in_pod {
            kube::Config::incluster().map_err(|_| NotConfigured::Nowhere)?
        } else {
            let options = KubeConfigOptions::default();
            kube::Config::from_kubeconfig(&options).await.map_err(NotConfigured::Kubeconfig)?
        };
        // A server retries by its own rules and logs it: kube would retry for a minute without logging.
        config.default_retry = false;
        Self::new(config, in_pod, clock)
    }

    /// Finds the cluster for a command: the one that kubectl would use, or else the one that this pod runs in. With
    /// `retries`, a request that is answered with 429 or 503 is retried within its time limit.
    ///
    /// # Errors
    /// If no cluster is configured.
    pub async fn for_command(retries: bool) -> Result<Self, NotConfigured> {
        let mut config = kube::Config::infer().await.map_err(NotConfigured::Infer)?;
        config.default_retry = retries;
        Self::new(config, false, Clock::system())
    }

    fn new(config: kube::Config, in_pod: bool, clock: Clock) -> Result<Self, NotConfigured> {
        Ok(Self { kube: Client::try_from(config).map_err(NotConfigured::Client)?, in_pod, clock })
    }

    #[cfg(test)]
    pub(crate) fn for_test(kube: Client) -> Self {
        Self::for_test_with_clock(kube, Clock::system())
    }

    #[cfg(test)]
    pub(crate) fn for_test_with_clock(kube: Client, clock: Clock) -> Self {
        Self { kube, in_pod: false, clock }
    }

    /// Returns the clock that records the `Date` of responses.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sends a request that needs no permission, so that the clock knows the API server's time. Without a response, it stays
    /// unknown.
    pub async fn learn_time(&self) {
        if let Err(error) = self.get(VERSION, "/version").await {
            tracing::debug!(%error, "cannot ask the API server for its version, and so for its time");
        }
    }

    /// Returns the namespace that this process runs in, or that the kubeconfig's context names.
    pub fn namespace(&self) -> &str {
        self.kube.default_namespace()
    }

    /// Returns the namespace of the pod that this process runs in; `None` outside a pod.
    pub fn pod_namespace(&self) -> Option<&str> {
        self.in_pod.then(|| self.namespace())
    }
}
