//! A configured cluster that is unreachable.

use std::net::TcpListener;

use colocate_harness::process::Server;

#[test]
fn with_an_unreachable_cluster_reviews_get_a_503_to_retry() {
    // A port that was free a moment ago. No process listens on it.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:{port}'}}}}]\nusers: [{{name: u, user: {{}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
    );
    std::fs::write(&kubeconfig, text).unwrap();
    let server = Server::start_with("", |command| {
        command.env("KUBECONFIG", &kubeconfig);
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
