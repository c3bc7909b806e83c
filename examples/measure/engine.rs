//! `make bench`: the engine, from the output of the bench `engine`, and the whole server, which runs on one core and is
//! called from another.

mod divan;

use std::fs;
use std::io::{BufRead, IsTerminal, stdin};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use colocate::probe::{Client, Verdict as Answer};
use colocate_harness::{Load, Timings};

use self::divan::{Cost, Costs};
use crate::figure::{kilobytes, megabytes, micros, ratio, whole};
use crate::machine::{self, Cores};
use crate::server::Server;
use crate::table::{Table, Verdict};

/// The review of the targets: a new Deployment of 9 kB, which gets a patch.
const SAMPLE: &str = "deployment-create";
const REVIEW: &str = include_str!("../../tests/fixtures/reviews/deployment-create.json");
const UID: &str = "fb928068-e370-47a4-9e6a-34d1f29ebf1e";

/// Targets, as multiples of S where they are times.
const TOGETHER: f64 = 1.5;
const ALLOCATIONS: u64 = 16;
const SERVER_CPU: f64 = 4.5;
/// The minimum load of the core. It is below 1 because the server may have to wait for the client.
const BUSY: f64 = 0.9;
const RESIDENT: u64 = 10_000_000;

/// The numbers of connections. An API server opens one or two for each webhook, and more under load.
const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// The number of connections of the targets.
const USUAL: usize = 16;

/// The number of tries of each load. The one with the least CPU time is shown: on a machine with other load, it is the
/// reproducible one.
const TRIES: usize = 4;
const TRY: Duration = Duration::from_secs(2);

/// The timeout of a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads the output of the bench from standard input, measures the server, and prints the tables.
pub(crate) fn run() -> anyhow::Result<()> {
    if stdin().is_terminal() {
        println!("This program reads the output of the bench `engine`: run `make bench`.");
        return Ok(());
    }
    let mut text = String::new();
    for line in stdin().lock().lines() {
        let line = line?;
        // Shows progress.
        eprintln!("{line}");
        text += &line;
        text.push('\n');
    }
    let engine = Engine::new(Costs::parse(text.lines()))?;
    let server = Measured::new()?;

    println!("\n{}", introduction(engine.s()));
    println!("{}", targets(&engine, &server));
    println!("{}", server.loads());
    println!("{}", engine.samples());
    Ok(())
}

fn introduction(s: Duration) -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = machine::cpu_name(&info).unwrap_or("an unnamed processor");
    format!(
        "Measured on one core of {cpu} by `make bench`. **S = {}** is the time that `serde_json` takes to skip the {} of a new\n\
         Deployment. No webhook that reads JSON can be faster.\n",
        micros(s),
        kilobytes(REVIEW.trim_end().len()),
    )
}

fn targets(engine: &Engine, server: &Measured) -> Table {
    let mut table = Table::new(["measurement", "target", "result", ""]);
    let s = engine.s();
    let mut time = |label: &str, target: Option<f64>, time: Duration| {
        let (goal, verdict) = match target {
            Some(target) => (format!("at most {target} S"), Verdict::of(time <= s.mul_f64(target)).to_string()),
            None => (String::new(), String::new()),
        };
        table.row([label.to_owned(), goal, format!("{:.2} S, {}", ratio(time, s), micros(time)), verdict]);
    };
    let together = engine.cost("together");
    time("parse the review, decide, answer with a patch", Some(TOGETHER), together.fastest);
    time("the whole server, TLS and HTTP included: CPU time per review", Some(SERVER_CPU), server.usual().cpu());
    let allocated = together.allocations;
    table.row([
        "allocations to parse, decide and answer".into(),
        format!("at most {ALLOCATIONS}"),
        allocated.to_string(),
        Verdict::of(allocated <= ALLOCATIONS).to_string(),
    ]);
    let (goal, rate) = (BUSY / (SERVER_CPU * s.as_secs_f64()), server.usual().timings.per_second());
    table.row([
        format!("reviews per second, one core, {USUAL} connections"),
        format!("at least {BUSY} / ({SERVER_CPU} S) = {}", whole(goal)),
        whole(rate),
        Verdict::of(rate >= goal).to_string(),
    ]);
    table.row([
        "resident memory, 64 connections open".into(),
        format!("under {} MB", RESIDENT / 1_000_000),
        megabytes(server.resident),
        Verdict::of(server.resident < RESIDENT).to_string(),
    ]);
    let handshakes = &server.handshakes;
    table.row([
        "TLS handshakes per second, one core".into(),
        String::new(),
        format!("{}, {} of CPU time each", whole(handshakes.timings.per_second()), micros(handshakes.cpu())),
        String::new(),
    ]);
    for (bench, label) in [
        ("kube_dynamic_object", "for comparison: kube's `AdmissionReview<DynamicObject>`, patched and answered"),
        ("typed_deployment", "for comparison: the object alone as a typed `Deployment`, decoded and encoded"),
    ] {
        let Cost { fastest, allocations } = engine.cost(bench);
        let result = format!("{:.2} S, {}, {allocations} allocations", ratio(fastest, s), micros(fastest));
        table.row([label.into(), String::new(), result, String::new()]);
    }
    table
}

/// The results of the bench `engine`.
struct Engine(Costs);

impl Engine {
    fn new(costs: Costs) -> anyhow::Result<Self> {
        for bench in ["skip", "parse", "decide", "answer", "together", "kube_dynamic_object", "typed_deployment"] {
            ensure!(costs.cost(bench, SAMPLE).is_some(), "the bench `engine` did not print {bench}/{SAMPLE}");
        }
        Ok(Self(costs))
    }

    fn s(&self) -> Duration {
        self.cost("skip").fastest
    }

    fn cost(&self, bench: &str) -> Cost {
        self.0.cost(bench, SAMPLE).unwrap_or_default()
    }

    /// Returns a table of all samples.
    fn samples(&self) -> Table {
        let mut table = Table::new(["review", "S", "parse", "decide", "answer", "together", "allocations"]);
        for sample in self.0.arguments("skip") {
            let cost = |bench| self.0.cost(bench, sample).unwrap_or_default();
            let s = cost("skip").fastest;
            let multiple = |bench| format!("{:.2} S", ratio(cost(bench).fastest, s));
            table.row([
                format!("`{sample}`"),
                micros(s),
                multiple("parse"),
                multiple("decide"),
                multiple("answer"),
                multiple("together"),
                cost("together").allocations.to_string(),
            ]);
        }
        table
    }
}

/// The measurements of the server.
struct Measured {
    by_connections: Vec<(usize, Use)>,
    handshakes: Use,
    resident: u64,
}

/// The timings of a try, and the CPU time of the server.
struct Use {
    timings: Timings,
    cpu: Duration,
}

impl Use {
    fn cpu(&self) -> Duration {
        self.cpu.div_f64(self.timings.per_second() * self.timings.elapsed().as_secs_f64())
    }
}

impl Measured {
    fn new() -> anyhow::Result<Self> {
        let Cores { server, client } = Cores::of_this_process()?;
        let server = start(server)?;
        machine::pin(client)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(Self::measure(&server))
    }

    async fn measure(server: &Server) -> anyhow::Result<Self> {
        let client = Client::new(server.url().parse()?, &server.authority()?, PATIENCE)?;
        let review = Bytes::from_static(REVIEW.as_bytes());
        let answer = Answer::read(&client.ask(review.clone()).await?, UID)?;
        ensure!(answer.changes() == 1, "the server does not know the sample's claim: {answer:?}");

        let mut by_connections = Vec::new();
        let mut resident = 0;
        for connections in CONNECTIONS {
            eprintln!("measuring reviews over {connections} connections");
            let mut load = Load::open(&client, review.clone(), connections).await?;
            let used = best(server, async || Ok(load.run(TRY).await?)).await?;
            // Measured while the connections are open, because each has buffers.
            resident = resident.max(server.resident()?);
            by_connections.push((connections, used));
        }
        eprintln!("measuring TLS handshakes");
        let handshakes = best(server, async || Ok(Timings::of_handshakes(&client, 4, TRY).await?)).await?;
        Ok(Self { by_connections, handshakes, resident })
    }

    fn usual(&self) -> &Use {
        let usual = self.by_connections.iter().find(|(connections, _)| *connections == USUAL);
        usual.map_or(&self.handshakes, |(_, used)| used)
    }

    fn loads(&self) -> Table {
        let mut table =
            Table::new(["connections", "reviews per second", "CPU time per review", "core busy", "p50", "p99"]);
        for (connections, used) in &self.by_connections {
            let Use { timings, cpu } = used;
            table.row([
                connections.to_string(),
                whole(timings.per_second()),
                micros(used.cpu()),
                format!("{:.0}%", ratio(*cpu, timings.elapsed()) * 100.0),
                micros(timings.percentile(50)),
                micros(timings.percentile(99)),
            ]);
        }
        table
    }
}

/// Returns the try with the least CPU time per request.
async fn best(server: &Server, mut attempt: impl AsyncFnMut() -> anyhow::Result<Timings>) -> anyhow::Result<Use> {
    let mut best: Option<Use> = None;
    for _ in 0..TRIES {
        let before = server.cpu_time()?;
        let timings = attempt().await?;
        let used = Use { timings, cpu: server.cpu_time()?.saturating_sub(before) };
        if best.as_ref().is_none_or(|best| used.cpu() < best.cpu()) {
            best = Some(used);
        }
    }
    best.context("no try")
}

/// Starts a server on one core that knows the sample's claim.
fn start(core: usize) -> anyhow::Result<Server> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    Server::start(&["taskset", "--cpu-list", &core.to_string()], |command| {
        command.arg("--manifests").arg(examples.join("mysql")).arg(examples.join("measure/claim.yaml"));
    })
}
