//! A connection's stream, which ends when its client is too slow.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Where a connection stands, as told by who answers its requests. Clones share it.
///
/// The number of steps so far: odd while a request is answered, even while there is none, or a header is on its way.
#[derive(Clone, Debug, Default)]
pub(super) struct Phase(Arc<AtomicUsize>);

impl Phase {
    /// A request's header is complete, or its answer is made.
    pub(super) fn step(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream that fails when a header is not complete some time after its first byte, or when an answer is not taken.
///
/// hyper has one timeout for the header and for the time between two requests; here a header that has begun has its own.
/// The time runs from when the client is first waited for: whoever sends a whole header at once costs no look at the clock.
#[derive(Debug)]
pub(super) struct Stream<S> {
    inner: S,
    phase: Phase,
    /// The phase that `begun` and `header` are about.
    seen: usize,
    /// Whether a part of a header has come.
    begun: bool,
    header: Alarm,
    answer: Alarm,
}

impl<S> Stream<S> {
    /// `header` is the time for a header, `answer` that in which a part of an answer must be taken.
    pub(super) fn new(stream: S, phase: Phase, header: Duration, answer: Duration) -> Self {
        Self { inner: stream, phase, seen: 0, begun: false, header: Alarm::new(header), answer: Alarm::new(answer) }
    }

    fn written<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.answer.stop();
        } else if self.answer.rings(cx) {
            return Poll::Ready(Err(late("the answer was not taken in time")));
        }
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        let phase = self.phase.now();
        if phase != self.seen {
            (self.seen, self.begun) = (phase, false);
            self.header.stop();
        }
        let answering = phase % 2 == 1;
        if !answering && buffer.filled().len() > before {
            self.begun = true;
        }
        if self.begun && polled.is_pending() && self.header.rings(cx) {
            return Poll::Ready(Err(late("the header was not complete in time")));
        }
        polled
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

/// A time that runs from the first question until it is stopped.
#[derive(Debug)]
struct Alarm {
    after: Duration,
    running: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    fn new(after: Duration) -> Self {
        Self { after, running: None }
    }

    fn stop(&mut self) {
        self.running = None;
    }

    /// Whether the time is over; if not, the task is woken when it is.
    fn rings(&mut self, cx: &mut Context<'_>) -> bool {
        let after = self.after;
        self.running.get_or_insert_with(|| Box::pin(sleep(after))).as_mut().poll(cx).is_ready()
    }
}

fn late(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, message)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{Instant, advance, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);
    const LONG: Duration = Duration::from_secs(100);

    fn stream() -> (Stream<DuplexStream>, DuplexStream, Phase) {
        let (near, far) = duplex(64);
        let phase = Phase::default();
        (Stream::new(near, phase.clone(), LIMIT, LIMIT), far, phase)
    }

    async fn read(stream: &mut Stream<DuplexStream>) -> io::Result<usize> {
        stream.read(&mut [0; 64]).await
    }

    /// How a read fails that no byte ends.
    async fn failed(stream: &mut Stream<DuplexStream>) -> io::ErrorKind {
        timeout(LONG, read(stream)).await.expect("it ends").unwrap_err().kind()
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_has_its_time_from_the_first_byte_on_however_it_drips() {
        let (mut stream, mut far, _) = stream();
        assert!(timeout(LONG, read(&mut stream)).await.is_err(), "nothing came, and nothing is overdue");
        let began = Instant::now();
        for _ in 0..3 {
            far.write_all(b"x").await.unwrap();
            assert_eq!(read(&mut stream).await.unwrap(), 1);
            assert!(timeout(LIMIT * 3 / 10, read(&mut stream)).await.is_err());
        }
        assert_eq!(failed(&mut stream).await, io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_between_two_requests_and_that_of_a_body_are_none_of_a_header() {
        let (mut stream, mut far, phase) = stream();
        for _ in 0..3 {
            far.write_all(b"header").await.unwrap();
            read(&mut stream).await.unwrap();
            phase.step();
            assert!(timeout(LONG, read(&mut stream)).await.is_err());
            far.write_all(b"body").await.unwrap();
            read(&mut stream).await.unwrap();
            assert!(timeout(LONG, read(&mut stream)).await.is_err());
            phase.step();
            assert!(timeout(LONG, read(&mut stream)).await.is_err());
        }
        far.write_all(b"h").await.unwrap();
        read(&mut stream).await.unwrap();
        assert_eq!(failed(&mut stream).await, io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_ends_the_stream_and_a_slow_reader_does_not() {
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
