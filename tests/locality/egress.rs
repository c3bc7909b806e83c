//! An egress proxy of the API server, which gives a stub on a loopback address the address of a pod.
//!
//! The API server refuses to proxy requests to loopback addresses, and tests listen on no others.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::thread;

use colocate_harness::Folder;
use serde_json::json;

/// The address of the stub in the cluster, from a network for documentation (RFC 5737).
pub(crate) const POD_ADDRESS: &str = "198.51.100.1";

/// Starts a proxy that works until the process exits. Returns the folder with the configuration of the API server, and the argument
/// that names it.
pub(crate) fn start() -> (Folder, String) {
    // An abstract name: it needs no file, and ends with this process.
    let name = format!("colocate-egress-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("the name is short");
    let listener = UnixListener::bind_addr(&address).expect("the name has the number of this process");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A client that has gone away needs no answer.
            thread::spawn(move || forward(stream));
        }
    });
    let connection = json!({"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": format!("@{name}")}}});
    let config = json!({
        "apiVersion": "apiserver.k8s.io/v1beta1", "kind": "EgressSelectorConfiguration",
        "egressSelections": [{"name": "cluster", "connection": connection}],
    });
    let folder = Folder::new(&[]);
    let path = folder.path("egress.json");
    fs::write(&path, config.to_string()).expect("the folder is writable");
    (folder, format!("--egress-selector-config-file={}", path.display()))
}

/// Answers a `CONNECT` request, and then copies bytes in both directions.
fn forward(mut client: UnixStream) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line)? {
            0 => return Ok(()),
            2 => break,
            _ => head.push(line),
        }
    }
    let target = head.first().and_then(|line| line.split_whitespace().nth(1)).unwrap_or_default();
    let mut server = match target.split_once(':') {
        Some((POD_ADDRESS, port)) => TcpStream::connect(format!("{}:{port}", Ipv4Addr::LOCALHOST)),
        _ => TcpStream::connect(target),
    }?;
    client.write_all(b"HTTP/1.1 200 Connection Established\r\n\r\n")?;
    let mut to_client = client;
    let mut from_server = server.try_clone()?;
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        to_client.shutdown(Shutdown::Write)
    });
    io::copy(&mut reader, &mut server)?;
    server.shutdown(Shutdown::Write)
}
