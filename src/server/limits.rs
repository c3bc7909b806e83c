//! Limits on connections, and on the time that a client may take.

use std::time::Duration;

/// The fewest connections for reviews: two API servers keep 25 idle ones each.
const MIN_CONNECTIONS: usize = 64;

/// The number of open files is too low for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFewFiles {
    /// The number of files by which the limit must be raised at least.
    pub missing: usize,
}

/// The limits of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Open connections.
    pub(super) connections: usize,
    /// TLS handshakes that are computed at once.
    pub(super) handshakes: usize,
    /// The time for the TLS handshake, including the wait for a permit.
    pub(super) handshake: Duration,
    /// The time until the first byte of a connection's first request.
    pub(super) first_byte: Duration,
    /// The time for the header of a request, from its first byte.
    pub(super) header: Duration,
    /// The time for the body, from the end of the header.
    pub(super) body: Duration,
    /// The time in which a client must read a part of the answer.
    pub(super) answer: Duration,
    /// The time without progress after which a connection whose client reads its answer slowly can be evicted.
    pub(super) stalled: Duration,
    /// The time that a connection may be idle between two requests.
    pub(super) idle: Duration,
    /// The time for which the rest of a request is discarded after its answer.
    pub(super) discard: Duration,
    /// The bytes of a request that are discarded after its answer.
    pub(super) discardable: usize,
}

impl ServerLimits {
    /// Returns the limits of the server for reviews.
    pub fn reviews() -> Self {
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
            // A client that reads its answer acknowledges a part of it within a round trip.
            stalled: Duration::from_secs(1),
            // The API server keeps idle connections for 90 s, and a call on one that is closed at that moment fails. It may
            // also open a connection for a call, send the call over another one that is free by then, and keep the new
            // one unused.
            first_byte: Duration::from_secs(130),
            idle: Duration::from_secs(130),
            // An API server closes the connection when it has the answer. The limits are for clients that first send the
            // whole body.
            discard: Duration::from_secs(2),
            discardable: 32 * 1024 * 1024,
        }
    }

    /// Returns the limits of the server for probes and metrics.
    pub fn admin() -> Self {
        Self {
            // A kubelet opens one for each probe, and Prometheus keeps one.
            connections: 64,
            // Each client sends at once. A scrape that finds its connection closed is repeated by the client.
            first_byte: Duration::from_secs(5),
            ..Self::reviews()
        }
    }

    /// Returns the limits of both servers, for reviews and for probes, within this number of open files.
    ///
    /// # Errors
    /// If that is not enough for the fewest connections.
    pub fn within(files: usize) -> Result<(Self, Self), TooFewFiles> {
        let (mut reviews, admin) = (Self::reviews(), Self::admin());
        // The listeners, and for each a connection that waits for another one to end.
        let taken = admin.connections + 4;
        let missing = (taken + MIN_CONNECTIONS).saturating_sub(files);
        if missing > 0 {
            return Err(TooFewFiles { missing });
        }
        reviews.connections = reviews.connections.min(files - taken);
        Ok((reviews, admin))
    }

    /// Returns the number of connections that may be open at once.
    pub fn connections(&self) -> usize {
        self.connections
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_for_reviews_are_what_the_files_allow() {
        let connections =
            |files| ServerLimits::within(files).map(|(reviews, admin)| (reviews.connections, admin.connections));
        assert_eq!(connections(usize::MAX), Ok((1024, 64)));
        assert_eq!(connections(1092), Ok((1024, 64)));
        assert_eq!(connections(1091), Ok((1023, 64)));
        assert_eq!(connections(132), Ok((64, 64)));
        assert_eq!(connections(131), Err(TooFewFiles { missing: 1 }));
        assert_eq!(connections(0), Err(TooFewFiles { missing: 132 }));
    }
}
