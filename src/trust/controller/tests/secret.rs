//! The Secret, and what others do to it.

use super::*;

#[tokio::test(start_paused = true)]
async fn replicas_that_start_together_agree_on_one_ca() {
    let cluster = TestCluster::installed();
    let mut replicas = [cluster.replica().0, cluster.replica().0, cluster.replica().0];
    let [first, second, third] = &mut replicas;
    tokio::join!(first.read_and_go_round(), second.read_and_go_round(), third.read_and_go_round());
    for replica in &mut replicas {
        replica.read_and_go_round().await;
    }
    let bundle = cluster.change(|objects| objects.bundle(MUTATING));
    assert_eq!(bundle.len(), 1);
    assert!(replicas.iter().all(|replica| replica.leaf_chains_to(&bundle)));
    let filled = cluster.writes().into_iter().filter(|write| *write == wrote(&Method::PUT, SECRET, 200)).count();
    assert_eq!(filled, 1);
}

#[tokio::test(start_paused = true)]
async fn an_absent_secret_is_created_only_if_configured() {
    let cluster = TestCluster::new();
    let (mut controller, readiness) = cluster.replica();
    for pause in [
        FIRST_RETRY,
        FIRST_RETRY * 2,
        FIRST_RETRY * 4,
        FIRST_RETRY * 8,
        FIRST_RETRY * 16,
        FIRST_RETRY * 20,
        FIRST_RETRY * 20,
    ] {
        assert_eq!(controller.read_and_go_round().await, pause);
    }
    let details = readiness.details().join("\n");
    assert!(details.contains("Secret storage/colocate-ca does not exist"), "{details}");
    assert_eq!(cluster.writes(), []);
    let (mut controller, readiness) = cluster.replica_with(true, Lifetimes::default());
    controller.read_and_go_round().await;
    assert_eq!(cluster.writes(), [wrote(&Method::POST, "/api/v1/namespaces/storage/secrets", 201)]);
    let details = readiness.details().join("\n");
    assert!(details.contains("neither MutatingWebhookConfiguration/zz-colocate nor"), "{details}");
    cluster.change(|objects| {
        assert_eq!(objects.by_path[SECRET]["metadata"].get("labels"), None);
        objects.put(VALIDATING, configuration())
    });
    controller.read_and_go_round().await;
    assert!(readiness.obstacles().is_empty() && readiness.details().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_corrupt_secret_is_not_touched_and_the_last_state_is_used() {
    let cluster = TestCluster::installed();
    let (mut controller, readiness) = cluster.replica();
    controller.read_and_go_round().await;
    cluster.writes();
    let good = cluster.change(|objects| {
        let good = objects.by_path[SECRET].clone();
        objects
            .put(SECRET, secret(Some(json!({ "ca.crt": STANDARD.encode("hello"), "ca.key": good["data"]["ca.key"] }))));
        good
    });
    // Entries still get their bundle.
    cluster.change(|objects| objects.put(MUTATING, configuration()));
    controller.read_and_go_round().await;
    let details = readiness.details().join("\n");
    assert!(
        details.contains("Secret storage/colocate-ca: key `ca.crt`: it is not a certificate in PEM form"),
        "{details}"
    );
    assert_eq!(cluster.writes(), [wrote(&Method::PATCH, MUTATING, 200)]);
    cluster.change(|objects| objects.put(SECRET, good));
    controller.read_and_go_round().await;
    assert!(readiness.details().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_emptied_secret_gets_the_same_ca_again() {
    let cluster = TestCluster::installed();
    let (mut controller, _) = cluster.replica();
    controller.read_and_go_round().await;
    let before = cluster.change(|objects| {
        let before = objects.state();
        objects.put(SECRET, secret(None));
        before
    });
    controller.read_and_go_round().await;
    assert_eq!(cluster.change(|objects| objects.state()).bundle(), before.bundle());
}

#[tokio::test(start_paused = true)]
async fn an_outdated_replica_does_not_remove_a_ca_of_the_secret() {
    let cluster = TestCluster::installed();
    let (mut controller, _) = cluster.replica();
    controller.read_and_go_round().await;
    // Another replica publishes the next CA, and writes it into the bundle of one entry.
    let both: Vec<_> = cluster.change(|objects| {
        let now = Timestamp::now();
        let after = objects.state().after(RotationStep::Publish, now, &Lifetimes::default()).unwrap();
        objects.hold(&after);
        let bundle: String = after.bundle().into_iter().map(Certificate::pem).collect();
        let mut configuration = configuration();
        configuration["webhooks"][0]["clientConfig"]["caBundle"] = STANDARD.encode(bundle).into();
        objects.put(MUTATING, configuration);
        after.bundle().into_iter().cloned().collect()
    });
    controller.live.read().await.unwrap();
    controller.reconcile().await.unwrap();
    let bundle = cluster.change(|objects| objects.bundle(MUTATING));
    assert!(bundle.len() == 2 && both.iter().all(|certificate| bundle.contains(certificate)));
    // A CA that the Secret does not list is removed.
    let foreign = CaState::first(Timestamp::now(), &Lifetimes::default()).unwrap();
    cluster.change(|objects| {
        let mut configuration = configuration();
        for entry in configuration["webhooks"].as_array_mut().unwrap() {
            entry["clientConfig"]["caBundle"] = STANDARD.encode(foreign.current.certificate_pem()).into();
        }
        objects.put(MUTATING, configuration);
    });
    controller.read_and_go_round().await;
    assert!(!cluster.change(|objects| objects.bundle(MUTATING)).contains(foreign.current.certificate()));
    // Unless the Secret cannot be read.
    cluster.change(|objects| {
        let mut configuration = configuration();
        configuration["webhooks"][0]["clientConfig"]["caBundle"] =
            STANDARD.encode(foreign.current.certificate_pem()).into();
        objects.put(MUTATING, configuration);
        objects.by_path.remove(SECRET);
    });
    controller.read_and_go_round().await;
    assert!(cluster.change(|objects| objects.bundle(MUTATING)).contains(foreign.current.certificate()));
}
