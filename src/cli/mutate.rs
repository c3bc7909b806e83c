//! `colocate mutate`: the engine on manifests in files.

mod diff;
mod output;
mod write;

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use self::output::File;
use self::write::Change;
use super::knowledge::{self, MissingRights, Questions};
use super::paint::Paint;
use super::{Exit, Usage, input, reader_left};
use crate::api::ApiClient;
use crate::claims::Snapshot;
use crate::config::Config;
use crate::engine::{Policy, Reason};
use crate::manifest::{KnownObjects, Manifest, ManifestMutator, read};

/// Set the scheduler in manifests, as the server would, and change nothing else in them
///
/// Claims, classes and volumes are those of the input itself and of --manifests, or with --cluster those of a cluster. All
/// that is not changed stays byte for byte: comments, order, quoting. What cannot be resolved is said on standard error.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Mutate {
    /// A file, a directory (its *.yaml, *.yml and *.json, without hidden ones and links), or - for standard input
    #[arg(short, long = "filename", value_name = "FILE|DIR|-", required = true, num_args = 1..)]
    filename: Vec<PathBuf>,

    /// Claims, classes and volumes that are read and not printed
    #[arg(long, value_name = "FILE|DIR", num_args = 1..)]
    manifests: Vec<PathBuf>,

    /// The configuration file; without one, everything has its default
    #[arg(long, value_name = "FILE", env = "COLOCATE_CONFIG")]
    config: Option<PathBuf>,

    /// The namespace of objects that name none [default: default, or the kubeconfig's with --cluster]
    #[arg(short, long, value_parser = input::namespace)]
    namespace: Option<String>,

    /// What is printed [default: yaml]
    #[arg(short, long, value_enum)]
    output: Option<OutputFormat>,

    /// Write changed files where they are, and print nothing
    #[arg(long, conflicts_with = "output")]
    in_place: bool,

    /// Write nothing, and print nothing but with -o diff; exit with 4 if something would change
    #[arg(long, conflicts_with = "in_place")]
    check: bool,

    /// Say on standard error what was found for each workload, what was decided, and why
    #[arg(long)]
    explain: bool,

    /// Exit with 3 if something could not be resolved
    #[arg(long)]
    strict: bool,

    /// Ask the kubeconfig's cluster for what the files do not say
    #[arg(long)]
    cluster: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// The input's own bytes with the changes made
    Yaml,
    /// The changed objects as one List
    Json,
    /// A unified diff
    Diff,
    /// A JSON patch a line for each changed object
    Patch,
}

impl Mutate {
    /// Reads, decides, and prints or writes.
    ///
    /// # Errors
    /// Input that cannot be read or parsed, a cluster that does not answer: then nothing is printed or written.
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        self.check_usage()?;
        let config = self.config.as_deref().map(Config::load).transpose()?.unwrap_or_default();
        let policy = config.policy();
        let (sources, others) = (read(&self.filename)?, read(&self.manifests)?);
        let (manifests, described) = (input::parse(&sources)?, input::parse(&others)?);
        input::check_documents(&manifests, &self.filename)?;
        let snapshot = if self.cluster { Some(Snapshot { client: ApiClient::for_command(true).await? }) } else { None };
        let of_context = snapshot.as_ref().map(|snapshot| snapshot.client.namespace());
        let namespace = self.namespace.as_deref().or(of_context).unwrap_or("default").to_owned();

        let files = others.iter().zip(&described).chain(sources.iter().zip(&manifests));
        let mut known = knowledge::of_files(files, &namespace, &policy.opt_out.namespace_label)?;
        let missing = match &snapshot {
            Some(snapshot) => self.ask(snapshot, &policy, &manifests, &namespace, &mut known).await?,
            None => MissingRights::default(),
        };

        let mutator = ManifestMutator { policy: &policy, known: &known, namespace: &namespace };
        let files: Vec<_> = sources
            .iter()
            .zip(&manifests)
            .map(|(source, manifest)| File { source, mutated: mutator.mutate(manifest) })
            .collect();
        self.tell(&missing.notes, &files);
        match self.give(&files) {
            // The reader has closed the pipe, as `head` does. The exit code still tells the result.
            Err(error) if reader_left(&error) => {}
            given => given?,
        }
        Ok(self.exit(&files))
    }

    /// Asks a cluster for what decisions depend on and the files do not say.
    async fn ask(
        &self,
        snapshot: &Snapshot,
        policy: &Policy,
        manifests: &[Manifest<'_>],
        namespace: &str,
        known: &mut KnownObjects,
    ) -> anyhow::Result<MissingRights> {
        let open = |known: &KnownObjects| {
            let mutator = ManifestMutator { policy, known, namespace };
            let mut missing = mutator.missing_facts(manifests);
            // No decision depends on the name of a class.
            missing.class_names &= self.explain;
            missing
        };
        let mut missing =
            Questions { snapshot, opt_out: &policy.opt_out.namespace_label, open }.complete(known).await?;
        // Without any claim, there is nothing to decide.
        missing.refusal.take().map_or(Ok(missing), |refusal| Err(refusal.into()))
    }

    fn check_usage(&self) -> Result<(), Usage> {
        if self.in_place && self.filename.iter().any(|path| input::is_stdin(path)) {
            return Err(Usage("--in-place cannot write to standard input: name files, or leave --in-place out"));
        }
        input::check_stdin(self.filename.iter().chain(&self.manifests))?;
        if self.check && !matches!(self.output, None | Some(OutputFormat::Diff)) {
            let text = "--check prints no result: leave -o out, or write -o diff to see what would change";
            return Err(Usage(text));
        }
        Ok(())
    }

    /// Says on standard error what a person should know. That nobody listens there changes nothing.
    fn tell(&self, notes: &[String], files: &[File<'_>]) {
        let mut lines = String::new();
        lines.extend(notes.iter().map(|note| format!("colocate: {note}\n")));
        for file in files {
            lines.extend(file.mutated.templates.iter().map(|mark| output::template(file.source, *mark)));
            for object in &file.mutated.objects {
                if self.explain {
                    lines += &output::explanation(file.source, object);
                    if object.reason == Reason::Unreadable {
                        lines += &output::own_warnings(file.source, object);
                    }
                } else if object.is_unresolved() {
                    lines += &output::unresolved(file.source, object);
                }
                if self.check && self.output.is_none() && object.is_changed() && !self.explain {
                    let scheduler = object.scheduler.as_deref().unwrap_or_default();
                    lines += &output::line(file.source, object, &format!("would be set to {scheduler}"));
                }
                lines += &output::warnings(file.source, object);
            }
        }
        let _ = io::stderr().write_all(lines.as_bytes());
    }

    /// Prints or writes what changed.
    fn give(&self, files: &[File<'_>]) -> anyhow::Result<()> {
        if self.in_place {
            let to_change = files.iter().filter(|file| file.is_changed()).filter_map(|file| {
                let (path, old) = (file.source.path.as_deref()?, &*file.source.text);
                Some(Change { path, old, new: &file.mutated.text })
            });
            return write::all(&to_change.collect::<Vec<_>>());
        }
        let text = match self.output {
            None if self.check => return Ok(()),
            None | Some(OutputFormat::Yaml) => output::yaml(files)?,
            Some(OutputFormat::Json) => output::json(files)?,
            Some(OutputFormat::Diff) => diff::of(files, Paint::for_stdout()),
            Some(OutputFormat::Patch) => output::patches(files)?,
        };
        Ok(io::stdout().write_all(text.as_bytes())?)
    }

    fn exit(&self, files: &[File<'_>]) -> Exit {
        if self.strict && files.iter().any(|file| file.mutated.is_unresolved()) {
            Exit::Unresolved
        } else if self.check && files.iter().any(File::is_changed) {
            Exit::WouldChange
        } else {
            Exit::Done
        }
    }
}
