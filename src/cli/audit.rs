//! `colocate audit`: compares the pods of a cluster with what colocate would decide about them.

mod audit_log;
mod document;
mod files;
mod open_reports;
mod plan;
mod tables;

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use self::audit_log::AuditLogOptions;
use self::document::Document;
pub(super) use self::files::LaidFiles;
use self::tables::Tables;
pub(super) use self::tables::{floor_to_tenth, table};
use super::console::Console;
use super::examples::{self, Examples};
use super::input::{FileOptions, Input, check_namespace, load_config, namespace, path_or_nothing};
use super::paint::{ColorOption, bounded};
use super::problem::Problem;
use super::{Exit, Usage};
use crate::api::{ApiClient, ClusterChoice};
use crate::config::Config;
use crate::inspect::{self, AuditQuestion, Kubectl, NotSeen, Reader};

/// Count the pods of a cluster that are on the expected scheduler, and those that are not
///
/// For each pod, the decision is the one that colocate would make if the pod were created now, with the configuration of the
/// cluster's colocate. The command only reads. Missing permissions are listed with the facts that are not known as a result. Before
/// the first installation, the output shows what colocate would change.
#[derive(Debug, Args)]
#[command(after_help = examples::text(&EXAMPLES))]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[expect(clippy::struct_field_names, reason = "a field has the name of its option")]
pub(super) struct Audit {
    /// Audit all namespaces (the default)
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,

    /// Audit one namespace
    #[arg(short, long, value_parser = namespace)]
    namespace: Option<String>,

    /// The context of the kubeconfig; repeat it to audit several clusters
    #[arg(long, value_name = "NAME")]
    context: Vec<String>,

    /// The kubeconfig, instead of the one that kubectl would use
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The configuration file of colocate; without one, it is read from the cluster
    #[arg(long, value_name = "FILE", env = "COLOCATE_CONFIG", value_parser = path_or_nothing())]
    config: Option<PathBuf>,

    /// Simulate `kubectl apply` of files, and show which running pods would get another scheduler: a file, a directory, or -
    /// for standard input
    #[arg(short, long = "filename", value_name = "FILE|DIR|-", num_args = 1.., value_delimiter = ',')]
    filename: Vec<PathBuf>,

    #[command(flatten)]
    files: FileOptions,

    /// Read API server audit logs, and list the objects that colocate missed and whether they still exist; use - for standard
    /// input
    #[arg(
        long, value_name = "FILE|-", num_args = 1..,
        conflicts_with_all = ["all_namespaces", "fail_under", "filename", "repair_plan"]
    )]
    audit_log: Vec<PathBuf>,

    /// Do not check in the cluster which of the missed objects still exist
    #[arg(long, requires = "audit_log", conflicts_with_all = ["context", "kubeconfig"])]
    offline: bool,

    /// The output format
    #[arg(short, long, value_enum, default_value_t = AuditFormat::Table)]
    output: AuditFormat,

    /// Print commands that evict the pods that are wrong, in an order that respects disruption budgets, instead of tables.
    /// Nothing is run
    #[arg(long, conflicts_with_all = ["filename", "output"])]
    repair_plan: bool,

    /// Exit with 4 if less than this percentage of the pods is on the expected scheduler
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    fail_under: Option<f64>,

    /// Exit with 3 if something could not be read
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    color: ColorOption,
}

const EXAMPLES: Examples = [
    (
        "Fail if fewer than 99.5 % of the pods of two clusters are as expected:",
        "colocate audit --context west --context east --fail-under 99.5",
    ),
    ("Show what a pull request would change for running pods:", "kustomize build overlays/prod | colocate audit -f -"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AuditFormat {
    /// Tables, with the namespaces and workloads that need attention
    Table,
    /// Tables with all namespaces and workloads
    Wide,
    /// One document of docs/schemas/audit.json
    Json,
    /// Reports of openreports.io/v1alpha1 for kubectl apply
    #[value(name = "openreports")]
    OpenReports,
}

/// The result for a cluster.
struct ClusterAudit {
    /// The context, if one was named.
    context: Option<String>,
    /// The result, or the reason why there is none.
    audit: Result<inspect::Audit, Problem>,
    /// The resources that were read.
    seen: Vec<String>,
    not_seen: Vec<NotSeen>,
    /// The parts of the files that are not used, each with the reason.
    skipped: Vec<String>,
}

impl Audit {
    /// Runs the command.
    ///
    /// # Errors
    /// If the configuration cannot be read, or the output cannot be written. A cluster that does not answer does not prevent the
    /// audit of the others.
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        self.check_format()?;
        if !self.audit_log.is_empty() {
            return self.read_audit_logs().await;
        }
        let config = load_config(self.config.as_deref())?;
        let mut console = Console::new(false);
        self.files.check_usage("audit -f", &self.filename, &[])?;
        let mut input = match &self.filename[..] {
            [] => None,
            paths => Some(self.files.find(paths, &[], None)?),
        };
        let contexts: Vec<_> = match &self.context[..] {
            [] => vec![None],
            contexts => contexts.iter().map(Some).collect(),
        };
        let tables = Tables { paint: self.color.for_stdout(), wide: self.output == AuditFormat::Wide };
        let (mut document, mut exits) = (Document::default(), Vec::new());
        let mut out = io::stdout().lock();
        for (number, context) in contexts.iter().enumerate() {
            let cluster =
                self.audit(context.map(String::as_str), config.as_ref(), input.as_mut(), &mut console).await?;
            console.clear();
            if let Some(input) = input.as_ref().filter(|input| !input.problems.is_empty()) {
                input.problems.iter().for_each(|problem| console.error(&problem.lines()));
                console.error("colocate: correct the files, or leave them out with --exclude\n");
                return Ok(Exit::Failed);
            }
            if let Err(problem) = &cluster.audit {
                console.say(&problem.lines());
            }
            exits.push(self.exit(&cluster, &mut console));
            if self.output == AuditFormat::Json {
                document.add(&cluster, self.namespace.as_deref());
            } else if self.output == AuditFormat::OpenReports {
                cluster
                    .not_seen
                    .iter()
                    .for_each(|not_seen| console.say(&format!("colocate: {}\n", bounded(&not_seen.to_string()))));
                if let Ok(audit) = &cluster.audit {
                    out.write_all(open_reports::render(audit)?.as_bytes())?;
                }
            } else if self.repair_plan {
                let cluster_choice = self.cluster(context.map(String::as_str));
                write!(out, "{}", plan::script(&cluster, Kubectl(cluster_choice)))?;
            } else {
                let gap = if number == 0 { "" } else { "\n" };
                write!(out, "{gap}{}", tables.render(&cluster, contexts.len() > 1))?;
            }
        }
        if self.output == AuditFormat::Json {
            writeln!(out, "{}", serde_json::to_string_pretty(&document)?)?;
        }
        out.flush()?;
        let worst = [Exit::Failed, Exit::Unresolved, Exit::WouldChange].into_iter().find(|exit| exits.contains(exit));
        Ok(worst.unwrap_or(Exit::Done))
    }

    /// Rejects combinations for which reports have no place.
    fn check_format(&self) -> Result<(), Usage> {
        let obstacle = if self.output != AuditFormat::OpenReports {
            return Ok(());
        } else if self.context.len() > 1 {
            "the reports are for one cluster: name one --context"
        } else if !self.filename.is_empty() {
            "the reports are about the live cluster: remove -f, or use -o json"
        } else if !self.audit_log.is_empty() {
            "the reports are about the live cluster: remove --audit-log, or use -o json"
        } else {
            return Ok(());
        };
        Err(Usage(format!("-o openreports: {obstacle}")))
    }

    /// Runs the command with audit logs, which are those of one cluster.
    async fn read_audit_logs(&self) -> anyhow::Result<Exit> {
        let context = match &self.context[..] {
            [] => None,
            [context] => Some(context.as_str()),
            _ => return Err(Usage("--audit-log needs one cluster: use --context once".to_owned()).into()),
        };
        let cluster = self.cluster(context);
        let options = AuditLogOptions {
            files: &self.audit_log,
            namespace: self.namespace.as_deref(),
            cluster: (!self.offline).then_some(cluster),
            output: self.output,
            paint: self.color.for_stdout(),
            strict: self.strict,
        };
        audit_log::run(&options).await
    }

    /// The cluster of a context.
    fn cluster<'a>(&'a self, context: Option<&'a str>) -> ClusterChoice<'a> {
        ClusterChoice { kubeconfig: self.kubeconfig.as_deref(), context }
    }

    /// Audits a cluster.
    async fn audit(
        &self,
        context: Option<&str>,
        config: Option<&Config>,
        input: Option<&mut Input>,
        console: &mut Console,
    ) -> anyhow::Result<ClusterAudit> {
        let mut cluster = ClusterAudit {
            context: context.map(str::to_owned),
            audit: Ok(inspect::Audit::default()),
            seen: Vec::new(),
            not_seen: Vec::new(),
            skipped: Vec::new(),
        };
        let client = match ApiClient::for_command(true, self.cluster(context)).await {
            Ok(client) => client,
            Err(error) => {
                cluster.audit = Err(Problem::from(&anyhow::Error::from(error)));
                return Ok(cluster);
            }
        };
        let laid = match input {
            Some(input) => {
                let namespace = self.namespace.as_deref().unwrap_or_else(|| client.namespace());
                let laid = LaidFiles::read(input, namespace, console);
                if !input.problems.is_empty() {
                    return Ok(cluster);
                }
                input.check_documents(laid.has_documents, &self.filename)?;
                cluster.skipped = input.skipped_charts("audit -f");
                Some(laid)
            }
            None => None,
        };
        let files = laid.as_ref().map(|laid| &laid.objects[..]);
        let mut reader = Reader::new(client);
        let question = AuditQuestion { config, namespace: self.namespace.as_deref(), files, plan: self.repair_plan };
        let audit = inspect::Audit::read(&mut reader, question, |what| console.count(what)).await;
        let audit = audit.map_err(anyhow::Error::from).and_then(|audit| {
            check_namespace(self.namespace.as_deref(), audit.is_namespace_missing)?;
            Ok(audit)
        });
        cluster.audit = audit.map_err(|error| Problem::from(&error));
        (cluster.seen, cluster.not_seen) = reader.end();
        cluster.skipped.extend(laid.into_iter().flat_map(|laid| laid.skipped));
        Ok(cluster)
    }

    /// Returns the exit code for a cluster.
    fn exit(&self, cluster: &ClusterAudit, console: &mut Console) -> Exit {
        let Ok(audit) = &cluster.audit else { return Exit::Failed };
        let unresolved = self.strict && !(cluster.not_seen.is_empty() && cluster.skipped.is_empty());
        if let Some(least) = self.fail_under {
            let Some(pods) = &audit.pods else {
                console.say("colocate: --fail-under cannot be evaluated: the pods cannot be listed\n");
                return Exit::Failed;
            };
            let percent = pods.total.percent_as_expected();
            if percent.is_none() && pods.total.not_sent > 0 {
                let not_sent = pods.total.not_sent;
                console.say(&format!(
                    "colocate: --fail-under cannot be evaluated: API servers send none of the pods to colocate ({not_sent} should be on another scheduler)\n"
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

/// Parses a percentage.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>();
    let number = number.ok().filter(|number| (0.0..=100.0).contains(number));
    number.ok_or_else(|| "use a percentage from 0 to 100, such as 99.5".to_owned())
}
