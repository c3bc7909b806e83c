//! `colocate locality`: compares the nodes of running pods with the nodes that hold their volumes' data.

mod document;
mod metrics;
mod tables;

use std::io::{self, Write as _};

use clap::{Args, ValueEnum};

use self::document::document;
use self::metrics::metrics;
use self::tables::Tables;
use super::Exit;
use super::audit::percent;
use super::cluster_options::ClusterOptions;
use super::console::Console;
use super::examples::{self, Examples};
use super::input::{check_namespace, namespace};
use super::paint::{ColorOption, bounded};
use crate::api::ApiClient;
use crate::inspect::{ConfigSource, LocalityQuestion, LocalityReport, NotSeen, Reader};
use crate::locality::{Counts, Shares};

/// Show how many pods run on nodes that hold their volumes' data, and why the others do not
///
/// Asks each driver's storage system where its volumes are: the gateway of Portworx through the API server, or, if the configuration
/// names their drivers, the custom resources of Longhorn, HwameiStor, TopoLVM, OpenEBS LVM and LINSTOR, or the node affinity of
/// volumes. Pods that need not be local do not count as failures, and pods with a missing fact count as unknown. The command only
/// reads. Each missing permission is listed with the facts that it hides.
#[derive(Debug, Args)]
#[command(after_help = examples::text(&EXAMPLES))]
#[expect(clippy::doc_markdown, reason = "the text is help, where backticks would show")]
pub(super) struct Locality {
    /// Examine all namespaces, as without -n
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,

    /// Examine one namespace
    #[arg(short, long, value_parser = namespace)]
    namespace: Option<String>,

    #[command(flatten)]
    cluster: ClusterOptions,

    /// Group the counts by this field
    #[arg(long, value_enum, default_value_t = Grouping::Namespace)]
    by: Grouping,

    /// The output format
    #[arg(short, long, value_enum, default_value_t = LocalityFormat::Table)]
    output: LocalityFormat,

    /// Exit with 4 if less than this percentage of the pods run on a node with their data
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    fail_under: Option<f64>,

    /// Exit with 3 if something could not be read, a pod is unknown, or a storage system has no driver in the configuration
    #[arg(long)]
    strict: bool,

    /// Do not show progress
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    color: ColorOption,
}

const EXAMPLES: Examples = [
    ("Show the share of each workload in a namespace:", "colocate locality --namespace db --by workload"),
    ("Fail if fewer than 95 % of the pods run with their data:", "colocate locality --fail-under 95"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Grouping {
    Namespace,
    Workload,
    Driver,
    Node,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LocalityFormat {
    /// Tables, with the groups that need attention and the first pods that are not local
    Table,
    /// Tables with all groups, more pods, and what to do
    Wide,
    /// One document of docs/schemas/locality.json
    Json,
    /// Gauges for the textfile collector of the Prometheus node exporter
    #[value(name = "openmetrics")]
    OpenMetrics,
}

/// The result, as the formats show it.
struct Outcome<'a> {
    report: &'a LocalityReport,
    namespace: Option<&'a str>,
    by: Grouping,
    seen: &'a [String],
    not_seen: &'a [NotSeen],
}

impl Locality {
    /// Runs the command.
    ///
    /// # Errors
    /// If the configuration cannot be read, the cluster does not answer, or the output cannot be written.
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let choice = self.cluster.choice();
        let config = self.cluster.config()?;
        let mut console = Console::new(self.quiet);
        let mut reader = Reader::new(ApiClient::for_command(true, choice).await?);
        let question =
            LocalityQuestion { cluster: choice, config: config.as_ref(), namespace: self.namespace.as_deref() };
        let report = Box::pin(LocalityReport::read(&mut reader, question, |what| console.count(what))).await;
        console.clear();
        let report = report?;
        check_namespace(self.namespace.as_deref(), report.is_namespace_missing)?;
        let (seen, not_seen) = reader.end();
        let namespace = self.namespace.as_deref();
        let outcome = Outcome { report: &report, namespace, by: self.by, seen: &seen, not_seen: &not_seen };
        let mut out = io::stdout().lock();
        match self.output {
            LocalityFormat::Json => writeln!(out, "{}", serde_json::to_string_pretty(&document(&outcome))?)?,
            LocalityFormat::OpenMetrics => {
                for one in &not_seen {
                    console.say(&format!("colocate: {}\n", bounded(&one.to_string())));
                }
                out.write_all(metrics(&outcome).as_bytes())?;
            }
            LocalityFormat::Table | LocalityFormat::Wide => {
                let wide = self.output == LocalityFormat::Wide;
                let tables = Tables { paint: self.color.for_stdout(), wide };
                out.write_all(tables.render(&outcome).as_bytes())?;
            }
        }
        out.flush()?;
        Ok(self.exit(&outcome, &mut console))
    }

    fn exit(&self, outcome: &Outcome<'_>, console: &mut Console) -> Exit {
        let unknown = outcome.report.shares.as_ref().map_or(0, |shares| shares.total.unknown);
        let is_open = unknown > 0 || !outcome.not_seen.is_empty() || !outcome.report.not_counted.is_empty();
        let unresolved = self.strict && is_open;
        if let Some(least) = self.fail_under {
            let cannot = |why: &str| format!("colocate: --fail-under cannot be evaluated: {why}\n");
            let Some(shares) = &outcome.report.shares else {
                console.say(&cannot("the pods cannot be listed"));
                return Exit::Failed;
            };
            if outcome.report.config == ConfigSource::NotSeen {
                console.say(&cannot("the drivers are not known, name a configuration with --config"));
                return Exit::Failed;
            }
            let percent = shares.total.percent_local();
            if percent.is_none() && shares.total.unknown > 0 {
                console.say(&cannot(
                    "no pod is known to run with its data or without it: resolve the reasons that the output lists",
                ));
                return Exit::Failed;
            }
            // Without pods, there is nothing to complain about.
            if percent.is_some_and(|percent| percent < least) && !unresolved {
                return Exit::WouldChange;
            }
        }
        if unresolved { Exit::Unresolved } else { Exit::Done }
    }
}

impl Grouping {
    /// The names of the labels of a group.
    const fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Namespace => &["namespace"],
            Self::Workload => &["namespace", "kind", "name"],
            Self::Driver => &["driver"],
            Self::Node => &["node"],
        }
    }

    /// The number of pods that are in no group, because there are too many groups.
    const fn more(self, shares: &Shares) -> u64 {
        match self {
            Self::Namespace => shares.more.namespaces,
            Self::Workload => shares.more.workloads,
            Self::Driver => shares.more.drivers,
            Self::Node => shares.more.nodes,
        }
    }

    /// The groups, each with the values of its labels.
    fn groups(self, shares: &Shares) -> Vec<(Vec<&str>, &Counts)> {
        let groups = match self {
            Self::Namespace => &shares.namespaces,
            Self::Driver => &shares.drivers,
            Self::Node => &shares.nodes,
            Self::Workload => {
                let workloads = shares.workloads.iter();
                return workloads
                    .map(|(key, counts)| (vec![&*key.namespace, &*key.kind, &*key.name], counts))
                    .collect();
            }
        };
        groups.iter().map(|(name, counts)| (vec![&**name], counts)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locality::Uncounted;

    #[test]
    fn each_grouping_has_its_own_number_of_left_out_pods() {
        let more = Uncounted { namespaces: 1, workloads: 2, drivers: 3, nodes: 4 };
        let shares = Shares { more, ..Shares::default() };
        let numbers = Grouping::value_variants().iter().map(|grouping| grouping.more(&shares));
        assert_eq!(numbers.collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
