//! The tables: goals, loads, and memory.

use std::collections::BTreeMap;

use super::figures::{Figures, LoadKey};
use super::peer::Peer;
use super::sample::SAMPLES;
use super::{MANY_PLAN, USUAL};
use crate::figure::{megabytes, micros, ratio, seconds, thousands, whole};
use crate::table::{Table, Verdict};

/// Goals, as multiples of colocate's figures.
const CPU: [(Peer, f64); 2] = [(Peer::ControllerRuntime, 20.0), (Peer::Lean, 3.0)];
const MEMORY: (Peer, f64) = (Peer::ControllerRuntime, 10.0);

/// The medians of all webhooks.
pub(crate) type Medians = BTreeMap<Peer, Figures>;

/// The medians with few claims, and with many.
pub(crate) struct Report {
    pub(crate) few: (usize, Medians),
    pub(crate) many: (usize, Medians),
}

impl Report {
    /// Returns the table of goals, and the number of missed ones.
    pub(crate) fn goals(&self) -> anyhow::Result<(Table, usize)> {
        let mut table = Table::new(["colocate, compared with", "goal", "result", ""]);
        let mut missed = 0;
        let mut goal = |label: String, goal: f64, result: f64| {
            missed += usize::from(result < goal);
            let verdict = Verdict::of(result >= goal).to_string();
            table.row([label, format!("{goal} times less"), format!("{result:.1} times less"), verdict]);
        };
        let (_, few) = &self.few;
        for (peer, least) in CPU {
            for (index, sample) in SAMPLES.into_iter().enumerate() {
                let key = LoadKey { sample: index, connections: USUAL };
                let label = format!("{peer}: CPU time per review ({}, {USUAL} connections)", sample.label()?);
                goal(label, least, ratio(few[&peer].cpu(key), few[&Peer::Colocate].cpu(key)));
            }
        }
        let (claims, many) = &self.many;
        let (peer, least) = MEMORY;
        let (go, own) = (&many[&peer], &many[&Peer::Colocate]);
        for (state, go, own) in [("idle", go.idle, own.idle), ("under load", go.loaded, own.loaded)] {
            let label = format!("{peer}: resident memory with {} claims, {state}", thousands(*claims as u64));
            goal(label, least, times(go, own));
        }
        Ok((table, missed))
    }

    /// Returns the table of loads.
    pub(crate) fn loads(&self) -> anyhow::Result<Table> {
        let mut table = Table::new([
            "review",
            "connections",
            "webhook",
            "CPU time per review",
            "ratio to colocate",
            "reviews per second",
            "core busy",
            "p50",
            "p99",
        ]);
        let (_, few) = &self.few;
        for key in few[&Peer::Colocate].loads.keys() {
            for (peer, figures) in few {
                let load = figures.loads[key];
                table.row([
                    SAMPLES[key.sample].label()?,
                    key.connections.to_string(),
                    peer.to_string(),
                    micros(load.cpu),
                    format!("{:.1}", ratio(load.cpu, few[&Peer::Colocate].cpu(*key))),
                    whole(load.rate),
                    format!("{:.0}%", load.busy * 100.0),
                    micros(load.p50),
                    micros(load.p99),
                ]);
            }
        }
        Ok(table)
    }

    /// Returns the table of memory and starts.
    pub(crate) fn memory(&self) -> anyhow::Result<Table> {
        let [key] = MANY_PLAN;
        let cpu = format!("CPU time per review ({}, {} connections)", SAMPLES[key.sample].label()?, key.connections);
        let mut table = Table::new([
            "claims",
            "webhook",
            "time until ready",
            "resident memory, idle",
            "ratio to colocate",
            "under load",
            cpu.as_str(),
        ]);
        for (claims, medians) in [&self.few, &self.many] {
            for (peer, figures) in medians {
                table.row([
                    thousands(*claims as u64),
                    peer.to_string(),
                    seconds(figures.ready),
                    megabytes(figures.idle),
                    format!("{:.1}", times(figures.idle, medians[&Peer::Colocate].idle)),
                    megabytes(figures.loaded),
                    micros(figures.cpu(key)),
                ]);
            }
        }
        Ok(table)
    }
}

#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
fn times(bytes: u64, unit: u64) -> f64 {
    bytes as f64 / unit as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::figures::LoadFigures;
    use super::*;

    fn report(cpu: [u64; 3], memory: [u64; 3]) -> Report {
        let medians = || {
            let figures = Peer::ALL.into_iter().enumerate().map(|(index, peer)| {
                let load = LoadFigures { cpu: Duration::from_micros(cpu[index]), ..LoadFigures::default() };
                let keys = (0..SAMPLES.len()).map(|sample| LoadKey { sample, connections: USUAL });
                let loads = keys.map(|key| (key, load)).collect();
                (peer, Figures { ready: Duration::from_secs(1), idle: memory[index], loaded: memory[index], loads })
            });
            figures.collect::<Medians>()
        };
        Report { few: (3, medians()), many: (50_000, medians()) }
    }

    #[test]
    fn a_goal_is_a_multiple_of_the_figures_of_colocate() {
        let (table, missed) = report([10, 200, 30], [20_000_000, 200_000_000, 1]).goals().unwrap();
        assert_eq!(missed, 0, "{table}");
        let (table, missed) = report([10, 199, 29], [20_000_000, 199_000_000, 1]).goals().unwrap();
        assert_eq!(missed, 6, "{table}");
        assert_eq!(table.to_string().matches("MISSED").count(), 6, "{table}");
    }

    #[test]
    fn each_load_and_each_number_of_claims_has_a_row_per_webhook() {
        let report = report([10, 200, 30], [20_000_000, 200_000_000, 1]);
        let loads = report.loads().unwrap().to_string();
        assert!(loads.contains("| Deployment, 8.2 kB | 16 | lean Go | 30.0 µs | 3.0 |"), "{loads}");
        assert_eq!(loads.lines().count(), 2 + 2 * 3);
        let memory = report.memory().unwrap().to_string();
        assert!(memory.contains("| 50,000 | controller-runtime | 1.00 s | 200.0 MB | 10.0 |"), "{memory}");
        assert_eq!(memory.lines().count(), 2 + 2 * 3);
    }
}
