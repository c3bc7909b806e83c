//! Shutdown in two steps, so that requests that are still routed here are answered.

use std::io;
use std::pin::pin;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::log_queue::LogQueue;

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

/// The name of a signal, and the exit code of a process that was killed by it.
type Signal = (&'static str, i32);

impl Shutdown {
    /// Drains at SIGTERM or SIGINT, and closes `grace` later. A second signal exits at once, with the exit code of a process
    /// that was killed by it. `timeout` after the first signal, the process exits even if it hangs: the signals have a
    /// thread and a runtime of their own.
    ///
    /// # Errors
    /// If the signal handlers cannot be installed.
    pub fn on_signal(&self, grace: Duration, timeout: Duration, log: LogQueue) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let context = runtime.enter();
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        drop(context);
        let shutdown = self.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let next = async || {
                tokio::select! {
                    _ = terminate.recv() => ("SIGTERM", 128 + 15),
                    _ = interrupt.recv() => ("SIGINT", 128 + 2),
                }
            };
            let code = runtime.block_on(shutdown.follow(next, grace, timeout));
            log.flush();
            std::process::exit(code);
        })?;
        Ok(())
    }

    /// Takes the steps of a shutdown from the first signal on, and returns the exit code when the process must exit.
    async fn follow(&self, mut next: impl AsyncFnMut() -> Signal, grace: Duration, timeout: Duration) -> i32 {
        let (name, _) = next().await;
        tracing::info!(signal = name, ?grace, "draining");
        self.draining.cancel();
        let mut over = pin!(sleep(grace));
        let deadline = Instant::now() + timeout;
        loop {
            tokio::select! {
                biased;
                () = &mut over, if !self.closing.is_cancelled() => {
                    self.closing.cancel();
                    tracing::info!("closing: new requests get 503 and Retry-After");
                }
                (name, code) = next() => {
                    tracing::warn!(signal = name, "exiting at once");
                    return code;
                }
                () = sleep_until(deadline) => {
                    tracing::warn!("drain.timeout reached: exiting although the process has not ended");
                    return 0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    use super::*;

    const GRACE: Duration = Duration::from_secs(15);
    const TIMEOUT: Duration = Duration::from_secs(30);

    /// Follows the signals that are sent, and returns the exit code and its time.
    fn follow(shutdown: Shutdown) -> (UnboundedSender<Signal>, impl Future<Output = (i32, Duration)>) {
        let (signals, mut received) = unbounded_channel();
        let followed = async move {
            let began = Instant::now();
            let next = async || received.recv().await.unwrap();
            (shutdown.follow(next, GRACE, TIMEOUT).await, began.elapsed())
        };
        (signals, followed)
    }

    #[tokio::test(start_paused = true)]
    async fn the_process_exits_at_the_timeout_even_if_it_hangs() {
        let shutdown = Shutdown::default();
        let (signals, exit) = follow(shutdown.clone());
        signals.send(("SIGTERM", 143)).unwrap();
        let closing = async {
            let began = Instant::now();
            shutdown.draining.cancelled().await;
            shutdown.closing.cancelled().await;
            began.elapsed()
        };
        assert_eq!(tokio::join!(exit, closing), ((0, TIMEOUT), GRACE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_exits_at_once() {
        let (signals, exit) = follow(Shutdown::default());
        signals.send(("SIGINT", 130)).unwrap();
        signals.send(("SIGTERM", 143)).unwrap();
        assert_eq!(exit.await, (143, Duration::ZERO));
    }
}
