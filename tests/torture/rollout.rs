//! Rollouts: both replicas are replaced again and again, as a Deployment does it.

use std::sync::Arc;

use colocate_harness::{ControlPlane, Namespace};

use crate::load::Clients;
use crate::replicas::Replicas;
use crate::size::Size;
use crate::stage;

/// On one connection to a replica that ends: the handshake, and the call whose answer closes it.
const AT_MOST: u64 = 2;

#[test]
fn rolling_restarts_lose_nothing() {
    let (size, control_plane) = (Size::wished(), ControlPlane::shared());
    let namespace = Namespace::new("torture-rollout");
    let _stage = stage();
    let mut replicas = Replicas::start(control_plane, &namespace, "", None, size.grace);
    let clients = Arc::new(Clients::new(control_plane, &namespace));
    clients.wait_until_decided();

    let load = clients.start();
    load.more(100);
    let calls = (0..size.rollouts).map(|_| replicas.roll()).max().unwrap_or_default();
    load.more(100);
    let record = load.stop();

    let beside = format!("{} rollouts of 2, at most {calls} calls on a connection after SIGTERM", size.rollouts);
    record.print("rolling restart", &beside);
    record.assert_nothing_failed();
    assert!(
        calls <= AT_MOST,
        "an answer of a replica that ends did not close its connection: {calls} calls began on one"
    );
}
