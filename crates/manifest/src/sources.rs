//! The files that a user names, directly or by their directory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use ignore::{DirEntry, WalkBuilder};

use super::chunks::not_text;
use super::kustomizations::is_kustomization;
use super::position::{BYTE_ORDER_MARK, PartStart, Position};
use super::source::{Kept, STDIN_NAME, Source};

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
    #[error("{}:{position}: {what}", .path.display())]
    Pattern {
        /// The file.
        path: PathBuf,
        /// The position of the pattern.
        position: Position,
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

/// The result of a search.
#[derive(Debug, Default)]
pub struct Found {
    /// The files in order. None of them has been read yet, except standard input and pipes.
    pub sources: Vec<Source>,
    /// The directories of the Helm charts whose templates were skipped, without charts inside of other charts.
    pub charts: Vec<PathBuf>,
    /// The paths that cannot be read, and the invalid patterns.
    pub errors: Vec<ReadError>,
    /// The number of paths that were named, but are excluded.
    pub left_out: usize,
}

/// Finds the manifests that paths name.
///
/// A directory stands for the `*.yaml`, `*.yml`, `*.json` and `Kustomization` files below it, sorted by name, without hidden files, symbolic
/// links, and the files that a `.gitignore` lists. Files that a `.colocateignore` or an option excludes, and the templates
/// of Helm charts, are left out even if they are named.
#[derive(Debug)]
pub struct FileSearch {
    exclusions: Arc<Exclusions>,
    seen: HashSet<PathBuf>,
    /// The charts by their real path.
    charts: BTreeMap<PathBuf, PathBuf>,
    found: Found,
}

/// The files that are left out by an option or by a `.colocateignore`.
#[derive(Debug)]
struct Exclusions {
    /// The directory to which the globs are relative.
    working_directory: PathBuf,
    globs: Gitignore,
    ignore_files: Mutex<IgnoreFiles>,
}

/// The ignore files that were read.
#[derive(Debug, Default)]
struct IgnoreFiles {
    /// The patterns of each directory.
    patterns: HashMap<PathBuf, Gitignore>,
    errors: Vec<ReadError>,
}

impl FileSearch {
    /// Makes a search that leaves out the files that match one of these globs, which have the syntax of `.gitignore` and are
    /// relative to the working directory. They may also begin with `./`, `../` or the path of the working directory.
    ///
    /// # Errors
    /// A glob is invalid.
    pub fn new(excluded: &[String]) -> Result<Self, ignore::Error> {
        let working_directory = std::env::current_dir().and_then(|path| path.canonicalize()).unwrap_or_default();
        let mut globs = GitignoreBuilder::new("");
        for glob in excluded {
            globs.add_line(None, glob)?;
            if let Some(glob) = of_path(glob, &working_directory) {
                globs.add_line(None, &glob)?;
            }
        }
        let exclusions = Exclusions { working_directory, globs: globs.build()?, ignore_files: Mutex::default() };
        Ok(Self {
            exclusions: Arc::new(exclusions),
            seen: HashSet::new(),
            charts: BTreeMap::new(),
            found: Found::default(),
        })
    }

    /// Leaves out this file, such as the one that the result is written to.
    #[must_use]
    pub fn without(mut self, path: &Path) -> Self {
        self.seen.extend(path.canonicalize());
        self
    }

    /// Finds the files of paths, in order. `-` is standard input, as is `/dev/stdin`. A file that is named twice, possibly by a
    /// link, is found only once.
    pub fn find<P: AsRef<Path>>(self, paths: &[P]) -> Found {
        self.find_with(paths, &mut read_anything)
    }

    /// Finds files like [`find`](Self::find), and reads standard input (`/dev/stdin`) and pipes with `read_file`.
    fn find_with<P: AsRef<Path>>(mut self, paths: &[P], read_file: ReadFile<'_>) -> Found {
        for path in paths.iter().map(AsRef::as_ref) {
            if is_stdin(path) {
                self.add_stdin(read_file);
            } else if let Err(error) = self.add(path, read_file) {
                self.found.errors.push(error);
            }
            self.found.errors.append(&mut self.exclusions.lock().errors);
        }
        let inner = |real: &Path| real.ancestors().skip(1).any(|above| self.charts.contains_key(above));
        let outer = self.charts.iter().filter(|(real, _)| !inner(real));
        self.found.charts = outer.map(|(_, named)| named.clone()).collect();
        self.found
    }

    fn add_stdin(&mut self, read_file: ReadFile<'_>) {
        match read_file(Path::new(STANDARD_INPUT)) {
            Ok(text) => self.found.sources.push(Source::of_stdin(text)),
            Err(error) => self.found.errors.push(unreadable(Path::new(STDIN_NAME), error)),
        }
    }

    fn add(&mut self, path: &Path, read_file: ReadFile<'_>) -> Result<(), ReadError> {
        let metadata = path.metadata().map_err(|error| unreadable(path, error))?;
        let real = real_path(path);
        let top = self.exclusions.top(&real, metadata.is_dir());
        if self.exclusions.contain(&real, metadata.is_dir(), &top) {
            self.found.left_out += 1;
            return Ok(());
        }
        if let Some(chart) = chart_of_templates(&real) {
            let named = self.exclusions.shown(chart);
            self.charts.entry(chart.to_owned()).or_insert(named);
            return Ok(());
        }
        if metadata.is_dir() {
            self.add_directory(path, &real, &top);
        } else if metadata.is_file() {
            self.add_file(path);
        } else if self.seen.insert(path.to_owned()) {
            // A pipe is read now, because that is possible only once. It has no canonical path.
            let text = read_file(path).map_err(|error| unreadable(path, error))?;
            self.found.sources.push(Source::of_pipe(path, text));
        }
        Ok(())
    }

    fn add_file(&mut self, path: &Path) {
        let canonical = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if self.seen.insert(canonical) {
            self.found.sources.push(Source::of_file(path));
        }
    }

    fn add_directory(&mut self, root: &Path, real_root: &Path, top: &Path) {
        let in_repository = root.canonicalize().is_ok_and(|real| repository(&real).is_some());
        let real_path = {
            let (root, real_root) = (root.to_owned(), real_root.to_owned());
            move |path: &Path| real_root.join(path.strip_prefix(&root).unwrap_or(path))
        };
        let is_wanted = {
            let (exclusions, real_path, top) = (Arc::clone(&self.exclusions), real_path.clone(), top.to_owned());
            move |entry: &DirEntry| {
                let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
                // A `.gitignore` may include hidden files, such as `!.github/`.
                !is_hidden(entry.file_name())
                    && !is_templates(entry.path())
                    && !exclusions.contain(&real_path(entry.path()), is_directory, &top)
            }
        };
        let mut walk = WalkBuilder::new(root);
        walk.parents(in_repository)
            .ignore(false)
            .git_global(false)
            .git_exclude(false)
            // In a repository, ignore files above its root do not apply.
            .require_git(in_repository)
            .sort_by_file_name(OsStr::cmp)
            // Directories that are left out are not entered.
            .filter_entry(move |entry| entry.depth() == 0 || is_wanted(entry));
        for entry in walk.build() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.found.errors.push(walk_error(root, &error));
                    continue;
                }
            };
            let path = entry.path();
            // The root may be a link to a directory.
            if entry.depth() == 0 || entry.file_type().is_some_and(|kind| kind.is_dir()) {
                let (templates, real) = (path.join("templates"), real_path(path));
                if is_templates(&templates) && !self.exclusions.contain(&real.join("templates"), true, top) {
                    self.charts.entry(real).or_insert_with(|| path.to_owned());
                }
            } else if entry.file_type().is_some_and(|kind| kind.is_file()) && is_manifest(path) {
                self.add_file(path);
            }
        }
    }
}

impl Exclusions {
    /// The topmost directory whose `.colocateignore` applies to a named path: that of the repository, or else the working
    /// directory, or else the path's own.
    fn top(&self, real: &Path, is_directory: bool) -> PathBuf {
        let own = if is_directory { real } else { real.parent().unwrap_or(real) };
        let top =
            repository(own).or_else(|| own.starts_with(&self.working_directory).then_some(&*self.working_directory));
        top.unwrap_or(own).to_owned()
    }

    /// Returns true if a file or directory is left out.
    fn contain(&self, real: &Path, is_directory: bool, top: &Path) -> bool {
        let root = Path::new("/");
        let relative = real.strip_prefix(&self.working_directory).or_else(|_| real.strip_prefix(root)).unwrap_or(real);
        if !relative.has_root() && self.globs.matched_path_or_any_parents(relative, is_directory).is_ignore() {
            return true;
        }
        // The nearest file with a matching pattern decides.
        for folder in real.ancestors().skip(1).take_while(|folder| folder.starts_with(top)) {
            let Ok(relative) = real.strip_prefix(folder) else { continue };
            let mut ignore_files = self.lock();
            let matched = self.patterns(&mut ignore_files, folder).matched_path_or_any_parents(relative, is_directory);
            if !matched.is_none() {
                return matched.is_ignore();
            }
        }
        false
    }

    /// The patterns in the `.colocateignore` of a directory. An invalid one is reported, and the others apply.
    fn patterns<'f>(&self, files: &'f mut IgnoreFiles, folder: &Path) -> &'f Gitignore {
        if !files.patterns.contains_key(folder) {
            let path = folder.join(IGNORE_FILE);
            let (patterns, errors) = match read_unlinked(&path) {
                Ok(bytes) => read_patterns(&self.shown(&path), bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => (Gitignore::empty(), Vec::new()),
                Err(error) => (Gitignore::empty(), vec![unreadable(&self.shown(&path), error)]),
            };
            files.errors.extend(errors);
            files.patterns.insert(folder.to_owned(), patterns);
        }
        &files.patterns[folder]
    }

    fn lock(&self) -> MutexGuard<'_, IgnoreFiles> {
        self.ignore_files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a path as messages show it: relative to the working directory if it is below that.
    fn shown(&self, real: &Path) -> PathBuf {
        let relative = real.strip_prefix(&self.working_directory).unwrap_or(real);
        if relative.as_os_str().is_empty() { ".".into() } else { relative.to_owned() }
    }
}

/// Returns the pattern for a glob that begins with `./`, `../` or the path of the working directory, which would match nothing
/// in a `.gitignore`. Files outside of the working directory are matched by their path below the root.
fn of_path(glob: &str, working_directory: &Path) -> Option<String> {
    let (not, path) = glob.strip_prefix('!').map_or(("", glob), |path| ("!", path));
    let base = PathBuf::from(escaped(&working_directory.display().to_string()));
    let below = if path.starts_with("./") || path.starts_with("../") {
        let mut real = base.clone();
        for part in Path::new(path).components() {
            match part {
                Component::ParentDir => drop(real.pop()),
                Component::CurDir => {}
                part => real.push(part),
            }
        }
        real.strip_prefix(&base).map(Path::to_owned).unwrap_or(real)
    } else if path.starts_with('/') {
        Path::new(path).strip_prefix(working_directory).ok()?.to_owned()
    } else {
        return None;
    };
    let end = if path.ends_with('/') { "/" } else { "" };
    Some(format!("{not}/{}{end}", below.display().to_string().trim_start_matches('/')))
}

/// Escapes the characters of a path that have a meaning in a glob.
fn escaped(path: &str) -> String {
    path.chars().flat_map(|c| "*?[]{}\\".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Reads a file that is not a symbolic link: errors about patterns would quote lines of a file outside of the directory.
fn read_unlinked(path: &Path) -> io::Result<Vec<u8>> {
    if path.symlink_metadata()?.is_symlink() {
        return Err(io::Error::other("it is a symbolic link, which is not followed: replace it with a file"));
    }
    std::fs::read(path)
}

/// Reads patterns in the syntax of `.gitignore`, and returns the valid ones and the errors.
fn read_patterns(path: &Path, bytes: Vec<u8>) -> (Gitignore, Vec<ReadError>) {
    let lines = match String::from_utf8(bytes) {
        Ok(lines) => lines,
        Err(error) => return (Gitignore::empty(), vec![not_text(path, PartStart::default(), &error)]),
    };
    let invalid = |line, error: ignore::Error| {
        let position = Position { line, column: 1 };
        ReadError::Pattern { path: path.to_owned(), position, what: format!("invalid pattern: {error}") }
    };
    let (mut patterns, mut errors) = (GitignoreBuilder::new(""), Vec::new());
    for (index, line) in lines.trim_start_matches(BYTE_ORDER_MARK).lines().enumerate() {
        if let Err(error) = patterns.add_line(None, line) {
            errors.push(invalid(index + 1, error));
        }
    }
    let patterns = patterns.build().unwrap_or_else(|error| {
        errors.push(invalid(1, error));
        Gitignore::empty()
    });
    (patterns, errors)
}

/// Returns true if a path is standard input. `/dev/stdin` and its like are read only once too: if they are redirected from a
/// file, standard input is at its end after the first reading.
pub fn is_stdin(path: &Path) -> bool {
    ["-", STANDARD_INPUT, "/dev/fd/0", "/proc/self/fd/0"].iter().any(|name| path == Path::new(name))
}

/// Resolves symbolic links in the directories of a path, but not a link that is its last component.
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

/// The root of the Git repository that contains a directory.
fn repository(real: &Path) -> Option<&Path> {
    real.ancestors().find(|folder| folder.join(".git").exists())
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
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
    matches!(path.extension().and_then(OsStr::to_str), Some("yaml" | "yml" | "json")) || is_kustomization(path)
}

fn walk_error(root: &Path, error: &ignore::Error) -> ReadError {
    let mut path = root.to_owned();
    let mut inner = error;
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
    // The errors around the cause name the path again.
    let mut cause: &dyn std::error::Error = error;
    if let Some(error) = error.io_error() {
        cause = error;
    }
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    let kind = error.io_error().map_or(io::ErrorKind::Other, io::Error::kind);
    ReadError::Unreadable { path, source: io::Error::new(kind, text) }
}

pub(super) fn unreadable(path: &Path, source: io::Error) -> ReadError {
    ReadError::Unreadable { path: path.to_owned(), source }
}

/// Reads the text of a file.
type ReadFile<'f> = &'f mut dyn FnMut(&Path) -> io::Result<Kept>;

/// The path of standard input.
const STANDARD_INPUT: &str = "/dev/stdin";

/// Finds files as [`FileSearch`] does, and reads each with `read_file`, and `/dev/stdin` for `-`.
///
/// # Errors
/// A path cannot be read, or a directory has Helm templates.
pub fn read_with<P: AsRef<Path>>(
    paths: &[P],
    mut read_file: impl FnMut(&Path) -> io::Result<Vec<u8>>,
) -> Result<Vec<Source>, ReadError> {
    let mut read_file = |path: &Path| read_file(path).map(Kept::from);
    let search = FileSearch::new(&[]).map(|search| search.find_with(paths, &mut read_file));
    // Without globs, none is invalid.
    let Found { mut sources, charts, errors, .. } = search.unwrap_or_default();
    if let Some(error) = errors.into_iter().next() {
        return Err(error);
    }
    if let Some(chart) = charts.into_iter().next() {
        return Err(ReadError::Templates { chart });
    }
    for source in &mut sources {
        source.keep(&mut read_file)?;
    }
    Ok(sources)
}

/// Reads a file of any kind. Opening `/dev/stdin` again would start at its beginning.
fn read_anything(path: &Path) -> io::Result<Kept> {
    if path == Path::new(STANDARD_INPUT) { Kept::read(io::stdin()) } else { Kept::read(File::open(path)?) }
}

#[cfg(test)]
mod tests;
