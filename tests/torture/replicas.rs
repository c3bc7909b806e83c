//! Two colocate processes behind the balancer, as a Deployment with `maxUnavailable: 0` runs them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use colocate_harness::{
    Backend, Balancer, Certificate, Colocate, ControlPlane, Installation, Launch, Namespace, Namespaces,
};
use jiff::SignedDuration;

/// The number of replicas.
pub(crate) const COUNT: usize = 2;

/// An installation and its running replicas.
pub(crate) struct Replicas<'c> {
    pub(crate) installation: Installation<'c>,
    namespace: String,
    /// The folder with the certificate, or `None` for a self-managed CA.
    files: Option<PathBuf>,
    balancer: Balancer,
    pub(crate) running: Vec<Replica>,
    /// The number of replicas started so far.
    started: usize,
}

/// A running replica.
pub(crate) struct Replica {
    pub(crate) colocate: Colocate,
    pub(crate) backend: Arc<Backend>,
}

impl<'c> Replicas<'c> {
    /// Starts two replicas that decide about the pods of a namespace, and waits until both are ready.
    pub(crate) fn start(
        control_plane: &'c ControlPlane,
        namespace: &Namespace,
        tls: &str,
        files: Option<PathBuf>,
        grace: Duration,
    ) -> Self {
        let drain = format!("drain: {{grace: {}s}}\n", grace.as_secs());
        let installation = Installation::new(control_plane, namespace, tls).with(&drain);
        let balancer = Balancer::start();
        let webhook = installation.webhook(balancer.port(), Namespaces::Only(&[namespace.name()]));
        namespace.kubectl().feed("create -f -", &webhook);
        let mut replicas = Self {
            installation,
            namespace: namespace.name().to_owned(),
            files,
            balancer,
            running: Vec::new(),
            started: 0,
        };
        let starting: Vec<_> = (0..COUNT).map(|_| replicas.launch(SignedDuration::ZERO)).collect();
        replicas.running = starting.into_iter().inspect(|replica| replica.backend.wait_until_ready()).collect();
        replicas
    }

    /// Returns the namespace of the installation.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Replaces each replica, one after the other: an old one is terminated when its successor is ready. Waits until all old
    /// ones have ended, and returns the largest number of calls that began on one connection meanwhile.
    pub(crate) fn replace_all(&mut self) -> u64 {
        self.replace_all_by([SignedDuration::ZERO; COUNT])
    }

    /// Like [`replace_all`](Self::replace_all), with replicas whose clocks are that far ahead.
    pub(crate) fn replace_all_by(&mut self, clocks_ahead: [SignedDuration; COUNT]) -> u64 {
        let ending: Vec<_> = clocks_ahead
            .into_iter()
            .enumerate()
            .map(|(place, ahead)| {
                let new = self.launch(ahead);
                new.backend.wait_until_ready();
                let old = std::mem::replace(&mut self.running[place], new);
                old.terminate();
                old
            })
            .collect();
        ending.into_iter().map(Replica::ended).max().unwrap_or_default()
    }

    /// Starts a replica, and waits until it is ready.
    pub(crate) fn start_one(&mut self) -> Replica {
        let replica = self.launch(SignedDuration::ZERO);
        replica.backend.wait_until_ready();
        replica
    }

    fn launch(&mut self, clock_ahead: SignedDuration) -> Replica {
        self.started += 1;
        let name = format!("replica-{}", self.started);
        let certificate = self.files.as_deref().map_or(Certificate::Managed, Certificate::Files);
        // One line per decision would be thousands of lines.
        let launch = self.installation.launch(&name, certificate);
        let colocate = Launch { log_level: "info", clock_ahead, ..launch }.go();
        let backend = self.balancer.add(([127, 0, 0, 1], colocate.port()).into(), colocate.admin_address());
        Replica { colocate, backend }
    }
}

impl Replica {
    /// Sends SIGTERM, and waits until it drains. From then on, each response closes its connection.
    fn terminate(&self) {
        self.colocate.signal("TERM");
        self.backend.wait_until_lost();
        self.backend.mark();
    }

    /// Waits until it has ended, and returns the largest number of calls that began on one connection since SIGTERM.
    fn ended(mut self) -> u64 {
        assert_eq!(self.colocate.wait(), 0, "colocate exits with 0 after SIGTERM");
        self.backend.counters().calls_since_mark
    }

    /// Kills it, and waits until the balancer opens no more connections to it.
    pub(crate) fn kill(&mut self) {
        self.colocate.signal("KILL");
        assert_eq!(self.colocate.wait(), 137);
        self.backend.wait_until_removed();
    }
}
