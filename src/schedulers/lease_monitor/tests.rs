//! The monitor of a scheduler, against a scripted API server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use hyper::header::DATE;
use jiff::SignedDuration;
use jiff::fmt::rfc2822::DateTimePrinter;
use kube::client::Body;
use tokio::task::JoinHandle;
use tokio::time::{advance, timeout};
use tower_test::mock;

use jiff::Timestamp;
use tokio::time::Instant;

use super::*;
use crate::engine::{Driver, LostLease};
use crate::process::captured_log;
use crate::process::clock::Clock;
use crate::schedulers::LeaseRef;

const MINUTE: Duration = Duration::from_mins(1);
const STALE_AFTER: Duration = Duration::from_mins(3);

/// The API server's response about a Lease.
#[derive(Clone, Debug)]
enum Says {
    Renewed(Timestamp),
    NeverRenewed,
    Status(u16),
    /// Nothing at all.
    Nothing,
}

/// A scripted API server, and a monitor of its Leases.
struct Scene {
    /// `None` once the monitor runs in the background.
    monitor: Option<LeaseMonitor>,
    /// Responses by `<namespace>/<name>`.
    leases: Arc<Mutex<HashMap<String, Says>>>,
    registry: SchedulerRegistry,
    process: Process,
    server: JoinHandle<()>,
}

impl Scene {
    /// Creates a scene with a Lease `stork` in one of these namespaces. Our own is `default`.
    fn new(namespaces: &[Option<&str>]) -> Self {
        Self::with_leases(&[("stork", namespaces)])
    }

    /// Creates a scene with Leases of these names, each in one of its namespaces.
    fn with_leases(leases: &[(&str, &[Option<&str>])]) -> Self {
        Self::with_clock(leases, Clock::system())
    }

    /// Creates a scene with this clock. The API server's is right.
    fn with_clock(leases: &[(&str, &[Option<&str>])], clock: Clock) -> Self {
        captured_log::start();
        let leases = leases.iter().map(|(name, namespaces)| LeaseRef {
            name: (*name).to_owned(),
            namespaces: namespaces.iter().map(|namespace| namespace.map(str::to_owned)).collect(),
        });
        let scheduler = Scheduler {
            driver: "portworx".into(),
            name: "stork".into(),
            leases: leases.collect(),
            stale_after: STALE_AFTER,
        };
        let (service, mut handle) = mock::pair::<hyper::Request<Body>, hyper::Response<Body>>();
        let leases = Arc::<Mutex<HashMap<String, Says>>>::default();
        let responses = leases.clone();
        let server = tokio::spawn(async move {
            let mut unanswered = Vec::new();
            while let Some((request, send)) = handle.next_request().await {
                let path = request.uri().path();
                let place = path
                    .strip_prefix("/apis/coordination.k8s.io/v1/namespaces/")
                    .and_then(|rest| rest.split_once("/leases/"));
                let (namespace, name) = place.unwrap_or_else(|| panic!("unexpected request: {path}"));
                assert_eq!(request.method(), hyper::Method::GET);
                let says = responses.lock().unwrap().get(&format!("{namespace}/{name}")).cloned();
                match says.unwrap_or(Says::Status(404)) {
                    Says::Nothing => unanswered.push(send),
                    Says::Renewed(time) => {
                        send.send_response(answer(200, &format!("{{\"spec\":{{\"renewTime\":\"{time:.6}\"}}}}")));
                    }
                    Says::NeverRenewed => send.send_response(answer(200, "{\"spec\":{\"holderIdentity\":\"x\"}}")),
                    Says::Status(code) => {
                        send.send_response(answer(
                            code,
                            &format!("{{\"kind\":\"Status\",\"status\":\"Failure\",\"code\":{code}}}"),
                        ));
                    }
                }
            }
        });
        let (registry, process) = (SchedulerRegistry::new([scheduler]), Process::default());
        let client = ApiClient::for_test_with_clock(kube::Client::new(service, "default"), clock);
        let scheduler = registry.schedulers().next().unwrap();
        let monitor = Some(LeaseMonitor::new(client, scheduler, &registry, &process));
        Self { monitor, leases, registry, process, server }
    }

    /// Sets the response about the Lease `stork` in that namespace.
    fn says(&self, namespace: &str, says: Says) {
        self.says_of(&format!("{namespace}/stork"), says);
    }

    /// Sets the response about the Lease `<namespace>/<name>`.
    fn says_of(&self, lease: &str, says: Says) {
        self.leases.lock().unwrap().insert(lease.to_owned(), says);
    }

    /// Returns the series of the Leases: name and value.
    fn series(&self) -> Vec<String> {
        let metrics = self.process.metrics.encode();
        let prefix = "colocate_scheduler_lease_renewed{driver=\"portworx\",scheduler=\"stork\",lease=";
        let mut series: Vec<_> = metrics.lines().filter_map(|line| line.strip_prefix(prefix)).collect();
        series.sort_unstable();
        series.into_iter().map(|line| line.replace(['"', '}'], "")).collect()
    }

    /// Polls once, checks that all outputs agree, and returns the presence.
    async fn poll(&mut self) -> Presence {
        self.monitor.as_mut().unwrap().poll().await;
        let presence = self.registry.presence(&Driver::portworx());
        let metrics = self.process.metrics.encode();
        let series = metrics.lines().find_map(|line| line.strip_prefix("colocate_scheduler_alive{"));
        let value = series.and_then(|series| series.split(' ').nth(1));
        let expected = match presence {
            Presence::Unknown => None,
            Presence::Alive => Some("1"),
            Presence::Away(_) => Some("0"),
        };
        assert_eq!(value, expected, "{metrics}");
        assert!(self.process.readiness.can_answer());
        presence
    }

    fn details(&self) -> Vec<String> {
        self.process.readiness.details()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The Lease of most scenes is stale.
fn stale() -> Presence {
    away([LostLease::Stale("kube-system/stork".into())])
}

/// The Lease of most scenes is absent.
fn absent() -> Presence {
    away([LostLease::Absent("stork".into())])
}

fn away<const LEASES: usize>(leases: [LostLease; LEASES]) -> Presence {
    Presence::Away(leases.into())
}

fn answer(status: u16, body: &str) -> hyper::Response<Body> {
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now()).unwrap();
    hyper::Response::builder().status(status).header(DATE, date).body(Body::from(body.as_bytes().to_vec())).unwrap()
}

/// Returns a renewal by a holder whose clock is wrong by this many seconds.
fn renewed(wrong_by: i64) -> Says {
    Says::Renewed(Timestamp::from_second(Timestamp::now().as_second() + wrong_by).unwrap())
}

#[tokio::test(start_paused = true)]
async fn no_lease_anywhere_is_absent() {
    let mut scene = Scene::new(&[Some("portworx"), Some("kube-system"), None]);
    assert_eq!(scene.poll().await, absent());
    assert_eq!(
        scene.details(),
        ["scheduler stork: absent (no Lease portworx/stork, kube-system/stork, default/stork)"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_old_lease_is_stale_at_the_first_read_with_its_age() {
    let mut scene = Scene::new(&[Some("kube-system")]);
    scene.says("kube-system", renewed(-242));
    assert_eq!(scene.poll().await, stale());
    // A second may have passed since.
    let details = scene.details();
    assert!(details[0].starts_with("scheduler stork: not renewed for 4m"), "{details:?}");
    assert!(details[0].ends_with(" (Lease kube-system/stork)"), "{details:?}");
    advance(MINUTE).await;
    assert_eq!(scene.poll().await, stale());
    assert!(scene.details()[0].starts_with("scheduler stork: not renewed for 5m"), "{:?}", scene.details());
}

#[tokio::test(start_paused = true)]
async fn a_fresh_lease_is_alive_at_the_first_read() {
    let mut scene = Scene::new(&[Some("kube-system")]);
    scene.says("kube-system", renewed(-5));
    assert_eq!(scene.poll().await, Presence::Alive);
    assert_eq!(scene.details(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_age_at_the_first_read_is_that_of_the_api_servers_clock() {
    for ahead in [-8, 8] {
        let clock = Clock::new(move || Timestamp::now() + SignedDuration::from_hours(ahead));
        let mut scene = Scene::with_clock(&[("stork", &[Some("kube-system")])], clock);
        scene.says("kube-system", renewed(-5));
        assert_eq!(scene.poll().await, Presence::Alive, "{ahead} h");
        scene.says("kube-system", Says::Status(404));
        scene.poll().await;
        scene.says("kube-system", renewed(-242));
        assert_eq!(scene.poll().await, stale(), "{ahead} h");
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_counts_even_if_the_holders_clock_is_wrong() {
    for wrong_by in [-3600, 3600] {
        let mut scene = Scene::new(&[Some("kube-system")]);
        scene.says("kube-system", renewed(wrong_by));
        scene.poll().await;
        for second in 1..20 {
            advance(MINUTE).await;
            scene.says("kube-system", renewed(wrong_by + second));
            assert_eq!(scene.poll().await, Presence::Alive, "{wrong_by}, {second}");
        }
        // A missing renewal counts too.
        advance(STALE_AFTER).await;
        assert_eq!(scene.poll().await, stale(), "{wrong_by}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_turns_stale_and_the_next_renewal_revives_it() {
    let mut scene = Scene::new(&[Some("kube-system")]);
    scene.says("kube-system", renewed(0));
    assert_eq!(scene.poll().await, Presence::Alive);
    advance(2 * MINUTE).await;
    assert_eq!(scene.poll().await, Presence::Alive);
    advance(MINUTE).await;
    assert_eq!(scene.poll().await, stale());
    scene.says("kube-system", renewed(1));
    assert_eq!(scene.poll().await, Presence::Alive);
}

#[tokio::test(start_paused = true)]
async fn a_never_renewed_lease_is_stale_and_a_deleted_one_absent() {
    let mut scene = Scene::new(&[Some("kube-system")]);
    scene.says("kube-system", Says::NeverRenewed);
    assert_eq!(scene.poll().await, stale());
    assert_eq!(scene.details(), ["scheduler stork: never renewed (Lease kube-system/stork)"]);
    advance(MINUTE).await;
    assert_eq!(scene.poll().await, stale());
    scene.says("kube-system", Says::Status(404));
    assert_eq!(scene.poll().await, absent());
    // The next read counts as the first again.
    scene.says("kube-system", renewed(-3600));
    assert_eq!(scene.poll().await, stale());
}

#[tokio::test(start_paused = true)]
async fn the_best_of_several_leases_counts() {
    let mut scene = Scene::new(&[Some("portworx"), Some("kube-system"), None]);
    scene.says("kube-system", renewed(-3600));
    assert_eq!(scene.poll().await, stale());
    scene.says("default", renewed(-7200));
    assert_eq!(scene.poll().await, stale());
    assert!(scene.details()[0].contains("kube-system/stork"), "the youngest: {:?}", scene.details());
    scene.says("default", renewed(0));
    assert_eq!(scene.poll().await, Presence::Alive);
    assert_eq!(scene.details(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn each_lease_is_polled_once() {
    let scene = Scene::new(&[Some("default"), Some("kube-system"), None]);
    let places: Vec<_> = scene.monitor.as_ref().unwrap().leases.iter().flat_map(MonitoredLease::places).collect();
    assert_eq!(places, ["default/stork", "kube-system/stork"]);
}

const TWO_PROCESSES: &[(&str, &[Option<&str>])] = &[
    ("stork-scheduler", &[Some("portworx"), Some("kube-system")]),
    ("stork", &[Some("portworx"), Some("kube-system")]),
];

#[tokio::test(start_paused = true)]
async fn a_scheduler_is_alive_only_if_all_of_its_leases_are() {
    let mut scene = Scene::with_leases(TWO_PROCESSES);
    scene.says_of("portworx/stork-scheduler", renewed(0));
    scene.says_of("kube-system/stork", renewed(0));
    assert_eq!(scene.poll().await, Presence::Alive);
    assert_eq!(scene.details(), [""; 0]);
    assert_eq!(scene.series(), ["stork 1", "stork-scheduler 1"]);

    advance(STALE_AFTER).await;
    scene.says_of("portworx/stork-scheduler", renewed(1));
    assert_eq!(scene.poll().await, stale(), "the extender died");
    assert_eq!(scene.details(), ["scheduler stork: not renewed for 3m (Lease kube-system/stork)"]);
    assert_eq!(scene.series(), ["stork 0", "stork-scheduler 1"]);

    advance(STALE_AFTER).await;
    scene.says_of("kube-system/stork", renewed(1));
    let no_kube_scheduler = LostLease::Stale("portworx/stork-scheduler".into());
    assert_eq!(scene.poll().await, away([no_kube_scheduler.clone()]), "kube-scheduler died");
    assert_eq!(scene.series(), ["stork 1", "stork-scheduler 0"]);

    scene.says_of("kube-system/stork", Says::Status(404));
    let no_stork = LostLease::Absent("stork".into());
    assert_eq!(scene.poll().await, away([no_kube_scheduler, no_stork]), "both died");
    assert_eq!(
        scene.details(),
        [concat!(
            "scheduler stork: not renewed for 3m (Lease portworx/stork-scheduler); ",
            "absent (no Lease portworx/stork, kube-system/stork)"
        )]
    );
    assert_eq!(scene.series(), ["stork 0", "stork-scheduler 0"]);

    scene.says_of("kube-system/stork", renewed(0));
    scene.says_of("portworx/stork-scheduler", renewed(2));
    assert_eq!(scene.poll().await, Presence::Alive);
    let away = "WARN the scheduler is not alive: pods that name it stay Pending driver=\"portworx\" scheduler=\"stork\" why=\"";
    let logged = captured_log::lines();
    assert_eq!(logged.iter().filter(|line| line.starts_with(away)).count(), 3, "one line per change: {logged:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_read_hides_no_other() {
    let mut scene = Scene::with_leases(TWO_PROCESSES);
    scene.says_of("portworx/stork", Says::Status(403));
    scene.says_of("portworx/stork-scheduler", renewed(0));
    assert_eq!(scene.poll().await, Presence::Unknown);
    assert_eq!(scene.series(), ["stork-scheduler 1"]);
    advance(STALE_AFTER).await;
    assert_eq!(scene.poll().await, away([LostLease::Stale("portworx/stork-scheduler".into())]));
    assert_eq!(scene.series(), ["stork-scheduler 0"]);
    assert!(scene.details()[0].contains("; unknown: cannot get leases"), "{:?}", scene.details());
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_api_server_changes_nothing() {
    let mut scene = Scene::new(&[Some("kube-system")]);
    scene.says("kube-system", Says::Nothing);
    let started = Instant::now();
    assert_eq!(scene.poll().await, Presence::Unknown);
    assert_eq!(started.elapsed(), Duration::from_secs(10));
    assert_eq!(scene.details(), [""; 0]);
    scene.says("kube-system", renewed(0));
    assert_eq!(scene.poll().await, Presence::Alive);
    for says in [Says::Status(500), Says::Nothing, Says::Status(401)] {
        scene.says("kube-system", says.clone());
        advance(STALE_AFTER).await;
        assert_eq!(scene.poll().await, Presence::Alive, "{says:?}");
    }
    // No one could renew it in the meantime.
    scene.says("kube-system", renewed(0));
    assert_eq!(scene.poll().await, Presence::Alive);

    scene.says("kube-system", Says::Status(404));
    assert_eq!(scene.poll().await, absent());
    scene.says("kube-system", Says::Nothing);
    assert_eq!(scene.poll().await, absent());
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_makes_it_unknown_and_is_logged_once() {
    let mut scene = Scene::new(&[Some("portworx"), Some("kube-system")]);
    scene.says("portworx", Says::Status(403));
    let refused = "cannot get leases.coordination.k8s.io \"stork\" in namespace \"portworx\": forbidden";
    for _ in 0..3 {
        assert_eq!(scene.poll().await, Presence::Unknown, "the Lease may be in the forbidden namespace");
        assert_eq!(scene.details(), [format!("scheduler stork: unknown: {refused}")]);
    }
    assert_eq!(captured_log::lines(), [format!("WARN {refused}; grant the verb \"get\"")]);
    // A Lease in another namespace is enough.
    scene.says("kube-system", renewed(0));
    assert_eq!(scene.poll().await, Presence::Alive);
    scene.says("portworx", Says::Status(404));
    assert_eq!(scene.poll().await, Presence::Alive);
    scene.says("portworx", Says::Status(403));
    assert_eq!(scene.poll().await, Presence::Alive);
    let logged = captured_log::lines();
    assert_eq!(logged.len(), 3, "the first refusal, that it is alive, and the second: {logged:?}");
}

#[tokio::test(start_paused = true)]
async fn each_change_is_logged_once() {
    let mut scene = Scene::new(&[Some("kube-system")]);
    for says in [Says::Status(404), Says::NeverRenewed, renewed(0)] {
        scene.says("kube-system", says);
        scene.poll().await;
        scene.poll().await;
    }
    let away =
        "WARN the scheduler is not alive: pods that name it stay Pending driver=\"portworx\" scheduler=\"stork\"";
    assert_eq!(
        captured_log::lines(),
        [
            format!("{away} why=\"absent (no Lease kube-system/stork)\""),
            format!("{away} why=\"never renewed (Lease kube-system/stork)\""),
            "INFO the scheduler is alive driver=\"portworx\" scheduler=\"stork\"".to_owned(),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn polls_are_frequent_enough_to_notice_in_time() {
    for (stale_after, longest) in [(1, 250), (20, 5_000), (180, 15_000)] {
        let interval = interval(Duration::from_secs(stale_after));
        assert_eq!(interval, Duration::from_millis(longest));
        for _ in 0..1000 {
            let jittered = jittered(interval);
            assert!(jittered <= interval && jittered > interval.mul_f64(0.9), "{jittered:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_keeps_polling() {
    let mut scene = Scene::new(&[Some("kube-system")]);
    let looking = tokio::spawn(scene.monitor.take().unwrap().run());
    let known = async |presence| {
        while scene.registry.presence(&Driver::portworx()) != presence {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    for (says, presence) in [(Says::Status(404), absent()), (renewed(0), Presence::Alive)] {
        scene.says("kube-system", says);
        timeout(INTERVAL + INTERVAL, known(presence)).await.unwrap();
    }
    timeout(STALE_AFTER + INTERVAL + INTERVAL, known(stale())).await.unwrap();
    looking.abort();
}
