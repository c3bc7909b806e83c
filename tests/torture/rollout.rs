//! Rollouts: both replicas are replaced repeatedly, as a Deployment replaces them.

use std::sync::Arc;

use colocate_harness::{ControlPlane, Namespace};

use crate::exclusive;
use crate::load::Clients;
use crate::replicas::Replicas;
use crate::size::Size;

/// The most calls on one connection after SIGTERM. The balancer counts the handshake, and the call whose response closes it.
const AT_MOST: u64 = 2;

#[test]
fn no_call_fails_during_rolling_restarts() {
    let (size, control_plane) = (Size::from_env(), ControlPlane::shared());
    let namespace = Namespace::new("torture-rollout");
    let _exclusive = exclusive();
    let mut replicas = Replicas::start(control_plane, &namespace, "", None, size.grace);
    let clients = Arc::new(Clients::new(control_plane, &namespace));
    clients.wait_until_decided();

    let load = clients.start();
    load.wait_for_more(100);
    let calls = (0..size.rollouts).map(|_| replicas.replace_all()).max().unwrap_or_default();
    load.wait_for_more(100);
    let record = load.stop();

    let notes = format!("{} rollouts of 2, at most {calls} calls on a connection after SIGTERM", size.rollouts);
    record.print("rolling restart", &notes);
    record.assert_nothing_failed();
    assert!(
        calls <= AT_MOST,
        "a draining replica did not close a connection with its response: {calls} calls began on it"
    );
}
