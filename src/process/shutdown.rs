//! The end of the process: in two steps, so that nobody is refused who is still being sent here.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The steps of the end, as tokens to wait for.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Cancelled at the signal: not ready any more, every answer closes its connection, and new ones are still taken.
    pub draining: CancellationToken,
    /// Cancelled when the grace is over: what is in flight is answered, and what comes now is sent elsewhere.
    pub closing: CancellationToken,
}

impl Shutdown {
    /// Begins the end at SIGTERM or SIGINT, and closes `grace` later. A second signal ends the process at once, with the
    /// exit code of one that a signal killed.
    ///
    /// # Errors
    /// Where signals cannot be listened to.
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
                tracing::info!("late requests are sent elsewhere");
            });
            let (name, code) = next().await;
            tracing::warn!(signal = name, "ending at once");
            std::process::exit(code);
        });
        Ok(())
    }
}
