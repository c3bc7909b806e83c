//! No client can starve others of connections, handshakes or memory, or slow them down.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;

use colocate_harness::process::{self, Connection, Server};

const MIB: usize = 1024 * 1024;

/// Raises the limit of open files of this process and its children, because the default can be too low.
fn allow_files(count: usize) {
    process::allow_files(std::process::id(), count);
}

#[test]
fn unused_connections_give_way_to_new_ones() {
    allow_files(4096);
    let server = Server::start("");
    let mut kept = server.connect();
    assert_eq!(kept.send("POST /mutate", b"{}").status, 400);
    let open = || {
        let mut connection = server.connect();
        connection.establish();
        connection
    };
    let mut unused: Vec<_> = (0..1_100).map(|_| open()).collect();
    let mut in_flight = server.connect();
    in_flight.begin(2).unwrap();
    unused.extend((0..10).map(|_| open()));
    assert_eq!(server.send("POST /mutate", b"{}").status, 400);
    assert_eq!(kept.send("POST /mutate", b"{}").header("connection"), None);
    in_flight.write(b"{}");
    assert_eq!(in_flight.answer().status, 400);
    assert!(unused[..80].iter_mut().all(Connection::is_closed), "the oldest ones");
    assert_eq!(unused[1_109].send("POST /mutate", b"{}").status, 400);
}

#[test]
fn idle_connections_give_way_to_new_ones() {
    allow_files(4096);
    let server = Server::start("");
    let mut idle: Vec<_> = (0..1_100)
        .map(|_| {
            let mut connection = server.connect();
            let answer = connection.send("POST /mutate", b"{}");
            assert_eq!((answer.status, answer.header("connection")), (400, None));
            connection
        })
        .collect();
    let (closed, kept) = idle.split_at_mut(76);
    assert!(closed.iter_mut().all(Connection::is_closed));
    assert!(kept.iter_mut().all(|connection| connection.send("POST /mutate", b"{}").status == 400));
}

#[test]
fn unused_connections_do_not_block_probes() {
    allow_files(4096);
    let server = Server::start("");
    let unused: Vec<_> = (0..1_100).map(|_| TcpStream::connect(server.admin).unwrap()).collect();
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(server.admin(path).status, 200);
    }
    drop(unused);
}

#[test]
fn the_limit_of_open_files_is_raised() {
    let server = Server::start_with_files("64:4096");
    assert_eq!(server.files(), 4096);
}

#[test]
fn a_low_limit_of_open_files_lowers_that_of_connections() {
    let server = Server::start_with_files("300:300");
    let mut kept = Vec::new();
    for _ in 0..150 {
        let mut connection = server.connect();
        assert_eq!(connection.send("POST /mutate", b"{}").status, 400);
        assert_eq!(server.admin("/livez").status, 200);
        kept.push(connection);
    }
    server.signal("KILL");
    let log = server.rest_of_log();
    assert!(!log.iter().any(|line| line.contains("cannot accept a connection")));
}

/// Connections that arrive while the process has no free file descriptor are not lost.
#[test]
fn accepting_continues_after_file_descriptors_ran_out() {
    let server = Server::start("");
    server.allow_files_more(2);
    let taken = [(); 8].map(|()| TcpStream::connect(server.listen).unwrap());
    server.logged("cannot accept a connection");
    drop(taken);
    assert_eq!(server.send("POST /mutate", b"{}").status, 400);
}

#[test]
fn unfinished_client_hellos_do_not_block_other_clients() {
    let server = Server::start("");
    let slow: Vec<_> = (0..200)
        .map(|number| {
            let mut stream = TcpStream::connect(server.listen).unwrap();
            // Nothing, or the start of a hello of 512 bytes.
            stream.write_all(&[0x16, 3, 1, 2, 0, 1][..number % 7]).unwrap();
            stream
        })
        .collect();
    assert_eq!(server.send("POST /mutate", b"{}").status, 400);
    drop(slow);
}

#[test]
fn unfinished_handshakes_do_not_block_other_clients() {
    let server = Server::start("");
    let hello = server.hello();
    // More than the number of concurrent handshakes.
    let mut slow: Vec<_> = (0..80)
        .map(|_| {
            let mut stream = TcpStream::connect(server.listen).unwrap();
            stream.write_all(&hello).unwrap();
            // Wait for the server's hello, and send nothing more.
            stream.read_exact(&mut [0]).unwrap();
            stream
        })
        .collect();
    assert_eq!(server.send("POST /mutate", b"{}").status, 400);
    // The server did not close a slow connection to make room.
    slow[0].set_nonblocking(true).unwrap();
    let mut rest = Vec::new();
    let end = slow[0].read_to_end(&mut rest).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::WouldBlock);
}

#[test]
fn tls_1_1_is_rejected_with_an_alert() {
    let server = Server::start("");
    // The hello of an old client: version 1.1, random bytes, no session, one cipher suite, no compression, and only the extension
    // for signature algorithms.
    let mut hello = vec![0x16, 3, 1, 0, 55, 1, 0, 0, 51, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0, 0x2f, 1, 0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 1]);
    let mut stream = TcpStream::connect(server.listen).unwrap();
    stream.write_all(&hello).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer[..], [0x15, 3, 3, 0, 2, 2, 70], "a fatal `protocol_version` alert");
}

#[test]
fn a_connection_that_ends_within_a_request_is_closed() {
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
fn announced_bodies_take_no_room_until_they_arrive() {
    let server = Server::start("");
    let mut announced: Vec<_> = (0..64).map(|_| server.connect()).collect();
    for connection in &mut announced {
        connection.begin(MIB).unwrap();
    }
    assert_eq!(server.send("POST /mutate", &vec![b' '; MIB]).status, 400);
    assert_eq!(server.send("POST /mutate", &vec![b' '; 20 * MIB]).status, 400);
}

#[test]
fn large_bodies_over_the_limit_get_a_503_and_small_ones_do_not() {
    let server = Server::start("");
    let mut large = [server.connect(), server.connect()];
    for connection in &mut large {
        connection.begin(20 * MIB).unwrap();
        connection.write(&vec![b' '; 20 * MIB - 1]);
    }
    // The last bytes may still be on their way to the server.
    let refused = (0..10_000).find_map(|_| server.connect().begin(20 * MIB).err()).expect("a refusal");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{}", refused.body);
    // A client that does not send `Expect: 100-continue` also gets the response.
    let refused = server.send("POST /mutate", &vec![b' '; 17 * MIB]);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{}", refused.body);
    assert_eq!(server.send("POST /mutate", &vec![b' '; MIB]).status, 400);

    large[0].write(b" ");
    assert_eq!(large[0].answer().status, 400);
    server.connect().begin(20 * MIB).unwrap();
}

#[test]
fn fifty_reviews_of_17_mb_at_once_take_bounded_memory() {
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
    // Sending 850 MB may exceed the timeout of a body. The response is then a 408, which a client that is still sending might
    // not get.
    assert!(statuses.iter().all(|status| [Some(200), Some(503), Some(408), None].contains(status)), "{statuses:?}");
    assert!(server.peak() < 160_000, "{} kB", server.peak());
    assert_eq!(server.send("POST /mutate", review).status, 200);
}
