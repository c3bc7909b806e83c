//! `colocate mutate`: the engine on manifests in files.

mod output;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use self::output::File;
use super::paint::Paint;
use super::{Exit, Usage, reader_left};
use crate::cluster::Snapshot;
use crate::config::Config;
use crate::manifest::{Known, Manifest, Mutator, Source, read};

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
    #[arg(short, long)]
    namespace: Option<String>,

    /// What is printed
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    output: Format,

    /// Write changed files where they are, and print nothing
    #[arg(long, conflicts_with = "output")]
    in_place: bool,

    /// Print and write nothing; exit with 4 if something would change
    #[arg(long, conflicts_with_all = ["output", "in_place"])]
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
enum Format {
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
        let stdin = self.filename.iter().filter(|path| path.as_os_str() == "-").count();
        if stdin > 0 && self.in_place {
            return Err(Usage("--in-place cannot write to standard input: name files, or leave --in-place out").into());
        }
        if stdin + self.manifests.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
            return Err(Usage("standard input can be read once: name - once").into());
        }
        let config = self.config.as_deref().map(Config::load).transpose()?.unwrap_or_default();
        let policy = config.policy();
        let label = &*policy.opt_out.namespace_label;

        let (sources, others) = (read(&self.filename)?, read(&self.manifests)?);
        let manifests = sources.iter().map(parse).collect::<anyhow::Result<Vec<_>>>()?;
        if manifests.iter().all(|manifest| manifest.documents().iter().all(|document| document.value().is_null())) {
            // A pipe whose first half failed, or a folder with another name: an empty answer would be taken for a good one.
            bail!("there is no document in {}", named(&self.filename));
        }
        let snapshot = if self.cluster { Some(Snapshot::infer().await?) } else { None };
        let of_context = snapshot.as_ref().map(Snapshot::namespace);
        let namespace = self.namespace.as_deref().or(of_context).unwrap_or("default").to_owned();

        let mut known = Known::default();
        if let Some(snapshot) = &snapshot {
            let mutator = Mutator { policy: &policy, known: &known, namespace: &namespace };
            let claims: BTreeSet<_> = manifests.iter().flat_map(|manifest| mutator.claims(manifest)).collect();
            let namespaces: BTreeSet<_> = manifests.iter().flat_map(|manifest| mutator.namespaces(manifest)).collect();
            known = Known::new(snapshot.inventory(claims).await?, snapshot.opted_out(namespaces, label).await?);
        }
        // What the files say counts more than what the cluster has: they are what will be.
        for source in &others {
            known.add_source(source, &namespace, label)?;
        }
        for (source, manifest) in sources.iter().zip(&manifests) {
            known.add(&source.name, manifest, &namespace, label)?;
        }

        let mutator = Mutator { policy: &policy, known: &known, namespace: &namespace };
        let files: Vec<_> = sources
            .iter()
            .zip(&manifests)
            .map(|(source, manifest)| File { source, mutated: mutator.mutate(manifest) })
            .collect();
        self.tell(&files);
        match self.give(&files) {
            // Whoever read the output has had enough; the exit code still says how it went.
            Err(error) if reader_left(&error) => {}
            given => given?,
        }
        Ok(self.exit(&files))
    }

    /// Says on standard error what a person should know. That nobody listens there changes nothing.
    fn tell(&self, files: &[File<'_>]) {
        let mut lines = String::new();
        for file in files {
            for object in &file.mutated.objects {
                if self.explain {
                    lines += &output::explanation(file.source, object);
                } else if object.is_unresolved() {
                    lines += &output::unresolved(file.source, object);
                }
                if self.check && object.is_changed() && !self.explain {
                    lines += &output::would_change(file.source, object);
                }
                lines.extend(output::warnings(file.source, object));
            }
        }
        let _ = io::stderr().write_all(lines.as_bytes());
    }

    /// Prints or writes what changed.
    fn give(&self, files: &[File<'_>]) -> anyhow::Result<()> {
        if self.check {
            return Ok(());
        }
        if self.in_place {
            let changed = files.iter().filter(|file| file.is_changed());
            let texts: BTreeMap<_, _> =
                changed.filter_map(|file| Some((file.source.path.as_deref()?, &*file.mutated.text))).collect();
            return write::all(&texts);
        }
        let text = match self.output {
            Format::Yaml => output::yaml(files)?,
            Format::Json => output::json(files)?,
            Format::Diff => output::diff(files, Paint::for_stdout()),
            Format::Patch => output::patches(files)?,
        };
        Ok(io::stdout().write_all(text.as_bytes())?)
    }

    fn exit(&self, files: &[File<'_>]) -> Exit {
        let mut objects = files.iter().flat_map(|file| &file.mutated.objects);
        if self.strict && objects.clone().any(crate::manifest::Mutation::is_unresolved) {
            Exit::Unresolved
        } else if self.check && objects.any(crate::manifest::Mutation::is_changed) {
            Exit::WouldChange
        } else {
            Exit::Done
        }
    }
}

fn parse(source: &Source) -> anyhow::Result<Manifest<'_>> {
    Manifest::parse(&source.text).with_context(|| source.name.clone())
}

fn named(paths: &[PathBuf]) -> String {
    let names = paths
        .iter()
        .map(|path| if path.as_os_str() == "-" { "standard input".into() } else { path.display().to_string() });
    names.collect::<Vec<_>>().join(", ")
}
