//! Replicas that are killed without a warning.

use std::sync::Arc;
use std::time::Instant;

use colocate_harness::{ControlPlane, Namespace};

use crate::exclusive;
use crate::load::Clients;
use crate::replicas::Replicas;
use crate::size::Size;

#[test]
fn a_killed_replica_only_loses_calls_until_it_is_noticed() {
    let (size, control_plane) = (Size::from_env(), ControlPlane::shared());
    let namespace = Namespace::new("torture-crash");
    let _exclusive = exclusive();
    let mut replicas = Replicas::start(control_plane, &namespace, "", None, size.grace);
    let clients = Arc::new(Clients::new(control_plane, &namespace));
    clients.wait_until_decided();

    let load = clients.start();
    // The time from the kill until the balancer notices it.
    let (mut seconds, mut broken, mut refused) = (Vec::new(), 0, 0);
    for kill in 0..size.kills {
        load.wait_for_more(200);
        let place = kill % replicas.running.len();
        let killed = Instant::now();
        replicas.running[place].kill();
        seconds.push((killed, Instant::now()));
        load.wait_for_more(200);
        let new = replicas.start_one();
        let counters = std::mem::replace(&mut replicas.running[place], new).backend.counters();
        (broken, refused) = (broken + counters.broken, refused + counters.refused);
    }
    load.wait_for_more(200);
    let record = load.stop();

    let longest = seconds.iter().map(|(killed, known)| (*known - *killed).as_millis()).max().unwrap_or_default();
    let notes = format!(
        "{} kills, {broken} calls in flight, {refused} connections refused, noticed by the balancer after {longest} ms",
        size.kills
    );
    record.print("`kill -9` of a replica", &notes);
    record.assert_no_failure_except(|failure| failure.is_from_colocate() && failure.is_within(&seconds));
    let (lost, explained) = (record.lost() as u64, broken + refused);
    assert!(lost <= explained, "{lost} calls failed, but only {explained} were in flight to killed replicas");
}
