//! Outages of the control plane while colocate keeps running.

use std::sync::Arc;
use std::time::{Duration, Instant};

use colocate_harness::{ControlPlane, Namespace};

use crate::exclusive;
use crate::load::Clients;
use crate::replicas::Replicas;
use crate::size::Size;

/// The time without requests. The API server closes a connection that was idle for 90 s.
const SILENCE: Duration = Duration::from_secs(95);

/// The number of pods in a burst.
const BURST: usize = 500;

#[test]
fn control_plane_outages_do_not_make_webhook_calls_fail() {
    let size = Size::from_env();
    let _exclusive = exclusive();
    let control_plane = ControlPlane::own(&[]);
    let namespace = Namespace::within(&control_plane, "torture-outage");
    let replicas = Replicas::start(&control_plane, &namespace, "", None, size.grace);
    let clients = Arc::new(Clients::new(&control_plane, &namespace));
    clients.wait_until_decided();

    for part in ["kube-apiserver", "etcd"] {
        let load = clients.start();
        let mut away = Vec::new();
        for way in ["stop", "kill"].into_iter().cycle().take(2 * size.outages) {
            load.wait_for_more(200);
            let began = Instant::now();
            control_plane.request(&format!("{way} {part}"));
            control_plane.request(&format!("start {part}"));
            away.push((began, Instant::now()));
        }
        load.wait_for_more(200);
        let record = load.stop();

        record.print(&format!("{part} restarted"), &format!("stopped and killed, {} times each", size.outages));
        record.assert_no_failure_except(|failure| !failure.is_from_colocate() && failure.is_within(&away));
    }
    drop(replicas);
    control_plane.end();
}

#[test]
fn no_call_fails_in_a_burst_after_95_idle_seconds() {
    let (size, control_plane) = (Size::from_env(), ControlPlane::shared());
    let namespace = Namespace::new("torture-silence");
    let replicas = Replicas::start(control_plane, &namespace, "", None, size.grace);
    let clients = Arc::new(Clients::new(control_plane, &namespace));
    clients.wait_until_decided();
    let burst = |scenario: &str, notes: &str| {
        let _exclusive = exclusive();
        let load = clients.start();
        load.wait_for_more(BURST);
        let record = load.stop();
        record.print(scenario, notes);
        record.assert_nothing_failed();
    };
    let count_connections = || {
        let counters = replicas.running.iter().map(|replica| replica.backend.counters());
        counters.fold((0, 0), |(open, ended), counters| (open + counters.open, ended + counters.ended))
    };

    burst("burst before the silence", "");
    let (open, ended) = count_connections();
    for replica in &replicas.running {
        replica.backend.wait_for_silence(SILENCE);
    }
    let (still_open, by_colocate) = (count_connections().0, count_connections().1 - ended);
    burst(
        "burst after 95 s of silence",
        &format!("of {open} idle connections, colocate closed {by_colocate}, and {still_open} stayed open"),
    );

    assert!(open > 0, "the API server must keep connections");
    assert_eq!(by_colocate, 0, "colocate must not close connections that the API server may be about to use");
}
