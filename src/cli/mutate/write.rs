//! Changed files, each replaced whole.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::{NamedTempFile, TempPath};

/// Replaces each file by its new text, keeping its mode. A reader sees the old file or the new one, whole.
///
/// All new files are complete before the first takes its place, so that a full disk changes nothing.
pub(super) fn all(texts: &BTreeMap<&Path, &str>) -> anyhow::Result<()> {
    let prepared = texts
        .iter()
        .map(|(path, text)| prepare(path, text).with_context(|| format!("cannot write {}", path.display())))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for (done, ((path, _), (file, target))) in texts.iter().zip(prepared).enumerate() {
        file.persist(&target)
            .with_context(|| format!("cannot write {}, after {done} of {} files", path.display(), texts.len()))?;
    }
    Ok(())
}

/// Writes a new file beside the old one, and closes it: there may be more files than may be open at once.
fn prepare(path: &Path, text: &str) -> std::io::Result<(TempPath, PathBuf)> {
    // A file that was named by a link is replaced where it is, and the link stays.
    let target = fs::canonicalize(path)?;
    let folder = target.parent().unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(fs::metadata(&target)?.permissions())?;
    file.as_file().sync_all()?;
    Ok((file.into_temp_path(), target))
}
