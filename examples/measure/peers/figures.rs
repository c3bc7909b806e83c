//! The figures of a webhook: those of one start, and the medians of several.

use std::collections::BTreeMap;
use std::time::Duration;

use colocate_harness::Timings;

use crate::figure::{median, ratio};

/// The figures of a webhook with some number of claims.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    /// The time from the start of the process until it is ready.
    pub(crate) ready: Duration,
    /// The resident memory in bytes, when it is ready and idle.
    pub(crate) idle: u64,
    /// The largest resident memory in bytes during the loads.
    pub(crate) loaded: u64,
    pub(crate) loads: BTreeMap<LoadKey, LoadFigures>,
}

/// A load: the index of the sample, and the number of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LoadKey {
    pub(crate) sample: usize,
    pub(crate) connections: usize,
}

/// The figures of a load.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LoadFigures {
    /// The number of reviews per second.
    pub(crate) rate: f64,
    /// The CPU time of the webhook per review.
    pub(crate) cpu: Duration,
    /// The share of the time in which the webhook's core was busy with it.
    pub(crate) busy: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Figures {
    /// Returns the medians; `None` without figures. Every start must have the same loads.
    pub(crate) fn medians(starts: &[Self]) -> Option<Self> {
        let loads = starts.first()?.loads.keys().map(|key| {
            let loads: Vec<_> = starts.iter().filter_map(|start| start.loads.get(key)).copied().collect();
            (*key, LoadFigures::medians(&loads))
        });
        Some(Self {
            ready: median(starts.iter().map(|start| start.ready)),
            idle: median(starts.iter().map(|start| start.idle)),
            loaded: median(starts.iter().map(|start| start.loaded)),
            loads: loads.collect(),
        })
    }

    /// The CPU time per review of a load.
    pub(crate) fn cpu(&self, key: LoadKey) -> Duration {
        self.loads.get(&key).copied().unwrap_or_default().cpu
    }
}

impl LoadFigures {
    /// `used` is the CPU time of the webhook during the load.
    pub(crate) fn new(timings: &Timings, used: Duration) -> Self {
        Self {
            rate: timings.per_second(),
            cpu: used.div_f64(timings.per_second() * timings.elapsed().as_secs_f64()),
            busy: ratio(used, timings.elapsed()),
            p50: timings.percentile(50),
            p99: timings.percentile(99),
        }
    }

    fn medians(loads: &[Self]) -> Self {
        Self {
            rate: median(loads.iter().map(|load| load.rate)),
            cpu: median(loads.iter().map(|load| load.cpu)),
            busy: median(loads.iter().map(|load| load.busy)),
            p50: median(loads.iter().map(|load| load.p50)),
            p99: median(loads.iter().map(|load| load.p99)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: LoadKey = LoadKey { sample: 0, connections: 16 };

    fn start(millis: u64) -> Figures {
        let time = Duration::from_millis(millis);
        let load = LoadFigures::new(&Timings::new(vec![time; 4], 2 * time), time);
        Figures { ready: time, idle: millis, loaded: 2 * millis, loads: BTreeMap::from([(KEY, load)]) }
    }

    #[test]
    fn each_figure_has_its_own_median() {
        let mut starts = [30, 10, 20].map(start);
        starts[2].idle = 99;
        let medians = Figures::medians(&starts).unwrap();
        assert_eq!((medians.ready, medians.idle, medians.loaded), (Duration::from_millis(20), 30, 40));
        // Four reviews take a quarter of the time each, on a core that is busy for half of the time.
        assert_eq!(medians.cpu(KEY), Duration::from_millis(5));
        let load = medians.loads[&KEY];
        assert!((load.busy - 0.5).abs() < 1e-9 && (load.rate - 100.0).abs() < 1e-9, "{load:?}");
        assert!(Figures::medians(&[]).is_none());
    }
}
