//! The stream of a connection, which fails when its client is too slow.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::limits::ServerLimits;

/// The phase of a connection. The stream observes the start of a header, and the service observes its end and the
/// answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// No byte of the next request has arrived.
    #[default]
    Idle,
    /// A part of a header has arrived.
    Header,
    /// A request is being answered. Its body has a deadline of its own.
    Answer,
}

/// The phase of one connection. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedPhase(Arc<Mutex<Phase>>);

impl SharedPhase {
    pub(super) fn set(&self, phase: Phase) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    fn get(&self) -> Phase {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that fails when its connection is idle for too long, when a header takes too long from its first byte on, or
/// when the client does not read an answer.
///
/// A timer starts at the first wait for the client, so a header that arrives at once does not start one.
#[derive(Debug)]
pub(super) struct Stream<S> {
    inner: S,
    phase: SharedPhase,
    idle: Timer,
    header: Timer,
    answer: Timer,
}

impl<S> Stream<S> {
    pub(super) fn new(inner: S, phase: SharedPhase, limits: &ServerLimits) -> Self {
        let [idle, header, answer] = [limits.idle, limits.header, limits.answer].map(Timer::new);
        Self { inner, phase, idle, header, answer }
    }

    fn written<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.answer.stop();
        } else if self.answer.has_expired(cx) {
            return Poll::Ready(Err(timed_out("the client did not read the answer in time")));
        }
        polled
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
            self.idle.stop();
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
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
        self.written(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.written(cx, polled)
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{Instant, advance, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);
    const LONG: Duration = Duration::from_secs(100);

    fn stream() -> (Stream<DuplexStream>, DuplexStream, SharedPhase) {
        let (near, far) = duplex(64);
        let phase = SharedPhase::default();
        let limits = ServerLimits { idle: LONG * 2, header: LIMIT, answer: LIMIT, ..ServerLimits::default() };
        (Stream::new(near, phase.clone(), &limits), far, phase)
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
}
