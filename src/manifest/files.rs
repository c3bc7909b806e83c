//! Which files a person means who names a file or a directory, and what they hold.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A file or directory that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", .path.display())]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

/// The text of a file.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file as it was named, or found below a directory that was; `standard input`.
    pub name: String,
    /// Where it can be written again; nowhere, for standard input.
    pub path: Option<PathBuf>,
    /// What it holds.
    pub text: String,
}

/// Reads files and directories in their order; `-` is standard input.
///
/// # Errors
/// A path that cannot be read, or a file that is no text.
pub fn read<P: AsRef<Path>>(paths: &[P]) -> Result<Vec<Source>, Error> {
    let mut sources = Vec::new();
    for path in paths.iter().map(AsRef::as_ref) {
        let failed = |path: &Path, source| Error { path: path.to_owned(), source };
        if path == Path::new("-") {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map_err(|error| failed(Path::new("standard input"), error))?;
            sources.push(Source { name: "standard input".to_owned(), path: None, text });
            continue;
        }
        for file in expand(path)? {
            let bytes = std::fs::read(&file).map_err(|error| failed(&file, error))?;
            let text = String::from_utf8(bytes).map_err(|error| failed(&file, not_text(&error)))?;
            sources.push(Source { name: file.display().to_string(), path: Some(file), text });
        }
    }
    Ok(sources)
}

/// Where a file stops being text, and what to do about it.
fn not_text(error: &std::string::FromUtf8Error) -> io::Error {
    let (bytes, good) = (error.as_bytes(), error.utf8_error().valid_up_to());
    let line = bytes[..good].split(|byte| *byte == b'\n').count();
    let guess = if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        "it looks like UTF-16: "
    } else {
        ""
    };
    let text = format!("line {line} is no UTF-8 (byte {good} of the file); {guess}save it as UTF-8");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// A file stands for itself; a directory for all `*.yaml`, `*.yml` and `*.json` below it, in order of their names, without
/// hidden ones and links.
///
/// # Errors
/// A path that does not exist or a directory that cannot be read.
pub fn expand(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error { path: path.to_owned(), source };
    let mut files = Vec::new();
    if path.metadata().map_err(failed)?.is_dir() {
        walk(path, &mut files)?;
    } else {
        files.push(path.to_owned());
    }
    Ok(files)
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let failed = |source| Error { path: directory.to_owned(), source };
    let mut entries = directory.read_dir().map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if hidden || kind.is_symlink() {
            continue;
        }
        if kind.is_dir() {
            walk(&path, files)?;
        } else if kind.is_file()
            && path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml" || ending == "json")
        {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_directory_is_its_manifests_in_order_without_hidden_ones_and_links() {
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
    fn a_file_is_itself_whatever_it_is_called_and_an_absent_one_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("claims.txt");
        assert!(expand(&file).unwrap_err().to_string().contains("claims.txt"));
        fs::write(&file, "").unwrap();
        assert_eq!(expand(&file).unwrap(), [file]);
    }
}
