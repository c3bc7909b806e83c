//! Shutdown in two steps, so that requests that are still routed here are answered.

use std::future::pending;
use std::io;
use std::pin::pin;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
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

/// The time that a shutdown takes.
#[derive(Clone, Copy, Debug)]
pub struct DrainTimes {
    /// From the signal until the process closes.
    pub grace: Duration,
    /// From the signal until the process exits, even if it hangs.
    pub timeout: Duration,
}

/// The signal handlers of a process that is starting.
#[derive(Debug)]
#[must_use = "until the process serves, a signal ends it at once"]
pub struct SignalHandlers(oneshot::Sender<DrainTimes>);

impl SignalHandlers {
    /// Lets signals drain the process from now on.
    pub fn drain(self, times: DrainTimes) {
        // The receiver is gone only if a signal is ending the process.
        let _ = self.0.send(times);
    }
}

/// The name of a signal, and the exit code of a process that was killed by it.
type Signal = (&'static str, i32);

impl Shutdown {
    /// Installs handlers of SIGTERM and SIGINT, which have a thread and a runtime of their own, so they work while the process
    /// hangs.
    ///
    /// While it starts, it has nothing to drain: a signal exits at once, with the exit code of a process that was killed by
    /// it. Once it serves ([`SignalHandlers::drain`]), the first signal drains it, and a second one exits at once.
    ///
    /// # Errors
    /// If the signal handlers cannot be installed.
    pub fn on_signal(&self, log: LogQueue) -> io::Result<SignalHandlers> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let context = runtime.enter();
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        drop(context);
        let (serving, started) = oneshot::channel();
        let shutdown = self.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let next = async || {
                tokio::select! {
                    _ = terminate.recv() => ("SIGTERM", 128 + 15),
                    _ = interrupt.recv() => ("SIGINT", 128 + 2),
                }
            };
            let code = runtime.block_on(shutdown.follow(next, started));
            log.flush();
            std::process::exit(code);
        })?;
        Ok(SignalHandlers(serving))
    }

    /// Takes the steps of a shutdown from the first signal on, and returns the exit code when the process must exit.
    async fn follow(&self, mut next: impl AsyncFnMut() -> Signal, started: oneshot::Receiver<DrainTimes>) -> i32 {
        let started = async {
            match started.await {
                Ok(times) => times,
                // The start has failed, and the process is exiting by itself.
                Err(_) => pending().await,
            }
        };
        let times = tokio::select! {
            biased;
            times = started => times,
            (name, code) = next() => return at_once(name, code),
        };
        let (name, _) = next().await;
        self.draining.cancel();
        // Who reads the line may rely on its effect.
        tracing::info!(signal = name, grace = ?times.grace, "draining");
        let mut over = pin!(sleep(times.grace));
        let deadline = Instant::now() + times.timeout;
        loop {
            tokio::select! {
                biased;
                () = &mut over, if !self.closing.is_cancelled() => {
                    self.closing.cancel();
                    tracing::info!("closing: new requests get 503 and Retry-After");
                }
                (name, code) = next() => return at_once(name, code),
                () = sleep_until(deadline) => {
                    tracing::warn!("drain.timeout reached: exiting although the process has not ended");
                    return 0;
                }
            }
        }
    }
}

fn at_once(name: &str, code: i32) -> i32 {
    tracing::warn!(signal = name, "exiting at once");
    code
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    use super::*;

    const GRACE: Duration = Duration::from_secs(15);
    const TIMEOUT: Duration = Duration::from_secs(30);

    /// Starts to follow the signals that are sent. Returns their sender, the handlers, and the exit code with its time.
    fn start(shutdown: Shutdown) -> (UnboundedSender<Signal>, SignalHandlers, impl Future<Output = (i32, Duration)>) {
        let (signals, mut received) = unbounded_channel();
        let (serving, started) = oneshot::channel();
        let followed = async move {
            let began = Instant::now();
            let next = async || received.recv().await.unwrap();
            (shutdown.follow(next, started).await, began.elapsed())
        };
        (signals, SignalHandlers(serving), followed)
    }

    /// Starts a process as `start` does, which then serves.
    fn follow(shutdown: Shutdown) -> (UnboundedSender<Signal>, impl Future<Output = (i32, Duration)>) {
        let (signals, handlers, followed) = start(shutdown);
        handlers.drain(DrainTimes { grace: GRACE, timeout: TIMEOUT });
        (signals, followed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_signal_during_the_start_exits_at_once() {
        for (name, code) in [("SIGTERM", 143), ("SIGINT", 130)] {
            let (signals, _hanging, exit) = start(Shutdown::default());
            signals.send((name, code)).unwrap();
            assert_eq!(exit.await, (code, Duration::ZERO));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_that_failed_waits_for_the_process_to_end() {
        let (signals, failed, exit) = start(Shutdown::default());
        drop(failed);
        let mut exit = pin!(exit);
        assert!(tokio::time::timeout(TIMEOUT, exit.as_mut()).await.is_err());
        signals.send(("SIGTERM", 143)).unwrap();
        assert_eq!(exit.await.0, 143);
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
