//! A configuration file that changes while the server runs.

use colocate_harness::process::Server;

const MYSQL: &[u8] = include_bytes!("../../src/cli/probe/mysql-deployment.json");

const IN_EFFECT: &str = "configuration reloaded";
const REFUSED: &str = "invalid configuration ignored: the previous one stays in effect";

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
    let metrics = server.admin("/metrics").body;
    for line in
        ["colocate_config_reloads_total{result=\"applied\"} 2", "colocate_config_reloads_total{result=\"refused\"} 1"]
    {
        assert!(metrics.contains(line), "{metrics}");
    }
}
