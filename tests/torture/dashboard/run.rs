//! A run of the scenario, as the dashboard shows it.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use colocate_harness::{Prometheus, Release, WAIT_TIMEOUT, background};
use tokio::time::{MissedTickBehavior, interval};

use super::panel::{Panel, Shown};

/// The interval between two looks at a panel.
const INTERVAL: Duration = Duration::from_millis(500);

/// The seconds between two points of a line.
const STEP: u32 = 1;

/// The only panel whose values are zero in a healthy run: a torture run must not drop log lines.
const ZERO: &str = "Dropped log lines";

/// A running scenario.
pub(super) struct Run {
    prometheus: Prometheus,
    panels: Vec<Panel>,
    /// The begin, in seconds since the epoch.
    pub(super) begin: f64,
    /// Events with their times.
    pub(super) marks: Vec<(f64, &'static str)>,
}

impl Run {
    /// Begins a run with the dashboard of a release.
    pub(super) fn start(prometheus: Prometheus, release: &Release) -> Self {
        let dashboard = release.namespace().get(&format!("configmap/{}-dashboard", release.full_name()));
        let panels = Panel::all(dashboard.text("/data/colocate.json"));
        let run = Self { prometheus, panels, begin: now(), marks: Vec::new() };
        run.scrape(release);
        run
    }

    /// Scrapes the running replicas from now on.
    fn scrape(&self, release: &Release) {
        self.prometheus.scrape(&release.kubelet().running());
    }

    /// Runs kubectl in the namespace of the release, and scrapes the replicas that run meanwhile.
    pub(super) fn change(&self, release: &Release, line: &str) {
        let namespace = release.namespace();
        let mut ticks = background().block_on(async { interval(INTERVAL) });
        thread::scope(|scope| {
            let change = scope.spawn(|| drop(namespace.run(line)));
            while !change.is_finished() {
                background().block_on(ticks.tick());
                self.scrape(release);
            }
        });
    }

    /// Notes an event that begins now.
    pub(super) fn mark(&mut self, event: &'static str) {
        self.marks.push((now(), event));
    }

    /// Repeats `action` until the panel has a value other than zero, in a series whose name contains `name`.
    pub(super) fn wait_for(&self, title: &str, name: &str, action: impl FnMut()) {
        self.wait(title, action, |panel| {
            panel.lines().values().any(|line| line.name.contains(name) && line.has_data())
        });
    }

    /// Waits until all values of the panel are zero.
    pub(super) fn wait_until_zero(&self, title: &str) {
        self.wait(title, || (), |panel| panel.lines().values().all(|line| !line.has_data()));
    }

    fn wait(&self, title: &str, mut action: impl FnMut(), done: impl Fn(&Shown) -> bool) {
        let panel = self.panels.iter().find(|panel| panel.title == title).expect("the dashboard has the panel");
        let (began, mut ticks) = (Instant::now(), background().block_on(async { interval(INTERVAL) }));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            action();
            background().block_on(ticks.tick());
            let shown = panel.show(|query| self.prometheus.query(query));
            if done(&shown) {
                return;
            }
            assert!(began.elapsed() < WAIT_TIMEOUT, "panel {title:?} only showed {:#?}", shown.lines());
        }
    }

    /// Returns what all panels show from the begin until now.
    pub(super) fn panels(&self) -> Vec<Shown> {
        let end = now();
        let ask = |query: &str| self.prometheus.query_range(query, self.begin, end, STEP);
        self.panels.iter().map(|panel| panel.show(ask)).collect()
    }
}

/// Panics with the names of all panels in which a query found nothing.
pub(super) fn assert_all_have_data(panels: &[Shown]) {
    let empty = panels.iter().flat_map(|panel| {
        let without = panel.queries.iter().filter(|(_, lines)| match &*panel.title {
            ZERO => lines.is_empty() || lines.iter().any(super::panel::Line::has_data),
            _ => !lines.iter().any(super::panel::Line::has_data),
        });
        without.map(|(legend, lines)| format!("{}, {legend}: {lines:?}", panel.title))
    });
    let empty: Vec<_> = empty.collect();
    assert!(empty.is_empty(), "panels without data: {empty:#?}");
    assert!(panels.len() > 10, "the dashboard has {} panels", panels.len());
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right").as_secs_f64()
}
