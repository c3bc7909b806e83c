//! The place of a command's result: standard output, or a file that is replaced at the end.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, IsTerminal as _, Seek as _, Stdout, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::Usage;
use super::paint::{ColorOption, Paint};
use crate::manifest::is_stdin;

/// The mode of a new file, before the umask.
const MODE: u32 = 0o666;

/// The options of commands that print a result.
#[derive(Debug, Args)]
pub(super) struct OutputOptions {
    /// Write the output to this file, which is replaced at the end, instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(super) output_file: Option<PathBuf>,

    /// Print nothing but errors on standard error: no notes, no summary and no progress
    #[arg(short, long)]
    pub(super) quiet: bool,

    #[command(flatten)]
    color: ColorOption,
}

/// A writer of a command's result. If the reader of a pipe closes it, as `head` does, the rest is dropped; the exit code still
/// reports the result.
pub(super) struct Destination {
    out: Out,
    closed: bool,
}

enum Out {
    Stdout(BufWriter<Stdout>),
    /// A pipe or a device, which cannot be replaced.
    Device(BufWriter<File>, PathBuf),
    File(NewFile),
}

/// The new text of a file.
///
/// It is written to a temporary file without a name, which disappears if the process is killed.
struct NewFile {
    text: BufWriter<File>,
    /// The path as it was named.
    path: PathBuf,
    /// The file that is replaced: the target of a link.
    target: PathBuf,
}

impl OutputOptions {
    /// Checks that the output file is not one of the paths that are read.
    pub(super) fn check_usage<'p>(&self, inputs: impl IntoIterator<Item = &'p PathBuf>) -> Result<(), Usage> {
        let Some(file) = &self.output_file else { return Ok(()) };
        if is_stdin(file) {
            return Err(Usage("--output-file names a file: remove it to print on standard output".to_owned()));
        }
        let Ok(real) = file.canonicalize() else { return Ok(()) };
        let is_read = inputs.into_iter().any(|input| input.canonicalize().is_ok_and(|input| input == real));
        if is_read && real.is_file() {
            let file = file.display();
            return Err(Usage(format!("--output-file {file} is also an input: write to another file")));
        }
        Ok(())
    }

    /// Opens the destination.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn open(&self) -> anyhow::Result<Destination> {
        let out = match &self.output_file {
            None => Out::Stdout(BufWriter::new(io::stdout())),
            Some(path) => Out::open(path).with_context(|| cannot_write(path))?,
        };
        Ok(Destination { out, closed: false })
    }

    /// The colors of the result.
    pub(super) fn paint(&self) -> Paint {
        self.color.paint(self.output_file.is_none() && io::stdout().is_terminal())
    }
}

impl Out {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let is_other = |metadata: &fs::Metadata| !metadata.is_file();
        if target.is_dir() {
            return Err(anyhow!("it is a directory: name a file in it"));
        }
        if fs::metadata(&target).is_ok_and(|metadata| is_other(&metadata)) {
            let device = File::options().write(true).open(&target)?;
            return Ok(Self::Device(BufWriter::new(device), path.to_owned()));
        }
        let text = BufWriter::new(tempfile::tempfile_in(folder(&target))?);
        Ok(Self::File(NewFile { text, path: path.to_owned(), target }))
    }
}

impl Destination {
    pub(super) fn write(&mut self, text: &str) -> anyhow::Result<()> {
        if self.closed || text.is_empty() {
            return Ok(());
        }
        let written = match &mut self.out {
            Out::Stdout(out) => out.write_all(text.as_bytes()),
            Out::Device(out, _) | Out::File(NewFile { text: out, .. }) => out.write_all(text.as_bytes()),
        };
        self.unless_closed(written)
    }

    /// Writes the rest, and replaces the file.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        let flushed = match &mut self.out {
            _ if self.closed => Ok(()),
            Out::Stdout(out) => out.flush(),
            Out::Device(out, _) => out.flush(),
            Out::File(file) => return file.replace().with_context(|| cannot_write(&file.path)),
        };
        self.unless_closed(flushed)
    }

    fn unless_closed(&mut self, result: io::Result<()>) -> anyhow::Result<()> {
        match (result, &self.out) {
            (Err(error), _) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            (result, Out::Stdout(_)) => Ok(result?),
            (result, Out::Device(_, path) | Out::File(NewFile { path, .. })) => {
                result.with_context(|| cannot_write(path))
            }
        }
    }
}

impl NewFile {
    /// Replaces the file in one step: a reader sees either the old text or the new one.
    fn replace(&mut self) -> anyhow::Result<()> {
        self.text.flush()?;
        let text = self.text.get_mut();
        text.rewind()?;
        let mut new =
            tempfile::Builder::new().permissions(Permissions::from_mode(MODE)).tempfile_in(folder(&self.target))?;
        io::copy(text, &mut new)?;
        if let Ok(old) = fs::metadata(&self.target) {
            new.as_file().set_permissions(old.permissions())?;
        }
        new.as_file().sync_all()?;
        new.persist(&self.target)?;
        Ok(())
    }
}

fn folder(target: &Path) -> &Path {
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}
