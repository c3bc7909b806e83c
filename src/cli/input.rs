//! The manifests that are named on the command line, the namespace of their objects, and the cluster that completes them.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::Usage;
use super::problem::Problem;
use super::program::Program;
use crate::api::{ApiClient, ClusterChoice};
use crate::claims::Snapshot;
use crate::config::{Config, ConfigError};
use crate::engine::dns;
use crate::manifest::{FileSearch, Source, is_stdin};

/// The options of commands that read files.
#[derive(Debug, Args)]
pub(super) struct FileOptions {
    /// Accepted as in kubectl: directories are always read recursively
    #[arg(short = 'R', long)]
    recursive: bool,

    /// Not read by this program
    #[arg(short = 'k', long, value_name = "DIR", hide = true)]
    kustomize: Option<PathBuf>,

    /// Leave out the files that match this glob, which has the syntax of .gitignore; can be repeated
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
}

/// The options of commands that read manifests.
#[derive(Debug, Args)]
pub(super) struct InputOptions {
    /// The same as the arguments, for compatibility with kubectl
    #[arg(short, long = "filename", value_name = "FILE|DIR|-", num_args = 1.., value_delimiter = ',')]
    filename: Vec<PathBuf>,

    #[command(flatten)]
    files: FileOptions,

    /// Files with claims, classes, volumes and placement strategies, which are read but neither changed nor checked
    #[arg(long, value_name = "FILE|DIR", num_args = 1..)]
    pub(super) manifests: Vec<PathBuf>,

    /// The configuration file; without one, the defaults apply
    #[arg(long, value_name = "FILE", env = "COLOCATE_CONFIG", value_parser = path_or_nothing())]
    config: Option<PathBuf>,

    /// The namespace of objects without one [default: default, or with --cluster the kubeconfig's]
    #[arg(short, long, value_parser = namespace)]
    namespace: Option<String>,

    /// Query the kubeconfig's cluster for objects that the files do not contain
    #[arg(long)]
    pub(super) cluster: bool,

    /// The context of the kubeconfig
    #[arg(long, value_name = "NAME", requires = "cluster")]
    context: Option<String>,

    /// The kubeconfig, instead of the one that kubectl would use
    #[arg(long, value_name = "FILE", requires = "cluster")]
    kubeconfig: Option<PathBuf>,
}

/// The files that were found.
pub(super) struct Input {
    /// The files that are changed or checked.
    pub(super) sources: Vec<Source>,
    /// The files of `--manifests`.
    pub(super) described: Vec<Source>,
    /// The Helm charts whose templates were skipped.
    pub(super) charts: Vec<PathBuf>,
    /// The paths that cannot be read.
    pub(super) problems: Vec<Problem>,
    /// Whether a named path is excluded by an option or an ignore file.
    left_out: bool,
}

impl FileOptions {
    /// Rejects `-k`, URLs, and standard input that is named twice. `described` are the files of `--manifests`.
    pub(super) fn check_usage(&self, command: &str, paths: &[PathBuf], described: &[PathBuf]) -> Result<(), Usage> {
        let call = Program::current().call();
        if let Some(folder) = &self.kustomize {
            let folder = shell_word(&folder.display().to_string());
            return Err(Usage(format!(
                "-k is not supported: run kustomize first: kubectl kustomize {folder} | {call} {command} -"
            )));
        }
        if let Some(url) = paths.iter().find_map(|path| url(path)) {
            return Err(no_url(url, &format!("{call} {command} -")));
        }
        if let Some(url) = described.iter().find_map(|path| url(path)) {
            return Err(no_url(url, &format!("{call} {command} ... --manifests -")));
        }
        if paths.iter().chain(described).filter(|path| is_stdin(path)).count() > 1 {
            return Err(Usage("standard input can be read only once: use - once".to_owned()));
        }
        Ok(())
    }

    /// Finds the files, without the one that is written.
    pub(super) fn find(&self, paths: &[PathBuf], described: &[PathBuf], output: Option<&Path>) -> Result<Input, Usage> {
        let search = || {
            let search = FileSearch::new(&self.exclude).map_err(|error| Usage(format!("--exclude: {error}")))?;
            Ok(output.into_iter().fold(search, FileSearch::without))
        };
        let (found, described) = (search()?.find(paths), search()?.find(described));
        let mut charts = found.charts;
        charts.extend(described.charts);
        charts.dedup();
        let problems = found.errors.into_iter().chain(described.errors).map(Problem::from).collect();
        let left_out = found.left_out > 0;
        Ok(Input { sources: found.sources, described: described.sources, charts, problems, left_out })
    }
}

impl InputOptions {
    /// All paths that are to be changed or checked. `paths` are those without an option.
    pub(super) fn paths(&self, paths: &[PathBuf]) -> Vec<PathBuf> {
        self.filename.iter().chain(paths).cloned().collect()
    }

    /// Rejects `-k`, URLs, and standard input that is named twice.
    pub(super) fn check_usage(&self, command: &str, paths: &[PathBuf]) -> Result<(), Usage> {
        self.files.check_usage(command, paths, &self.manifests)
    }

    /// Finds the files, without the one that is written.
    pub(super) fn find(&self, paths: &[PathBuf], output: Option<&Path>) -> Result<Input, Usage> {
        self.files.find(paths, &self.manifests, output)
    }

    pub(super) fn config(&self) -> anyhow::Result<Config> {
        Ok(load_config(self.config.as_deref())?.unwrap_or_default())
    }

    /// Makes a client of the cluster, if one is to be queried.
    pub(super) async fn snapshot(&self) -> anyhow::Result<Option<Snapshot>> {
        if !self.cluster {
            return Ok(None);
        }
        let choice = ClusterChoice { kubeconfig: self.kubeconfig.as_deref(), context: self.context.as_deref() };
        Ok(Some(Snapshot { client: ApiClient::for_command(true, choice).await? }))
    }

    /// The namespace of objects without one.
    pub(super) fn namespace(&self, snapshot: Option<&Snapshot>) -> String {
        let of_context = snapshot.map(|snapshot| snapshot.client.namespace());
        self.namespace.as_deref().or(of_context).unwrap_or("default").to_owned()
    }
}

impl Input {
    /// Checks that there is at least one document. After a failed command in a pipe, or for the wrong directory, empty
    /// output would look like success.
    pub(super) fn check_documents(&self, found: bool, paths: &[PathBuf]) -> anyhow::Result<()> {
        // pre-commit and `xargs` name files without regard to what they contain.
        let named_files = paths.iter().all(|path| path.is_file() && !is_stdin(path));
        // Skipped files are reported, or left out deliberately.
        if found || named_files || !self.charts.is_empty() || (self.left_out && self.sources.is_empty()) {
            return Ok(());
        }
        let name = |path: &PathBuf| if is_stdin(path) { "standard input".into() } else { path.display().to_string() };
        bail!("no YAML document found in {}", paths.iter().map(name).collect::<Vec<_>>().join(", "));
    }

    /// The lines about the charts that were skipped.
    pub(super) fn skipped_charts(&self, command: &str) -> Vec<String> {
        let line = |chart: &PathBuf| {
            let templates = chart.join("templates").display().to_string();
            let (chart, excluded) = (shell_word(&chart.display().to_string()), shell_word(&templates));
            format!(
                "{templates}: skipped: Helm templates must be rendered first: run `helm template {chart} | colocate \
                 {command} -`, or leave them out with --exclude {excluded}"
            )
        };
        self.charts.iter().map(line).collect()
    }
}

/// Rejects the namespace of `-n` if it does not exist. Without this, a typo would look like an empty namespace.
pub(super) fn check_namespace(namespace: Option<&str>, is_missing: bool) -> anyhow::Result<()> {
    match namespace {
        Some(name) if is_missing => {
            bail!("namespace {name} does not exist: check the name (-n) and the cluster (--context)")
        }
        _ => Ok(()),
    }
}

/// The size of files in bytes, as far as it is known.
pub(super) fn size<'s>(sources: impl IntoIterator<Item = &'s Source>) -> u64 {
    sources.into_iter().map(Source::size).sum()
}

/// Returns the URL that was named instead of a path, such as `https://...`, `s3://...` or `git::ssh://...`.
fn url(path: &Path) -> Option<&str> {
    let text = path.to_str()?;
    let (scheme, _) = text.split_once("://")?;
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.:".contains(c);
    let is_url = scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(is_scheme);
    (is_url && !path.exists()).then_some(text)
}

/// The error about a URL, with the command to pipe from.
fn no_url(url: &str, command: &str) -> Usage {
    let scheme = url.split("://").next().unwrap_or_default();
    let is_http = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    Usage(if is_http {
        format!("URLs are not supported: download it first: curl -fsSL {} | {command}", shell_word(url))
    } else {
        format!("URLs are not supported: download {url}, and name the file, or pipe it to `{command}`")
    })
}

/// Quotes a word for a shell if it has a character that a shell may interpret.
fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Loads the configuration file that an option or `COLOCATE_CONFIG` names. An empty path names none.
pub(super) fn load_config(path: Option<&Path>) -> Result<Option<Config>, ConfigError> {
    path.filter(|path| !path.as_os_str().is_empty()).map(Config::load).transpose()
}

/// Parses a path that may be empty, which is the same as none: a variable may be set but empty.
pub(super) fn path_or_nothing() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
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
    fn a_word_is_quoted_for_the_shell_if_necessary() {
        assert_eq!(super::shell_word("../a/b-1_c.yaml"), "../a/b-1_c.yaml");
        assert_eq!(super::shell_word("https://x.test/?a=1&b=2"), "'https://x.test/?a=1&b=2'");
        assert_eq!(super::shell_word("it's; rm $a"), r"'it'\''s; rm $a'");
    }

    #[test]
    fn every_namespace_option_rejects_an_invalid_name() {
        let command = Cli::command();
        let has_namespace = |command: &&clap::Command| command.get_arguments().any(|arg| arg.get_short() == Some('n'));
        let commands: Vec<_> = command.get_subcommands().filter(has_namespace).map(clap::Command::get_name).collect();
        assert_eq!(commands, ["mutate", "validate", "audit", "locality", "place", "why", "release", "probe"]);
        for name in commands {
            let error = |namespace: &str| {
                Cli::command().try_get_matches_from(["colocate", name, &format!("-n={namespace}")]).unwrap_err()
            };
            for namespace in ["a.b", "", "a/b", "../x", "A", "-a", &"a".repeat(64)] {
                let error = error(namespace);
                assert_eq!(error.kind(), ErrorKind::ValueValidation, "{name} -n {namespace}");
                assert!(error.to_string().contains("such as team-a"), "{error}");
            }
            // The other required arguments are missing, if the command has any.
            if !matches!(name, "audit" | "locality" | "release") {
                assert_eq!(error("team-a").kind(), ErrorKind::MissingRequiredArgument, "{name}");
            }
        }
    }
}
