//! A writer that waits for its output, even if that does not block.

use std::io::{self, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// A writer of all bytes to an output that may be non-blocking.
///
/// Whether a pipe blocks is a property of the pipe, not of the process: another process that shares it may have set
/// `O_NONBLOCK`. A write to a full pipe then fails after a part of the bytes, and the rest would be lost.
#[derive(Debug)]
pub struct BlockingWriter<W>(pub W);

impl<W: Write + AsFd> Write for BlockingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(&self.0)?,
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Waits until a write to `output` makes progress or fails.
fn wait(output: &impl AsFd) -> io::Result<()> {
    match poll(&mut [PollFd::new(output, PollFlags::OUT)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::thread;

    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

    use super::*;

    fn pipe() -> (io::PipeReader, BlockingWriter<io::PipeWriter>) {
        let (reader, writer) = io::pipe().unwrap();
        let flags = fcntl_getfl(&writer).unwrap();
        fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
        (reader, BlockingWriter(writer))
    }

    #[test]
    fn all_bytes_reach_the_reader_of_a_full_pipe() {
        let (mut reader, mut writer) = pipe();
        // A pipe has room for 64 KiB.
        let text: Vec<_> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        let sent = text.clone();
        let writing = thread::spawn(move || writer.write_all(&sent).unwrap());
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        writing.join().unwrap();
        assert!(read == text);
    }

    #[test]
    fn a_pipe_without_a_reader_is_an_error() {
        let (reader, mut writer) = pipe();
        while writer.0.write(&[0; 4096]).is_ok() {}
        let writing = thread::spawn(move || writer.write_all(b"x"));
        drop(reader);
        assert_eq!(writing.join().unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
