//! Request bodies, limited in size, time and total memory.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::timeout;

use super::budget::{BodyBudget, BudgetShare, BudgetSizes};

/// The largest body. The API server sends up to 17.4 MB (measured: an object of 3 MiB with managed fields, its characters escaped).
pub(super) const MAX_BODY: usize = 20 * 1024 * 1024;

/// The division of the memory for bodies. Each of the 1,024 connections has at most one body, so the allowances take at
/// most 32 MiB, and a review of up to 32 KiB always has room. (A pod takes 9 kB, an update of a Deployment 20 kB.) The
/// shared room holds two of the largest bodies that an API server sends, and the reserve. With a thousand connections in use the
/// process needs about 50 MB more, so it stays below 160 MB resident if freed blocks go back to the system, as in the
/// image.
const BUDGET: BudgetSizes =
    BudgetSizes { allowance: 32 * 1024, shared: 48 * 1024 * 1024, reserve: 8 * 1024 * 1024, medium: 1024 * 1024 };

/// Reads bodies within the limits.
#[derive(Debug)]
pub(super) struct Bodies {
    budget: BodyBudget,
    /// The longest time that a client may take to send a body.
    limit: Duration,
}

/// A whole body. Its memory counts against the budget until it is dropped.
#[derive(Debug)]
pub(super) struct WholeBody {
    bytes: Vec<u8>,
    share: BudgetShare,
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
        Self { budget: BodyBudget::new(BUDGET), limit }
    }

    /// Reads a body to its end.
    ///
    /// # Errors
    /// If the body is too large, too late or truncated, or does not fit into the budget.
    pub(super) async fn read<B>(&self, body: &mut B) -> Result<WholeBody, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        match timeout(self.limit, self.collect(body)).await {
            Ok(read) => read,
            Err(_) => Err(BodyError::Late(self.limit)),
        }
    }

    async fn collect<B>(&self, body: &mut B) -> Result<WholeBody, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        // A chunked body announces no length.
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > MAX_BODY {
            return Err(BodyError::TooLarge);
        }
        // Only bytes that have arrived take room. A body for which there is no room now is refused before
        // it is sent.
        if !self.budget.has_room(announced) {
            return Err(BodyError::NoRoom);
        }
        let mut whole = WholeBody { bytes: Vec::new(), share: self.budget.share() };
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|error| BodyError::Truncated(error.to_string()))?.into_data() else {
                continue;
            };
            whole.reserve(data.len(), if announced == 0 { MAX_BODY } else { announced })?;
            whole.bytes.extend_from_slice(&data);
        }
        Ok(whole)
    }
}

impl WholeBody {
    /// Takes room for `more` bytes of a body that has at most `expected`. The buffer doubles, so it takes at most twice the
    /// bytes that have arrived.
    fn reserve(&mut self, more: usize, expected: usize) -> Result<(), BodyError> {
        let (length, capacity) = (self.bytes.len(), self.bytes.capacity());
        let needed = length + more;
        if needed > MAX_BODY {
            return Err(BodyError::TooLarge);
        }
        if needed > capacity {
            let larger = (2 * capacity).max(BUDGET.allowance).min(expected).max(needed);
            if !self.share.grow(larger) {
                return Err(BodyError::NoRoom);
            }
            // A large block is moved by remapping its pages, so the old and the new one do not exist at once.
            self.bytes.reserve_exact(larger - length);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_util::future::join_all;
    use futures_util::stream;
    use http_body_util::{Full, StreamBody};
    use hyper::body::{Frame, SizeHint};
    use tokio::task::yield_now;
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    async fn read<B>(bodies: &Bodies, mut body: B) -> Result<WholeBody, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        bodies.read(&mut body).await
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

    /// A body that announces this length.
    struct Announced<B> {
        size: u64,
        body: B,
    }

    impl<B: Body + Unpin> Body for Announced<B> {
        type Data = B::Data;
        type Error = B::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
            Pin::new(&mut self.body).poll_frame(cx)
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.size)
        }
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
    async fn large_bodies_share_a_budget_and_leave_a_reserve_to_medium_ones() {
        let bodies = Bodies::new(LIMIT);
        let large = || Full::from(vec![b'x'; MAX_BODY]);
        let (first, second) = (read(&bodies, large()).await.unwrap(), read(&bodies, large()).await.unwrap());
        assert_eq!(read(&bodies, large()).await.unwrap_err(), BodyError::NoRoom);
        assert_eq!(read(&bodies, chunks(20, 1024 * 1024)).await.unwrap_err(), BodyError::NoRoom);
        let medium = read(&bodies, Full::from(vec![b'x'; BUDGET.medium])).await.unwrap();
        drop((first, medium));
        let third = read(&bodies, large()).await.unwrap();
        drop((second, third));
        assert_eq!(bodies.budget.free(), BUDGET.shared);
    }

    #[tokio::test]
    async fn a_small_body_has_room_whatever_the_others_take() {
        let bodies = Bodies::new(LIMIT);
        let mut others = Vec::new();
        for size in [MAX_BODY, BUDGET.medium, BUDGET.allowance + 1] {
            while let Ok(other) = read(&bodies, chunks(size.div_ceil(1024), 1024)).await {
                others.push(other);
            }
        }
        assert!(bodies.budget.free() < 2 * BUDGET.allowance, "{}", bodies.budget.free());
        for _ in 0..64 {
            others.push(read(&bodies, Full::from(vec![b'x'; BUDGET.allowance])).await.unwrap());
            others.push(read(&bodies, chunks(BUDGET.allowance / 1024, 1024)).await.unwrap());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_takes_room_as_it_arrives_and_not_as_it_is_announced() {
        let bodies = Bodies::new(LIMIT);
        let size = MAX_BODY as u64;
        let waiting: Vec<_> = (0..10).map(|_| Announced { size, body: stalled("{") }).collect();
        let reading = join_all(waiting.into_iter().map(|body| read(&bodies, body)));
        let check = async {
            yield_now().await;
            assert_eq!(bodies.budget.free(), BUDGET.shared);
            read(&bodies, Full::from(vec![b'x'; MAX_BODY])).await.unwrap();
        };
        let (read, ()) = tokio::join!(reading, check);
        assert!(read.iter().all(|read| *read.as_ref().unwrap_err() == BodyError::Late(LIMIT)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_body_returns_its_memory_at_the_deadline() {
        let bodies = Bodies::new(LIMIT);
        let began = Instant::now();
        assert_eq!(read(&bodies, stalled("{")).await.unwrap_err(), BodyError::Late(LIMIT));
        assert_eq!(began.elapsed(), LIMIT);
        assert_eq!(bodies.budget.free(), BUDGET.shared);
    }
}
