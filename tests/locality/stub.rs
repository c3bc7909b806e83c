//! A stub of storage systems: the REST gateway of an `OpenStorage` SDK over TLS, and the extender of a scheduler.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::objects::node_name;
use super::world::OFFLINE;

/// The token that the gateway requires.
pub(crate) const TOKEN: &str = "seeded-token";

/// The nodes of a pod's volumes, by `namespace/claim`.
pub(crate) type Scores = BTreeMap<String, BTreeSet<String>>;

/// A stub that answers until the process exits.
pub(crate) struct Stub {
    /// The address of the gateway, and that of the extender.
    pub(crate) gateway: SocketAddr,
    pub(crate) extender: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    answers: Mutex<Answers>,
    asked: Mutex<Vec<String>>,
}

/// The responses of the stub.
#[derive(Clone, Default)]
pub(crate) struct Answers {
    pub(crate) nodes: Answer,
    pub(crate) volumes: Answer,
    pub(crate) filter: Fault,
    pub(crate) prioritize: Fault,
    pub(crate) scores: Scores,
}

#[derive(Clone, Default)]
pub(crate) struct Answer {
    pub(crate) body: String,
    pub(crate) fault: Fault,
}

/// A fault of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    #[default]
    None,
    /// HTTP 500.
    Error,
    /// JSON of another structure.
    Garbage,
    /// The first half of the answer.
    Truncated,
}

impl Stub {
    pub(crate) fn start() -> Self {
        let state = Arc::new(State::default());
        let tls = Arc::new(tls());
        let gateway = serve(state.clone(), move |stream| {
            let connection = ServerConnection::new(tls.clone()).ok()?;
            Some(Box::new(StreamOwned::new(connection, stream)))
        });
        let extender = serve(state.clone(), |stream| Some(Box::new(stream)));
        Self { gateway, extender, state }
    }

    /// Changes what it answers.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Answers)) {
        change(&mut self.state.answers.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Changes what it answers during a call.
    pub(crate) fn with<T>(&self, fault: impl FnOnce(&mut Answers), run: impl FnOnce() -> T) -> T {
        let before = self.state.answers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.change(fault);
        let result = run();
        self.change(|answers| *answers = before);
        result
    }

    /// The paths that it was asked since the last call, sorted.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.state.asked.lock().unwrap_or_else(PoisonError::into_inner));
        asked.sort();
        asked
    }
}

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// Listens, and answers each connection in a thread.
fn serve(state: Arc<State>, open: impl Fn(TcpStream) -> Option<Box<dyn Stream>> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let address = listener.local_addr().expect("the listener is bound");
    let open = Arc::new(open);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (state, open) = (state.clone(), open.clone());
            thread::spawn(move || open(stream).map(|mut stream| answer(&mut *stream, &state)));
        }
    });
    address
}

fn tls() -> ServerConfig {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["gateway.test".to_owned()]).expect("the name is valid");
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let config = ServerConfig::builder().with_no_client_auth();
    config.with_single_cert(vec![cert.der().clone()], key).expect("the key is that of the certificate")
}

fn answer(stream: &mut dyn Stream, state: &State) {
    let mut reader = BufReader::new(&mut *stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(read) if read > 2 => head.push(line.trim_end().to_owned()),
            Ok(2) => break,
            _ => return,
        }
    }
    let header = |name: &str| {
        let own = head.iter().filter_map(|line| line.split_once(": "));
        own.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    };
    let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let mut words = head.first().map_or("", String::as_str).split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    state.asked.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
    let answers = state.answers.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let token = header("grpc-metadata-authorization");
    let is_known = token.as_deref() == Some(&format!("bearer {TOKEN}"));
    let (fault, (code, text)) = match (method, path) {
        ("GET", "/v1/nodes/filters") if is_known => (answers.nodes.fault, (200, answers.nodes.body)),
        ("POST", "/v1/volumes/inspectwithfilters") if is_known && body == b"{}" => {
            (answers.volumes.fault, (200, answers.volumes.body))
        }
        ("GET" | "POST", path) if path.starts_with("/v1/") => (Fault::None, (401, "no token".to_owned())),
        ("POST", "/filter") => (answers.filter, filter(&read(&body))),
        ("POST", "/prioritize") => (answers.prioritize, prioritize(&read(&body), &answers.scores)),
        _ => (Fault::None, (404, "page not found".to_owned())),
    };
    let (code, text) = match fault {
        Fault::None => (code, text),
        Fault::Error => (500, "the stub is broken".to_owned()),
        Fault::Garbage => (200, r#"{"nodes": 1, "volumes": 1, "Host": 1}"#.to_owned()),
        Fault::Truncated => (200, text[..text.len() / 2].to_owned()),
    };
    let head = format!("HTTP/1.1 {code} x\r\nContent-Type: application/json\r\nConnection: close\r\n");
    let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{text}", text.len());
    let _ = stream.flush();
}

fn read(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

/// The names of the nodes in the arguments of a call.
fn candidates(arguments: &Value) -> Vec<String> {
    let nodes = arguments.pointer("/Nodes/items").and_then(Value::as_array).into_iter().flatten();
    nodes.filter_map(|node| node.pointer("/metadata/name")?.as_str().map(str::to_owned)).collect()
}

/// Lets all nodes through except the one whose storage is offline.
fn filter(arguments: &Value) -> (u16, String) {
    let offline = node_name(OFFLINE);
    let nodes = arguments.pointer("/Nodes/items").and_then(Value::as_array).cloned().unwrap_or_default();
    let passed: Vec<_> = nodes.iter().filter(|node| node.pointer("/metadata/name") != Some(&json!(offline))).collect();
    let mut failed = json!({});
    if passed.len() < nodes.len() {
        failed[&offline] = "storage is offline".into();
    }
    let result = json!({"Nodes": {"metadata": {}, "items": passed}, "NodeNames": null, "FailedNodes": failed, "FailedAndUnresolvableNodes": null, "Error": ""});
    (200, result.to_string())
}

/// Scores as Stork does: 100 for each volume of which a node has a replica, and 5 for a node without one.
fn prioritize(arguments: &Value, scores: &Scores) -> (u16, String) {
    let pod = &arguments["Pod"];
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let claims: Vec<_> = volumes
        .filter_map(|volume| volume.pointer("/persistentVolumeClaim/claimName")?.as_str())
        .filter_map(|claim| scores.get(&format!("{namespace}/{claim}")))
        .collect();
    let score = |node: &String| 100 * claims.iter().filter(|nodes| nodes.contains(node)).count();
    let list = candidates(arguments).into_iter().map(|node| json!({"Score": score(&node).max(5), "Host": node}));
    (200, list.collect::<Value>().to_string())
}
