//! `colocate place`: asks the extender of a storage driver where a pod would go.

mod document;
mod screen;

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use self::document::document;
use self::screen::Screen;
use super::audit::LaidFiles;
use super::cluster_options::ClusterOptions;
use super::console::Console;
use super::examples::{self, Examples};
use super::input::{FileOptions, namespace};
use super::paint::ColorOption;
use super::{Exit, Usage};
use crate::api::ApiClient;
use crate::engine::dns;
use crate::inspect::{NotSeen, PlaceQuestion, Placement, PodSource, Reader};

/// Ask the storage driver's scheduler where a pod would go, before anything is created
///
/// Sends the pod and all nodes to the extender of the driver's scheduler, as kube-scheduler does. Shows which nodes pass its filter,
/// its messages about the others, its scores, and which nodes hold the data. Nothing is created. kube-scheduler also considers what
/// the extender does not, such as taints, requests and affinity.
#[derive(Debug, Args)]
#[command(after_help = examples::text(&EXAMPLES))]
pub(super) struct Place {
    /// A pod of the cluster
    #[arg(value_name = "POD", value_parser = pod_name, required_unless_present = "filename", conflicts_with = "filename")]
    pod: Option<String>,

    /// Files with one pod or one workload: a file, a directory, or - for standard input
    #[arg(short, long = "filename", value_name = "FILE|DIR|-", num_args = 1.., value_delimiter = ',')]
    filename: Vec<PathBuf>,

    #[command(flatten)]
    files: FileOptions,

    /// The namespace of the pod, and of objects in files without one [default: the kubeconfig's]
    #[arg(short, long, value_parser = namespace)]
    namespace: Option<String>,

    #[command(flatten)]
    cluster: ClusterOptions,

    /// The output format
    #[arg(short, long, value_enum, default_value_t = PlaceFormat::Text)]
    output: PlaceFormat,

    #[command(flatten)]
    color: ColorOption,
}

const EXAMPLES: Examples = [
    ("Show where a pod could run:", "colocate place mysql-0 --namespace db"),
    ("Ask before the pod is created:", "colocate place -f mysql.yaml"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PlaceFormat {
    /// Lines and a table for people
    Text,
    /// One document of docs/schemas/place.json
    Json,
}

/// The result, as the formats show it.
struct Outcome<'a> {
    placement: &'a Placement,
    not_seen: &'a [NotSeen],
}

impl Place {
    /// Runs the command.
    ///
    /// # Errors
    /// If the pod or the files cannot be read, no extender is known, or it does not answer.
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let choice = self.cluster.choice();
        let config = self.cluster.config()?;
        self.files.check_usage("place -f", &self.filename, &[])?;
        let client = ApiClient::for_command(true, choice).await?;
        let namespace = self.namespace.clone().unwrap_or_else(|| client.namespace().to_owned());
        let mut console = Console::new(false);
        let laid = match &self.filename[..] {
            [] => None,
            paths => {
                let mut input = self.files.find(paths, &[], None)?;
                let laid = LaidFiles::read(&mut input, &namespace, &mut console);
                if !input.problems.is_empty() {
                    for problem in &input.problems {
                        console.error(&problem.lines());
                    }
                    return Ok(Exit::Failed);
                }
                input.check_documents(laid.has_documents, paths)?;
                Some(laid)
            }
        };
        let pod = match (&self.pod, &laid) {
            (Some(name), _) => PodSource::Live(name),
            (None, Some(laid)) => PodSource::Files(&laid.objects),
            (None, None) => return Err(Usage("name a pod, or files with -f".to_owned()).into()),
        };
        let mut reader = Reader::new(client);
        let question = PlaceQuestion { config: config.as_ref(), namespace: &namespace, pod };
        let placement = Box::pin(Placement::read(&mut reader, question)).await?;
        let (_, not_seen) = reader.end();
        let outcome = Outcome { placement: &placement, not_seen: &not_seen };
        let mut out = io::stdout().lock();
        match self.output {
            PlaceFormat::Text => out.write_all(Screen(self.color.for_stdout()).render(&outcome).as_bytes())?,
            PlaceFormat::Json => writeln!(out, "{}", serde_json::to_string_pretty(&document(&outcome))?)?,
        }
        out.flush()?;
        Ok(Exit::Done)
    }
}

/// Parses the name of a pod, with or without its kind.
fn pod_name(text: &str) -> Result<String, String> {
    let name = ["pod/", "pods/", "po/"].iter().find_map(|kind| text.strip_prefix(kind)).unwrap_or(text);
    if dns::is_subdomain(name) { Ok(name.to_owned()) } else { Err("use the name of a pod, such as mysql-0".to_owned()) }
}
