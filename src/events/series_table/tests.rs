//! Series, limits and pauses, without an API server.

use tokio::time::advance;

use super::super::occurrence::Controller;
use super::*;
use crate::engine::Reason;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// A table with the clock of tokio.
struct Scene(SeriesTable);

impl Scene {
    fn new() -> Self {
        Self(SeriesTable::new(Instant::now()))
    }

    /// Observes an occurrence now. Returns the number of occurrences that are lost.
    fn observe(&mut self, namespace: &str, controller: &str, text: &str) -> u64 {
        let ended = self.0.end_series(Instant::now());
        ended + self.0.observe(occurrence(namespace, controller, text), Timestamp::UNIX_EPOCH, Instant::now())
    }

    /// Takes all writes that are due, with this outcome. Returns them as `<namespace>/<text> <count>`, with `new` for an Event
    /// that does not exist.
    fn writes(&mut self, outcome: Outcome) -> Vec<String> {
        let mut writes = Vec::new();
        while let Some(write) = self.0.next_write(Instant::now()) {
            let SeriesWrite { occurrence, tally, exists, .. } = &write;
            let new = if *exists { "" } else { "new " };
            writes.push(format!("{new}{}/{} {}", occurrence.controller.namespace, occurrence.text, tally.total));
            self.0.record(&write, outcome, Instant::now());
            if outcome == Outcome::Unavailable {
                break;
            }
        }
        writes
    }

    /// Returns the time until the next write.
    fn next(&self) -> Option<Duration> {
        self.0.next(Instant::now()).map(|next| next - Instant::now())
    }
}

fn occurrence(namespace: &str, controller: &str, text: &str) -> Occurrence {
    let controller = Controller {
        namespace: namespace.to_owned(),
        api_version: "apps/v1".to_owned(),
        kind: "StatefulSet".to_owned(),
        name: controller.to_owned(),
        uid: controller.to_owned(),
    };
    Occurrence { controller, topic: Reason::ClaimMissing.into(), text: text.to_owned() }
}

#[tokio::test(start_paused = true)]
async fn equal_occurrences_are_one_event_with_a_count() {
    let mut scene = Scene::new();
    for text in ["x", "x", "y", "x"] {
        scene.observe("a", "db", text);
    }
    scene.observe("b", "db", "x");
    let mut writes = scene.writes(Outcome::Written);
    writes.sort_unstable();
    assert_eq!(writes, ["new a/x 3", "new a/y 1", "new b/x 1"]);
    assert_eq!(scene.next(), None);
}

#[tokio::test(start_paused = true)]
async fn the_pause_between_two_writes_of_a_series_doubles() {
    let mut scene = Scene::new();
    scene.observe("a", "db", "x");
    assert_eq!(scene.writes(Outcome::Written), ["new a/x 1"]);
    let mut count = 1;
    for pause in [5, 10, 20, 40, 80, 160, 300, 300] {
        for _ in 0..3 {
            scene.observe("a", "db", "x");
            count += 1;
        }
        assert_eq!((scene.next(), scene.writes(Outcome::Written)), (Some(pause * SECOND), vec![]));
        advance(pause * SECOND).await;
        assert_eq!(scene.writes(Outcome::Written), [format!("a/x {count}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_series_ends_after_the_window_and_the_next_is_a_new_event() {
    let mut scene = Scene::new();
    scene.observe("a", "db", "x");
    let first = scene.0.next_write(Instant::now()).unwrap();
    scene.0.record(&first, Outcome::Written, Instant::now());
    advance(WINDOW.saturating_sub(SECOND)).await;
    scene.observe("a", "db", "x");
    assert_eq!(scene.writes(Outcome::Written), ["a/x 2"], "an occurrence extends the series");
    advance(WINDOW).await;
    scene.observe("a", "db", "x");
    let next = scene.0.next_write(Instant::now()).unwrap();
    assert!(!next.exists && next.name != first.name && next.tally.total == 1);
    assert_eq!(scene.0.series.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_controller_gets_a_burst_of_events_and_then_one_per_interval() {
    let mut scene = Scene::new();
    let lost: u64 = (0..40).map(|n| scene.observe("a", "db", &n.to_string())).sum();
    assert_eq!((lost, scene.writes(Outcome::Written).len()), (15, 25));
    assert_eq!(scene.observe("a", "db", "0"), 0, "a repetition needs no token");
    assert_eq!(scene.observe("a", "other", "0"), 0, "another controller has its own");
    advance(PER_CONTROLLER.interval).await;
    assert_eq!([scene.observe("a", "db", "new"), scene.observe("a", "db", "newer")], [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn requests_beyond_the_limit_are_delayed_and_not_lost() {
    let mut scene = Scene::new();
    let lost: u64 = (0..60).map(|n| scene.observe("a", &n.to_string(), "x")).sum();
    assert_eq!((lost, scene.writes(Outcome::Written).len()), (0, 50));
    for _ in 0..10 {
        assert_eq!((scene.next(), scene.writes(Outcome::Written).len()), (Some(SECOND), 0));
        advance(SECOND).await;
        assert_eq!(scene.writes(Outcome::Written).len(), 1);
    }
    assert_eq!(scene.next(), None);
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_namespace_is_tried_once_per_pause_and_delays_no_other() {
    let mut scene = Scene::new();
    scene.observe("a", "db", "x");
    scene.observe("a", "db", "y");
    assert_eq!(scene.writes(Outcome::Forbidden).len(), 1);
    scene.observe("a", "new", "z");
    scene.observe("b", "db", "x");
    assert_eq!(scene.writes(Outcome::Written), ["new b/x 1"]);
    assert_eq!(scene.next(), Some(FORBIDDEN_PAUSE));
    advance(FORBIDDEN_PAUSE).await;
    assert_eq!(scene.writes(Outcome::Forbidden).len(), 1);
    advance(FORBIDDEN_PAUSE.saturating_sub(SECOND)).await;
    scene.observe("a", "db", "x");
    assert_eq!((scene.next(), scene.writes(Outcome::Written)), (Some(SECOND), vec![]));
    advance(SECOND).await;
    // The other two were not seen for the whole window, and their end is noticed with the next occurrence.
    scene.observe("a", "new", "at once");
    let mut writes = scene.writes(Outcome::Written);
    writes.sort_unstable();
    assert_eq!(writes, ["new a/at once 1", "new a/x 2"]);
    scene.observe("a", "db", "later");
    assert_eq!(scene.writes(Outcome::Written), ["new a/later 1"], "writes are permitted again");
}

#[tokio::test(start_paused = true)]
async fn an_unwritten_series_is_kept_with_its_name_until_it_ends() {
    let mut scene = Scene::new();
    scene.observe("a", "db", "x");
    let first = scene.0.next_write(Instant::now()).unwrap();
    scene.0.record(&first, Outcome::Unavailable, Instant::now());
    scene.observe("a", "db", "x");
    let again = scene.0.next_write(Instant::now()).unwrap();
    assert_eq!((&again.name, again.exists, again.tally.total), (&first.name, false, 2));
    advance(WINDOW).await;
    assert_eq!(scene.observe("a", "db", "y"), 2, "both occurrences are lost");
    assert_eq!(scene.writes(Outcome::Written), ["new a/y 1"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_deleted_is_created_again_under_a_new_name() {
    let mut scene = Scene::new();
    scene.observe("a", "db", "x");
    let first = scene.0.next_write(Instant::now()).unwrap();
    scene.0.record(&first, Outcome::Written, Instant::now());
    advance(MINUTE).await;
    scene.observe("a", "db", "x");
    let patch = scene.0.next_write(Instant::now()).unwrap();
    scene.0.record(&patch, Outcome::EventGone, Instant::now());
    let again = scene.0.next_write(Instant::now()).unwrap();
    assert!(patch.exists && !again.exists && again.name != first.name && again.tally.total == 2);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_series_is_removed() {
    let mut scene = Scene::new();
    scene.observe("a", "db", "x");
    scene.observe("a", "db", "x");
    let write = scene.0.next_write(Instant::now()).unwrap();
    assert_eq!(scene.0.record(&write, Outcome::Rejected, Instant::now()), 2);
    assert_eq!((scene.next(), scene.0.series.len()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_series_of_a_crowded_namespace_gives_way() {
    let mut scene = Scene::new();
    scene.observe("quiet", "db", "x");
    for n in 0..=MAX_SERIES_PER_NAMESPACE {
        advance(Duration::from_millis(1)).await;
        let lost = scene.observe("crowded", &n.to_string(), "x");
        assert_eq!(lost, u64::from(n == MAX_SERIES_PER_NAMESPACE));
    }
    let has = |namespace, controller| scene.0.series.contains_key(&occurrence(namespace, controller, "x"));
    assert_eq!([has("quiet", "db"), has("crowded", "0"), has("crowded", "1")], [true, false, true]);
}

#[tokio::test(start_paused = true)]
async fn the_memory_for_series_and_controllers_is_bounded() {
    let mut scene = Scene::new();
    let lost: u64 = (0..2 * MAX_CONTROLLERS).map(|n| scene.observe(&(n % 100).to_string(), &n.to_string(), "x")).sum();
    assert_eq!((scene.0.series.len(), scene.0.controllers.len()), (MAX_SERIES, MAX_CONTROLLERS));
    assert_eq!(lost, (2 * MAX_CONTROLLERS - MAX_SERIES) as u64);
    advance(PER_CONTROLLER.interval).await;
    scene.observe("last", "db", "x");
    assert_eq!(scene.0.controllers.len(), 1, "full buckets are removed");
}
