//! `colocate validate`: checks the annotations in manifest files.

mod github;
mod json;
mod outcome;
mod rule_list;
mod sarif;
mod text;

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use self::outcome::Outcome;
use super::knowledge::{self, MissingRights, Questions};
use super::paint::Paint;
use super::{Exit, Usage, input, reader_left};
use crate::api::ApiClient;
use crate::claims::Snapshot;
use crate::companion::{Severities, Severity};
use crate::config::Config;
use crate::engine::Visibility;
use crate::manifest::{KnownObjects, ManifestValidator, read};

/// Find hyperconvergence annotations that Stork will not read as they were meant
///
/// Claims, classes, volumes and placement strategies are those of the input itself and of --manifests, or with --cluster
/// those of a cluster. What could not be checked is said on standard error.
#[derive(Debug, Args)]
#[command(override_usage = USAGE)]
pub(super) struct Validate {
    /// A file, a directory (its *.yaml, *.yml and *.json, without hidden ones and links), or - for standard input
    #[arg(
        short,
        long = "filename",
        value_name = "FILE|DIR|-",
        required_unless_present = "list_rules",
        num_args = 1..,
        conflicts_with = "list_rules"
    )]
    filename: Vec<PathBuf>,

    /// Claims, classes, volumes and placement strategies that are read and not checked
    #[arg(long, value_name = "FILE|DIR", num_args = 1.., conflicts_with = "list_rules")]
    manifests: Vec<PathBuf>,

    /// The configuration file, with the severities of rules; without one, everything has its default
    #[arg(long, value_name = "FILE", env = "COLOCATE_CONFIG")]
    config: Option<PathBuf>,

    /// The namespace of objects that name none [default: default, or the kubeconfig's with --cluster]
    #[arg(short, long, value_parser = input::namespace)]
    namespace: Option<String>,

    /// How findings are printed
    #[arg(short, long, value_enum, default_value_t = FindingFormat::Text)]
    output: FindingFormat,

    /// Exit with 3 if something could not be checked
    #[arg(long)]
    strict: bool,

    /// Ask the kubeconfig's cluster for what the files do not say
    #[arg(long, conflicts_with = "list_rules")]
    cluster: bool,

    /// Print all rules, with their severities by the configuration, and check nothing
    #[arg(long)]
    list_rules: bool,
}

/// The usage. Clap's own does not show that either files or `--list-rules` are required.
const USAGE: &str = "colocate validate [OPTIONS] --filename <FILE|DIR|->...
       colocate validate --list-rules [--config <FILE>] [--output <json>]";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FindingFormat {
    /// For people: each finding with its line, and what to write instead
    Text,
    /// A list of findings
    Json,
    /// A log of SARIF 2.1.0, which code scanning services read
    Sarif,
    /// Annotations of a pull request, as GitHub Actions reads them
    Github,
}

impl Validate {
    /// Runs the command.
    ///
    /// # Errors
    /// Input that cannot be read or parsed, or a cluster that does not answer. Nothing is printed then.
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        self.check_usage()?;
        let config = self.config.as_deref().map(Config::load).transpose()?.unwrap_or_default();
        let (policy, severities) = (config.policy(), config.validation().severities);
        if self.list_rules {
            return self.list_rules(&severities);
        }
        let (sources, others) = (read(&self.filename)?, read(&self.manifests)?);
        let (manifests, described) = (input::parse(&sources)?, input::parse(&others)?);
        input::check_documents(&manifests, &self.filename)?;
        let snapshot = if self.cluster { Some(Snapshot { client: ApiClient::for_command(true).await? }) } else { None };
        let of_context = snapshot.as_ref().map(|snapshot| snapshot.client.namespace());
        let namespace = self.namespace.as_deref().or(of_context).unwrap_or("default").to_owned();

        let label = &*policy.opt_out.namespace_label;
        let mut known = knowledge::of_files(others.iter().zip(&described), &namespace, label)?;
        let unreadable: Vec<_> =
            manifests.iter().map(|manifest| known.add_readable(manifest, &namespace, label)).collect();
        let open = |known: &KnownObjects| {
            let validator =
                ManifestValidator { policy: &policy, severities: &severities, known, namespace: &namespace };
            validator.missing_facts(&manifests)
        };
        let mut missing = MissingRights::default();
        match &snapshot {
            Some(snapshot) => missing = Questions { snapshot, opt_out: label, open }.complete(&mut known).await?,
            None => known.inventory.visibility = Visibility::of_files(),
        }

        let validator =
            ManifestValidator { policy: &policy, severities: &severities, known: &known, namespace: &namespace };
        let validated = validator.validate(&manifests);
        if let Some(refusal) = missing.refusal.take() {
            missing.notes.push(format!("{refusal}: what only a claim would tell is left unresolved"));
        }
        let outcome = Outcome::new(&sources, &manifests, &validated, &unreadable, &missing.notes);
        self.tell(&outcome)
    }

    fn check_usage(&self) -> Result<(), Usage> {
        if self.list_rules && !matches!(self.output, FindingFormat::Text | FindingFormat::Json) {
            return Err(Usage("--list-rules prints no findings: leave -o out, or write -o json"));
        }
        input::check_stdin(self.filename.iter().chain(&self.manifests))
    }

    fn list_rules(&self, severities: &Severities) -> anyhow::Result<Exit> {
        let text = match self.output {
            FindingFormat::Json => rule_list::json(severities)?,
            _ => rule_list::text(severities, Paint::for_stdout()),
        };
        io::stdout().write_all(text.as_bytes())?;
        Ok(Exit::Done)
    }

    /// Prints the findings, and on standard error the gaps and a summary. A closed standard error does not change the
    /// result.
    fn tell(&self, outcome: &Outcome<'_>) -> anyhow::Result<Exit> {
        let say = |lines: &str| drop(io::stderr().write_all(lines.as_bytes()));
        say(&text::gaps(outcome));
        let text = match self.output {
            FindingFormat::Text => text::findings(outcome, Paint::for_stdout()),
            FindingFormat::Json => json::findings(outcome)?,
            FindingFormat::Sarif => sarif::log(outcome)?,
            FindingFormat::Github => github::annotations(outcome),
        };
        match io::stdout().write_all(text.as_bytes()).map_err(anyhow::Error::from) {
            // The reader has closed the pipe, as `head` does. The exit code still tells the result.
            Err(error) if reader_left(&error) => {}
            printed => printed?,
        }
        if self.output == FindingFormat::Text {
            say(&text::summary(outcome, !self.cluster));
        }
        Ok(self.exit(outcome))
    }

    fn exit(&self, outcome: &Outcome<'_>) -> Exit {
        if outcome.count(Severity::Error) > 0 {
            Exit::Findings
        } else if self.strict && !outcome.gaps.is_empty() {
            Exit::Unresolved
        } else {
            Exit::Done
        }
    }
}
