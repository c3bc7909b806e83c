//! What clients cannot do to others: take all connections, all handshakes or all memory, or be slow.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;

use colocate_harness::process::{self, Connection, Server};

const MIB: usize = 1024 * 1024;

/// Lets this process, and what it starts, open so many files, which is fewer than any system allows and may be more than
/// it allows unasked.
fn allow_files(count: usize) {
    process::allow_files(std::process::id(), count);
}

#[test]
fn of_1_100_connections_each_is_answered_and_those_beyond_the_limit_are_not_kept() {
    allow_files(4096);
    let server = Server::start("");
    let mut kept = Vec::new();
    for _ in 0..1_100 {
        let mut connection = server.connect();
        let answer = connection.send("POST /mutate", b"{}");
        assert_eq!(answer.status, 400);
        if answer.header("connection") == Some("close") {
            assert!(connection.is_closed());
        } else {
            kept.push(connection);
        }
    }
    assert_eq!(kept.len(), 1_023);
    assert!(kept.iter_mut().all(|connection| connection.send("POST /mutate", b"{}").status == 400));
}

/// As on a machine that has no file descriptor left: what comes meanwhile is not lost, and is answered when one is free.
#[test]
fn without_a_file_to_open_it_says_so_and_goes_on_when_there_is_one() {
    let server = Server::start("");
    server.allow_files_more(2);
    let taken = [(); 8].map(|()| TcpStream::connect(server.listen).unwrap());
    server.logged("cannot accept a connection");
    drop(taken);
    assert_eq!(server.send("POST /mutate", b"{}").status, 400);
}

#[test]
fn clients_that_begin_a_handshake_and_stop_keep_nobody_away() {
    let server = Server::start("");
    let slow: Vec<_> = (0..200)
        .map(|number| {
            let mut stream = TcpStream::connect(server.listen).unwrap();
            // Nothing, or the beginning of a hello that would be 512 bytes.
            stream.write_all(&[0x16, 3, 1, 2, 0, 1][..number % 7]).unwrap();
            stream
        })
        .collect();
    assert_eq!(server.send("POST /mutate", b"{}").status, 400);
    drop(slow);
}

#[test]
fn clients_that_say_hello_and_stop_keep_nobody_away() {
    let server = Server::start("");
    let hello = server.hello();
    // More than have a turn at once.
    let mut slow: Vec<_> = (0..80)
        .map(|_| {
            let mut stream = TcpStream::connect(server.listen).unwrap();
            stream.write_all(&hello).unwrap();
            // Its hello was computed, and nothing follows.
            stream.read_exact(&mut [0]).unwrap();
            stream
        })
        .collect();
    assert_eq!(server.send("POST /mutate", b"{}").status, 400);
    // Nobody had to be given up for that.
    slow[0].set_nonblocking(true).unwrap();
    let mut rest = Vec::new();
    let end = slow[0].read_to_end(&mut rest).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::WouldBlock);
}

#[test]
fn tls_1_1_is_refused_with_an_alert() {
    let server = Server::start("");
    // A hello as an old client sends it: version 1.1, random bytes, no session, one cipher suite, no compression, and of
    // extensions the one for signature algorithms.
    let mut hello = vec![0x16, 3, 1, 0, 55, 1, 0, 0, 51, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0, 0x2f, 1, 0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 1]);
    let mut stream = TcpStream::connect(server.listen).unwrap();
    stream.write_all(&hello).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer[..], [0x15, 3, 3, 0, 2, 2, 70], "a fatal alert that names the version");
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_request_is_let_go() {
    let server = Server::start("");
    let head = b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    for sent in [0, 20, head.len()] {
        let mut connection = server.connect();
        connection.write(&head[..sent]);
        connection.shut();
        while !connection.is_closed() {}
    }
    assert_eq!(server.send("POST /mutate", b"{}").status, 400);
}

#[test]
fn large_bodies_wait_for_room_outside_and_small_ones_always_have_some() {
    let server = Server::start("");
    let (mut one, mut two) = (server.connect(), server.connect());
    one.begin(20 * MIB).unwrap();
    two.begin(20 * MIB).unwrap();
    let refused = server.connect().begin(20 * MIB).unwrap_err();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{}", refused.body);
    assert_eq!(server.send("POST /mutate", b"{}").status, 400);
    // Whoever does not ask before it sends is told in time too.
    let refused = server.send("POST /mutate", &vec![b' '; 17 * MIB]);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{}", refused.body);

    one.write(&vec![b' '; 20 * MIB]);
    assert_eq!(one.answer().status, 400);
    server.connect().begin(20 * MIB).unwrap();
}

#[test]
fn fifty_reviews_of_17_mb_at_once_take_a_bounded_memory() {
    let server = Server::start("");
    let mut review = br#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","kind":{"group":"","version":"v1","kind":"Pod"},"operation":"CREATE","namespace":"default","object":{"metadata":{"annotations":{"padding":""#.to_vec();
    review.resize(17_000_000, b'x');
    review.extend(br#""}},"spec":{}}}}"#);
    let (review, start) = (&review[..], &Barrier::new(50));
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let connections = std::iter::repeat_with(|| server.connect()).take(50);
        let ask = |mut connection: Connection| {
            scope.spawn(move || {
                start.wait();
                connection.attempt("POST /mutate", review).map(|answer| answer.status)
            })
        };
        let clients: Vec<_> = connections.map(ask).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert!(statuses.contains(&Some(200)), "{statuses:?}");
    // 850 MB may take longer than a body may: then the answer is 408, or lost to a client that still sends.
    assert!(statuses.iter().all(|status| [Some(200), Some(503), Some(408), None].contains(status)), "{statuses:?}");
    assert!(server.peak() < 160_000, "{} kB", server.peak());
    assert_eq!(server.send("POST /mutate", review).status, 200);
}
