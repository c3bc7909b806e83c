//! The rotation, step by step and over two years, with replicas that act in any order on outdated observations.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::trust::propagation::BundleObservation;

const CONFIGURATIONS: [&str; 2] = ["mutating", "validating"];
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn begin() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

/// A moment on the wall clock and on the clock that does not jump.
#[derive(Clone, Copy)]
struct Clocks {
    started: Instant,
    seconds: i64,
}

impl Clocks {
    fn now(self, skew: i64) -> Timestamp {
        begin() + SignedDuration::from_secs(self.seconds + skew)
    }

    fn at(self) -> Instant {
        self.started + Duration::from_secs(self.seconds.try_into().unwrap())
    }
}

/// The Secret and the configurations of the API server.
struct Cluster {
    clock: Clocks,
    lifetimes: Lifetimes,
    secret: (u64, CaState),
    /// Each bundle that was live, and since when. Both configurations have the same.
    live: Vec<(i64, Vec<Certificate>)>,
    switches: usize,
    /// The CAs that were current, in order.
    currents: Vec<Certificate>,
}

struct Replica {
    /// The number of seconds by which its clock is ahead.
    skew: i64,
    secret: Option<SecretCopy>,
    propagation: Propagation,
    leaf: Option<LeafInUse>,
    /// A patch in flight: the version of the configuration that it is for, and its bundle.
    patch: Option<(usize, Vec<Certificate>)>,
}

#[derive(Clone)]
struct SecretCopy {
    version: u64,
    state: CaState,
    read: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    ReadSecret,
    /// Takes the step that is due according to the last read of the Secret.
    Rotate,
    ReadConfigurations,
    /// Reads the configuration, then the Secret.
    BeginPatch,
    EndPatch,
    Issue,
    /// Forgets everything.
    Restart,
}

const ACTIONS: [Action; 6] = [
    Action::ReadSecret,
    Action::Rotate,
    Action::ReadConfigurations,
    Action::BeginPatch,
    Action::EndPatch,
    Action::Issue,
];

impl Cluster {
    /// Creates a cluster with a CA that is known everywhere.
    fn new(lifetimes: Lifetimes) -> Self {
        let clock = Clocks { started: Instant::now(), seconds: 0 };
        let state = CaState::first(clock.now(0), &lifetimes).unwrap();
        let current = state.current.certificate().clone();
        let live = vec![(i64::MIN, vec![current.clone()])];
        Self { clock, lifetimes, secret: (1, state), live, switches: 0, currents: vec![current] }
    }

    fn carried(&self) -> &[Certificate] {
        &self.live.last().unwrap().1
    }

    fn act(&mut self, replica: &mut Replica, action: Action) {
        let now = self.clock.now(replica.skew);
        match action {
            Action::ReadSecret => {
                let (version, state) = self.secret.clone();
                replica.secret = Some(SecretCopy { version, state, read: now });
            }
            Action::Rotate => self.step(replica, now),
            Action::ReadConfigurations => self.observe(replica),
            Action::BeginPatch => {
                let version = self.live.len();
                let wanted: Vec<_> = self.secret.1.bundle().into_iter().cloned().collect();
                replica.patch = (wanted != self.carried()).then_some((version, wanted));
            }
            Action::EndPatch => {
                if let Some((version, wanted)) = replica.patch.take()
                    && version == self.live.len()
                {
                    self.live.push((self.clock.seconds, wanted));
                }
            }
            Action::Issue => {
                let Some(secret) = &replica.secret else { return };
                let in_use = replica.leaf.as_ref();
                let leaf = secret.state.leaf(secret.read, now, in_use, &replica.propagation, &self.lifetimes).unwrap();
                if let Some(validity) = leaf {
                    let authority = secret.state.current.certificate().clone();
                    assert!(validity.not_after() <= authority.validity().not_after());
                    replica.leaf = Some(LeafInUse { authority, validity });
                }
            }
            Action::Restart => *replica = Replica::new(replica.skew),
        }
    }

    /// Runs one undisturbed round of a replica.
    fn round(&mut self, replica: &mut Replica) {
        for action in [
            Action::ReadSecret,
            Action::ReadConfigurations,
            Action::BeginPatch,
            Action::EndPatch,
            Action::Rotate,
            Action::Issue,
        ] {
            self.act(replica, action);
        }
    }

    fn observe(&self, replica: &mut Replica) {
        let version = self.live.len().to_string();
        for name in CONFIGURATIONS {
            // The worst case: changes since the last observation may have been missed.
            let observation =
                BundleObservation { version: &version, carried: self.carried().to_vec(), unbroken: false };
            replica.propagation.record(name, Some(observation), self.clock.at());
        }
    }

    fn step(&mut self, replica: &mut Replica, now: Timestamp) {
        let Some(SecretCopy { version, state, .. }) = replica.secret.clone() else { return };
        let due = |replica: &Replica| state.step(now, self.clock.at(), &replica.propagation, &self.lifetimes);
        let Some(mut step) = due(replica) else { return };
        if step == RotationStep::Switch {
            // Like the server, it reads the configurations again just before.
            self.observe(replica);
            match due(replica) {
                Some(again) => step = again,
                None => return,
            }
        }
        if version != self.secret.0 {
            return; // 409
        }
        let after = state.after(step, now, &self.lifetimes).unwrap();
        assert!(after.bundle().len() <= 3 && !(after.next.is_some() && after.old.is_some()));
        if step == RotationStep::Switch {
            self.switches += 1;
            self.currents.push(after.current.certificate().clone());
        } else {
            assert_eq!(after.current.certificate(), state.current.certificate());
        }
        self.secret = (version + 1, after);
    }

    /// Checks that every valid leaf chains to a CA in every bundle that an API server may have now.
    fn check(&self, replicas: &[Replica]) {
        let since = self.clock.seconds - self.lifetimes.settle.as_secs();
        let first = self.live.iter().rposition(|(from, _)| *from <= since).unwrap();
        for leaf in replicas.iter().filter_map(|replica| replica.leaf.as_ref()) {
            if leaf.validity.not_after() < self.clock.now(0) {
                continue;
            }
            for (from, bundle) in &self.live[first..] {
                let number = self.currents.iter().position(|current| *current == leaf.authority);
                assert!(
                    bundle.contains(&leaf.authority),
                    "a leaf of CA {number:?} of {} is in use at {} s, but the bundle of {from} s does not have that CA",
                    self.currents.len(),
                    self.clock.seconds,
                );
            }
        }
    }
}

impl Replica {
    fn new(skew: i64) -> Self {
        let propagation = Propagation::new(CONFIGURATIONS);
        Self { skew, secret: None, propagation, leaf: None, patch: None }
    }

    fn leaf_is_valid(&self, clock: Clocks) -> bool {
        self.leaf.as_ref().is_some_and(|leaf| leaf.validity.not_after() >= clock.now(0))
    }
}

#[test]
fn two_undisturbed_years_rotate_on_schedule() {
    let mut cluster = Cluster::new(Lifetimes::default());
    let mut replicas = [0, 300, -300].map(Replica::new);
    let mut minutes = 0;
    while cluster.clock.seconds < 2 * 365 * DAY {
        for replica in &mut replicas {
            cluster.round(replica);
        }
        assert!(replicas.iter().all(|replica| replica.leaf_is_valid(cluster.clock)));
        cluster.check(&replicas);
        minutes += 1;
        cluster.clock.seconds += if minutes % 50 == 0 { MINUTE } else { HOUR };
    }
    // A CA lives for a year and gives way when two thirds have passed: after 243, 487 and 730 days, less a few hours.
    assert_eq!(cluster.switches, 2);
    let last = cluster.currents.last().unwrap();
    assert!(replicas.iter().all(|replica| replica.leaf.as_ref().unwrap().authority == *last));
    assert!(cluster.secret.1.old.is_none() && cluster.carried() == [last.clone()]);
}

#[test]
fn lifetimes_of_a_few_seconds_work_too() {
    let seconds = SignedDuration::from_secs;
    let mut cluster = Cluster::new(Lifetimes { ca: seconds(16), leaf: seconds(4), settle: seconds(1) });
    let mut replicas = [0, 0].map(Replica::new);
    while cluster.clock.seconds < 120 {
        for replica in &mut replicas {
            cluster.round(replica);
        }
        assert!(replicas.iter().all(|replica| replica.leaf_is_valid(cluster.clock)));
        cluster.check(&replicas);
        cluster.clock.seconds += 1;
    }
    assert!((8..=10).contains(&cluster.switches), "{}", cluster.switches);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_bundle_has_the_ca_of_every_leaf_in_any_order_of_actions(
        skews in proptest::array::uniform3(-15 * MINUTE..15 * MINUTE),
        actions in proptest::collection::vec(
            (0..3_usize, 0..100_u8, select(&ACTIONS[..]), 0..100_u8, 0..100_i64), 8000..9000
        ),
    ) {
        let mut cluster = Cluster::new(Lifetimes::default());
        let mut replicas = skews.map(Replica::new);
        for (who, restart, action, unit, time) in actions {
            let action = if restart == 0 { Action::Restart } else { action };
            cluster.act(&mut replicas[who], action);
            cluster.check(&replicas);
            // Bursts of about a hundred actions within a minute, with minutes, hours and days between them.
            let pause = match unit {
                0 => time * 4 * HOUR,
                1 => time * 10 * MINUTE,
                2 => time * 5,
                _ => time / 80,
            };
            if pause > 0 {
                cluster.clock.seconds += pause;
                cluster.check(&replicas);
            }
        }
        prop_assert!(cluster.clock.seconds < 365 * DAY || cluster.switches > 0);
    }
}

/// A single replica in a cluster of its own.
struct Alone {
    cluster: Cluster,
    replica: Replica,
}

impl Alone {
    fn new() -> Self {
        let mut alone = Self { cluster: Cluster::new(Lifetimes::default()), replica: Replica::new(0) };
        alone.round();
        alone
    }

    fn round(&mut self) {
        self.cluster.round(&mut self.replica);
    }

    /// Lets time pass, and returns whether the Secret then has a next and an old CA.
    fn after(&mut self, seconds: i64) -> (bool, bool) {
        self.cluster.clock.seconds += seconds;
        self.round();
        let state = &self.cluster.secret.1;
        (state.next.is_some(), state.old.is_some())
    }
}

#[test]
fn steps_are_taken_when_they_are_due() {
    let mut alone = Alone::new();
    let two_thirds = 365 * DAY / 3 * 2;
    assert_eq!(alone.after(two_thirds - 1), (false, false));
    assert_eq!(alone.after(1), (true, false));
    // The bundle is written in the next round, and observed in the one after.
    assert_eq!(alone.after(1), (true, false));
    assert_eq!(alone.after(1), (true, false));
    assert_eq!(alone.after(59), (true, false));
    assert_eq!(alone.after(1), (false, true));
    assert_eq!(alone.after(7 * DAY + HOUR), (false, true));
    assert_eq!(alone.after(1), (false, false));
}

#[test]
fn a_replica_that_slept_for_years_catches_up_step_by_step() {
    let mut alone = Alone::new();
    let first = alone.cluster.currents[0].clone();
    assert_eq!(alone.after(5 * 365 * DAY), (true, false));
    assert_eq!(alone.after(0), (false, true));
    // The first CA has expired, so none of its leaves is valid.
    assert_eq!(alone.after(0), (false, false));
    assert_eq!(alone.after(0), (false, false));
    assert_ne!(alone.replica.leaf.as_ref().unwrap().authority, first);
    assert!(alone.replica.leaf_is_valid(alone.cluster.clock));
}

#[test]
fn a_next_ca_that_expired_before_the_switch_is_replaced() {
    let lifetimes = Lifetimes::default();
    let state = CaState::first(begin(), &lifetimes).unwrap();
    let state = state.after(RotationStep::Publish, begin(), &lifetimes).unwrap();
    let propagation = Propagation::new([]);
    let later = begin() + SignedDuration::from_secs(366 * DAY);
    assert_eq!(state.step(later, Instant::now(), &propagation, &lifetimes), Some(RotationStep::Publish));
    let renewed = state.after(RotationStep::Publish, later, &lifetimes).unwrap();
    assert_ne!(renewed.bundle()[1], state.bundle()[1]);
    assert_eq!(renewed.step(later, Instant::now(), &propagation, &lifetimes), Some(RotationStep::Switch));
}

#[test]
fn a_leafs_life_starts_at_the_read_and_never_outlives_its_ca() {
    let lifetimes = Lifetimes::default();
    let state = CaState::first(begin(), &lifetimes).unwrap();
    let propagation = Propagation::new([]);
    let day = |days: i64| begin() + SignedDuration::from_secs(days * DAY);
    let current = state.current.certificate();
    let leaf = |read, now, in_use: Option<&LeafInUse>| state.leaf(read, now, in_use, &propagation, &lifetimes).unwrap();
    let issued = leaf(day(0), day(3), None).unwrap();
    assert_eq!(issued.not_after(), day(7));
    let in_use = |validity| LeafInUse { authority: current.clone(), validity };
    // Two thirds are 4 days and 16 hours.
    assert_eq!(leaf(day(4), day(4), Some(&in_use(issued))), None);
    assert_eq!(leaf(day(0), day(5), Some(&in_use(issued))), None);
    assert_eq!(leaf(day(5), day(5), Some(&in_use(issued))).unwrap().not_after(), day(12));
    assert_eq!(leaf(day(0), day(8), None), None);
    let last = leaf(day(360), day(360), None).unwrap();
    assert_eq!(last.not_after(), current.validity().not_after());
    assert_eq!(leaf(day(364), day(364), Some(&in_use(last))), None);
}

#[test]
fn an_unrotated_ca_signs_if_carried_or_if_the_leaf_has_expired() {
    let lifetimes = Lifetimes::default();
    let [first, second] = [0, 0].map(|_| CaState::first(begin(), &lifetimes).unwrap());
    let mut propagation = Propagation::new(["mutating"]);
    let validity = first.leaf(begin(), begin(), None, &propagation, &lifetimes).unwrap().unwrap();
    let in_use = LeafInUse { authority: first.current.certificate().clone(), validity };
    let due = |now, propagation: &Propagation| {
        second.leaf(now, now, Some(&in_use), propagation, &lifetimes).unwrap().is_some()
    };
    assert!(!due(begin(), &propagation));
    assert!(due(begin() + SignedDuration::from_secs(8 * DAY), &propagation));
    let carried = vec![second.current.certificate().clone()];
    propagation.record("mutating", Some(BundleObservation { version: "1", carried, unbroken: false }), Instant::now());
    assert!(due(begin(), &propagation));
}
