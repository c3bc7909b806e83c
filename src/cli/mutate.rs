//! `colocate mutate`: applies the engine to manifest files.

mod diff;
mod joints;
mod output;
mod replacements;
mod report;

use std::io;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, ValueEnum};

use self::joints::Joints;
use self::output::{Format, Output};
use self::replacements::{Replacements, Versions};
use self::report::{Detail, Report};
use super::console::Console;
use super::destination::{Destination, OutputOptions};
use super::examples::{self, Examples};
use super::facts::{ClusterQuery, MissingPermissions};
use super::input::{InputOptions, size};
use super::json_list::JsonList;
use super::survey::{AddEnds, Survey, each_document, unusable_text};
use super::{Exit, Usage};
use crate::claims::Snapshot;
use crate::engine::{Mode, Policy, Templates, amount};
use crate::manifest::{KnownObjects, ManifestMutator, MissingFacts, Purpose, Source, is_stdin};

/// Set the scheduler in manifests as the server would, and change nothing else
///
/// Claims, classes and volumes are read from the input and --manifests, and with --cluster also from a cluster. If several files
/// describe one, the nearest to the workload counts: the same file, then the same kustomization, then the nearest folder.
/// Everything else in the input stays the same, byte for byte: comments, order, quoting. Claims that cannot be resolved are
/// reported on standard error.
#[derive(Debug, Args)]
#[command(after_help = examples::text(&EXAMPLES))]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Mutate {
    /// A file, a directory (its *.yaml, *.yml and *.json, except hidden files, symbolic links, and files that a .gitignore
    /// or .colocateignore lists), or - for standard input
    #[arg(value_name = "FILE|DIR|-", required_unless_present_any = ["filename", "kustomize"])]
    paths: Vec<PathBuf>,

    #[command(flatten)]
    input: InputOptions,

    /// The output format [default: yaml]
    #[arg(short, long, value_enum)]
    output: Option<OutputFormat>,

    #[command(flatten)]
    destination: OutputOptions,

    /// Change the files in place, and print nothing
    #[arg(long, conflicts_with_all = ["output", "output_file"])]
    in_place: bool,

    /// Exit with 4 if something would change, or with 3 if only the configuration prevents a change; write nothing, and
    /// print nothing except with -o diff
    #[arg(long, conflicts_with = "in_place")]
    check: bool,

    /// Explain on standard error what was found for each workload, what was decided, and why
    #[arg(long, conflicts_with = "quiet")]
    explain: bool,

    /// Exit with 3 if something could not be resolved
    #[arg(long)]
    strict: bool,
}

const EXAMPLES: Examples = [
    (
        "Set the scheduler in all manifests of a directory, in place:",
        "colocate mutate deploy --manifests storage --in-place",
    ),
    (
        "Set it in the output of kustomize, with the claims of a cluster:",
        "kustomize build . | colocate mutate - --cluster",
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// The input with the changes applied; as JSON if all files are JSON
    Yaml,
    /// The changed objects as one List
    Json,
    /// A unified diff
    Diff,
    /// A JSON patch for each changed object, one per line
    Patch,
}

impl Mutate {
    /// Runs the command.
    ///
    /// # Errors
    /// If the input cannot be read, or the cluster does not answer. In that case, nothing is printed or written.
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let paths = self.input.paths(&self.paths);
        self.check_usage(&paths)?;
        let policy = self.input.config()?.policy();
        let unrestricted = unrestricted(&policy);
        let destination = self.destination.open()?;
        let mut input = self.input.find(&paths, self.destination.output_file.as_deref())?;
        let snapshot = self.input.snapshot().await?;
        let namespace = self.input.namespace(snapshot.as_ref());

        let (mut console, mut joints) = (Console::new(self.destination.quiet), Joints::default());
        let one_stream = input.sources.len() > 1 && self.prints_yaml();
        let versions = self.in_place.then(|| Versions::of(&input.sources)).transpose()?;
        let mut add_joint = |source: &Source, ends| joints.add(&source.name, ends);
        let ends = one_stream.then_some(&mut add_joint as AddEnds<'_>);
        let mut survey = Survey::read(&mut input, &policy, Purpose::Mutate, &namespace, &mut console, ends);
        input.skipped_charts("mutate").iter().for_each(|line| console.say(&format!("{line}\n")));
        if !input.problems.is_empty() {
            input.problems.iter().for_each(|problem| console.error(&problem.lines()));
            console.error(&self.nothing_is_done(input.problems.len()));
            return Ok(Exit::Failed);
        }
        input.check_documents(survey.has_documents, &paths)?;
        let separators = if one_stream { joints.separators()? } else { Vec::new() };

        let mut missing = MissingPermissions::default();
        match &snapshot {
            Some(snapshot) => {
                let policy = unrestricted.as_ref().unwrap_or(&policy);
                missing = self.ask(snapshot, policy, &input.sources, &namespace, &mut survey, &mut console).await?;
            }
            None => survey.known.complete_without_cluster(),
        }
        let mut report = Report::new(&mut console, self.detail(), self.strict);
        missing.notes.iter().for_each(|note| report.note(note));
        survey.skipped.iter().for_each(|skipped| report.skipped(&skipped.file, skipped.position, &skipped.what));
        for (source, _, unusable) in &survey.unusable {
            report.skipped(&input.sources[*source].name, unusable.position, &unusable_text(unusable));
        }
        let mutator = |policy| ManifestMutator { policy, known: &survey.known, namespace: &namespace };
        let unrestricted = unrestricted.as_ref().map(mutator);
        let mutator = mutator(&policy);
        let mut output = self.output(versions, separators, destination)?;
        report.console.start("deciding", size(&input.sources));
        for (source, &file) in input.sources.iter().zip(&survey.files) {
            output.begin()?;
            for chunk in source.chunks()? {
                let chunk = chunk?;
                let manifest = chunk.manifest();
                let mut is_empty = true;
                for document in manifest.documents() {
                    let document = document.map_err(|error| anyhow!("{}:{error}", source.name))?;
                    let mutated = mutator.mutate(file, &document);
                    report.document(source, &document, &mutated);
                    if let Some(unrestricted) = &unrestricted {
                        report.count_prevented(&mutated, &unrestricted.mutate(file, &document));
                    }
                    output.document(source, &document, &mutated)?;
                    report.console.advance(document.text().len());
                    is_empty = false;
                }
                if is_empty {
                    output.without_documents(manifest.text)?;
                }
            }
            output.end(source)?;
        }
        report.console.clear();
        output.finish()?;
        report.end(&policy, snapshot.is_none());
        let is_open = self.strict && (report.unresolved || !input.charts.is_empty());
        Ok(if is_open || (self.check && report.prevented > 0) {
            Exit::Unresolved
        } else if self.check && report.changed {
            Exit::WouldChange
        } else {
            Exit::Done
        })
    }

    /// Asks a cluster for the facts that decisions depend on and that the files do not contain.
    async fn ask(
        &self,
        snapshot: &Snapshot,
        policy: &Policy,
        sources: &[Source],
        namespace: &str,
        survey: &mut Survey,
        console: &mut Console,
    ) -> anyhow::Result<MissingPermissions> {
        let files = &survey.files;
        let open = |known: &KnownObjects| {
            let (mutator, mut missing) = (ManifestMutator { policy, known, namespace }, MissingFacts::default());
            console.start("searching", size(sources));
            for (source, &file) in sources.iter().zip(files) {
                each_document(source, |document| {
                    if let Ok(document) = document {
                        console.advance(document.text().len());
                        mutator.add_missing_facts(file, &document, &mut missing);
                    }
                })?;
            }
            // No decision depends on the name of a class.
            missing.class_names &= self.explain;
            Ok(missing)
        };
        let mut query = ClusterQuery { snapshot, opt_out: &policy.opt_out.namespace_label, open };
        let mut missing = query.complete(&mut survey.known).await?;
        // Without permission to get a claim, no decision about its pods is possible.
        missing.refusal.take().map_or(Ok(missing), |refusal| Err(refusal.into()))
    }

    fn check_usage(&self, paths: &[PathBuf]) -> Result<(), Usage> {
        self.input.check_usage("mutate", paths)?;
        if self.in_place && paths.iter().any(|path| is_stdin(path)) {
            let text = "--in-place cannot write to standard input: name files, or remove --in-place";
            return Err(Usage(text.to_owned()));
        }
        let is_pipe = |path: &&PathBuf| path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
        if let Some(pipe) = paths.iter().find(is_pipe).filter(|_| self.in_place) {
            let pipe = pipe.display();
            let text = format!("--in-place cannot replace {pipe}, which is not a regular file: remove --in-place");
            return Err(Usage(text));
        }
        if self.check && !matches!(self.output, None | Some(OutputFormat::Diff)) {
            let text = "--check prints no result: remove -o, or use -o diff to see what would change";
            return Err(Usage(text.to_owned()));
        }
        if self.check && self.output.is_none() && self.destination.output_file.is_some() {
            let text = "--check prints no result: remove --output-file, or add -o diff";
            return Err(Usage(text.to_owned()));
        }
        self.destination.check_usage(paths.iter().chain(&self.input.manifests))?;
        Ok(())
    }

    fn detail(&self) -> Detail {
        if self.explain {
            Detail::Explanations
        } else if self.check && self.output.is_none() {
            Detail::Changes
        } else {
            Detail::Nothing
        }
    }

    /// Returns true if the texts of the files are printed.
    fn prints_yaml(&self) -> bool {
        !self.in_place && !self.check && matches!(self.output, None | Some(OutputFormat::Yaml))
    }

    /// Starts the output. `versions` are those of the files to replace, if they are changed in place.
    fn output(
        &self,
        versions: Option<Versions>,
        separators: Vec<String>,
        destination: Destination,
    ) -> io::Result<Output> {
        if let Some(versions) = versions {
            return Ok(Output::new(Format::Replace(Box::new(Replacements::new(versions)?)), destination));
        }
        let format = match self.output {
            None if self.check => Format::Nothing,
            None | Some(OutputFormat::Yaml) => Format::Yaml(separators),
            Some(OutputFormat::Json) => Format::Json(JsonList::new(1)),
            Some(OutputFormat::Diff) => Format::Diff(self.destination.paint(), None),
            Some(OutputFormat::Patch) => Format::Patches,
        };
        Ok(Output::new(format, destination))
    }

    /// The last line if files have errors.
    fn nothing_is_done(&self, problems: usize) -> String {
        let errors = amount(problems, "error");
        let what = if self.in_place {
            "changed"
        } else if self.check {
            "decided"
        } else {
            "printed"
        };
        format!("colocate: {errors}, so nothing was {what}: correct the files, or leave them out with --exclude\n")
    }
}

/// Returns the policy without the settings that prevent changes of files (`mode: audit`, `mode: off` and `templates: leave`);
/// `None` if it does not have any of them.
fn unrestricted(policy: &Policy) -> Option<Policy> {
    let is_restricted = policy.mode != Mode::Inject || policy.templates == Templates::Leave;
    is_restricted.then(|| Policy { mode: Mode::Inject, templates: Templates::Inject, ..policy.clone() })
}
