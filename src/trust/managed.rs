//! A CA of our own, in a Secret, and the leaf that this replica has of it.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::ca_secret::{CaSecret, SecretSnapshot, Unusable, WriteOutcome};
use super::live_configurations::TrackedConfiguration;
use super::rotation::{CaState, LeafInUse, Lifetimes, Propagation, RotationStep};
use crate::api::ApiClient;
use crate::process::metrics::Metrics;
use crate::tls::{Certificate, CertificateResolver, SubjectName};

/// How often the Secret is read. Between two readings, other replicas may have taken a step.
const INTERVAL: Duration = Duration::from_secs(10);

/// And not more often than that, however short things last.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// As many steps as there are, and as many times somebody else may be faster.
const STEPS: usize = 8;

/// The CA and the leaf.
pub struct ManagedCa {
    secret: CaSecret,
    names: Vec<SubjectName>,
    lifetimes: Lifetimes,
    view: Option<View>,
    in_use: Option<LeafInUse>,
}

/// What the Secret held.
struct View {
    state: CaState,
    /// When it was asked.
    read: Timestamp,
}

impl ManagedCa {
    /// The CA in the Secret of this namespace (by default, the process' own) and name, and leaves for `names`. With
    /// `create`, the Secret is created if it does not exist.
    pub fn new(
        client: &ApiClient,
        namespace: Option<&str>,
        name: &str,
        create: bool,
        names: Vec<SubjectName>,
        lifetimes: Lifetimes,
    ) -> Self {
        let namespace = namespace.unwrap_or(client.namespace());
        let secret = CaSecret::new(client.clone(), namespace, name, create);
        Self { secret, names, lifetimes, view: None, in_use: None }
    }

    pub(super) fn interval(&self) -> Duration {
        let shortest = (self.lifetimes.settle / 4).min(self.lifetimes.leaf / 8);
        Duration::try_from(shortest).unwrap_or_default().clamp(SHORTEST_INTERVAL, INTERVAL)
    }

    pub(super) fn ca_expiry(&self) -> Option<Timestamp> {
        Some(self.view.as_ref()?.state.current.certificate().validity().not_after())
    }

    /// Reads the Secret, and takes the steps that are due.
    pub(super) async fn advance(
        &mut self,
        configurations: &mut [TrackedConfiguration],
        live: &mut Propagation,
        metrics: &Metrics,
    ) -> Result<(), String> {
        for _ in 0..STEPS {
            let reading = self.read().await.map_err(|problem| problem.to_string())?;
            let Some(state) = &reading.state else {
                self.fill(&reading, metrics).await?;
                continue;
            };
            let due = |live: &Propagation| state.step(Timestamp::now(), Instant::now(), live, &self.lifetimes);
            let Some(mut step) = due(live) else { return Ok(()) };
            if step == RotationStep::Switch {
                // A watch that is dead shows what was: leaves come from the next CA only if the configurations have it now.
                for known in &mut *configurations {
                    known.look(live).await.map_err(|failure| failure.to_string())?;
                }
                match due(live) {
                    Some(again) => step = again,
                    None => return Ok(()),
                }
            }
            let now = Timestamp::now();
            let after = state.after(step, now, &self.lifetimes).map_err(|error| error.to_string())?;
            if self.write(&reading, &after).await? == WriteOutcome::Done {
                let secret = self.secret.to_string();
                match step {
                    RotationStep::Publish => {
                        tracing::info!(secret, "the next CA was made; leaves come from it when all know it");
                    }
                    RotationStep::Switch => {
                        metrics.rotated("ca");
                        tracing::info!(secret, "leaves come from the next CA from now on");
                    }
                    RotationStep::Retire => tracing::info!(secret, "the old CA is not trusted any more"),
                }
            }
        }
        Ok(())
    }

    /// Fills an empty Secret: with what it held, if this replica knows, so that nobody loses what they trust.
    async fn fill(&self, reading: &SecretSnapshot, metrics: &Metrics) -> Result<(), String> {
        let now = Timestamp::now();
        let remembered = self.view.as_ref().map(|view| &view.state);
        let remembered = remembered.filter(|held| held.current.certificate().validity().not_after() > now);
        let state = match remembered {
            Some(state) => state.clone(),
            None => CaState::first(now, &self.lifetimes).map_err(|error| error.to_string())?,
        };
        if self.write(reading, &state).await? == WriteOutcome::Done {
            let secret = self.secret.to_string();
            if remembered.is_some() {
                tracing::warn!(secret, "the Secret was empty, and holds the same CA again");
            } else {
                metrics.rotated("ca");
                tracing::info!(secret, "the Secret was empty, and holds a new CA");
            }
        }
        Ok(())
    }

    /// Serves a leaf of the current CA, if the one in use does no longer.
    pub(super) fn issue(
        &mut self,
        live: &Propagation,
        resolver: &CertificateResolver,
        metrics: &Metrics,
    ) -> Result<(), String> {
        let Some(View { state, read }) = &self.view else { return Ok(()) };
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let due = state.leaf(*read, Timestamp::now(), self.in_use.as_ref(), live, &self.lifetimes);
        let Some(validity) = due.map_err(|error| text(&error))? else { return Ok(()) };
        let leaf = state.current.issue(&self.names, validity).map_err(|error| text(&error))?;
        resolver.serve(leaf.serving().map_err(|error| text(&error))?);
        self.in_use = Some(LeafInUse { authority: state.current.certificate().clone(), validity });
        metrics.rotated("leaf");
        tracing::info!(until = %validity.not_after(), "serving a new certificate");
        Ok(())
    }

    /// What a configuration is to carry that carries `known` now. Nothing is taken away that the Secret lists at this
    /// moment; where it cannot be read, nothing at all.
    pub(super) async fn bundle(&mut self, known: &[Certificate]) -> Option<Vec<Certificate>> {
        let wanted = |view: &Option<View>| Some(view.as_ref()?.state.bundle().into_iter().cloned().collect::<Vec<_>>());
        let bundle = wanted(&self.view)?;
        if known.iter().all(|certificate| bundle.contains(certificate)) {
            return Some(bundle);
        }
        match self.read().await {
            Ok(SecretSnapshot { state: Some(_), .. }) => wanted(&self.view),
            Ok(_) | Err(_) => Some(bundle.into_iter().chain(known.iter().cloned()).collect()),
        }
    }

    async fn read(&mut self) -> Result<SecretSnapshot, Unusable> {
        let read = Timestamp::now();
        let reading = self.secret.read().await?;
        if let Some(state) = reading.state.clone() {
            self.view = Some(View { state, read });
        }
        Ok(reading)
    }

    async fn write(&self, reading: &SecretSnapshot, state: &CaState) -> Result<WriteOutcome, String> {
        self.secret.write(reading, state).await.map_err(|failure| failure.to_string())
    }
}
