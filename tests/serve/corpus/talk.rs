//! Conversations with raw bytes.

use colocate_harness::process::{Connection, NAME, Server};

use super::answer::check_refusal;
use super::case::{Over, Step, Talk};
use super::review;
use super::text::Reader;

/// Performs the steps of the client, and checks those of the server.
pub(crate) fn check(server: &Server, talk: &Talk) {
    let mut connection = Some(connect(server, &talk.over));
    for (number, step) in talk.steps.iter().enumerate() {
        let at = format!("step {}", number + 1);
        let open = connection.as_mut().expect("no step follows `leave`");
        match step {
            // The server may close the connection before everything is sent.
            Step::Send(text) => open.offer(&text.bytes(Reader::Server)),
            Step::Drip(text) => open.drip(&text.bytes(Reader::Server)),
            Step::Answer(expected) => {
                let answer = open.read_answer().unwrap_or_else(|error| panic!("{at}: no response: {error}"));
                check_refusal(&answer, expected);
            }
            Step::Head(status) => {
                let answer = open.read_head().unwrap_or_else(|error| panic!("{at}: no response: {error}"));
                assert_eq!(answer.status, *status, "{at}");
            }
            Step::Bytes(text) => {
                let expected = text.bytes(Reader::Server);
                assert_eq!(open.read(expected.len()).expect("the server sends bytes"), expected, "{at}");
            }
            Step::Shut => open.shut(),
            Step::Leave => connection = None,
            Step::Closed => {
                assert!(open.is_closed(), "{at}: the server sent something or did not close the connection");
            }
            Step::Ends => assert!(open.ends(), "{at}: the server did not close the connection"),
            Step::CutOff(expected) => {
                if let Ok(answer) = open.read_answer() {
                    check_refusal(&answer, expected);
                }
                assert!(open.ends(), "{at}: the server did not close the connection");
            }
            Step::Open => {
                let answer = open.send("POST /mutate", review::base("pod").text().as_bytes());
                assert_eq!(answer.status, 200, "{at}: {}", answer.body);
            }
        }
    }
}

fn connect(server: &Server, over: &Over) -> Connection {
    let config = |versions| server.trusting(versions).with_no_client_auth();
    match over {
        Over::Plain => Connection::plain(server.listen),
        Over::Tls => server.connect(),
        Over::Tls12 => server.connect_with(&[&rustls::version::TLS12]),
        Over::Alpn(protocols) => {
            let mut config = config(rustls::DEFAULT_VERSIONS);
            config.alpn_protocols = protocols.iter().map(|name| name.clone().into_bytes()).collect();
            Connection::tls(server.listen, config, NAME)
        }
        Over::NoName => {
            let mut config = config(rustls::DEFAULT_VERSIONS);
            config.enable_sni = false;
            Connection::tls(server.listen, config, NAME)
        }
    }
}
