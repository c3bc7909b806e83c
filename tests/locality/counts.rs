//! The counts, compared with the seed for every pod.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cluster::{Cluster, document, places};
use super::objects::node_name;
use super::world::{Driver, Truth};

/// Compares the place of each pod, and the sums by namespace, driver and node.
pub(crate) fn each_pod_is_where_the_seed_put_it(cluster: &Cluster) {
    let truth = cluster.world.truth();
    let of_place = |place: &str| truth.values().filter(|own| **own == place).count();
    for (place, least) in [("local", 400), ("partly", 20), ("remote", 200), ("meantToBeRemote", 100), ("unknown", 50)] {
        assert!(of_place(place) >= least, "the seed has {} pods that are {place}", of_place(place));
    }
    let run = cluster.run("locality -A --by workload -o json --strict");
    let document = document(&run);
    assert_eq!(document["notSeen"], json!([]));
    // Pods are unknown.
    assert_eq!(run.code, Some(3), "{}", run.err);
    same(&places(&document), &truth, "");
    let counted = ["local", "partly", "remote"].map(|place| u32::try_from(of_place(place)).unwrap());
    let percent = 100.0 * f64::from(counted[0]) / f64::from(counted.iter().sum::<u32>());
    assert!((document["pods"]["percentLocal"].as_f64().unwrap() - percent).abs() < 1e-9);
    has_the_sources(&document);

    let pods = || {
        cluster.world.pods.iter().filter_map(|pod| {
            let key = (pod.namespace.to_owned(), pod.name.clone());
            Some((pod, *truth.get(&key)?))
        })
    };
    let drivers = |indices: &[usize]| -> Driver {
        let mut own: Vec<_> = indices.iter().map(|index| cluster.world.volumes[*index].driver).collect();
        own.sort();
        own[0]
    };
    for (by, expected) in [
        ("driver", sums(pods().map(|(pod, place)| (drivers(&pod.volumes).name().to_owned(), place)))),
        ("node", sums(pods().map(|(pod, place)| (node_name(pod.node.unwrap()), place)))),
    ] {
        let document = super::cluster::document(&cluster.run(&format!("locality --by {by} -o json")));
        assert_eq!(groups(&document, by), expected, "{by}");
    }
    let one = super::cluster::document(&cluster.run("locality -n data-2 --by workload -o json"));
    same(&places(&one), &truth.into_iter().filter(|((namespace, _), _)| namespace == "data-2").collect(), "-n data-2");
}

/// Asserts that both have the same pods at the same places.
pub(crate) fn same(found: &Truth, truth: &Truth, what: &str) {
    let differ: Vec<_> = truth
        .keys()
        .chain(found.keys())
        .filter(|pod| found.get(*pod) != truth.get(*pod))
        .map(|pod| (pod, found.get(pod), truth.get(pod)))
        .collect();
    assert!(
        differ.is_empty(),
        "{what}: {} pods differ (found, expected): {:?}",
        differ.len(),
        &differ[..differ.len().min(9)]
    );
}

type Counts = BTreeMap<String, BTreeMap<String, u64>>;

fn sums(pods: impl Iterator<Item = (String, &'static str)>) -> Counts {
    let mut sums = Counts::new();
    for (group, place) in pods {
        *sums.entry(group).or_default().entry(place.to_owned()).or_default() += 1;
    }
    sums
}

fn groups(document: &Value, by: &str) -> Counts {
    let groups = document["shares"]["groups"].as_array().unwrap().iter();
    let counts = |group: &Value| {
        let places = ["local", "partly", "remote", "meantToBeRemote", "unknown"];
        let counts = places.map(|place| (place.to_owned(), group[place].as_u64().unwrap()));
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    };
    groups.map(|group| (group[by].as_str().unwrap().to_owned(), counts(group))).collect()
}

fn has_the_sources(document: &Value) {
    let row = |driver: &str, source: &str| json!({"driver": driver, "source": source, "error": null});
    let mut expected = vec![
        row("portworx", "Service portworx-api"),
        row("longhorn", "replicas.longhorn.io"),
        row("hwameistor", "localvolumereplicas.hwameistor.io"),
        row("topolvm", "logicalvolumes.topolvm.io"),
        row("openebs-lvm", "lvmvolumes.local.openebs.io"),
        row("linstor", "resources.internal.linstor.linbit.com"),
        row("local", "node affinity"),
        row("scored", "extender stork-service"),
    ];
    let silent = "no source is configured for the driver: set `drivers[].locality` in the configuration";
    expected.push(json!({"driver": "silent", "source": null, "error": silent}));
    assert_eq!(document["sources"], json!(expected));
}
