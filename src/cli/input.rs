//! The manifests that a command line names, and the namespace of what they hold.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};

use super::Usage;
use crate::manifest::{Manifest, Source};

/// Standard input ends when it was read.
pub(super) fn check_stdin<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Result<(), Usage> {
    if paths.into_iter().filter(|path| is_stdin(path)).count() > 1 {
        return Err(Usage("standard input can be read once: name - once"));
    }
    Ok(())
}

pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

pub(super) fn parse(sources: &[Source]) -> anyhow::Result<Vec<Manifest<'_>>> {
    let mut manifests = Vec::with_capacity(sources.len());
    for Source { name, text, .. } in sources {
        manifests.push(Manifest::parse(text).map_err(|error| anyhow!("{name}:{error}"))?);
    }
    Ok(manifests)
}

/// That there is something: a pipe whose first half failed, or a folder with another name, would get an empty answer, which
/// would be taken for a good one.
pub(super) fn check_documents(manifests: &[Manifest<'_>], paths: &[PathBuf]) -> anyhow::Result<()> {
    if manifests.iter().all(|manifest| manifest.documents().iter().all(|document| document.value().is_null())) {
        let name = |path: &PathBuf| if is_stdin(path) { "standard input".into() } else { path.display().to_string() };
        bail!("there is no document in {}", paths.iter().map(name).collect::<Vec<_>>().join(", "));
    }
    Ok(())
}

/// The name of a namespace, which is a DNS label (RFC 1123).
pub(super) fn namespace(name: &str) -> Result<String, &'static str> {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [name.bytes().next(), name.bytes().last()];
    let sound = name.len() <= 63 && name.bytes().all(|byte| letter(byte) || byte == b'-');
    if sound && ends.iter().all(|end| end.is_some_and(letter)) {
        return Ok(name.to_owned());
    }
    Err("the name of a namespace is of 1 to 63 lower-case letters, digits and `-`, and no `-` at either end")
}
