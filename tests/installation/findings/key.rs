//! Keys that Stork reads, keys that resemble them, and others.

use colocate_harness::scramble;

const PREFIX: &str = "stork.libopenstorage.org";

/// The correct keys, misspelled ones, and ones with another prefix or none.
pub(crate) const KEYS: &[&str] = &[
    "stork.libopenstorage.org/preferLocalNodeOnly",
    "stork.libopenstorage.org/disableHyperconvergence",
    "stork.libopenstorage.org/disable-admission-controller",
    "stork.libopenstorage.org/preferRemoteNodeOnly",
    "stork.libopenstorage.org/preferRemoteNode",
    "stork.libopenstorage.org/skipSchedulerScoring",
    "stork.libopenstorage.org/restore-in-progress",
    "stork.libopenstorage.org/preferlocalnodeonly",
    "stork.libopenstorage.org/perferLocalNodeOnly",
    "stork.libopenstorage.org/nothing-like-it",
    "stork.libopenstorage.org/snapshotname",
    "stork.libopenstorage.com/preferLocalNodeOnly",
    "stork.libopenstroage.ogr/nothing-like-it",
    "preferLocalNodeOnly",
    "portworx.io/disableHyperConvergence",
    "PREFERREMOTENODE",
    "example.com/chosen",
    "placement_strategy",
    "sharedv4",
    "sharedv4_svc_type",
    "cluster-autoscaler.kubernetes.io/safe-to-evict",
    "karpenter.sh/do-not-disrupt",
    "app.kubernetes.io/name",
    "example.com/unrelated",
];

/// The values of these keys.
pub(crate) const VALUES: [&str; 4] = ["true", "yes", "false", ""];

/// Returns a key with up to three typing errors in its prefix.
pub(crate) fn mistyped(number: u64) -> String {
    let mut chance = scramble(number);
    let mut pick = |count: usize| {
        let picked = chance % count as u64;
        chance = scramble(chance);
        usize::try_from(picked).expect("the index is less than the count")
    };
    let mut prefix: Vec<char> = PREFIX.chars().collect();
    for _ in 0..=pick(3) {
        let place = pick(prefix.len() - 1);
        match pick(4) {
            0 => drop(prefix.remove(place)),
            1 => prefix.insert(place, 'x'),
            2 => prefix[place] = 'y',
            _ => prefix.swap(place, place + 1),
        }
    }
    let name = ["preferLocalNodeOnly", "nothing-like-it", "snapshotname"][pick(3)];
    format!("{}/{name}", prefix.into_iter().collect::<String>())
}
