//! A file that was found, and its text.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::chunks::Chunks;
use super::sources::{ReadError, unreadable};

/// The name of standard input in messages.
pub(super) const STDIN_NAME: &str = "standard input";

/// The length in bytes from which a text is kept in a file: 1 MiB.
const MAX_IN_MEMORY: u64 = 1 << 20;

/// A file that was found.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path as named or as found in a directory, or `standard input`.
    pub name: String,
    /// The path of the file; `None` for standard input and for pipes, which are in no folder and cannot be replaced.
    pub path: Option<PathBuf>,
    /// The text, if the file is not to be read again.
    kept: Option<Kept>,
}

/// A text that is read only once, and kept for further readings.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    InMemory(Arc<Vec<u8>>),
    /// In a temporary file without a name, which disappears with the process.
    InFile(Arc<File>),
}

/// Reads a file from its start. Several readers do not affect each other.
struct FileReader<'f> {
    file: &'f File,
    at: u64,
}

impl Source {
    /// A file that is read when it is needed.
    pub(super) fn of_file(path: &Path) -> Self {
        Self { name: path.display().to_string(), path: Some(path.to_owned()), kept: None }
    }

    /// A pipe.
    pub(super) fn of_pipe(path: &Path, text: Kept) -> Self {
        Self { name: path.display().to_string(), path: None, kept: Some(text) }
    }

    pub(super) fn of_stdin(text: Kept) -> Self {
        Self { name: STDIN_NAME.to_owned(), path: None, kept: Some(text) }
    }

    /// A text that is in no file.
    #[cfg(test)]
    pub(super) fn of_text(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), path: None, kept: Some(Vec::from(text).into()) }
    }

    /// Reads the whole text.
    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        io::read_to_string(self.open().unwrap()).unwrap()
    }

    /// Reads the file with `read`, and keeps its text.
    pub(super) fn keep(&mut self, read: impl FnOnce(&Path) -> io::Result<Kept>) -> Result<(), ReadError> {
        if let (None, Some(path)) = (&self.kept, &self.path) {
            self.kept = Some(read(path).map_err(|error| unreadable(path, error))?);
        }
        Ok(())
    }

    /// Reads the text in chunks.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn chunks(&self) -> Result<Chunks<'_>, ReadError> {
        Chunks::open(self)
    }

    /// Starts to read the text.
    pub(super) fn open(&self) -> Result<Box<dyn Read + '_>, ReadError> {
        match (&self.kept, &self.path) {
            (Some(Kept::InMemory(text)), _) => Ok(Box::new(&***text)),
            (Some(Kept::InFile(file)), _) => Ok(Box::new(FileReader { file, at: 0 })),
            (None, Some(path)) => Ok(Box::new(File::open(path).map_err(|error| unreadable(path, error))?)),
            (None, None) => Ok(Box::new(io::empty())),
        }
    }

    /// The path as messages show it.
    pub(super) fn shown(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(&self.name))
    }

    /// Returns true for standard input.
    pub fn is_stdin(&self) -> bool {
        self.path.is_none() && self.name == STDIN_NAME
    }

    /// The size of the text in bytes, as far as it is known.
    pub fn size(&self) -> u64 {
        let of_file = |file: io::Result<std::fs::Metadata>| file.map_or(0, |metadata| metadata.len());
        match (&self.kept, &self.path) {
            (Some(Kept::InMemory(text)), _) => text.len() as u64,
            (Some(Kept::InFile(file)), _) => of_file(file.metadata()),
            (None, Some(path)) => of_file(path.metadata()),
            (None, None) => 0,
        }
    }
}

impl Kept {
    /// Reads all of a text, and keeps a large one in a temporary file. If that cannot be created or written, as in a container whose
    /// file system is read-only or full, the text is kept in memory.
    pub(super) fn read(mut from: impl Read) -> io::Result<Self> {
        let mut text = Vec::new();
        from.by_ref().take(MAX_IN_MEMORY).read_to_end(&mut text)?;
        if (text.len() as u64) < MAX_IN_MEMORY {
            return Ok(text.into());
        }
        let Ok(file) = tempfile::tempfile() else {
            from.read_to_end(&mut text)?;
            return Ok(text.into());
        };
        let mut length = 0;
        while !text.is_empty() {
            if file.write_all_at(&text, length).is_err() {
                let mut all = Vec::new();
                FileReader { file: &file, at: 0 }.take(length).read_to_end(&mut all)?;
                all.append(&mut text);
                from.read_to_end(&mut all)?;
                return Ok(all.into());
            }
            length += text.len() as u64;
            text.clear();
            from.by_ref().take(MAX_IN_MEMORY).read_to_end(&mut text)?;
        }
        Ok(Self::InFile(Arc::new(file)))
    }
}

impl From<Vec<u8>> for Kept {
    fn from(text: Vec<u8>) -> Self {
        Self::InMemory(Arc::new(text))
    }
}

impl Read for FileReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_text_is_kept_in_a_file_and_read_several_times() {
        let max = usize::try_from(MAX_IN_MEMORY).unwrap();
        for (length, is_in_file) in [(max - 1, false), (max, true), (3 * max + 1, true)] {
            let text: String = ('a'..='w').cycle().take(length).collect();
            let source = Source::of_stdin(Kept::read(text.as_bytes()).unwrap());
            assert_eq!(matches!(source.kept, Some(Kept::InFile(_))), is_in_file);
            assert_eq!(source.size(), length as u64);
            let mut first = source.open().unwrap();
            let mut start = [0; 10];
            first.read_exact(&mut start).unwrap();
            assert!(source.text() == text && source.text() == text && start == text.as_bytes()[..10]);
        }
    }
}
