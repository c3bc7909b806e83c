//! The time at which each watch last heard from the API server, which is the freshness of the cache.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::process::clock::Clock;
use crate::process::readiness::ReadinessDetail;

/// A watch's last sign of life.
#[derive(Debug)]
pub(super) struct LastHeard {
    pub(super) resource: &'static str,
    last: Mutex<Instant>,
}

/// Records a watch's signs of life. If the connection is lost, adds a line about it below the first line of `/readyz`.
#[derive(Debug)]
pub(super) struct Freshness {
    pub(super) heard: Arc<LastHeard>,
    /// The one namespace that is watched.
    pub(super) namespace: Option<String>,
    pub(super) detail: ReadinessDetail,
    pub(super) clock: Clock,
    /// Whether the last report was a loss.
    pub(super) lost: bool,
}

impl LastHeard {
    pub(super) fn new(resource: &'static str) -> Self {
        Self { resource, last: Mutex::new(Instant::now()) }
    }

    /// Returns the time since the last sign of life or, without one, since the start.
    pub(super) fn ago(&self) -> Duration {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

impl Freshness {
    /// Records a sign of life.
    pub(super) fn heard(&mut self) {
        *self.heard.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        if std::mem::take(&mut self.lost) {
            self.detail.set(None);
            let (resource, namespace) = (self.heard.resource, self.namespace.as_deref());
            tracing::info!(resource, namespace, "heard from the API server again");
        }
    }

    /// Reports that the connection is lost.
    pub(super) fn lost(&mut self, why: &str) {
        self.lost = true;
        // Whole seconds, so that the conversion and the subtraction cannot fail.
        let ago = i64::try_from(self.heard.ago().as_secs()).unwrap_or_default();
        let since = self.clock.read().now().saturating_sub(jiff::SignedDuration::from_secs(ago)).unwrap_or_default();
        self.detail.set(Some(format!("lost; nothing heard since {}; {why}", since.strftime("%FT%TZ"))));
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::process::readiness::Readiness;

    #[tokio::test(start_paused = true)]
    async fn a_loss_is_reported_until_a_sign_of_life() {
        let (readiness, heard) = (Readiness::default(), Arc::new(LastHeard::new("persistentvolumeclaims")));
        let detail = readiness.detail("watch of persistentvolumeclaims");
        let server: jiff::Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let clock = Clock::new(move || server + jiff::SignedDuration::from_hours(8));
        clock.record(server, tokio::time::Instant::now());
        let mut freshness = Freshness { heard: heard.clone(), namespace: None, detail, clock, lost: false };
        advance(Duration::from_secs(7)).await;
        freshness.lost("the API server is away");
        let [line] = &readiness.details()[..] else { panic!("{readiness:?}") };
        assert!(
            line.starts_with("watch of persistentvolumeclaims: lost; nothing heard since 2026-11-23T12:00:01Z"),
            "{line}"
        );
        assert!(line.ends_with("; the API server is away") && readiness.can_answer(), "{line}");
        assert_eq!(heard.ago(), Duration::from_secs(7));
        freshness.heard();
        assert_eq!((readiness.details().len(), heard.ago()), (0, Duration::ZERO));
    }
}
