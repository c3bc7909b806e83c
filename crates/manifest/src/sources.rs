//! The files that a user passes, directly or by their directory.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::position::{Lines, Position};

/// The path of standard input.
const STANDARD_INPUT: &str = "/dev/stdin";

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
    #[error("{}:{position}: {what}; save the file as UTF-8", .path.display())]
    NoText {
        /// The file.
        path: PathBuf,
        /// The position of the first invalid byte.
        position: Position,
        /// A description of that byte.
        what: String,
    },
}

/// The text of a file.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path as passed or as found in a directory, or `standard input`.
    pub name: String,
    /// The path of the file; `None` for standard input.
    pub path: Option<PathBuf>,
    /// The content.
    pub text: String,
}

/// Reads files and directories in order; `-` is standard input. A file that is passed twice, possibly by a link, is read
/// only the first time. A pipe is read until its writers have closed it.
///
/// # Errors
/// A path cannot be read, or a file is not text.
pub fn read<P: AsRef<Path>>(paths: &[P]) -> Result<Vec<Source>, ReadError> {
    read_with(paths, |path| {
        if path != Path::new(STANDARD_INPUT) {
            return std::fs::read(path);
        }
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    })
}

/// As [`read`], but with `read_file` for the contents of each file, and of `/dev/stdin` for `-`.
///
/// # Errors
/// A path cannot be read, or a file is not text.
pub fn read_with<P: AsRef<Path>>(
    paths: &[P],
    mut read_file: impl FnMut(&Path) -> io::Result<Vec<u8>>,
) -> Result<Vec<Source>, ReadError> {
    let (mut sources, mut seen) = (Vec::new(), HashSet::new());
    for path in paths.iter().map(AsRef::as_ref) {
        if path == Path::new("-") {
            let name = Path::new("standard input");
            let bytes = read_file(Path::new(STANDARD_INPUT)).map_err(|error| unreadable(name, error))?;
            sources.push(Source { name: name.display().to_string(), path: None, text: text(name, bytes)? });
            continue;
        }
        for file in expand(path)? {
            // A pipe has no canonical path.
            let canonical = file.canonicalize().unwrap_or_else(|_| file.clone());
            if seen.insert(canonical) {
                let bytes = read_file(&file).map_err(|error| unreadable(&file, error))?;
                let text = text(&file, bytes)?;
                sources.push(Source { name: file.display().to_string(), path: Some(file), text });
            }
        }
    }
    Ok(sources)
}

fn unreadable(path: &Path, source: io::Error) -> ReadError {
    ReadError::Unreadable { path: path.to_owned(), source }
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
        let what = format!("the byte 0x{:02X} is not valid UTF-8{guess}", bytes[good]);
        ReadError::NoText { path: path.to_owned(), position: Lines::new(&before).position(good), what }
    })
}

/// Expands a directory to all `*.yaml`, `*.yml` and `*.json` files below it, sorted by name, without hidden files and
/// links. The path of a file is returned unchanged.
///
/// # Errors
/// A path does not exist, or a directory cannot be read.
pub fn expand(path: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let failed = |source| unreadable(path, source);
    if !path.metadata().map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = path.read_dir().map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let mut files = Vec::new();
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        let is_manifest = kind.is_file() && matches!(ending, "yaml" | "yml" | "json");
        if !hidden && (kind.is_dir() || is_manifest) {
            files.extend(expand(&path)?);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_directory_expands_to_its_manifests_without_hidden_files() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("b/.git")).unwrap();
        for name in ["c.json", "a.yaml", "b/d.yml", "b/.git/e.yaml", ".f.yaml", "g.txt"] {
            fs::write(root.path().join(name), "").unwrap();
        }
        std::os::unix::fs::symlink(root.path().join("a.yaml"), root.path().join("link.yaml")).unwrap();
        let files = expand(root.path()).unwrap();
        let names: Vec<_> =
            files.iter().map(|file| file.strip_prefix(root.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.yaml", "b/d.yml", "c.json"]);
    }

    #[test]
    fn a_file_that_is_passed_twice_is_read_once() {
        let root = tempfile::tempdir().unwrap();
        let (file, other) = (root.path().join("b.yaml"), root.path().join("a.yaml"));
        fs::write(&file, "b").unwrap();
        fs::write(&other, "a").unwrap();
        std::os::unix::fs::symlink(&file, root.path().join("link")).unwrap();
        let named =
            [file.clone(), root.path().join("./b.yaml"), root.path().join("link"), root.path().to_owned(), file];
        let texts: Vec<_> = read(&named).unwrap().into_iter().map(|source| source.text).collect();
        assert_eq!(texts, ["b", "a"]);
    }

    #[test]
    fn a_file_may_have_any_extension_but_must_exist() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("claims.txt");
        assert!(expand(&file).unwrap_err().to_string().contains("claims.txt"));
        fs::write(&file, "").unwrap();
        assert_eq!(expand(&file).unwrap(), [file]);
    }
}
