//! Limits on connections, and on the time that a client may take.

use std::time::Duration;

/// The limits of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServerLimits {
    /// Open connections.
    pub(super) connections: usize,
    /// TLS handshakes that are computed at once.
    pub(super) handshakes: usize,
    /// The time for the TLS handshake, including the wait for a permit.
    pub(super) handshake: Duration,
    /// The time for the header of a request, from its first byte.
    pub(super) header: Duration,
    /// The time for the body, from the end of the header.
    pub(super) body: Duration,
    /// The time in which a client must read a part of the answer.
    pub(super) answer: Duration,
    /// The time that a connection may be idle.
    pub(super) idle: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            // An API server has one for each call in flight and keeps 25 idle. This is enough for five API servers with 180
            // calls each, and takes about 50 MB at 50 kB each in use (docs/measurements.md).
            connections: 1024,
            // A handshake takes 0.3 ms of CPU time: 64 delay the reviews on open connections by at most 20 ms.
            handshakes: 64,
            // A webhook's timeout is at most 30 s, and 10 s by default: after that, the API server has given up.
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            body: Duration::from_secs(10),
            answer: Duration::from_secs(10),
            // The API server keeps idle connections for 90 s, and a call on one that is closed at that moment fails.
            idle: Duration::from_secs(130),
        }
    }
}
