//! Atomic replacement of changed files.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, anyhow};
use tempfile::{NamedTempFile, TempPath};
use tokio::signal::unix::{SignalKind, signal};

use crate::manifest::{Document, Edit, Source};

/// New files next to the old ones, which replace them all at the end.
///
/// Each new file has the owner and the mode of the old one. A reader sees either the old file or the new one. No file is
/// replaced before all new files are written and synchronized, so that a full disk changes nothing; and if the machine
/// crashes, each file has its old or its new text. If a file cannot be replaced, those before it are restored. A signal that
/// ends the process before the first replacement also removes the new files.
pub(super) struct Replacements {
    prepared: Arc<Mutex<Prepared>>,
    versions: Versions,
    /// The new text of the current file, once it has a change.
    current: Option<Current>,
}

/// The files of a run before they were read. A file that was changed since then is not replaced.
pub(super) struct Versions(HashMap<PathBuf, Version>);

/// The metadata that tells two versions of a file apart: device, inode, length, and the times of the last changes of the text and
/// of the metadata.
type Version = (u64, u64, u64, (i64, i64), (i64, i64));

/// The new files, which are removed when this is dropped.
#[derive(Default)]
struct Prepared {
    files: Vec<Replacement>,
    /// Whether the old files are being replaced, which is not interrupted.
    committing: bool,
}

struct Replacement {
    new: TempPath,
    /// The path as it was named.
    path: PathBuf,
    /// The file that is replaced: the target of a link.
    target: PathBuf,
    /// Its version before it was read.
    version: Version,
}

struct Current {
    out: BufWriter<File>,
    path: PathBuf,
    old: fs::Metadata,
}

/// The signals by which a terminal, a session or a supervisor ends a process.
const ENDING: [fn() -> SignalKind; 4] =
    [SignalKind::hangup, SignalKind::interrupt, SignalKind::quit, SignalKind::terminate];

impl Replacements {
    /// Starts to watch for signals. It must be called in a runtime of several threads.
    pub(super) fn new(versions: Versions) -> io::Result<Self> {
        let prepared = Arc::default();
        for kind in ENDING.map(|kind| kind()).into_iter().filter(|kind| !is_ignored(*kind)) {
            let mut signals = signal(kind)?;
            let watched = Arc::clone(&prepared);
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    if withdraw(&watched) {
                        std::process::exit(128 + kind.as_raw_value());
                    }
                }
            });
        }
        Ok(Self { prepared, versions, current: None })
    }

    /// Adds the next document of a file. The new file is begun with the first edit.
    pub(super) fn document(&mut self, source: &Source, document: &Document<'_>, edits: &[Edit]) -> anyhow::Result<()> {
        let Some(path) = &source.path else { return Ok(()) };
        if self.current.is_none() && !edits.is_empty() {
            self.current = Some(self.begin(path, document.offset()).with_context(|| cannot_write(path))?);
        }
        let Some(current) = &mut self.current else { return Ok(()) };
        let mut pieces = document.edited(edits);
        pieces.try_for_each(|piece| current.out.write_all(piece.as_bytes())).with_context(|| cannot_write(path))
    }

    /// Ends the current file.
    pub(super) fn end_file(&mut self) -> anyhow::Result<()> {
        // The new file is closed, because there may be more files than can be open at once.
        let Some(Current { mut out, path, old }) = self.current.take() else { return Ok(()) };
        let end = |out: &mut BufWriter<File>| {
            out.flush()?;
            keep_owner(&old, out.get_ref())?;
            // The mode comes last, because a change of the owner clears some of its bits.
            out.get_ref().set_permissions(old.permissions())
        };
        end(&mut out).with_context(|| cannot_write(&path))
    }

    /// Replaces the old files.
    pub(super) fn commit(&self) -> anyhow::Result<()> {
        synchronize(&lock(&self.prepared).files)?;
        let mut prepared = lock(&self.prepared);
        for file in &prepared.files {
            file.check_unchanged().with_context(|| cannot_write(&file.path))?;
        }
        prepared.committing = true;
        replace(std::mem::take(&mut prepared.files))
    }

    /// Makes a new file, and copies the first `unchanged` bytes of the old one: the documents before the first change.
    fn begin(&self, path: &Path, unchanged: usize) -> io::Result<Current> {
        // A symbolic link stays; its target is replaced.
        let target = fs::canonicalize(path)?;
        let old = fs::metadata(&target)?;
        let version = self.versions.0.get(path).copied().unwrap_or_else(|| version(&old));
        let mut prepared = lock(&self.prepared);
        let (file, new) = NamedTempFile::new_in(folder(&target))?.into_parts();
        prepared.files.push(Replacement { new, path: path.to_owned(), target, version });
        drop(prepared);
        let mut out = BufWriter::new(file);
        io::copy(&mut File::open(path)?.take(unchanged as u64), &mut out)?;
        Ok(Current { out, path: path.to_owned(), old })
    }
}

impl Versions {
    /// Reads the metadata of the files.
    ///
    /// # Errors
    /// A file does not exist any more, or cannot be read.
    pub(super) fn of(sources: &[Source]) -> anyhow::Result<Self> {
        let paths = sources.iter().filter_map(|source| source.path.as_ref());
        let versions = paths.map(|path| {
            let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok((path.clone(), version(&metadata)))
        });
        Ok(Self(versions.collect::<anyhow::Result<_>>()?))
    }
}

impl Replacement {
    /// Fails if the file was changed after the start of the run: the change would be lost.
    fn check_unchanged(&self) -> io::Result<()> {
        if version(&fs::metadata(&self.target)?) == self.version {
            return Ok(());
        }
        Err(io::Error::other("the file was changed while colocate was running: run it again"))
    }
}

fn version(metadata: &fs::Metadata) -> Version {
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    (metadata.dev(), metadata.ino(), metadata.len(), modified, (metadata.ctime(), metadata.ctime_nsec()))
}

impl Drop for Replacements {
    /// Removes the new files that are not used. The task that watches for signals also holds a reference to them.
    fn drop(&mut self) {
        lock(&self.prepared).files.clear();
    }
}

/// Returns true if this process was started with a signal ignored, as by `nohup`.
fn is_ignored(kind: SignalKind) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    (ignored >> (kind.as_raw_value() - 1)) & 1 == 1
}

/// Removes the new files, unless the old ones are being replaced. Returns true if they were removed.
fn withdraw(prepared: &Mutex<Prepared>) -> bool {
    let mut prepared = lock(prepared);
    if !prepared.committing {
        prepared.files.clear();
        // The lock is never released, so no new file can be created before the process exits.
        std::mem::forget(prepared);
        return true;
    }
    false
}

fn lock(prepared: &Mutex<Prepared>) -> MutexGuard<'_, Prepared> {
    prepared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn folder(target: &Path) -> &Path {
    target.parent().unwrap_or(Path::new("."))
}

/// Synchronizes each file system once, because to synchronize a single file takes about as long.
fn synchronize(files: &[Replacement]) -> anyhow::Result<()> {
    let mut systems = BTreeMap::new();
    for Replacement { target, .. } in files {
        let folder = folder(target);
        let device = fs::metadata(folder).with_context(|| cannot_write(folder))?.dev();
        systems.entry(device).or_insert(folder);
    }
    for folder in systems.into_values() {
        let synchronize = || Ok::<_, io::Error>(rustix::fs::syncfs(File::open(folder)?)?);
        synchronize().with_context(|| cannot_write(folder))?;
    }
    Ok(())
}

fn replace(files: Vec<Replacement>) -> anyhow::Result<()> {
    let mut done: Vec<(TempPath, PathBuf)> = Vec::new();
    for Replacement { new, path, target, .. } in files {
        let replaced = keep_old(&target).and_then(|old| {
            new.persist(&target)?;
            Ok(old)
        });
        match replaced {
            Ok(old) => done.push((old, target)),
            Err(error) => {
                let error = anyhow!(error).context(cannot_write(&path));
                return Err(match &*restore(done).join(", ") {
                    "" => error,
                    files => error.context(format!("cannot restore these files, which are already changed: {files}")),
                });
            }
        }
    }
    Ok(())
}

/// Gives the old file a second name, from which it can be restored.
fn keep_old(target: &Path) -> io::Result<TempPath> {
    let linked = tempfile::Builder::new().make_in(folder(target), |path| fs::hard_link(target, path));
    // Some file systems have no hard links.
    let copied = || tempfile::Builder::new().make_in(folder(target), |path| fs::copy(target, path).map(drop));
    Ok(linked.or_else(|_| copied())?.into_temp_path())
}

/// Restores files. Returns those that cannot be restored.
fn restore(done: Vec<(TempPath, PathBuf)>) -> Vec<String> {
    let failed = done.into_iter().filter_map(|(old, target)| {
        let failed = old.persist(&target).is_err();
        failed.then(|| target.display().to_string())
    });
    failed.collect()
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
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
    use crate::manifest::{FileSearch, Manifest};

    fn prepared(root: &Path, name: &str) -> Replacement {
        let target = root.join(name);
        fs::write(&target, "old").unwrap();
        let mut new = NamedTempFile::new_in(root).unwrap();
        new.write_all(b"new").unwrap();
        let version = version(&fs::metadata(&target).unwrap());
        Replacement { new: new.into_temp_path(), path: name.into(), target, version }
    }

    #[test]
    fn a_failed_replacement_restores_the_files_before_it() {
        let root = tempfile::tempdir().unwrap();
        let mut files: Vec<_> = ["a", "b", "c"].map(|name| prepared(root.path(), name)).into();
        fs::create_dir(root.path().join("d")).unwrap();
        files[2].target = root.path().join("d");
        let error = replace(files).unwrap_err();
        assert_eq!(error.to_string(), "cannot write c");
        assert!(["a", "b", "c"].iter().all(|name| fs::read_to_string(root.path().join(name)).unwrap() == "old"));
        assert_eq!(root.path().read_dir().unwrap().count(), 4, "something was left behind");
    }

    #[tokio::test]
    async fn a_file_that_changes_during_the_run_is_not_replaced() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.yaml");
        let text = "apiVersion: v1\nkind: Pod\nspec:\n  containers: []\n";
        let manifest = Manifest::new(text);
        let document = manifest.documents().next().unwrap().unwrap();
        let edits = [document.set_scheduler(&document.objects()[0], &[] as &[&str], "stork").unwrap()];
        let other = text.replace("Pod", "pod");
        for is_changed in [true, false] {
            fs::write(&path, text).unwrap();
            let sources = FileSearch::new(&[]).unwrap().find(&[&path]).sources;
            let mut replacements = Replacements::new(Versions::of(&sources).unwrap()).unwrap();
            replacements.document(&sources[0], &document, &edits).unwrap();
            replacements.end_file().unwrap();
            if is_changed {
                // The length stays the same.
                fs::write(&path, &other).unwrap();
            }
            let error = replacements.commit().err().map(|error| format!("{error:#}"));
            let expected = "the file was changed while colocate was running: run it again";
            assert_eq!(error, is_changed.then(|| format!("cannot write {}: {expected}", path.display())));
            let after = fs::read_to_string(&path).unwrap();
            assert!(if is_changed { after == other } else { after.contains("schedulerName: stork") }, "{after}");
        }
        assert_eq!(root.path().read_dir().unwrap().count(), 1, "something was left behind");
    }

    #[test]
    fn a_signal_removes_the_new_files_until_the_old_ones_are_replaced() {
        let root = tempfile::tempdir().unwrap();
        let state = Mutex::new(Prepared { files: vec![prepared(root.path(), "a")], committing: true });
        assert!(!withdraw(&state));
        lock(&state).committing = false;
        assert!(withdraw(&state));
        assert_eq!(root.path().read_dir().unwrap().count(), 1, "something was left behind");
        assert!(state.try_lock().is_err(), "another file could be begun");
    }
}
