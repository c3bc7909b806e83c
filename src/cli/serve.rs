//! `colocate serve`: the admission server.

mod reload;
mod termination_log;

use std::io::{IsTerminal as _, Write as _, stderr};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;

use super::Usage;
use super::examples::{self, Examples};
use super::input::path_or_nothing;
use super::paint::ColorOption;
use crate::api::ApiClient;
use crate::claims::{ClaimCache, ClaimSource};
use crate::config::{Config, ConfigFile, SecretSection};
use crate::events::EventRecorder;
use crate::file;
use crate::manifest::{self, Source};
use crate::process::blocking_writer::BlockingWriter;
use crate::process::log::{self, LogLevel};
use crate::process::log_line::LogFormat;
use crate::process::shutdown::{DrainTimes, Shutdown, SignalHandlers};
use crate::process::tasks::TaskFailures;
use crate::process::{Process, open_files};
use crate::schedulers::{self, SchedulerRegistry};
use crate::server::{
    Admin, HttpServer, MutateHandler, RequestConfig, Routes, ServerLimits, SharedConfig, TlsSettings, TooFewFiles,
    ValidateHandler,
};
use crate::tls::{
    Callers, CertificateFileError, CertificateFiles, CertificateRead, CertificateReloader, CertificateResolver,
};
use crate::trust::{CaSettings, ManagedCa, MountedCa, TrustController, TrustSource, WebhookNames};

/// The files that the process opens besides those of clients, of watched namespaces and of GETs: standard streams, event
/// queues, other connections to the API server, and files that are read.
const OWN_FILES: usize = 64;

/// The largest file of `--manifests`, in bytes: a few hundred thousand claims.
const MAX_MANIFEST: usize = 256 * 1024 * 1024;

/// The longest time to read `--manifests`. It takes less than a second, except on a mount that hangs.
const MANIFESTS_LIMIT: Duration = Duration::from_secs(30);

/// Answer admission reviews over TLS.
///
/// Claims are read from the cluster of KUBECONFIG or of the pod's service account, or, with --manifests, from files only.
#[derive(Debug, Args)]
#[command(after_help = examples::text(&EXAMPLES))]
pub(super) struct Serve {
    /// The configuration file. Without one, the defaults apply.
    #[arg(long, value_name = "FILE", env = "COLOCATE_CONFIG", value_parser = path_or_nothing())]
    config: Option<PathBuf>,

    /// The address for admission reviews: an IP address and a port, such as `[::]:8443` for IPv4 and IPv6.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,

    /// The address for /livez, /readyz and /metrics, without TLS.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    admin: SocketAddr,

    /// The certificate and its intermediates, as PEM. Without it, colocate keeps its own CA in a Secret.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key, as PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// The CA certificates, as PEM, that colocate keeps in the caBundle of the webhook configurations. Without this flag, with
    /// --tls-cert, it does not change the caBundle.
    #[arg(long, value_name = "FILE", requires = "tls_cert", conflicts_with = "manifests")]
    tls_ca: Option<PathBuf>,

    /// Accept only clients with a certificate of a CA in this file, as PEM. The API server must be configured to send one.
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,

    /// Accept only client certificates with this DNS name or common name. May be repeated.
    #[arg(long, value_name = "NAME", requires = "client_ca")]
    client_name: Vec<String>,

    /// Read claims, classes and volumes from these files and directories, and do not contact a cluster.
    #[arg(long, value_name = "FILE|DIR", num_args = 1..)]
    manifests: Vec<PathBuf>,

    /// The format of log lines.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    /// The lowest level that is logged; `debug` logs each decision.
    #[arg(long, value_enum, default_value_t = LogLevel::Info)]
    log_level: LogLevel,

    #[command(flatten)]
    color: ColorOption,

    /// The file to write the cause of a failure to, if it exists. Kubernetes shows it in the pod's status.
    #[arg(long, value_name = "FILE", default_value = "/dev/termination-log")]
    termination_log: PathBuf,

    /// Print the configuration with all defaults, and exit.
    #[arg(long)]
    print_config: bool,
}

const EXAMPLES: Examples = [
    (
        "Serve admission reviews without a cluster, with claims from files:",
        "colocate serve --tls-cert certs/tls.crt --tls-key certs/tls.key --manifests storage",
    ),
    (
        "Check a configuration file, and print it with all defaults:",
        "colocate serve --config colocate.yaml --print-config",
    ),
];

impl Serve {
    pub(super) async fn run(self) -> ExitCode {
        let (process, failures) = Process::new();
        let log = process.log.clone();
        let ended = self.start(process, failures).await;
        let code = match &ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                termination_log::write(&self.termination_log, &super::one_line(error));
                log.push(super::last_line(error).as_bytes());
                super::exit_code(error)
            }
        };
        log.flush();
        code
    }

    /// Starts what must work however long the rest of the start takes, and serves.
    async fn start(&self, process: Process, failures: TaskFailures) -> anyhow::Result<()> {
        let handlers = process.shutdown.on_signal(process.log.clone()).context("cannot install signal handlers")?;
        process.log.write_to(BlockingWriter(stderr())).context("cannot start the thread that writes the log")?;
        let colored = self.color.is_on(stderr().is_terminal());
        log::init(self.log_format, self.log_level, colored, &process.log);
        self.serve(process, failures, handlers).await
    }

    async fn serve(
        &self,
        process: Process,
        mut failures: TaskFailures,
        handlers: SignalHandlers,
    ) -> anyhow::Result<()> {
        let (file, config) = match self.config.as_ref().filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => ConfigFile::load(path).await.map(|(file, config)| (Some(file), config))?,
            None => (None, Config::default()),
        };
        if self.print_config {
            std::io::stdout().write_all(config.to_yaml()?.as_bytes())?;
            return Ok(());
        }
        if self.tls_cert.is_none() && !self.manifests.is_empty() {
            return Err(Usage("--manifests needs a certificate, because without a cluster colocate cannot keep a CA: add --tls-cert and --tls-key (colocate certs issues one)".to_owned()).into());
        }
        let callers = match &self.client_ca {
            Some(path) => Some(Callers::load(path, &self.client_name).await?),
            None => None,
        };

        let registry = SchedulerRegistry::new(config.schedulers());
        let client = if self.manifests.is_empty() { Some(ApiClient::for_server(&process).await?) } else { None };
        let resolver = CertificateResolver::default();
        self.keep_certificate(&config, client.as_ref(), &resolver, &process).await?;
        let tls = TlsSettings { config: Arc::new(resolver.server_config(callers.as_ref(), &process.clock)?), callers };
        let events = match client.clone().filter(|_| config.records_events()) {
            Some(client) => EventRecorder::start(client, config.namespaces(), &process),
            None => EventRecorder::off(),
        };
        let claims = Arc::new(self.claims(client, &config, &registry, &process).await?);

        let shared = SharedConfig::new(request_config(&config));
        if let Some(file) = file {
            let reload = reload::reload(file, config.clone(), shared.clone(), process.clone());
            process.tasks.spawn("configuration file", reload);
        }
        let validate = ValidateHandler::new(shared.clone(), claims.clone(), process.metrics.clone());
        let mutate = MutateHandler::new(shared, claims, registry, events, process.metrics.clone());
        let (review_limits, admin_limits) = server_limits(&config)?;
        let server = bind(self.listen, Some(tls), Routes::new(mutate, validate, &process), review_limits).await?;
        let admin = bind(self.admin, None, Admin::new(&process), admin_limits).await?;
        handlers.drain(DrainTimes { grace: config.drain_grace(), timeout: config.drain_timeout() });
        tracing::info!(
            listen = %server.address()?,
            admin = %admin.address()?,
            version = env!("CARGO_PKG_VERSION"),
            "serving"
        );

        // Probes are answered until the process exits.
        process.tasks.spawn("probes and metrics", admin.run(Shutdown::default()));
        tokio::select! {
            () = server.run(process.shutdown.clone()) => {}
            failure = failures.next() => return Err(failure.into()),
        }
        tracing::info!("shut down");
        Ok(())
    }

    /// Starts the tasks that keep a certificate in `resolver`, and its CA in the webhook configurations.
    async fn keep_certificate(
        &self,
        config: &Config,
        client: Option<&ApiClient>,
        resolver: &CertificateResolver,
        process: &Process,
    ) -> anyhow::Result<()> {
        let tls = config.tls();
        let mut source = None;
        if let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) {
            let known = tls.service.namespace.as_deref().or(client.and_then(ApiClient::pod_namespace));
            let name = known.map(|namespace| tls.service_name(namespace));
            let mut files = CertificateFiles::new(certificate, key, name);
            // Before the API server's first response, only this machine's clock is known, and it must not refuse the files.
            let first = files.read(process.clock.read().now()).await;
            if let (Err(CertificateFileError::NotValidNow { .. }), Some(client)) = (first, client) {
                client.learn_time().await;
            }
            let (metrics, clock) = (process.metrics.clone(), process.clock.clone());
            let detail = process.readiness.detail("certificate files");
            let report = move |read: CertificateRead<'_>| {
                let failure = match read {
                    CertificateRead::New(validity) => {
                        metrics.certificate_rotations.inc(["leaf"]);
                        metrics.certificate_expiry.set_end("leaf", validity.map(|own| own.not_after()), &clock);
                        metrics.certificate_renewal.set_end("leaf", validity.map(|own| own.renewal()), &clock);
                        None
                    }
                    CertificateRead::Unchanged => None,
                    CertificateRead::Refused(failure) => Some(failure.to_owned()),
                };
                metrics.file_usable.set(["certificate"], Some(failure.is_none()));
                detail.set(failure);
            };
            let reloader = CertificateReloader::begin(files, resolver.clone(), process.clock.clone(), report).await?;
            process.tasks.spawn("certificate files", reloader.run());
            source = self.tls_ca.clone().map(|path| TrustSource::Mounted(MountedCa::new(path)));
        } else if let Some(client) = client {
            let SecretSection { namespace, name, create } = tls.secret.clone();
            let names = tls.names(client.namespace());
            let settings = CaSettings { namespace, name, create, names, lifetimes: tls.lifetimes() };
            source = Some(TrustSource::Managed(Box::new(ManagedCa::new(client, settings, &process.readiness))));
        }
        if let (Some(source), Some(client)) = (source, client) {
            let webhooks = &tls.webhooks;
            let webhooks =
                WebhookNames { mutating: webhooks.mutating.clone(), validating: webhooks.validating.clone() };
            TrustController::new(client, source, &webhooks, resolver, process).start(&process.tasks);
        }
        Ok(())
    }

    async fn claims(
        &self,
        client: Option<ApiClient>,
        config: &Config,
        registry: &SchedulerRegistry,
        process: &Process,
    ) -> anyhow::Result<ClaimSource> {
        let Some(client) = client else {
            let inventory = manifest::load(&self.read_manifests().await?)?;
            let claims = inventory.claim_count();
            tracing::info!(claims, "claims are read from --manifests; no cluster is contacted");
            if claims == 0 {
                tracing::warn!(
                    "no claims found in --manifests: only *.yaml, *.yml and *.json are read from directories, without hidden files and symbolic links"
                );
            }
            return Ok(ClaimSource::Manifests(Box::new(inventory)));
        };
        schedulers::monitor(&client, registry, process);
        let cache = ClaimCache::new(client, config.namespaces(), config.claim_limits(), process);
        cache.watch(process);
        Ok(ClaimSource::Cluster(cache))
    }

    async fn read_manifests(&self) -> anyhow::Result<Vec<Source>> {
        let paths = self.manifests.clone();
        let read = move || manifest::read_with(&paths, |path| file::read_regular(path, MAX_MANIFEST));
        Ok(file::within(MANIFESTS_LIMIT, read).await.context("cannot read --manifests")??)
    }
}

/// Returns the part of the configuration that every request depends on.
fn request_config(config: &Config) -> RequestConfig {
    RequestConfig { policy: config.policy(), wait: config.claim_limits().wait, validation: config.validation() }
}

/// Returns the limits of the server for reviews and of the one for probes, which together fit within the limit of open
/// files.
fn server_limits(config: &Config) -> anyhow::Result<(ServerLimits, ServerLimits)> {
    let limit = open_files::raise();
    // Each watched namespace and each GET of a claim may need a connection of its own.
    let own = OWN_FILES + config.namespaces().len() + config.claim_limits().max_gets;
    let (reviews, admin) = ServerLimits::within(limit.saturating_sub(own)).map_err(|TooFewFiles { missing }| {
        anyhow!(
            "the limit of open files is {limit}, which is too low: raise it to at least {} (ulimit -n)",
            own.max(limit) + missing
        )
    })?;
    let (connections, wanted) = (reviews.connections(), ServerLimits::reviews().connections());
    if connections < wanted {
        tracing::warn!(
            limit,
            connections,
            "the limit of open files allows only some of {wanted} connections: raise it by {} (ulimit -n)",
            wanted - connections
        );
    }
    Ok((reviews, admin))
}

async fn bind<S>(
    address: SocketAddr,
    tls: Option<TlsSettings>,
    service: S,
    limits: ServerLimits,
) -> anyhow::Result<HttpServer<S>> {
    HttpServer::bind(address, tls, service, limits).await.with_context(|| format!("cannot listen on {address}"))
}
