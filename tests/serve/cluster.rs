//! A configured cluster that is unreachable, and the credentials for it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;

use colocate_harness::WAIT_TIMEOUT;
use colocate_harness::process::Server;
use tempfile::TempDir;

/// Writes a kubeconfig for this API server and user.
fn kubeconfig(server: &str, user: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: '{server}'}}}}]\nusers: [{{name: u, user: {user}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
    );
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn a_pipe_in_place_of_the_token_file_does_not_block_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = channel();
    // The thread lives until this process exits, after its client.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            for line in lines.take_while(|line| !line.is_empty()) {
                if let Some(("authorization", value)) = line.split_once(": ") {
                    let _ = sender.send(value.to_owned());
                }
            }
            let _ = stream.write_all(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    let (folder, path) = kubeconfig(&format!("http://{address}"), "{tokenFile: token}");
    let [token, pipe] = ["token", "pipe"].map(|name| folder.path().join(name));
    std::fs::write(&token, "secret").unwrap();
    let server = Server::start_with("", |command| {
        command.env("KUBECONFIG", &path);
    });
    assert_eq!(received.recv_timeout(WAIT_TIMEOUT).unwrap(), "Bearer secret");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::rename(&pipe, &token).unwrap();
    server.logged_with("cannot read a token from");
    received.try_iter().for_each(drop);
    assert_eq!(received.recv_timeout(WAIT_TIMEOUT).unwrap(), "Bearer secret", "the last token stays in use");
    assert_eq!(server.admin("/livez").status, 200);
    let ready = server.admin("/readyz").body;
    assert!(ready.contains("token: cannot read a token from") && ready.contains("not a regular file"), "{ready}");
    assert!(server.admin("/metrics").body.contains("colocate_file_usable{file=\"token\"} 0"));
}

#[test]
fn with_an_unreachable_cluster_reviews_get_a_503_to_retry() {
    // A port that was free a moment ago. No process listens on it.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (_folder, path) = kubeconfig(&format!("https://127.0.0.1:{port}"), "{}");
    let server = Server::start_with("", |command| {
        command.env("KUBECONFIG", &path);
    });
    let ready = server.admin("/readyz");
    assert_eq!(ready.status, 503);
    for missing in ["list of claims", "list of storage classes"] {
        assert!(ready.body.contains(missing), "{}", ready.body);
    }
    assert_eq!(server.admin("/livez").status, 200);
    // With this header, the API server retries. Without it, the failure policy would apply at once.
    let answer = server.send("POST /mutate", b"{}");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert!(answer.body.contains("list of claims"), "{}", answer.body);
}
