//! A process behind the balancer, as far as it says that it is ready, and what went to it.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use super::super::PATIENCE;
use super::Books;

/// For how long a backend still gets connections that is not ready any more.
const NOTICE: Duration = Duration::from_secs(1);

/// How often a backend is asked whether it is ready.
const PROBES: Duration = Duration::from_millis(100);

/// A process.
pub(crate) struct Backend {
    address: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    health: Health,
    books: Books,
    /// When something was last asked or answered.
    active: Instant,
}

/// What its probes said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    /// It was never ready.
    New,
    Ready,
    /// Not ready any more since then.
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
            // It may have been so for the time between two probes when it was seen.
            Self::Lost(since) => now + PROBES < since + NOTICE,
        }
    }
}

impl Backend {
    pub(super) fn new(address: SocketAddr) -> Self {
        let state = State { health: Health::New, books: Books::default(), active: Instant::now() };
        Self { address, state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks it again and again whether it is ready, until it has ended.
    pub(super) async fn probe(self: Arc<Self>, admin: SocketAddr) {
        let mut next = interval(PROBES);
        loop {
            next.tick().await;
            let ready = timeout(NOTICE, answers(admin, "/readyz")).await.unwrap_or_default();
            self.change(|state| state.health = state.health.after(ready, Instant::now()));
        }
    }

    pub(super) fn takes_connections(&self, now: Instant) -> bool {
        self.lock().health.takes_connections(now)
    }

    /// A connection could not be made.
    pub(super) fn refused(&self) {
        self.record(|books| books.refused += 1);
    }

    /// Enters something into the books.
    pub(super) fn record(&self, entry: impl FnOnce(&mut Books)) {
        self.change(|state| entry(&mut state.books));
    }

    /// Somebody asked or answered something.
    pub(super) fn spoke(&self) {
        self.change(|state| state.active = Instant::now());
    }

    /// What went to it so far.
    pub(crate) fn books(&self) -> Books {
        self.lock().books
    }

    /// Counts anew what is counted [since a mark](Books::calls_since_mark).
    pub(crate) fn mark(&self) {
        self.change(|state| state.books.mark());
    }

    /// Returns when it gets connections.
    pub(crate) fn wait_until_ready(&self) {
        self.wait("it is not ready", |state| state.health == Health::Ready);
    }

    /// Returns when it said that it is not ready any more.
    pub(crate) fn wait_until_lost(&self) {
        self.wait("it is still ready", |state| matches!(state.health, Health::Lost(_)));
    }

    /// Returns when it gets no new connections any more.
    pub(crate) fn wait_until_it_gets_none(&self) {
        let began = Instant::now();
        let mut state = self.lock();
        while state.health.takes_connections(Instant::now()) {
            assert!(began.elapsed() < PATIENCE, "it is still ready");
            // That a second has passed changes nothing that anybody would tell of.
            state = self.changed.wait_timeout(state, PROBES).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Returns when nothing was asked or answered for so long.
    pub(crate) fn wait_for_silence(&self, silence: Duration) {
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

/// Whether it answers 200. Who is dead answers nothing.
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
    fn one_that_is_lost_gets_connections_for_a_second_at_most() {
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
