//! A process behind the balancer, with its readiness and traffic counters.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use super::super::WAIT_TIMEOUT;
use super::Counters;

/// The time during which a backend that is no longer ready still gets connections.
const REMOVAL_DELAY: Duration = Duration::from_secs(1);

/// The interval of readiness probes.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// A process behind the balancer.
pub struct Backend {
    address: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    health: Health,
    counters: Counters,
    /// The instant of the last request or response.
    active: Instant,
}

/// The state of a backend according to its probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    /// Not ready yet.
    New,
    Ready,
    /// Not ready since that instant.
    Lost(Instant),
}

impl Health {
    fn after(self, ready: bool, now: Instant) -> Self {
        match self {
            _ if ready => Self::Ready,
            Self::Ready => Self::Lost(now),
            Self::New | Self::Lost(_) => self,
        }
    }

    fn takes_connections(self, now: Instant) -> bool {
        match self {
            Self::New => false,
            Self::Ready => true,
            // The backend may have stopped being ready up to one interval before the probe.
            Self::Lost(since) => now + PROBE_INTERVAL < since + REMOVAL_DELAY,
        }
    }
}

impl Backend {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let state = State { health: Health::New, counters: Counters::default(), active: Instant::now() };
        Self { address, state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Probes the readiness in an endless loop.
    pub(crate) async fn probe(self: Arc<Self>, admin: SocketAddr) {
        let mut next = interval(PROBE_INTERVAL);
        loop {
            next.tick().await;
            let ready = timeout(REMOVAL_DELAY, answers(admin, "/readyz")).await.unwrap_or_default();
            self.change(|state| state.health = state.health.after(ready, Instant::now()));
        }
    }

    pub(crate) fn takes_connections(&self, now: Instant) -> bool {
        self.lock().health.takes_connections(now)
    }

    /// Records a connection that was refused.
    pub(crate) fn refused(&self) {
        self.record(|counters| counters.refused += 1);
    }

    /// Changes the counters.
    pub(crate) fn record(&self, entry: impl FnOnce(&mut Counters)) {
        self.change(|state| entry(&mut state.counters));
    }

    /// Records a request or response.
    pub(crate) fn record_activity(&self) {
        self.change(|state| state.active = Instant::now());
    }

    /// The counters.
    pub fn counters(&self) -> Counters {
        self.lock().counters
    }

    /// Resets the count [since the mark](Counters::calls_since_mark).
    pub fn mark(&self) {
        self.change(|state| state.counters.mark());
    }

    /// Waits until the backend gets connections.
    pub fn wait_until_ready(&self) {
        self.wait("the backend is not ready", |state| state.health == Health::Ready);
    }

    /// Waits until a probe reports that the backend is no longer ready.
    pub fn wait_until_lost(&self) {
        self.wait("the backend is still ready", |state| matches!(state.health, Health::Lost(_)));
    }

    /// Waits until the backend gets no new connections.
    pub fn wait_until_removed(&self) {
        let began = Instant::now();
        let mut state = self.lock();
        while state.health.takes_connections(Instant::now()) {
            assert!(began.elapsed() < WAIT_TIMEOUT, "the backend still gets connections");
            // The passing of time does not signal the condition variable.
            state = self.changed.wait_timeout(state, PROBE_INTERVAL).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until there has been no request and no response for this long.
    pub fn wait_for_silence(&self, silence: Duration) {
        let began = Instant::now();
        let mut state = self.lock();
        while let Some(left) = silence.checked_sub(state.active.elapsed()) {
            assert!(began.elapsed() < silence + WAIT_TIMEOUT, "the backend never goes silent");
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn wait(&self, why_not: &str, mut done: impl FnMut(&State) -> bool) {
        let waited = self.changed.wait_timeout_while(self.lock(), WAIT_TIMEOUT, |state| !done(state));
        let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        drop(state);
        assert!(!waited.timed_out(), "{why_not}");
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether a GET gets a 200. A dead process does not respond.
pub(crate) async fn answers(admin: SocketAddr, path: &str) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(admin).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: colocate.test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    ask.await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_backend_gets_connections_for_a_second_at_most() {
        let now = Instant::now();
        let at = |millis| now + Duration::from_millis(millis);
        assert!(!Health::New.after(false, now).takes_connections(now));
        let ready = Health::New.after(true, now);
        assert!(ready.takes_connections(at(1_000_000)));
        let lost = ready.after(false, at(100)).after(false, at(200));
        assert!(lost.takes_connections(at(999)) && !lost.takes_connections(at(1_000)));
        assert!(lost.after(true, at(2_000)).takes_connections(at(2_000)));
    }
}
