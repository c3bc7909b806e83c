//! `colocate mutate`: applies the engine to manifest files.

mod diff;
mod output;
mod write;

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use self::output::File;
use self::write::Change;
use super::facts::{self, ClusterQuery, MissingPermissions};
use super::paint::Paint;
use super::{Exit, Usage, input, reader_left, say};
use crate::api::ApiClient;
use crate::claims::Snapshot;
use crate::config::Config;
use crate::engine::{Policy, Reason};
use crate::manifest::{KnownObjects, Manifest, ManifestMutator, read};

/// Set the scheduler in manifests as the server would, and change nothing else
///
/// Claims, classes and volumes are read from the input and --manifests, and with --cluster also from a cluster.
/// Everything else in the input stays the same, byte for byte: comments, order, quoting. Claims that cannot be
/// resolved are reported on standard error.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Mutate {
    /// A file, a directory (its *.yaml, *.yml and *.json, except hidden files and symbolic links), or - for standard
    /// input
    #[arg(short, long = "filename", value_name = "FILE|DIR|-", required = true, num_args = 1..)]
    filename: Vec<PathBuf>,

    /// Files with claims, classes and volumes, which are read but not printed
    #[arg(long, value_name = "FILE|DIR", num_args = 1..)]
    manifests: Vec<PathBuf>,

    /// The configuration file; without one, the defaults apply
    #[arg(long, value_name = "FILE", env = "COLOCATE_CONFIG")]
    config: Option<PathBuf>,

    /// The namespace of objects without one [default: default, or with --cluster the kubeconfig's]
    #[arg(short, long, value_parser = input::namespace)]
    namespace: Option<String>,

    /// The output format [default: yaml]
    #[arg(short, long, value_enum)]
    output: Option<OutputFormat>,

    /// Change the files in place, and print nothing
    #[arg(long, conflicts_with = "output")]
    in_place: bool,

    /// Exit with 4 if something would change; write nothing, and print nothing except with -o diff
    #[arg(long, conflicts_with = "in_place")]
    check: bool,

    /// Explain on standard error what was found for each workload, what was decided, and why
    #[arg(long)]
    explain: bool,

    /// Exit with 3 if something could not be resolved
    #[arg(long)]
    strict: bool,

    /// Query the kubeconfig's cluster for objects that the files do not contain
    #[arg(long)]
    cluster: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// The input with the changes applied
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
    /// If the input cannot be read or parsed, or the cluster does not answer. In that case, nothing is printed or
    /// written.
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
        let mut known = facts::of_files(files, &namespace, &policy.opt_out.namespace_label)?;
        let missing = match &snapshot {
            Some(snapshot) => self.ask(snapshot, &policy, &manifests, &namespace, &mut known).await?,
            None => MissingPermissions::default(),
        };

        let mutator = ManifestMutator { policy: &policy, known: &known, namespace: &namespace };
        let files: Vec<_> = sources
            .iter()
            .zip(&manifests)
            .map(|(source, manifest)| File { source, mutated: mutator.mutate(manifest) })
            .collect();
        self.report(&missing.notes, &files);
        match self.write_output(&files) {
            // The reader has closed the pipe, as `head` does. The exit code still reports the result.
            Err(error) if reader_left(&error) => {}
            written => written?,
        }
        Ok(self.exit(&files))
    }

    /// Asks a cluster for the facts that decisions depend on and that the files do not contain.
    async fn ask(
        &self,
        snapshot: &Snapshot,
        policy: &Policy,
        manifests: &[Manifest<'_>],
        namespace: &str,
        known: &mut KnownObjects,
    ) -> anyhow::Result<MissingPermissions> {
        let open = |known: &KnownObjects| {
            let mutator = ManifestMutator { policy, known, namespace };
            let mut missing = mutator.missing_facts(manifests);
            // No decision depends on the name of a class.
            missing.class_names &= self.explain;
            missing
        };
        let mut missing =
            ClusterQuery { snapshot, opt_out: &policy.opt_out.namespace_label, open }.complete(known).await?;
        // Without permission to get a claim, no decision about its pods is possible.
        missing.refusal.take().map_or(Ok(missing), |refusal| Err(refusal.into()))
    }

    fn check_usage(&self) -> Result<(), Usage> {
        if self.in_place && self.filename.iter().any(|path| input::is_stdin(path)) {
            return Err(Usage("--in-place cannot write to standard input: name files, or remove --in-place"));
        }
        input::check_stdin(self.filename.iter().chain(&self.manifests))?;
        if self.check && !matches!(self.output, None | Some(OutputFormat::Diff)) {
            let text = "--check prints no result: remove -o, or use -o diff to see what would change";
            return Err(Usage(text));
        }
        Ok(())
    }

    /// Prints notes and warnings to standard error. A closed standard error does not change the result.
    fn report(&self, notes: &[String], files: &[File<'_>]) {
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
        say(&lines);
    }

    /// Prints or writes the result.
    fn write_output(&self, files: &[File<'_>]) -> anyhow::Result<()> {
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
