//! A control plane that goes and comes, while colocate stays.

use std::sync::Arc;
use std::time::{Duration, Instant};

use colocate_harness::{ControlPlane, Namespace};

use crate::load::Clients;
use crate::replicas::Replicas;
use crate::size::Size;
use crate::stage;

/// For how long nothing is created: the API server closes a connection that was idle for 90 s.
const SILENCE: Duration = Duration::from_secs(95);

/// How many pods make a burst.
const BURST: usize = 500;

#[test]
fn an_api_server_and_an_etcd_that_go_and_come_cost_no_call_of_colocate() {
    let size = Size::wished();
    let _stage = stage();
    let control_plane = ControlPlane::own(&[]);
    let namespace = Namespace::within(&control_plane, "torture-outage");
    let replicas = Replicas::start(&control_plane, &namespace, "", None, size.grace);
    let clients = Arc::new(Clients::new(&control_plane, &namespace));
    clients.wait_until_decided();

    for part in ["kube-apiserver", "etcd"] {
        let load = clients.start();
        let mut away = Vec::new();
        for way in ["stop", "kill"].into_iter().cycle().take(2 * size.outages) {
            load.more(200);
            let began = Instant::now();
            control_plane.request(&format!("{way} {part}"));
            control_plane.request(&format!("start {part}"));
            away.push((began, Instant::now()));
        }
        load.more(200);
        let record = load.stop();

        record.print(&format!("{part} restarted"), &format!("stopped and killed, {} times each", size.outages));
        record.assert_nothing_failed_but(|failure| !failure.is_colocates() && failure.is_within(&away));
    }
    drop(replicas);
    control_plane.end();
}

#[test]
fn a_burst_after_95_seconds_of_silence_costs_no_call() {
    let (size, control_plane) = (Size::wished(), ControlPlane::shared());
    let namespace = Namespace::new("torture-silence");
    let replicas = Replicas::start(control_plane, &namespace, "", None, size.grace);
    let clients = Arc::new(Clients::new(control_plane, &namespace));
    clients.wait_until_decided();
    let burst = |scenario: &str, beside: &str| {
        let _stage = stage();
        let load = clients.start();
        load.more(BURST);
        let record = load.stop();
        record.print(scenario, beside);
        record.assert_nothing_failed();
    };
    let books = || {
        let books = replicas.running.iter().map(|replica| replica.backend.books());
        books.fold((0, 0), |(open, ended), books| (open + books.open, ended + books.ended))
    };

    burst("burst before the silence", "");
    let (open, ended) = books();
    for replica in &replicas.running {
        replica.backend.wait_for_silence(SILENCE);
    }
    let (still_open, by_colocate) = (books().0, books().1 - ended);
    burst(
        "burst after 95 s of silence",
        &format!("of {open} idle connections, colocate closed {by_colocate}, and {still_open} stayed open"),
    );

    assert!(open > 0, "the API server kept no connection");
    assert_eq!(by_colocate, 0, "each could have been one that the API server was about to use");
}
