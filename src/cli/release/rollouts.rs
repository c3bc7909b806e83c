//! The changes of templates, one after the other, each with its rollout.

use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, sleep};

use crate::api::{ApiClient, ApiError};
use crate::insight::Effect;
use crate::inspect::FoundLeftover;

/// The interval at which a rollout is checked.
const INTERVAL: Duration = Duration::from_secs(1);

/// The advice if a webhook sets the scheduler again.
const ADVICE: &str = "uninstall colocate or set mode: off, and switch Stork's webhook off";

/// Changes templates in a cluster.
pub(super) struct Rollouts<'a> {
    pub(super) client: &'a ApiClient,
    /// The longest time to wait for each rollout; `None` without a wait.
    pub(super) timeout: Option<Duration>,
}

/// The result for one template.
#[derive(Debug)]
pub(super) enum Released {
    /// The scheduler is removed, and no pods are replaced.
    Changed,
    /// The scheduler is removed, and its pods are replaced.
    RollingOut,
    /// The scheduler is removed, and its pods have been replaced.
    RolledOut,
    /// The object does not exist any more.
    Gone,
    /// The API server rejected the patch: nothing was changed.
    Rejected(ApiError),
}

impl Released {
    /// Returns true if the template does not name the scheduler any more.
    pub(super) fn succeeded(&self) -> bool {
        !matches!(self, Self::Rejected(_))
    }
}

impl Rollouts<'_> {
    /// Checks by dry runs that no webhook would set the scheduler again.
    ///
    /// # Errors
    /// If a webhook would.
    pub(super) async fn check(&self, templates: &[&FoundLeftover]) -> anyhow::Result<()> {
        for found in templates {
            // An error of the API server is reported when the template is changed. A webhook may not support dry runs.
            let Ok(object) = found.patch(self.client, true).await else { continue };
            if found.leftover.remains_in(&object) {
                let place = Place(found);
                bail!("nothing was changed: a webhook would set the scheduler of {place} again: {ADVICE}");
            }
        }
        Ok(())
    }

    /// Removes the scheduler from a template, and waits for the rollout.
    ///
    /// # Errors
    /// If a webhook sets the scheduler again, or the rollout does not end.
    pub(super) async fn release(&self, found: &FoundLeftover) -> anyhow::Result<Released> {
        let object = match found.patch(self.client, false).await {
            Ok(object) => object,
            Err(error) if error.code() == Some(404) => return Ok(Released::Gone),
            Err(error) if error.code().is_some() => return Ok(Released::Rejected(error)),
            Err(error) => return Err(error.into()),
        };
        if found.leftover.remains_in(&object) {
            bail!("a webhook has set the scheduler of {} again: {ADVICE}", Place(found));
        }
        match (found.leftover.effect, self.timeout) {
            (Effect::Rollout, Some(timeout)) => self.wait(found, timeout).await,
            (Effect::Rollout, None) => Ok(Released::RollingOut),
            (Effect::LaterPods | Effect::OfController | Effect::Rejected, _) => Ok(Released::Changed),
        }
    }

    async fn wait(&self, found: &FoundLeftover, timeout: Duration) -> anyhow::Result<Released> {
        let end = Instant::now() + timeout;
        loop {
            let Some(object) = found.get(self.client).await? else { return Ok(Released::Gone) };
            if found.leftover.is_rolled_out(&object) {
                return Ok(Released::RolledOut);
            }
            if Instant::now() >= end {
                let place = Place(found);
                bail!("the rollout of {place} has not ended after {} s: see kubectl describe", timeout.as_secs());
            }
            sleep(INTERVAL).await;
        }
    }
}

/// The kind, the namespace and the name of an object.
pub(super) struct Place<'a>(pub(super) &'a FoundLeftover);

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let leftover = &self.0.leftover;
        write!(f, "{} {}/{}", leftover.kind, leftover.namespace, leftover.name)
    }
}
