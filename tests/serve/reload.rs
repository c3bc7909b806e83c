//! A configuration file that changes while the server runs.

use colocate_harness::process::Server;

const MYSQL: &[u8] = include_bytes!("../../src/cli/probe/mysql-deployment.json");

const IN_EFFECT: &str = "configuration reloaded";
const REFUSED: &str = "invalid configuration ignored: the previous one stays in effect";

#[test]
fn pipes_in_place_of_files_do_not_block_the_server() {
    let mut server = Server::start("drain: {grace: 0s}\n");
    server.replace_by_pipe("config.yaml");
    server.replace_by_pipe("tls.key");
    let error = server.logged(REFUSED)["error"].as_str().unwrap().to_owned();
    assert!(error.contains("config.yaml: not a regular file"), "{error}");
    server.logged_with("cannot read a private key from");
    assert_eq!(server.review(MYSQL)["allowed"], true);
    let ready = server.admin("/readyz");
    assert_eq!(ready.status, 200);
    for part in ["configuration file: cannot read", "certificate files: cannot read a private key"] {
        assert!(ready.body.contains(part), "{}", ready.body);
    }
    let metrics = server.admin("/metrics").body;
    for file in ["configuration", "certificate"] {
        assert!(metrics.contains(&format!("colocate_file_usable{{file=\"{file}\"}} 0")), "{metrics}");
    }
    server.configure("mode: audit\ndrain: {grace: 0s}\n");
    server.logged(IN_EFFECT);
    assert!(server.admin("/metrics").body.contains("colocate_file_usable{file=\"configuration\"} 1"));
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_valid_configuration_takes_effect_and_an_invalid_one_does_not() {
    let server = Server::start("");
    let reason = || server.review(MYSQL)["auditAnnotations"]["reason"].as_str().unwrap().to_owned();
    assert_eq!(reason(), "injected");
    server.configure("mode: audit\n");
    server.logged(IN_EFFECT);
    assert_eq!(reason(), "would-inject");
    server.configure("mode: enforce\n");
    let refused = server.logged(REFUSED);
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains("config.yaml:1:7: `enforce` is not one of inject, audit, off"), "{error}");
    assert_eq!(reason(), "would-inject");
    server.configure("namespaces: [team-a]\ndrain: {grace: 1s}\n");
    server.logged(IN_EFFECT);
    let parts = server.logged("these parts of the configuration take effect only after a restart");
    assert_eq!(parts["parts"], "namespaces, drain");
    assert_eq!(reason(), "injected");
    server.configure("mode: off\n");
    server.logged(IN_EFFECT);
    assert_eq!(reason(), "off");
    server.configure("# mode: off\n");
    let refused = server.logged(REFUSED);
    let error = refused["error"].as_str().unwrap();
    assert!(
        error.ends_with("config.yaml: the file is empty or has only comments: write {} to use the defaults"),
        "{error}"
    );
    assert_eq!(reason(), "off");
    let metrics = server.admin("/metrics").body;
    for line in
        ["colocate_config_reloads_total{result=\"applied\"} 3", "colocate_config_reloads_total{result=\"refused\"} 2"]
    {
        assert!(metrics.contains(line), "{metrics}");
    }
}
