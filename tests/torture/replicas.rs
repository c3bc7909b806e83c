//! Two colocate processes behind the balancer, as a Deployment with `maxUnavailable: 0` keeps them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use colocate_harness::{
    Backend, Balancer, Certificate, Colocate, ControlPlane, Installation, Launch, Namespace, Namespaces,
};

/// How many there are.
const COUNT: usize = 2;

/// All that runs of one installation.
pub(crate) struct Replicas<'c> {
    pub(crate) installation: Installation<'c>,
    namespace: String,
    /// The files of the certificate; none where colocate keeps its own.
    files: Option<PathBuf>,
    balancer: Balancer,
    pub(crate) running: Vec<Replica>,
    /// How many were started so far.
    started: usize,
}

/// One of them.
pub(crate) struct Replica {
    pub(crate) colocate: Colocate,
    pub(crate) backend: Arc<Backend>,
}

impl<'c> Replicas<'c> {
    /// Starts two in a namespace, which the API server asks about pods there, and returns when both are ready.
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
        let starting: Vec<_> = (0..COUNT).map(|_| replicas.launch()).collect();
        replicas.running = starting.into_iter().inspect(|replica| replica.backend.wait_until_ready()).collect();
        replicas
    }

    /// The namespace that all of it is in.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Replaces each, one after the other: the next one goes when the one that takes its place is ready. Returns when all that
    /// were there have ended, with the most calls that began on one connection while they did.
    pub(crate) fn roll(&mut self) -> u64 {
        let ending: Vec<_> = (0..COUNT)
            .map(|place| {
                let new = self.start_one();
                let old = std::mem::replace(&mut self.running[place], new);
                old.terminate();
                old
            })
            .collect();
        ending.into_iter().map(Replica::ended).max().unwrap_or_default()
    }

    /// Starts one, and returns when it is ready.
    pub(crate) fn start_one(&mut self) -> Replica {
        let replica = self.launch();
        replica.backend.wait_until_ready();
        replica
    }

    fn launch(&mut self) -> Replica {
        self.started += 1;
        let name = format!("replica-{}", self.started);
        let certificate = self.files.as_deref().map_or(Certificate::Managed, Certificate::Files);
        // A line for each decision would be thousands.
        let colocate = Launch { log_level: "info", ..self.installation.launch(&name, certificate) }.go();
        let backend = self.balancer.add(([127, 0, 0, 1], colocate.port()).into(), colocate.admin_address());
        Replica { colocate, backend }
    }
}

impl Replica {
    /// Tells it to end, and returns when it has begun to: from then on, each answer closes its connection.
    fn terminate(&self) {
        self.colocate.signal("TERM");
        self.backend.wait_until_lost();
        self.backend.mark();
    }

    /// Returns when it has ended, with the most calls that began on one connection since it was told to.
    fn ended(mut self) -> u64 {
        assert_eq!(self.colocate.wait(), 0, "it ends as it was told to");
        self.backend.books().calls_since_mark
    }

    /// Ends it as a crash does, and returns when the balancer gives it no connections any more.
    pub(crate) fn kill(&mut self) {
        self.colocate.signal("KILL");
        assert_eq!(self.colocate.wait(), 137);
        self.backend.wait_until_it_gets_none();
    }
}
