//! A client of one cluster's API server.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hyper::Uri;
use kube::Client;
use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::client_file::{Access, ClientFile, ClientFileError, take_token_file};
use super::request::{MAX_BODY, Resource};
use crate::engine::one_line;
use crate::process::Process;
use crate::process::clock::Clock;

/// The length to which a configuration error is truncated, in characters.
const MAX_LINE: usize = 512;

/// The version of the API server. Every client may get it.
const VERSION: Resource = Resource::new("", "version");

/// A client of one cluster's API server. Clones share its connections.
#[derive(Clone)]
pub struct ApiClient {
    pub(super) access: Arc<ArcSwap<Access>>,
    namespace: Arc<str>,
    /// For a command, the URL of the API server, and the context of the kubeconfig.
    pub(super) server: Option<Arc<str>>,
    /// Whether requests are retried that the API server cannot answer now.
    pub(super) retries: bool,
    /// The maximum length of a response body, in bytes.
    pub(super) max_body: u64,
    /// Whether it uses the service account of the pod that this process runs in.
    in_pod: bool,
    pub(super) clock: Clock,
}

/// The cluster that a user chose, if any.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClusterChoice<'a> {
    /// The kubeconfig, instead of the one that kubectl would use.
    pub kubeconfig: Option<&'a Path>,
    /// The context, instead of the current one.
    pub context: Option<&'a str>,
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
    /// The kubeconfig or the context that a user named cannot be used.
    #[error("the cluster of --kubeconfig or --context cannot be used: {}", one_line(&.0.to_string(), MAX_LINE))]
    Chosen(KubeconfigError),
    /// Neither a kubeconfig nor a pod's service account can be used.
    #[error("no usable cluster configuration: {}", one_line(&.0.to_string(), MAX_LINE))]
    Infer(InferConfigError),
    /// The configuration that was found does not make a client.
    #[error("cannot make a client for the cluster: {}", one_line(&.0.to_string(), MAX_LINE))]
    Client(kube::Error),
    /// The client's token cannot be used.
    #[error("no usable cluster configuration: {0}")]
    File(ClientFileError),
}

impl ApiClient {
    /// Finds the cluster for a server: the one that `KUBECONFIG` names, or else the one that this pod runs in.
    /// `~/.kube/config` is not read, because a server must not serve from whatever cluster someone used last. The cluster
    /// is not contacted. The clock of `process` records the `Date` of its responses, and background tasks follow the files
    /// that are replaced while the process runs.
    ///
    /// # Errors
    /// If neither names a cluster, or the kubeconfig or the token cannot be used.
    pub async fn for_server(process: &Process) -> Result<Self, NotConfigured> {
        let in_pod = std::env::var_os("KUBECONFIG").is_none_or(|path| path.is_empty());
        let config = if in_pod {
            kube::Config::incluster().map_err(|_| NotConfigured::Nowhere)?
        } else {
            let options = KubeConfigOptions::default();
            kube::Config::from_kubeconfig(&options).await.map_err(NotConfigured::Kubeconfig)?
        };
        let (client, files) = Self::new(config, in_pod, process.clock.clone()).await?;
        for file in files {
            process.tasks.spawn(file.name(), file.follow(process.clone()));
        }
        Ok(client)
    }

    /// Finds the cluster for a command: the chosen one, or else the one that kubectl would use, or else the one that this pod
    /// runs in. With `retries`, a request that is answered with 429 or 503 is retried within its time limit.
    ///
    /// # Errors
    /// If no cluster is configured.
    pub async fn for_command(retries: bool, choice: ClusterChoice<'_>) -> Result<Self, NotConfigured> {
        let kubeconfig = choice.kubeconfig.map_or_else(Kubeconfig::read, Kubeconfig::read_from);
        let current = kubeconfig.as_ref().ok().and_then(|kubeconfig| kubeconfig.current_context.clone());
        let context = choice.context.map(str::to_owned).or(current);
        let config = match choice {
            ClusterChoice { kubeconfig: None, context: None } => {
                kube::Config::infer().await.map_err(NotConfigured::Infer)?
            }
            ClusterChoice { context, .. } => {
                let context = context.map(str::to_owned);
                let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
                let config = kube::Config::from_custom_kubeconfig(kubeconfig.map_err(NotConfigured::Chosen)?, &options);
                config.await.map_err(NotConfigured::Chosen)?
            }
        };
        let server = described(&config.cluster_url, context.as_deref());
        // A command ends long before its token expires.
        let (client, _) = Self::new(config, false, Clock::system()).await?;
        Ok(Self { server: Some(server.into()), retries, ..client })
    }

    /// Creates a client that has read its token, and the files to read again.
    async fn new(
        mut config: kube::Config,
        in_pod: bool,
        clock: Clock,
    ) -> Result<(Self, Vec<ClientFile>), NotConfigured> {
        // A server retries by its own rules and logs it: kube would retry for a minute without logging, and also what it must not.
        config.default_retry = false;
        let token = take_token_file(&mut config.auth_info);
        let authorities = config.root_cert_file.take();
        let kube = Client::try_from(config.clone()).map_err(NotConfigured::Client)?;
        let client = Self::with_clock(kube, in_pod, clock);
        let mut files = Vec::new();
        if let Some(path) = token {
            let mut file = ClientFile::token(path, client.access.clone());
            file.read().await.map_err(NotConfigured::File)?;
            files.push(file);
        }
        if let Some(path) = authorities {
            files.push(ClientFile::authorities(path, config, client.access.clone()));
        }
        Ok((client, files))
    }

    fn with_clock(kube: Client, in_pod: bool, clock: Clock) -> Self {
        let namespace = kube.default_namespace().into();
        let access = Arc::new(ArcSwap::from_pointee(Access { kube, authorization: None }));
        Self { access, namespace, server: None, retries: false, max_body: MAX_BODY, in_pod, clock }
    }

    #[cfg(test)]
    pub(crate) fn for_test(kube: Client) -> Self {
        Self::for_test_with_clock(kube, Clock::system())
    }

    #[cfg(test)]
    pub(crate) fn for_test_with_clock(kube: Client, clock: Clock) -> Self {
        Self::with_clock(kube, false, clock)
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
        &self.namespace
    }

    /// Returns the namespace of the pod that this process runs in; `None` outside a pod.
    pub fn pod_namespace(&self) -> Option<&str> {
        self.in_pod.then(|| self.namespace())
    }
}

/// Describes an API server by its URL, without credentials, and by the context of the kubeconfig.
fn described(url: &Uri, context: Option<&str>) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path = url.path().trim_end_matches('/');
    let server = format!("{}://{}{port}{path}", url.scheme_str().unwrap_or("https"), url.host().unwrap_or_default());
    match context {
        Some(context) => format!("server {server} of context {context}"),
        None => format!("server {server}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_described_without_credentials() {
        for (url, context, expected) in [
            ("https://10.0.0.1:6443/", Some("west"), "server https://10.0.0.1:6443 of context west"),
            ("https://a:b@rancher.test/k8s/c-1", None, "server https://rancher.test/k8s/c-1"),
            ("https://[::1]:6443", None, "server https://[::1]:6443"),
        ] {
            assert_eq!(described(&url.parse().unwrap(), context), expected);
        }
    }
}
