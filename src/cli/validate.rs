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
use super::facts::{self, ClusterQuery, MissingPermissions};
use super::paint::Paint;
use super::{Exit, Usage, input, reader_left, say};
use crate::api::ApiClient;
use crate::claims::Snapshot;
use crate::companion::{Severities, Severity};
use crate::config::Config;
use crate::engine::Visibility;
use crate::manifest::{KnownObjects, ManifestValidator, read};

/// Find hyperconvergence annotations that Stork ignores or misreads
///
/// Claims, classes, volumes and placement strategies are read from the input and --manifests, and with --cluster also
/// from a cluster. Anything that could not be checked is reported on standard error.
#[derive(Debug, Args)]
#[command(override_usage = USAGE)]
pub(super) struct Validate {
    /// A file, a directory (its *.yaml, *.yml and *.json, except hidden files and symbolic links), or - for standard
    /// input
    #[arg(
        short,
        long = "filename",
        value_name = "FILE|DIR|-",
        required_unless_present = "list_rules",
        num_args = 1..,
        conflicts_with = "list_rules"
    )]
    filename: Vec<PathBuf>,

    /// Files with claims, classes, volumes and placement strategies, which are read but not checked
    #[arg(long, value_name = "FILE|DIR", num_args = 1.., conflicts_with = "list_rules")]
    manifests: Vec<PathBuf>,

    /// The configuration file, which can change the severities of rules; without one, the defaults apply
    #[arg(long, value_name = "FILE", env = "COLOCATE_CONFIG")]
    config: Option<PathBuf>,

    /// The namespace of objects without one [default: default, or with --cluster the kubeconfig's]
    #[arg(short, long, value_parser = input::namespace)]
    namespace: Option<String>,

    /// The output format
    #[arg(short, long, value_enum, default_value_t = FindingFormat::Text)]
    output: FindingFormat,

    /// Exit with 3 if something could not be checked
    #[arg(long)]
    strict: bool,

    /// Query the kubeconfig's cluster for objects that the files do not contain
    #[arg(long, conflicts_with = "list_rules")]
    cluster: bool,

    /// Print all rules with their configured severities, and check nothing
    #[arg(long)]
    list_rules: bool,
}

/// The usage. Clap's own does not show that either files or `--list-rules` are required.
const USAGE: &str = "colocate validate [OPTIONS] --filename <FILE|DIR|->...
       colocate validate --list-rules [--config <FILE>] [--output <json>]";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FindingFormat {
    /// Text for people: each finding with its line and a remedy
    Text,
    /// A list of findings
    Json,
    /// A SARIF 2.1.0 log, for code scanning services
    Sarif,
    /// GitHub Actions commands that annotate a pull request
    Github,
}

impl Validate {
    /// Runs the command.
    ///
    /// # Errors
    /// If the input cannot be read or parsed, or the cluster does not answer. In that case, nothing is printed.
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
        let mut known = facts::of_files(others.iter().zip(&described), &namespace, label)?;
        let unreadable: Vec<_> =
            manifests.iter().map(|manifest| known.add_readable(manifest, &namespace, label)).collect();
        let open = |known: &KnownObjects| {
            let validator =
                ManifestValidator { policy: &policy, severities: &severities, known, namespace: &namespace };
            validator.missing_facts(&manifests)
        };
        let mut missing = MissingPermissions::default();
        match &snapshot {
            Some(snapshot) => missing = ClusterQuery { snapshot, opt_out: label, open }.complete(&mut known).await?,
            None => known.inventory.visibility = Visibility::of_files(),
        }

        let validator =
            ManifestValidator { policy: &policy, severities: &severities, known: &known, namespace: &namespace };
        let validated = validator.validate(&manifests);
        if let Some(refusal) = missing.refusal.take() {
            missing.notes.push(format!("{refusal}: rules that need the claims are not checked"));
        }
        let outcome = Outcome::new(&sources, &manifests, &validated, &unreadable, &missing.notes);
        self.report(&outcome)
    }

    fn check_usage(&self) -> Result<(), Usage> {
        if self.list_rules && !matches!(self.output, FindingFormat::Text | FindingFormat::Json) {
            return Err(Usage("--list-rules prints no findings: remove -o, or use -o json"));
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
    fn report(&self, outcome: &Outcome<'_>) -> anyhow::Result<Exit> {
        say(&text::gaps(outcome));
        let text = match self.output {
            FindingFormat::Text => text::findings(outcome, Paint::for_stdout()),
            FindingFormat::Json => json::findings(outcome)?,
            FindingFormat::Sarif => sarif::log(outcome)?,
            FindingFormat::Github => github::annotations(outcome),
        };
        match io::stdout().write_all(text.as_bytes()).map_err(anyhow::Error::from) {
            // The reader has closed the pipe, as `head` does. The exit code still reports the result.
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
