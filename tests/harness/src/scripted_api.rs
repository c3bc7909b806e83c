//! A scripted API server for commands that run in a [`Folder`].

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use serde_json::{Value, json};

use super::{Folder, Run};

/// An API server with fixed objects. It sends lists in pages, if the client wants. All other requests get the same status.
pub struct ApiServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ApiServer {
    /// Starts a server with these objects by path. `otherwise` is the status of all other paths.
    pub fn new(objects: &[(&str, Value)], otherwise: u16) -> Self {
        Self::with_lists(objects, Vec::new(), otherwise)
    }

    /// Like [`new`](Self::new), with lists of many items, given as JSON.
    pub fn with_lists(objects: &[(&str, Value)], lists: Vec<(&str, Vec<String>)>, otherwise: u16) -> Self {
        let lists = lists.into_iter().map(|(path, items)| (path.to_owned(), Content::List(items)));
        Self::start(objects, lists, otherwise)
    }

    /// Like [`new`](Self::new), with paths that have a status and a body of their own, as a Service behind the proxy has.
    pub fn with_failures(objects: &[(&str, Value)], failures: Vec<(&str, (u16, Value))>, otherwise: u16) -> Self {
        let failure =
            |(path, (code, body)): (&str, (u16, Value))| (path.to_owned(), Content::Failure(code, body.to_string()));
        Self::start(objects, failures.into_iter().map(failure), otherwise)
    }

    fn start(objects: &[(&str, Value)], more: impl Iterator<Item = (String, Content)>, otherwise: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut objects: HashMap<_, _> =
            objects.iter().map(|(path, body)| ((*path).to_owned(), Content::of(body))).collect();
        objects.extend(more);
        let recorded = asked.clone();
        // The thread lives until the process exits, after its clients, which are child processes.
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &objects, otherwise, &recorded);
            }
        });
        Self { address, asked }
    }

    /// Runs a command with `--cluster` and a kubeconfig for this server, with the namespace `shop`.
    pub fn run(&self, folder: &Folder, arguments: &str) -> Run {
        self.run_command(folder, &format!("{arguments} --cluster"))
    }

    /// Runs a command with a kubeconfig for this server, with the namespace `shop` and the context `c`.
    pub fn run_command(&self, folder: &Folder, arguments: &str) -> Run {
        self.write_kubeconfig(folder);
        folder.run(arguments)
    }

    /// Writes the file `kubeconfig` for this server, with the namespace `shop` and the context `c`.
    pub fn write_kubeconfig(&self, folder: &Folder) {
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        });
        fs::write(folder.path("kubeconfig"), kubeconfig.to_string()).unwrap();
    }

    /// The requested paths since the last call, sorted.
    pub fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.sort();
        asked
    }
}

/// The content of a path.
enum Content {
    Object(String),
    /// The items of a list.
    List(Vec<String>),
    /// The status and the body of a failure.
    Failure(u16, String),
}

impl Content {
    fn of(body: &Value) -> Self {
        let items = body["items"].as_array().filter(|_| body["kind"] == "List");
        items.map_or_else(
            || Self::Object(body.to_string()),
            |items| Self::List(items.iter().map(Value::to_string).collect()),
        )
    }

    /// The body of the response to a query.
    fn body(&self, query: &str) -> String {
        let items = match self {
            Self::Object(body) | Self::Failure(_, body) => return body.clone(),
            Self::List(items) => items,
        };
        let number = |key: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(name, _)| *name == key).and_then(|(_, value)| value.parse().ok())
        };
        let begin = number("continue").unwrap_or(0);
        let end = number("limit").map_or(items.len(), |limit| items.len().min(begin + limit));
        let rest = if end < items.len() { format!(r#""continue":"{end}""#) } else { String::new() };
        format!(
            r#"{{"kind":"List","apiVersion":"v1","metadata":{{{rest}}},"items":[{}]}}"#,
            items[begin..end].join(",")
        )
    }
}

fn answer(mut stream: TcpStream, objects: &HashMap<String, Content>, otherwise: u16, asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = reader.by_ref().lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let target = request.split(' ').nth(1).unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let head: Vec<_> = lines.take_while(|line| !line.is_empty()).map(|line| line.to_ascii_lowercase()).collect();
    // A connection that is closed with unread data is reset.
    let length = head.iter().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut sent = vec![0; length.unwrap_or(0)];
    let _ = reader.read_exact(&mut sent);
    let status = |code: u16| {
        let reason = if code == 404 { "NotFound" } else { "no" };
        json!({"kind": "Status", "status": "Failure", "code": code, "message": "no", "reason": reason})
    };
    let (code, body) = match objects.get(path) {
        Some(Content::Failure(code, body)) => (*code, body.clone()),
        Some(content) => (200, content.body(query)),
        None => (otherwise, status(otherwise).to_string()),
    };
    asked.lock().unwrap().push(path.to_owned());
    let head = format!("HTTP/1.1 {code} x\r\nContent-Type: application/json\r\nConnection: close\r\n");
    let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
}
