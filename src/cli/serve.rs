//! `colocate serve`: the admission server.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::admin::Admin;
use crate::claims::Claims;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::presence::Presences;
use crate::readiness::Readiness;
use crate::server::{Admission, Routes, Server};
use crate::shutdown::Shutdown;
use crate::tls::{Files, Resolver};
use crate::{log, manifest};

/// Answer admission reviews over TLS.
///
/// What is known of claims comes from the cluster that KUBECONFIG or the pod's service account names, or, with
/// --manifests, from files alone.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The configuration file; without one, everything has its default.
    #[arg(long, value_name = "FILE", env = "COLOCATE_CONFIG")]
    config: Option<PathBuf>,

    /// Where admission reviews are answered: an IP address and a port, `[::]:8443` for both families.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,

    /// Where /livez, /readyz and /metrics are answered, without TLS.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    admin: SocketAddr,

    /// The certificate, as PEM, with what chains it to its CA.
    #[arg(long, value_name = "FILE", required_unless_present = "print_config")]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key, as PEM.
    #[arg(long, value_name = "FILE", required_unless_present = "print_config")]
    tls_key: Option<PathBuf>,

    /// Take claims, classes and volumes from these files and directories, and contact no cluster.
    #[arg(long, value_name = "FILE|DIR", num_args = 1..)]
    manifests: Vec<PathBuf>,

    /// How log lines are written.
    #[arg(long, value_enum, default_value_t = log::Format::Text)]
    log_format: log::Format,

    /// From which level on log lines are written; `debug` has a line for each decision.
    #[arg(long, value_enum, default_value_t = log::Level::Info)]
    log_level: log::Level,

    /// Print the configuration with all defaults, and end.
    #[arg(long)]
    print_config: bool,
}

impl Serve {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let config = self.config.as_deref().map(Config::load).transpose()?.unwrap_or_default();
        let (false, Some(certificate), Some(key)) = (self.print_config, &self.tls_cert, &self.tls_key) else {
            std::io::stdout().write_all(config.to_yaml()?.as_bytes())?;
            return Ok(());
        };
        log::init(self.log_format, self.log_level);
        let files = Files { certificate: certificate.clone(), key: key.clone(), name: None };
        let resolver = Resolver::default();
        resolver.serve(files.read(Timestamp::now())?);
        let tls = TlsAcceptor::from(Arc::new(resolver.server_config()?));

        let shutdown = Shutdown::default();
        let readiness = Readiness::new(shutdown.draining.clone());
        let metrics = Arc::new(Metrics::default());
        let mut tasks = JoinSet::new();
        let presences = Presences::new(config.schedulers());
        let claims = self.claims(&config, &presences, &metrics, &readiness, &mut tasks).await?;

        let admission = Admission::new(config.policy(), claims, presences, config.claim_limits().wait, metrics.clone());
        let routes = Routes::new(admission, readiness.clone(), metrics.clone());
        let server = bind(self.listen, Some(tls), routes).await?;
        let admin = bind(self.admin, None, Admin::new(readiness, metrics)).await?;
        shutdown.on_signal(config.drain_grace()).context("cannot listen to signals")?;
        tracing::info!(
            listen = %server.address()?,
            admin = %admin.address()?,
            version = env!("CARGO_PKG_VERSION"),
            "serving"
        );

        // The probes are answered for as long as the process lives.
        tasks.spawn(admin.run(Shutdown::default()));
        tokio::select! {
            () = server.run(shutdown.clone()) => {}
            () = overdue(&shutdown, config.drain_timeout()) => tracing::warn!("ending with requests in flight"),
            Some(ended) = tasks.join_next() => match ended {
                Ok(()) => bail!("a background task ended"),
                Err(error) => bail!("a background task failed: {error}"),
            },
        }
        tracing::info!("ended");
        Ok(())
    }

    async fn claims(
        &self,
        config: &Config,
        presences: &Presences,
        metrics: &Arc<Metrics>,
        readiness: &Readiness,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<Claims> {
        if !self.manifests.is_empty() {
            let inventory = manifest::load(&self.manifests)?;
            let claims = inventory.claim_count();
            tracing::info!(claims, "claims are those of --manifests; no cluster is contacted");
            if claims == 0 {
                tracing::warn!(
                    "--manifests holds no claim: directories are read for *.yaml, *.yml and *.json, without hidden ones and links"
                );
            }
            return Ok(Claims::Manifests(Box::new(inventory)));
        }
        let cluster = Cluster::infer(config.claim_limits(), metrics.clone()).await?;
        cluster.watch(config.namespaces(), readiness, tasks);
        cluster.watch_schedulers(presences, readiness, metrics, tasks);
        Ok(Claims::Cluster(cluster))
    }
}

async fn bind<S>(address: SocketAddr, tls: Option<TlsAcceptor>, service: S) -> anyhow::Result<Server<S>> {
    Server::bind(address, tls, service).await.with_context(|| format!("cannot listen on {address}"))
}

/// Ends when draining has taken longer than it may.
async fn overdue(shutdown: &Shutdown, timeout: Duration) {
    shutdown.draining.cancelled().await;
    tokio::time::sleep(timeout).await;
}
