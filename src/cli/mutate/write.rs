//! Atomic replacement of changed files.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use tempfile::{NamedTempFile, TempPath};

/// A file's text, before and after.
pub(super) struct Change<'t> {
    pub(super) path: &'t Path,
    pub(super) old: &'t str,
    pub(super) new: &'t str,
}

/// Replaces each file by its new text, and keeps its owner and mode. A reader sees either the old file or the new one.
///
/// All new files are written before the first one is renamed, so that a full disk changes nothing. If a rename fails, the
/// files before it are restored.
pub(super) fn all(changes: &[Change<'_>]) -> anyhow::Result<()> {
    let prepare = |change: &Change<'_>| prepare(change.path, change.new).with_context(|| cannot_write(change.path));
    let prepared = changes.iter().map(prepare).collect::<anyhow::Result<Vec<_>>>()?;
    put_in_place(changes, prepared)
}

fn put_in_place(changes: &[Change<'_>], prepared: Vec<(TempPath, PathBuf)>) -> anyhow::Result<()> {
    for (done, (change, (file, target))) in changes.iter().zip(prepared).enumerate() {
        if let Err(error) = file.persist(&target) {
            let failed = changes[..done].iter().filter(|change| restore(change).is_err());
            let failed: Vec<_> = failed.map(|change| change.path.display().to_string()).collect();
            let error = anyhow!(error.error).context(cannot_write(change.path));
            return Err(match &*failed.join(", ") {
                "" => error,
                files => error.context(format!("cannot restore these files, which are already changed: {files}")),
            });
        }
    }
    Ok(())
}

fn restore(change: &Change<'_>) -> io::Result<()> {
    let (file, target) = prepare(change.path, change.old)?;
    Ok(file.persist(target)?)
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

/// Writes a new file next to the old one, and closes it, because there may be more files than can be open at once.
fn prepare(path: &Path, text: &str) -> io::Result<(TempPath, PathBuf)> {
    // A symbolic link stays; its target is replaced.
    let target = fs::canonicalize(path)?;
    let folder = target.parent().unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    let old = fs::metadata(&target)?;
    keep_owner(&old, file.as_file())?;
    // The mode comes last, because a change of the owner clears some of its bits.
    file.as_file().set_permissions(old.permissions())?;
    file.as_file().sync_all()?;
    Ok((file.into_temp_path(), target))
}

/// Gives the new file the owner and the group of the old one. Only root can do so if the old file belongs to another
/// user.
fn keep_owner(old: &fs::Metadata, new: &File) -> io::Result<()> {
    let (owner, of_new) = ((old.uid(), old.gid()), new.metadata()?);
    if owner == (of_new.uid(), of_new.gid()) {
        return Ok(());
    }
    fchown(new, Some(owner.0), Some(owner.1)).map_err(|error| {
        let text = format!("cannot keep its owner ({}:{}): {error}", owner.0, owner.1);
        io::Error::new(error.kind(), text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_rename_restores_the_files_before_it() {
        let root = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| root.path().join(name));
        for path in &paths {
            fs::write(path, "old").unwrap();
        }
        let changes: Vec<_> = paths.iter().map(|path| Change { path, old: "old", new: "new" }).collect();
        let mut prepared: Vec<_> = changes.iter().map(|change| prepare(change.path, change.new).unwrap()).collect();
        prepared[1].1 = root.path().to_owned();
        let error = put_in_place(&changes, prepared).unwrap_err();
        assert_eq!(error.to_string(), cannot_write(changes[1].path));
        assert!(changes.iter().all(|change| fs::read_to_string(change.path).unwrap() == "old"));
        assert_eq!(root.path().read_dir().unwrap().count(), 2, "something was left behind");
    }
}
