//! `make bench-peers`: colocate and two webhooks in Go, which get the same reviews, and claims from the same API server.

mod figures;
mod peer;
mod report;
mod sample;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use colocate::probe::Client;
use colocate_harness::Load;
use serde_json::{Value, json};
use tokio::runtime;

use self::figures::{Figures, LoadFigures, LoadKey};
use self::peer::{Peer, Programs};
use self::report::{Medians, Report};
use self::sample::SAMPLES;
use crate::apiserver::ApiServer;
use crate::claims::row::population;
use crate::figure::{megabytes, micros, seconds};
use crate::machine::{self, Cores};
use crate::server::Server;

/// The number of connections of the goals.
const USUAL: usize = 16;

/// The loads with few claims, and the one that is repeated with many.
const FEW_PLAN: [LoadKey; 6] = [
    LoadKey { sample: 0, connections: 1 },
    LoadKey { sample: 0, connections: USUAL },
    LoadKey { sample: 0, connections: 64 },
    LoadKey { sample: 1, connections: 1 },
    LoadKey { sample: 1, connections: USUAL },
    LoadKey { sample: 1, connections: 64 },
];
const MANY_PLAN: [LoadKey; 1] = [LoadKey { sample: 0, connections: USUAL }];

/// The share of a load's time for which it runs before it is measured, so that heaps and pools have their size.
const WARM_UP: u32 = 4;

/// The least CPU time of a webhook during a load. The kernel counts ticks of 10 ms, so the error is at most 5 %. A load with less
/// is repeated for twice as long.
const LEAST_USED: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_mins(2);

/// The timeout of a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// The options of `make bench-peers`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Number of claims of the large cluster
    #[arg(long, default_value_t = 50_000)]
    claims: usize,
    /// Number of starts of each webhook, whose medians are shown
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Duration of each load in seconds
    #[arg(long, default_value_t = 2)]
    seconds: u64,
}

/// Measures all webhooks, and prints the tables. The exit code is 1 if a goal is missed.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    // Needed by kube's client. It only fails if a provider is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let began = Instant::now();
    let introduction = introduction()?;
    let programs = Programs::build()?;
    let mut api = ApiServer::start(population(options.claims))?;
    api.create(claims())?;
    api.start_scheduler();

    let cores = Cores::of_this_process()?;
    machine::pin(cores.client)?;
    let bench = Bench { programs, core: cores.server, options };
    let few = bench.measure(api.kubeconfig(), &FEW_PLAN)?;
    api.fill(options.claims)?;
    let many = bench.measure(api.kubeconfig(), &MANY_PLAN)?;
    let report = Report { few: (sample::CLAIMS.len(), few), many: (options.claims + sample::CLAIMS.len(), many) };

    let (goals, missed) = report.goals()?;
    println!("\n{introduction}");
    println!("{goals}");
    println!("{}", report.loads()?);
    println!("{}", report.memory()?);
    println!("{}", notes(options));
    eprintln!("measured in {}", seconds(began.elapsed()));
    Ok(ExitCode::from(u8::from(missed > 0)))
}

/// The measurements of all webhooks.
struct Bench<'o> {
    programs: Programs,
    core: usize,
    options: &'o Options,
}

impl Bench<'_> {
    /// Starts the webhooks in turn, several times, and returns the medians.
    fn measure(&self, kubeconfig: &Path, plan: &[LoadKey]) -> anyhow::Result<Medians> {
        let mut starts: BTreeMap<Peer, Vec<Figures>> = BTreeMap::new();
        let mut expected = Vec::new();
        for round in 1..=self.options.rounds {
            for peer in Peer::ALL {
                eprintln!("round {round} of {}: {peer}", self.options.rounds);
                let server = self.programs.start(peer, self.core, kubeconfig)?;
                let figures = self.measure_one(&server, plan, &mut expected);
                let figures = figures.with_context(|| format!("cannot measure {peer}"))?;
                eprintln!("  ready in {}, {}", seconds(figures.ready), megabytes(figures.idle));
                starts.entry(peer).or_default().push(figures);
            }
        }
        starts
            .into_iter()
            .map(|(peer, starts)| Some((peer, Figures::medians(&starts)?)))
            .collect::<Option<_>>()
            .context("no round")
    }

    /// Measures a webhook that was just started. `expected` gets the objects that the first one returns, and every other one
    /// must return the same.
    fn measure_one(&self, server: &Server, plan: &[LoadKey], expected: &mut Vec<Value>) -> anyhow::Result<Figures> {
        let ready = server.wait_until_ready()?;
        let idle = server.resident_at_rest()?;
        let client = Client::new(server.url().parse()?, &server.authority()?, PATIENCE)?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut changed = Vec::new();
            for sample in SAMPLES {
                changed.push(sample.changed(&client).await?);
            }
            if expected.is_empty() {
                expected.clone_from(&changed);
            }
            ensure!(changed == *expected, "it changes objects differently: {changed:?} instead of {expected:?}");

            let (mut loads, mut loaded) = (BTreeMap::new(), idle);
            for key in plan {
                loads.insert(*key, self.load(server, &client, *key, &mut loaded).await?);
            }
            Ok(Figures { ready, idle, loaded, loads })
        })
    }

    async fn load(
        &self,
        server: &Server,
        client: &Client,
        LoadKey { sample, connections }: LoadKey,
        loaded: &mut u64,
    ) -> anyhow::Result<LoadFigures> {
        let mut duration = Duration::from_secs(self.options.seconds);
        let mut load = Load::open(client, SAMPLES[sample].body(), connections).await?;
        load.run(duration / WARM_UP).await?;
        let (timings, used) = loop {
            let before = server.cpu_time()?;
            let timings = load.run(duration).await?;
            let used = server.cpu_time()?.saturating_sub(before);
            if used >= LEAST_USED {
                break (timings, used);
            }
            duration *= 2;
            ensure!(duration < LONGEST, "the machine is too busy: the webhook got only {used:?} of CPU time");
        };
        let figures = LoadFigures::new(&timings, used);
        // Measured while the connections are open, because each has buffers.
        *loaded = server.resident()?.max(*loaded);
        eprintln!("  {}, {connections} connections: {}", SAMPLES[sample].label()?, micros(figures.cpu));
        Ok(figures)
    }
}

/// Returns the namespace and the claims of the reviews: the path of each, and its JSON.
fn claims() -> impl Iterator<Item = (String, String)> {
    let namespace = json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": sample::NAMESPACE}});
    let claims = sample::CLAIMS.into_iter().map(|name| {
        let claim = json!({
            "kind": "PersistentVolumeClaim",
            "apiVersion": "v1",
            "metadata": {"name": name},
            "spec": {
                "storageClassName": "px-db",
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "2Gi"}},
            },
        });
        (format!("/api/v1/namespaces/{}/persistentvolumeclaims", sample::NAMESPACE), claim.to_string())
    });
    [("/api/v1/namespaces".to_owned(), namespace.to_string())].into_iter().chain(claims)
}

fn introduction() -> anyhow::Result<String> {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Ok(format!(
        "Measured on two cores of {} by `make bench-peers`, with {}.\nBefore the run, the load average of the machine was {}.\n",
        machine::cpu_name(&info).unwrap_or("an unnamed processor"),
        peer::versions()?,
        load.split(' ').next().unwrap_or("unknown"),
    ))
}

fn notes(Options { rounds, seconds, .. }: &Options) -> String {
    format!(
        "All figures are medians of {rounds} starts. Each load takes {seconds} s, or longer if the machine is busy. The memory under load is the largest of all loads\n\
         of the row. Every webhook gave the same answers: TLS 1.3, and a patch that results in the same object."
    )
}
