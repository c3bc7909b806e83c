//! `make bench-waiters`: the cost of waiting pods for other requests, at a real API server and at colocate's own socket.

mod crowd;
mod flood;

use std::fs;
use std::time::Duration;

use colocate_harness::ControlPlane;

use self::crowd::Crowd;
use self::flood::Flood;
use crate::figure::megabytes;
use crate::machine;
use crate::table::{Table, Verdict};

/// Targets for another user's GETs at the API server, and for other reviews at colocate's socket.
const OTHERS_GETS: Duration = Duration::from_millis(250);
const OTHERS_REVIEWS: f64 = 2.0;
const GROWTH: u64 = 16_000_000;

/// Measures, and prints the tables.
pub(crate) async fn run() -> anyhow::Result<()> {
    let control_plane = ControlPlane::own(&[]);
    let crowds = crowd::measure(&control_plane).await;
    let flood = flood::measure(&control_plane).await?;
    control_plane.end();

    println!("\n{}", introduction());
    println!("{}", crowds_table(&crowds));
    println!("{}", flood_table(&flood));
    println!("{}", targets(&crowds, &flood));
    Ok(())
}

fn introduction() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = machine::cpu_name(&info).unwrap_or("an unnamed processor");
    format!(
        "Measured on {} cores of {cpu} by `make bench-waiters`. The API server, etcd, colocate and the clients share them.\n",
        machine::allowed_cores(&status).len()
    )
}

fn crowds_table(crowds: &[Crowd]) -> Table {
    let mut table = Table::new([
        "pods",
        "most in flight",
        "pods answered with 429",
        "GETs by another user",
        "p50",
        "p99",
        "GETs answered with 429",
    ]);
    for crowd in crowds {
        table.row([
            crowd.label.clone(),
            crowd.most.to_string(),
            crowd.pods_refused.to_string(),
            crowd.gets.len().to_string(),
            millis(percentile(&crowd.gets, 50)),
            millis(percentile(&crowd.gets, 99)),
            crowd.gets_refused.to_string(),
        ]);
    }
    table
}

fn flood_table(flood: &Flood) -> Table {
    let mut table = Table::new(["other reviews per second", "reviews of a known claim", "p50", "p99"]);
    let rows = [
        ("none".to_owned(), &flood.before),
        (format!("{:.0} of a known claim", flood.rate), &flood.during_known),
        (format!("{:.0} of claims that never come", flood.rate), &flood.during),
    ];
    for (label, timings) in rows {
        let [p50, p99] = [50, 99].map(|percent| millis(timings.percentile(percent)));
        table.row([label, timings.count().to_string(), p50, p99]);
    }
    table
}

fn targets(crowds: &[Crowd], flood: &Flood) -> Table {
    let mut table = Table::new(["measurement", "target", "result", ""]);
    for crowd in crowds.iter().filter(|crowd| crowd.is_target) {
        table.row([
            format!("429 responses to another user: {}", crowd.label),
            "0".to_owned(),
            crowd.gets_refused.to_string(),
            Verdict::of(crowd.gets_refused == 0).to_string(),
        ]);
        let p99 = percentile(&crowd.gets, 99);
        table.row([
            format!("p99 of a GET by another user: {}", crowd.label),
            format!("under {} ms", OTHERS_GETS.as_millis()),
            millis(p99),
            Verdict::of(p99 < OTHERS_GETS).to_string(),
        ]);
    }
    let ratio = flood.during.percentile(99).as_secs_f64() / flood.before.percentile(99).as_secs_f64();
    table.row([
        format!("p99 of other reviews next to {:.0} per second that name a claim that never comes", flood.rate),
        format!("at most {OTHERS_REVIEWS} times that without them"),
        format!("{ratio:.2} times"),
        Verdict::of(ratio <= OTHERS_REVIEWS).to_string(),
    ]);
    table.row([
        "growth of resident memory".to_owned(),
        format!("at most {} MB", GROWTH / 1_000_000),
        format!("{}, with {} connections", megabytes(flood.growth), flood.connections),
        Verdict::of(flood.growth <= GROWTH).to_string(),
    ]);
    table
}

/// Returns the nearest rank of sorted durations.
fn percentile(took: &[Duration], percent: usize) -> Duration {
    let rank = (took.len() * percent).div_ceil(100);
    took.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
