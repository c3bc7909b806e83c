//! Replicas whose clocks are wrong, and the CA that an older version creates with such a clock.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use colocate::tls::{Authority, Validity};
use colocate_harness::{ControlPlane, Namespace};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::exclusive;
use crate::load::Clients;
use crate::observer::Observer;
use crate::replicas::Replicas;
use crate::size::Size;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// At 400 days, a CA of a year has expired. At 260, its successor is due.
const AHEAD: [SignedDuration; 2] = [SignedDuration::from_hours(400 * 24), SignedDuration::from_hours(260 * 24)];

/// A rotation that starts is over in seconds.
const LIFETIMES: &str = "lifetimes: {ca: 8760h, leaf: 168h, settle: 1s}";

/// The observer's delay: within the settle time.
const LAG: Duration = Duration::from_millis(500);

/// The number of connections to each replica. To open all of them takes the observer three times as long as a CA needs
/// to settle.
const CONNECTIONS: usize = 30;

#[test]
fn no_call_fails_while_all_clocks_are_wrong() {
    let (size, control_plane) = (Size::from_env(), ControlPlane::shared());
    let namespace = Namespace::new("torture-clocks");
    let _exclusive = exclusive();
    let mut replicas = Replicas::start(control_plane, &namespace, LIFETIMES, None, size.grace);
    let clients = Arc::new(Clients::new(control_plane, &namespace));
    clients.wait_until_decided();
    let before = replicas.installation.secret();

    let load = clients.start();
    load.wait_for_more(100);
    replicas.replace_all_by(AHEAD);
    let observer = Observer::start(&replicas, LAG);
    for (replica, ahead) in replicas.running.iter().zip(AHEAD) {
        replica.colocate.wait_for_readiness(&format!("clock: the clock of this machine is {ahead:#} ahead of"));
    }
    observer.wait_for_connections(CONNECTIONS);
    load.wait_for_more(100);
    let observations = observer.stop();
    let after = replicas.installation.secret();
    replicas.replace_all();
    load.wait_for_more(100);
    let record = load.stop();

    record.print("clocks ahead by 400 and 260 days", &format!("{} other connections", observations.handshakes));
    record.assert_nothing_failed();
    assert!(observations.refused.is_empty(), "{:#?}", observations.refused);
    assert_eq!(after, before, "the Secret was written");
}

#[test]
fn no_call_fails_while_a_ca_of_the_future_is_replaced() {
    let (size, control_plane) = (Size::from_env(), ControlPlane::shared());
    let namespace = Namespace::new("torture-future");
    let _exclusive = exclusive();
    let replicas = Replicas::start(control_plane, &namespace, LIFETIMES, None, size.grace);
    let clients = Arc::new(Clients::new(control_plane, &namespace));
    clients.wait_until_decided();
    let observer = Observer::start(&replicas, LAG);

    let load = clients.start();
    load.wait_for_more(100);
    let mut secret = replicas.installation.secret();
    let wrong = Timestamp::now() + AHEAD[0];
    let future = Authority::new("colocate CA", Validity::new(wrong, DAY * 365).expect("it is in the calendar"));
    let future = future.expect("a key can be generated");
    secret.0["data"] = json!({
        "ca.crt": STANDARD.encode(future.certificate_pem()),
        "ca.key": STANDARD.encode(future.key_pem()),
        "old-ca.crt": secret.0["data"]["ca.crt"],
        "old-ca.until": STANDARD.encode((wrong + DAY * 7).to_string()),
    });
    namespace.kubectl().feed("replace -f -", &secret.0.to_string());
    observer.wait_for_rotations(1);
    observer.wait_for_connections(CONNECTIONS);
    load.wait_for_more(100);
    let (record, observations) = (load.stop(), observer.stop());

    record.print("CA of the future replaced", &format!("{} other connections", observations.handshakes));
    record.assert_nothing_failed();
    assert!(observations.refused.is_empty(), "{:#?}", observations.refused);
}
