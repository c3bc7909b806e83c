//! The shutdown of the process.

use std::os::unix::process::ExitStatusExt;

use colocate_harness::process::Server;

#[test]
fn a_draining_server_is_not_ready_but_still_responds() {
    let mut server = Server::start("drain: {grace: 1h, timeout: 2h}\n");
    let mut connection = server.connect();
    let before = connection.send("POST /mutate", b"{}");
    assert_eq!(before.header("connection"), None);
    server.signal("TERM");
    server.logged("draining");
    let ready = server.admin("/readyz");
    assert_eq!((ready.status, ready.body.contains("draining")), (503, true));
    // Both the open connection and a new one are closed after the response.
    let after = connection.send("POST /mutate", b"{}");
    assert_eq!((after.status, after.header("connection")), (400, Some("close")));
    assert!(connection.is_closed());
    assert_eq!(server.send("POST /mutate", b"{}").header("connection"), Some("close"));
    // A second signal stops the process at once.
    server.signal("TERM");
    let status = server.wait();
    assert_eq!((status.code(), status.signal()), (Some(143), None));
}

#[test]
fn after_the_grace_period_an_idle_server_exits() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start("drain: {grace: 0s}\n");
        let mut idle = server.connect();
        assert_eq!(idle.send("POST /mutate", b"{}").status, 400);
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
        assert!(idle.is_closed());
    }
}

#[test]
fn at_the_timeout_the_process_exits_whatever_hangs() {
    let mut server = Server::start("drain: {grace: 0s, timeout: 1s}\n");
    let mut stalled = server.connect();
    stalled.begin(2).unwrap();
    stalled.write(b"{");
    server.signal("TERM");
    for line in ["draining", "closing", "drain.timeout reached"] {
        server.logged_with(line);
    }
    assert_eq!(server.wait().code(), Some(0));
    // The limit on the body, which is longer, would have ended the request with HTTP 408, and then the server.
    assert!(stalled.read_answer().is_err());
    let rest = server.rest_of_log();
    assert!(!rest.iter().any(|line| line.contains("shut down")), "{rest:?}");
}

#[test]
fn new_requests_get_a_503_while_the_last_one_is_finished() {
    let mut server = Server::start("drain: {grace: 0s, timeout: 1h}\n");
    let (mut idle, mut begun) = (server.connect(), server.connect());
    assert_eq!(idle.send("POST /mutate", b"{}").status, 400);
    begun.begin(2).unwrap();
    server.signal("TERM");
    server.logged("closing: new requests get 503 and Retry-After");
    for connection in [&mut idle, &mut server.connect()] {
        let answer = connection.send("POST /mutate", b"{}");
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{}", answer.body);
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(connection.is_closed());
    }
    begun.write(b"{}");
    let answer = begun.answer();
    assert_eq!((answer.status, answer.header("connection")), (400, Some("close")));
    assert_eq!(server.wait().code(), Some(0));
}
