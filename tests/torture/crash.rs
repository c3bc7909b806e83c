//! A replica that is gone from one moment to the next.

use std::sync::Arc;
use std::time::Instant;

use colocate_harness::{ControlPlane, Namespace};

use crate::load::Clients;
use crate::replicas::Replicas;
use crate::size::Size;
use crate::stage;

#[test]
fn a_replica_that_is_killed_costs_the_calls_in_flight_on_it_and_none_after_a_second() {
    let (size, control_plane) = (Size::wished(), ControlPlane::shared());
    let namespace = Namespace::new("torture-crash");
    let _stage = stage();
    let mut replicas = Replicas::start(control_plane, &namespace, "", None, size.grace);
    let clients = Arc::new(Clients::new(control_plane, &namespace));
    clients.wait_until_decided();

    let load = clients.start();
    // From a death until the balancer knows of it.
    let (mut seconds, mut broken, mut refused) = (Vec::new(), 0, 0);
    for kill in 0..size.kills {
        load.more(200);
        let place = kill % replicas.running.len();
        let killed = Instant::now();
        replicas.running[place].kill();
        seconds.push((killed, Instant::now()));
        load.more(200);
        let new = replicas.start_one();
        let books = std::mem::replace(&mut replicas.running[place], new).backend.books();
        (broken, refused) = (broken + books.broken, refused + books.refused);
    }
    load.more(200);
    let record = load.stop();

    let longest = seconds.iter().map(|(killed, known)| (*known - *killed).as_millis()).max().unwrap_or_default();
    let beside = format!(
        "{} times: {broken} calls in flight, {refused} connections refused, known to the balancer after {longest} ms",
        size.kills
    );
    record.print("`kill -9` of a replica", &beside);
    record.assert_nothing_failed_but(|failure| failure.is_colocates() && failure.is_within(&seconds));
    let (lost, explained) = (record.lost() as u64, broken + refused);
    assert!(lost <= explained, "{lost} calls failed, and {explained} were on the way to who was killed");
}
