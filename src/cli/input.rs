//! The manifests that are named on the command line, and the namespace of their objects.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};

use super::Usage;
use crate::engine::dns;
use crate::manifest::{Manifest, Source};

/// Checks that standard input is named at most once.
pub(super) fn check_stdin<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Result<(), Usage> {
    if paths.into_iter().filter(|path| is_stdin(path)).count() > 1 {
        return Err(Usage("standard input can be read only once: use - once"));
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

/// Checks that there is at least one document. After a failed command in a pipe, or for the wrong directory, empty
/// output would look like success.
pub(super) fn check_documents(manifests: &[Manifest<'_>], paths: &[PathBuf]) -> anyhow::Result<()> {
    if manifests.iter().all(|manifest| manifest.documents.iter().all(|document| document.value.is_null())) {
        let name = |path: &PathBuf| if is_stdin(path) { "standard input".into() } else { path.display().to_string() };
        bail!("no YAML document found in {}", paths.iter().map(name).collect::<Vec<_>>().join(", "));
    }
    Ok(())
}

/// Parses the name of a namespace.
pub(super) fn namespace(name: &str) -> Result<String, String> {
    if !dns::is_label(name) {
        return Err(format!("use a namespace name such as team-a: {}", dns::LABEL_FORM));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    use crate::cli::Cli;

    #[test]
    fn every_namespace_option_rejects_an_invalid_name() {
        let command = Cli::command();
        let has_namespace = |command: &&clap::Command| command.get_arguments().any(|arg| arg.get_short() == Some('n'));
        let commands: Vec<_> = command.get_subcommands().filter(has_namespace).map(clap::Command::get_name).collect();
        assert_eq!(commands, ["mutate", "validate", "probe"]);
        for name in commands {
            let error = |namespace: &str| {
                Cli::command().try_get_matches_from(["colocate", name, &format!("-n={namespace}")]).unwrap_err()
            };
            for namespace in ["a.b", "", "a/b", "../x", "A", "-a", &"a".repeat(64)] {
                let error = error(namespace);
                assert_eq!(error.kind(), ErrorKind::ValueValidation, "{name} -n {namespace}");
                assert!(error.to_string().contains("such as team-a"), "{error}");
            }
            // The other required arguments are missing.
            assert_eq!(error("team-a").kind(), ErrorKind::MissingRequiredArgument, "{name}");
        }
    }
}
