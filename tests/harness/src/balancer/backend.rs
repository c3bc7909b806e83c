//! A process behind the balancer, with its readiness and traffic counters.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use super::super::PATIENCE;
use super::Books;

/// The time for which a backend that is no longer ready still gets connections.
const NOTICE: Duration = Duration::from_secs(1);

/// The interval of readiness probes.
const PROBES: Duration = Duration::from_millis(100);

/// A process behind the balancer.
pub struct Backend {
    address: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    health: Health,
    books: Books,
    /// The time of the last request or response.
    active: Instant,
}

/// The result of its probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    /// Not ready yet.
    New,
    Ready,
    /// No longer ready, since then.
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
            // It may have been lost up to one interval before the probe.
            Self::Lost(since) => now + PROBES < since + NOTICE,
        }
    }
}

impl Backend {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let state = State { health: Health::New, books: Books::default(), active: Instant::now() };
        Self { address, state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Probes its readiness forever.
    pub(crate) async fn probe(self: Arc<Self>, admin: SocketAddr) {
        let mut next = interval(PROBES);
        loop {
            next.tick().await;
            let ready = timeout(NOTICE, answers(admin, "/readyz")).await.unwrap_or_default();
            self.change(|state| state.health = state.health.after(ready, Instant::now()));
        }
    }

    pub(crate) fn takes_connections(&self, now: Instant) -> bool {
        self.lock().health.takes_connections(now)
    }

    /// Records a connection that was refused.
    pub(crate) fn refused(&self) {
        self.record(|books| books.refused += 1);
    }

    /// Changes the counters.
    pub(crate) fn record(&self, entry: impl FnOnce(&mut Books)) {
        self.change(|state| entry(&mut state.books));
    }

    /// Records a request or response.
    pub(crate) fn spoke(&self) {
        self.change(|state| state.active = Instant::now());
    }

    /// Its counters.
    pub fn books(&self) -> Books {
        self.lock().books
    }

    /// Resets the count [since the mark](Books::calls_since_mark).
    pub fn mark(&self) {
        self.change(|state| state.books.mark());
    }

    /// Waits until it gets connections.
    pub fn wait_until_ready(&self) {
        self.wait("it is not ready", |state| state.health == Health::Ready);
    }

    /// Waits until a probe says that it is no longer ready.
    pub fn wait_until_lost(&self) {
        self.wait("it is still ready", |state| matches!(state.health, Health::Lost(_)));
    }

    /// Waits until it gets no new connections.
    pub fn wait_until_it_gets_none(&self) {
        let began = Instant::now();
        let mut state = self.lock();
        while state.health.takes_connections(Instant::now()) {
            assert!(began.elapsed() < PATIENCE, "it is still ready");
            // The passing of time does not signal the condition variable.
            state = self.changed.wait_timeout(state, PROBES).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until there was no request and no response for this long.
    pub fn wait_for_silence(&self, silence: Duration) {
        let began = Instant::now();
        let mut state = self.lock();
        while let Some(left) = silence.checked_sub(state.active.elapsed()) {
            assert!(began.elapsed() < silence + PATIENCE, "it is never silent");
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn wait(&self, why_not: &str, mut done: impl FnMut(&State) -> bool) {
        let waited = self.changed.wait_timeout_while(self.lock(), PATIENCE, |state| !done(state));
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

/// Returns whether a GET is answered with 200; a dead process does not answer.
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
