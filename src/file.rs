//! Reads of files, such as a configuration or a certificate, that are limited in size and time.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

/// The largest file, in bytes. A `ConfigMap` or a Secret holds at most 1 MiB.
pub const MAX_SIZE: usize = 1024 * 1024;

/// The longest time for a read. It takes microseconds, except on a mount that hangs.
const LIMIT: Duration = Duration::from_secs(5);

/// The message about a pipe, a device or a directory.
const NOT_REGULAR: &str = "not a regular file; save the contents of a pipe to a file";

/// A regular file that is read again and again, without blocking an async worker.
///
/// A read that takes longer than the limit continues on its own thread, and the next call waits for it. A mount that
/// hangs therefore costs one thread, not one for each call.
#[derive(Debug)]
pub struct SmallFile {
    path: PathBuf,
    read: fn(&Path) -> io::Result<Vec<u8>>,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl SmallFile {
    /// A file that has not been read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), read: |path| read_regular(path, MAX_SIZE), reading: None }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file.
    ///
    /// # Errors
    /// A file that cannot be read within 5 s, is larger than [`MAX_SIZE`], or is not a regular file.
    pub async fn read(&mut self) -> io::Result<Vec<u8>> {
        let reading = self.reading.get_or_insert_with(|| {
            let (read, path) = (self.read, self.path.clone());
            spawn_blocking(move || read(&path))
        });
        let read = end_of(reading, LIMIT).await?;
        self.reading = None;
        read
    }

    /// Reads the file as text.
    ///
    /// # Errors
    /// As [`read`](Self::read), or if the file is not UTF-8.
    pub async fn read_to_string(&mut self) -> io::Result<String> {
        to_string(self.read().await?)
    }
}

/// Runs a read on a thread of its own, and waits for its end for at most `limit`. A read that takes longer continues there.
///
/// # Errors
/// A read that does not end in time.
pub async fn within<T: Send + 'static>(limit: Duration, read: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    end_of(&mut spawn_blocking(read), limit).await
}

async fn end_of<T>(reading: &mut JoinHandle<T>, limit: Duration) -> io::Result<T> {
    let Ok(joined) = timeout(limit, reading).await else {
        let message = format!("the read did not end within {} s; the file system may hang", limit.as_secs());
        return Err(io::Error::new(io::ErrorKind::TimedOut, message));
    };
    joined.map_err(io::Error::other)
}

/// Converts the contents of a file to text.
///
/// # Errors
/// Bytes that are not UTF-8.
pub fn to_string(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

/// Reads a file to its end, and waits for as long as that takes. The file may be a pipe.
///
/// # Errors
/// A file that cannot be read or is larger than [`MAX_SIZE`].
pub fn read_blocking(path: &Path) -> io::Result<Vec<u8>> {
    read_limited(File::open(path)?, MAX_SIZE)
}

/// Reads a regular file of at most `max` bytes. Only a file system that hangs can block it.
///
/// # Errors
/// A file that cannot be read, is larger, or is not a regular file.
pub fn read_regular(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    // Without NONBLOCK, the open of a named pipe waits for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, NOT_REGULAR));
    }
    if metadata.len() > max as u64 {
        return Err(too_large(max));
    }
    read_limited(file, max)
}

fn read_limited(source: impl Read, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max { Err(too_large(max)) } else { Ok(bytes) }
}

fn too_large(max: usize) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {} MiB", max / 1024 / 1024))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rustix::fs::{CWD, FileType, mknodat};
    use tempfile::TempDir;
    use tokio::time::Instant;

    use super::*;

    fn folder() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        (folder, path)
    }

    fn make_pipe(path: &Path) {
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }

    #[tokio::test]
    async fn a_file_is_read_up_to_the_limit_of_its_size() {
        let (_folder, path) = folder();
        let mut file = SmallFile::new(&path);
        assert_eq!(file.read().await.unwrap_err().kind(), io::ErrorKind::NotFound);
        for size in [0, 1, MAX_SIZE] {
            std::fs::write(&path, vec![b'x'; size]).unwrap();
            assert_eq!(file.read().await.unwrap().len(), size);
        }
        // A sparse file, as large as the file system allows.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(file.read().await.unwrap_err().to_string(), "larger than 1 MiB");
        assert_eq!(read_blocking(&path).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[tokio::test]
    async fn a_pipe_a_device_or_a_directory_is_refused_at_once() {
        let (folder, path) = folder();
        make_pipe(&path);
        for path in [&path, Path::new("/dev/zero"), folder.path()] {
            let error = SmallFile::new(path).read().await.unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::InvalidInput, NOT_REGULAR));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_on_its_own_thread_has_a_limit() {
        assert_eq!(within(LIMIT, || 1).await.unwrap(), 1);
        let (_end, hang) = std::sync::mpsc::channel::<()>();
        let (read, ()) = tokio::join!(within(LIMIT, move || hang.recv()), tokio::time::advance(LIMIT));
        assert_eq!(read.unwrap_err().to_string(), "the read did not end within 5 s; the file system may hang");
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_hangs_ends_at_the_limit_and_is_not_started_twice() {
        static READS: AtomicUsize = AtomicUsize::new(0);
        let (_folder, path) = folder();
        make_pipe(&path);
        let hanging = |path: &Path| {
            READS.fetch_add(1, Ordering::Relaxed);
            std::fs::read(path)
        };
        let mut file = SmallFile { read: hanging, ..SmallFile::new(&path) };
        for _ in 0..3 {
            let began = Instant::now();
            // While a blocking task runs, the paused clock does not advance by itself.
            let (read, ()) = tokio::join!(file.read(), tokio::time::advance(LIMIT));
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert_eq!(began.elapsed(), LIMIT);
        }
        std::fs::write(&path, "late").unwrap();
        assert_eq!(file.read().await.unwrap(), b"late");
        assert_eq!(READS.load(Ordering::Relaxed), 1);
    }
}
