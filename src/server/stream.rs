//! The stream of a connection, which fails when its client is too slow.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::connection_table::{ConnectionSlot, Stage};
use super::limits::ServerLimits;

/// The phase of a connection. The stream observes the start of a header and the end of an answer, and the service observes
/// what lies between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No byte of the next request has arrived.
    Idle,
    /// A part of a header has arrived.
    Header,
    /// A request is being answered. Its body has a deadline of its own.
    Answer,
    /// The answer is complete, but not all of it is sent. `unread`: a part of the request's body was not read.
    Sending { unread: bool },
    /// The answer is sent, and the rest of the request's body is discarded.
    Discarding,
}

/// The phase of one connection, which decides when it gives way to a new one. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct SharedPhase(Arc<(Mutex<Phase>, ConnectionSlot)>);

impl SharedPhase {
    /// Creates the phase of a connection before its first request.
    pub(super) fn new(slot: ConnectionSlot) -> Self {
        Self(Arc::new((Mutex::new(Phase::Idle), slot)))
    }

    pub(super) fn set(&self, phase: Phase) {
        *self.lock() = phase;
        match phase {
            Phase::Idle => self.slot().enter(Stage::Idle),
            // Only a complete header counts as a request.
            Phase::Header => {}
            Phase::Answer | Phase::Sending { .. } => self.slot().enter(Stage::InFlight),
            Phase::Discarding => self.slot().enter(Stage::Discarding),
        }
    }

    /// Returns the slot of the connection.
    pub(super) fn slot(&self) -> &ConnectionSlot {
        &self.0.1
    }

    fn get(&self) -> Phase {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that fails when its connection is idle for too long, when a header takes too long from its first byte on, or
/// when the client does not read an answer.
///
/// A timer starts at the first wait for the client, so a header that arrives at once does not start one.
///
/// If the server closes the connection within a request, the stream first discards the rest of the request, within limits.
/// Otherwise the connection would be reset, and a client that still sends might not see the answer.
#[derive(Debug)]
pub(super) struct Stream<S> {
    inner: S,
    phase: SharedPhase,
    limits: ServerLimits,
    idle: Timer,
    header: Timer,
    answer: Timer,
    stalled: Timer,
    discard: Timer,
    /// The bytes that may still be discarded; `None` while the sending side is open.
    discardable: Option<usize>,
}

impl<S> Stream<S> {
    pub(super) fn new(inner: S, phase: SharedPhase, limits: &ServerLimits) -> Self {
        let [idle, header, answer, stalled, discard] =
            [limits.first_byte, limits.header, limits.answer, limits.stalled, limits.discard].map(Timer::new);
        Self { inner, phase, limits: *limits, idle, header, answer, stalled, discard, discardable: None }
    }

    fn written<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let sent = polled.is_ready();
        if sent {
            self.answer.stop();
            self.stalled.stop();
        } else if self.answer.has_expired(cx) {
            return Poll::Ready(Err(timed_out("the client did not read the answer in time")));
        }
        if let Phase::Sending { .. } = self.phase.get() {
            let stalled = !sent && self.stalled.has_expired(cx);
            self.phase.slot().enter(if stalled { Stage::Unread } else { Stage::InFlight });
        }
        polled
    }
}

impl<S: AsyncRead + Unpin> Stream<S> {
    /// Discards what the client sends, at most `rest` bytes, until it closes the connection or the time is over.
    fn poll_discard(&mut self, cx: &mut Context<'_>, mut rest: usize) -> Poll<()> {
        let mut scratch = [MaybeUninit::uninit(); 16 * 1024];
        loop {
            let mut buffer = ReadBuf::uninit(&mut scratch);
            let polled = Pin::new(&mut self.inner).poll_read(cx, &mut buffer);
            let count = buffer.filled().len();
            match polled {
                Poll::Ready(Ok(())) if (1..=rest).contains(&count) => rest -= count,
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending if self.discard.has_expired(cx) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        self.discardable = Some(rest);
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        let mut phase = self.phase.get();
        if phase == Phase::Idle && buffer.filled().len() > before {
            phase = Phase::Header;
            self.phase.set(phase);
            self.idle = Timer::new(self.limits.idle);
            self.header.stop();
        }
        if polled.is_ready() {
            return polled;
        }
        match phase {
            Phase::Idle if self.idle.has_expired(cx) => {
                Poll::Ready(Err(timed_out("the connection was idle for too long")))
            }
            Phase::Header if self.header.has_expired(cx) => {
                Poll::Ready(Err(timed_out("the header was not complete in time")))
            }
            _ => polled,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.written(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.written(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        let polled = self.written(cx, polled);
        // hyper flushes after it has written the whole answer.
        if let (Poll::Ready(Ok(())), Phase::Sending { unread }) = (&polled, self.phase.get()) {
            self.phase.set(if unread { Phase::Discarding } else { Phase::Idle });
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let rest = if let Some(rest) = self.discardable {
            rest
        } else {
            let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
            ready!(self.written(cx, polled))?;
            self.limits.discardable
        };
        match self.phase.get() {
            Phase::Header | Phase::Discarding => self.poll_discard(cx, rest).map(Ok),
            _ => Poll::Ready(Ok(())),
        }
    }
}

/// A timer that starts when it is first checked.
#[derive(Debug)]
struct Timer {
    limit: Duration,
    running: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    fn new(limit: Duration) -> Self {
        Self { limit, running: None }
    }

    fn stop(&mut self) {
        self.running = None;
    }

    /// Returns whether the time is over. If not, the task is woken when it is.
    fn has_expired(&mut self, cx: &mut Context<'_>) -> bool {
        let limit = self.limit;
        self.running.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx).is_ready()
    }
}

fn timed_out(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, message)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{Instant, advance, timeout};

    use super::super::connection_table::ConnectionTable;
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);
    const STALLED: Duration = Duration::from_secs(1);
    const LONG: Duration = Duration::from_secs(100);

    fn stream() -> (Stream<DuplexStream>, DuplexStream, SharedPhase) {
        let (near, far) = duplex(64);
        let phase = SharedPhase::new(Arc::new(ConnectionTable::new(1)).admit().now_or_never().unwrap());
        let limits = ServerLimits {
            first_byte: LONG * 2,
            idle: LONG * 2,
            header: LIMIT,
            answer: LIMIT,
            stalled: STALLED,
            discard: LIMIT,
            discardable: 1000,
            ..ServerLimits::reviews()
        };
        (Stream::new(near, phase.clone(), &limits), far, phase)
    }

    /// Returns a stream that closes in this phase, and its client.
    fn closing(phase: Phase) -> (Stream<DuplexStream>, DuplexStream) {
        let (stream, far, shared) = stream();
        shared.set(phase);
        (stream, far)
    }

    async fn read(stream: &mut Stream<DuplexStream>) -> io::Result<usize> {
        stream.read(&mut [0; 64]).await
    }

    /// Waits for a read that fails.
    async fn failure(stream: &mut Stream<DuplexStream>) -> io::ErrorKind {
        timeout(LONG, read(stream)).await.expect("it ends").unwrap_err().kind()
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_a_header_starts_at_its_first_byte() {
        let (mut stream, mut far, _) = stream();
        assert!(timeout(LONG, read(&mut stream)).await.is_err(), "no byte arrived, so no timer runs out");
        let began = Instant::now();
        for _ in 0..3 {
            far.write_all(b"x").await.unwrap();
            assert_eq!(read(&mut stream).await.unwrap(), 1);
            assert!(timeout(LIMIT * 3 / 10, read(&mut stream)).await.is_err());
        }
        assert_eq!(failure(&mut stream).await, io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_time_and_bodies_do_not_count_toward_the_header_limit() {
        let (mut stream, mut far, phase) = stream();
        for _ in 0..3 {
            far.write_all(b"header").await.unwrap();
            read(&mut stream).await.unwrap();
            // Slow, but not too slow.
            assert!(timeout(LIMIT / 2, read(&mut stream)).await.is_err());
            phase.set(Phase::Answer);
            assert!(timeout(LONG, read(&mut stream)).await.is_err());
            far.write_all(b"body").await.unwrap();
            read(&mut stream).await.unwrap();
            assert!(timeout(LONG, read(&mut stream)).await.is_err());
            phase.set(Phase::Idle);
            assert!(timeout(LONG, read(&mut stream)).await.is_err());
        }
        far.write_all(b"h").await.unwrap();
        read(&mut stream).await.unwrap();
        assert_eq!(failure(&mut stream).await, io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unread_answer_ends_the_stream_but_a_slow_reader_does_not() {
        let (mut stream, mut far, _) = stream();
        stream.write_all(&[b'x'; 64]).await.unwrap();
        for _ in 0..3 {
            assert!(timeout(LIMIT / 2, stream.write_all(b"xxxx")).await.is_err());
            advance(LIMIT / 4).await;
            far.read_exact(&mut [0; 4]).await.unwrap();
            stream.write_all(b"xxxx").await.unwrap();
        }
        assert_eq!(stream.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_byte_has_a_limit_of_its_own() {
        let (mut stream, mut far, phase) = stream();
        stream.limits.idle = LONG / 2;
        far.write_all(b"header").await.unwrap();
        read(&mut stream).await.unwrap();
        phase.set(Phase::Idle);
        let began = Instant::now();
        assert_eq!(failure(&mut stream).await, io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), LONG / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_in_flight_until_its_answer_is_sent() {
        let (mut stream, mut far, phase) = stream();
        phase.set(Phase::Answer);
        stream.flush().await.unwrap();
        assert!(phase.slot().is_in_flight(), "an interim response is not the answer");
        phase.set(Phase::Sending { unread: false });
        stream.write_all(&[b'x'; 64]).await.unwrap();
        assert!(phase.slot().is_in_flight());
        // The client is slow. When it has read nothing for a while, the connection may give way.
        let just_before = STALLED.checked_sub(Duration::from_millis(2)).unwrap();
        assert!(timeout(just_before, stream.write_all(b"x")).await.is_err());
        assert!(phase.slot().is_in_flight());
        assert!(timeout(Duration::from_millis(4), stream.write_all(b"x")).await.is_err());
        assert!(!phase.slot().is_in_flight());
        far.read_exact(&mut [0; 64]).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        assert!(phase.slot().is_in_flight());
        stream.flush().await.unwrap();
        assert_eq!(phase.get(), Phase::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_of_a_request_is_discarded_until_the_client_closes() {
        for phase in [Phase::Header, Phase::Discarding] {
            let (mut stream, mut far) = closing(phase);
            let client = async {
                far.write_all(&[b'x'; 900]).await.unwrap();
                assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "the sending side is closed first");
                drop(far);
            };
            let began = Instant::now();
            let (closed, ()) = tokio::join!(stream.shutdown(), client);
            closed.unwrap();
            assert_eq!(began.elapsed(), Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_of_a_request_is_discarded_within_limits() {
        let (mut stream, _silent) = closing(Phase::Discarding);
        let began = Instant::now();
        stream.shutdown().await.unwrap();
        assert_eq!(began.elapsed(), LIMIT);

        let (mut stream, mut far) = closing(Phase::Discarding);
        let endless = async { while far.write_all(&[b'x'; 64]).await.is_ok() {} };
        tokio::select! {
            closed = stream.shutdown() => closed.unwrap(),
            () = endless => unreachable!(),
        }
        assert_eq!(began.elapsed(), LIMIT, "the limit on bytes ends it at once");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_discarded_between_requests() {
        let (mut stream, _far) = closing(Phase::Idle);
        let began = Instant::now();
        stream.shutdown().await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
