//! `colocate release`: removes the drivers' schedulers from templates whose sources do not name them.

mod document;
mod object_name;
mod rollouts;
mod screen;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use clap::{Args, ValueEnum};

use self::document::Document;
use self::object_name::ObjectName;
use self::rollouts::Rollouts;
use self::screen::Screen;
use super::cluster_options::ClusterOptions;
use super::examples::{self, Examples};
use super::input::{check_namespace, namespace};
use super::paint::ColorOption;
use super::{Exit, Usage, say};
use crate::api::ApiClient;
use crate::config::Config;
use crate::duration::GoDuration;
use crate::engine::{Source, amount};
use crate::insight::Effect;
use crate::inspect::{ConfigSource, FoundLeftover, Kubectl, Leftovers, NotSeen, Reader};

/// Remove the storage drivers' schedulers from pod templates after you stop using colocate
///
/// Lists the pod templates that name a driver's scheduler, and whether their source names one. A source is the manifest of kubectl
/// apply, the fields of server-side apply, or the manifest of the Helm release. With --apply, patches the templates whose source
/// does not name a scheduler. Running pods keep their scheduler. Objects with a controller are not listed, because the controller
/// writes their template.
///
/// Changes nothing without --apply. Before that, uninstall colocate or set mode: off, and switch Stork's webhook off: they would
/// set the scheduler again.
#[derive(Debug, Args)]
#[command(after_help = examples::text(&EXAMPLES))]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(super) struct Release {
    /// Release only these objects, such as deployment/web, even if their source is not known
    #[arg(value_name = "KIND/NAME", requires = "namespace")]
    objects: Vec<ObjectName>,

    /// All namespaces (the default)
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,

    /// One namespace
    #[arg(short, long, value_parser = namespace)]
    namespace: Option<String>,

    /// Also release templates whose source is not known
    #[arg(long, conflicts_with = "objects")]
    all: bool,

    /// Change the templates, one after the other. Most controllers then replace the pods
    #[arg(long)]
    apply: bool,

    /// Do not ask before the templates are changed
    #[arg(long, requires = "apply")]
    yes: bool,

    /// The longest time to wait for each rollout; with 0s, the next template is changed at once
    #[arg(long, value_name = "DURATION", default_value = "10m", requires = "apply")]
    timeout: GoDuration,

    /// The output format
    #[arg(short, long, value_enum, default_value_t = ReleaseFormat::Table, conflicts_with = "apply")]
    output: ReleaseFormat,

    /// Exit with 4 if there are templates to release
    #[arg(long, conflicts_with = "apply")]
    check: bool,

    /// Exit with 3 if something could not be read
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    cluster: ClusterOptions,

    #[command(flatten)]
    color: ColorOption,
}

const EXAMPLES: Examples = [
    ("List the templates that still name a driver's scheduler after colocate was uninstalled:", "colocate release"),
    (
        "Remove it from those of a namespace, one rollout after the other:",
        "colocate release --namespace team-a --apply",
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReleaseFormat {
    /// Tables
    Table,
    /// One kubectl command per template, for a shell
    Commands,
    /// One document of docs/schemas/release.json
    Json,
}

/// The handling of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    /// The scheduler is removed.
    Release,
    /// Its source is not known, so that it stays.
    Unknown,
    /// Its source names a scheduler, so that it has to be changed there.
    Keep,
    /// The API server rejects a change of the template.
    Reject,
}

/// The templates of a cluster that name a driver's scheduler, each with its handling.
struct Plan {
    templates: Vec<(Action, FoundLeftover)>,
    seen: Vec<String>,
    not_seen: Vec<NotSeen>,
    /// The origin of the configuration.
    config: ConfigSource,
    /// The schedulers that were searched for.
    schedulers: BTreeSet<String>,
}

impl Release {
    /// Runs the command.
    ///
    /// # Errors
    /// If the configuration or the cluster cannot be read, the output cannot be written, or a named object has no template to
    /// release. With `--apply`, if a webhook would set a scheduler again, or a rollout does not end.
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        if self.apply && !self.yes && !io::stdin().is_terminal() {
            let usage = "--apply asks before it changes templates, and standard input is not a terminal: add --yes";
            return Err(Usage(usage.to_owned()).into());
        }
        let config = self.cluster.config()?;
        let choice = self.cluster.choice();
        let client = ApiClient::for_command(true, choice).await?;
        let plan = self.plan(client.clone(), config.as_ref()).await?;
        let is_partial = self.strict && !plan.not_seen.is_empty();
        if self.apply {
            let done = self.apply(&client, &plan).await?;
            return Ok(if done == Exit::Done && is_partial { Exit::Unresolved } else { done });
        }
        let mut out = io::stdout().lock();
        match self.output {
            ReleaseFormat::Table => out.write_all(self.screen().plan(&plan).as_bytes())?,
            ReleaseFormat::Commands => {
                for found in plan.of(Action::Release) {
                    writeln!(out, "{}", self.command(found))?;
                }
                say(&screen::remarks(&plan));
            }
            ReleaseFormat::Json => {
                let document = Document::new(&plan, self.namespace.as_deref());
                writeln!(out, "{}", serde_json::to_string_pretty(&document)?)?;
            }
        }
        out.flush()?;
        if self.check && plan.seen.is_empty() {
            say("colocate: --check cannot be evaluated: no templates can be listed\n");
            return Ok(Exit::Failed);
        }
        Ok(match plan.of(Action::Release).next() {
            _ if is_partial => Exit::Unresolved,
            Some(_) if self.check => Exit::WouldChange,
            _ => Exit::Done,
        })
    }

    fn screen(&self) -> Screen {
        Screen { paint: self.color.for_stdout() }
    }

    /// Reads the cluster, and decides about each template.
    async fn plan(&self, client: ApiClient, config: Option<&Config>) -> anyhow::Result<Plan> {
        let mut reader = Reader::new(client);
        let leftovers = Leftovers::read(&mut reader, config, self.namespace.as_deref()).await?;
        let (_, not_seen) = reader.end();
        let Leftovers { is_namespace_missing, found, seen, config, schedulers } = leftovers;
        check_namespace(self.namespace.as_deref(), is_namespace_missing)?;
        for object in &self.objects {
            if !found.iter().any(|found| object.is(found)) {
                let namespace = self.namespace.as_deref().unwrap_or_default();
                let seen: Vec<_> = not_seen.iter().map(|not_seen| format!("; not seen: {not_seen}")).collect();
                let seen = seen.concat();
                anyhow::bail!(
                    "{object} in namespace {namespace} has no template to release: it does not exist, names no driver's scheduler, or has a controller{seen}"
                );
            }
        }
        let is_meant =
            |found: &FoundLeftover| self.objects.is_empty() || self.objects.iter().any(|name| name.is(found));
        let found = found.into_iter().filter(is_meant);
        let templates = found.map(|found| (self.action(&found), found)).collect();
        Ok(Plan { templates, seen, not_seen, config, schedulers })
    }

    fn action(&self, found: &FoundLeftover) -> Action {
        match found.leftover.source {
            Source::NamesScheduler => Action::Keep,
            _ if found.leftover.effect == Effect::Rejected => Action::Reject,
            Source::Unknown if !self.all && self.objects.is_empty() => Action::Unknown,
            Source::OmitsScheduler | Source::Unknown => Action::Release,
        }
    }

    /// Changes the templates.
    async fn apply(&self, client: &ApiClient, plan: &Plan) -> anyhow::Result<Exit> {
        let screen = self.screen();
        let mut out = io::stdout();
        out.write_all(screen.plan(plan).as_bytes())?;
        let templates: Vec<_> = plan.of(Action::Release).collect();
        if templates.is_empty() {
            return Ok(Exit::Done);
        }
        let rollouts = Rollouts { client, timeout: self.wait() };
        rollouts.check(&templates).await?;
        out.write_all(screen.consequence(&templates, self.wait()).as_bytes())?;
        out.flush()?;
        if !self.yes && !confirmed()? {
            writeln!(out, "Nothing was changed.")?;
            return Ok(Exit::Failed);
        }
        let mut failed = 0;
        for (index, found) in templates.iter().enumerate() {
            let released = rollouts.release(found).await.map_err(|error| {
                let left = templates.len() - index - 1;
                error.context(format!(
                    "stopped with {left} of {} left: run the command again",
                    amount(templates.len(), "template")
                ))
            })?;
            failed += usize::from(!released.succeeded());
            out.write_all(screen.released(found, &released).as_bytes())?;
            out.flush()?;
        }
        Ok(if failed > 0 { Exit::Failed } else { Exit::Done })
    }

    /// The time to wait for each rollout; `None` without a wait.
    fn wait(&self) -> Option<Duration> {
        Some(self.timeout.0).filter(|timeout| !timeout.is_zero())
    }

    /// The command that releases a template, for a shell.
    fn command(&self, found: &FoundLeftover) -> String {
        let leftover = &found.leftover;
        Kubectl(self.cluster.choice()).command([
            &*format!("--namespace={}", leftover.namespace),
            "patch",
            &format!("{}/{}", found.kind.resource, leftover.name),
            "--type=json",
            &format!("--patch={}", leftover.patch()),
        ])
    }
}

impl Plan {
    /// The templates that are handled in this way.
    fn of(&self, action: Action) -> impl Iterator<Item = &FoundLeftover> {
        self.templates.iter().filter(move |(of, _)| *of == action).map(|(_, found)| found)
    }
}

impl Action {
    /// The word in JSON.
    fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Unknown => "unknown",
            Self::Keep => "keep",
            Self::Reject => "reject",
        }
    }
}

/// Asks on the terminal.
fn confirmed() -> io::Result<bool> {
    say("Continue? [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
