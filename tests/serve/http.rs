//! A request that is not a review gets an HTTP error with one clear line, and never a denial.

use std::io::{Read, Write};
use std::net::TcpStream;

use colocate_harness::process::{Answer, Server};

fn assert_refused(answer: &Answer, status: u16, part: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(answer.body.contains(part), "{}", answer.body);
    assert_eq!(answer.body.lines().count(), 1, "{}", answer.body);
    assert!(!answer.body.contains("allowed\""), "{}", answer.body);
}

#[test]
fn a_wrong_path_method_or_content_type_gets_its_own_status() {
    let server = Server::start("");
    assert_refused(&server.send("POST /", b"{}"), 404, "send admission reviews to /mutate");
    let answer = server.send("GET /mutate", b"");
    assert_refused(&answer, 405, "send admission reviews with POST");
    assert_eq!(answer.header("allow"), Some("POST"));
    for header in ["Content-Type: text/plain", "Content-Type: application/jsonp", "X-Nothing: 1"] {
        let head = format!("POST /mutate HTTP/1.1\r\nHost: x\r\n{header}");
        assert_refused(&server.connect().send_raw(&head, b"{}"), 415, "application/json");
    }
    let head = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/JSON; charset=utf-8";
    assert_refused(&server.connect().send_raw(head, b"{}"), 400, "kind is missing");
}

#[test]
fn an_invalid_review_is_a_bad_request_and_keeps_the_connection() {
    let server = Server::start("");
    let mut connection = server.connect();
    for (body, part) in [
        (&b""[..], "EOF"),
        (b"not json", "line 1 column"),
        (b"{}", "kind is missing"),
        (br#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1"}"#, "v1beta1"),
        (br#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":null}"#, "request"),
        (b"\xff\xfe", "line 1 column"),
        (
            br#"{"kind":"AdmissionReview","apiVersion":"a\n2026-11-23 INFO forged\r\nb"}"#,
            "a\u{fffd}2026-11-23 INFO forged",
        ),
        (br#"{"kind":"AdmissionReview","request":{"operation":"x\ny"}}"#, "x\u{fffd}y"),
    ] {
        assert_refused(&connection.send("POST /mutate", body), 400, part);
    }
}

#[test]
fn a_body_over_20_mib_is_rejected() {
    let server = Server::start("");
    let body = vec![b' '; 21 * 1024 * 1024];
    assert_refused(&server.send("POST /mutate", &body), 413, "20 MiB");
    let body = vec![b' '; 19 * 1024 * 1024];
    assert_refused(&server.send("POST /mutate", &body), 400, "EOF");
}

#[test]
fn a_client_without_tls_is_disconnected() {
    let server = Server::start("");
    let mut plain = TcpStream::connect(server.listen).unwrap();
    plain.write_all(b"POST /mutate HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut rest = Vec::new();
    // The server may send an alert before it closes. Some systems report the close as a reset.
    let _ = plain.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP"));
    assert_eq!(server.send("POST /mutate", b"{}").status, 400);
}

#[test]
fn the_admin_port_has_three_paths() {
    let server = Server::start("");
    assert_eq!(server.admin("/livez").status, 200);
    assert_eq!(server.admin("/readyz").body, "ok\n");
    assert_eq!(server.admin("/metrics").status, 200);
    assert_eq!(server.admin("/").status, 404);
}

#[test]
fn long_input_is_truncated_in_the_response() {
    let server = Server::start("");
    let body = format!(r#"{{"kind":"{}"}}"#, "k".repeat(100_000));
    let answer = server.send("POST /mutate", body.as_bytes());
    assert_refused(&answer, 400, "kkk");
    assert!(answer.body.len() < 1_000, "{} bytes", answer.body.len());
}
