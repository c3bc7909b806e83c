//! Request bodies, limited in size, time and total memory.

use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::budget::{BodyBudget, BudgetShare};

/// The largest body. The API server sends up to 17.4 MB (measured: an object of 3 MiB with managed fields, its characters escaped).
pub(super) const MAX_BODY: usize = 20 * 1024 * 1024;

/// The memory of all bodies in flight: two of the largest that an API server sends, and the reserve. With a thousand
/// connections in use the process needs about 50 MB more, so it stays below 160 MB resident if freed blocks go back to the
/// system, as in the image.
const BUDGET: usize = 64 * 1024 * 1024;

/// The part of the budget for small bodies: 1,000 reviews of 16 kB, and few reviews are larger.
const RESERVE: usize = 16 * 1024 * 1024;

/// The largest body that may use the reserve.
const SMALL: usize = 1024 * 1024;

/// The number of large bodies that are discarded at once. More would delay the bodies within the budget: with 50 bodies
/// of 17 MB at once, none was complete in time (measured).
const DISCARDS: usize = 2;

/// Reads bodies within the limits.
#[derive(Debug)]
pub(super) struct Bodies {
    budget: BodyBudget,
    /// Permits to discard a large body.
    discards: Semaphore,
    /// The longest time that a client may take to send a body.
    limit: Duration,
}

/// A whole body. Its memory counts against the budget until it is dropped.
#[derive(Debug)]
pub(super) struct WholeBody {
    bytes: Vec<u8>,
    /// The bytes that are taken from the budget.
    capacity: usize,
    _share: BudgetShare,
}

/// An error of a body.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is larger than {} MiB", MAX_BODY / 1024 / 1024)]
    TooLarge,
    #[error("too many large requests at once; try again")]
    NoRoom,
    #[error("the body did not arrive within {} s", .0.as_secs())]
    Late(Duration),
    #[error("the body ended early: {0}")]
    Truncated(String),
}

impl std::ops::Deref for WholeBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Bodies {
    /// Creates a reader of bodies that clients must send within `limit`.
    pub(super) fn new(limit: Duration) -> Self {
        Self { budget: BodyBudget::new(BUDGET, RESERVE, SMALL), discards: Semaphore::new(DISCARDS), limit }
    }

    /// Returns the deadline of a body whose header is complete now.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.limit
    }

    /// Reads a body to its end.
    ///
    /// # Errors
    /// If the body is too large, too late or truncated, or does not fit into the budget.
    pub(super) async fn read<B>(&self, body: &mut B, deadline: Instant) -> Result<WholeBody, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        match timeout_at(deadline, self.collect(body)).await {
            Ok(read) => read,
            Err(_) => Err(BodyError::Late(self.limit)),
        }
    }

    async fn collect<B>(&self, body: &mut B) -> Result<WholeBody, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        // The announced length is taken before the first byte is read. A chunked body announces no length, so its
        // buffer grows.
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let mut whole = self.allocate(announced)?;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|error| BodyError::Truncated(error.to_string()))?.into_data() else {
                continue;
            };
            let needed = whole.bytes.len() + data.remaining();
            if needed > whole.capacity {
                // Both buffers count until the bytes are copied.
                let mut larger = self.allocate(needed.max((2 * whole.capacity).min(MAX_BODY)))?;
                larger.bytes.extend_from_slice(&whole.bytes);
                whole = larger;
            }
            whole.bytes.extend_from_slice(&data);
        }
        Ok(whole)
    }

    /// Reads the rest of a body and discards it. A connection that is closed while its client is still sending is
    /// reset, and the client may never see the answer.
    pub(super) async fn discard<B: Body + Unpin>(&self, body: &mut B, deadline: Instant) {
        let read = async {
            let large = body.size_hint().lower() > SMALL as u64;
            let permit = if large { Some(self.discards.acquire().await) } else { None };
            while let Some(Ok(_)) = body.frame().await {}
            drop(permit);
        };
        // The answer does not wait longer than the body may take.
        let _ = timeout_at(deadline, read).await;
    }

    fn allocate(&self, bytes: usize) -> Result<WholeBody, BodyError> {
        if bytes > MAX_BODY {
            return Err(BodyError::TooLarge);
        }
        let share = self.budget.take(bytes).ok_or(BodyError::NoRoom)?;
        Ok(WholeBody { bytes: Vec::with_capacity(bytes), capacity: bytes, _share: share })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    async fn read<B>(bodies: &Bodies, mut body: B) -> Result<WholeBody, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        bodies.read(&mut body, bodies.deadline()).await
    }

    /// Creates a body that announces no length.
    fn chunks(count: usize, size: usize) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let chunk = move |_| Ok(Frame::data(Bytes::from(vec![b'x'; size])));
        StreamBody::new(stream::iter((0..count).map(chunk)))
    }

    /// Creates a body that stalls after its first bytes.
    fn stalled(first: &'static str) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        use futures_util::StreamExt as _;
        let first = stream::iter([Ok(Frame::data(Bytes::from_static(first.as_bytes())))]);
        StreamBody::new(first.chain(stream::pending()))
    }

    #[tokio::test]
    async fn a_body_is_read_with_and_without_a_length() {
        let bodies = Bodies::new(LIMIT);
        assert_eq!(&*read(&bodies, Full::from("whole")).await.unwrap(), b"whole");
        assert_eq!(&*read(&bodies, Full::from("")).await.unwrap(), b"");
        assert_eq!(&*read(&bodies, chunks(3, 2)).await.unwrap(), b"xxxxxx");
        assert_eq!(read(&bodies, chunks(20, 1024 * 1024)).await.unwrap().len(), MAX_BODY);
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_refused_before_or_while_it_is_read() {
        let bodies = Bodies::new(LIMIT);
        assert_eq!(read(&bodies, Full::from(vec![b'x'; MAX_BODY + 1])).await.unwrap_err(), BodyError::TooLarge);
        assert_eq!(read(&bodies, chunks(21, 1024 * 1024)).await.unwrap_err(), BodyError::TooLarge);
    }

    #[tokio::test]
    async fn large_bodies_share_a_budget_and_small_ones_have_a_reserve() {
        let bodies = Bodies::new(LIMIT);
        let large = || Full::from(vec![b'x'; MAX_BODY]);
        let (first, second) = (read(&bodies, large()).await.unwrap(), read(&bodies, large()).await.unwrap());
        assert_eq!(read(&bodies, large()).await.unwrap_err(), BodyError::NoRoom);
        assert_eq!(read(&bodies, chunks(20, 1024 * 1024)).await.unwrap_err(), BodyError::NoRoom);
        let small = read(&bodies, Full::from("small")).await.unwrap();
        drop(first);
        let third = read(&bodies, large()).await.unwrap();
        drop((second, third, small));
        assert!(bodies.budget.take(BUDGET - RESERVE).is_some(), "something leaked");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_body_returns_its_memory_at_the_deadline() {
        let bodies = Bodies::new(LIMIT);
        let began = Instant::now();
        assert_eq!(read(&bodies, stalled("{")).await.unwrap_err(), BodyError::Late(LIMIT));
        assert_eq!(began.elapsed(), LIMIT);
        assert!(bodies.budget.take(BUDGET - RESERVE).is_some(), "something leaked");
        bodies.discard(&mut stalled("{"), bodies.deadline()).await;
        assert_eq!(began.elapsed(), 2 * LIMIT);
    }
}
