//! `colocate validate`: checks the annotations in manifest files.

mod github;
mod json;
mod junit;
mod outcome;
mod report;
mod rule_list;
mod sarif;
mod text;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use self::outcome::{Gap, Outcome};
use self::report::Report;
use super::console::Console;
use super::destination::OutputOptions;
use super::examples::{self, Examples};
use super::facts::{ClusterQuery, MissingPermissions};
use super::input::{Input, InputOptions, size};
use super::problem::Problem;
use super::survey::{Survey, each_document};
use super::{Exit, Usage};
use crate::claims::Snapshot;
use crate::companion::{Severities, Severity};
use crate::engine::Policy;
use crate::manifest::{KnownObjects, ManifestValidator, MissingFacts, Purpose, Unusable};

/// Find hyperconvergence annotations that Stork ignores or misreads
///
/// Claims, classes, volumes and placement strategies are read from the input and --manifests, and with --cluster also from a
/// cluster. If several files describe one, the nearest to the workload counts: the same file, then the same kustomization, then the
/// nearest folder. Anything that could not be checked is reported on standard error.
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = examples::text(&EXAMPLES))]
pub(super) struct Validate {
    /// A file, a directory (its *.yaml, *.yml and *.json, except hidden files, symbolic links, and files that a .gitignore
    /// or .colocateignore lists), or - for standard input
    #[arg(value_name = "FILE|DIR|-", required_unless_present_any = ["filename", "kustomize", "list_rules"])]
    paths: Vec<PathBuf>,

    #[command(flatten)]
    input: InputOptions,

    /// The output format
    #[arg(short, long, value_enum, default_value_t = FindingFormat::Text)]
    output: FindingFormat,

    #[command(flatten)]
    destination: OutputOptions,

    /// The lowest severity of a finding that makes the exit code 1
    #[arg(long, value_name = "SEVERITY", default_value = "error", value_parser = severity())]
    fail_on: Severity,

    /// Exit with 3 if something could not be checked
    #[arg(long)]
    strict: bool,

    /// Print all rules with their configured severities, and check nothing
    #[arg(long, conflicts_with_all = ["paths", "filename", "manifests", "cluster"])]
    list_rules: bool,
}

const EXAMPLES: Examples = [
    (
        "Check all manifests of a directory, and fail if something could not be checked:",
        "colocate validate deploy --manifests storage --strict",
    ),
    (
        "Write the findings to a file for a code scanning service:",
        "colocate validate deploy --cluster -o sarif > findings.sarif",
    ),
];

/// The usage. Clap's own does not show that either files or `--list-rules` are required.
const USAGE: &str = "colocate validate [OPTIONS] <FILE|DIR|->...
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
    /// JUnit XML: a suite for each file, and a test case for each object
    Junit,
}

impl Validate {
    /// Runs the command.
    ///
    /// # Errors
    /// If nothing can be checked at all. Files that cannot be read do not prevent the check of the others.
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let paths = self.input.paths(&self.paths);
        self.check_usage(&paths)?;
        if self.list_rules {
            return self.list_rules(&self.input.config()?.validation().severities);
        }
        let destination = self.destination.open()?;
        // A usage error prints no document.
        let input = self.input.find(&paths, self.destination.output_file.as_deref())?;
        let console = Console::new(self.destination.quiet);
        let mut report = Report::new(self.output, self.fail_on, self.destination.paint(), destination, console)?;
        match self.check(input, &paths, &mut report).await {
            Ok(()) => report.finish(!self.input.cluster)?,
            Err(error) => {
                // The document of a machine-readable format is complete even now.
                report.fail(&Problem::from(&error))?;
                return Err(error);
            }
        }
        Ok(report.exit(self.strict))
    }

    async fn check(&self, mut input: Input, paths: &[PathBuf], report: &mut Report) -> anyhow::Result<()> {
        let config = self.input.config()?;
        let (policy, severities) = (config.policy(), config.validation().severities);
        let label = &*policy.opt_out.namespace_label;
        // The files can be checked without the cluster.
        let snapshot = match self.input.snapshot().await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                input.problems.push(Problem::from(&error));
                None
            }
        };
        let namespace = self.input.namespace(snapshot.as_ref());
        let mut survey = Survey::read(&mut input, &policy, Purpose::Validate, &namespace, &mut report.console, None);
        let mut missing = MissingPermissions::default();
        if let Some(snapshot) = snapshot.as_ref().filter(|_| survey.has_documents) {
            let asked =
                self.ask(snapshot, (&policy, &severities, label), &input, &namespace, &mut survey, report).await;
            match asked {
                Ok(permissions) => missing = permissions,
                Err(error) => {
                    input.problems.push(Problem::from(&error));
                    survey.known.complete_without_cluster();
                }
            }
        } else {
            survey.known.complete_without_cluster();
        }
        for problem in &input.problems {
            report.console.error(&problem.lines());
            report.add_problem(problem)?;
        }
        if input.problems.is_empty() {
            input.check_documents(survey.has_documents, paths)?;
        }
        if let Some(refusal) = missing.refusal.take() {
            missing.notes.push(format!("{refusal}: rules that need the claims are not checked"));
        }
        for what in missing.notes {
            report.add_gap(&Gap::of_run(what))?;
        }
        for what in input.skipped_charts("validate") {
            report.add_gap(&Gap::of_run(what))?;
        }
        for skipped in &survey.skipped {
            let what = format!("{}:{}: skipped: {}", skipped.file, skipped.position, skipped.what);
            report.add_gap(&Gap::of_run(what))?;
        }
        validate(&input, &survey, (&policy, &severities), &namespace, report)
    }

    async fn ask(
        &self,
        snapshot: &Snapshot,
        (policy, severities, opt_out): (&Policy, &Severities, &str),
        input: &Input,
        namespace: &str,
        survey: &mut Survey,
        report: &mut Report,
    ) -> anyhow::Result<MissingPermissions> {
        let Survey { known, controllers, files, .. } = survey;
        let open = |known: &KnownObjects| {
            let validator = ManifestValidator { policy, severities, known, controllers, namespace };
            let mut missing = MissingFacts::default();
            report.console.start("searching", size(&input.sources));
            for (source, &file) in input.sources.iter().zip(files.iter()) {
                // What cannot be read has been reported.
                let _ = each_document(source, |document| {
                    if let Ok(document) = document {
                        report.console.advance(document.text().len());
                        validator.add_missing_facts(file, &document, &mut missing);
                    }
                });
            }
            Ok(missing)
        };
        ClusterQuery { snapshot, opt_out, open }.complete(known).await
    }

    fn check_usage(&self, paths: &[PathBuf]) -> Result<(), Usage> {
        if self.list_rules && !matches!(self.output, FindingFormat::Text | FindingFormat::Json) {
            return Err(Usage("--list-rules prints no findings: remove -o, or use -o json".to_owned()));
        }
        self.destination.check_usage(paths.iter().chain(&self.input.manifests))?;
        self.input.check_usage("validate", paths)
    }

    fn list_rules(&self, severities: &Severities) -> anyhow::Result<Exit> {
        let text = match self.output {
            FindingFormat::Json => rule_list::json(severities)?,
            _ => rule_list::text(severities, self.destination.paint()),
        };
        let mut out = self.destination.open()?;
        out.write(&text)?;
        out.finish()?;
        Ok(Exit::Done)
    }
}

/// Parses the name of a severity.
fn severity() -> impl TypedValueParser<Value = Severity> {
    let parser = PossibleValuesParser::new(Severity::ALL.map(Severity::as_str));
    parser.map(|name| Severity::ALL.into_iter().find(|severity| severity.as_str() == name).unwrap_or(Severity::Error))
}

/// Checks all documents that can be parsed.
fn validate(
    input: &Input,
    survey: &Survey,
    (policy, severities): (&Policy, &Severities),
    namespace: &str,
    report: &mut Report,
) -> anyhow::Result<()> {
    let Survey { known, controllers, .. } = survey;
    let validator = ManifestValidator { policy, severities, known, controllers, namespace };
    report.console.start("checking", size(&input.sources));
    let mut unusable = survey.unusable.iter().peekable();
    for (index, (source, &file)) in input.sources.iter().zip(&survey.files).enumerate() {
        let mut written = Ok(());
        let mut failures = Vec::new();
        let read = each_document(source, |document| match document {
            Ok(document) if written.is_ok() => {
                report.console.advance(document.text().len());
                let place = (index, document.index);
                let until = |next: &&(usize, usize, Unusable)| (next.0, next.1) <= place;
                let unusable: Vec<_> = std::iter::from_fn(|| unusable.next_if(until)).collect();
                let unusable = unusable.into_iter().filter(|next| (next.0, next.1) == place);
                let validated = validator.validate(file, &document);
                let outcome = Outcome::new(source, &document, &validated, unusable.map(|(_, _, unusable)| unusable));
                written = report.add(source, &outcome);
            }
            Ok(_) => {}
            Err(error) => failures.push(Problem::of_document(source, &error)),
        });
        written?;
        failures.extend(read.err().map(Problem::from));
        // What could not be read the first time has been reported.
        if !survey.failed.contains(&index) {
            for problem in failures {
                report.console.error(&problem.lines());
                report.add_problem(&problem)?;
            }
        }
        report.end_file(source)?;
    }
    report.console.clear();
    Ok(())
}
