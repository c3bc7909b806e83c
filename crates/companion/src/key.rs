//! The keys that Stork reads, the fields it reads them from, and the detection of misspelled keys.

use colocate_engine::{DISABLE_ADMISSION_CONTROLLER, DISABLE_HYPERCONVERGENCE, Policy, Setting};

/// The prefix of all keys of Stork.
pub(super) const PREFIX: &str = "stork.libopenstorage.org/";

/// Restricts a pod to nodes with a replica of each of its volumes that are not shared.
pub(super) const PREFER_LOCAL_NODE_ONLY: &str = "stork.libopenstorage.org/preferLocalNodeOnly";

/// A key that affects where pods run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StorkKey<'k> {
    pub(super) name: &'k str,
    pub(super) source: Source,
    pub(super) value: ValueType,
}

/// The fields from which Stork reads a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The annotations of a pod, which come from the template of its workload.
    Pod,
    /// The parameters of a `StorageClass`, and the annotations of a claim.
    Storage,
    /// The annotations of a claim.
    Claim,
}

/// The type that Stork parses a value as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueType {
    /// A boolean of Go's `strconv.ParseBool`. If the value does not parse, Stork uses `default`.
    Boolean { default: bool },
    /// Exactly `true`; any other value is false.
    True,
}

const fn boolean(name: &'static str, source: Source, default: bool) -> StorkKey<'static> {
    StorkKey { name, source, value: ValueType::Boolean { default } }
}

/// The keys that Stork reads when it schedules a pod, with its defaults.
const SCHEDULING: [StorkKey<'static>; 7] = [
    boolean(DISABLE_HYPERCONVERGENCE, Source::Pod, false),
    boolean(DISABLE_ADMISSION_CONTROLLER, Source::Pod, false),
    boolean(PREFER_LOCAL_NODE_ONLY, Source::Pod, false),
    boolean(Setting::PreferRemoteNodeOnly.key(), Source::Storage, false),
    boolean(Setting::PreferRemoteNode.key(), Source::Storage, true),
    boolean(Setting::SkipSchedulerScoring.key(), Source::Storage, false),
    StorkKey { name: Setting::RestoreInProgress.key(), source: Source::Claim, value: ValueType::True },
];

/// Names that are unique to Stork. With another prefix or no prefix, they count as misspelled keys of Stork.
const UNMISTAKABLE: [&str; 5] = [
    DISABLE_HYPERCONVERGENCE,
    PREFER_LOCAL_NODE_ONLY,
    Setting::PreferRemoteNodeOnly.key(),
    Setting::PreferRemoteNode.key(),
    Setting::SkipSchedulerScoring.key(),
];

/// Names with [`PREFIX`] that Stork uses for migration, backup and snapshots, not for scheduling.
const UNRELATED: [&str; 37] = [
    "skip-resource",
    "skipresource",
    "skip-owner-ref-check",
    "skip-modify-resource",
    "include-resource",
    "resource-hash",
    "resourcetransformation-name",
    "current-storage-class-name",
    "created-by",
    "created-by-stork",
    "kdmp",
    "finalizer-cleanup",
    "snapshot-restore-namespaces",
    "snapshot-source-namespace",
    "snapshotScheduleName",
    "snapshotSchedulePolicyType",
    "snapshotName",
    "snapshot-schedule-created",
    "static-copy",
    "migrationNamespace",
    "migrationName",
    "migrationTime",
    "migrationReplicas",
    "replicas",
    "migrated",
    "migration-schedule-name",
    "lastmile-migration-schedule-name",
    "migrationCRDActivate",
    "migrationCRDDeactivate",
    "reclaimPolicy",
    "vm-includeresource",
    "cmdexecutor-image",
    "cmdexecutor-image-secret",
    "pods-with-running-cmds",
    "csi-snapshot-class-name",
    "applicationBackupScheduleName",
    "applicationBackupSchedulePolicyType",
];

/// `placement_strategy` without its separator, for comparison with other spellings.
const PLACEMENT_STRATEGY: &str = "placementstrategy";

/// The most edits (a letter wrong, missing or swapped) between a misspelled key and the intended one.
const SMALL_EDIT: usize = 2;

/// The most edits between a misspelled prefix and Stork's prefix: `.com` for `.org` is three.
const SMALL_EDIT_OF_PREFIX: usize = 3;

/// The meaning of a key in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Recognized<'k> {
    /// A key that affects where pods run.
    Key(StorkKey<'k>),
    /// A key that Stork does not read, close to one that it reads.
    Misspelled { meant: String },
    /// An unknown key with Stork's prefix or one close to it. `nearest` is the closest known key.
    Unknown { nearest: String },
    /// A key that the companion ignores.
    Foreign,
}

/// The keys for one policy: Stork's own keys and the configured opt-outs.
#[derive(Debug)]
pub(super) struct Keys<'p>(Vec<StorkKey<'p>>);

impl<'p> Keys<'p> {
    pub(super) fn new(policy: &'p Policy) -> Self {
        let mut keys: Vec<StorkKey<'p>> = SCHEDULING.to_vec();
        for name in &policy.opt_out.annotations {
            if keys.iter().all(|key| key.name != &**name) {
                let value = ValueType::Boolean { default: false };
                keys.push(StorkKey { name, source: Source::Pod, value });
            }
        }
        Self(keys)
    }

    /// Recognizes a key of an object's annotations, labels or parameters.
    pub(super) fn recognize(&self, name: &str) -> Recognized<'p> {
        if let Some(key) = self.0.iter().find(|key| key.name == name) {
            return Recognized::Key(*key);
        }
        let suffix = name.strip_prefix(PREFIX);
        if suffix.is_some_and(|rest| UNRELATED.contains(&rest)) {
            return Recognized::Foreign;
        }
        let (prefix, own) = split(name);
        if !is_like_prefix(prefix) {
            let same = |key: &&&str| own.eq_ignore_ascii_case(key.trim_start_matches(PREFIX));
            let meant = UNMISTAKABLE.iter().find(same);
            return meant.map_or(Recognized::Foreign, |meant| Recognized::Misspelled { meant: (*meant).to_owned() });
        }
        if is_like_placement_strategy(own) {
            return Recognized::Misspelled { meant: Setting::PlacementStrategy.key().to_owned() };
        }
        // Stork may have newer keys for other purposes, so only a difference in case counts as a misspelling here.
        if let Some(meant) = UNRELATED.iter().find(|unrelated| own.eq_ignore_ascii_case(unrelated)) {
            return Recognized::Misspelled { meant: format!("{PREFIX}{meant}") };
        }
        let near = self.names().filter_map(|name| Some((edits(own, name, SMALL_EDIT)?, name)));
        if let Some((_, meant)) = near.min_by_key(|(edits, _)| *edits) {
            return Recognized::Misspelled { meant: format!("{PREFIX}{meant}") };
        }
        let nearest = self.names().min_by_key(|name| distance(own, name)).unwrap_or_default();
        Recognized::Unknown { nearest: format!("{PREFIX}{nearest}") }
    }

    /// The names, without the prefix, of the keys that affect where pods run.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|key| key.name.strip_prefix(PREFIX))
    }
}

/// Splits a key into its prefix and its name. A dot or a colon counts as a slash after a prefix like Stork's.
fn split(name: &str) -> (&str, &str) {
    let by_slash = name.rsplit_once('/');
    let split = by_slash.or_else(|| name.rsplit_once(['.', ':']).filter(|(prefix, _)| is_like_prefix(prefix)));
    split.unwrap_or(("", name))
}

fn is_like_prefix(prefix: &str) -> bool {
    edits(prefix, PREFIX.trim_end_matches('/'), SMALL_EDIT_OF_PREFIX).is_some()
}

/// Returns true if a key of a class or a claim is a misspelled `placement_strategy`, with any prefix.
pub(super) fn is_like_placement_strategy(name: &str) -> bool {
    let own = name.rsplit_once('/').map_or(name, |(_, own)| own);
    let letters = own.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase());
    name != Setting::PlacementStrategy.key() && letters.eq(PLACEMENT_STRATEGY.bytes())
}

/// Returns true if a key in any place of an object may be one of Stork, or close to one. It is fast, because it is called for
/// every key of an object; [`Keys::recognize`] decides.
pub(super) fn is_candidate(name: &str) -> bool {
    const OF_PREFIX: &str = "openstorage";
    let contains =
        |part: &str| name.as_bytes().windows(part.len()).any(|own| own.eq_ignore_ascii_case(part.as_bytes()));
    let ends = |key: &str| {
        let own = key.trim_start_matches(PREFIX).as_bytes();
        name.len().checked_sub(own.len()).is_some_and(|at| name.as_bytes()[at..].eq_ignore_ascii_case(own))
    };
    contains(OF_PREFIX) || UNMISTAKABLE.into_iter().any(ends)
}

/// Returns true if `name` has Stork's prefix, or one close to it, and is not the name of a key that Stork uses for other
/// purposes than scheduling.
pub fn is_stork_key(policy: &Policy, name: &str) -> bool {
    is_candidate(name) && is_like_prefix(split(name).0) && Keys::new(policy).recognize(name) != Recognized::Foreign
}

/// The number of edits between two words, ignoring case, if it is at most `most` and at most a third of the word.
fn edits(word: &str, other: &str, most: usize) -> Option<usize> {
    if word.len().abs_diff(other.len()) > most {
        return None;
    }
    let edits = distance(word, other);
    (edits <= most && edits * 3 <= other.len()).then_some(edits)
}

fn distance(word: &str, other: &str) -> usize {
    strsim::osa_distance(&word.to_ascii_lowercase(), &other.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognized(name: &str) -> Recognized<'static> {
        // Leaked for the `'static` lifetime: `Keys` borrows the names of the policy's opt-outs.
        let policy: &'static Policy = Box::leak(Box::default());
        Keys::new(policy).recognize(name)
    }

    #[test]
    fn keys_are_matched_exactly() {
        for name in SCHEDULING.map(|key| key.name) {
            assert!(matches!(recognized(name), Recognized::Key(key) if key.name == name), "{name}");
        }
        for name in UNRELATED {
            assert_eq!(recognized(&format!("{PREFIX}{name}")), Recognized::Foreign, "{name}");
        }
        for name in [
            "app",
            "app.kubernetes.io/name",
            "replicas",
            "velero.io/restore-in-progress",
            "linkerd.io/inject",
            "snapshotschedule.stork.libopenstorage.org/daily",
            "px/hyperconvergence",
            "operator.libopenstorage.org/unschedulable",
            "stork.libopenstorage.org",
            "libopenstorage.org.preferences",
            "placement-strategy",
            "",
            "/",
        ] {
            assert_eq!(recognized(name), Recognized::Foreign, "{name}");
        }
    }

    #[test]
    fn small_edits_and_other_prefixes_are_misspellings() {
        for (name, meant) in [
            ("stork.libopenstorage.org/preferlocalnodeonly", PREFER_LOCAL_NODE_ONLY),
            ("stork.libopenstorage.org/preferLocalNodesOnly", PREFER_LOCAL_NODE_ONLY),
            ("stork.libopenstorage.org/perferLocalNodeOnly", PREFER_LOCAL_NODE_ONLY),
            ("stork.libopenstorage.com/preferLocalNodeOnly", PREFER_LOCAL_NODE_ONLY),
            ("stork.libopenstorage.org.preferLocalNodeOnly/preferLocalNodeOnly", PREFER_LOCAL_NODE_ONLY),
            ("preferLocalNodeOnly", PREFER_LOCAL_NODE_ONLY),
            ("portworx.io/disableHyperConvergence", DISABLE_HYPERCONVERGENCE),
            ("Stork.libopenstorage.org/disable-admission-controler", DISABLE_ADMISSION_CONTROLLER),
            ("stork.libopenstorage.org/preferRemoteNodes", Setting::PreferRemoteNode.key()),
            ("stork.libopenstorage.org/snapshotname", "stork.libopenstorage.org/snapshotName"),
            ("stork.libopenstorage.org.preferLocalNodeOnly", PREFER_LOCAL_NODE_ONLY),
            ("stork.libopenstorage.org:preferRemoteNode", Setting::PreferRemoteNode.key()),
            ("stork.libopenstorage.com.preferLocalNodesOnly", PREFER_LOCAL_NODE_ONLY),
            ("stork.libopenstorage.org:restore-in-progress", Setting::RestoreInProgress.key()),
            ("stork.libopenstorage.org/placement-strategy", "placement_strategy"),
        ] {
            assert_eq!(recognized(name), Recognized::Misspelled { meant: meant.to_owned() }, "{name}");
        }
    }

    #[test]
    fn a_key_far_from_all_others_is_unknown_or_foreign() {
        let Recognized::Unknown { nearest } = recognized("stork.libopenstorage.org/preferLocal") else {
            panic!("not reported as unknown")
        };
        assert!(nearest.starts_with(PREFIX));
        assert!(matches!(recognized("stork.libopenstorage.com/nothing-like-it"), Recognized::Unknown { .. }));
        for name in ["kdmpp", "created-at", "migrationType", "skip-resources", "replica"] {
            let name = format!("{PREFIX}{name}");
            assert!(matches!(recognized(&name), Recognized::Unknown { .. }), "{name}");
        }
        assert!(matches!(recognized(PREFIX), Recognized::Unknown { .. }));
    }

    #[test]
    fn every_key_and_misspelled_key_is_a_candidate_in_any_place() {
        for name in SCHEDULING.map(|key| key.name).into_iter().chain(["preferlocalnodeonly", "x/skipSchedulerScoring"])
        {
            assert!(is_candidate(name), "{name}");
        }
        for name in ["", "annotations", "prefer", "preferredDuringSchedulingIgnoredDuringExecution", "é"] {
            assert!(!is_candidate(name), "{name}");
        }
    }

    #[test]
    fn only_other_spellings_of_placement_strategy_are_like_it() {
        for name in ["placement-strategy", "placementStrategy", "Placement_Strategy", "portworx.io/placement-strategy"]
        {
            assert!(is_like_placement_strategy(name), "{name}");
        }
        for name in ["placement_strategy", "placement", "placement-strategies", ""] {
            assert!(!is_like_placement_strategy(name), "{name}");
        }
    }

    #[test]
    fn a_configured_opt_out_is_a_pod_key() {
        let mut policy = Policy::default();
        policy.opt_out.annotations.push("example.com/opt-out".into());
        let recognized = Keys::new(&policy).recognize("example.com/opt-out");
        assert!(matches!(recognized, Recognized::Key(StorkKey { source: Source::Pod, .. })));
    }
}
