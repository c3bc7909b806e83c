//! Compares `colocate locality` with a seeded cluster, on a real control plane with stubs of the storage systems.
//!
//! The tests share one control plane of 40 nodes and 2,000 pods. Its schedulers are stopped, so that the seed decides where pods are.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod counts;
mod egress;
mod gaps;
mod objects;
mod placement;
mod promise;
mod reasons;
mod stub;
mod world;

use std::time::Instant;

use cluster::Cluster;

/// One test, because its parts change the cluster for each other.
#[test]
fn locality_agrees_with_a_seeded_cluster() {
    let part = |name: &str, part: &dyn Fn()| {
        let began = Instant::now();
        part();
        println!("{name}: {:.1?}", began.elapsed());
    };
    part("start", &|| assert!(!Cluster::shared().world.pods.is_empty()));
    let cluster = Cluster::shared();
    part("counts", &|| counts::each_pod_is_where_the_seed_put_it(cluster));
    part("rights", &|| gaps::a_missing_right_increases_unknown_and_nothing_else(cluster));
    part("answers", &|| gaps::a_missing_answer_increases_unknown_and_nothing_else(cluster));
    part("placement", &|| placement::place_asks_and_creates_nothing(cluster));
    part("reasons", &|| reasons::each_reason_is_found_for_real(cluster));
    part("resources", &|| gaps::a_missing_resource_increases_unknown_and_nothing_else(cluster));
    part("promise", &|| promise::pods_run_with_their_data(cluster));
}
