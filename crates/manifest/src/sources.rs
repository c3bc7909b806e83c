//! The files that a user names, directly or by their directory.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::position::{Lines, Position};

/// The file that lists the files of a directory that are left out, in the syntax of `.gitignore`.
const IGNORE_FILE: &str = ".colocateignore";

/// The file that makes a directory a Helm chart.
const CHART_FILE: &str = "Chart.yaml";

/// An error while reading files.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file or directory does not exist or is not readable.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file is not UTF-8 text.
    #[error("{}:{position}: {what}", .path.display())]
    NoText {
        /// The file.
        path: PathBuf,
        /// The position of the first invalid byte.
        position: Position,
        /// A description of that byte, and what to do.
        what: String,
    },
    /// A file with patterns has an invalid one.
    #[error("{}: {what}", .path.display())]
    Pattern {
        /// The file.
        path: PathBuf,
        /// The error.
        what: String,
    },
    /// A directory has Helm templates, which must be rendered first.
    #[error("{}/templates has Helm templates: render them first, with `helm template`", .chart.display())]
    Templates {
        /// The directory of the chart.
        chart: PathBuf,
    },
}

/// A file that was found.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path as named or as found in a directory, or `standard input`.
    pub name: String,
    /// The path of the file; `None` for standard input.
    pub path: Option<PathBuf>,
    /// The text of standard input or of a pipe, which can be read only once.
    kept: Option<String>,
}

/// The result of a search.
#[derive(Debug, Default)]
pub struct Found {
    /// The files in order. None of them has been read yet, except standard input and pipes.
    pub sources: Vec<Source>,
    /// The directories of the Helm charts whose templates were skipped, without charts inside of other charts.
    pub charts: Vec<PathBuf>,
    /// The paths that cannot be read.
    pub errors: Vec<ReadError>,
    /// The number of paths that were named, but are excluded.
    pub left_out: usize,
}

/// Finds the manifests that paths name.
///
/// A directory stands for the `*.yaml`, `*.yml` and `*.json` files below it, sorted by name, without hidden files, symbolic
/// links, and the files that a `.gitignore` lists. Files that a `.colocateignore` or an option excludes, and the templates
/// of Helm charts, are left out even if they are named.
#[derive(Debug)]
pub struct FileSearch {
    /// The directory to which the globs are relative.
    working_directory: PathBuf,
    excluded: Gitignore,
    /// The patterns of each directory that was visited.
    ignore_files: HashMap<PathBuf, Gitignore>,
    seen: HashSet<PathBuf>,
    /// The charts by their real path.
    charts: BTreeMap<PathBuf, PathBuf>,
    found: Found,
}

impl Source {
    /// A text that is in no file.
    #[cfg(test)]
    pub(super) fn of_text(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), path: None, kept: Some(text.to_owned()) }
    }

    /// Reads the text.
    ///
    /// # Errors
    /// The file cannot be read, or is not text.
    pub fn read(&self) -> Result<Cow<'_, str>, ReadError> {
        match (&self.kept, &self.path) {
            (Some(text), _) => Ok(Cow::Borrowed(text)),
            (None, Some(path)) => read_text(path, &mut read_anything).map(Cow::Owned),
            (None, None) => Ok(Cow::Borrowed("")),
        }
    }

    /// The size of the text in bytes, as far as it is known.
    pub fn size(&self) -> u64 {
        let of_file = || self.path.as_ref()?.metadata().ok().map(|metadata| metadata.len());
        self.kept.as_ref().map_or_else(|| of_file().unwrap_or(0), |text| text.len() as u64)
    }
}

impl FileSearch {
    /// Makes a search that leaves out the files that match one of these globs, which have the syntax of `.gitignore` and are
    /// relative to the working directory.
    ///
    /// # Errors
    /// A glob is invalid.
    pub fn new(excluded: &[String]) -> Result<Self, ignore::Error> {
        let working_directory = std::env::current_dir().and_then(|path| path.canonicalize()).unwrap_or_default();
        let mut globs = GitignoreBuilder::new("");
        for glob in excluded {
            globs.add_line(None, glob)?;
        }
        Ok(Self {
            working_directory,
            excluded: globs.build()?,
            ignore_files: HashMap::new(),
            seen: HashSet::new(),
            charts: BTreeMap::new(),
            found: Found::default(),
        })
    }

    /// Finds the files of paths, in order; `-` is standard input. A file that is named twice, possibly by a link, is found
    /// only the first time.
    pub fn find<P: AsRef<Path>>(self, paths: &[P]) -> Found {
        self.find_with(paths, &mut read_anything)
    }

    /// As [`find`](Self::find), but reads standard input (`/dev/stdin`) and pipes with `read_file`.
    fn find_with<P: AsRef<Path>>(mut self, paths: &[P], read_file: ReadFile<'_>) -> Found {
        for path in paths.iter().map(AsRef::as_ref) {
            if path == Path::new("-") {
                self.add_stdin(read_file);
            } else if let Err(error) = self.add(path, read_file) {
                self.found.errors.push(error);
            }
        }
        let inner = |real: &Path| real.ancestors().skip(1).any(|above| self.charts.contains_key(above));
        let outer = self.charts.iter().filter(|(real, _)| !inner(real));
        self.found.charts = outer.map(|(_, named)| named.clone()).collect();
        self.found
    }

    fn add_stdin(&mut self, read_file: ReadFile<'_>) {
        let name = Path::new("standard input");
        let read = read_file(Path::new(STANDARD_INPUT)).map_err(|error| unreadable(name, error));
        match read.and_then(|bytes| text(name, bytes)) {
            Ok(text) => {
                self.found.sources.push(Source { name: name.display().to_string(), path: None, kept: Some(text) });
            }
            Err(error) => self.found.errors.push(error),
        }
    }

    fn add(&mut self, path: &Path, read_file: ReadFile<'_>) -> Result<(), ReadError> {
        let metadata = path.metadata().map_err(|error| unreadable(path, error))?;
        let real = real_path(path);
        let top = self.top(&real, metadata.is_dir());
        if self.is_excluded(&real, metadata.is_dir(), &top)? {
            self.found.left_out += 1;
            return Ok(());
        }
        if let Some(chart) = chart_of_templates(&real) {
            let named = chart.strip_prefix(&self.working_directory).unwrap_or(chart);
            let named = if named.as_os_str().is_empty() { Path::new(".") } else { named };
            self.charts.entry(chart.to_owned()).or_insert_with(|| named.to_owned());
            return Ok(());
        }
        if metadata.is_dir() {
            return self.add_directory(path, &real, &top);
        }
        // A pipe is read now, because that is possible only once.
        let now = || read_text(path, read_file);
        self.add_file(path, (!metadata.is_file()).then_some(now))
    }

    /// Adds a file. If `read` is given, it is read now.
    fn add_file(
        &mut self,
        path: &Path,
        read: Option<impl FnOnce() -> Result<String, ReadError>>,
    ) -> Result<(), ReadError> {
        // A pipe has no canonical path.
        let canonical = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if self.seen.insert(canonical) {
            let kept = read.map(|read| read()).transpose()?;
            self.found.sources.push(Source { name: path.display().to_string(), path: Some(path.to_owned()), kept });
        }
        Ok(())
    }

    fn add_directory(&mut self, root: &Path, real_root: &Path, top: &Path) -> Result<(), ReadError> {
        let in_repository = real_root.ancestors().any(|folder| folder.join(".git").exists());
        let mut walk = WalkBuilder::new(root);
        walk.parents(in_repository)
            .ignore(false)
            .git_global(false)
            .git_exclude(false)
            .require_git(false)
            .sort_by_file_name(OsStr::cmp)
            // Nothing below such a directory is visited.
            .filter_entry(|entry| entry.depth() == 0 || !is_templates(entry.path()));
        let mut skipped: Option<PathBuf> = None;
        for entry in walk.build() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.found.errors.push(walk_error(root, error));
                    continue;
                }
            };
            let (path, depth) = (entry.path(), entry.depth());
            if skipped.as_ref().is_some_and(|skipped| path.starts_with(skipped)) || depth == 0 {
                self.note_chart(path, real_root, root, top, skipped.is_none())?;
                continue;
            }
            let Some(kind) = entry.file_type() else { continue };
            let real = real_root.join(path.strip_prefix(root).unwrap_or(path));
            if self.is_excluded(&real, kind.is_dir(), top)? {
                skipped = kind.is_dir().then(|| path.to_owned());
                continue;
            }
            if kind.is_dir() {
                self.note_chart(path, real_root, root, top, true)?;
            } else if kind.is_file() && is_manifest(path) {
                self.add_file(path, None::<fn() -> _>)?;
            }
        }
        Ok(())
    }

    /// Records that the templates of a directory are skipped, if it is a chart.
    fn note_chart(
        &mut self,
        folder: &Path,
        real_root: &Path,
        root: &Path,
        top: &Path,
        wanted: bool,
    ) -> Result<(), ReadError> {
        let templates = folder.join("templates");
        if wanted && is_templates(&templates) {
            let real = real_root.join(folder.strip_prefix(root).unwrap_or(folder));
            if !self.is_excluded(&real.join("templates"), true, top)? {
                self.charts.entry(real).or_insert_with(|| folder.to_owned());
            }
        }
        Ok(())
    }

    /// The topmost directory whose `.colocateignore` applies to a named path: that of the repository, or else the working
    /// directory, or else the path's own.
    fn top(&self, real: &Path, is_directory: bool) -> PathBuf {
        let own = if is_directory { real } else { real.parent().unwrap_or(real) };
        let repository = own.ancestors().find(|folder| folder.join(".git").exists());
        let top = repository.or_else(|| own.starts_with(&self.working_directory).then_some(&*self.working_directory));
        top.unwrap_or(own).to_owned()
    }

    fn is_excluded(&mut self, real: &Path, is_directory: bool, top: &Path) -> Result<bool, ReadError> {
        let root = Path::new("/");
        let relative = real.strip_prefix(&self.working_directory).or_else(|_| real.strip_prefix(root)).unwrap_or(real);
        if !relative.has_root() && self.excluded.matched_path_or_any_parents(relative, is_directory).is_ignore() {
            return Ok(true);
        }
        // The nearest file with a matching pattern decides.
        for folder in real.ancestors().skip(1).take_while(|folder| folder.starts_with(top)) {
            let Ok(relative) = real.strip_prefix(folder) else { continue };
            let matched = self.patterns(folder)?.matched_path_or_any_parents(relative, is_directory);
            if !matched.is_none() {
                return Ok(matched.is_ignore());
            }
        }
        Ok(false)
    }

    /// The patterns in the `.colocateignore` of a directory.
    fn patterns(&mut self, folder: &Path) -> Result<&Gitignore, ReadError> {
        if !self.ignore_files.contains_key(folder) {
            let (path, mut patterns) = (folder.join(IGNORE_FILE), GitignoreBuilder::new(""));
            let invalid = |error: ignore::Error| ReadError::Pattern { path: path.clone(), what: error.to_string() };
            match std::fs::read_to_string(&path) {
                Ok(text) => {
                    for line in text.lines() {
                        patterns.add_line(None, line).map_err(invalid)?;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(unreadable(&path, error)),
            }
            self.ignore_files.insert(folder.to_owned(), patterns.build().map_err(invalid)?);
        }
        Ok(&self.ignore_files[folder])
    }
}

/// The path of a named file with links in its directories resolved, but not the file itself.
fn real_path(path: &Path) -> PathBuf {
    let resolved = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            parent.canonicalize().map(|parent| parent.join(name))
        }
        _ => path.canonicalize(),
    };
    resolved.or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

/// Returns true if a directory has the templates of a chart.
fn is_templates(path: &Path) -> bool {
    path.file_name() == Some(OsStr::new("templates"))
        && path.is_dir()
        && path.parent().is_some_and(|chart| chart.join(CHART_FILE).is_file())
}

/// The chart whose templates contain a path.
fn chart_of_templates(real: &Path) -> Option<&Path> {
    real.ancestors().find(|folder| is_templates(folder))?.parent()
}

fn is_manifest(path: &Path) -> bool {
    matches!(path.extension().and_then(OsStr::to_str), Some("yaml" | "yml" | "json"))
}

fn walk_error(root: &Path, error: ignore::Error) -> ReadError {
    let mut path = root.to_owned();
    let mut inner = &error;
    loop {
        inner = match inner {
            ignore::Error::WithPath { path: own, err } => {
                path.clone_from(own);
                err
            }
            ignore::Error::WithLineNumber { err, .. } | ignore::Error::WithDepth { err, .. } => err,
            _ => break,
        };
    }
    match error.into_io_error() {
        Some(source) => ReadError::Unreadable { path, source },
        None => ReadError::Pattern { path, what: "a pattern is invalid".to_owned() },
    }
}

fn unreadable(path: &Path, source: io::Error) -> ReadError {
    ReadError::Unreadable { path: path.to_owned(), source }
}

/// Reads the content of a file.
type ReadFile<'f> = &'f mut dyn FnMut(&Path) -> io::Result<Vec<u8>>;

/// The path of standard input.
const STANDARD_INPUT: &str = "/dev/stdin";

/// Finds files as [`FileSearch`] does, and reads each with `read_file`, and `/dev/stdin` for `-`.
///
/// # Errors
/// A path cannot be read, a file is not text, or a directory has Helm templates.
pub fn read_with<P: AsRef<Path>>(
    paths: &[P],
    mut read_file: impl FnMut(&Path) -> io::Result<Vec<u8>>,
) -> Result<Vec<Source>, ReadError> {
    let search = FileSearch::new(&[]).map(|search| search.find_with(paths, &mut read_file));
    // Without globs, none is invalid.
    let Found { mut sources, charts, errors, .. } = search.unwrap_or_default();
    if let Some(error) = errors.into_iter().next() {
        return Err(error);
    }
    if let Some(chart) = charts.into_iter().next() {
        return Err(ReadError::Templates { chart });
    }
    for Source { path, kept, .. } in &mut sources {
        if let (None, Some(path)) = (&kept, path) {
            *kept = Some(read_text(path, &mut read_file)?);
        }
    }
    Ok(sources)
}

/// Reads a file of any kind. Opening `/dev/stdin` again would start at its beginning.
fn read_anything(path: &Path) -> io::Result<Vec<u8>> {
    if path != Path::new(STANDARD_INPUT) {
        return std::fs::read(path);
    }
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).map(|_| bytes)
}

fn read_text(path: &Path, read_file: ReadFile<'_>) -> Result<String, ReadError> {
    text(path, read_file(path).map_err(|error| unreadable(path, error))?)
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, ReadError> {
    String::from_utf8(bytes).map_err(|error| {
        let (bytes, good) = (error.as_bytes(), error.utf8_error().valid_up_to());
        let before = String::from_utf8_lossy(&bytes[..good]);
        let guess = if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            "; it looks like UTF-16"
        } else {
            ""
        };
        let what = format!("the byte 0x{:02X} is not valid UTF-8{guess}; save the file as UTF-8", bytes[good]);
        ReadError::NoText { path: path.to_owned(), position: Lines::new(&before).position(good), what }
    })
}

#[cfg(test)]
mod tests;
