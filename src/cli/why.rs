//! `colocate why`: explains the scheduler of a live pod or workload.

mod text;

use std::io::{self, Write as _};

use clap::{Args, ValueEnum};

use self::text::Screen;
use super::cluster_options::ClusterOptions;
use super::examples::{self, Examples};
use super::input::namespace;
use super::paint::ColorOption;
use super::{Exit, Usage};
use crate::api::ApiClient;
use crate::inspect::{Question, Report, Target, UnknownKind};

/// Explain why a live pod or workload has its scheduler
///
/// Compares it with the decision that colocate would make now, and names the cause of a difference with its evidence: for example
/// that it was created before colocate or while colocate was unavailable, or that a selector excludes it. The command only reads.
/// Missing permissions are listed with the facts that are not known as a result.
#[derive(Debug, Args)]
#[command(after_help = examples::text(&EXAMPLES))]
pub(super) struct Why {
    /// The object, as in kubectl: pod/mysql-0, deploy/mysql; also of a kind in customWorkloads
    #[arg(value_name = "KIND/NAME")]
    object: String,

    /// The name, if the first word is only the kind: pod mysql-0
    name: Option<String>,

    /// The namespace of the object [default: the kubeconfig's]
    #[arg(short, long, value_parser = namespace)]
    namespace: Option<String>,

    #[command(flatten)]
    cluster: ClusterOptions,

    /// The output format
    #[arg(short, long, value_enum, default_value_t = WhyFormat::Text)]
    output: WhyFormat,

    #[command(flatten)]
    color: ColorOption,

    /// Ask the API server, with a dry run, which scheduler the same pod would get now
    #[arg(long)]
    dry_run: bool,

    /// Exit with 3 if something could not be read
    #[arg(long)]
    strict: bool,

    /// Exit with 4 if the object is not as expected
    #[arg(long)]
    check: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WhyFormat {
    /// Lines and tables for people
    Text,
    /// One document of docs/schemas/why.json
    Json,
}

const EXAMPLES: Examples = [
    ("Explain why a pod has its scheduler:", "colocate why pod/mysql-0 --namespace db"),
    ("Fail unless the pods of a StatefulSet are as expected:", "colocate why sts/mysql --namespace db --check"),
];

impl Why {
    /// Runs the command.
    ///
    /// # Errors
    /// If the object does not exist or may not be read, or the cluster does not answer.
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let target = Target::parse(&self.object, self.name.as_deref()).map_err(Usage)?;
        if self.dry_run && !target.is_pod() {
            let usage = "--dry-run needs a pod: name one of those that `colocate why` lists for the workload";
            return Err(Usage(usage.to_owned()).into());
        }
        let choice = self.cluster.choice();
        let config = self.cluster.config()?;
        if let Some(config) = &config {
            target.check(config.custom_workloads()).map_err(|unknown| Usage(unknown.to_string()))?;
        }
        let client = ApiClient::for_command(true, choice).await?;
        let namespace = self.namespace.clone().unwrap_or_else(|| client.namespace().to_owned());
        let question = Question {
            target: &target,
            namespace: &namespace,
            cluster: choice,
            config,
            dry_run: self.dry_run,
            locate: true,
        };
        let report =
            Box::pin(question.answer(client)).await.map_err(|error| match error.downcast::<UnknownKind>() {
                Ok(unknown) => Usage(unknown.to_string()).into(),
                Err(error) => error,
            })?;
        let mut out = io::stdout().lock();
        match self.output {
            WhyFormat::Text => out.write_all(Screen(self.color.for_stdout()).report(&report).as_bytes())?,
            WhyFormat::Json => writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?,
        }
        out.flush()?;
        Ok(self.exit(&report))
    }

    fn exit(&self, report: &Report) -> Exit {
        let pods = report.pods.iter().flatten().map(|pod| &pod.cause);
        let as_expected = pods.chain([&report.cause]).all(|cause| cause.verdict.is_expected());
        if self.strict && !report.not_seen.is_empty() {
            Exit::Unresolved
        } else if self.check && !as_expected {
            Exit::WouldChange
        } else {
            Exit::Done
        }
    }
}
