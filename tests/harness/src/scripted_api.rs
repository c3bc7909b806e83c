//! A scripted API server for commands that run in a [`Folder`].

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use serde_json::{Value, json};

use super::{Folder, Run};

/// An API server with fixed objects. All other requests get the same status.
pub struct ApiServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ApiServer {
    /// Starts a server with these objects by path. `otherwise` is the status of all other paths.
    pub fn new(objects: &[(&str, Value)], otherwise: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let objects: HashMap<_, _> =
            objects.iter().map(|(path, body)| ((*path).to_owned(), body.to_string())).collect();
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
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        });
        fs::write(folder.path("kubeconfig"), kubeconfig.to_string()).unwrap();
        folder.run(&format!("{arguments} --cluster"))
    }

    /// The requested paths since the last call, sorted.
    pub fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.sort();
        asked
    }
}

fn answer(mut stream: TcpStream, objects: &HashMap<String, String>, otherwise: u16, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let path = request.split(' ').nth(1).unwrap().split('?').next().unwrap().to_owned();
    lines.find(String::is_empty);
    let status = |code: u16| {
        let reason = if code == 404 { "NotFound" } else { "no" };
        json!({"kind": "Status", "status": "Failure", "code": code, "message": "no", "reason": reason})
    };
    let (code, body) = match objects.get(&path) {
        Some(body) => (200, body.clone()),
        None => (otherwise, status(otherwise).to_string()),
    };
    asked.lock().unwrap().push(path);
    let head = format!("HTTP/1.1 {code} x\r\nContent-Type: application/json\r\nConnection: close\r\n");
    let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
}
