//! How the process ends.

use std::os::unix::process::ExitStatusExt;

use super::process::Server;

#[test]
fn a_server_that_drains_is_not_ready_and_still_answers_and_closes() {
    let mut server = Server::start("drain: {grace: 1h, timeout: 2h}\n");
    let mut connection = server.connect();
    let before = connection.send("POST /mutate", b"{}");
    assert_eq!(before.header("connection"), None);
    server.signal("TERM");
    server.logged("draining");
    let ready = server.admin("/readyz");
    assert_eq!((ready.status, ready.body.contains("draining")), (503, true));
    // The connection that was open, and a new one.
    let after = connection.send("POST /mutate", b"{}");
    assert_eq!((after.status, after.header("connection")), (400, Some("close")));
    assert!(connection.is_closed());
    assert_eq!(server.send("POST /mutate", b"{}").header("connection"), Some("close"));
    // A second signal ends it at once.
    server.signal("TERM");
    let status = server.wait();
    assert_eq!((status.code(), status.signal()), (Some(143), None));
}

#[test]
fn after_the_grace_it_ends_when_nothing_is_in_flight() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start("drain: {grace: 0s}\n");
        let mut idle = server.connect();
        assert_eq!(idle.send("POST /mutate", b"{}").status, 400);
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
        assert!(idle.is_closed());
    }
}
