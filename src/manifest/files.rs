//! Which files a person means who names a file or a directory.

use std::io;
use std::path::{Path, PathBuf};

/// A file or directory that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", .path.display())]
pub struct Error {
    path: PathBuf,
    source: io::Error,
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
        } else if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml" || ending == "json") {
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
