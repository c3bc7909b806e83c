//! Replicas whose clocks are wrong, and certificates that are not valid now.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_replica_whose_clock_is_wrong_serves_and_writes_no_secret() {
    let cluster = TestCluster::installed();
    let (mut controller, _) = cluster.replica();
    controller.read_and_go_round().await;
    let before = cluster.change(|objects| objects.by_path[SECRET].clone());
    cluster.writes();
    for days in [400, 260, -400, 1] {
        cluster.set_ahead(DAY * days);
        let (mut other, readiness) = cluster.replica();
        for _ in 0..3 {
            controller.read_and_go_round().await;
            other.read_and_go_round().await;
            tokio::time::advance(Duration::from_mins(2)).await;
        }
        cluster.assert_accepted(&controller);
        cluster.assert_accepted(&other);
        assert!(readiness.obstacles().is_empty(), "{:?}", readiness.details());
        let (hours, direction) = (days.abs() * 24, if days > 0 { "ahead of" } else { "behind" });
        let line = format!("clock: the clock of this machine is {hours}h {direction} the API server's: ");
        assert!(readiness.details()[0].starts_with(&line), "{:?}", readiness.details());
    }
    assert_eq!(cluster.writes(), []);
    assert_eq!(cluster.change(|objects| objects.by_path[SECRET].clone()), before);
    cluster.set_ahead(SignedDuration::ZERO);
    controller.read_and_go_round().await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_secret_waits_for_a_replica_whose_clock_agrees() {
    let cluster = TestCluster::installed();
    cluster.set_ahead(DAY * 400);
    let (mut controller, readiness) = cluster.replica();
    controller.read_and_go_round().await;
    let details = readiness.details().join("\n");
    assert!(details.contains("Secret storage/colocate-ca has no CA, and this replica does not create"), "{details}");
    assert!(details.contains("clock: the clock of this machine is 9600h ahead"), "{details}");
    assert_eq!((cluster.writes(), readiness.obstacles()), (vec![], vec!["certificate"]));
    cluster.set_ahead(SignedDuration::ZERO);
    controller.read_and_go_round().await;
    assert!(readiness.obstacles().is_empty() && readiness.details().is_empty(), "{:?}", readiness.details());
    cluster.assert_accepted(&controller);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_with_a_ca_of_the_future_heals() {
    let life = Lifetimes::default();
    for (days, retired) in [(400, true), (400, false), (260, false)] {
        let cluster = TestCluster::installed();
        let (mut controller, readiness) = cluster.replica();
        controller.read_and_go_round().await;
        // The Secret as a replica of an older version left it, with a clock that was ahead.
        let wrong = cluster.clocks.server() + DAY * days;
        let bad = cluster.change(|objects| {
            let published = objects.state().after(RotationStep::Publish, wrong, &life).unwrap();
            let mut bad = published.after(RotationStep::Switch, wrong, &life).unwrap();
            if retired {
                bad = bad.after(RotationStep::Retire, wrong, &life).unwrap();
            }
            objects.hold(&bad);
            objects.put(MUTATING, configuration());
            bad
        });

        // A replica that starts now, with a clock that is ahead, does not serve a leaf of that CA.
        cluster.set_ahead(DAY * days);
        let (mut ahead, readiness_ahead) = cluster.replica();
        ahead.read_and_go_round().await;
        assert!(ahead.resolver.served().is_none());
        let details = readiness_ahead.details().join("\n");
        assert!(details.contains("certificate: no CA in Secret storage/colocate-ca is valid now"), "{details}");
        assert!(ahead.metrics.encode().contains("colocate_certificate_valid{certificate=\"ca\"} 0\n"));
        assert!(cluster.change(|objects| objects.state().current.certificate() == bad.current.certificate()));

        cluster.set_ahead(SignedDuration::ZERO);
        controller.read_and_go_round().await;
        cluster.assert_accepted(&controller);
        ahead.read_and_go_round().await;
        cluster.assert_accepted(&ahead);
        // Old leaves stay trusted until all replicas have a new one.
        let healed = cluster.change(|objects| objects.state());
        assert_eq!(healed.old.is_some(), !retired);
        let longest = cluster.clocks.server() + life.leaf + SignedDuration::from_hours(2);
        assert!(healed.old.is_none_or(|old| old.until < longest));
        assert!(!cluster.change(|objects| objects.bundle(MUTATING)).contains(bad.current.certificate()));
        tokio::time::advance(Duration::from_mins(1)).await;
        for controller in [&mut controller, &mut ahead] {
            controller.read_and_go_round().await;
            assert!(controller.leaf_chains_to(std::slice::from_ref(healed.current.certificate())));
        }
        for readiness in [readiness, readiness_ahead] {
            assert!(readiness.obstacles().is_empty() && readiness.details().is_empty(), "{:?}", readiness.details());
        }
        let metrics = controller.metrics.encode();
        for line in [
            "colocate_certificate_rotations_total{certificate=\"ca\"} 2\n",
            "colocate_certificate_valid{certificate=\"ca\"} 1\n",
            "colocate_certificate_valid{certificate=\"leaf\"} 1\n",
        ] {
            assert!(metrics.contains(line), "{line}\n{metrics}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_starts_8_hours_ahead_serves_a_leaf_that_is_valid_now() {
    let cluster = TestCluster::installed();
    let (mut first, _) = cluster.replica();
    first.read_and_go_round().await;
    cluster.set_ahead(SignedDuration::from_hours(8));
    let (mut second, _) = cluster.replica();
    second.read_and_go_round().await;
    cluster.assert_accepted(&second);
    cluster.set_ahead(SignedDuration::ZERO);
    second.read_and_go_round().await;
    cluster.assert_accepted(&second);
}

#[tokio::test(start_paused = true)]
async fn a_file_of_cas_that_are_not_valid_is_reported() {
    let cluster = TestCluster::new();
    cluster.change(|objects| objects.put(MUTATING, configuration()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.crt");
    let state = CaState::first(cluster.clocks.server() + DAY, &Lifetimes::default()).unwrap();
    std::fs::write(&path, state.current.certificate_pem()).unwrap();
    let (mut controller, readiness) =
        cluster.controller(TrustSource::Mounted(MountedCa::new(path.clone())), Process::default());
    let validity = Validity::new(cluster.clocks.server(), DAY).unwrap();
    let leaf = state.current.issue(&["a.example".parse().unwrap()], validity).unwrap();
    controller.resolver.serve(leaf.serving().unwrap());
    controller.read_and_go_round().await;
    let details = readiness.details().join("\n");
    assert!(details.contains(&format!("no CA in {} is valid now", path.display())), "{details}");
    assert_eq!(readiness.obstacles(), ["certificate"]);
    let metrics = controller.metrics.encode();
    assert!(metrics.contains("colocate_certificate_valid{certificate=\"ca\"} 0\n"), "{metrics}");
}
