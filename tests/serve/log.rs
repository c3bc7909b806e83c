//! A log that no one reads, as when the program that collects it hangs.

use std::fmt::Write as _;

use colocate_harness::process::Server;

/// Returns a review whose log line is as long as any can be.
fn review() -> String {
    let mut volumes = String::new();
    for index in 0..256 {
        let claim = format!("{index:0>253}");
        let _ = write!(volumes, r#"{{"name":"v{index}","persistentVolumeClaim":{{"claimName":"{claim}"}}}},"#);
    }
    let volumes = volumes.trim_end_matches(',');
    format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"u","kind":{{"group":"","version":"v1","kind":"Pod"}},"operation":"CREATE","namespace":"default","object":{{"metadata":{{"name":"p"}},"spec":{{"volumes":[{volumes}]}}}}}}}}"#
    )
}

/// Sends more reviews than the pipe and the queue have room for.
fn fill(server: &Server) {
    server.hold_log(true);
    let (mut connection, review) = (server.connect(), review());
    for _ in 0..300 {
        assert_eq!(connection.send("POST /mutate", review.as_bytes()).status, 200);
    }
}

fn dropped(server: &Server) -> u64 {
    let metrics = server.admin("/metrics").body;
    let mut lines = metrics.lines();
    lines.find_map(|line| line.strip_prefix("colocate_log_lines_dropped_total ")).unwrap().parse().unwrap()
}

#[test]
fn reviews_are_answered_while_no_one_reads_the_log() {
    let server = Server::start("");
    fill(&server);
    let count = dropped(&server);
    assert!(count > 0);
    server.hold_log(false);
    let line = server.logged("dropped log lines, because standard error was not read in time");
    assert_eq!((line["lines"].as_u64(), dropped(&server)), (Some(count), count));
}

#[test]
fn a_server_whose_log_no_one_reads_exits_at_sigterm() {
    let mut server = Server::start("drain: {grace: 0s}\n");
    fill(&server);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}
