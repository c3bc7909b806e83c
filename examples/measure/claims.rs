//! `make bench-claims`: the claim cache, with a real control plane and with a scripted API server.

mod cache;
mod lookups;
pub(crate) mod row;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use colocate_harness::PagingApi;

use self::cache::Cache;
use self::lookups::Lookup;
use self::row::{Row, Source, population};
use crate::apiserver::ApiServer;
use crate::figure::{megabytes, seconds, thousands};
use crate::machine;
use crate::table::{Table, Verdict};

/// Targets: resident bytes by number of claims, and ratios.
const RESIDENT: [(usize, u64); 2] = [(50_000, 32_000_000), (1_000_000, 200_000_000)];
const KUBECTL: f64 = 1.0;
const KUBECTL_AT: usize = 50_000;
const LOOKUP: f64 = 5.0;
const LOOKUP_AT: usize = 1_000_000;

/// The number of claims to whose lookup time the others are compared.
const FEW: usize = 1_000;

/// The options of `make bench-claims`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Numbers of claims, each with the API server that serves them
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "CLAIMS-real|CLAIMS-scripted",
        default_value = "1000-real,50000-real,50000-scripted,1000000-scripted"
    )]
    rows: Vec<Row>,
}

/// The figures of a row.
struct Figures {
    row: Row,
    sync: Duration,
    resident: u64,
    /// The resident memory after a relist, which only the scripted API server can force.
    relisted: Option<u64>,
    /// The time that kubectl needs for the same claims.
    kubectl: Option<Duration>,
}

/// Measures the rows, and prints the tables.
pub(crate) fn run(Options { rows }: Options) -> anyhow::Result<()> {
    // Needed by kube's client. It only fails if a provider is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let began = Instant::now();

    let lookups = lookups(&rows)?;
    let mut figures = Vec::new();
    for row in &rows {
        if row.source == Source::Scripted {
            figures.push(scripted(*row)?);
        }
    }
    figures.extend(real(&rows)?);
    figures.sort_by_key(|figures| rows.iter().position(|row| *row == figures.row));

    println!("\n{}", introduction());
    println!("{}", table(&figures, &lookups));
    println!("{}", notes(&lookups));
    println!("{}", targets(&figures, &lookups));
    eprintln!("measured in {}", seconds(began.elapsed()));
    Ok(())
}

/// Measures a lookup at each number of claims.
fn lookups(rows: &[Row]) -> anyhow::Result<BTreeMap<usize, Lookup>> {
    let mut lookups = BTreeMap::new();
    for claims in rows.iter().map(|row| row.claims).chain([FEW]) {
        if let Entry::Vacant(entry) = lookups.entry(claims) {
            eprintln!("looking up one of {} claims", thousands(claims as u64));
            entry.insert(Lookup::measure(population(claims))?);
        }
    }
    Ok(lookups)
}

fn scripted(row: Row) -> anyhow::Result<Figures> {
    eprintln!("{row}");
    let population = population(row.claims);
    let api = PagingApi::start(population)?;
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("kubeconfig");
    fs::write(&kubeconfig, api.kubeconfig())?;

    let portworx =
        (0..row.claims).rev().map(|number| population.claim(number)).find(|claim| claim.class().is_portworx());
    let witness = portworx.context("no claim has a Portworx class")?;
    let cache = Cache::measure(&kubeconfig, &witness)?;
    // The new list has only the claims that precede the witness. When the cache no longer has the witness, the relist
    // is complete.
    api.expire(witness.number);
    let relisted = cache.resident_without(&witness)?;
    eprintln!("  after a relist: {}", megabytes(relisted));
    Ok(Figures { row, sync: cache.sync, resident: cache.resident, relisted: Some(relisted), kubectl: None })
}

/// Measures all rows with the real API server, to which claims are added from row to row.
fn real(rows: &[Row]) -> anyhow::Result<Vec<Figures>> {
    let mut rows: Vec<_> = rows.iter().filter(|row| row.source == Source::Real).copied().collect();
    rows.sort_by_key(|row| row.claims);
    let Some(most) = rows.last() else { return Ok(Vec::new()) };
    let mut server = ApiServer::start(population(most.claims))?;
    let mut figures = Vec::new();
    for row in rows {
        eprintln!("{row}");
        server.fill(row.claims)?;
        let kubectl = server.time_kubectl()?;
        eprintln!("  kubectl: {}", seconds(kubectl));
        let cache = Cache::measure(server.kubeconfig(), server.witness()?)?;
        figures.push(Figures {
            row,
            sync: cache.sync,
            resident: cache.resident,
            relisted: None,
            kubectl: Some(kubectl),
        });
    }
    Ok(figures)
}

fn introduction() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = machine::cpu_name(&info).unwrap_or("an unnamed processor");
    format!(
        "Measured on {} cores of {cpu} by `make bench-claims`. The API server and its clients share them.\n",
        machine::allowed_cores(&status).len()
    )
}

fn table(figures: &[Figures], lookups: &BTreeMap<usize, Lookup>) -> Table {
    let mut table = Table::new([
        "claims",
        "resident memory after the initial sync",
        "after a relist",
        "sync time",
        "ratio to kubectl's",
        "lookup",
        "ratio to 1,000 claims",
    ]);
    for figures in figures {
        let Figures { row, sync, resident, relisted, .. } = figures;
        let shown = |ratio: Option<f64>| ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        table.row([
            row.to_string(),
            megabytes(*resident),
            relisted.map(megabytes).unwrap_or_default(),
            seconds(*sync),
            shown(figures.ratio()),
            lookups.get(&row.claims).map(|lookup| format!("{} ns", lookup.time.as_nanos())).unwrap_or_default(),
            shown(lookup_ratio(lookups, row.claims)),
        ]);
    }
    table
}

fn notes(lookups: &BTreeMap<usize, Lookup>) -> String {
    let walks = lookups.values().map(Lookup::walk).fold(0.0, f64::max);
    format!(
        "Resident memory includes the pages of the executable. It is the maximum of three fresh starts, when the process is idle. The\n\
         sync time is the time from the start of the process until it is ready. Its ratio is that to `kubectl get pvc -A -o name`. Both\n\
         are medians of three. A lookup is one of 1,000,000 hits in random order, of which the walk over the names takes at most\n\
         {walks:.1} ns.\n"
    )
}

fn targets(figures: &[Figures], lookups: &BTreeMap<usize, Lookup>) -> Table {
    let mut table = Table::new(["measurement", "target", "result", ""]);
    for (claims, goal) in RESIDENT {
        for figures in figures.iter().filter(|figures| figures.row.claims == claims) {
            let mut memory = |when: &str, resident: u64| {
                table.row([
                    format!("{}: resident memory {when}", figures.row),
                    format!("at most {} MB", goal / 1_000_000),
                    megabytes(resident),
                    Verdict::of(resident <= goal).to_string(),
                ]);
            };
            memory("after the initial sync", figures.resident);
            if let Some(relisted) = figures.relisted {
                memory("after a relist", relisted);
            }
        }
    }
    let mut ratio = |label: String, goal: f64, ratio: f64| {
        let verdict = Verdict::of(ratio <= goal).to_string();
        table.row([label, format!("at most {goal}"), format!("{ratio:.2}"), verdict]);
    };
    for figures in figures.iter().filter(|figures| figures.row.claims == KUBECTL_AT) {
        if let Some(times) = figures.ratio() {
            ratio(format!("{}: sync time, ratio to kubectl's", figures.row), KUBECTL, times);
        }
    }
    if let Some(times) = lookup_ratio(lookups, LOOKUP_AT) {
        ratio("lookup at 1,000,000 claims, as a ratio to 1,000".into(), LOOKUP, times);
    }
    table
}

impl Figures {
    /// Returns the sync time as a multiple of kubectl's time.
    fn ratio(&self) -> Option<f64> {
        Some(self.sync.as_secs_f64() / self.kubectl?.as_secs_f64())
    }
}

fn lookup_ratio(lookups: &BTreeMap<usize, Lookup>, claims: usize) -> Option<f64> {
    Some(lookups.get(&claims)?.time.as_secs_f64() / lookups.get(&FEW)?.time.as_secs_f64())
}
