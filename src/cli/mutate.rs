//! `colocate mutate`: the engine on manifests in files.

mod diff;
mod knowledge;
mod output;
mod write;

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};

use self::knowledge::Knowledge;
use self::output::File;
use self::write::Change;
use super::paint::Paint;
use super::{Exit, Usage, reader_left};
use crate::cluster::Snapshot;
use crate::config::Config;
use crate::engine::Reason;
use crate::manifest::{Manifest, Mutator, Source, read};

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
    #[arg(short, long, value_parser = namespace)]
    namespace: Option<String>,

    /// What is printed [default: yaml]
    #[arg(short, long, value_enum)]
    output: Option<Format>,

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
        self.check_usage()?;
        let config = self.config.as_deref().map(Config::load).transpose()?.unwrap_or_default();
        let policy = config.policy();
        let (sources, others) = (read(&self.filename)?, read(&self.manifests)?);
        let (manifests, described) = (parse(&sources)?, parse(&others)?);
        if manifests.iter().all(|manifest| manifest.documents().iter().all(|document| document.value().is_null())) {
            // A pipe whose first half failed, or a folder with another name: an empty answer would be taken for a good one.
            bail!("there is no document in {}", named(&self.filename));
        }
        let snapshot = if self.cluster { Some(Snapshot::infer().await?) } else { None };
        let of_context = snapshot.as_ref().map(Snapshot::namespace);
        let namespace = self.namespace.as_deref().or(of_context).unwrap_or("default").to_owned();

        let files: Vec<_> = others.iter().zip(&described).chain(sources.iter().zip(&manifests)).collect();
        let knowledge = Knowledge {
            files: &files,
            manifests: &manifests,
            snapshot: snapshot.as_ref(),
            policy: &policy,
            namespace: &namespace,
            explain: self.explain,
        };
        let (known, unseen) = knowledge.gather().await?;

        let mutator = Mutator { policy: &policy, known: &known, namespace: &namespace };
        let mut files: Vec<_> = sources
            .iter()
            .zip(&manifests)
            .map(|(source, manifest)| File { source, mutated: mutator.mutate(manifest) })
            .collect();
        for object in files.iter_mut().flat_map(|file| &mut file.mutated.objects) {
            unseen.correct(&mut object.decision.found);
        }
        self.tell(&unseen.notes, &files);
        match self.give(&files) {
            // Whoever read the output has had enough; the exit code still says how it went.
            Err(error) if reader_left(&error) => {}
            given => given?,
        }
        Ok(self.exit(&files))
    }

    fn check_usage(&self) -> Result<(), Usage> {
        let stdin = self.filename.iter().filter(|path| path.as_os_str() == "-").count();
        if stdin > 0 && self.in_place {
            return Err(Usage("--in-place cannot write to standard input: name files, or leave --in-place out"));
        }
        if stdin + self.manifests.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
            return Err(Usage("standard input can be read once: name - once"));
        }
        if self.check && !matches!(self.output, None | Some(Format::Diff)) {
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
                    if object.decision.reason == Reason::Unreadable {
                        lines += &output::own_warnings(file.source, object);
                    }
                } else if object.is_unresolved() {
                    lines += &output::unresolved(file.source, object);
                }
                if self.check && self.output.is_none() && object.is_changed() && !self.explain {
                    lines += &output::would_change(file.source, object);
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
            None | Some(Format::Yaml) => output::yaml(files)?,
            Some(Format::Json) => output::json(files)?,
            Some(Format::Diff) => diff::of(files, Paint::for_stdout()),
            Some(Format::Patch) => output::patches(files)?,
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

fn parse(sources: &[Source]) -> anyhow::Result<Vec<Manifest<'_>>> {
    let mut manifests = Vec::with_capacity(sources.len());
    for Source { name, text, .. } in sources {
        manifests.push(Manifest::parse(text).map_err(|error| anyhow!("{name}:{error}"))?);
    }
    Ok(manifests)
}

/// The name of a namespace, which is a DNS label (RFC 1123).
fn namespace(name: &str) -> Result<String, &'static str> {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [name.bytes().next(), name.bytes().last()];
    let sound = name.len() <= 63 && name.bytes().all(|byte| letter(byte) || byte == b'-');
    if sound && ends.iter().all(|end| end.is_some_and(letter)) {
        return Ok(name.to_owned());
    }
    Err("the name of a namespace is of 1 to 63 lower-case letters, digits and `-`, and no `-` at either end")
}

fn named(paths: &[PathBuf]) -> String {
    let names = paths
        .iter()
        .map(|path| if path.as_os_str() == "-" { "standard input".into() } else { path.display().to_string() });
    names.collect::<Vec<_>>().join(", ")
}
