//! How much is served at once, and how long a client may take.

use std::time::Duration;

/// What a server allows its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServerLimits {
    /// How many connections are open at once.
    pub(super) connections: usize,
    /// How many TLS handshakes are computed at once.
    pub(super) handshakes: usize,
    /// How long a client may take for its half of the TLS handshake, the wait for its turn included.
    pub(super) handshake: Duration,
    /// How long a client may take for the header of a request, from its first byte on.
    pub(super) header: Duration,
    /// How long a client may take for the body, from the end of the header on.
    pub(super) body: Duration,
    /// For how long a client may take nothing of its answer.
    pub(super) answer: Duration,
    /// How long a connection may stay without a request.
    pub(super) idle: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            // An API server has one for each call in flight and keeps 25 idle: enough for five of them with 180 calls each,
            // and 1,024 of a quarter of 100 kB are 25 MB.
            connections: 1024,
            // A handshake is 0.3 ms of CPU time: 64 are done in 20 ms, while the reviews on open connections go on.
            handshakes: 64,
            // No webhook's timeout is longer than 30 s, nor usually than 10 s: whoever is slower is not waited for any more.
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            body: Duration::from_secs(10),
            answer: Duration::from_secs(10),
            // The API server keeps idle connections for 90 s, and takes one that was closed under it for a failed call.
            idle: Duration::from_secs(130),
        }
    }
}
