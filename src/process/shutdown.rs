//! Shutdown in two steps, so that requests that are still routed here are answered.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The steps of a shutdown, as tokens to wait for.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Cancelled at the signal. The process is unready and each response closes its connection, but new connections are
    /// accepted.
    pub draining: CancellationToken,
    /// Cancelled when the grace period is over. Requests in flight are answered, and new ones get a response that tells
    /// the client to retry.
    pub closing: CancellationToken,
}

impl Shutdown {
    /// Drains at SIGTERM or SIGINT, and closes `grace` later. A second signal exits at once, with the exit code of a process
    /// that was killed by it.
    ///
    /// # Errors
    /// If the signal handlers cannot be installed.
    pub fn on_signal(&self, grace: Duration) -> io::Result<()> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let shutdown = self.clone();
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = terminate.recv() => ("SIGTERM", 128 + 15),
                    _ = interrupt.recv() => ("SIGINT", 128 + 2),
                }
            };
            let (name, _) = next().await;
            tracing::info!(signal = name, ?grace, "draining");
            shutdown.draining.cancel();
            tokio::spawn(async move {
                tokio::time::sleep(grace).await;
                shutdown.closing.cancel();
                tracing::info!("closing: new requests get 503 and Retry-After");
            });
            let (name, code) = next().await;
            tracing::warn!(signal = name, "exiting at once");
            std::process::exit(code);
        });
        Ok(())
    }
}
